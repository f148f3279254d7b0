"""What the topic's benchmark writes, notebooks can read; and what it makes is right."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import gemm_h100, recorded
from benchmarks.gemm_search import timed
from kernels.gemm import ENTRIES, EPILOGUES
from kernels.runtime import EmulatedDevice

ORIGIN = {"device": "NVIDIA H100", "date": "2026-11-23", "command": "python -m x", "cuda": "13.0"}
TIMED = {"n": 64, "k": 64, "median_us": 2.0, "low_us": 1.9, "high_us": 2.2, "samples": 20,
         "teraflops": 0.3}  # fmt: skip


@pytest.fixture
def figures(tmp_path):
    record = {
        "origin": ORIGIN,
        "ladder": [
            {"name": "sgemm_naive", "m": 64, **TIMED, "times_cublas": 0.1, "dtype": "float32"},
            {"name": "sgemm_naive", "m": 128, "failure": "wrong"},
        ],
        "epilogues": [{"name": "cuBLAS", "m": 64, **TIMED}],
        "against_k": [{"name": "cuBLAS, line", "fixed_us": 3.0, "us_for_1024_k": 1.0}],
        "waves": {"failure": "out of memory"},
        "ceilings": {"read_gigabytes_per_s": 3000.0},
    }
    path = tmp_path / "gemm.json"
    path.write_text(json.dumps(record))
    return recorded.gemm(path)


def test_a_step_comes_with_its_share_of_cublas(figures):
    assert figures.step("sgemm_naive", 64).times_cublas == 0.1
    assert figures.origin.device == "NVIDIA H100"
    assert figures.lines[0]["fixed_us"] == 3.0
    assert (figures.waves, figures.against_c) == ((), ())


def test_what_failed_is_no_figure(figures):
    with pytest.raises(recorded.NotRecorded, match="it has: 64"):
        figures.step("sgemm_naive", 128)


def test_a_missing_file_says_which_command_makes_it(tmp_path):
    with pytest.raises(recorded.NotRecorded, match=r"python -m benchmarks\.gemm_h100"):
        recorded.gemm(tmp_path / "nothing.json")


def test_one_wave_is_a_tile_for_every_sm(device):
    for sm_count in (132, 108, 84):
        chip = EmulatedDevice(replace(device.arch, sm_count=sm_count))
        m, n = gemm_h100.one_wave(chip, 128, 256)
        assert (m // 128) * (n // 256) == sm_count
        assert m % 128 == n % 256 == 0


def test_all_kernels_are_checked_in_several_ways():
    for entry in ENTRIES:
        ways = gemm_h100.options(entry)
        assert len(ways) >= 2
        assert not entry.tensor or {EPILOGUES[0], EPILOGUES[-1]} <= {
            way.get("epilogue", EPILOGUES[0]) for way in ways
        }


def test_a_wrong_product_is_told(device):
    entry = ENTRIES[1]
    rng = np.random.default_rng(0)
    assert gemm_h100.check(device, entry, gemm_h100.Sizes(9, 8, 7), rng, {}) is None
    fault = gemm_h100.check(device, entry, gemm_h100.Sizes(9, 8, 7), rng, {"gelu": True})
    assert fault is not None and "TypeError" in fault


def test_contenders_are_compared_with_cublas():
    class Clock:
        def time_work(self, work, repeat, warmup):
            return [work(0)]

    rows = timed(Clock(), {"cuBLAS": lambda: 8.0, "ours": lambda: 4.0}, (10, 10, 10), 3)
    assert [row["name"] for row in rows] == ["ours", "cuBLAS"]
    assert rows[0]["times_cublas"] == 2.0
    assert rows[0]["teraflops"] == pytest.approx(2000 / 4.0 / 1e6, abs=0.01)
