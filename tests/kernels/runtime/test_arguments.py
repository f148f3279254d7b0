"""Arguments are checked against the kernel's parameters, and the message names the wrong one."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.runtime import ArgumentError, EmulatedDevice, LaunchError, cuda_program, open_device
from kernels.runtime.errors import DeviceError

SOURCE = r"""
#include <cuda_fp16.h>
#include <cuda_bf16.h>
struct Box { int a; float b; };
extern "C" __global__ void scale(const float* __restrict__ x, float* y, float a, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = a * x[i];
}
extern "C" __global__ void __launch_bounds__(256) vectors(const float4 *x, /* out */ float2* y) {}
extern "C" __global__ void types(
    signed char a, unsigned char b, short c, unsigned short d, int e, unsigned f, long long g,
    unsigned long long h, size_t i, double j, bool k, __half* l, __nv_bfloat16* m, Box box,
    unsigned long long* out) {
  out[0] = a; out[1] = b; out[2] = c; out[3] = d; out[4] = e; out[5] = f; out[6] = g; out[7] = h;
  out[8] = i; out[9] = (unsigned long long)j; out[10] = k; out[11] = box.a; out[12] = box.b;
}
"""


@pytest.fixture(scope="module")
def device():
    return EmulatedDevice()


@pytest.fixture(scope="module")
def program():
    return cuda_program(SOURCE)


@pytest.fixture
def arrays(device):
    return device.asarray(np.zeros(64, dtype=np.float32)), device.empty(64, np.float32)


def refused(device, function, args, says, error=ArgumentError, grid=1, block=64, shared=0):
    with pytest.raises(error, match=says):
        device.launch(function, grid, block, args, shared)


def test_count_kind_and_dtype(device, program, arrays):
    x, y = arrays
    f = program["scale"]
    refused(device, f, (x, y, 1.0), "takes 4 arguments; 3 were given")
    refused(device, f, (x, y, 1.0, 64, 5), "takes 4 arguments; 5 were given")
    refused(device, f, (1.0, y, 1.0, 64), "argument 'x' must be an array of float32")
    refused(device, f, (x, y, x, 64), "argument 'a' must be a single float32")
    refused(device, f, (x, y.view(np.int32), 1.0, 64), "argument 'y' .* its dtype is int32")
    refused(device, f, (x, y, 1.0, 64.5), "argument 'n' must be a whole number; it is 64.5")
    refused(device, f, (x, y, "two", 64), "argument 'a' must be a number; it is 'two'")
    refused(device, f, (x, y, 1.0, np.int64(64)), "argument 'n' must be int32 .* it is int64")
    refused(device, f, (x, y, 1.0, 2**31), "argument 'n' is 2147483648, which does not fit int32")
    refused(device, f, (x, None, 1.0, 64), "argument 'y' must be an array")


def test_where_an_array_is_and_how_it_lies(device, program, arrays):
    x, y = arrays
    f = program["scale"]
    refused(device, f, (np.zeros(64, np.float32), y, 1.0, 64), "host memory; device.asarray")
    refused(device, f, (x[::2], y, 1.0, 32), "argument 'x' is not contiguous")
    square = device.empty((8, 8), np.float32)
    refused(device, f, (square.T, y, 1.0, 32), "transposed or strided")
    refused(device, f, (x * 2, y, 1.0, 64), "host memory")


def test_vectors_need_their_alignment(device, program, arrays):
    x, y = arrays
    device.launch(program["vectors"], 1, 64, (x, y))
    device.launch(program["vectors"], 1, 64, (x[4:], y[2:]))
    refused(device, program["vectors"], (x[1:], y), "multiple of 16 bytes; it starts 4")
    refused(device, program["vectors"], (x, y[1:]), "'y' .* multiple of 8 bytes")


def test_every_scalar_type_arrives(device, program):
    out = device.empty(13, np.uint64)
    halves = device.empty(4, np.float16)
    brains = device.empty(4, ml_dtypes.bfloat16)
    box = np.zeros((), dtype=[("a", "i4"), ("b", "f4")])
    box["a"], box["b"] = 12, 13.0
    args = (-1, 2, -3, 4, -5, 6, -7, 8, 9, 10.0, True, halves, brains, box[()], out)
    device.launch(program["types"], 1, 1, args)
    expected = [-1, 2, -3, 4, -5, 6, -7, 8, 9, 10, 1, 12, 13]
    assert device.to_host(out).view(np.int64).tolist() == expected


def test_grids_blocks_and_shared_memory(device, program, arrays):
    x, y = arrays
    args = (x, y, 1.0, 64)
    f = program["scale"]
    refused(device, f, args, "grid.x is 0", LaunchError, grid=0)
    refused(device, f, args, "block.x is 2000", LaunchError, block=2000)
    refused(device, f, args, "2048 threads", LaunchError, block=(32, 64))
    refused(device, f, args, "one to three axes", LaunchError, grid=(1, 1, 1, 1))
    refused(device, f, args, "must be a whole number", LaunchError, grid=1.5)
    refused(device, f, args, "shared memory", LaunchError, shared=1 << 20)
    refused(
        device, program["vectors"], (x, y), "__launch_bounds__ allows 256", LaunchError, block=512
    )


@settings(max_examples=50)
@given(st.integers(-(2**31), 2**31 - 1), st.floats(width=32), st.integers(0, 130))
def test_what_fits_arrives_unchanged(device, program, n, a, size):
    host = np.linspace(-1, 1, size, dtype=np.float32)
    x, y = device.asarray(host), device.empty(size, np.float32)
    device.launch(program["scale"], 3, 64, (x, y, a, min(n, size)))
    done = device.to_host(y)
    count = max(min(n, size), 0)
    with np.errstate(all="ignore"):
        expected = np.float32(a) * host[:count]
    assert np.array_equal(done[:count], expected, equal_nan=True)
    assert np.isnan(done[count:]).all()  # poison


def test_views_keep_their_memory(device):
    view = device.asarray(np.arange(1000, dtype=np.int32))[10:20]
    for _ in range(50):
        device.empty(1000, np.int32)
    assert view.tolist() == list(range(10, 20))


def test_memory_is_given_back(device):
    before = len(device.memory.allocations)
    array = device.empty(1 << 20, np.uint8)
    assert len(device.memory.allocations) == before + 1
    del array
    assert len(device.memory.allocations) == before


def test_opening_devices(monkeypatch):
    monkeypatch.setenv("COALESCE_DEVICE", "emulated")
    assert open_device().kind == "emulated"
    with pytest.raises(DeviceError, match="'cuda' and 'emulated'"):
        open_device("tpu")


def test_a_device_says_how_far_an_array_is_aligned(device):
    from kernels.runtime.record import ArraySpec, RecordingDevice

    whole = device.empty(1000, np.uint8)
    assert device.alignment(whole) == 256
    assert [device.alignment(whole[start:]) for start in (1, 6, 8, 48, 512)] == [1, 2, 8, 16, 256]
    recording = RecordingDevice()
    given = recording.input(ArraySpec("x", (64,), np.float32, offset=2))
    assert recording.alignment(given) == 8
    assert recording.alignment(given[2:]) == 16
    assert recording.alignment(recording.empty(3, np.int8)) == 256
    with pytest.raises(ArgumentError, match="takes an array on the device; this is 3"):
        device.alignment(3)
