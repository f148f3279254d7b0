"""Tables in README.md that a command writes, each between two comments of its own."""

from __future__ import annotations

import sys
from pathlib import Path

README = Path(__file__).with_name("README.md")


def publish(name: str, table: str, command: str, *, write: bool) -> int:
    """Put ``table`` between the comments ``name:begin`` and ``name:end``, or see whether it is.

    The exit status of a command: 1 where it is not there and is not to be written.
    """
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    text = README.read_text()
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    wanted = f"{before}{begin}\n\n{table}\n\n{end}{after}"
    if write:
        README.write_text(wanted)
    elif text != wanted:
        print(f"{README} is not current: run {command} --write", file=sys.stderr)
        return 1
    return 0
