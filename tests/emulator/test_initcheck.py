"""initcheck: reads of what nobody wrote are found, whatever way it could have been written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from emulator import Finding
from kernels.runtime import EmulatedDevice, cuda_program
from tests.emulator.checked import run
from tests.emulator.planted import UNINITIALISED, Case

SOURCE = r"""
extern "C" __global__ void fill(int* x) { x[threadIdx.x] = -1; }
extern "C" __global__ void copy(const int* in, int* out) { out[threadIdx.x] = in[threadIdx.x]; }
extern "C" __global__ void copy_floats(const float* in, float* out) {
  out[threadIdx.x] = in[threadIdx.x];
}
"""


@pytest.fixture
def device() -> EmulatedDevice:
    return EmulatedDevice()


def copied(device: EmulatedDevice, array: Any, name: str = "copy") -> tuple[Finding, ...]:
    """What initcheck says of a kernel that reads 64 elements of an array."""
    program = cuda_program(SOURCE)
    out = device.empty(64, array.dtype)
    return device.profile(program[name], 1, 64, (array, out), checks="initcheck").findings


@pytest.mark.parametrize("case", UNINITIALISED, ids=lambda case: case.name)
def test_a_planted_read_is_found_on_its_line(case: Case) -> None:
    (finding,) = run(case)
    assert finding.check == "initcheck"
    assert {finding.line} == case.lines
    assert case.kind in finding.kind


def test_a_finding_says_how_often_and_names_the_first_element(device: EmulatedDevice) -> None:
    array = device.empty(64, np.int32)
    array[:48] = 0
    (finding,) = copied(device, array)
    assert finding.count == 16
    assert finding.thread == (48, 0, 0)
    assert "4 bytes of in[48], which nothing has written since it was allocated" in finding.message


WRITES: dict[str, Callable[[Any], None]] = {
    "whole": lambda x: x.__setitem__(..., -1),
    "slice": lambda x: (x.__setitem__(slice(0, 64, 2), -1), x.__setitem__(slice(1, 64, 2), 7)),
    "mask": lambda x: (x.__setitem__(np.arange(64) < 9, -1), x.__setitem__(np.arange(9, 64), -1)),
    "view": lambda x: x.reshape(8, 8).T.__setitem__((slice(None), slice(None)), -1),
    "one by one": lambda x: [x.__setitem__(i, -1) for i in range(64)],
}


@pytest.mark.parametrize("way", WRITES)
def test_what_the_host_wrote_is_initialised_even_with_the_fill_pattern(
    device: EmulatedDevice, way: str
) -> None:
    array = device.empty(64, np.int32)
    WRITES[way](array)
    assert copied(device, array) == ()


def test_a_copy_from_the_host_is_initialised(device: EmulatedDevice) -> None:
    assert copied(device, device.asarray(np.full(64, -1, np.int32))) == ()


def test_what_an_earlier_watched_kernel_wrote_is_initialised(device: EmulatedDevice) -> None:
    array = device.empty(128, np.int32)
    program = cuda_program(SOURCE)
    assert device.profile(program["fill"], 1, 64, (array,), checks="initcheck").findings == ()
    assert copied(device, array) == ()
    (finding,) = copied(device, array[32:])
    assert finding.count == 32


def test_whole_numbers_that_an_unwatched_kernel_may_have_written_are_not_called_uninitialised(
    device: EmulatedDevice,
) -> None:
    array = device.empty(64, np.int32)
    device.launch(cuda_program(SOURCE)["fill"], 1, 64, (array,))
    assert copied(device, array) == ()


def test_floats_are_never_the_fill_pattern_by_computation(device: EmulatedDevice) -> None:
    array = device.empty(64, np.float32)
    other = device.empty(64, np.int32)
    device.launch(cuda_program(SOURCE)["fill"], 1, 64, (other,))
    assert [f.count for f in copied(device, array, "copy_floats")] == [64]
