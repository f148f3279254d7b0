from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator import A100, H100
from kernels.ilp_tlp import ffma_flops
from widgets import grid, issue_slots, recorded_grid, recorded_table, side_by_side
from widgets.issue_slots import WORKS, ffma, load, schedule, slots


@pytest.mark.parametrize(
    ("warps", "chains", "share"),
    [(1, 1, 0.25), (2, 1, 0.5), (4, 1, 1.0), (1, 4, 1.0), (2, 2, 1.0), (1, 3, 0.75), (16, 8, 1.0)],
)
def test_warps_and_chains_fill_the_same_slots(warps: int, chains: int, share: float) -> None:
    assert slots(ffma(H100), warps, chains).share == pytest.approx(share)


def test_on_the_talks_a100_two_are_enough() -> None:
    assert ffma(A100).needed == 2 and ffma(H100).needed == 4
    assert slots(ffma(A100), 1, 1).share == pytest.approx(0.5)
    assert slots(ffma(A100), 2, 1).share == slots(ffma(A100), 1, 2).share == pytest.approx(1.0)


def test_memory_wants_many_more_and_float4s_a_quarter_of_them() -> None:
    assert load(H100, 4).needed == 15 and load(H100, 16).needed == 4
    assert slots(load(H100, 16), 1, 3).share == pytest.approx(0.82, abs=0.01)
    assert slots(load(H100, 4), 1, 4).share == pytest.approx(0.27, abs=0.01)


@settings(max_examples=60)
@given(
    st.sampled_from(sorted(WORKS)), st.sampled_from([A100, H100]), st.integers(1, 16),
    st.integers(1, 16),
)  # fmt: skip
def test_no_slot_is_used_twice_and_no_chain_goes_early(name, arch, warps, chains) -> None:
    work = WORKS[name](arch)
    found = schedule(work, warps, chains, 12 * work.latency)
    times = [at for at, _, _ in found]
    assert all(b - a >= work.every - 1e-6 for a, b in itertools.pairwise(times))
    last: dict[tuple[int, int], float] = {}
    for at, warp, chain in found:
        assert at - last.get((warp, chain), -1e9) >= work.latency - 1e-6
        last[warp, chain] = at
    expected = min(1.0, warps * chains * work.every / work.latency)
    assert slots(work, warps, chains).share == pytest.approx(expected, abs=0.06)


@given(st.integers(1, 8), st.integers(1, 8))
def test_four_schedulers_are_an_sm(warps: int, chains: int) -> None:
    share = slots(ffma(H100), warps, chains).share
    top = H100.fp32_flops / H100.sm_count
    assert ffma_flops(H100, 4 * warps, chains) == pytest.approx(share * top, rel=0.02)


@given(st.integers(1, 16), st.integers(1, 16))
def test_in_use_and_idle_are_all_of_the_picture(warps: int, chains: int) -> None:
    found = slots(ffma(H100), warps, chains)
    used = len(found.issued) * found.every
    assert used + sum(clocks for _, clocks in found.idle) == pytest.approx(found.clocks)
    assert all(0 <= at <= found.clocks and clocks > 0 for _, at, clocks in found.waits)


def test_moving_a_control_draws_anew() -> None:
    widget = issue_slots()
    assert "25%" in widget.numbers.value and "1 x 1 = 1" in widget.numbers.value
    widget.warps.value, widget.chains.value = 2, 2
    assert "100%" in widget.numbers.value and "2 x 2 = 4" in widget.numbers.value
    assert list(widget.figure.layout.yaxis.categoryarray) == ["unit", "warp 1", "warp 0"]
    assert len(widget.figure.data[3].x) == 0  # nothing idle
    widget.chip.value = "A100"
    assert "A100" in widget.numbers.value
    widget.work.value = "load of a float4 from DRAM"
    assert "GB/s" in widget.numbers.value


def test_without_a_kernel_it_is_a_picture() -> None:
    html = issue_slots()._repr_mimebundle_()["text/html"]
    assert html.count("<svg") == 1 and "in use 25% of the time" in html


def test_a_grid_marks_its_plateau() -> None:
    made = grid(
        "GB/s", {(4, 1): 500.0, (4, 8): 2500.0, (8, 1): 990.0}, down="warps", across="loads"
    )
    html = made._repr_html_()
    assert "<b>2,500</b>" in html and "<b>990</b>" not in html
    assert repr(made).splitlines()[2:] == ["\t1\t8", "4\t500\t2,500", "8\t990\t"]
    assert html in side_by_side(made, made)._repr_html_()


def test_what_is_not_recorded_is_said() -> None:
    def nothing() -> None:
        raise LookupError("this makes it: python -m x")

    made = recorded_grid("H100", nothing, lambda record: {}, down="warps", across="loads")
    assert "no H100 figure is recorded yet" in repr(made) and "python -m x" in repr(made)
    made = recorded_table(("of", "clocks"), nothing, lambda record: {})
    assert "No H100 figure is recorded yet" in repr(made) and "python -m x" in repr(made)


def test_what_is_recorded_comes_with_its_origin() -> None:
    class Record:
        class origin:  # noqa: N801
            device, date, command = "NVIDIA H100", "2026-11-23", "python -m x"

    made = recorded_table(("of", "clocks"), Record, lambda record: {"FFMA": "4.1"})
    assert repr(made).splitlines() == [
        "FFMA: 4.1", "Recorded: NVIDIA H100, 2026-11-23, by: python -m x"
    ]  # fmt: skip
    made = recorded_grid("H100", Record, lambda record: {(1, 1): 2.0}, down="a", across="b")
    assert "Recorded: NVIDIA H100" in repr(made)
