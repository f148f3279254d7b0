"""What the models of WarpSelect and radix select say is what those do."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.topk.reference import topk
from widgets.selection import (
    DISTRIBUTIONS,
    LANES,
    ORDERS,
    bits_of,
    likely_insertions,
    radix_select,
    together,
    warp_select,
)

seeds = st.integers(0, 1 << 30)


@settings(max_examples=20, deadline=None)
@given(seeds, st.sampled_from(list(ORDERS)), st.integers(1, 40), st.integers(1, 4))
def test_a_warp_ends_with_the_best_32(seed: int, kind: str, pieces: int, length: int) -> None:
    keys = ORDERS[kind](LANES * pieces, np.random.default_rng(seed))
    steps = warp_select(keys, length)
    assert len(steps) == pieces
    assert steps[-1].kept == tuple(range(LANES)), "named by rank"
    for step, before in zip(steps[1:], steps, strict=False):
        assert step.inserted - before.inserted == sum(step.passed)
        assert step.merges - before.merges == step.merged
        assert max(len(queue) for queue in step.queues) <= length


def test_random_keys_are_inserted_as_seldom_as_they_should_be() -> None:
    keys = ORDERS["uniform"](1 << 15, np.random.default_rng(3))
    inserted = warp_select(keys, 1)[-1].inserted
    assert likely_insertions(1 << 15) < inserted < 1.5 * likely_insertions(1 << 15)


def test_rising_keys_are_all_inserted_and_falling_ones_are_not() -> None:
    rng = np.random.default_rng(1)
    assert warp_select(ORDERS["rising"](1024, rng), 2)[-1].inserted == 1024
    assert warp_select(ORDERS["falling"](1024, rng), 2)[-1].inserted == 64


@settings(max_examples=30, deadline=None)
@given(seeds, st.sampled_from(list(DISTRIBUTIONS)), st.sampled_from((8, 11)), st.data())
def test_radix_select_finds_the_kth(seed: int, kind: str, bits: int, data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 3000))
    k = data.draw(st.integers(1, n))
    keys = DISTRIBUTIONS[kind](n, np.random.default_rng(seed))
    passes = radix_select(keys, k, bits, early=False)
    prefix = 0
    for one in passes:
        prefix = prefix << one.bits | one.digit
    assert prefix == bits_of(keys)[topk(keys, k)[-1]]
    assert sum(one.above for one in passes) + passes[-1].wanted == k
    for one, after in pairwise(passes):
        assert after.candidates == one.left
    early = radix_select(keys, k, bits)
    assert len(early) <= len(passes)
    assert early[-1].done or len(early) == len(passes)


def test_on_adversarial_keys_the_first_digits_decide_nothing() -> None:
    keys = DISTRIBUTIONS["adversarial"](1 << 14, np.random.default_rng(2))
    first, second, third, _ = radix_select(keys, 100, 8)
    assert (first.in_use, second.in_use, third.in_use) == (1, 1, 16)
    assert first.left == second.left == 1 << 14
    assert first.together == LANES


@pytest.mark.parametrize(
    ("digits", "expected"),
    [([7] * 64, 32.0), (list(range(64)), 1.0), ([1, 2] * 32, 16.0), ([5, 5, 6], 2.0)],
)
def test_how_many_lanes_add_to_one_counter(digits: list[int], expected: float) -> None:
    assert together(np.array(digits)) == expected
