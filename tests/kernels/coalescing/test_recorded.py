"""What benchmarks write, notebooks can read; and what is missing says how to make it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import copy_search, ncu_counters, recorded
from benchmarks.counter_cases import counter_cases
from kernels.coalescing import ENTRIES
from kernels.coalescing import best as best_copy
from kernels.runtime import cuda_program

ORIGIN = {"device": "NVIDIA H100", "date": "2026-11-23", "command": "python -m x", "cuda": "13.0"}
TIMED = {
    "bytes": 8000, "median_us": 2.0, "low_us": 1.9, "high_us": 2.2, "samples": 30,
    "gigabytes_per_s": 4.0,
}  # fmt: skip


@pytest.fixture
def bandwidths(tmp_path):
    record = {
        "origin": ORIGIN,
        "kernels": [
            {"kernel": "copy_strided", "case": "talk", "n": 1000, **TIMED},
            {"kernel": "copy_strided", "case": "large", "n": 1000, "failure": "wrong"},
        ],
        "ceilings": {"read": {"gigabytes_per_s": 3000.0}},
        "copies": [{"copy": "copy_best", "mib": 1024, **TIMED, "times_torch": 1.01}],
        "finals": {"failure": "out of memory"},
    }
    path = tmp_path / "h100.json"
    path.write_text(json.dumps(record))
    return recorded.coalescing(path)


def test_a_figure_comes_with_its_origin(bandwidths):
    assert bandwidths.kernel("copy_strided", "talk").gigabytes_per_s == 4.0
    assert bandwidths.copy().times_torch == 1.01
    assert (bandwidths.origin.device, bandwidths.origin.date) == ("NVIDIA H100", "2026-11-23")
    assert bandwidths.origin.command == "python -m x"


def test_what_failed_is_no_figure(bandwidths):
    with pytest.raises(recorded.NotRecorded, match="it has: talk"):
        bandwidths.kernel("copy_strided", "large")


def test_a_missing_file_says_which_command_makes_it(tmp_path):
    with pytest.raises(recorded.NotRecorded, match=r"python -m benchmarks\.ncu_counters"):
        recorded.counters(tmp_path / "nothing.json")


NCU = """==PROF== Connected to process 7
==PROF== Profiling "copy_aligned" - 0: 0%....100% - 3 passes
"ID","Process ID","Kernel Name","Block Size","a.sum","b.ratio"
"","","","","sector","sector/request"
"0","7","copy_aligned","(1024, 1, 1)","1,234","4"
"1","7","copy_best(const void *, void *, unsigned long)","(256, 1, 1)","0","n/a"
==PROF== Disconnected from process 7
"""


def test_ncus_table_is_read_without_its_messages_and_units():
    first, second = ncu_counters.rows(NCU)
    assert (first["Kernel Name"], ncu_counters.number(first["a.sum"])) == ("copy_aligned", 1234)
    assert ncu_counters.number(second["b.ratio"]) is None


def test_no_table_is_no_rows():
    assert ncu_counters.rows("==ERROR== Failed to find metric x\n") == []


def test_counters_are_recorded_of_every_kernel():
    assert {case.entry for case in counter_cases()} == {entry.name for entry in ENTRIES}


def test_variants_of_the_search_compile_and_fit_an_sm():
    variants = [*copy_search.geometries(), *copy_search.bulks()]
    assert len({variant.name for variant in variants}) == len(variants)
    for variant in (variants[0], variants[-1]):
        kernel = copy_search.program((variant.source,))[variant.symbol]
        _, threads, shared = variant.launch(132, 1 << 20)
        assert threads <= 1024
        assert shared + kernel.static_shared_bytes <= 227 << 10


def test_a_searched_copy_is_right_on_the_software_gpu(device):
    variant = copy_search.Tiles(128, 2, blocks_per_sm=2)
    kernel = copy_search.program((variant.source,))[variant.symbol]
    x = device.asarray(np.arange(4 * 5001, dtype=np.uint32))
    y = device.empty(x.size, np.uint32)
    grid, block, shared = variant.launch(4, 5001)
    device.launch(kernel, grid, block, (x, y, 5001), shared)
    np.testing.assert_array_equal(device.to_host(y), device.to_host(x))


def test_the_python_side_of_the_best_copy_knows_its_block():
    text = best_copy.program("best").source
    assert f"constexpr int THREADS = {best_copy.THREADS};" in text


def test_ceilings_compile_and_read_nothing_out_of_bounds(device, repository):
    program = cuda_program(repository / "benchmarks" / "ceilings.cu")
    x, y = device.asarray(np.arange(4 * 1003, dtype=np.uint32)), device.empty(4 * 1003, np.uint32)
    device.launch(program["read_only"], 2, 32, (x, y[:4], 1003))
    device.launch(program["write_only"], 2, 32, (y, 7, 1003))
    assert (device.to_host(y) == 7).all()
