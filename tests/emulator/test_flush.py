"""``.ftz``: what is flushed is what rounds to a subnormal with 24 bits, as on an H100.

(1 - 2**-24) * 2**-126 is one, though rounded to the bits a subnormal has it would be 2**-126.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from tests.emulator.oracle import apply, exact, rounded, same

SMALLEST = 2.0**-126
EDGE = Fraction(2) ** -126
BELOW_ONE = float(np.float32(1) - np.float32(2.0**-24))


def near_the_edge() -> tuple[np.ndarray, ...]:
    """Factors and terms whose exact results lie just below, on, and just above the edge."""
    rng = np.random.default_rng(5)
    scale = 2.0 ** rng.integers(-60, 60, 400)
    a = (1 + rng.integers(-40, 40, 400) * 2.0**-24).astype(np.float32) * scale
    b = (1 + rng.integers(-40, 40, 400) * 2.0**-24).astype(np.float32) * SMALLEST / scale
    c = rng.choice([0.0, SMALLEST, -SMALLEST, 2 * SMALLEST, -2 * SMALLEST, SMALLEST / 2], 400)
    a[:4], b[:4], c[:4] = BELOW_ONE, [SMALLEST, -SMALLEST, 2 * SMALLEST, 4 * SMALLEST], 0
    return tuple(x.astype(np.float32) for x in (a, b, c))


def read(value: np.float32) -> float:
    """An operand as ``.ftz`` reads it."""
    return float(np.copysign(0.0, value) if abs(value) < SMALLEST else value)


def flushed(value: float, whole: Fraction, mode: str) -> float:
    """A result as ``.ftz`` writes it, by the exact value rounded where exponents have room."""
    far = Fraction(2) ** 100
    normal = abs(Fraction(rounded(whole * far, "f32", mode, 1))) >= EDGE * far
    return value if normal else float(np.copysign(0.0, value))


@pytest.mark.parametrize("mode", ("rn", "rz", "rm", "rp"))
def test_a_product_below_the_edge_is_flushed_though_it_rounds_up(card, mode: str) -> None:
    a, b, _ = near_the_edge()
    expected = []
    for x, y in zip(map(read, a), map(read, b), strict=True):
        expected.append(flushed(exact("mul", "f32", mode, x, y), Fraction(x) * Fraction(y), mode))
    same(apply(card, f"mul.{mode}.ftz.f32 %d, %0, %1;", "f32", ("f32", a), ("f32", b)), expected)


@pytest.mark.parametrize("mode", ("rn", "rz", "rm", "rp"))
def test_a_fused_sum_below_the_edge_is_flushed_though_it_rounds_up(card, mode: str) -> None:
    a, b, c = near_the_edge()
    expected = []
    for x, y, z in zip(map(read, a), map(read, b), map(read, c), strict=True):
        whole = Fraction(x) * Fraction(y) + Fraction(z)
        expected.append(flushed(exact("fma", "f32", mode, x, y, z), whole, mode))
    operands = (("f32", a), ("f32", b), ("f32", c))
    same(apply(card, f"fma.{mode}.ftz.f32 %d, %0, %1, %2;", "f32", *operands), expected)
