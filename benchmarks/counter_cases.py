"""The launches whose hardware counters are recorded, and that the software GPU must agree with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kernels.coalescing import ENTRIES
from kernels.coalescing.block_copy import TALK_FLOATS
from kernels.coalescing.catalogue import Entry, Numbers

SIZES = (1, 33, 1000, 4096, 10_007)


@dataclass(frozen=True)
class CounterCase:
    """One launch: an entry of the catalogue, elements, its numbers, bytes past alignment."""

    entry: str
    n: int
    numbers: Numbers = ()
    shift_in: int = 0
    shift_out: int = 0

    @classmethod
    def of(cls, recorded: Mapping[str, Any]) -> CounterCase:
        """The case of a recorded launch."""
        return cls(
            recorded["entry"],
            recorded["n"],
            tuple(recorded["numbers"]),
            recorded["shift_in"],
            recorded["shift_out"],
        )


def counter_cases() -> tuple[CounterCase, ...]:
    """All of them, in order."""
    return tuple(dict.fromkeys(_cases()))


def _cases() -> Iterator[CounterCase]:
    for entry in ENTRIES:
        for n in SIZES:
            yield CounterCase(entry.name, n, entry.typical)
        yield from _by_number(entry)
        if entry.any_alignment:
            yield CounterCase(entry.name, 1000, entry.typical, 4, 4)
            yield CounterCase(entry.name, 1000, entry.typical, 20, 0)
        if entry.file in ("block_copy.cu", "numba_copies.py"):
            yield CounterCase(entry.name, TALK_FLOATS)
    for shift_in, shift_out in ((1, 1), (1, 0), (2, 0), (8, 0), (0, 8), (4, 12), (0, 3)):
        yield CounterCase("copy_best", 10_007, (), shift_in, shift_out)


def _by_number(entry: Entry) -> Iterator[CounterCase]:
    if entry.numbers == ("offset",):
        for offset in range(17):
            yield CounterCase(entry.name, 4096, (offset,))
    elif entry.numbers == ("stride",):
        for stride in (*range(10), 16, 32, 33):
            yield CounterCase(entry.name, 4096, (stride,))
    elif entry.numbers:
        for size in (1, 2, 4, 8, 16):
            for offset in (0, 3):
                for stride in (1, 2, 3, 7, 16):
                    yield CounterCase(entry.name, 1000, (size, offset, stride))
