"""Colours and HTML that read well on a light and on a dark page.

Colours are Okabe and Ito's, told apart by people with any kind of colour vision; what a colour
says is always written beside it too. Text takes the page's own colour, figures a mid-grey that
has a contrast of at least 4:1 on white and on JupyterLab's dark grey.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

BLUE = "#0072B2"  # bytes that a lane asked for; this device
ORANGE = "#E69F00"  # bytes that moved for nothing; costly lines
GREEN = "#009E73"  # right, good
SKY = "#56B4E9"  # recorded figures
GREY = "#777777"  # text and lines of figures

TEXT = "var(--jp-content-font-color1, currentColor)"
FAINT = "var(--jp-content-font-color2, currentColor)"
MONO = "var(--jp-code-font-family, ui-monospace, Menlo, Consolas, monospace)"
RULE = "1px solid rgba(128, 128, 128, 0.35)"
NUMBER = "font-variant-numeric: tabular-nums"

CELL = f"padding: 3px 12px 3px 0; text-align: left; border-bottom: {RULE}"
RIGHT = f"padding: 3px 12px 3px 0; text-align: right; {NUMBER}; border-bottom: {RULE}"


def bar(share: float, colour: str, width: str = "90px") -> str:
    """A bar filled to ``share`` (0 to 1). It repeats a number that is written beside it."""
    filled = max(0.0, min(1.0, share)) * 100
    return (
        f'<span aria-hidden="true" style="display: inline-block; width: {width}; height: 10px; '
        'background: rgba(128, 128, 128, 0.18); border-radius: 2px; vertical-align: middle">'
        f'<span style="display: block; width: {filled:.1f}%; height: 10px; '
        f'background: {colour}; border-radius: 2px"></span></span>'
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    """An HTML table. Cells are HTML already; columns in ``numbers`` are aligned to the right."""

    def row(cells: Sequence[str], tag: str) -> str:
        drawn = (
            f'<{tag} style="{RIGHT if i in numbers else CELL}">{cell}</{tag}>'
            for i, cell in enumerate(cells)
        )
        return f'<tr style="background: none">{"".join(drawn)}</tr>'

    return (
        f'<table style="border-collapse: collapse; color: {TEXT}; margin: 6px 0; font-size: 95%">'
        f"<thead>{row(head, 'th')}</thead><tbody>{''.join(row(r, 'td') for r in rows)}</tbody>"
        "</table>"
    )


def box(inside: str, colour: str = GREY) -> str:
    """A box with a coloured edge."""
    return (
        f'<div style="border-left: 4px solid {colour}; padding: 6px 12px; margin: 8px 0; '
        f'color: {TEXT}">{inside}</div>'
    )


def faint(text: str) -> str:
    """A footnote. ``text`` is plain."""
    return f'<div style="color: {FAINT}; font-size: 88%; margin: 2px 0">{escape(text)}</div>'


def significant(value: float, digits: int = 3) -> str:
    """A number to so many significant digits, with thousands marked: 2,998 or 0.0437."""
    if value == 0:
        return "0"
    size = abs(value)
    decimals = 0
    while decimals < 12 and size * 10**decimals < 10 ** (digits - 1):
        decimals += 1
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
