"""Plans: recorded without data, replayed on data, and read from bytes that nobody vouches for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.runtime import (
    ArgumentError,
    ArraySpec,
    EmulatedDevice,
    Plan,
    PlanError,
    RecordingError,
    cuda_program,
    record,
)
from kernels.runtime.plan_format import MAGIC

SOURCE = r"""
extern "C" __global__ void axpy(const float* x, const float* t, float* y, float a, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = a * x[i] + t[i % 4];
}
"""
SPEC = ArraySpec("x", (100,), np.float32)
TABLE = np.array([1, 2, 3, 4], dtype=np.float32)


@pytest.fixture(scope="module")
def device():
    return EmulatedDevice()


@pytest.fixture(scope="module")
def program():
    return cuda_program(SOURCE)


@pytest.fixture(scope="module")
def solve(program):
    def solve(device, x, a=2.0):
        table = device.asarray(TABLE)
        first, second = device.empty(x.shape, np.float32), device.empty(x.size, x.dtype)
        blocks = -(-x.size // 32)
        device.launch(program["axpy"], blocks, 32, (x, table, first, a, x.size))
        device.launch(program["axpy"], blocks, 32, (first, table, second, 1.0, x.size))
        return second, first

    return solve


def expected(x, a=2.0):
    first = a * x + np.resize(TABLE, x.shape)
    return first + np.resize(TABLE, x.shape), first


@settings(max_examples=20)
@given(st.integers(1, 200), st.integers(0, 3), st.floats(-8, 8, width=32))
def test_a_plan_replays_on_any_data(device, solve, n, offset, a):
    plan = record(solve, ArraySpec("x", (n,), np.float32, offset), a)
    again = Plan.from_bytes(plan.to_bytes())
    assert again.to_bytes() == plan.to_bytes()
    for seed in range(2):
        x = np.random.default_rng(seed).integers(-9, 9, n).astype(np.float32)
        got = again.run(device, [x])
        for one, other in zip(got, expected(x, np.float32(a)), strict=True):
            assert np.allclose(one, other, rtol=1e-6, atol=1e-5)  # fma against two roundings


def test_a_plan_says_what_it_launches(solve, device):
    plan = record(solve, SPEC)
    assert [b.role for b in plan.buffers] == ["input", "constant", "temporary", "temporary"]
    assert [(launch.kernel, launch.grid) for launch in plan.launches] == [("axpy", (4, 1, 1))] * 2
    reports = plan.profile(device, [np.zeros(100, dtype=np.float32)])
    assert [r.kernel for r in reports] == ["axpy", "axpy"]
    timing = plan.time(device, [np.zeros(100, dtype=np.float32)])
    assert timing.kind == "modelled"
    assert timing.median_us == pytest.approx(sum(r.time_us for r in reports))


@pytest.mark.parametrize(
    ("name", "peek"),
    [
        ("an element", lambda d, x: x[0]),
        ("a comparison", lambda d, x: x > 1),
        ("arithmetic", lambda d, x: x + 1),
        ("reflected arithmetic", lambda d, x: np.float32(1) * x),
        ("numpy", lambda d, x: np.sum(x)),
        ("truth", lambda d, x: bool(x)),
        ("iteration", lambda d, x: list(x)),
        ("a float", lambda d, x: float(x)),
        ("a copy to the host", lambda d, x: d.to_host(x)),
        ("a timing", lambda d, x: d.time(None, 1, 1, ())),
        ("xp", lambda d, x: d.xp.zeros(3)),
        ("a stride", lambda d, x: x[::2]),
        ("a sum", lambda d, x: x.sum()),
    ],
)
def test_values_cannot_be_read_and_the_error_says_why(name, peek):
    with pytest.raises(RecordingError, match="no values: the launches must not depend"):
        record(peek, SPEC)


def test_shapes_can_be_read():
    def solve(device, x):
        assert (x.shape, x.ndim, x.size, x.nbytes, len(x)) == ((6, 4), 2, 24, 96, 6)
        assert x.reshape(-1).shape == (24,)
        assert x.reshape(3, 8)[1:3].shape == (2, 8)
        assert x.view(np.uint8).shape == (6, 16)
        return x[2:4]

    plan = record(solve, ArraySpec("x", (6, 4), np.float32))
    (view,) = plan.outputs
    assert (view.start, view.shape) == (32, (2, 4))
    x = np.arange(24, dtype=np.float32).reshape(6, 4)
    assert (plan.run(EmulatedDevice(), [x])[0] == x[2:4]).all()


def test_what_solve_returns_must_be_an_array():
    for wrong in (None, 3, np.zeros(3), [np.zeros(3)]):
        with pytest.raises(RecordingError, match=r"solve\(\) must return the array"):
            record(lambda device, x, wrong=wrong: wrong, SPEC)


def test_recording_checks_arguments_as_a_launch_does(program):
    def wrong_type(device, x):
        y = device.empty(100, np.float64)
        device.launch(program["axpy"], 4, 32, (x, x, y, 1.0, 100))
        return y

    with pytest.raises(ArgumentError, match="argument 'y'"):
        record(wrong_type, SPEC)


def test_inputs_are_checked_on_replay(solve, device):
    plan = record(solve, SPEC)
    with pytest.raises(PlanError, match="takes 1 inputs; 2"):
        plan.run(device, [np.zeros(100, np.float32)] * 2)
    with pytest.raises(PlanError, match=r"input 'x' must be float32 of shape \(100,\)"):
        plan.run(device, [np.zeros(99, np.float32)])


def test_what_no_kernel_wrote_is_poison(device):
    plan = record(lambda d, x: d.empty(4, np.float32), SPEC)
    assert np.isnan(plan.run(device, [np.zeros(100, np.float32)])[0]).all()


@settings(max_examples=150)
@given(st.data())
def test_damaged_bytes_are_refused_or_harmless(solve, data):
    good = bytearray(record(solve, SPEC).to_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, min(len(good), 3000) - 1))
        good[at] = data.draw(st.integers(0, 255))
    end = data.draw(st.just(len(good)) | st.integers(0, len(good)))
    try:
        plan = Plan.from_bytes(bytes(good[:end]))
    except PlanError:
        return
    assert plan.launches is not None


@pytest.mark.parametrize(
    "blob",
    [b"", b"hello", MAGIC, MAGIC + b"\xff" * 8, MAGIC + (2).to_bytes(8, "little") + b"{}",
     MAGIC + (4).to_bytes(8, "little") + b"null"],
)  # fmt: skip
def test_what_is_no_plan(blob):
    with pytest.raises(PlanError):
        Plan.from_bytes(blob)
