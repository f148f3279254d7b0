"""A profile as one page of HTML: tables, and the source as a heat map. Nothing is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from html import escape
from importlib.resources import files
from pathlib import Path

from emulator.command import annotate, tables, wording
from emulator.command.advice import advice
from emulator.command.annotate import Line, Listing
from emulator.command.session import Session
from emulator.command.usage import UsageError
from emulator.report import Report

# What the heat map can show: a label, the counter of a line, and what it is a share of.
HEATS: tuple[tuple[str, Callable[[Line], float]], ...] = (
    ("instructions", lambda line: line.instructions),
    ("global sectors", lambda line: _sum(line, "l1tex__t_sectors_pipe_lsu_mem_global_")),
    ("shared wavefronts", lambda line: line.wavefronts),
    ("bank conflicts", lambda line: line.wavefronts - line.ideal),
)
SCRIPT = """
for (const radio of document.querySelectorAll("input[name=heat]"))
  radio.addEventListener("change", () => {
    for (const row of document.querySelectorAll("tr[data-heat]"))
      row.style.setProperty("--h", row.dataset.heat.split(" ")[radio.value]);
  });
"""


def write(session: Session, path: Path) -> None:
    """Write the page of a profiled launch."""
    try:
        path.write_text(html(session))
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None


def html(session: Session) -> str:
    """The page."""
    report = session.report
    assert report is not None
    style = files("emulator.command").joinpath("page.css").read_text()
    title = escape(f"{session.name}, {session.path.name}")
    return "".join(
        [
            "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>",
            "<meta name='viewport' content='width=device-width, initial-scale=1'>",
            f"<title>{title}</title><style>\n{style}</style></head>\n<body>",
            *_head(session, report),
            *_advice(report),
            *_source(report, session),
            *_tables(report),
            *_notes(report),
            f"<script>{SCRIPT}</script></body></html>\n",
        ]
    )


def _head(session: Session, report: Report) -> Iterator[str]:
    yield f"<h1>{escape(session.signature)}</h1>"
    yield (
        f"<p class='about'>{escape(str(session.path))}, grid {wording.shape(session.grid)}, block "
        f"{wording.shape(session.block)}, on an emulated {escape(session.arch.name)}</p>"
    )
    if report.time_us is not None:
        bounds = sorted(report.bounds.items(), key=lambda item: -item[1])
        bound = f", bound by {escape(bounds[0][0])}" if bounds else ""
        yield (
            f"<p class='duration'>{report.time_us:,.2f} &micro;s "
            f"<small>{escape(report.time_kind or '')}{bound}</small></p>"
        )


def _advice(report: Report) -> Iterator[str]:
    said = advice(report)
    if said:
        yield "<h2>What stands out</h2><ul class='advice'>"
        yield from (f"<li>{escape(line)}</li>" for line in said)
        yield "</ul>"


def _source(report: Report, session: Session) -> Iterator[str]:
    all_listings = annotate.listings(report, session.loaded.module.sources)
    lines = [line for listing in all_listings for line in listing.lines if line.instructions]
    if not lines:
        return
    tops = [max(value(line) for line in lines) for _, value in HEATS]
    yield "<h2>Source</h2><div class='pick'>coloured by"
    for at, ((label, _), top) in enumerate(zip(HEATS, tops, strict=True)):
        if top > 0:
            checked = " checked" * (at == 0)
            yield (f"<label><input type='radio' name='heat' value='{at}'{checked}> {label}</label>")
    yield "</div>"
    for listing in all_listings:
        yield from _listing(listing, tops)


def _listing(listing: Listing, tops: list[float]) -> Iterator[str]:
    yield "<div class='source'><table><thead><tr><th></th>"
    yield from (f"<th>{escape(heading)}</th>" for heading in annotate.HEADINGS)
    yield f"<th class='code'>{escape(listing.file)}</th></tr></thead><tbody>\n"
    for line in listing.lines:
        if not line.number:
            yield "<tr class='gap'>" + "<td></td>" * 6 + "<td class='code'>...</td></tr>\n"
            continue
        heat = ""
        if line.instructions:
            shares = [
                f"{value(line) / top:.3f}" if top else "0"
                for (_, value), top in zip(HEATS, tops, strict=True)
            ]
            heat = f" data-heat='{' '.join(shares)}' style='--h:{shares[0]}'"
        yield f"<tr{heat}><td class='number'>{line.number}</td>"
        for at, cell in enumerate(annotate.cells(line)):
            worse = " class='worse'" if at == 4 and line.excess > 1 else ""
            yield f"<td{worse}>{escape(cell)}</td>"
        yield f"<td class='code'>{escape(line.text)}</td></tr>\n"
    yield "</tbody></table></div>"


def _tables(report: Report) -> Iterator[str]:
    yield "<h2>Counters</h2><div class='tables'>"
    is_open = False
    for table in tables.tables(report):
        if table.title:
            yield "</section>" * is_open + f"<section><h2>{escape(table.title)}</h2>"
            is_open = True
        yield "<table>"
        if table.columns:
            yield "<tr><th></th>" + "".join(f"<th>{escape(c)}</th>" for c in table.columns)
            yield "</tr>"
        for name, cells in table.rows:
            yield f"<tr><td>{escape(name)}</td>"
            yield "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
        yield "</table>"
    yield "</section>" * is_open + "</div>"


def _notes(report: Report) -> Iterator[str]:
    yield from (f"<p class='notes'>{escape(note)}</p>" for note in report.notes)
    if report.approximate:
        yield "<p class='notes'>~ marks counters that may differ from an H100's.</p>"


def _sum(line: Line, prefix: str) -> float:
    counters = line.counters or {}
    return sum(v for name, v in counters.items() if name.startswith(prefix))
