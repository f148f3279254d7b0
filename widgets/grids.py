"""Two axes of an experiment as a table: warps down, what each has under way across."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from widgets.live import Html
from widgets.look import NUMBER, TEXT, faint, significant, table

Cells = Mapping[tuple[int, int], float]
PLATEAU = 0.95  # of the most: cells from here on are marked


def grid(
    title: str,
    cells: Cells,
    *,
    down: str,
    across: str,
    note: str = "",
    most: float | None = None,
) -> Html:
    """A table of ``cells``, by (row, column), shaded by their share of ``most``.

    ``most`` is the largest cell unless given. Cells within 5 % of it, the plateau, are bold. A cell
    that is not there is left empty.
    """
    top = most or max(cells.values(), default=0.0) or 1.0
    rows, columns = sorted({r for r, _ in cells}), sorted({c for _, c in cells})
    cell = f"padding: 2px 10px; text-align: right; {NUMBER}"
    head = "".join(f'<th style="{cell}">{c}</th>' for c in columns)
    body = []
    for row in rows:
        shown = ""
        for column in columns:
            value = cells.get((row, column))
            if value is None:
                shown += f'<td style="{cell}"></td>'
                continue
            share = max(0.0, min(value / top, 1.0))
            number = significant(value)
            shown += (
                f'<td style="{cell}; background: rgba(0, 158, 115, {0.55 * share**2:.2f})">'
                f"{f'<b>{number}</b>' if share >= PLATEAU else number}</td>"
            )
        body.append(f'<tr style="background: none"><th style="{cell}">{row}</th>{shown}</tr>')
    html = (
        f'<div style="color: {TEXT}; display: inline-block; vertical-align: top; '
        f'margin: 4px 28px 4px 0"><div><b>{escape(title)}</b></div>'
        f"<div>{escape(down)} down, {escape(across)} across</div>"
        '<table style="border-collapse: collapse; margin: 4px 0; font-size: 95%">'
        f'<thead><tr style="background: none"><th></th>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table>{faint(note) if note else ''}</div>"
    )
    text = [title, f"{down} down, {across} across", "\t".join(["", *map(str, columns)])]
    for row in rows:
        values = (cells.get((row, column)) for column in columns)
        text.append("\t".join([str(row), *("" if v is None else significant(v) for v in values)]))
    return Html(html, "\n".join([*text, note] if note else text))


def recorded_grid(
    title: str,
    load: Callable[[], Any],
    pick: Callable[[Any], Cells],
    *,
    down: str,
    across: str,
) -> Html:
    """A :func:`grid` of what ``pick`` takes from a record; a sentence where none is recorded."""
    try:
        record = load()
        cells = pick(record)
    except LookupError as missing:
        text = f"{title}: no H100 figure is recorded yet. {missing}"
        return Html(faint(text), text)
    made = record.origin
    note = f"Recorded: {made.device}, {made.date}, by: {made.command}"
    return grid(title, cells, down=down, across=across, note=note)


def recorded_table(
    head: tuple[str, str], load: Callable[[], Any], rows: Callable[[Any], Mapping[str, str]]
) -> Html:
    """Recorded figures, a label and some words each; a sentence where none is recorded."""
    try:
        record = load()
        found = rows(record)
    except LookupError as missing:
        text = f"No H100 figure is recorded yet. {missing}"
        return Html(faint(text), text)
    made = record.origin
    note = f"Recorded: {made.device}, {made.date}, by: {made.command}"
    shown = table(head, [[escape(label), escape(words)] for label, words in found.items()])
    text = "\n".join([*(f"{label}: {words}" for label, words in found.items()), note])
    return Html(shown + faint(note), text)


def side_by_side(*parts: Html) -> Html:
    """Several of them in a row, as far as the page is wide."""
    return Html("".join(part._repr_html_() for part in parts), "\n\n".join(map(repr, parts)))
