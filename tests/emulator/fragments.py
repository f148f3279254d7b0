"""Where the PTX ISA puts the elements of matrices in a warp's registers, as its text states it.

"Matrix Fragments for mma.m8n8k4 ... mma.m16n8k256": with group = laneid >> 2 and thread =
laneid % 4, row and column of the i-th element of a lane's fragment. Written from that text shape
by shape, not from the emulator's blocks.
"""

from __future__ import annotations

from collections.abc import Callable

import ml_dtypes
import numpy as np

Place = Callable[[int, int, int], tuple[int, int]]  # group, thread, i to row, column

A_PLACES: dict[tuple[int, int, int], Place] = {  # by m, k and bits of an element
    (16, 8, 16): lambda g, t, i: (g if i < 2 else g + 8, t * 2 + (i & 1)),
    (16, 16, 16): lambda g, t, i: (
        g if i < 2 or 4 <= i < 6 else g + 8, t * 2 + (i & 1) + (8 if i >= 4 else 0)),
    (16, 4, 32): lambda g, t, i: (g if i == 0 else g + 8, t),
    (16, 8, 32): lambda g, t, i: (g if i in (0, 2) else g + 8, t if i < 2 else t + 4),
    (8, 16, 8): lambda g, t, i: (g, t * 4 + i),
    (16, 16, 8): lambda g, t, i: (g if i < 4 else g + 8, t * 4 + (i & 3)),
    (16, 32, 8): lambda g, t, i: (
        g if i < 4 or 8 <= i < 12 else g + 8, t * 4 + (i & 3) + (16 if i >= 8 else 0)),
    (8, 32, 4): lambda g, t, i: (g, t * 8 + i),
    (16, 32, 4): lambda g, t, i: (g if i < 8 else g + 8, t * 8 + (i & 7)),
    (16, 64, 4): lambda g, t, i: (
        g if i < 8 or 16 <= i < 24 else g + 8, t * 8 + (i & 7) + (32 if i >= 16 else 0)),
    (8, 128, 1): lambda g, t, i: (g, t * 32 + i),
    (16, 128, 1): lambda g, t, i: (g if i < 32 else g + 8, t * 32 + (i & 31)),
    (16, 256, 1): lambda g, t, i: (
        g if i < 32 or 64 <= i < 96 else g + 8, t * 32 + (i & 31) + (128 if i >= 64 else 0)),
    (8, 4, 64): lambda g, t, i: (g, t),
    (16, 4, 64): lambda g, t, i: (g if i == 0 else g + 8, t),
    (16, 8, 64): lambda g, t, i: (g if i in (0, 2) else g + 8, t if i < 2 else t + 4),
    (16, 16, 64): lambda g, t, i: (
        g if i % 2 == 0 else g + 8, i * 2 + t if i % 2 == 0 else i * 2 - 2 + t),
}  # fmt: skip

B_PLACES: dict[tuple[int, int], Place] = {  # by k and bits of an element
    (8, 16): lambda g, t, i: (t * 2 + i, g),
    (16, 16): lambda g, t, i: (t * 2 + (i & 1) + (8 if i >= 2 else 0), g),
    (4, 32): lambda g, t, i: (t, g),
    (8, 32): lambda g, t, i: (t if i == 0 else t + 4, g),
    (16, 8): lambda g, t, i: (t * 4 + i, g),
    (32, 8): lambda g, t, i: (t * 4 + (i & 3) + (16 if i >= 4 else 0), g),
    (32, 4): lambda g, t, i: (t * 8 + i, g),
    (64, 4): lambda g, t, i: (t * 8 + (i & 7) + (32 if i >= 8 else 0), g),
    (128, 1): lambda g, t, i: (t * 32 + i, g),
    (256, 1): lambda g, t, i: (t * 32 + (i & 31) + (128 if i >= 32 else 0), g),
    (4, 64): lambda g, t, i: (t, g),
    (8, 64): lambda g, t, i: (t if i == 0 else t + 4, g),
    (16, 64): lambda g, t, i: (t + 4 * i, g),
}

C_PLACES: dict[int, Place] = {  # by m
    8: lambda g, t, i: (g, t * 2 + i),
    16: lambda g, t, i: (g if i < 2 else g + 8, t * 2 + (i & 1)),
}

BITS = {"f16": 16, "bf16": 16, "tf32": 32, "f32": 32, "f64": 64, "e4m3": 8, "e5m2": 8,
        "s8": 8, "u8": 8, "s4": 4, "u4": 4, "b1": 1, "s32": 32}  # fmt: skip
NUMPY = {"f16": np.float16, "bf16": ml_dtypes.bfloat16, "tf32": np.float32, "f32": np.float32,
         "f64": np.float64, "e4m3": ml_dtypes.float8_e4m3fn, "e5m2": ml_dtypes.float8_e5m2,
         "s8": np.int8, "u8": np.uint8, "s32": np.int32, "s4": np.int8, "u4": np.uint8,
         "b1": np.uint8}  # fmt: skip


def patterns(matrix: np.ndarray, kind: str) -> np.ndarray:
    """Elements as bits in u64."""
    values = np.asarray(matrix).astype(NUMPY[kind])
    width = values.dtype.itemsize
    raw = values.view({1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}[width])
    return raw.astype(np.uint64) & np.uint64((1 << BITS[kind]) - 1)


def to_registers(matrix: np.ndarray, kind: str, place: Place) -> np.ndarray:
    """A matrix as a fragment's registers: (registers, 32 lanes) of u32, or of u64 for f64."""
    bits = BITS[kind]
    width = max(bits, 32)
    per = width // bits
    count = matrix.size // 32
    raw = patterns(matrix, kind)
    registers = np.zeros((count // per, 32), dtype=np.uint64)
    for lane in range(32):
        for i in range(count):
            element = raw[place(lane >> 2, lane % 4, i)]
            registers[i // per, lane] |= element << np.uint64(i % per * bits)
    return registers.astype(np.uint64 if width == 64 else np.uint32)


def from_registers(registers: np.ndarray, kind: str, place: Place, shape: tuple) -> np.ndarray:
    """The matrix of which these are a fragment's registers."""
    dtype = np.dtype(NUMPY[kind])
    flat = np.ascontiguousarray(registers.T).view(dtype)  # [lane][i]
    matrix = np.zeros(shape, dtype=dtype)
    for lane in range(32):
        for i in range(flat.shape[1]):
            matrix[place(lane >> 2, lane % 4, i)] = flat[lane, i]
    return matrix


def lane_of_pair(row: int, pair: int) -> int:
    """``ldmatrix``: the lane that holds elements 2 pair and 2 pair + 1 of a row of 8 elements."""
    return 4 * row + pair


# --- wmma -----------------------------------------------------------------------------------------


def in_memory(matrix: np.ndarray, kind: str, layout: str, stride: int) -> np.ndarray:
    """A matrix's bytes, its rows or columns ``stride`` elements apart with 0xEE between them."""
    lines = matrix if layout == "row" else matrix.T
    count, length = lines.shape
    if BITS[kind] >= 8:
        values = np.asarray(lines).astype(NUMPY[kind])
        raw = np.full((count, stride * values.dtype.itemsize), 0xEE, dtype=np.uint8)
        raw[:, : length * values.dtype.itemsize] = np.ascontiguousarray(values).view(np.uint8)
        return raw.reshape(-1)
    bits = np.zeros((count, stride * BITS[kind]), dtype=np.uint8)
    raw = patterns(lines, kind)
    for place in range(BITS[kind]):
        bits[:, place : length * BITS[kind] : BITS[kind]] = raw >> np.uint64(place) & np.uint64(1)
    return np.packbits(bits, axis=1, bitorder="little").reshape(-1)


def from_memory(raw: np.ndarray, kind: str, layout: str, stride: int, shape: tuple) -> np.ndarray:
    """The matrix whose bytes (of sums: no type below a byte) :func:`in_memory` would give."""
    lines = shape if layout == "row" else shape[::-1]
    values = raw.view(NUMPY[kind]).reshape(lines[0], stride)[:, : lines[1]]
    return values if layout == "row" else values.T


def wmma_places(role: str, shape: tuple[int, int, int], kind: str) -> tuple[int, Place]:
    """Elements in a lane's fragment, and the row and column of each, for sm_80 to sm_90.

    Read off what ptxas -arch=sm_90 (13.0) makes of wmma.load: the loads of each register, and the
    HMMA, IMMA or DMMA that take them.
    """
    m, n, k = shape
    bits = BITS[kind]
    if role in "cd":
        if (m, n) == (16, 16):  # columns 0-7 of all rows, then columns 8-15

            def place(g: int, t: int, i: int) -> tuple[int, int]:
                row, column = C_PLACES[16](g, t, i % 4)
                return row, column + 8 * (i // 4)

            return 8, place  # fmt: skip
        if (m, n) == (32, 8):

            def place(g: int, t: int, i: int) -> tuple[int, int]:
                row, column = C_PLACES[16](g, t, i % 4)
                return row + 16 * (i // 4), column

            return 8, place  # fmt: skip
        if (m, n) == (8, 32):

            def place(g: int, t: int, i: int) -> tuple[int, int]:
                row, column = C_PLACES[16](g, t, i % 4)
                return column, row + 16 * (i // 4)

            return 8, place  # fmt: skip
        return 2, C_PLACES[8]
    if (m, n) == (8, 8):
        if role == "a":
            return max(32 // bits, 1), A_PLACES[8, k, bits]
        return max(32 // bits, 1), B_PLACES[k, bits]
    tall, flat = A_PLACES[16, k, bits], B_PLACES[k, bits]
    tall_count, flat_count = 16 * k // 32, 8 * k // 32

    def tall_place(g: int, t: int, i: int) -> tuple[int, int]:
        row, column = tall(g, t, i % tall_count)
        return row + 16 * (i // tall_count), column

    def flat_place(g: int, t: int, i: int) -> tuple[int, int]:
        row, column = flat(g, t, i % flat_count)
        return row, column + 8 * (i // flat_count)

    if (m, n) != (8, 32):
        return (m * k // 32, tall_place) if role == "a" else (n * k // 32, flat_place)
    if role == "a":
        return flat_count, lambda g, t, i: flat_place(g, t, i)[::-1]
    return n * k // 32, lambda g, t, i: tall_place(g, t, i)[::-1]
