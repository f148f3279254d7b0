from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator import A100, H100
from kernels.gemm import Sizes, place, profile
from kernels.gemm.catalogue import BY_NAME
from kernels.runtime import open_device
from widgets import Point, point_of, recorded_points, roofline
from widgets.roofline import ceilings, roof, slopes

SIZES = Sizes(128, 128, 64)


def test_the_roof_is_what_comes_first_memory_or_arithmetic() -> None:
    assert roof(H100, "FP32", "DRAM", 1.0) == pytest.approx(3.352 * 0.9)
    assert roof(H100, "FP32", "DRAM", 1000.0) == pytest.approx(H100.fp32_flops / 1e12)
    assert roof(A100, "tensor, f16", "DRAM", 1e6) == pytest.approx(312, rel=0.01)
    assert ceilings(H100)["tensor, f16"] > 10 * ceilings(H100)["FP32"]


@given(st.floats(1e-3, 1e6), st.sampled_from([A100, H100]))
def test_l2s_roof_is_never_the_lower_one(intensity: float, arch) -> None:
    for unit in ceilings(arch):
        assert roof(arch, unit, "L2", intensity) >= roof(arch, unit, "DRAM", intensity)
    assert slopes(arch)["L2"] > slopes(arch)["DRAM"]


def test_a_kernel_that_was_run_lies_under_its_roofs() -> None:
    device = open_device("emulated")
    placed = place(device, BY_NAME["sgemm_shared_tile"], SIZES, np.random.default_rng(1))
    report = profile(device, placed.entry.step, *placed.arrays)
    point = point_of(report, "mine", SIZES.flops)
    assert point.kind == "modelled" and point.teraflops == SIZES.flops / report.time_us / 1e6
    least = 4 * (SIZES.m * SIZES.k + SIZES.k * SIZES.n)
    assert point.dram_bytes == least  # what it writes is still in L2 at the end
    assert point.l2_bytes > least
    for level in ("DRAM", "L2"):
        intensity = point.flops / point.nbytes(level)
        assert point.teraflops < roof(H100, "FP32", level, intensity)


def test_a_report_without_a_time_is_refused() -> None:
    device = open_device("emulated")
    placed = place(device, BY_NAME["sgemm_shared_tile"], SIZES, np.random.default_rng(1))
    report = profile(device, placed.entry.step, *placed.arrays)
    with pytest.raises(ValueError, match="has no time"):
        point_of(dataclasses.replace(report, time_us=None), "mine", SIZES.flops)


def test_points_move_with_the_bytes_that_are_counted() -> None:
    widget = roofline([
        Point("mine", 2e9, 100.0, "modelled", 1e7, 1e8, device="an emulator"),
        Point("theirs", 2e9, 50.0, "recorded", 1e7, unit="tensor, f16", device="an H100"),
    ])  # fmt: skip
    assert list(widget.figure.data[4].x) == [200.0, 200.0]
    assert "theirs" in widget.numbers.value and "Recorded: an H100." in widget.numbers.value
    assert list(widget.figure.data[4].text) == [" 1", " 2"]
    widget.level.value = "L2"
    assert list(widget.figure.data[4].x) == [20.0]
    assert "theirs" not in widget.numbers.value and "1 without a count" in widget.numbers.value


def test_without_a_kernel_or_a_point_it_is_a_table() -> None:
    html = roofline([], A100)._repr_mimebundle_()["text/html"]
    assert "Roofline, A100" in html and "<table" in html


def test_recorded_products_are_points_with_their_origin() -> None:
    def step(name: str, size: int, dtype: str) -> SimpleNamespace:
        if name != "sgemm_naive":
            raise LookupError(f"no figure of {name} at {size} ({dtype})")
        return SimpleNamespace(m=size, n=size, k=size, median_us=1000.0)

    made = SimpleNamespace(device="NVIDIA H100", date="2026-11-23", command="python -m x")
    record = SimpleNamespace(origin=made, step=step)
    steps = {"sgemm_naive": "FP32", "hgemm_mma": "tensor, f16"}
    points, notes = recorded_points(lambda: record, steps, 1024)
    assert [(p.kind, p.dram_bytes, p.device) for p in points] == [
        ("recorded", 12 * 1024**2, "NVIDIA H100")
    ]
    assert "python -m x" in notes[0] and "hgemm_mma at 1024 (float16)" in notes[1]


def test_what_is_not_recorded_is_said() -> None:
    def nothing() -> None:
        raise LookupError("this makes it: python -m x")

    assert recorded_points(nothing, {"sgemm_naive": "FP32"}, 1024) == (
        [], ["No H100 figure is recorded yet. this makes it: python -m x"]
    )  # fmt: skip


def test_points_that_lie_on_one_another_share_a_label() -> None:
    points = [Point(str(us), 2e9, us, "modelled", 1e7, 1e8) for us in (100.0, 99.0, 10.0)]
    assert list(roofline(points).figure.data[4].text) == [" 1, 2", "", " 3"]
