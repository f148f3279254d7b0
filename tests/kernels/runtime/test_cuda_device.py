"""A GPU and the software GPU agree, wherever there is a GPU."""

from __future__ import annotations

import numpy as np
import pytest
from numba import cuda as numba_cuda

from kernels.runtime import (
    ArgumentError,
    ArraySpec,
    DeviceFault,
    EmulatedDevice,
    LaunchError,
    Plan,
    cuda_program,
    open_device,
    record,
    time_plans,
)
from kernels.runtime.device import why_no_cuda

missing = why_no_cuda()
pytestmark = pytest.mark.skipif(missing is not None, reason=f"needs a GPU: {missing}")

SOURCE = r"""
extern "C" __global__ void scale(const float* __restrict__ x, float* y, float a, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = a * x[i] + 1.0f / (1.0f + x[i] * x[i]);
}
extern "C" __global__ void reverse(const float4* x, float4* y) {
  extern __shared__ float4 tile[];
  tile[threadIdx.x] = x[blockIdx.x * blockDim.x + threadIdx.x];
  __syncthreads();
  y[blockIdx.x * blockDim.x + threadIdx.x] = tile[blockDim.x - 1 - threadIdx.x];
}
"""


@numba_cuda.jit
def triple(x, y):
    i = numba_cuda.grid(1)
    if i < x.size:
        y[i] = 3 * x[i]


@pytest.fixture(scope="module")
def gpu():
    return open_device("cuda")


@pytest.fixture(scope="module")
def program():
    return cuda_program(SOURCE)


def on_both(gpu, function, grid, block, host, *rest, shared_bytes=0):
    results = []
    for device in (gpu, EmulatedDevice()):
        x, y = device.asarray(host), device.empty(host.shape, host.dtype)
        device.launch(function, grid, block, (x, y, *rest), shared_bytes)
        results.append(device.to_host(y))
    return results


def test_the_same_kernel_gives_the_same_bits(gpu, program):
    x = np.random.default_rng(0).standard_normal(10_000).astype(np.float32)
    real, emulated = on_both(gpu, program["scale"], 79, 128, x, 2.5, len(x))
    assert (real.view(np.uint32) == emulated.view(np.uint32)).all()


@pytest.mark.parametrize("shared_bytes", [16 << 10, 128 << 10])
def test_dynamic_shared_memory_beyond_48_kib(gpu, program, shared_bytes):
    x = np.arange(4 * 1024 * 3, dtype=np.float32)
    real, emulated = on_both(gpu, program["reverse"], 3, 1024, x, shared_bytes=shared_bytes)
    assert (real == emulated).all()


def test_numba_kernels(gpu):
    x = np.arange(1000, dtype=np.float32)
    real, emulated = on_both(gpu, triple, 8, 128, x)
    assert (real == 3 * x).all()
    assert (emulated == 3 * x).all()


def test_numba_and_cuda_arrays_are_checked(gpu, program):
    x, y = gpu.asarray(np.zeros(64, dtype=np.float32)), gpu.empty(64, np.float32)
    with pytest.raises(ArgumentError, match="host memory"):
        gpu.launch(program["scale"], 1, 64, (np.zeros(64, np.float32), y, 1.0, 64))
    with pytest.raises(ArgumentError, match="must be an array of float32"):
        gpu.launch(program["scale"], 1, 64, (x.astype(np.float64), y, 1.0, 64))
    with pytest.raises(ArgumentError, match="not contiguous"):
        gpu.launch(program["scale"], 1, 32, (x[::2], y, 1.0, 32))
    with pytest.raises(LaunchError, match="shared memory"):
        gpu.launch(program["reverse"], 1, 4, (x, y), 300 << 10)


def test_a_plan_replays_on_both(gpu, program):
    def solve(device, x, n):
        y, z = device.empty(n, np.float32), device.empty(n, np.float32)
        device.launch(program["scale"], -(-n // 128), 128, (x, y, 2.0, n))
        device.launch(triple, -(-n // 128), 128, (y, z))
        return z

    plan = Plan.from_bytes(record(solve, ArraySpec("x", (999,), np.float32, 1), 999).to_bytes())
    x = np.random.default_rng(1).standard_normal(999).astype(np.float32)
    (real,), (emulated,) = plan.run(gpu, [x]), plan.run(EmulatedDevice(), [x])
    assert (real.view(np.uint32) == emulated.view(np.uint32)).all()


def test_times_are_measured_and_interleaved(gpu, program):
    n = 1 << 20
    x, y = gpu.asarray(np.zeros(n, dtype=np.float32)), gpu.empty(n, np.float32)
    timing = gpu.time(program["scale"], n // 256, 256, (x, y, 1.0, n))
    assert timing.kind == "measured"
    assert 0 < timing.low_us <= timing.median_us <= timing.high_us

    def solve(device, x):
        y = device.empty(x.shape, np.float32)
        device.launch(program["scale"], n // 256, 256, (x, y, 1.0, n))
        return y

    plan = record(solve, ArraySpec("x", (n,), np.float32))
    seen = []
    host = np.ones(n, dtype=np.float32)
    both = time_plans(
        gpu, [plan, plan], [[host], [host]], repeat=3, warmup=1,
        check=lambda i, outputs: seen.append((i, float(outputs[0][0]))),
    )  # fmt: skip
    assert [t.samples for t in both] == [3, 3]
    assert [i for i, _ in seen] == [0, 1] * 4
    assert {v for _, v in seen} == {1.5}


def test_a_profile_measures_time_and_counts_on_the_software_gpu(gpu, program):
    x, y = gpu.asarray(np.zeros(4096, dtype=np.float32)), gpu.empty(4096, np.float32)
    report = gpu.profile(program["scale"], 32, 128, (x, y, 1.0, 4096))
    assert report.time_kind == "measured"
    assert report.counters["l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum"] == 512
    assert any("software GPU" in note for note in report.notes)
    with pytest.raises(DeviceFault, match="just past the end of 'x'"):
        gpu.profile(program["scale"], 33, 128, (x, y, 1.0, 4097))
