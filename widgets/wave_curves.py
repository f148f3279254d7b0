"""Recorded products against their number of waves: full ones, and one that is nearly empty."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from widgets.live import Html, Live
from widgets.recorded import Origin
from widgets.time_curves import Curve, rate_curves


class Product(Protocol):
    """A recorded product, as ``benchmarks.recorded`` has it."""

    @property
    def name(self) -> str: ...
    @property
    def dtype(self) -> str: ...
    @property
    def waves(self) -> float | None: ...
    @property
    def teraflops(self) -> float: ...


class Record(Protocol):
    """Recorded products."""

    @property
    def origin(self) -> Origin: ...
    @property
    def waves(self) -> Sequence[Product]: ...


def wave_curves(load: Callable[[], Record], dtype: str) -> Live | Html:
    """TFLOPS of all kernels of ``dtype`` against waves of tiles; a sentence where none is recorded.

    A wave is as many tiles of C as run at once. ``load`` raises LookupError without a record.
    """
    title, across = f"{dtype}: more and more rows of C", "waves of tiles"
    try:
        record = load()
    except LookupError as missing:
        return rate_curves(title, across, "TFLOPS", [], notes=[str(missing)])
    made = record.origin
    note = f"Recorded: {made.device}, {made.date}, by: {made.command}"
    points: dict[str, dict[float, float]] = {}
    for product in record.waves:
        if product.dtype == dtype and product.waves is not None:
            points.setdefault(product.name, {})[product.waves] = product.teraflops
    curves = [Curve(name, found, note) for name, found in points.items()]
    return rate_curves(title, across, "TFLOPS", curves)
