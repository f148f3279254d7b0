"""Products of a warpgroup: the cases of ``wgmma_cases.cu``, with what they should leave.

Most elements are small whole numbers, so that every order of adding gives the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import ml_dtypes
import numpy as np

from benchmarks.hopper_case import Array, Case, Placed, place_arrays
from benchmarks.matrix_layout import Layout, tight, write

SOURCE = "wgmma_cases.cu"
PATH = "sm__ops_path_tensor_src_{}.sum"
Rng = np.random.Generator
Draw = Callable[[Rng, tuple[int, ...]], Array]

BITS = {"f16": 16, "bf16": 16, "tf32": 32, "e4m3": 8, "e5m2": 8, "s8": 8, "u8": 8, "b1": 1}
NUMPY: dict[str, Any] = {
    "f16": np.float16, "bf16": ml_dtypes.bfloat16, "tf32": np.float32, "f32": np.float32,
    "e4m3": ml_dtypes.float8_e4m3fn, "e5m2": ml_dtypes.float8_e5m2, "s8": np.int8, "u8": np.uint8,
    "s32": np.int32, "b1": np.uint8,
}  # fmt: skip


def patterns(matrix: Array, kind: str) -> Array:
    """Elements as bits in u64."""
    held = np.ascontiguousarray(matrix.astype(NUMPY[kind]))
    return held.view(f"u{held.dtype.itemsize}").astype(np.uint64)


def whole(rng: Rng, shape: tuple[int, ...]) -> Array:
    """Small whole numbers."""
    return rng.integers(-4, 5, shape).astype(np.float64)


def _counts(rng: Rng, shape: tuple[int, ...]) -> Array:
    return rng.integers(0, 5, shape).astype(np.float64)


def _bits(rng: Rng, shape: tuple[int, ...]) -> Array:
    return rng.integers(0, 2, shape).astype(np.float64)


def _extreme(rng: Rng, shape: tuple[int, ...]) -> Array:
    return rng.choice([-128.0, 127.0], shape)


def _normal(rng: Rng, shape: tuple[int, ...]) -> Array:
    return rng.standard_normal(shape)


def _special(rng: Rng, shape: tuple[int, ...]) -> Array:
    """Zeros of both signs, with an infinity, a NaN or a subnormal in some rows."""
    made: Array = np.where(rng.random(shape) < 0.5, -0.0, 0.0)
    made[0, 0], made[1, 1], made[2, 2], made[3, 3] = np.inf, np.nan, 2.0**-24, -np.inf
    return made


@dataclass(frozen=True)
class Product:
    """One product: the kernel, its types and width, how A and B lie, and what they hold."""

    kernel: str
    d: str
    a: str
    b: str
    columns: int
    a_layout: tuple[int, bool] | None = (128, True)  # swizzle, along K; None: in registers
    b_layout: tuple[int, bool] = (128, True)
    base: int = 0  # row of its swizzle's pattern at which B starts
    gap: int = 0
    draw: Draw = whole
    draw_b: Draw | None = None
    draw_sums: Draw = whole
    adds: bool = True
    sign: int = 1
    clamped: bool = False

    @property
    def depth(self) -> int:
        """K."""
        return 256 // BITS[self.a]

    def layouts(self) -> tuple[Layout | None, Layout, int]:
        """A's, B's and where they end."""
        end, a = 0, None
        if self.a_layout is not None:
            a, end = tight(*self.a_layout, 0, 64, 32)
        swizzle, along_k = self.b_layout
        start = -(-end // 1024) * 1024 + 128 * self.base
        b, end = tight(swizzle, along_k, start, self.columns, 32, self.base, self.gap)
        return a, b, -(-end // 16) * 16

    def operands(self, rng: Rng) -> tuple[Array, Array, Array]:
        """A (64, K), B (K, columns), and the sums before (64, columns)."""
        a = self.draw(rng, (64, self.depth)).astype(NUMPY[self.a])
        b = (self.draw_b or self.draw)(rng, (self.depth, self.columns)).astype(NUMPY[self.b])
        return a, b, self.draw_sums(rng, (64, self.columns)).astype(NUMPY[self.d])

    def place(self, device: Any, rng: Rng) -> Placed:
        """Arguments, and the exact result."""
        a_layout, b_layout, end = self.layouts()
        a, b, c = self.operands(rng)
        memory = np.full(end, 0xA5, np.uint8)
        write(memory, patterns(b.T, self.b), BITS[self.b], b_layout)
        first: Any = fragments(a, self.a)
        if a_layout is not None:
            write(memory, patterns(a, self.a), BITS[self.a], a_layout)
            first = np.uint64(a_layout.descriptor)
        with np.errstate(invalid="ignore", over="ignore"):
            wide = self.sign * a.astype(np.float64) @ b.astype(np.float64)
            wide = wide + self.adds * c.astype(np.float64)
            if self.clamped:
                wide = wide.clip(-(2.0**31), 2.0**31 - 1)
            expected = wide.astype(NUMPY[self.d])
        made = registers_of(c)
        return place_arrays(
            device, memory.view(np.uint32), np.int32(end), first, np.uint64(b_layout.descriptor),
            np.int32(self.adds), outputs=[made],
            expected=[registers_of(expected)] if self.is_exact else None,
        )  # fmt: skip

    @property
    def is_exact(self) -> bool:
        """Whether the host knows every bit of the result."""
        return self.draw not in (_normal, _special)

    def case(self, name: str, tolerance: float = 0.0) -> Case:
        """The case of that name."""
        _, _, end = self.layouts()
        return Case(f"wgmma {name}", SOURCE, f"k_{self.kernel}", (1,), (128,), self.place,
                    shared_bytes=end, tolerance=tolerance)  # fmt: skip


def _rows_and_columns(registers: int, per: int) -> tuple[Array, Array]:
    """Row and column of each element of (registers, 128 threads, ``per`` in a register) sums."""
    register, thread, part = np.indices((registers, 128, per))
    element = register * per + part  # of a thread's
    lane = thread % 32
    row = 16 * (thread // 32) + lane // 4 + 8 * (element // 2 % 2)
    return row, 8 * (element // 4) + 2 * (lane % 4) + element % 2


def registers_of(matrix: Array) -> Array:
    """D's registers, (registers, 128) of u32: pairs of f16, or one number each."""
    per = 4 // matrix.dtype.itemsize
    row, column = _rows_and_columns(matrix.size // 128 // per, per)
    return np.ascontiguousarray(matrix[row, column]).view(np.uint32)[:, :, 0]


def fragments(a: Array, kind: str) -> Array:
    """A's registers, (4, 128) of u32, from (64, 32 bytes): row 8 r further on, 16 bytes on."""
    per = 4 // a.dtype.itemsize
    register, thread, part = np.indices((4, 128, per))
    lane = thread % 32
    row = 16 * (thread // 32) + lane // 4 + 8 * (register % 2)
    column = 4 * per * (register // 2) + per * (lane % 4) + part
    return np.ascontiguousarray(a.astype(NUMPY[kind])[row, column]).view(np.uint32)[:, :, 0]


def _tiles(warpgroups: int) -> Callable[[Any, Rng], Placed]:
    """Tiles of 64 x 64 of A, rows along K, and one of B, rows along N: halves, swizzled by 128."""

    def place(device: Any, rng: Rng) -> Placed:
        a, b = whole(rng, (64 * warpgroups, 64)), whole(rng, (64, 64))
        memory = np.zeros(8192 * (warpgroups + 1), np.uint8)
        a_layout = Layout(128, True, 0, 16, 1024)
        b_layout = Layout(128, False, 8192 * warpgroups, 8192, 1024)
        write(memory, patterns(a, "f16"), 16, a_layout)
        write(memory, patterns(b.T, "f16"), 16, b_layout)
        found = (a @ b).astype(np.float32).reshape(warpgroups, 64, 64)
        expected = np.concatenate([registers_of(tile) for tile in found], axis=1)
        return place_arrays(
            device, memory.view(np.uint32), np.int32(memory.size), np.uint64(a_layout.descriptor),
            np.uint64(32 >> 4), np.uint64(b_layout.descriptor), np.uint64(2048 >> 4),
            np.int32(8192), outputs=[np.zeros_like(expected)], expected=[expected],
        )  # fmt: skip

    return place


def _chained(device: Any, rng: Rng) -> Placed:
    """(A B) C: 64 x 16 by 16 x 8 by 8 x 64, C with 8 rows of zeros below."""
    a, b, c = whole(rng, (64, 16)), whole(rng, (16, 8)), np.zeros((16, 64))
    c[:8] = whole(rng, (8, 64))
    a_layout, end = tight(32, True, 0, 64, 32)
    b_layout, end = tight(32, True, end, 8, 32)
    c_layout, end = tight(128, False, -(-end // 1024) * 1024, 64, 32)
    memory = np.zeros(end, np.uint8)
    for layout, matrix in ((a_layout, a), (b_layout, b.T), (c_layout, c.T)):
        write(memory, patterns(matrix, "f16"), 16, layout)
    product = (a @ b).astype(np.float16).astype(np.float64)
    expected = registers_of((product @ c[:8]).astype(np.float32))
    descriptors = [np.uint64(layout.descriptor) for layout in (a_layout, b_layout, c_layout)]
    return place_arrays(device, memory.view(np.uint32), np.int32(end), *descriptors,
                        outputs=[np.zeros_like(expected)], expected=[expected])  # fmt: skip


def _elected(device: Any, rng: Rng) -> Placed:
    a, b = whole(rng, (64, 16)), whole(rng, (16, 64))
    a_layout, end = tight(0, True, 0, 64, 32)
    b_layout, end = tight(0, True, end, 64, 32)
    memory = np.zeros(end, np.uint8)
    write(memory, patterns(a, "f16"), 16, a_layout)
    write(memory, patterns(b.T, "f16"), 16, b_layout)
    expected = (a @ b).astype(np.float16).view(np.uint32)
    descriptors = [np.uint64(layout.descriptor) for layout in (a_layout, b_layout)]
    return place_arrays(device, memory.view(np.uint32), np.int32(end), *descriptors,
                        outputs=[np.zeros_like(expected)], expected=[expected])  # fmt: skip


_HALVES = Product("f16_kk", "f32", "f16", "f16", 64)
_TRANSPOSED = replace(_HALVES, kernel="f16_mn")

CASES: tuple[Case, ...] = (
    *(
        replace(_HALVES, a_layout=(swizzle, True), b_layout=(swizzle, True)).case(
            f"along K, swizzle of {swizzle}")
        for swizzle in (0, 32, 64, 128)
    ),
    *(
        replace(_TRANSPOSED, a_layout=(swizzle, False), b_layout=(swizzle, False)).case(
            f"along M and N, swizzle of {swizzle}")
        for swizzle in (0, 32, 64, 128)
    ),
    replace(_HALVES, kernel="f16_mk", a_layout=(64, False), b_layout=(32, True)).case(
        "A along M, B along K"),
    replace(_HALVES, kernel="f16_kn", a_layout=(0, True), b_layout=(128, False)).case(
        "A along K, B along N"),
    *(
        replace(_HALVES, b_layout=(swizzle, True), base=base).case(
            f"pattern of {swizzle} bytes from row {base}")
        for swizzle, base in ((128, 3), (64, 1), (32, 1))
    ),
    replace(_HALVES, gap=256, b_layout=(0, True)).case("cores far apart"),
    replace(_HALVES, adds=False).case("sums replaced"),
    replace(_HALVES, kernel="f16_minus_a", sign=-1).case("A negated"),
    replace(_HALVES, kernel="f16_minus_both").case("A and B negated"),
    replace(_HALVES, kernel="f16_n8", columns=8).case("of 8 columns"),
    replace(_HALVES, kernel="f16_n104", columns=104).case("of 104 columns"),
    replace(_HALVES, kernel="f16_n256", columns=256, b_layout=(128, False)).case("of 256 columns"),
    replace(_HALVES, kernel="f16_to_f16", d="f16").case("f16 sums"),
    replace(_HALVES, kernel="f16_to_f16", d="f16", draw=_normal, draw_sums=_normal).case(
        "f16 sums of any numbers", 1e-3),
    replace(_HALVES, draw=_normal, draw_sums=_normal).case("any numbers", 2e-6),
    replace(_HALVES, draw=_special, draw_b=whole).case("infinities, NaN, subnormals"),
    Product("bf16_kk", "f32", "bf16", "bf16", 64).case("bf16"),
    Product("bf16_minus_b", "f32", "bf16", "bf16", 24, b_layout=(32, False), sign=-1).case(
        "bf16, B negated"),
    Product("tf32", "f32", "tf32", "tf32", 64).case("tf32"),
    Product("tf32", "f32", "tf32", "tf32", 64, draw=_normal, draw_sums=_normal).case(
        "tf32, of which the low bits are ignored", 2e-6),
    Product("e4m3", "f32", "e4m3", "e4m3", 64).case("e4m3"),
    Product("e5m2_e4m3", "f16", "e5m2", "e4m3", 64, (64, True), (32, True)).case(
        "e5m2 by e4m3, f16 sums"),
    Product("e4m3_e5m2", "f32", "e4m3", "e5m2", 64, (0, True), (0, True)).case("e4m3 by e5m2"),
    Product("s8", "s32", "s8", "s8", 64).case("s8"),
    Product("u8_s8", "s32", "u8", "s8", 64, draw=_counts, draw_b=whole).case("u8 by s8"),
    Product("s8_clamped", "s32", "s8", "s8", 16, draw=_extreme, clamped=True,
            draw_sums=lambda rng, shape: rng.choice([-(2.0**31), 2.0**31 - 1], shape)).case(
        "s8 at the ends of the range, clamped"),
    Product("b1", "s32", "b1", "b1", 16, draw=_bits).case("b1"),
    Product("f16_registers", "f32", "f16", "f16", 64, None, (128, False)).case(
        "f16 from registers"),
    Product("bf16_registers", "f32", "bf16", "bf16", 64, None, (64, True)).case(
        "bf16 from registers"),
    Product("tf32_registers", "f32", "tf32", "tf32", 16, None).case("tf32 from registers"),
    Product("e5m2_registers", "f32", "e5m2", "e5m2", 64, None, sign=-1).case(
        "e5m2 from registers, negated"),
    Product("u8_registers", "s32", "u8", "u8", 16, None, draw=_counts).case("u8 from registers"),
    *(
        Case(f"wgmma tiles by {count} warpgroups", SOURCE, "tiles", (1,), (128 * count,),
             _tiles(count), shared_bytes=8192 * (count + 1))
        for count in (1, 3)
    ),
    Case("wgmma of a wgmma's sums", SOURCE, "chained", (1,), (128,), _chained, shared_bytes=5120),
    Case("wgmma, elect.sync and stmatrix", SOURCE, "elected", (1,), (128,), _elected,
         shared_bytes=4096),
)  # fmt: skip
