"""What the topic's benchmark measures is right, and what it writes can be read."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import ilp_tlp_h100, recorded
from kernels.ilp_tlp.rates import Stamped

ORIGIN = {"device": "NVIDIA H100", "date": "2026-11-23", "command": "python -m x", "cuda": "13.0"}


@pytest.fixture
def small(device, monkeypatch):
    """The software GPU in the place of a GPU, and little of everything."""
    for name, value in {
        "FLOATS": {"large": 100_000}, "COPY_WARPS": (1, 32), "FFMA_WARPS": (1, 5),
        "ALL_SMS": ((2, 2),), "OPERAND_WARPS": (2,), "ROUNDS": 2, "POLYNOMIAL_S": 1e-8,
        "SHAPES": ((1, 128, 1), (8, 64, 1)),
        "WALKS": (("shared memory", 1024, 50, 1, False), ("DRAM", 4096, 50, 32, True)),
    }.items():  # fmt: skip
        monkeypatch.setattr(ilp_tlp_h100, name, value)
    monkeypatch.setattr(device, "flush_l2", lambda: None, raising=False)
    return device


def test_every_section_runs_and_finds_its_kernels_right(small):
    rng = np.random.default_rng(0)
    rows = [
        *ilp_tlp_h100.chains(small),
        *ilp_tlp_h100.operands(small, rng),
        *ilp_tlp_h100.polynomials(small, rng),
        *ilp_tlp_h100.latencies(small, rng),
        *ilp_tlp_h100.copies(small),
    ]
    assert [row for row in rows if "failure" in row] == []
    refused = [(r["warps"], r["loads"], r["width"]) for r in rows if "refused" in r]
    assert refused == [(32, 16, 16), (32, 32, 16)]
    measured = ("gigabytes_per_s", "flops_a_clock", "teraflops", "clocks")
    assert all(any(key in row for key in measured) or "refused" in row for row in rows)


def test_the_check_of_every_kernel_finds_nothing(device, monkeypatch):
    monkeypatch.setattr(ilp_tlp_h100, "LOADS", (1, 32))
    monkeypatch.setattr(ilp_tlp_h100, "CHAINS", (1, 6))
    found = dict(ilp_tlp_h100.check_steps(device, np.random.default_rng(1)))
    assert found and not any(found.values())


def test_stamps_are_read_block_by_block():
    marks = np.zeros((4, 2, 2), dtype=np.int64)  # two blocks of two warps
    marks[:, 0] = [[100, 0], [110, 10], [9000, 0], [9000, 5]]
    marks[:, 1] = [[300, 100], [310, 110], [9200, 100], [9400, 205]]
    found = Stamped.of(marks, 2)
    assert found.clocks == (210 + 400) / 2
    assert found.ns == 205
    assert found.clock_hz == pytest.approx((200 + 200 + 200 + 400) / 500 * 1e9)


@pytest.fixture
def h100(tmp_path):
    record = {
        "origin": ORIGIN,
        "dram": [
            {"kernel": "copy_in_flight", "case": "large", "width": 16, "loads": 2, "warps": 4,
             "gigabytes_per_s": 2100.0},
            {"kernel": "copy_in_flight", "case": "large", "width": 16, "loads": 32, "warps": 32,
             "refused": "registers"},
        ],
        "ffma": [{"blocks": 1, "warps": 4, "chains": 4, "flops_a_clock": 250.0}],
        "operands": [],
        "polynomial": [
            {"kernel": "a", "elements": 8, "of_issue_limit": 0.98},
            {"kernel": "a", "elements": 1, "of_issue_limit": 0.8},
            {"kernel": "a", "elements": 1, "of_issue_limit": 0.9},
            {"kernel": "a", "elements": 4, "of_issue_limit": 1.5, "failure": "3 differ"},
        ],
        "latencies": [{"kernel": "FFMA", "clocks": 4.1}],
    }  # fmt: skip
    path = tmp_path / "h100.json"
    path.write_text(json.dumps(record))
    return recorded.ilp_tlp(path)


def test_figures_come_by_warps_and_what_each_has_under_way(h100):
    assert h100.copies(16) == {(4, 2): 2100.0}
    assert h100.copies(4) == {}
    assert h100.chains() == {(4, 4): 250.0}
    assert h100.clocks["FFMA"] == 4.1
    assert h100.polynomial_shares() == {("a", 8): 0.98, ("a", 1): 0.9}
    assert h100.origin.device == "NVIDIA H100"


def test_what_was_not_run_is_no_figure(tmp_path):
    with pytest.raises(recorded.NotRecorded, match=r"python -m benchmarks\.ilp_tlp_h100"):
        recorded.ilp_tlp(tmp_path / "nothing.json")
