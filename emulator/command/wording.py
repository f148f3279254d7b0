"""Numbers and shapes as people read them."""

from __future__ import annotations

from emulator.report import Dim3


def shape(axes: Dim3) -> str:
    """``64 x 32`` for ``(64, 32, 1)``."""
    x, y, z = axes
    return " x ".join(str(n) for n in ((x, y, z) if z > 1 else (x, y) if y > 1 else (x,)))


def duration(seconds: float) -> str:
    """``12 ms``, ``3.4 s``, ``2.1 min``."""
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms"
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.1f} min"


def amount(value: float) -> str:
    """``12,345``; a fraction keeps two digits."""
    return f"{int(value):,}" if value == int(value) else f"{value:,.2f}"


def fraction(value: float) -> str:
    """``4``, ``1.25``, ``31.9``: a ratio without digits that say nothing."""
    return f"{value:,.2f}".rstrip("0").rstrip(".")
