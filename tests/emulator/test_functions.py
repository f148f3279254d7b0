"""Approximate functions inside the ISA's bounds; halves and narrow formats rounded once."""

from __future__ import annotations

import math
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest

from tests.emulator.oracle import all_pairs, apply, exact, floats, rounded, same

TAU = 2 * math.pi


def spread(low: float, high: float, count: int = 20_000) -> np.ndarray:
    random = np.random.default_rng(5)
    return random.uniform(low, high, count).astype(np.float32)


FUNCTIONS = {  # instruction: oracle, operands, relative and absolute error that the ISA allows
    "ex2.approx.f32": (np.exp2, spread(-120, 120), 2**-22, 0.0),
    "lg2.approx.f32": (np.log2, np.exp2(spread(-100, 100)), 2**-22, 2**-22),
    "rcp.approx.f32": (lambda x: 1 / x, spread(-1e6, 1e6), 2**-23, 0.0),
    "rsqrt.approx.f32": (lambda x: 1 / np.sqrt(x), spread(1e-6, 1e6), 2**-22.9, 0.0),
    "sqrt.approx.f32": (np.sqrt, spread(0, 1e6), 2**-22, 0.0),
    "sin.approx.f32": (np.sin, spread(-math.pi, math.pi), 0.0, 2**-20.5),
    "cos.approx.f32": (np.cos, spread(-math.pi, math.pi), 0.0, 2**-20.5),
    "tanh.approx.f32": (np.tanh, spread(-10, 10), 2**-11, 0.0),
}


@pytest.mark.parametrize("instruction", FUNCTIONS)
def test_an_approximation_keeps_its_bound(card, instruction):
    oracle, x, relative, absolute = FUNCTIONS[instruction]
    got = apply(card, f"{instruction} %d, %0;", "f32", ("f32", x)).astype(np.float64)
    wanted = oracle(x.astype(np.float64))
    error = np.abs(got - wanted)
    assert (error <= relative * np.abs(wanted) + absolute).all(), float(error.max())


@pytest.mark.parametrize(
    ("instruction", "x", "expected"),
    [
        ("ex2.approx.ftz.f32", [-math.inf, math.inf, 0.0, -200.0], [0, math.inf, 1, 0]),
        ("lg2.approx.f32", [0.0, 1.0, math.inf, 2.0], [-math.inf, 0, math.inf, 1]),
        ("rcp.approx.ftz.f32", [0.0, -0.0, math.inf], [math.inf, -math.inf, 0]),
        ("rsqrt.approx.f32", [0.0, math.inf, 4.0], [math.inf, 0, 0.5]),
        ("tanh.approx.f32", [math.inf, -math.inf, 0.0], [1, -1, 0]),
    ],
)  # fmt: skip
def test_ends_of_the_range(card, instruction, x, expected):
    x = np.array([*x, math.nan], dtype=np.float32)
    same(apply(card, f"{instruction} %d, %0;", "f32", ("f32", x)), [*expected, math.nan])


@pytest.mark.parametrize("name", ["add", "sub", "mul"])
def test_halves_are_rounded_once(card, name):
    a, b = all_pairs(floats("f16", 30))
    operands = (("f16", a), ("f16", b))
    got = apply(card, f"{name}.rn.f16 %d, %0, %1;", "f16", *operands)
    same(got, [exact(name, "f16", "rn", x, y) for x, y in zip(a.tolist(), b.tolist(), strict=True)])


def test_a_fused_half_is_rounded_once(card):
    random = np.random.default_rng(9)
    a, b, c = (random.standard_normal(4000).astype(np.float16) for _ in range(3))
    with np.errstate(all="ignore"):
        c[::3] = -(a * b)[::3]  # what is left is the product's last bits
        c[1::3] *= np.float16(2**-10)
    operands = (("f16", a), ("f16", b), ("f16", c))
    got = apply(card, "fma.rn.f16 %d, %0, %1, %2;", "f16", *operands)
    triples = zip(a.tolist(), b.tolist(), c.tolist(), strict=True)
    same(got, [exact("fma", "f16", "rn", *t) for t in triples])


def bfloat(value: Fraction) -> float:
    """Rounded to bf16: f32's range, 8 bits."""
    if value == 0:
        return 0.0
    exponent = math.floor(math.log2(abs(value)))
    while Fraction(2) ** exponent > abs(value):
        exponent -= 1
    while Fraction(2) ** (exponent + 1) <= abs(value):
        exponent += 1
    unit = Fraction(2) ** (exponent - 7)
    whole, rest = divmod(abs(value), unit)
    up = rest * 2 > unit or (rest * 2 == unit and whole % 2 == 1)
    return math.copysign(float((whole + up) * unit), value)


@pytest.mark.parametrize("name", ["add", "mul", "fma"])
def test_bfloats_in_pairs(card, name):
    random = np.random.default_rng(10)
    lanes = [random.standard_normal((2000, 2)).astype(ml_dtypes.bfloat16) for _ in range(3)]
    packed = [("b32", lane.view(np.uint32).reshape(-1)) for lane in lanes]
    count = 3 if name == "fma" else 2
    operands = ", ".join(f"%{i}" for i in range(count))
    got = apply(card, f"{name}.rn.bf16x2 %d, {operands};", "b32", *packed[:count])
    numbers = got.view(ml_dtypes.bfloat16).reshape(-1).astype(np.float64).tolist()
    exactly = {
        "add": lambda a, b, c: a + b,
        "mul": lambda a, b, c: a * b,
        "fma": lambda a, b, c: a * b + c,
    }[name]
    flat = [lane.astype(np.float64).reshape(-1).tolist() for lane in lanes]
    wanted = [bfloat(exactly(*map(Fraction, t))) for t in zip(*flat, strict=True)]
    assert numbers == wanted


def test_pairs_of_halves_keep_to_their_places(card):
    random = np.random.default_rng(11)
    a, b = (random.standard_normal((500, 2)).astype(np.float16) for _ in range(2))
    packed = [("b32", v.view(np.uint32).reshape(-1)) for v in (a, b)]
    got = apply(card, "add.f16x2 %d, %0, %1;", "b32", *packed).view(np.float16).reshape(-1, 2)
    assert (got == a + b).all()
    low = ("f32", a[:, 0].astype(np.float32))
    high = ("f32", a[:, 1].astype(np.float32))
    got = apply(card, "cvt.rn.f16x2.f32 %d, %0, %1;", "b32", high, low)
    assert (got.view(np.float16).reshape(-1, 2) == a).all()


@pytest.mark.parametrize(
    ("ptx", "kind"), [("e4m3x2", ml_dtypes.float8_e4m3fn), ("e5m2x2", ml_dtypes.float8_e5m2)]
)
def test_eight_bit_floats(card, ptx, kind):
    random = np.random.default_rng(12)
    top = float(ml_dtypes.finfo(kind).max)
    pairs = (random.standard_normal((3000, 2)) * 10.0 ** random.integers(-4, 3, (3000, 1))).astype(
        np.float32
    )
    got = apply(
        card, f"cvt.rn.satfinite.{ptx}.f32 %d, %0, %1;", "b16",
        ("f32", pairs[:, 1]), ("f32", pairs[:, 0]),
    )  # fmt: skip
    wanted = np.clip(pairs, -top, top).astype(kind)
    assert (got.view(kind).reshape(-1, 2).view(np.uint8) == wanted.view(np.uint8)).all()
    back = apply(card, f"cvt.rn.f16x2.{ptx} %d, %0;", "b32", ("b16", got))
    assert (back.view(np.float16).reshape(-1, 2) == wanted.astype(np.float16)).all()


def test_the_oracle_rounds_as_numpy_does():
    x = floats("f64", 300)
    x = x[np.isfinite(x)]
    with np.errstate(over="ignore"):
        wanted = x.astype(np.float32)
    same(np.array([rounded(Fraction(v), "f32", "rn", int(math.copysign(1, v))) for v in x.tolist()],
                  dtype=np.float32), wanted.astype(np.float64).tolist())  # fmt: skip
