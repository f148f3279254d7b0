"""Launches in clusters and cooperative ones, through devices, plans and the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emulator.command import main
from kernels.runtime import (
    ArraySpec,
    EmulatedDevice,
    LaunchError,
    Plan,
    cuda_program,
    open_device,
    record,
)
from kernels.runtime.cuda import launch_attributes, launch_config
from kernels.runtime.device import why_no_cuda

SOURCE = r"""
#include <cooperative_groups.h>
namespace cg = cooperative_groups;
extern "C" __global__ void ring(const int* x, int* y) {
  __shared__ int box[32];
  cg::cluster_group cluster = cg::this_cluster();
  cluster.sync();
  int* next = cluster.map_shared_rank(box, (cluster.block_rank() + 1) % cluster.num_blocks());
  next[threadIdx.x] = x[blockIdx.x * 32 + threadIdx.x];
  cluster.sync();
  y[blockIdx.x * 32 + threadIdx.x] = box[threadIdx.x];
}
extern "C" __global__ void twice(int* x) {
  cg::grid_group grid = cg::this_grid();
  int i = blockIdx.x * 32 + threadIdx.x, n = gridDim.x * 32;
  int other = x[n - 1 - i];
  grid.sync();
  x[i] = other + (int)grid.is_valid();
}
"""
X = np.arange(256, dtype=np.int32) ** 2
ROLLED = np.roll(X.reshape(2, 4, 32), 1, axis=1).reshape(-1)


@pytest.fixture(scope="module")
def program():
    return cuda_program(SOURCE)


def devices():
    return [EmulatedDevice()] if why_no_cuda() is not None else [EmulatedDevice(), open_device()]


def test_a_device_launches_clusters(program) -> None:
    for device in devices():
        x, y = device.asarray(X), device.empty(256, np.int32)
        device.launch(program["ring"], 8, 32, (x, y), cluster=4)
        np.testing.assert_array_equal(device.to_host(y), ROLLED)
        report = device.profile(program["ring"], 8, 32, (x, y), cluster=(2, 1, 1))
        assert report.time_us is not None
        assert device.time(program["ring"], 8, 32, (x, y), cluster=(8, 1)).median_us > 0
        with pytest.raises(LaunchError, match="a cluster must be whole"):
            device.launch(program["ring"], 8, 32, (x, y), cluster=3)


def test_a_device_launches_whole_grids_together(program) -> None:
    for device in devices():
        x = device.asarray(X)
        device.launch(program["twice"], 8, 32, (x,), cooperative=True)
        np.testing.assert_array_equal(device.to_host(x), X[::-1] + 1)


def test_a_plan_keeps_what_launches_are(program) -> None:
    def solve(device, x):
        y = device.empty(256, np.int32)
        device.launch(program["ring"], 8, 32, (x, y), cluster=(4, 1))
        device.launch(program["twice"], 8, 32, (y,), cooperative=True)
        return y

    plan = Plan.from_bytes(record(solve, ArraySpec("x", (256,), np.int32)).to_bytes())
    assert [(one.cluster, one.cooperative) for one in plan.launches] == [
        ((4, 1, 1), False), (None, True),
    ]  # fmt: skip
    for device in devices():
        (y,) = plan.run(device, [X])
        np.testing.assert_array_equal(y, ROLLED[::-1] + 1)

    def refused(device, x):
        device.launch(program["ring"], 8, 32, (x, x), cluster=5)

    with pytest.raises(LaunchError, match="a cluster must be whole"):
        record(refused, ArraySpec("x", (256,), np.int32))


def test_the_driver_is_told_what_a_launch_is() -> None:
    attributes = launch_attributes((2, 3, 1), cooperative=True)
    config = launch_config((4, 3, 1, 32, 2, 1, 1024), 0, attributes)
    assert (config.gridDimX, config.gridDimY, config.blockDimY) == (4, 3, 2)
    assert (config.sharedMemBytes, config.numAttrs) == (1024, 2)
    shape = config.attrs[0].value.clusterDim
    assert (shape.x, shape.y, shape.z) == (2, 3, 1)
    assert config.attrs[1].value.cooperative == 1


def test_the_command_line_launches_clusters(tmp_path: Path, capsys) -> None:
    file = tmp_path / "ring.cu"
    file.write_text(SOURCE)
    out = tmp_path / "y.npy"
    words = ["run", str(file), "i32[256]=arange", "i32[256]", "--kernel", "ring", "--grid", "8",
             "--block", "32", "--cluster", "4", "--save", f"y={out}", "--quiet"]  # fmt: skip
    assert main(words) == 0, capsys.readouterr().err
    rolled = np.roll(np.arange(256).reshape(2, 4, 32), 1, axis=1).reshape(-1)
    np.testing.assert_array_equal(np.load(out), rolled)
