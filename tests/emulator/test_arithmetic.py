"""Every arithmetic and logic instruction against exact arithmetic in Python.

Each test runs one PTX instruction over a vector of operands that holds every corner of its type.
Integers must match to the bit. Floating-point results are rounded here from exact fractions, in
every rounding mode, and must match to the bit, NaN payloads aside.
"""

from __future__ import annotations

import itertools
import math
import operator
import struct
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest

from tests.emulator.oracle import (
    FLOAT,
    INTEGER,
    STORED,
    all_pairs,
    apply,
    exact,
    floats,
    rounded,
    same,
)


def corners(kind: str) -> list[int]:
    """Whole numbers at and round the ends of a type, powers of two, and a few between."""
    info = np.iinfo(INTEGER[kind])
    random = np.random.default_rng(7)
    some = random.integers(info.min, info.max, 6, dtype=INTEGER[kind], endpoint=True)
    near = [0, 1, 2, 3, 7, 31, 32, 33, 100, info.max, info.max - 1, info.min, info.min + 1]
    near += [-1, -2, -5, -100] if info.min else []
    candidates = {*near, *(int(v) for v in some), 1 << (info.bits // 2)}
    return sorted(v for v in candidates if info.min <= v <= info.max)


def pairs(kind: str) -> tuple[np.ndarray, np.ndarray]:
    a, b = zip(*itertools.product(corners(kind), repeat=2), strict=True)
    return np.array(a, dtype=INTEGER[kind]), np.array(b, dtype=INTEGER[kind])


def wrap(values, kind: str) -> list[int]:
    info = np.iinfo(INTEGER[kind])
    return [(v - info.min) % (1 << info.bits) + info.min for v in values]


def quotient(a: int, b: int) -> int:
    return -1 if b == 0 else (abs(a) // abs(b)) * (1 if (a < 0) == (b < 0) else -1)


def remainder(a: int, b: int) -> int:
    return -1 if b == 0 else a - b * quotient(a, b)


TWO_OPERANDS = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul.lo": lambda a, b: a * b,
    "div": quotient,
    "rem": remainder,
    "min": min,
    "max": max,
}


@pytest.mark.parametrize("kind", INTEGER)
@pytest.mark.parametrize("name", TWO_OPERANDS)
def test_integer_arithmetic(card, name, kind):
    a, b = pairs(kind)
    got = apply(card, f"{name}.{kind} %d, %0, %1;", kind, (kind, a), (kind, b))
    oracle = TWO_OPERANDS[name]
    expected = [oracle(x, y) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    assert got.tolist() == wrap(expected, kind)


@pytest.mark.parametrize("kind", ["u16", "s16", "u32", "s32"])
def test_wide_and_high_products(card, kind):
    a, b = pairs(kind)
    width = np.iinfo(INTEGER[kind]).bits
    double = f"{kind[0]}{2 * width}"
    products = [x * y for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    got = apply(card, f"mul.wide.{kind} %d, %0, %1;", double, (kind, a), (kind, b))
    assert got.tolist() == products
    got = apply(card, f"mul.hi.{kind} %d, %0, %1;", kind, (kind, a), (kind, b))
    assert got.tolist() == [p >> width for p in products]


@pytest.mark.parametrize("kind", ["u64", "s64"])
def test_high_products_of_64_bits(card, kind):
    a, b = pairs(kind)
    got = apply(card, f"mul.hi.{kind} %d, %0, %1;", kind, (kind, a), (kind, b))
    assert got.tolist() == [x * y >> 64 for x, y in zip(a.tolist(), b.tolist(), strict=True)]


def test_multiply_add_and_sums_of_differences(card):
    a, b = pairs("s32")
    c = b[::-1].copy()
    triples = list(zip(a.tolist(), b.tolist(), c.tolist(), strict=True))
    operands = (("s32", a), ("s32", b), ("s32", c))
    got = apply(card, "mad.lo.s32 %d, %0, %1, %2;", "s32", *operands)
    assert got.tolist() == wrap([x * y + z for x, y, z in triples], "s32")
    got = apply(card, "mad.hi.s32 %d, %0, %1, %2;", "s32", *operands)
    assert got.tolist() == wrap([(x * y >> 32) + z for x, y, z in triples], "s32")
    got = apply(card, "sad.s32 %d, %0, %1, %2;", "s32", *operands)
    assert got.tolist() == wrap([abs(x - y) + z for x, y, z in triples], "s32")
    got = apply(card, "add.sat.s32 %d, %0, %1;", "s32", *operands[:2])
    assert got.tolist() == [min(max(x + y, -(2**31)), 2**31 - 1) for x, y, _ in triples]
    got = apply(card, "mul24.lo.s32 %d, %0, %1;", "s32", *operands[:2])

    def low24(v: int) -> int:
        return (v + 2**23) % 2**24 - 2**23

    assert got.tolist() == wrap([low24(x) * low24(y) for x, y, _ in triples], "s32")


@pytest.mark.parametrize("kind", ["u32", "s32", "u64", "s64"])
def test_bits_of_integers(card, kind):
    a = np.array(corners(kind), dtype=INTEGER[kind])
    width = np.iinfo(INTEGER[kind]).bits
    raw = [v % (1 << width) for v in a.tolist()]
    b = f"b{width}"
    assert apply(card, f"popc.{b} %d, %0;", "u32", (kind, a)).tolist() == [
        v.bit_count() for v in raw
    ]
    assert apply(card, f"clz.{b} %d, %0;", "u32", (kind, a)).tolist() == [
        width - v.bit_length() for v in raw
    ]
    reversed_ = [int(f"{v:0{width}b}"[::-1], 2) for v in raw]
    assert apply(card, f"brev.{b} %d, %0;", f"u{width}", (kind, a)).tolist() == reversed_
    signless = [(v if v >= 0 else ~v) if kind[0] == "s" else v for v in a.tolist()]
    found = [v.bit_length() - 1 if v else 2**32 - 1 for v in signless]
    assert apply(card, f"bfind.{kind} %d, %0;", "u32", (kind, a)).tolist() == found


@pytest.mark.parametrize("kind", ["u16", "s16", "u32", "s32", "u64", "s64"])
def test_shifts_beyond_the_width(card, kind):
    values, amounts = zip(
        *itertools.product(
            corners(kind), [0, 1, 5, 15, 16, 31, 32, 33, 63, 64, 65, 255, 2**32 - 1]
        ),
        strict=True,
    )
    a, by = np.array(values, dtype=INTEGER[kind]), np.array(amounts, dtype=np.uint32)
    width = np.iinfo(INTEGER[kind]).bits
    got = apply(card, f"shl.b{width} %d, %0, %1;", kind, (kind, a), ("u32", by))
    shifted = [v << s if s < width else 0 for v, s in zip(values, amounts, strict=True)]
    assert got.tolist() == wrap(shifted, kind)
    got = apply(card, f"shr.{kind} %d, %0, %1;", kind, (kind, a), ("u32", by))
    assert got.tolist() == [v >> min(s, 200) for v, s in zip(values, amounts, strict=True)]


def test_fields_funnels_and_bytes(card):
    random = np.random.default_rng(1)
    a, b = (random.integers(0, 2**32, 400, dtype=np.uint32) for _ in range(2))
    position = np.tile([0, 1, 7, 31, 32, 40, 255, 256], 50).astype(np.uint32)
    length = np.repeat([0, 1, 8, 31, 32, 33, 255, 256], 50).astype(np.uint32)
    rows = list(
        zip(a.tolist(), b.tolist(), (position & 255).tolist(), (length & 255).tolist(), strict=True)
    )
    got = apply(
        card, "bfe.u32 %d, %0, %1, %2;", "u32", ("u32", a), ("u32", position), ("u32", length)
    )
    assert got.tolist() == [(x >> p) & ((1 << n) - 1) & 0xFFFFFFFF for x, _, p, n in rows]

    def signed_field(x: int, p: int, n: int) -> int:
        value = x - (x >> 31 << 32)
        field = (value >> p) & ((1 << n) - 1)
        top = min(p + n - 1, 31)
        return 0 if n == 0 else field | (-1 << n if value >> top & 1 else 0)

    got = apply(
        card, "bfe.s32 %d, %0, %1, %2;", "s32", ("u32", a), ("u32", position), ("u32", length)
    )
    assert got.tolist() == wrap([signed_field(x, p, n) for x, _, p, n in rows], "s32")
    got = apply(
        card, "bfi.b32 %d, %0, %1, %2, %3;", "u32",
        ("u32", a), ("u32", b), ("u32", position), ("u32", length),
    )  # fmt: skip
    masks = [((1 << n) - 1) << p & 0xFFFFFFFF for _, _, p, n in rows]
    assert got.tolist() == [
        (y & ~m) | (x << p & m) for (x, y, p, _), m in zip(rows, masks, strict=True)
    ]
    for mode, limit in (("wrap", lambda s: s & 31), ("clamp", lambda s: min(s, 32))):
        operands = (("u32", a), ("u32", b), ("u32", position))
        rows = zip(a.tolist(), b.tolist(), position.tolist(), strict=True)
        wide = [(y << 32 | x, limit(s)) for x, y, s in rows]
        got = apply(card, f"shf.r.{mode}.b32 %d, %0, %1, %2;", "u32", *operands)
        assert got.tolist() == [w >> s & 0xFFFFFFFF for w, s in wide]
        got = apply(card, f"shf.l.{mode}.b32 %d, %0, %1, %2;", "u32", *operands)
        assert got.tolist() == [(w << s >> 32) & 0xFFFFFFFF for w, s in wide]
    selector = random.integers(0, 2**16, 400, dtype=np.uint32)
    got = apply(card, "prmt.b32 %d, %0, %1, %2;", "u32", ("u32", a), ("u32", b), ("u32", selector))

    def permuted(x: int, y: int, s: int) -> int:
        whole, total = (y << 32 | x).to_bytes(8, "little"), 0
        for i in range(4):
            nibble = s >> 4 * i & 15
            byte = whole[nibble & 7]
            total |= (byte if nibble < 8 else 255 * (byte >> 7)) << 8 * i
        return total

    assert got.tolist() == [
        permuted(*row) for row in zip(a.tolist(), b.tolist(), selector.tolist(), strict=True)
    ]


@pytest.mark.parametrize("table", [0x00, 0x80, 0x96, 0xCA, 0xE8, 0xFF, 0x2B])
def test_lop3_is_its_truth_table(card, table):
    random = np.random.default_rng(table)
    a, b, c = (random.integers(0, 2**32, 64, dtype=np.uint32) for _ in range(3))
    got = apply(
        card, f"lop3.b32 %d, %0, %1, %2, {table};", "u32", ("u32", a), ("u32", b), ("u32", c)
    )
    expected = np.zeros(64, dtype=np.uint32)
    for bit in range(32):
        one = np.uint32(bit)
        row = (a >> one & 1) * 4 + (b >> one & 1) * 2 + (c >> one & 1)
        expected |= (np.uint32(table) >> row & 1) << one
    assert (got == expected).all()


@pytest.mark.parametrize("kinds", ["u32.u32", "s32.s32", "u32.s32", "s32.u32"])
def test_dot_products_of_bytes(card, kinds):
    random = np.random.default_rng(3)
    a, b, c = (random.integers(0, 2**32, 128, dtype=np.uint32) for _ in range(3))
    got = apply(card, f"dp4a.{kinds} %d, %0, %1, %2;", "u32", ("u32", a), ("u32", b), ("u32", c))
    views = [
        v.view(np.int8 if kind == "s32" else np.uint8).reshape(-1, 4).astype(np.int64)
        for v, kind in zip((a, b), kinds.split("."), strict=True)
    ]
    expected = (views[0] * views[1]).sum(1) + c.astype(np.int64)
    assert got.tolist() == (expected % 2**32).tolist()


# --- floating point -----------------------------------------------------------------------------

FORMATS = {"f16": ("<e", "<H"), "f32": ("<f", "<I"), "f64": ("<d", "<Q")}


@pytest.mark.parametrize("mode", ["rn", "rz", "rm", "rp"])
@pytest.mark.parametrize("kind", ["f32", "f64"])
@pytest.mark.parametrize("name", ["add", "sub", "mul", "div"])
def test_floating_point_in_every_rounding(card, name, kind, mode):
    a, b = all_pairs(floats(kind))
    got = apply(card, f"{name}.{mode}.{kind} %d, %0, %1;", kind, (kind, a), (kind, b))
    same(got, [exact(name, kind, mode, x, y) for x, y in zip(a.tolist(), b.tolist(), strict=True)])


@pytest.mark.parametrize("mode", ["rn", "rz", "rm", "rp"])
@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_fma_is_rounded_once(card, kind, mode):
    a, b = all_pairs(floats(kind, 5))
    c = np.roll(a, 7) * np.where(np.arange(len(a)) % 3 == 0, -1, 1).astype(a.dtype)
    near = np.arange(len(a)) % 4 == 1  # cancels all but the product's last bits
    with np.errstate(all="ignore"):
        c = np.where(near, -(a * b), c).astype(a.dtype)
    operands = ((kind, a), (kind, b), (kind, c))
    got = apply(card, f"fma.{mode}.{kind} %d, %0, %1, %2;", kind, *operands)
    triples = zip(a.tolist(), b.tolist(), c.tolist(), strict=True)
    same(got, [exact("fma", kind, mode, *t) for t in triples])


@pytest.mark.parametrize("mode", ["rn", "rz", "rm", "rp"])
@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_square_roots(card, kind, mode):
    a = np.abs(floats(kind, 200))
    got = apply(card, f"sqrt.{mode}.{kind} %d, %0;", kind, (kind, a))
    scale = 2**600

    def root(x: float) -> float:
        if not math.isfinite(x) or x == 0:
            return x
        f = Fraction(x) * scale**2
        low = math.isqrt(f.numerator // f.denominator)
        exactly = low * low * f.denominator == f.numerator
        # strictly between two integers when not exact: the half keeps it so
        return rounded(Fraction(2 * low + (not exactly), 2 * scale), kind, mode, 1)

    same(got, [root(x) for x in a.tolist()])


def test_flush_and_saturation(card):
    a, b = all_pairs(floats("f32"))
    got = apply(card, "add.ftz.f32 %d, %0, %1;", "f32", ("f32", a), ("f32", b))

    def flushed(x: float) -> float:
        return math.copysign(0.0, x) if abs(x) < 2.0**-126 else x

    pairs_ = list(zip(a.tolist(), b.tolist(), strict=True))
    same(got, [flushed(exact("add", "f32", "rn", flushed(x), flushed(y))) for x, y in pairs_])
    got = apply(card, "add.sat.f32 %d, %0, %1;", "f32", ("f32", a), ("f32", b))
    sums = [exact("add", "f32", "rn", x, y) for x, y in pairs_]
    same(got, [0.0 if math.isnan(s) else min(max(s, 0.0), 1.0) + 0.0 for s in sums])


@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_minimum_and_maximum(card, kind):
    a, b = all_pairs(floats(kind))

    def least(x: float, y: float, pick) -> float:
        if math.isnan(x) or math.isnan(y):
            return y if math.isnan(x) else x
        if x == y == 0:
            return pick(x, y, key=lambda v: math.copysign(1, v))
        return pick(x, y)

    for name, pick in (("min", min), ("max", max)):
        got = apply(card, f"{name}.{kind} %d, %0, %1;", kind, (kind, a), (kind, b))
        same(got, [least(x, y, pick) for x, y in zip(a.tolist(), b.tolist(), strict=True)])
    if kind == "f32":
        got = apply(card, "min.NaN.f32 %d, %0, %1;", kind, (kind, a), (kind, b))
        assert (np.isnan(got) == (np.isnan(a) | np.isnan(b))).all()


COMPARE = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}


@pytest.mark.parametrize("name", [*COMPARE, *(f"{n}u" for n in COMPARE), "num", "nan"])
def test_comparisons_of_floats(card, name):
    a, b = all_pairs(floats("f32", 3))
    code = f"setp.{name}.f32 %p, %0, %1; selp.u32 %d, 1, 0, %p;"
    got = apply(card, code, "u32", ("f32", a), ("f32", b))
    unordered = np.isnan(a) | np.isnan(b)
    if name in ("num", "nan"):
        expected = unordered == (name == "nan")
    elif name in COMPARE:
        expected = COMPARE[name](a, b) & ~unordered
    else:
        expected = COMPARE[name[:-1]](a, b) | unordered
    assert (got == expected).all()


@pytest.mark.parametrize("kind", ["u32", "s32", "u64", "s64", "s16", "u16"])
@pytest.mark.parametrize("name", COMPARE)
def test_comparisons_of_integers(card, name, kind):
    a, b = pairs(kind)
    code = f"setp.{name}.{kind} %p|%q, %0, %1; selp.u32 %d, 1, 0, %p; @%q add.u32 %d, %d, 2;"
    got = apply(card, code, "u32", (kind, a), (kind, b))
    holds = COMPARE[name](a, b)
    assert (got == np.where(holds, 1, 2)).all()


# --- conversions --------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["u8", "s8", *INTEGER])
@pytest.mark.parametrize("source", ["f16", "f32", "f64"])
@pytest.mark.parametrize("mode", ["rni", "rzi", "rmi", "rpi"])
def test_floats_to_integers_clamp(card, mode, source, target):
    info = np.iinfo(STORED[target])
    edges = [info.max, info.max + 1, info.min, info.min - 1, 2.5, -2.5, 3.5, 0.5, -0.5, 1e30, -1e30]
    with np.errstate(over="ignore"):
        a = np.array([*floats(source), *edges], dtype=FLOAT[source])
    got = apply(card, f"cvt.{mode}.{target}.{source} %d, %0;", target, (source, a))
    whole = {"rni": round, "rzi": math.trunc, "rmi": math.floor, "rpi": math.ceil}[mode]
    for value, result in zip(a.tolist(), got.tolist(), strict=True):
        if math.isnan(value):
            continue
        number = (info.max if value > 0 else info.min) if math.isinf(value) else whole(value)
        assert result == min(max(number, info.min), info.max), value


def test_nan_to_integer_is_zero_in_32_bits(card):
    nan = np.array([np.nan], dtype=np.float32)
    assert apply(card, "cvt.rzi.s32.f32 %d, %0;", "s32", ("f32", nan))[0] == 0
    assert apply(card, "cvt.rzi.u32.f32 %d, %0;", "u32", ("f32", nan))[0] == 0


@pytest.mark.parametrize("source", ["u32", "s32", "u64", "s64", "u16", "s16"])
@pytest.mark.parametrize("target", ["f32", "f64"])
@pytest.mark.parametrize("mode", ["rn", "rz", "rm", "rp"])
def test_integers_to_floats(card, mode, target, source):
    if mode != "rn" and source.endswith("16"):
        mode = "rn"  # always exact: the compiler has no reason for another rounding
    a = np.array(corners(source), dtype=INTEGER[source])
    got = apply(card, f"cvt.{mode}.{target}.{source} %d, %0;", target, (source, a))
    same(got, [rounded(Fraction(v), target, mode, 1) for v in a.tolist()])


@pytest.mark.parametrize("mode", ["rn", "rz", "rm", "rp"])
@pytest.mark.parametrize(("target", "source"), [("f32", "f64"), ("f16", "f32")])
def test_narrower_floats(card, mode, target, source):
    tiny = float(np.finfo(FLOAT[target]).smallest_subnormal)
    more = [tiny / 2, tiny * 0.75, -tiny / 2, tiny * 1.5, float(np.finfo(FLOAT[target]).max) * 1.01]
    a = np.array([*floats(source, 200), *floats(target), *more], dtype=FLOAT[source])
    if source == "f32" and mode != "rn":
        a = a[np.abs(a) < 1e30]
    got = apply(card, f"cvt.{mode}.{target}.{source} %d, %0;", target, (source, a))
    same(
        got,
        [
            rounded(Fraction(v), target, mode, int(math.copysign(1, v))) if math.isfinite(v) else v
            for v in a.tolist()
        ],
    )


def test_wider_floats_are_exact(card):
    every_half = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    got = apply(card, "cvt.f32.f16 %d, %0;", "f32", ("f16", every_half))
    same(got, every_half.astype(np.float64).tolist())


def test_bfloat16_and_tf32(card):
    a = np.concatenate([floats("f32", 300), np.arange(1, 2, 1 / 1000, dtype=np.float32)])
    got = apply(card, "cvt.rn.bf16.f32 %d, %0;", "bf16", ("f32", a))
    expected = a.astype(ml_dtypes.bfloat16)
    nan = np.isnan(a)
    assert (got[~nan] == expected.view(np.uint16)[~nan]).all()
    assert np.isnan(got.view(ml_dtypes.bfloat16)[nan].astype(np.float32)).all()
    back = apply(card, "cvt.f32.bf16 %d, %0;", "f32", ("bf16", got))
    same(back, expected.astype(np.float64).tolist())
    finite = a[np.isfinite(a) & (np.abs(a) < 1e38)]
    got = apply(card, "cvt.rna.tf32.f32 %d, %0;", "tf32", ("f32", finite))
    whole = finite.view(np.uint32).astype(np.uint64)
    assert (got == ((whole + 0x1000) & 0xFFFFE000)).all()


@pytest.mark.parametrize(
    ("target", "source"),
    [("u8", "u32"), ("s8", "s32"), ("u16", "s32"), ("s64", "s32"), ("u64", "u32"), ("s32", "u16"),
     ("s32", "s64"), ("u32", "u64"), ("s64", "s16")],
)  # fmt: skip
def test_integers_to_integers(card, target, source):
    a = np.array(corners(source), dtype=INTEGER[source])
    got = apply(card, f"cvt.{target}.{source} %d, %0;", target, (source, a))
    assert (got == a.astype(STORED[target])).all()
    info = np.iinfo(STORED[target])
    if info.bits < np.iinfo(INTEGER[source]).bits:
        got = apply(card, f"cvt.sat.{target}.{source} %d, %0;", target, (source, a))
        assert got.tolist() == [min(max(v, info.min), info.max) for v in a.tolist()]


def test_a_predicate_keeps_what_was_there(card):
    a = np.arange(100, dtype=np.uint32)
    code = "mov.u32 %d, 7; setp.lt.u32 %p, %0, 50; @%p add.u32 %d, %0, 1; @!%p sub.u32 %d, %d, 2;"
    got = apply(card, code, "u32", ("u32", a))
    assert got.tolist() == [v + 1 if v < 50 else 5 for v in range(100)]


def test_values_split_and_joined(card):
    a = np.array(corners("u64"), dtype=np.uint64)
    code = "{ .reg .b32 lo, hi; mov.b64 {lo, hi}, %0; mov.b64 %d, {hi, lo}; }"
    got = apply(card, code, "u64", ("u64", a))
    assert got.tolist() == [
        struct.unpack("<Q", struct.pack("<II", v >> 32, v & 0xFFFFFFFF))[0] for v in a.tolist()
    ]
