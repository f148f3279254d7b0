"""Findings as compute-sanitizer prints them, for people."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from emulator.command.session import Session
from emulator.report import Finding

BAR = "========="
WIDTH = 100


def findings_text(session: Session, tools: Sequence[str]) -> str:
    """Every finding, and a summary line."""
    lines = [f"{BAR} {', '.join(tools)}: {session.signature}"]
    for finding in session.findings:
        lines += [f"{BAR} {line}".rstrip() for line in _finding(finding)]
    count = len(session.findings)
    note = "" if session.report else "; the kernel was stopped"
    lines.append(f"{BAR} ERROR SUMMARY: {count} error{'s' * (count != 1)}{note}")
    return "\n".join(lines)


def _finding(finding: Finding) -> Iterator[str]:
    head, *rest = finding.message.split("\n")
    yield from textwrap.wrap(
        f"Error ({finding.check}): {head}", WIDTH - len(BAR) - 1, subsequent_indent="    "
    )
    for line in rest:
        yield f"    {line.rstrip()}"
    yield ""
