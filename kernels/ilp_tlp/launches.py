"""What the launches of the topic share: its programs, and the checks of its arguments."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from kernels.launches import Launch, Step, blocks_for, launch_of, profile, time
from kernels.runtime import KernelFunction, Program, cuda_program

__all__ = [
    "Launch",
    "Step",
    "blocks_for",
    "check_choice",
    "check_room",
    "check_stamps",
    "instance",
    "launch_of",
    "profile",
    "program",
    "time",
    "warps_of",
]

WARP = 32
MAX_WARPS = 32  # of a block
MAX_THREADS = 1 << 24  # of a grid that walks: 32 times as many still fit 32 bits
MAX_ELEMENTS = 1 << 30  # indices are 32-bit, and a grid may reach past the last element


@cache
def program(family: str) -> Program:
    """The compiled program of ``family``.cu in this folder."""
    return cuda_program(Path(__file__).with_name(f"{family}.cu"))


@cache
def instance(family: str, name: str, kernel: str) -> KernelFunction:
    """The kernel ``name``, whose text ``kernel`` calls a template of ``family``.cu."""
    path = Path(__file__).with_name(f"{family}.cu")
    return cuda_program(path.read_text() + "\n" + kernel, name=path.name)[name]


def check_room(name: str, array: str, size: int, needed: int) -> None:
    """Raise ValueError when ``array`` holds fewer elements than a kernel will index."""
    if size < needed:
        raise ValueError(f"{name}: {array} holds {size} elements; {needed} are needed")
    if size > MAX_ELEMENTS:
        raise ValueError(
            f"{name}: {array} holds {size} elements; indices are 32-bit, so {MAX_ELEMENTS} are "
            "the most"
        )


def check_choice(name: str, which: str, value: int, choices: Sequence[int]) -> None:
    """Raise ValueError for a number that no kernel is made for."""
    if value not in choices:
        *most, last = choices
        raise ValueError(f"{name}: {which} is {value}; {', '.join(map(str, most))} or {last}")


def warps_of(name: str, warps: int, blocks: int) -> int:
    """Threads of a block of ``warps``. Raises ValueError where no grid is like that."""
    if not 1 <= warps <= MAX_WARPS:
        raise ValueError(f"{name}: warps is {warps}; a block has 1 to {MAX_WARPS}")
    if not 1 <= blocks * warps * WARP <= MAX_THREADS:
        raise ValueError(f"{name}: {blocks} blocks of {warps} warps; 1 to {MAX_THREADS} threads")
    return warps * WARP


def check_stamps(name: str, stamps: Any, blocks: int, threads: int) -> None:
    """Raise ValueError unless there is room for (warps, begin and end, clock and ns)."""
    wanted = (blocks * threads // WARP, 2, 2)
    if tuple(stamps.shape) != wanted:
        raise ValueError(
            f"{name}: stamps must have shape {wanted}: warps, begin and end, clock and "
            f"nanoseconds; it has {tuple(stamps.shape)}"
        )
