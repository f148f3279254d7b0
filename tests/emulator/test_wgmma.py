"""Products of a warpgroup, against float64 and integer NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from tests.emulator.test_tensor import bound, numbers
from tests.emulator.warpgroup import Problem, multiply, tight


@pytest.mark.parametrize("swizzle", [0, 32, 64, 128])
@pytest.mark.parametrize("a_along_k", [True, False])
@pytest.mark.parametrize("b_along_k", [True, False])
def test_halves_lie_in_shared_memory_in_every_canonical_layout(card, swizzle, a_along_k, b_along_k):
    random = np.random.default_rng(swizzle)
    columns = 72
    a_layout, end = tight(swizzle, a_along_k, 1024, 64, 32)
    b_layout, end = tight(swizzle, b_along_k, -(-end // 1024) * 1024, columns, 32)
    problem = Problem("f32", "f16", "f16", columns, a_layout, b_layout)
    a, b = numbers(random, (64, 16), "f16"), numbers(random, (16, columns), "f16")
    c = numbers(random, (64, columns), "f32")
    got = multiply(card, problem, a, b, c, end).astype(np.float64)
    a, b, c = (v.astype(np.float64) for v in (a, b, c))
    expected = a @ b + c
    assert np.all(np.abs(got - expected) <= bound(a, b, c, expected, "f32"))
