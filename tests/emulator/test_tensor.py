"""Matrix products of a warp, against float64 and integer NumPy."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from emulator.errors import DeviceFault
from tests.emulator.fragments import (
    A_PLACES,
    B_PLACES,
    BITS,
    C_PLACES,
    NUMPY,
    from_registers,
    to_registers,
)
from tests.emulator.oracle import rounded

FLOATING = [
    *((m, k, d, "f16", "f16") for m, k in ((16, 8), (16, 16)) for d in ("f16", "f32")),
    *((16, k, "f32", "bf16", "bf16") for k in (8, 16)),
    *((16, k, "f32", "tf32", "tf32") for k in (4, 8)),
    *((16, k, d, a, b) for k in (16, 32) for d in ("f16", "f32")
      for a, b in (("e4m3", "e4m3"), ("e4m3", "e5m2"), ("e5m2", "e4m3"), ("e5m2", "e5m2"))),
    *((m, k, "f64", "f64", "f64") for m, k in ((8, 4), (16, 4), (16, 8), (16, 16))),
]  # fmt: skip
WHOLE = [
    *((m, k, "s32", a + "8", b + "8") for m, k in ((8, 16), (16, 16), (16, 32))
      for a in "su" for b in "su"),
    *((m, k, "s32", a + "4", b + "4") for m, k in ((8, 32), (16, 32), (16, 64))
      for a in "su" for b in "su"),
]  # fmt: skip
BINARY = [(8, 128), (16, 128), (16, 256)]
PRECISION = {"f16": 11, "f32": 24, "f64": 53}


def kernel(instruction: str, counts: tuple[int, int, int, int], sizes: tuple[int, ...]) -> str:
    """PTX that loads fragments of A, B and C as [register][lane] and stores that of D."""
    lines = []
    registers = {}
    for name, count, size in zip("abcd", counts, sizes, strict=True):
        names = [f"%{name}{i}" for i in range(count)]
        registers[name] = "{" + ", ".join(names) + "}"
        lines.append(f"  .reg .b{8 * size} {', '.join(names)};")
        lines.append(f"  ld.param.u64 %p, [{name}]; mad.wide.u32 %{name}_at, %t, {size}, %p;")
        if name != "d":
            lines += [f"  ld.global.b{8 * size} {register}, [%{name}_at+{i * 32 * size}];"
                      for i, register in enumerate(names)]  # fmt: skip
    stores = [f"  st.global.b{8 * sizes[3]} [%d_at+{i * 32 * sizes[3]}], %d{i};"
              for i in range(counts[3])]  # fmt: skip
    return "\n".join([
        ".version 8.7", ".target sm_90a", ".address_size 64",
        ".visible .entry k(.param .u64 a, .param .u64 b, .param .u64 c, .param .u64 d)", "{",
        "  .reg .b64 %p, %a_at, %b_at, %c_at, %d_at; .reg .b32 %t; mov.u32 %t, %tid.x;",
        *lines, f"  {instruction} {registers['d']}, {registers['a']}, {registers['b']}, "
        f"{registers['c']};", *stores, "  ret;", "}",
    ])  # fmt: skip


def multiply(card, instruction, kinds, a, b, c):
    """D of one ``mma``; ``kinds`` are the types of D, A, B and C."""
    d_kind, a_kind, b_kind, c_kind = kinds
    (m, k), n = a.shape, b.shape[1]
    assert n == 8
    fragments = [
        to_registers(a, a_kind, A_PLACES[m, k, BITS[a_kind]]),
        to_registers(b, b_kind, B_PLACES[k, BITS[b_kind]]),
        to_registers(c, c_kind, C_PLACES[m]),
        to_registers(np.zeros((m, n)), d_kind, C_PLACES[m]),
    ]
    counts = tuple(f.shape[0] for f in fragments)
    sizes = tuple(f.dtype.itemsize for f in fragments)
    card.run(kernel(instruction, counts, sizes), "k", 1, 32, *fragments)
    return from_registers(fragments[3], d_kind, C_PLACES[m], (m, n))


def floating(m, k, d, a, b):
    return f"mma.sync.aligned.m{m}n8k{k}.row.col.{d}.{a}.{b}.{d}"


def numbers(random, shape, kind, spread=2.0):
    """Normal numbers over some powers of two, as the type has them."""
    values = random.standard_normal(shape) * 2.0 ** random.uniform(-spread, spread, shape)
    held = values.astype(NUMPY[kind])
    if kind == "tf32":
        held = (held.view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32)
    return held


def bound(a, b, c, d, kind):
    """How far D may be from the exact A B + C.

    Each of k fused steps rounds a partial sum, of at most |C| + |A| |B|, by half a unit in its last
    place, 2^-p of it; narrower sums round once more, their subnormals by 2^-25.
    """
    k = a.shape[1]
    p = 53 if kind == "f64" else 24
    size = np.abs(c) + np.abs(a) @ np.abs(b)
    error = 1.01 * k * 2.0**-p * size
    return error + (2.0**-11 * np.abs(d) + 2.0**-25 if kind == "f16" else 0)


@pytest.mark.parametrize(("m", "k", "d", "a", "b"), FLOATING)
def test_products_of_floats_are_within_their_bound(card, m, k, d, a, b):
    random = np.random.default_rng(m * k)
    x, y, z = numbers(random, (m, k), a), numbers(random, (k, 8), b), numbers(random, (m, 8), d)
    got = multiply(card, floating(m, k, d, a, b), (d, a, b, d), x, y, z).astype(np.float64)
    x, y, z = (v.astype(np.float64) for v in (x, y, z))
    expected = x @ y + z
    assert np.all(np.abs(got - expected) <= bound(x, y, z, expected, d))


@pytest.mark.parametrize(("m", "k", "d", "a", "b"), [*FLOATING, *WHOLE])
def test_each_element_of_a_and_b_has_its_own_place(card, m, k, d, a, b):
    """One row of A and one column of B count upwards in powers that no other sum gives."""
    random = np.random.default_rng(k)
    for _ in range(3):
        x, y, z = np.zeros((m, k)), np.zeros((k, 8)), np.zeros((m, 8))
        row, column = random.integers(m), random.integers(8)
        inner = random.integers(k)
        x[row, inner], y[inner, column] = 3, 5
        z[random.integers(m), random.integers(8)] = 7
        if d == "s32":
            instruction = f"mma.sync.aligned.m{m}n8k{k}.row.col.s32.{a}.{b}.s32"
        else:
            instruction = floating(m, k, d, a, b)
        got = multiply(card, instruction, (d, a, b, d), x, y, z)
        assert np.array_equal(got.astype(np.float64), x @ y + z)


@pytest.mark.parametrize(("m", "k", "d", "a", "b"), WHOLE)
def test_whole_products_are_exact_and_wrap_or_clamp(card, m, k, d, a, b):
    random = np.random.default_rng(m + k)

    def range_of(kind):
        bits = BITS[kind]
        return (0, 1 << bits) if kind[0] == "u" else (-(1 << bits - 1), 1 << bits - 1)

    x = random.integers(*range_of(a), (m, k))
    y = random.integers(*range_of(b), (k, 8))
    x[0], y[:, 0] = range_of(a)[1] - 1, range_of(b)[1] - 1  # the largest sum
    z = random.integers(-(2**31), 2**31, (m, 8))
    z[0, 0], z[1, :4], z[1, 4:] = 2**31 - 1, 2**31 - 1, -(2**31)
    exact = x @ y + z
    for suffix, expected in (
        ("", exact.astype(np.uint64).astype(np.uint32).view(np.int32)),
        (".satfinite", np.clip(exact, -(2**31), 2**31 - 1)),
    ):
        instruction = f"mma.sync.aligned.m{m}n8k{k}.row.col{suffix}.s32.{a}.{b}.s32"
        got = multiply(card, instruction, (d, a, b, d), x, y, z)
        assert np.array_equal(got, expected), suffix


@pytest.mark.parametrize("operation", ["xor", "and"])
@pytest.mark.parametrize(("m", "k"), BINARY)
def test_products_of_bits_count_them(card, m, k, operation):
    random = np.random.default_rng(k)
    x, y = random.integers(0, 2, (m, k)), random.integers(0, 2, (k, 8))
    z = random.integers(-(2**31), 2**31, (m, 8))
    instruction = f"mma.sync.aligned.m{m}n8k{k}.row.col.s32.b1.b1.s32.{operation}.popc"
    got = multiply(card, instruction, ("s32", "b1", "b1", "s32"), x, y, z)
    pairs = x[:, :, None] ^ y[None] if operation == "xor" else x[:, :, None] & y[None]
    assert np.array_equal(got, (pairs.sum(axis=1) + z).astype(np.int32))


IN_ORDER = [("f32", "f16", 16), ("f16", "f16", 8), ("f32", "bf16", 16), ("f32", "tf32", 8),
            ("f32", "e5m2", 32)]  # fmt: skip


@pytest.mark.parametrize(("d", "a", "k"), IN_ORDER)
def test_sums_round_at_each_product_in_rising_k(card, d, a, k):
    """Bit for bit, over magnitudes so far apart that any other order gives other sums."""
    random = np.random.default_rng(5)
    x, y = numbers(random, (16, k), a, 6.0), numbers(random, (k, 8), a, 6.0)
    z = numbers(random, (16, 8), d, 8.0)
    got = multiply(card, floating(16, k, d, a, a), (d, a, a, d), x, y, z)
    for row in range(16):
        for column in range(8):
            total = Fraction(float(z[row, column]))
            for i in range(k):
                total += Fraction(float(x[row, i])) * Fraction(float(y[i, column]))
                total = Fraction(rounded(total, "f32", "rn", 1))
            assert float(got[row, column]) == rounded(total, d, "rn", 1)


def test_f64_products_are_fused(card):
    x, y, z = np.zeros((8, 4)), np.zeros((4, 8)), np.zeros((8, 8))
    x[0, 0], y[0, 0], z[0, 0] = 1 + 2.0**-52, 1 - 2.0**-52, -1.0
    got = multiply(card, floating(8, 4, "f64", "f64", "f64"), ("f64",) * 4, x, y, z)
    assert got[0, 0] == -(2.0**-104)


@pytest.mark.parametrize(("a", "k", "least"), [("f16", 16, 2.0**-24), ("bf16", 16, 2.0**-133),
                                               ("e4m3", 32, 2.0**-9), ("e5m2", 32, 2.0**-16),
                                               ("tf32", 8, 2.0**-136)])  # fmt: skip
def test_subnormals_infinities_and_nan(card, a, k, least):
    x, y, z = np.zeros((16, k)), np.zeros((k, 8)), np.zeros((16, 8))
    y[0] = 1
    x[0, 0] = least  # subnormal inputs keep their value
    x[1, 0] = np.nan
    z[2, 0], z[3, 0] = np.inf, -np.inf
    has_infinity = a != "e4m3"
    if has_infinity:
        x[4, 0], x[5, 0] = np.inf, -np.inf
        z[5, 1] = np.inf  # infinity less infinity
    got = multiply(card, floating(16, k, "f32", a, a), ("f32", a, a, "f32"), x, y, z)
    assert np.all(got[0] == least)
    assert np.all(got[1].view(np.uint32) == 0x7FFFFFFF)  # the NaN of a tensor core
    assert got[2, 0] == np.inf and got[3, 0] == -np.inf and got[2, 1] == 0
    if has_infinity:
        assert np.all(got[4] == np.inf)
        assert got[5, 0] == -np.inf and np.isnan(got[5, 1])
        y[0, 3] = 0  # infinity times nothing
        got = multiply(card, floating(16, k, "f32", a, a), ("f32", a, a, "f32"), x, y, z)
        assert np.isnan(got[4, 3]) and got[4, 2] == np.inf


def test_f16_sums_overflow_only_at_the_end(card):
    x, y, z = np.zeros((16, 16)), np.zeros((16, 8)), np.zeros((16, 8))
    x[:, 0], y[0], x[:, 1], y[1] = 60000, 2, -60000, 1
    x[1, 1] = 0
    got = multiply(card, floating(16, 16, "f16", "f16", "f16"), ("f16",) * 4, x, y, z)
    assert np.all(got[0] == 60000) and np.all(got[1] == np.inf)


def test_the_low_bits_of_a_tf32_are_ignored(card):
    random = np.random.default_rng(2)
    x, y, z = numbers(random, (16, 8), "tf32"), numbers(random, (8, 8), "tf32"), np.zeros((16, 8))
    low = random.integers(0, 1 << 13, x.shape, dtype=np.uint32)
    noisy = (x.view(np.uint32) | low).view(np.float32)
    kinds = ("f32", "tf32", "tf32", "f32")
    instruction = floating(16, 8, "f32", "tf32", "tf32")
    clean = multiply(card, instruction, kinds, x, y, z)
    assert np.array_equal(multiply(card, instruction, kinds, noisy, y, z), clean)


@pytest.mark.parametrize("layouts", ["row.col", "row.row", "col.col", "col.row"])
@pytest.mark.parametrize(
    ("d", "c"), [("f32", "f32"), ("f16", "f16"), ("f32", "f16"), ("f16", "f32")]
)
def test_quads_of_threads_multiply_their_own_small_matrices(card, layouts, d, c):
    random = np.random.default_rng(8)
    x, y = numbers(random, (4, 8, 4), "f16"), numbers(random, (4, 4, 8), "f16")
    z = numbers(random, (4, 8, 8), c)
    a_layout, b_layout = layouts.split(".")

    def a_place(lane, i):
        high = 4 if lane >= 16 else 0
        return (lane % 4 + high, i) if a_layout == "row" else (i + high, lane % 4)

    def b_place(lane, i):
        high = 4 if lane >= 16 else 0
        return (lane % 4, i + high) if b_layout == "row" else (i, lane % 4 + high)

    def sum_place(kind, lane, i):
        high = 4 if lane >= 16 else 0
        if kind == "f16":
            return lane % 4 + high, i
        return (lane & 1) + (i & 2) + high, (i & 4) + (lane & 2) + (i & 1)

    def fragment(matrices, kind, count, place):
        out = np.zeros((32, count), dtype=NUMPY[kind])
        for lane in range(32):
            for i in range(count):
                out[lane, i] = matrices[lane % 16 // 4][place(lane, i)]
        return np.ascontiguousarray(out.view(np.uint32).T)

    fragments = [
        fragment(x, "f16", 4, a_place), fragment(y, "f16", 4, b_place),
        fragment(z, c, 8, lambda lane, i: sum_place(c, lane, i)),
        np.zeros((8 if d == "f32" else 4, 32), dtype=np.uint32),
    ]  # fmt: skip
    instruction = f"mma.sync.aligned.m8n8k4.{layouts}.{d}.f16.f16.{c}"
    counts = tuple(f.shape[0] for f in fragments)
    card.run(kernel(instruction, counts, (4,) * 4), "k", 1, 32, *fragments)
    values = np.ascontiguousarray(fragments[3].T).view(NUMPY[d])
    for lane in range(32):
        quad = lane % 16 // 4
        left, right, start = (v[quad].astype(np.float64) for v in (x, y, z))
        expected = left @ right + start
        limit = bound(left, right, start, expected, d)
        for i in range(8):
            row, column = sum_place(d, lane, i)
            assert abs(float(values[lane, i]) - expected[row, column]) <= limit[row, column]


PART_OF_A_WARP = r"""
extern "C" __global__ void part(float* y, int lanes) {
  float d[4] = {0, 0, 0, 0};
  unsigned a[4] = {0, 0, 0, 0}, b[2] = {0, 0};
  if (threadIdx.x < lanes)
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
                 "{%8,%9}, {%0,%1,%2,%3};" : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  y[threadIdx.x] = d[0];
}
"""


def test_a_part_of_a_warp_cannot_multiply(card):
    y = np.ones(64, dtype=np.float32)
    card.run(PART_OF_A_WARP, "part", 1, 64, y, np.int32(32))
    assert not y.any()
    with pytest.raises(
        DeviceFault,
        match=r"divergent warp.*block \(0, 0, 0\), thread \(32, 0, 0\).*"
        r"mma.sync needs all 32 threads.*lanes 18-31 are not here",
    ):
        card.run(PART_OF_A_WARP, "part", 1, 64, y, np.int32(50))


PREDICATED = r"""
extern "C" __global__ void maybe(float* y, int lanes) {
  float d[4] = {7, 7, 7, 7};
  unsigned one = 0x3c003c00;
  asm volatile("{.reg .pred p; setp.lt.s32 p, %4, %5;\n"
               "@p mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%6,%6}, {%6}, "
               "{%0,%1,%2,%3};}" : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"((int)threadIdx.x), "r"(lanes), "r"(one));
  y[threadIdx.x] = d[3];
}
"""


def test_a_predicate_holds_for_all_of_a_warp_or_none(card):
    y = np.zeros(64, dtype=np.float32)
    card.run(PREDICATED, "maybe", 1, 64, y, np.int32(32))
    assert np.all(y[:32] == 15) and np.all(y[32:] == 7)
    with pytest.raises(DeviceFault, match=r"divergent warp.*lane 31 is not here"):
        card.run(PREDICATED, "maybe", 1, 64, y, np.int32(63))


@pytest.mark.parametrize("instruction", [
    "mma.sync.aligned.m16n8k16.row.col.f32.e2m1.e2m1.f32",
    "mma.sync.aligned.m16n8k32.row.col.f32.f16.f16.f32",
    "mma.sync.aligned.m16n8k16.row.row.f32.f16.f16.f32",
    "mma.sync.aligned.m16n8k16.row.col.f32.f16.bf16.f32",
    "mma.sync.aligned.m16n8k256.row.col.s32.b1.b1.s32",
])  # fmt: skip
def test_other_forms_are_refused_by_name(card, instruction):
    from emulator.errors import UnsupportedInstruction

    arrays = [np.zeros((4, 32), dtype=np.uint32) for _ in range(4)]
    with pytest.raises(UnsupportedInstruction, match=instruction):
        card.run(kernel(instruction, (4, 2, 4, 4), (4,) * 4), "k", 1, 32, *arrays)
