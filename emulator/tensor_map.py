"""Tensor maps: what the tensor memory accelerator (TMA) is told of an array, and of a box in it.

A GPU's driver encodes them in a layout of its own that is not documented; this is the software
GPU's, which :mod:`emulator.units.tile` reads. Rules and words are those of the CUDA driver API's
``cuTensorMapEncodeTiled`` and ``cuTensorMapEncodeIm2col``, but for the order of axes: outermost
first, as NumPy has them.

Interleaved arrays (NC/8HWC8, NC/16HWC16) have their channels in slices of 16 or 32 bytes: a map's
axes are images, slices, then depth, height and width, and one along the width is a whole slice.
That is how the documents are read here; :mod:`emulator.units.tile` says what they leave open.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emulator.errors import LaunchError

MAGIC = 0x70614D726F736E54
NBYTES, ALIGNMENT = 128, 64
MOST_AXES, MOST_IN_BOX, MOST_STRIDE = 5, 256, 8
SWIZZLES = {"none": 0, "32B": 1, "64B": 2, "128B": 3}
INTERLEAVES = {"none": 0, "16B": 16, "32B": 32}  # bytes of a slice of channels
UNCONFIRMED = (
    "Interleaved tensor maps do here what documents are read to say; no H100 has confirmed it."
)
FILLS = {"zero": 0, "nan": 1}
UNIT = 16  # bytes that addresses, strides and rows of boxes are multiples of
# What a reduction takes elements for, and what NaN looks like: the kinds of units/reduction.py.
KINDS = {
    "uint8": 0, "int8": 0, "float8_e4m3fn": 0, "float8_e5m2": 0, "uint16": 1, "int16": 1,
    "uint32": 2, "int32": 3, "uint64": 4, "int64": 5, "float16": 6, "bfloat16": 7, "float32": 8,
    "float64": 9,
}  # fmt: skip
FIRST_FLOAT = 6
# 0 magic, 8 address, 16 rank, itemsize, swizzle, fill, im2col, kind, a slice's bytes, 24 strides of
# axes 1 to 4 in bytes, 56 sizes, 76 box, 86 element strides, 92 im2col: lower, 98 upper corner, 104
# channels and pixels. Axes innermost first, since that is how the instructions' coordinates come.
LAYOUT = struct.Struct("<QQ7Bx4q5I5H5Bx3h3hHH20x")
assert LAYOUT.size == NBYTES


@dataclass(frozen=True)
class Im2col:
    """What a copy takes of an array (images, ..., width, channels) for a convolution, or of an
    interleaved one (images, slices, ..., width).

    Pixels follow one another along the width, then the next spatial axis, then the images, within
    a box whose corners are ``lower`` from the first and ``upper`` from the last pixel (one number a
    spatial axis, outermost first). A copy takes ``pixels`` of them with ``channels`` each, all
    moved by the instruction's offsets; of an interleaved array a slice each. (PTX ISA, "Im2col
    mode")
    """

    lower: tuple[int, ...]
    upper: tuple[int, ...]
    channels: int
    pixels: int


@dataclass(frozen=True)
class TensorMap:
    """An array of up to five axes, and a box of it; strides in bytes.

    With ``interleave`` "16B" or "32B" the array is one of slices of so many bytes, which are not an
    axis: (images, slices, width), (images, slices, height, width) or the same with a depth.

    Raises :class:`LaunchError` for what the CUDA driver would not encode either.
    """

    address: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    box: tuple[int, ...]
    element_strides: tuple[int, ...]
    swizzle: str = "none"
    fill: str = "zero"
    im2col: Im2col | None = None
    interleave: str = "none"

    def __post_init__(self) -> None:
        for wrong in self._mistakes():
            raise LaunchError(f"tensor_map: {wrong}")

    def _mistakes(self) -> list[str]:
        """What is wrong, in words."""
        axes, size = len(self.shape), self.dtype.itemsize
        found: list[str] = []

        def must(fine: bool, text: str) -> None:
            if not fine:
                found.append(text)

        must(self.interleave in INTERLEAVES,
             f"interleave {self.interleave!r}; there are {', '.join(INTERLEAVES)}")  # fmt: skip
        piece = INTERLEAVES.get(self.interleave, 0)
        unit = max(piece, UNIT)
        must(self.dtype.name in KINDS, f"elements cannot be {self.dtype}; of {', '.join(KINDS)}")
        must(1 <= axes <= MOST_AXES, f"an array of {axes} axes; TMA takes 1 to {MOST_AXES}")
        must(all(0 < n < 1 << 32 for n in self.shape), f"axes of {self.shape} elements")
        must(self.address % unit == 0,
             f"the array begins {self.address % unit} bytes past a multiple of {unit}")  # fmt: skip
        must(
            axes == 0 or self.strides[-1] == (piece or size),
            f"{'slices' if piece else 'elements'} of the last axis must be neighbours",
        )
        for axis, stride in enumerate(self.strides[:-1]):
            must(stride % unit == 0 and 0 <= stride < 1 << 40,
                 f"axis {axis} has a stride of {stride} bytes; it must be a multiple of {unit}: "
                 "pad rows, or pass an array whose rows are that long")  # fmt: skip
        must(self.swizzle in SWIZZLES, f"swizzle {self.swizzle!r}; there are {', '.join(SWIZZLES)}")
        must(self.fill in FILLS, f"fill {self.fill!r}; there are {', '.join(FILLS)}")
        must(self.fill != "nan" or KINDS.get(self.dtype.name, 0) >= FIRST_FLOAT,
             f"{self.dtype} has no NaN to fill in")  # fmt: skip
        must(len(self.element_strides) == axes and all(
            1 <= n <= MOST_STRIDE for n in self.element_strides),
            f"element_strides {self.element_strides}: one for each axis, 1 to {MOST_STRIDE}",
        )  # fmt: skip
        must(bool(piece) or self.element_strides[-1:] in ((), (1,)),
             "element_strides must end in 1: TMA ignores it along the last axis")  # fmt: skip
        if piece:
            must(
                axes >= 3,
                "an interleaved array has images, slices and at least a width: 3 to 5 "
                f"axes and that of a slice's channels; there are {axes}",
            )
            must(
                self.interleave != "32B" or self.swizzle == "32B",
                f"interleave '32B' goes with swizzle '32B' only; this is {self.swizzle!r}",
            )
        if found:
            return found
        if self.im2col is not None:
            spatial = axes - 2
            box = self.im2col
            must(1 <= spatial <= 3, f"im2col needs 3 to 5 axes; there are {axes}")
            must(len(box.lower) == len(box.upper) == spatial,
                 f"im2col's corners need a number for each of {spatial} axes")  # fmt: skip
            most = 1 << (16 // max(spatial, 1) - 1)
            must(all(-most <= n < most for n in (*box.lower, *box.upper)),
                 f"im2col's corners must be from {-most} to {most - 1}")  # fmt: skip
            must(1 <= box.channels <= MOST_IN_BOX, f"{box.channels} channels; 1 to {MOST_IN_BOX}")
            must(1 <= box.pixels <= 1024, f"{box.pixels} pixels; 1 to 1024")
            row = box.channels * size
        else:
            fits = len(self.box) == axes and all(1 <= n <= MOST_IN_BOX for n in self.box)
            must(fits, f"box {self.box}: a number for each of {axes} axes, 1 to {MOST_IN_BOX}")
            if found:
                return found
            row = -(-self.box[-1] // self.element_strides[-1]) * size
        if piece and self.im2col is not None:
            must(row == piece, f"{self.im2col.channels} channels; of an interleaved array a copy "
                 f"takes slices, of {piece // size} here")  # fmt: skip
        elif piece:  # the driver encodes other numbers, of which an H100 is said to make 1
            must((self.box[1], self.element_strides[1]) == (1, 1),
                 f"a box of {self.box[1]} slices of channels; a copy takes 1")  # fmt: skip
        if piece:
            return found  # rows are of whole slices, and may be longer than a swizzle's span
        must(row % UNIT == 0,
             f"a row of the box has {row} bytes; it must be a multiple of {UNIT}")  # fmt: skip
        if self.swizzle in SWIZZLES and self.swizzle != "none":
            span = int(self.swizzle.removesuffix("B"))
            must(row <= span,
                 f"a row of the box has {row} bytes; with swizzle {self.swizzle!r} {span} at most: "
                 f"boxes of {span // size} columns")  # fmt: skip
        return found

    @property
    def data(self) -> bytes:
        """128 bytes, to be passed as a kernel's parameter at a multiple of 64 bytes."""
        axes = len(self.shape)
        spare = MOST_AXES - axes

        def inner(numbers: Sequence[int], fill: int, count: int = MOST_AXES) -> list[int]:
            return [*reversed(numbers), *[fill] * (count - len(numbers))]

        box = self.im2col
        lower = inner(box.lower, 0, 3) if box else [0] * 3
        upper = inner(box.upper, 0, 3) if box else [0] * 3
        return LAYOUT.pack(
            MAGIC, self.address, axes, self.dtype.itemsize, SWIZZLES[self.swizzle],
            FILLS[self.fill], int(box is not None), KINDS[self.dtype.name],
            INTERLEAVES[self.interleave],
            *([*reversed(self.strides[:-1])] + [0] * spare), *inner(self.shape, 1),
            *inner(self.box if box is None else (1,) * axes, 1), *inner(self.element_strides, 1),
            *lower, *upper, box.channels if box else 0, box.pixels if box else 0,
        )  # fmt: skip
