"""TMA: the cases of ``tma_cases.cu`` and ``tma_headers.cu``, with what they should leave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np

from benchmarks.boxes import LINE, box_of, laid_out, pixels_of, room_of
from benchmarks.hopper_case import Array, Case, Placed, place_arrays
from emulator.tensor_map import Im2col

SOURCE, HEADERS = "tma_cases.cu", "tma_headers.cu"
Rng = np.random.Generator
Place = Callable[[Any, Rng], Placed]
Numbers = tuple[int, ...]


def filled(rng: Rng, shape: Numbers, dtype: Any) -> Array:
    return rng.integers(0, 100, shape).astype(dtype)


def place_of(corner: Numbers, offsets: Numbers = ()) -> bytes:
    """A ``Place``: innermost first, as instructions have them."""
    words, moved = np.zeros(5, np.int32), np.zeros(4, np.uint16)
    words[: len(corner)] = corner[::-1]
    moved[: len(offsets)] = offsets[::-1]
    return (words.tobytes() + moved.tobytes())[:28]


def unwritten(nbytes: int) -> Array:
    return np.full(nbytes, 0xAA, np.uint8)


def _load(
    dtype: Any, shape: Numbers, box: Numbers, corner: Numbers, swizzle: str = "none",
    steps: Numbers | None = None,
) -> Place:  # fmt: skip
    """A box of an array comes to shared memory, whose bytes are the output."""

    def place(device: Any, rng: Rng) -> Placed:
        array, every = filled(rng, shape, dtype), steps or (1,) * len(shape)
        found = box_of(array, corner, box, every)
        room = room_of(found, swizzle)
        told = device.tensor_map(device.asarray(array), box, swizzle=swizzle, element_strides=every)
        out = device.asarray(unwritten(room))
        arguments = [told, place_of(corner), np.int32(found.nbytes), np.int32(room), out]
        return Placed(arguments, [out], [laid_out(found, swizzle, room)])

    return place


def _pixels(
    shape: Numbers, corner: Numbers, offsets: Numbers, box: Im2col, swizzle: str = "none",
    steps: Numbers | None = None,
) -> Place:  # fmt: skip
    """A column of pixels of float16 images comes to shared memory."""

    def place(device: Any, rng: Rng) -> Placed:
        array, every = filled(rng, shape, np.float16), steps or (1,) * len(shape)
        found = pixels_of(
            array, corner, offsets, box.lower, box.upper, box.channels, box.pixels, every
        )
        room = room_of(found, swizzle)
        told = device.tensor_map(
            device.asarray(array), swizzle=swizzle, element_strides=every, im2col=box
        )
        out = device.asarray(unwritten(room))
        arguments = [told, place_of(corner, offsets), np.int32(found.nbytes), np.int32(room), out]
        return Placed(arguments, [out], [laid_out(found, swizzle, room)])

    return place


def _fill(dtype: Any, fill: str) -> Place:
    def place(device: Any, rng: Rng) -> Placed:
        array, corner, box = filled(rng, (20, 32), dtype), (12, -8), (16, 32)
        outside = np.int32(-1 if fill == "nan" else 0)
        found = box_of(array.astype(np.int32), corner, box, (1, 1), outside)
        told = device.tensor_map(device.asarray(array), box, fill=fill)
        out = device.asarray(np.full(found.shape, 77, np.int32))
        nbytes = np.int32(found.size * array.itemsize)
        return Placed([told, place_of(corner), nbytes, out], [out], [found])

    return place


HOW = ("store", "add", "min", "max")


def _store(
    dtype: Any, shape: Numbers, box: Numbers, corner: Numbers, swizzle: str = "none",
    steps: Numbers | None = None, how: str = "store", times: int = 1,
) -> Place:  # fmt: skip
    """A box leaves shared memory for an array, or is reduced into it by ``times`` blocks."""

    def place(device: Any, rng: Rng) -> Placed:
        every = steps or (1,) * len(shape)
        array = filled(rng, shape, dtype)
        mine = filled(rng, tuple(-(-b // s) for b, s in zip(box, every, strict=True)), dtype)
        expected = array.copy()
        for at in np.ndindex(*mine.shape):
            there = tuple(c + p * s for c, p, s in zip(corner, at, every, strict=True))
            if all(0 <= t < n for t, n in zip(there, shape, strict=True)):
                old, new = expected[there], mine[at]
                results = new, old + times * new, min(old, new), max(old, new)
                expected[there] = results[HOW.index(how)]
        room = room_of(mine, swizzle)
        x = device.asarray(array)
        told = device.tensor_map(x, box, swizzle=swizzle, element_strides=every)
        data = device.asarray(laid_out(mine, swizzle, room))
        arguments = [
            told, place_of(corner), np.int32(HOW.index(how)), np.int32(room), data,
            device.asarray(unwritten(1)),
        ]  # fmt: skip
        return Placed(arguments, [x], [expected])

    return place


def _plain(device: Any, rng: Rng) -> Placed:
    x = rng.integers(0, 1 << 31, 5 * 512).astype(np.uint32)
    return place_arrays(
        device, x, outputs=[np.full(x.shape, 0xAA, np.uint32)], expected=[x + np.uint32(1)]
    )


REDUCTION_BLOCKS = 3
# As tma_cases.cu has them: the elements' type, and what n times the same operand leaves.
REDUCTIONS: tuple[tuple[Any, Callable[[Array, Array, int], Array]], ...] = (
    *((t, lambda old, new, n: old + n * new)
      for t in (np.uint32, np.int32, np.uint64, np.float32, np.float64, np.float16,
                ml_dtypes.bfloat16)),
    (np.uint32, lambda old, new, n: np.minimum(old, new)),
    (np.int32, lambda old, new, n: np.maximum(old, new)),
    (np.int64, lambda old, new, n: np.minimum(old, new)),
    (np.uint64, lambda old, new, n: np.maximum(old, new)),
    (np.float16, lambda old, new, n: np.minimum(old, new)),
    (ml_dtypes.bfloat16, lambda old, new, n: np.maximum(old, new)),
    (np.uint32, lambda old, new, n: old & new),
    (np.uint64, lambda old, new, n: old | new),
    (np.uint32, lambda old, new, n: old ^ new if n % 2 else old),
)  # fmt: skip


def _incremented(old: Array, new: Array, times: int) -> Array:
    for _ in range(times):
        old = np.where(old >= new, np.uint32(0), old + np.uint32(1)).astype(np.uint32)
    return old


def _reductions(device: Any, rng: Rng) -> Placed:
    kinds = (*REDUCTIONS, (np.uint32, _incremented))
    given, before, after = (np.zeros((len(kinds), 256), np.uint8) for _ in range(3))
    for row, (dtype, combine) in enumerate(kinds):
        # small whole numbers: sums are exact in every type, so their order does not matter
        old, new = (rng.integers(0, 30, 32).astype(dtype) for _ in range(2))
        result = combine(old, new, REDUCTION_BLOCKS).astype(dtype)
        for memory, values in ((given, new), (before, old), (after, result)):
            memory[row, : values.nbytes] = values.view(np.uint8)
    return place_arrays(device, given, outputs=[before], expected=[after])


def _multicast(size: int, clusters: int, rows: int, swizzle: str) -> Place:
    def place(device: Any, rng: Rng) -> Placed:
        x = filled(rng, (clusters * size * rows, 64), np.float16)
        told = device.tensor_map(device.asarray(x), (rows, 64), swizzle=swizzle)
        tile = size * rows * LINE
        boxes = x.reshape(clusters, size, rows, 64)
        part = rows * LINE  # a multiple of 1024: swizzles begin anew
        rows_of = [
            np.concatenate([laid_out(box, swizzle, part) for box in cluster]) for cluster in boxes
        ]
        expected = np.repeat(np.stack(rows_of), size, axis=0)
        out = device.asarray(np.full((clusters * size, tile), 0xAA, np.uint8))
        return Placed([told, np.int32(rows), out], [out], [expected])

    return place


def _multicast_bytes(device: Any, rng: Rng) -> Placed:
    x = rng.integers(0, 256, (4, 512)).astype(np.uint8)
    out = np.full((8, 512), 0xAA, np.uint8)
    return place_arrays(device, x, outputs=[out], expected=[np.repeat(x, 2, axis=0)])


def _to_peer(device: Any, rng: Rng) -> Placed:
    x = rng.integers(-1000, 1000, (2, 4, 256)).astype(np.int32)
    return place_arrays(
        device, x, outputs=[np.full(x.shape, -7, np.int32)], expected=[np.roll(3 * x, 1, axis=1)]
    )


def _pipeline(device: Any, rng: Rng) -> Placed:
    x = rng.random((64, 32 * 7), np.float32)
    out = device.asarray(np.full(x.shape, -7, np.float32))
    maps = [device.tensor_map(a, (32, 32)) for a in (device.asarray(x), out)]
    return Placed([*maps, np.int32(7)], [out], [2 * x])


def _wrapped(device: Any, rng: Rng) -> Placed:
    x = filled(rng, (40, 72), np.int32)  # the last boxes reach out of it
    out = device.asarray(np.full(x.shape, -7, np.int32))
    maps = [device.tensor_map(a, (16, 32)) for a in (device.asarray(x), out)]
    return Placed(maps, [out], [x + 1])


def _by_ptx(device: Any, rng: Rng) -> Placed:
    x = filled(rng, (2 * 3 * 256,), np.int32)
    return place_arrays(device, x, outputs=[np.full(x.shape, -7, np.int32)], expected=[-x])


# What threads themselves do to shared memory: an H100 counts none of a copy's passes among these.
HELD = tuple(
    f"l1tex__data_{what}_mem_shared_op_{op}.sum"
    for what in ("pipe_lsu_wavefronts", "bank_conflicts_pipe_lsu") for op in ("ld", "st")
)  # fmt: skip


def _case(name: str, kernel: str, place: Place, room: int = 32768, blocks: int = 1) -> Case:
    return Case(f"tma {name}", SOURCE, kernel, (blocks,), (128,), place, room, counters=HELD)


bfloat16 = ml_dtypes.bfloat16
CASES: tuple[Case, ...] = (
    _case("load 1D", "load_1", _load(np.uint8, (4096,), (256,), (112,))),
    _case("load 1D past the end", "load_1", _load(np.int32, (100,), (64,), (72,))),
    _case("load 2D", "load_2", _load(np.float32, (50, 40), (20, 24), (7, 12))),
    _case("load 2D swizzle 32B", "load_2",
          _load(bfloat16, (64, 48), (32, 16), (20, 8), "32B")),
    _case("load 2D swizzle 64B", "load_2",
          _load(np.float32, (40, 24), (32, 16), (-3, -4), "64B")),
    _case("load 2D swizzle 128B", "load_2",
          _load(np.float16, (96, 200), (64, 64), (10, 40), "128B")),
    _case("load 2D swizzle 128B of short rows", "load_2",
          _load(np.float16, (96, 200), (60, 24), (50, 184), "128B")),
    _case("load 2D wholly outside", "load_2", _load(np.int32, (16, 32), (8, 32), (1000, 0))),
    _case("load 3D", "load_3", _load(np.int32, (5, 6, 16), (2, 3, 12), (-1, 4, 8))),
    _case("load 3D every other row", "load_3",
          _load(np.float16, (6, 20, 64), (2, 16, 64), (3, 3, 0), "128B", (1, 2, 1))),
    _case("load 4D", "load_4",
          _load(np.float16, (4, 5, 6, 64), (2, 4, 5, 64), (1, -1, 2, 0), "128B", (1, 2, 2, 1))),
    _case("load 5D", "load_5",
          _load(np.uint8, (3, 4, 3, 5, 48), (2, 3, 2, 3, 32), (2, -1, 1, 3, 16))),
    _case("load 5D of doubles", "load_5",
          _load(np.float64, (2, 3, 4, 3, 16), (2, 2, 2, 3, 8), (0, 1, 1, -1, 4), "64B")),
    _case("zeros around floats", "fills_float", _fill(np.float32, "zero")),
    _case("NaN around floats", "fills_float", _fill(np.float32, "nan")),
    _case("NaN around halves", "fills_half", _fill(np.float16, "nan")),
    _case("im2col 3D", "pixels_3",
          _pixels((3, 20, 64), (0, -1, 32), (2,), Im2col((-1,), (-1,), 32, 40))),
    _case("im2col 4D", "pixels_4",
          _pixels((2, 9, 11, 64), (0, -1, -1, 0), (1, 2),
                  Im2col((-1, -1), (-1, -1), 64, 100), "128B")),
    _case("im2col 4D with strides", "pixels_4",
          _pixels((2, 8, 10, 32), (0, 1, -1, 0), (0, 1), Im2col((-1, -1), (0, -1), 32, 24), "64B",
                  (1, 2, 2, 1))),
    _case("im2col 5D", "pixels_5",
          _pixels((2, 4, 5, 6, 16), (0, 0, -1, 1, 0), (1, 0, 2),
                  Im2col((0, -1, -1), (-1, 0, -1), 16, 90))),
    _case("store 1D", "store_1", _store(np.uint8, (400,), (256,), (208,))),
    _case("store 2D swizzle 128B", "store_2",
          _store(np.float16, (50, 72), (32, 64), (30, 16), "128B")),
    _case("store 3D every other row", "store_3",
          _store(np.int32, (4, 9, 24), (3, 6, 16), (2, 2, 8), steps=(1, 2, 1))),
    _case("store 5D", "store_5",
          _store(np.float32, (2, 3, 4, 3, 16), (2, 2, 2, 2, 12), (1, 1, 3, 1, 8))),
    _case("add 2D of halves", "store_2",
          _store(np.float16, (40, 64), (32, 32), (20, 40), "64B", how="add", times=3), blocks=3),
    _case("add 2D of floats", "store_2",
          _store(np.float32, (40, 64), (32, 32), (15, 40), "128B", how="add", times=4), blocks=4),
    _case("max 3D of ints", "store_3",
          _store(np.int32, (3, 8, 32), (2, 4, 32), (1, 2, 0), how="max", times=2), blocks=2),
    _case("min 1D of long ints", "store_1", _store(np.uint64, (64,), (32,), (8,), how="min")),
    _case("plain bytes", "plain", _plain, 0, 5),
    _case("reductions of plain bytes", "reductions", _reductions, 0, REDUCTION_BLOCKS),
    *(
        Case(f"tma multicast to {size} blocks", SOURCE, "multicast", (size * clusters,), (128,),
             _multicast(size, clusters, 8, swizzle), size * 8 * LINE, cluster=(size,),
             counters=HELD)
        for size, clusters, swizzle in ((2, 3, "none"), (4, 2, "128B"), (8, 1, "128B"))
    ),
    Case("tma multicast of plain bytes", SOURCE, "multicast_bytes", (8,), (64,), _multicast_bytes,
         cluster=(4,), counters=HELD),
    Case("tma copy to a peer", SOURCE, "to_peer", (8,), (64,), _to_peer, cluster=(4,),
         counters=HELD),
    # where an H100 counts conflicts of stores with what TMA reads and writes meanwhile
    Case("tma pipeline", SOURCE, "pipeline", (2,), (160,), _pipeline),
    Case("tma boxes by libcu++", HEADERS, "wrapped", (3, 3), (64,), _wrapped, counters=HELD),
    Case("tma plain bytes by cuda::ptx", HEADERS, "by_ptx", (2,), (64,), _by_ptx, counters=HELD),
)  # fmt: skip
