"""A verdict as HTML for a notebook. Everything a learner wrote is escaped; there are no scripts."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from grader.verdict import CaseVerdict, TaskVerdict, Verdict
from grader.words import number, speed_of

GOOD, BAD, QUIET = "#1a7f37", "#cf222e", "#6e7781"
BOX = (
    "border-left:4px solid {colour};padding:.4em .9em;margin:.5em 0;"
    "font-family:var(--jp-ui-font-family,sans-serif);line-height:1.45"
)
CODE = "white-space:pre-wrap;font-family:monospace;font-size:.92em;margin:.3em 0;overflow-x:auto"


def as_html(verdict: Verdict, note: str = "") -> str:
    """The whole verdict; ``note`` is said first, such as where an earlier version went."""
    where = f"{verdict.mode} on {verdict.device}, {verdict.seconds:.1f} s"
    parts = [f"<div style='color:{QUIET}'>{escape(note)}</div>"] if note else []
    parts += [part for task in verdict.tasks for part in _task(task, verdict.lab)]
    return "".join([*parts, f"<div style='color:{QUIET}'>{escape(where)}</div>"])


def _task(task: TaskVerdict, lab: str) -> Iterator[str]:
    colour = GOOD if task.passed else BAD
    word = "Passed" if task.passed else "Not yet"
    yield f"<div style='{BOX.format(colour=colour)}'>"
    yield f"<b style='color:{colour}'>{word}</b>: <b>{escape(task.title)}</b> "
    yield f"<span style='color:{QUIET}'>{escape(task.task)}</span>"
    if task.passed:
        yield f"<div>{escape(task.summary + speed_of(task))}</div>"
    else:
        yield f"<div style='{CODE}'>{escape(task.message)}</div>"
        if task.meaning:
            yield f"<div><b>What it probably means.</b> {escape(task.meaning)}</div>"
    if task.hint:
        yield f"<details><summary>A hint</summary>{escape(task.hint)}"
        if task.hints_left:
            command = escape(f"python -m grader hint {lab} {task.task}")
            yield f"<div style='color:{QUIET}'>{task.hints_left} more: <code>{command}</code></div>"
        yield "</details>"
    if task.printed.strip():
        yield "<details><summary>Your program printed</summary>"
        yield f"<pre style='{CODE}'>{escape(task.printed)}</pre></details>"
    if task.cases:
        yield from _cases(task.cases, open_=not task.passed)
    yield "</div>"


def _cases(cases: tuple[CaseVerdict, ...], *, open_: bool) -> Iterator[str]:
    passed = sum(case.passed for case in cases)
    state = " open" if open_ and len(cases) <= 12 else ""
    yield f"<details{state}><summary>{passed} of {len(cases)} cases passed</summary>"
    yield "<table style='font-size:.92em'>"
    for case in cases:
        colour, mark = (GOOD, "\N{CHECK MARK}") if case.passed else (BAD, "\N{BALLOT X}")
        kind = " <i>hidden</i>" if case.kind == "hidden" else ""
        what = "" if case.passed else escape(case.code)
        yield (
            f"<tr><td style='color:{colour}'>{mark}</td><td style='text-align:left'>"
            f"{escape(case.case)}{kind}</td><td style='text-align:left'>{what}</td></tr>"
        )
        for m in case.measures:
            mark = "" if m.ok else f" <b style='color:{BAD}'>over the limit</b>"
            yield (
                f"<tr><td></td><td style='text-align:left;color:{QUIET}' colspan='2'>"
                f"{escape(m.label)}: {number(m.yours)}, "
                f"solution {number(m.solution)}{mark}</td></tr>"
            )
    yield "</table></details>"
