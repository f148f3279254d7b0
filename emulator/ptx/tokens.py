"""PTX text to tokens."""

from __future__ import annotations

import re
from typing import NamedTuple

from emulator.errors import PtxError

MAX_TOKENS = 8 << 20
MAX_NAME = 1 << 16
SHOWN = 120  # characters of anything in a message

_TOKEN = re.compile(
    r"""[ \t\r\f\v]*+(?:
        (?P<newline>\n)
      | (?P<blank>//[^\n]*|\Z)
      | (?P<comment>/\*)
      | (?P<string>"[^"\n]*")
      | (?P<word>[%$_.A-Za-z][\w$.%]*(?:::[\w$.]+)*(?:<\d+>)?)
      | (?P<number>0[fF][0-9a-fA-F]{8}|0[dD][0-9a-fA-F]{16}|0[xX][0-9a-fA-F]+U?|0[bB][01]+U?
                  |\d+\.\d*(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\d+U?)
      | (?P<mark>[{}()\[\],;:@!+\-=|<>*/~&^?.]))""",
    re.VERBOSE,
)


class Token(NamedTuple):
    """One word, number, string or mark; ``start`` is its place in the text."""

    kind: str
    text: str
    line: int
    start: int


def tokens(text: str) -> list[Token]:
    """All tokens but blanks and comments. Raises :class:`PtxError`, which names the line."""
    found: list[Token] = []
    line, position, end = 1, 0, len(text)
    match_at = _TOKEN.match
    while position < end:
        match = match_at(text, position)
        if match is None:
            bad = text[position : position + 20].lstrip().split("\n")[0]
            raise PtxError(f"PTX line {line}: cannot read {bad!r}")
        kind = match.lastgroup or "blank"
        if kind == "newline":
            line += 1
        elif kind == "comment":
            close = text.find("*/", match.end())
            if close < 0:
                raise PtxError(f"PTX line {line}: this comment never ends")
            line += text.count("\n", position, close)
            position = close + 2
            continue
        elif kind != "blank":
            word = match[kind]
            if len(word) > MAX_NAME:
                raise PtxError(f"PTX line {line}: {len(word):,} characters of {shortened(word)!r}")
            found.append(Token(kind, word, line, match.start(kind)))
            if len(found) > MAX_TOKENS:
                raise PtxError(f"PTX line {line}: this reader takes {MAX_TOKENS:,} words at most")
        position = match.end()
    return found


def shortened(text: str) -> str:
    """A text's beginning, for a message."""
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
