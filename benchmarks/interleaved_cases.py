"""TMA of interleaved arrays: cases of ``tma_cases.cu``, with what they should leave.

What they should leave is how documents are read: no H100 has run them yet. Wrong readings may stop
a context, so ``python -m benchmarks.hopper_cases --topics interleaved --output ...`` first.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from benchmarks.boxes import LINE, slice_pixels_of, slices_laid_out, slices_of
from benchmarks.hopper_case import Case, Placed
from benchmarks.tma_cases import HELD, HOW, SOURCE, Numbers, Place, Rng, filled, place_of, unwritten
from emulator.tensor_map import INTERLEAVES, Im2col


def _channels(interleave: str, dtype: Any) -> int:
    return INTERLEAVES[interleave] // np.dtype(dtype).itemsize


def _room(nbytes: int) -> int:
    return -(-nbytes // LINE) * LINE


def _load(
    interleave: str, dtype: Any, shape: Numbers, box: Numbers, corner: Numbers,
    swizzle: str = "none", steps: Numbers | None = None,
) -> Place:  # fmt: skip
    """A box comes to shared memory; ``shape`` is (images, slices, ..., width)."""

    def place(device: Any, rng: Rng) -> Placed:
        array = filled(rng, (*shape, _channels(interleave, dtype)), dtype)
        every = steps or (1,) * len(shape)
        found = slices_of(array, corner, box, every)
        told = device.tensor_map(
            device.asarray(array), box, swizzle=swizzle, element_strides=every,
            interleave=interleave,
        )  # fmt: skip
        room = _room(found.nbytes)
        out = device.asarray(unwritten(room))
        arguments = [told, place_of(corner), np.int32(found.nbytes), np.int32(room), out]
        return Placed(arguments, [out], [slices_laid_out(found, swizzle, room)])

    return place


def _pixels(
    interleave: str, shape: Numbers, corner: Numbers, offsets: Numbers, box: Im2col,
    swizzle: str = "none", steps: Numbers | None = None,
) -> Place:  # fmt: skip
    """A column of pixels of float16 images comes to shared memory, a slice of each."""

    def place(device: Any, rng: Rng) -> Placed:
        array = filled(rng, (*shape, box.channels), np.float16)
        every = steps or (1,) * len(shape)
        found = slice_pixels_of(array, corner, offsets, box, every)
        told = device.tensor_map(
            device.asarray(array), swizzle=swizzle, element_strides=every, im2col=box,
            interleave=interleave,
        )  # fmt: skip
        room = _room(found.nbytes)
        out = device.asarray(unwritten(room))
        arguments = [told, place_of(corner, offsets), np.int32(found.nbytes), np.int32(room), out]
        return Placed(arguments, [out], [slices_laid_out(found, swizzle, room)])

    return place


def _store(
    interleave: str, dtype: Any, shape: Numbers, box: Numbers, corner: Numbers,
    swizzle: str = "none", how: str = "store", times: int = 1,
) -> Place:  # fmt: skip
    """A box leaves shared memory for an array, or is added to it by ``times`` blocks."""

    def place(device: Any, rng: Rng) -> Placed:
        channels = _channels(interleave, dtype)
        array, mine = (filled(rng, (*s, channels), dtype) for s in (shape, box))
        expected = array.copy()
        for at in np.ndindex(*box):
            there = tuple(c + p for c, p in zip(corner, at, strict=True))
            if all(t < n for t, n in zip(there, shape, strict=True)):
                expected[there] = mine[at] if how == "store" else array[there] + times * mine[at]
        room = _room(mine.nbytes)
        x = device.asarray(array)
        told = device.tensor_map(x, box, swizzle=swizzle, interleave=interleave)
        arguments = [
            told, place_of(corner), np.int32(HOW.index(how)), np.int32(room),
            device.asarray(slices_laid_out(mine, swizzle, room)), device.asarray(unwritten(1)),
        ]  # fmt: skip
        return Placed(arguments, [x], [expected])

    return place


def _case(name: str, kernel: str, place: Place, blocks: int = 1) -> Case:
    return Case(
        f"interleaved {name}", SOURCE, kernel, (blocks,), (128,), place, 32768, counters=HELD
    )


CASES: tuple[Case, ...] = (
    _case("load 16B 3D", "slices_3", _load("16B", np.float16, (2, 3, 20), (1, 1, 8), (1, 2, 5))),
    _case("load 16B 4D past all edges", "slices_4",
          _load("16B", np.uint8, (2, 2, 5, 6), (2, 1, 4, 5), (1, 1, -1, 3))),
    _case("load 16B 5D", "slices_5",
          _load("16B", np.int32, (2, 3, 3, 4, 6), (2, 1, 2, 3, 5), (0, 1, -1, 2, -2))),
    _case("load 16B outside of all slices", "slices_3",
          _load("16B", np.float16, (2, 3, 8), (1, 1, 8), (0, 3, 0))),
    _case("load 16B every other column", "slices_4",
          _load("16B", np.float16, (2, 2, 8, 12), (1, 1, 4, 10), (0, 1, 1, 1),
                steps=(1, 1, 2, 2))),
    *(
        _case(f"load 16B 4D swizzle {swizzle}", "slices_4",
              _load("16B", np.float16, (2, 2, 10, 12), (1, 1, 8, 8), (1, 0, 1, 3), swizzle))
        for swizzle in ("32B", "64B", "128B")
    ),
    _case("load 16B swizzle 64B of short rows", "slices_4",
          _load("16B", np.float16, (2, 2, 10, 12), (1, 1, 8, 3), (1, 0, 1, 3), "64B")),
    _case("load 32B 3D", "slices_3",
          _load("32B", ml_dtypes.bfloat16, (2, 3, 20), (2, 1, 12), (0, 2, 5), "32B")),
    _case("load 32B 4D past all edges", "slices_4",
          _load("32B", np.float32, (2, 2, 5, 6), (2, 1, 4, 5), (1, 1, -1, 3), "32B")),
    _case("load 32B 5D", "slices_5",
          _load("32B", np.int8, (2, 3, 3, 4, 6), (2, 1, 2, 3, 5), (0, 1, -1, 2, -2), "32B")),
    _case("store 16B 4D", "store_4",
          _store("16B", np.float16, (2, 3, 5, 9), (1, 1, 3, 6), (1, 2, 3, 5))),
    _case("store 32B 5D", "store_5",
          _store("32B", np.float32, (2, 2, 3, 4, 6), (2, 1, 2, 2, 4), (0, 1, 2, 1, 3), "32B")),
    _case("add 32B 3D of halves", "store_3",
          _store("32B", np.float16, (2, 2, 10), (1, 1, 7), (1, 1, 2), "32B", "add", 3), 3),
    _case("im2col 16B 3D", "slice_pixels_3",
          _pixels("16B", (3, 2, 20), (0, 1, -1), (2,), Im2col((-1,), (-1,), 8, 40))),
    _case("im2col 16B 4D with strides", "slice_pixels_4",
          _pixels("16B", (2, 3, 8, 10), (0, 1, 1, -1), (0, 1),
                  Im2col((-1, -1), (0, -1), 8, 24), steps=(1, 1, 2, 2))),
    _case("im2col 32B 4D", "slice_pixels_4",
          _pixels("32B", (2, 2, 9, 11), (0, 1, -1, -1), (1, 2),
                  Im2col((-1, -1), (-1, -1), 16, 100), "32B")),
    _case("im2col 32B 5D", "slice_pixels_5",
          _pixels("32B", (2, 2, 4, 5, 6), (0, 1, 0, -1, 1), (1, 0, 2),
                  Im2col((0, -1, -1), (-1, 0, -1), 16, 90), "32B")),
)  # fmt: skip
