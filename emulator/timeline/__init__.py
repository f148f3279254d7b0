"""The timeline of one thread block: what happened when, in modelled cycles.

:mod:`emulator.watch.events` records what happens while a block runs, :mod:`~emulator.timeline.
dependences` finds who waited for whom, :mod:`~emulator.timeline.replay` gives it times, and
:mod:`~emulator.timeline.lanes` makes lanes of it. Times are a model's and never a measurement; the
same run gives the same times.
"""

from __future__ import annotations

from emulator.timeline.result import (
    CONSUMER,
    COPIES,
    FILLING,
    FULL,
    PRODUCER,
    PRODUCTS,
    READ,
    RUNS,
    STAGE,
    STORES,
    WAITS_FOR_BARRIER,
    WAITS_FOR_COPIES,
    WAITS_FOR_DATA,
    WAITS_FOR_PRODUCTS,
    WAITS_FOR_ROOM,
    WARPS,
    Interval,
    Lane,
    PhaseSpan,
    Timeline,
)

__all__ = [
    "CONSUMER", "COPIES", "FILLING", "FULL", "PRODUCER", "PRODUCTS", "READ", "RUNS", "STAGE",
    "STORES", "WAITS_FOR_BARRIER", "WAITS_FOR_COPIES", "WAITS_FOR_DATA", "WAITS_FOR_PRODUCTS",
    "WAITS_FOR_ROOM", "WARPS", "Interval", "Lane", "PhaseSpan", "Timeline",
]  # fmt: skip
