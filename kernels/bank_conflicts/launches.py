"""What the launches of the topic share: its programs, and the checks of its arguments."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from kernels.launches import Launch, Step, blocks_for, launch_of, profile, time
from kernels.runtime import Program, cuda_program

__all__ = [
    "Launch",
    "Step",
    "blocks_for",
    "check_shape",
    "launch_of",
    "matrix",
    "profile",
    "program",
    "tiles",
    "time",
]

MAX_EDGE = (1 << 31) - 256  # rows and columns are 32-bit, and a tile may reach past the last
MAX_BLOCKS = (1 << 31) - 1  # along a grid's first axis


@cache
def program(family: str) -> Program:
    """The compiled program of ``family``.cu in this folder."""
    return cuda_program(Path(__file__).with_name(f"{family}.cu"))


def matrix(name: str, array: str, given: Any) -> tuple[int, int]:
    """Rows and columns of ``given``. Raises ValueError when it is no matrix, or a too large one."""
    if len(given.shape) != 2:
        raise ValueError(f"{name}: {array} must have two axes; its shape is {tuple(given.shape)}")
    rows, cols = (int(extent) for extent in given.shape)
    if max(rows, cols) > MAX_EDGE:
        raise ValueError(f"{name}: {array} is {rows} x {cols}; {MAX_EDGE} is the longest edge")
    return rows, cols


def check_shape(name: str, array: str, given: Any, wanted: tuple[int, ...]) -> None:
    """Raise ValueError when an array has another shape than ``wanted``."""
    if tuple(given.shape) != wanted:
        raise ValueError(f"{name}: {array} must have shape {wanted}; it has {tuple(given.shape)}")


def tiles(name: str, rows: int, cols: int, tile_rows: int, tile_cols: int) -> int:
    """Blocks that cover a matrix, one a tile; one for an empty one, since no grid is empty."""
    blocks = blocks_for(rows, tile_rows) * blocks_for(cols, tile_cols)
    if blocks > MAX_BLOCKS:
        raise ValueError(f"{name}: {rows} x {cols} takes {blocks} blocks; a grid has {MAX_BLOCKS}")
    return blocks
