"""Tensor maps that the CUDA driver would not encode are refused, in words that help."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from emulator.tensor_map import ALIGNMENT, MAGIC, NBYTES, Im2col
from kernels.runtime import ArgumentError, LaunchError, cuda_program, open_device


@pytest.fixture(scope="module")
def device():
    """The software GPU."""
    return open_device("emulated")


def zeros(device, shape, dtype=np.float16):
    return device.asarray(np.zeros(shape, dtype))


@pytest.mark.parametrize(
    ("shape", "box", "options", "said"),
    [
        ((64, 64), (8,), {}, "a number for each of 2 axes"),
        ((64, 64), (8, 257), {}, "1 to 256"),
        ((64, 64), (0, 8), {}, "1 to 256"),
        ((64, 64), (8, 4), {}, "a row of the box has 8 bytes; it must be a multiple of 16"),
        ((64, 128), (8, 128), {"swizzle": "128B"}, "256 bytes; with swizzle '128B' 128 at most"),
        ((64, 64), (8, 32), {"swizzle": "32B"}, "boxes of 16 columns"),
        ((64, 64), (8, 32), {"swizzle": "256B"}, "swizzle '256B'; there are none, 32B"),
        ((64, 60), (8, 8), {}, "axis 0 has a stride of 120 bytes; it must be a multiple of 16"),
        ((2, 2, 2, 2, 2, 8), (1, 1, 1, 1, 1, 8), {}, "an array of 6 axes; TMA takes 1 to 5"),
        ((64, 64), (8, 8), {"element_strides": (9, 1)}, "one for each axis, 1 to 8"),
        ((64, 64), (8, 16), {"element_strides": (1, 2)}, "TMA ignores it along the last axis"),
        ((64, 64), (8, 8), {"fill": "one"}, "fill 'one'; there are zero, nan"),
        ((64, 64), (), {"im2col": Im2col((), (), 8, 8)}, "im2col needs 3 to 5 axes"),
        ((4, 8, 64), (), {"im2col": Im2col((0, 0), (0,), 8, 8)}, "for each of 1 axes"),
        ((4, 8, 64), (), {"im2col": Im2col((0,), (0,), 8, 2000)}, "2000 pixels; 1 to 1024"),
    ],
)
def test_what_a_map_must_be(device, shape, box, options, said):
    with pytest.raises(LaunchError, match="tensor_map") as caught:
        device.tensor_map(zeros(device, shape), box, **options)
    assert said in str(caught.value)


def test_arrays_begin_at_multiples_of_16_bytes_and_have_neighbours_along_the_last_axis(device):
    x = zeros(device, (64, 64))
    with pytest.raises(LaunchError, match="2 bytes past a multiple of 16"):
        device.tensor_map(x.reshape(-1)[1:][:512], (64,))
    with pytest.raises(LaunchError, match="neighbours"):
        device.tensor_map(x.T, (8, 8))
    with pytest.raises(ArgumentError, match="asarray"):
        device.tensor_map([1, 2, 3], (3,))


def test_integers_have_no_nan(device):
    with pytest.raises(LaunchError, match="int32 has no NaN"):
        device.tensor_map(zeros(device, (8, 8), np.int32), (4, 4), fill="nan")
    device.tensor_map(zeros(device, (8, 8), ml_dtypes.bfloat16), (4, 8), fill="nan")


def test_a_map_may_be_of_a_part_of_an_array(device):
    x = zeros(device, (64, 64))
    told = device.tensor_map(x[::2, 8:40], (8, 32)).described
    assert told.shape == (32, 32)
    assert told.strides == (256, 2)
    assert told.address == x.ctypes.data + 16


def test_a_map_is_128_bytes_that_a_kernel_finds_at_a_multiple_of_64(device):
    source = """
    struct alignas(64) TensorMap { unsigned long long opaque[16]; };
    extern "C" __global__ void k(int first, const __grid_constant__ TensorMap map,
                                 unsigned long long* out) {
      out[0] = (unsigned long long)&map % 64;
      out[1] = map.opaque[0];
      out[2] = first;
    }
    """
    program = cuda_program(source, name="map.cu", arch="sm_90a")
    told, out = device.tensor_map(zeros(device, (8, 8)), (8, 8)), device.empty(3, np.uint64)
    assert len(told.data) == NBYTES
    assert ALIGNMENT == 64
    device.launch(program["k"], 1, 1, (7, told, out))
    assert list(device.to_host(out)) == [0, MAGIC, 7]
