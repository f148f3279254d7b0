"""Integer, bit, comparison and half-precision instructions that other files do not reach."""

from __future__ import annotations

import itertools
import math
import operator

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.emulator.oracle import STORED, all_pairs, apply, floats

WORDS = st.integers(0, 2**32 - 1)
CORNERS = [0, 1, 2, 31, 32, 33, 0x7F, 0x80, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000,
           0xFFFFFFFF, 0xFFFFFF80, 0x12345678]  # fmt: skip
RAW = {"f16": "b16", "bf16": "b16", "f32": "b32", "f64": "b64"}  # as bits
HALVES = {"f16": np.float16, "bf16": ml_dtypes.bfloat16}


def signed(value: int, bits: int = 32) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def of_kind(value: int, kind: str) -> int:
    bits = int(kind[1:])
    return signed(value, bits) if kind[0] == "s" else value & ((1 << bits) - 1)


def words(*columns) -> list[tuple[str, np.ndarray]]:
    return [("u32", np.array(column, dtype=np.uint32)) for column in columns]


def corners(count: int) -> list[tuple[int, ...]]:
    """Columns of all pairs of corners, and more that are shuffled."""
    rows = list(itertools.product(CORNERS, repeat=2))
    columns = list(zip(*rows, strict=True))
    random = np.random.default_rng(4)
    extra = [tuple(int(v) for v in random.choice(CORNERS, len(rows))) for _ in range(count - 2)]
    return [*columns, *extra]


# --- integers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kinds", itertools.product(["u32", "s32"], repeat=2))
@pytest.mark.parametrize("half", ["lo", "hi"])
def test_dp2a(card, half, kinds):
    a, b, c = corners(3)
    got = apply(card, f"dp2a.{half}.{'.'.join(kinds)} %d, %0, %1, %2;", "u32", *words(a, b, c))
    first = 2 if half == "hi" else 0

    def dot(x, y, z):
        for i in range(2):
            left = of_kind(x >> 16 * i, kinds[0][0] + "16")
            z += left * of_kind(y >> 8 * (first + i), kinds[1][0] + "8")
        return z & 0xFFFFFFFF

    assert got.tolist() == [dot(*row) for row in zip(a, b, c, strict=True)]


@pytest.mark.parametrize("kind", ["u32", "s32"])
def test_24_bits(card, kind):
    a, b, c = corners(3)
    low = [[of_kind(v, kind[0] + "24") for v in column] for column in (a, b)]
    products = [x * y for x, y in zip(*low, strict=True)]
    for half, shift in (("lo", 0), ("hi", 16)):
        got = apply(card, f"mul24.{half}.{kind} %d, %0, %1;", "u32", *words(a, b))
        assert got.tolist() == [p >> shift & 0xFFFFFFFF for p in products]
        got = apply(card, f"mad24.{half}.{kind} %d, %0, %1, %2;", "u32", *words(a, b, c))
        sums = [(p >> shift) + z & 0xFFFFFFFF for p, z in zip(products, c, strict=True)]
        assert got.tolist() == sums
    if kind == "s32":
        got = apply(card, "mad24.hi.sat.s32 %d, %0, %1, %2;", "s32", *words(a, b, c))
        sums = [signed(p >> 16) + signed(z) for p, z in zip(products, c, strict=True)]
        assert got.tolist() == [min(max(s, -(2**31)), 2**31 - 1) for s in sums]


@pytest.mark.parametrize("bits", [32, 64])
def test_sums_of_many_words(card, bits):
    """Two words through a chain of carries, against one number twice as long."""
    random = np.random.default_rng(bits)
    top = (1 << bits) - 1
    some = [0, 1, top, top - 1, 1 << (bits - 1), *map(int, random.integers(0, 2**32, 4))]
    columns = [np.array(c, dtype=f"u{bits // 8}") for c in zip(*itertools.product(some, repeat=3))]  # noqa: B905
    kind = f"u{bits}"
    operands = [(kind, c) for c in columns]
    a, b, c = (column.tolist() for column in columns)
    rows = list(zip(a, b, c, strict=True))
    r = f"{{ .reg .b{bits} t; "
    code = f"{r}add.cc.{kind} t, %0, %1; addc.{kind} %d, %2, %1; }}"
    got = apply(card, code, kind, *operands)
    assert got.tolist() == [((z << bits | x) + (y << bits | y) >> bits) & top for x, y, z in rows]
    code = f"{r}sub.cc.{kind} t, %0, %1; subc.cc.{kind} t, %2, %1; subc.{kind} %d, 0, 0; }}"
    got = apply(card, code, kind, *operands)
    wide = [(z << bits | x) - (y << bits | y) for x, y, z in rows]
    assert got.tolist() == [v >> 2 * bits & top for v in wide]
    code = f"{r}mad.lo.cc.{kind} t, %0, %1, %2; madc.hi.{kind} %d, %0, %1, %2; }}"
    got = apply(card, code, kind, *operands)
    assert got.tolist() == [(x * y + (z << bits | z) >> bits) & top for x, y, z in rows]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(WORDS, st.integers(0, 40), st.integers(-40, 40)), min_size=1, max_size=99)
)
def test_the_nth_set_bit(card, rows):
    mask, base, offset = zip(*rows, strict=True)
    bases = [b & 31 for b in base]
    operands = words(mask, bases, [v % 2**32 for v in offset])
    got = apply(card, "fns.b32 %d, %0, %1, %2;", "u32", *operands)

    def nth(m: int, start: int, n: int) -> int:
        if n == 0:
            return start if m >> start & 1 else 0xFFFFFFFF
        step, left = (1, n) if n > 0 else (-1, -n)
        while 0 <= start < 32:
            left -= m >> start & 1
            if not left:
                return start
            start += step
        return 0xFFFFFFFF

    assert got.tolist() == [nth(*row) for row in zip(mask, bases, offset, strict=True)]


def test_fields_made_and_extended(card):
    a, b = corners(2)
    wrapped = [y & 31 for y in b]
    for kind in ("u32", "s32"):
        for mode, width in (("clamp", [min(y, 32) for y in b]), ("wrap", wrapped)):
            got = apply(card, f"szext.{mode}.{kind} %d, %0, %1;", "u32", *words(a, b))
            wanted = [of_kind(x, f"{kind[0]}{w}") & 0xFFFFFFFF if w else 0
                      for x, w in zip(a, width, strict=True)]  # fmt: skip
            assert got.tolist() == wanted
    got = apply(card, "bmsk.clamp.b32 %d, %0, %1;", "u32", *words(a, b))
    ones = [((1 << min(w, 32)) - 1 << min(p, 32)) & 0xFFFFFFFF for p, w in zip(a, b, strict=True)]
    assert got.tolist() == ones
    got = apply(card, "bmsk.wrap.b32 %d, %0, %1;", "u32", *words(a, b))
    ones = [((1 << w) - 1 << (p & 31)) & 0xFFFFFFFF for p, w in zip(a, wrapped, strict=True)]
    assert got.tolist() == ones


@pytest.mark.parametrize("kind", ["u32", "s32", "u64", "s64"])
def test_how_far_to_shift_for_the_first_digit(card, kind):
    bits = int(kind[1:])
    values = [*CORNERS, *(((1 << bits) - 1) ^ v for v in CORNERS)]
    got = apply(
        card,
        f"bfind.shiftamt.{kind} %d, %0;",
        "u32",
        (f"u{bits}", np.array(values, f"u{bits // 8}")),
    )
    digits = [of_kind(v, kind) for v in values]
    wanted = [(v if v >= 0 else ~v).bit_length() for v in digits]
    assert got.tolist() == [bits - w if w else 0xFFFFFFFF for w in wanted]


MODES = {
    "f4e": lambda c, i: c + i, "b4e": lambda c, i: (c - i) % 8, "rc8": lambda c, i: c,
    "ecl": max, "ecr": min, "rc16": lambda c, i: 2 * (c & 1) + (i & 1),
}  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
def test_permutations_by_mode(card, mode):
    a, b, c = corners(3)
    rows = list(zip(a, b, c, strict=True))
    got = apply(card, f"prmt.b32.{mode} %d, %0, %1, %2;", "u32", *words(a, b, c))

    def permuted(x: int, y: int, z: int) -> int:
        source = (y << 32 | x).to_bytes(8, "little")
        return int.from_bytes(bytes(source[MODES[mode](z & 3, i)] for i in range(4)), "little")

    assert got.tolist() == [permuted(*row) for row in rows]
    for known in range(4):
        got = apply(card, f"prmt.b32.{mode} %d, %0, %1, {known};", "u32", *words(a, b))
        assert got.tolist() == [permuted(x, y, known) for x, y, _ in rows]


@pytest.mark.parametrize("join", ["and", "or"])
def test_a_truth_table_with_a_predicate(card, join):
    a, b, c = corners(3)
    code = f"{{ setp.lt.u32 %q, %0, %1; lop3.{join}.b32 %d|%p, %0, %1, %2, 0xe8, %q; "
    code += "and.b32 %d, %d, 0xfffffffe; @%p or.b32 %d, %d, 1; }"
    got = apply(card, code, "u32", *words(a, b, c))
    combine = {"and": operator.and_, "or": operator.or_}[join]
    majority = [x & y | y & z | x & z for x, y, z in zip(a, b, c, strict=True)]
    wanted = [m & ~1 | int(combine(m != 0, x < y)) for m, x, y in zip(majority, a, b, strict=True)]
    assert got.tolist() == wanted


@pytest.mark.parametrize("kind", ["u16x2", "s16x2"])
@pytest.mark.parametrize("op", ["add", "sub", "min", "max", "min.relu", "max.relu"])
def test_pairs_of_short_integers(card, op, kind):
    if "relu" in op and kind == "u16x2":
        op = op.partition(".")[0]  # for signed ones only
    a, b = corners(2)
    got = apply(card, f"{op}.{kind} %d, %0, %1;", "u32", *words(a, b))
    operation = {"add": operator.add, "sub": operator.sub, "min": min, "max": max}[op[:3]]

    def each(x: int, y: int) -> int:
        total = 0
        for shift in (0, 16):
            value = operation(of_kind(x >> shift, kind[:3]), of_kind(y >> shift, kind[:3]))
            value = max(value, 0) if "relu" in op else value
            total |= (value & 0xFFFF) << shift
        return total

    assert got.tolist() == [each(x, y) for x, y in zip(a, b, strict=True)]


def test_choices_by_sign(card):
    a, b = corners(2)
    c = floats("f32", len(a))
    c = np.resize(c, len(a))
    got = apply(card, "slct.u32.s32 %d, %0, %1, %2;", "u32", *words(a, b, a[::-1]))
    rows = zip(a, b, a[::-1], strict=True)
    assert got.tolist() == [x if signed(z) >= 0 else y for x, y, z in rows]
    tiny = np.float32(-1e-40)
    c[3] = tiny
    got = apply(card, "slct.u32.f32 %d, %0, %1, %2;", "u32", *words(a, b), ("f32", c))
    assert got.tolist() == [x if z >= 0 else y for x, y, z in zip(a, b, c, strict=True)]
    got = apply(card, "slct.ftz.u32.f32 %d, %0, %1, %2;", "u32", *words(a, b), ("f32", c))
    flushed = np.where(np.abs(c) < 2.0**-126, np.float32(0), c)
    assert got.tolist() == [x if z >= 0 else y for x, y, z in zip(a, b, flushed, strict=True)]


# --- floating point -----------------------------------------------------------------------------

CLASSES = {
    "finite": math.isfinite, "infinite": math.isinf, "number": lambda v: not math.isnan(v),
    "notanumber": math.isnan,
}  # fmt: skip


@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_classes_of_numbers(card, kind):
    a = floats(kind)
    least = float(np.finfo(a.dtype).tiny)
    tests = {
        **CLASSES,
        "normal": lambda v: math.isfinite(v) and (v == 0 or abs(v) >= least),
        "subnormal": lambda v: 0 < abs(v) < least,
    }
    for name, holds in tests.items():
        code = f"testp.{name}.{kind} %p, %0; selp.u32 %d, 1, 0, %p;"
        got = apply(card, code, "u32", (kind, a))
        assert got.tolist() == [int(holds(v)) for v in a.tolist()]
    b = a[::-1].copy()
    got = apply(card, f"copysign.{kind} %d, %0, %1;", kind, (kind, a), (kind, b))
    whole = f"u{a.itemsize}"
    assert (got.view(whole) == np.copysign(b, a).view(whole)).all()


def least(a: float, b: float, pick, nan: bool) -> float:
    if math.isnan(a) or math.isnan(b):
        return math.nan if nan or (math.isnan(a) and math.isnan(b)) else b if math.isnan(a) else a
    return pick(a, b, key=lambda v: (v, math.copysign(1, v)))


def alike(got: list[float], wanted: list[float]) -> None:
    for index, (g, w) in enumerate(zip(got, wanted, strict=True)):
        same = g == w and math.copysign(1, g) == math.copysign(1, w)
        assert same or (g != g and w != w), (index, g, w)


@pytest.mark.parametrize("form", ["", ".NaN", ".xorsign.abs", ".NaN.xorsign.abs"])
@pytest.mark.parametrize("kind", ["f16", "bf16", "f32"])
def test_least_and_greatest(card, kind, form):
    base = floats("f16" if kind == "f16" else "f32", 8)
    a, b = all_pairs(base.astype(HALVES.get(kind, np.float32)))
    raw = RAW[kind]
    stored = (a.view(STORED[raw]), b.view(STORED[raw]))
    for name, pick in (("min", min), ("max", max)):
        got = apply(card, f"{name}{form}.{kind} %d, %0, %1;", kind,
                    *((raw, v) for v in stored))  # fmt: skip
        wanted = []
        for x, y in zip(a.astype(float).tolist(), b.astype(float).tolist(), strict=True):
            left, right = (abs(x), abs(y)) if "xorsign" in form else (x, y)
            value = least(left, right, pick, "NaN" in form)
            if "xorsign" in form:
                value = math.copysign(value, math.copysign(1, x) * math.copysign(1, y))
            wanted.append(value)
        alike(got.view(a.dtype).astype(float).tolist(), wanted)


OPERATIONS = {"add": lambda a, b, c: a + b, "sub": lambda a, b, c: a - b,
              "mul": lambda a, b, c: a * b, "fma": lambda a, b, c: a * b + c}  # fmt: skip


@pytest.mark.parametrize("name", HALVES)
@pytest.mark.parametrize("op", OPERATIONS)
@pytest.mark.parametrize("form", ["", ".sat", ".relu", ".ftz"])
def test_halves_saturated_clamped_and_flushed(card, op, form, name):
    """f64 holds the exact result of numbers of so few digits and near exponents."""
    if (form == ".relu" and op != "fma") or (name == "bf16" and form in (".sat", ".ftz")):
        form = ""  # not in the ISA
    dtype = HALVES[name]
    info = ml_dtypes.finfo(dtype)
    tiny = float(info.smallest_normal)
    special = [0.0, -0.0, 1.0, -1.0, 0.5, 1.5, -0.25, 3.0, math.inf, -math.inf, math.nan]
    special += [tiny, -tiny] if name == "bf16" else [tiny, tiny / 2, -tiny / 4, 100.0, -1000.0]
    a, b = all_pairs(np.array(special).astype(dtype))
    c = np.roll(a, 3)
    operands = [("b16", v.view(np.uint16)) for v in (a, b, c)][: 3 if op == "fma" else 2]
    text = ", ".join(f"%{i}" for i in range(len(operands)))
    got = apply(card, f"{op}.rn{form}.{name} %d, {text};", name, *operands)
    numbers = [v.astype(np.float64) for v in (a, b, c)]
    if form == ".ftz":
        numbers = [np.where(np.abs(v) < tiny, np.copysign(0.0, v), v) for v in numbers]
    with np.errstate(all="ignore"):
        wanted = OPERATIONS[op](*numbers).astype(dtype).astype(np.float64)
    if form == ".sat":
        wanted = np.where(np.isnan(wanted) | (wanted <= 0), 0.0, np.minimum(wanted, 1.0))
    if form == ".relu":
        wanted = np.where(wanted <= 0, 0.0, wanted)
    if form == ".ftz":
        wanted = np.where(np.abs(wanted) < tiny, np.copysign(0.0, wanted), wanted)
    alike(got.view(dtype).astype(float).tolist(), wanted.tolist())


@pytest.mark.parametrize("name", HALVES)
@pytest.mark.parametrize(("op", "oracle"), [("ex2", np.exp2), ("tanh", np.tanh)])
def test_functions_of_halves(card, op, oracle, name):
    """Within 2**-9.9 (f16) or 2**-7 (bf16) relative, as the ISA states, and a rounding."""
    every = np.arange(1 << 16, dtype=np.uint16)
    ftz = ".ftz" if (op, name) == ("ex2", "bf16") else ""
    got = apply(card, f"{op}.approx{ftz}.{name} %d, %0;", name, ("b16", every)).view(HALVES[name])
    paired = apply(
        card, f"{op}.approx{ftz}.{name}x2 %d, %0;", "b32", ("b32", every.view(np.uint32))
    )
    assert (paired.view(np.uint16) == got.view(np.uint16)).all()
    x = every.view(HALVES[name]).astype(np.float64)
    with np.errstate(all="ignore"):
        wanted = oracle(x)
    small = float(ml_dtypes.finfo(HALVES[name]).smallest_normal)
    top = float(ml_dtypes.finfo(HALVES[name]).max)
    sure = np.isfinite(x) & (np.abs(wanted) >= small) & (np.abs(wanted) <= top)
    error = np.abs(got.astype(np.float64)[sure] - wanted[sure])
    bound = {"f16": 2**-9.9, "bf16": 2**-7}[name]
    assert (error <= bound * np.abs(wanted[sure])).all()
    assert (np.isnan(got.astype(float)) == np.isnan(x)).all()


COMPARE = {"eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "le": operator.le,
           "gt": operator.gt, "ge": operator.ge}  # fmt: skip


@pytest.mark.parametrize("kind", ["f16", "bf16", "f64"])
@pytest.mark.parametrize("name", [*COMPARE, *(f"{n}u" for n in COMPARE), "num", "nan"])
def test_results_of_comparisons(card, name, kind):
    dtype = HALVES.get(kind, np.float64)
    a, b = all_pairs(np.array([0.0, -0.0, 1.0, -2.0, math.inf, math.nan]).astype(dtype))
    operands = [(RAW[kind], v.view(STORED[RAW[kind]])) for v in (a, b)]
    x, y = a.astype(float), b.astype(float)
    unordered = np.isnan(x) | np.isnan(y)
    if name in ("num", "nan"):
        holds = unordered == (name == "nan")
    elif name in COMPARE:
        holds = COMPARE[name](x, y) & ~unordered
    else:
        holds = COMPARE[name[:-1]](x, y) | unordered
    got = apply(card, f"set.{name}.u32.{kind} %d, %0, %1;", "u32", *operands)
    assert (got == np.where(holds, 0xFFFFFFFF, 0)).all()
    got = apply(card, f"set.{name}.f32.{kind} %d, %0, %1;", "f32", *operands)
    assert (got == np.where(holds, 1.0, 0.0)).all()
    if kind != "f64":
        pairs = [("b32", v.view(np.uint32)) for v in (a, b)]
        one = np.array(1.0).astype(dtype).view(np.uint16)
        got = apply(card, f"set.{name}.{kind}x2.{kind}x2 %d, %0, %1;", "b32", *pairs)
        assert (got.view(np.uint16) == np.where(holds, one, 0)).all()


# --- data movement ------------------------------------------------------------------------------


def test_128_bits_move_through_every_space(card):
    code = """.version 8.5
.target sm_90
.address_size 64
.visible .entry k(.param .u64 x, .param .u64 y) {
  .reg .b64 %x, %y, %a, %b; .reg .b128 %q, %w; .reg .b32 %t, %s; .reg .b32 %r<4>;
  .shared .align 16 .b8 sm[512]; .local .align 16 .b8 lm[32];
  ld.param.u64 %x, [x]; ld.param.u64 %y, [y]; mov.u32 %t, %tid.x; shl.b32 %t, %t, 4;
  cvt.u64.u32 %a, %t; add.u64 %x, %x, %a; add.u64 %y, %y, %a;
  ld.global.nc.b128 %q, [%x]; mov.u32 %s, sm; add.u32 %s, %s, %t;
  st.shared.b128 [%s], %q; ld.shared.b128 %w, [%s];
  st.local.b128 [lm+16], %w; ld.local.b128 %q, [lm+16];
  mov.b128 {%a, %b}, %q; mov.b128 %q, {%b, %a};
  st.b128 [%y], %q; ret; }"""
    x = np.arange(64, dtype=np.uint64)
    y = np.zeros(64, dtype=np.uint64)
    card.run(code, "k", 1, 32, x, y)
    assert (y.reshape(32, 2) == x.reshape(32, 2)[:, ::-1]).all()


def test_where_generic_addresses_point(card):
    source = """
__constant__ int table[4] = {1, 2, 3, 4};
extern "C" __global__ void k(int* y) {
  __shared__ int tile[4];
  int own[4] = {0, 0, 0, 0};
  const void* places[4] = {y, tile, own, table};
  for (int i = 0; i < 4; i++) {
    const void* p = places[i];
    y[i] = __isGlobal(p) + 2 * __isShared(p) + 4 * __isLocal(p) + 8 * __isConstant(p);
  }
  own[threadIdx.x] = tile[0];
}
"""
    y = np.zeros(4, dtype=np.int32)
    card.run(source, "k", 1, 1, y)
    assert (y & 6).tolist() == [0, 2, 4, 0]
    assert (y & 8).tolist() == [0, 0, 0, 8]
    assert y[0] == 1
