"""Little's law gives the talk's figures, and what a chip's table says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator import A100, H100
from kernels.ilp_tlp import (
    clocks_of,
    copy_in_flight,
    ffma_chains,
    ffma_flops,
    ffma_issue_clocks,
    ffma_registers,
    ffma_shared,
    in_flight,
    independent_ffmas,
    launch_of,
    of_memory,
    stamps,
)
from kernels.ilp_tlp.ffma import ffmas


def test_the_talks_a100_needs_twenty_warps_of_one_float_or_four_of_five():
    talk = in_flight(500, 1.41e9, 1555e9, 108)
    assert talk.nbytes / 1024 == pytest.approx(536, rel=0.01)
    a_block = talk.per_sm / 2  # 216 blocks on 108 SMs
    assert a_block / (32 * 4) == pytest.approx(20, abs=0.1)
    assert a_block / (4 * 32 * 4) == pytest.approx(5, abs=0.05)
    assert (talk.warps_per_sm(), talk.loads(8)) == (40, 5)


def test_an_h100_needs_more():
    needed = of_memory(H100)
    assert needed.nbytes == pytest.approx(990e3, rel=0.01)
    assert needed.warps_per_sm(loads=1, width=4) == 59
    assert needed.warps_per_sm(loads=4, width=16) == 4
    assert needed.loads(4, width=16) == 4


@given(st.integers(1, 64), st.sampled_from([4, 16]))
def test_so_many_loads_are_enough_and_one_less_is_not(warps, width):
    needed = of_memory(H100)
    loads = needed.loads(warps, width)
    assert warps * 32 * loads * width >= needed.per_sm * (1 - 1e-6)
    assert warps * 32 * (loads - 1) * width < needed.per_sm


def test_an_sm_of_the_talks_ends_at_180_gflops():
    assert ffma_issue_clocks(A100) == 2 and independent_ffmas(A100) == 2
    assert ffma_flops(A100, 32, 8) / 1e9 == pytest.approx(180.5, rel=1e-3)
    assert ffma_flops(A100, 8, 1) == ffma_flops(A100, 4, 2) == ffma_flops(A100, 32, 32)
    assert ffma_flops(A100, 4, 1) == ffma_flops(A100, 32, 32) / 2


def test_an_h100_issues_twice_as_often_and_so_needs_twice_as_many():
    assert ffma_issue_clocks(H100) == 1 and independent_ffmas(H100) == 4
    top = H100.fp32_flops / H100.sm_count
    assert ffma_flops(H100, 16, 1) == ffma_flops(H100, 4, 4) == pytest.approx(top)
    assert ffma_flops(H100, 1, 32) == pytest.approx(top / 4)  # one scheduler has nothing but this
    assert ffma_flops(H100, 5, 4) == pytest.approx(top * 5 / 8)  # one scheduler has two warps
    assert ffma_flops(H100, 0, 4) == 0


def test_a_copy_has_two_blocks_an_sm(device):
    x = device.empty(1000, "float32")
    launch = launch_of(device, copy_in_flight, x, x, 4, warps=3)
    assert (launch.blocks, launch.threads) == (2 * device.arch.sm_count, 96)


def test_the_model_fills_an_sm_as_the_law_says(device):
    factors = device.asarray(np.ones(2, dtype=np.float32))
    for warps, chains in ((1, 1), (4, 1), (4, 4), (16, 1), (8, 2)):
        marks, out = device.asarray(stamps(1, warps)), device.empty(32 * warps, np.float32)
        work = factors, marks, out, chains, 4
        clocks = clocks_of(device, marks, ffma_chains, *work, warps=warps)
        flops = 2 * 32 * warps * ffmas(chains, 4)
        expected = ffma_flops(device.arch, warps, chains) / device.arch.clock_hz
        assert flops / clocks == pytest.approx(expected, rel=0.15)


def test_operands_from_shared_memory_take_its_time(device):
    weights = device.asarray(np.ones((16, 32), dtype=np.float32))
    marks, out = device.asarray(stamps(1, 16)), device.empty(512, np.float32)
    ours = clocks_of(device, marks, ffma_registers, weights, marks, out, 8, warps=16)
    for uses, times in ((1, 4), (2, 2), (4, 1.25), (8, 1.125)):
        work = weights, marks, out, uses, 8
        theirs = clocks_of(device, marks, ffma_shared, *work, warps=16)
        assert theirs / ours == pytest.approx(times, rel=0.15)
