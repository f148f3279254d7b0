"""Sectors a request, as the talk gives them."""

from __future__ import annotations

import numpy as np
import pytest

from kernels.coalescing import (
    BY_NAME,
    copy_aligned,
    copy_elements,
    copy_elements_kernels,
    copy_offset,
    copy_stride,
    place,
    profile,
    time,
)

N = 8192  # whole blocks of every kernel


def of(direction: str, what: str) -> str:
    if what == "ratio":
        return f"l1tex__average_t_sectors_per_request_pipe_lsu_mem_global_op_{direction}.ratio"
    return f"l1tex__t_{what}_pipe_lsu_mem_global_op_{direction}.sum"


def counters(device, name, n=N, numbers=None, shift_in=0):
    entry = BY_NAME[name]
    chosen = entry.typical if numbers is None else numbers
    placed = place(device, entry, n, chosen, np.random.default_rng(0), shift_in=shift_in)
    return profile(device, entry.step, *placed.on_device, placed.output, *chosen).counters


def floats(device, n):
    return device.empty(n, np.float32)


def test_aligned_neighbours_touch_4_sectors(device):
    found = profile(device, copy_aligned, floats(device, N), floats(device, N)).counters
    assert found[of("ld", "ratio")] == found[of("st", "ratio")] == 4
    assert found[of("ld", "requests")] == N / 32


@pytest.mark.parametrize("offset", range(17))
def test_an_offset_touches_5_sectors_unless_it_is_whole_sectors(device, offset):
    x, y = floats(device, 4096 + offset), floats(device, 4096)
    ratio = profile(device, copy_offset, x, y, offset).counters[of("ld", "ratio")]
    assert ratio == (4 if offset % 8 == 0 else 5)


@pytest.mark.parametrize(
    ("stride", "sectors"), [(0, 1), (1, 4), (2, 8), (4, 16), (8, 32), (33, 32)]
)
def test_a_stride_touches_that_many_times_more_up_to_one_a_lane(device, stride, sectors):
    x, y = floats(device, 4095 * stride + 1), floats(device, 4096)
    found = profile(device, copy_stride, x, y, stride).counters
    assert found[of("ld", "ratio")] == sectors
    assert found[of("st", "ratio")] == 4


@pytest.mark.parametrize(
    ("name", "ratio", "requests"),
    [
        ("copy_strided", 16, N / 32),
        ("copy_strided_no_l1", 16, N / 32),
        ("copy_coalesced", 4, N / 32),
        ("copy_coalesced_no_l1", 4, N / 32),
        ("copy_float", 4, N / 32),
        ("copy_float2", 8, N / 64),
        ("copy_float4", 16, N / 128),
        ("copy_ilp1", 4, N / 32),
        ("copy_ilp8", 4, N / 32),
        ("copy_best", 16, N / 128),
        ("energy_aos", 32, 4 * N / 32),
        ("energy_aos_float4", 32, N / 32),
        ("energy_soa", 4, 4 * N / 32),
    ],
)
def test_loads_of_a_step(device, name, ratio, requests):
    found = counters(device, name)
    assert found[of("ld", "ratio")] == ratio
    assert found[of("ld", "requests")] == requests


def test_every_copy_but_the_strided_one_moves_just_what_it_asks_for(device):
    for name in ("copy_aligned", "copy_coalesced", "copy_float4", "copy_ilp4", "copy_best"):
        found = counters(device, name)
        asked = found["smsp__sass_data_bytes_mem_global_op_ld.sum"]
        assert asked == 4 * N == 32 * found[of("ld", "sectors")], name


def test_a_structure_moves_eight_times_what_one_field_needs(device):
    found = counters(device, "energy_aos")
    asked = found["smsp__sass_data_bytes_mem_global_op_ld.sum"]
    assert 32 * found[of("ld", "sectors")] == 8 * asked


@pytest.mark.parametrize("size", [1, 2, 4, 8, 16])
def test_an_aligned_warp_of_elements_touches_one_sector_a_byte_of_their_size(device, size):
    x, y = device.empty(1024 * size, np.uint8), device.empty(1024 * size, np.uint8)
    found = profile(device, copy_elements, x, y, size).counters
    assert found[of("ld", "ratio")] == found[of("st", "ratio")] == size


def test_moving_a_slider_compiles_nothing():
    kernels = copy_elements_kernels()
    assert set(kernels) == {1, 2, 4, 8, 16}
    assert len({id(kernel.program) for kernel in kernels.values()}) == 1
    assert [p.name for p in kernels[4].parameters] == ["in", "out", "n", "offset", "stride"]


@pytest.mark.parametrize("n", [1, 33, 4096, 10_007])
@pytest.mark.parametrize("name", ["copy_strided", "copy_coalesced"])
def test_a_numba_twin_makes_the_same_requests(device, name, n):
    ours, twin = counters(device, name, n), counters(device, f"numba_{name}", n)
    for direction in ("ld", "st"):
        for what in ("requests", "sectors"):
            assert ours[of(direction, what)] == twin[of(direction, what)]


def test_the_loads_are_counted_on_the_line_that_makes_them(device):
    entry = BY_NAME["copy_strided_no_l1"]
    placed = place(device, entry, N, (), np.random.default_rng(0))
    report = profile(device, entry.step, *placed.on_device, placed.output)
    (line,) = [line for line in report.lines if of("ld", "requests") in line.counters]
    assert "__ldcg" in line.text


def test_time_is_modelled_and_strided_reads_cost_more(device):
    n = 1 << 20
    near = time(device, copy_stride, floats(device, 8 * n), floats(device, n), 1)
    far = time(device, copy_stride, floats(device, 8 * n), floats(device, n), 8)
    assert near.kind == far.kind == "modelled"
    assert far.median_us > near.median_us
