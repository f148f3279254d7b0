"""What the launches of the topic share: its programs, and the checks of its arguments."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from kernels.launches import Launch, Step, blocks_for, launch_of, profile, time
from kernels.runtime import Program, cuda_program

__all__ = [
    "Launch",
    "Step",
    "blocks_for",
    "check_not_negative",
    "check_room",
    "launch_of",
    "profile",
    "program",
    "time",
]

MAX_ELEMENTS = 1 << 30  # indices are 32-bit, and a grid may reach past the last element


@cache
def program(family: str) -> Program:
    """The compiled program of ``family``.cu in this folder."""
    return cuda_program(Path(__file__).with_name(f"{family}.cu"))


def check_room(name: str, array: str, size: int, needed: int) -> None:
    """Raise ValueError when ``array`` holds fewer elements than a kernel will index."""
    if size < needed:
        raise ValueError(f"{name}: {array} holds {size} elements; {needed} are needed")
    if size > MAX_ELEMENTS:
        raise ValueError(
            f"{name}: {array} holds {size} elements; indices are 32-bit, so {MAX_ELEMENTS} are "
            "the most. Copy it in parts"
        )


def check_not_negative(name: str, **numbers: int) -> None:
    """Raise ValueError for a negative number, which would index before an array's start."""
    for which, value in numbers.items():
        if value < 0:
            raise ValueError(f"{name}: {which} is {value}; it must not be negative")
