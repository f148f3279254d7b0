"""Thread block clusters: the cases of ``cluster_cases.cu``, with what they should leave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.hopper_case import Array, Case, Placed, place_arrays

SOURCE = "cluster_cases.cu"
Rng = np.random.Generator


def _numbers(rng: Rng, *shape: int) -> Array:
    return rng.integers(-1000, 1000, shape).astype(np.int32)


def _unwritten(shape: tuple[int, ...], dtype: Any = np.int32) -> Array:
    made = np.empty(shape, dtype)
    made.view(np.uint8)[...] = 0xAA
    return made


def _special(
    grid: tuple[int, int, int], cluster: tuple[int, int, int]
) -> Callable[[Any, Rng], Placed]:
    def place(device: Any, _: Rng) -> Placed:
        z, y, x = np.indices(grid[::-1])
        cx, cy, cz = cluster
        inner = [x % cx, y % cy, z % cz]
        rank = inner[0] + cx * (inner[1] + cy * inner[2])
        counts = [np.full_like(x, g // c) for g, c in zip(grid, cluster, strict=True)]
        shape = [np.full_like(x, c) for c in cluster]
        size = np.full_like(x, cx * cy * cz)
        columns = [x // cx, y // cy, z // cz, *counts, *inner, *shape, rank, size,
                   np.ones_like(x), np.full_like(x, 7)]  # fmt: skip
        expected = np.stack(columns, -1).astype(np.uint32)
        return place_arrays(
            device, outputs=[_unwritten(expected.shape, np.uint32)], expected=[expected]
        )

    return place


def _compiled_shape(device: Any, _: Rng) -> Placed:
    y, x = np.indices((4, 6))
    two = np.full_like(x, 2)
    columns = [x % 2 + 2 * (y % 2), 2 * two, x % 2, y % 2, two, two]
    expected = np.stack(columns, -1).astype(np.uint32)
    return place_arrays(device, outputs=[_unwritten((4, 6, 6), np.uint32)], expected=[expected])


def _addresses(size: int) -> Callable[[Any, Rng], Placed]:
    def place(device: Any, _: Rng) -> Placed:
        other = (np.arange(size) + 1) % size
        ones = np.ones(size, np.uint32)
        alone = ones * (size == 1)
        columns = [other, other, ones, ones, ones, alone, 0 * ones, 4 * ones]
        expected = np.stack(columns, -1).astype(np.uint32)
        return place_arrays(device, outputs=[_unwritten((size, 8), np.uint32)], expected=[expected])

    return place


def _ring(size: int, clusters: int) -> Callable[[Any, Rng], Placed]:
    def place(device: Any, rng: Rng) -> Placed:
        x = _numbers(rng, clusters, size, 64)
        return place_arrays(
            device, x, outputs=[_unwritten(x.shape)], expected=[np.roll(x, 1, axis=1)]
        )

    return place


def _histogram(device: Any, rng: Rng) -> Placed:
    x = rng.integers(0, 4 * 64, 5000).astype(np.int32)
    bins = np.bincount(x, minlength=256).astype(np.int32)
    return place_arrays(
        device, x, np.int32(x.size), outputs=[np.zeros(256, np.int32)], expected=[bins]
    )


def _reduction(device: Any, rng: Rng) -> Placed:
    x = _numbers(rng, 3, 8 * 96)
    sums = np.broadcast_to(x.sum(1, keepdims=True), x.shape).astype(np.int32)
    return place_arrays(device, x, outputs=[_unwritten(x.shape)], expected=[sums])


def _scan(device: Any, rng: Rng) -> Placed:
    x = _numbers(rng, 2, 8 * 128)
    sums = np.cumsum(x, axis=1).astype(np.int32)
    return place_arrays(device, x, outputs=[_unwritten(x.shape)], expected=[sums])


def _exchange(device: Any, rng: Rng) -> Placed:
    x = rng.random((64, 64), np.float32)
    tiles = x.reshape(2, 32, 2, 32).transpose(2, 1, 0, 3).reshape(64, 64)
    return place_arrays(device, x, outputs=[_unwritten(x.shape, np.float32)], expected=[tiles])


def _accesses(device: Any, _: Rng) -> Placed:
    words = np.full(16, 100, np.uint64)
    low = 5 | 777 << 16 | 99999 << 32
    words[0] = low  # the byte between the two stays 0
    words[1], words[2], words[3] = 123456789012, 1, 2
    words[4] = 100 + 32 * 3
    words[5] = 121
    words[6] = (-31) & 0xFFFFFFFF  # the upper half is zero
    words[7] = 100 ^ 0xFFFFFFFF
    words[8] = (100 + 32) % 121
    words[9], words[10], words[11] = 7, 100, 100
    words[12] = np.float32(16 + np.uint32(100).view(np.float32)).view(np.uint32)
    rows = np.broadcast_to(words, (4, 16)).astype(np.uint64)
    return place_arrays(device, outputs=[_unwritten((4, 16), np.uint64)], expected=[rows])


def _tiny_sums(device: Any, _: Rng) -> Placed:
    return place_arrays(device, outputs=[_unwritten((4, 2), np.float32)])


def _split(device: Any, rng: Rng) -> Placed:
    x = rng.integers(-9, 9, (2, 4, 32)).astype(np.int32)
    value = x.copy()
    for turn in range(5):
        seen = np.roll(value, -(1 + turn), axis=1)[:, :, ::-1]
        value = (value * value + np.int32(turn)) ^ seen
    return place_arrays(device, x, np.int32(5), outputs=[_unwritten(x.shape)], expected=[value])


def _remote_arrivals(size: int) -> Callable[[Any, Rng], Placed]:
    def place(device: Any, rng: Rng) -> Placed:
        x = _numbers(rng, 16 // size, size, 32)
        sums = np.broadcast_to(3 * x.sum(1, keepdims=True) + 3 * size, x.shape).astype(np.int32)
        return place_arrays(device, x, np.int32(3), outputs=[_unwritten(x.shape)], expected=[sums])

    return place


def _pipeline(device: Any, rng: Rng) -> Placed:
    x = _numbers(rng, 4, 17, 64)
    steps = np.arange(17, dtype=np.int32)[:, None]
    expected = x.reshape(4, 17, 32, 2)[..., ::-1].reshape(x.shape) * 3 + steps
    return place_arrays(device, x, np.int32(17), outputs=[_unwritten(x.shape)], expected=[expected])


def _sent(device: Any, rng: Rng) -> Placed:
    x = _numbers(rng, 4, 32, 9)
    rows = np.roll(x, 1, axis=0)
    wide = rows[:, :, 7:5:-1]  # the low half is the later number
    parts = [rows[:, :, :4], rows[:, :, 4:6], wide, rows[:, :, 8:]]
    expected = np.concatenate([part.reshape(4, -1) for part in parts], axis=1)
    return place_arrays(device, x, outputs=[_unwritten(expected.shape)], expected=[expected])


def _reduced(device: Any, _: Rng) -> Placed:
    lanes = np.arange(32)
    row = np.zeros(16, np.int64)
    row[0] = 50 + (lanes - 40).sum()
    row[2], row[4] = min(50, 20 - 31), 93
    row[6], row[8] = (50 + 32) % 61, 50 - 32
    row[10], row[12] = 0, 50 ^ np.bitwise_xor.reduce(lanes * 77)
    total = 50 + (lanes.sum() << 31)
    row[14], row[15] = total & 0xFFFFFFFF, total >> 32
    expected = np.broadcast_to(row.astype(np.uint32).view(np.int32), (8, 16)).copy()
    return place_arrays(device, outputs=[_unwritten((8, 16))], expected=[expected])


def _stencil(device: Any, rng: Rng) -> Placed:
    x = rng.random((3, 4 * 64), np.float32)
    value = x.copy()
    for _ in range(6):
        wide = np.pad(value, ((0, 0), (1, 1)))
        sides = wide[:, :-2] + wide[:, 2:]
        # one rounding, as an fma has it: products with powers of two are exact
        value = np.float32(0.25) * sides + np.float32(0.5) * value
    return place_arrays(
        device, x, np.int32(6), outputs=[_unwritten(x.shape, np.float32)], expected=[value]
    )


def _sort(device: Any, rng: Rng) -> Placed:
    x = _numbers(rng, 2, 4 * 64)
    return place_arrays(device, x, outputs=[_unwritten(x.shape)], expected=[np.sort(x, axis=1)])


def _registers(device: Any, rng: Rng) -> Placed:
    x = _numbers(rng, 128)
    expected = np.tile((x + 1) * 2, 2).astype(np.int32)
    return place_arrays(device, x, outputs=[_unwritten((256,))], expected=[expected])


CASES: tuple[Case, ...] = (
    Case("cluster special registers", SOURCE, "special_registers", (4, 6, 2), (1,),
         _special((4, 6, 2), (2, 3, 1)), cluster=(2, 3, 1)),
    Case("cluster special registers in depth", SOURCE, "special_registers", (2, 2, 4), (1,),
         _special((2, 2, 4), (1, 2, 4)), cluster=(1, 2, 4)),
    Case("cluster compiled shape", SOURCE, "compiled_shape", (6, 4), (1,), _compiled_shape),
    Case("cluster addresses", SOURCE, "addresses", (4,), (1,), _addresses(4), cluster=(4,)),
    *(
        Case(f"cluster ring of {size}", SOURCE, "ring", (16 * clusters,), (64,),
             _ring(size, 16 * clusters // size), cluster=(size,))
        for size, clusters in ((2, 8), (8, 1), (16, 2))
    ),
    Case("cluster histogram", SOURCE, "histogram", (8,), (128,), _histogram, cluster=(4,)),
    Case("cluster reduction", SOURCE, "reduction", (24,), (96,), _reduction, cluster=(8,)),
    Case("cluster scan", SOURCE, "scan", (16,), (128,), _scan, cluster=(8,)),
    Case("cluster exchange of tiles", SOURCE, "exchange_tiles", (4,), (64,), _exchange,
         cluster=(4,)),
    Case("cluster accesses", SOURCE, "accesses", (4,), (32,), _accesses, cluster=(2,)),
    Case("cluster tiny sums", SOURCE, "tiny_sums", (4,), (32,), _tiny_sums, cluster=(2,)),
    Case("cluster split barrier", SOURCE, "split_barrier", (8,), (32,), _split, cluster=(4,)),
    *(
        Case(f"cluster remote arrivals of {size}", SOURCE, "remote_arrivals", (16,), (32,),
             _remote_arrivals(size), cluster=(size,))
        for size in (2, 8)
    ),
    Case("cluster pipeline", SOURCE, "pipeline", (8,), (64,), _pipeline, cluster=(2,)),
    Case("cluster st.async", SOURCE, "sent", (4,), (32,), _sent, cluster=(4,)),
    Case("cluster red.async", SOURCE, "reduced", (8,), (32,), _reduced, cluster=(2,)),
    Case("cluster stencil", SOURCE, "stencil", (12,), (64,), _stencil, cluster=(4,)),
    Case("cluster sort", SOURCE, "sort", (8,), (64,), _sort, cluster=(4,)),
    Case("cluster registers change hands", SOURCE, "registers", (1,), (384,), _registers),
)  # fmt: skip
