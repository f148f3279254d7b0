"""CUDA C++ and Numba compiled without a GPU, cached, and refused in the learner's own words."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from numba import cuda as numba_cuda
from numba import float32

from emulator import nvrtc as compiler
from kernels.runtime import (
    ArgumentError,
    CompileError,
    EmulatedDevice,
    UnknownKernel,
    cuda_program,
    numba_program,
)

SCALE = r"""
extern "C" __global__ void scale(const float* __restrict__ x, float* y, float a, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = a * x[i];
}
"""


@pytest.fixture(scope="module")
def device():
    return EmulatedDevice()


def run(device, function, x, *rest):
    given, y = device.asarray(x), device.empty(x.shape, x.dtype)
    device.launch(function, -(-x.size // 64), 64, (given, y, *rest))
    return device.to_host(y)


def test_a_program_from_source_and_from_a_file(device, tmp_path):
    (tmp_path / "factor.cuh").write_text("#define FACTOR 3\n")
    path = tmp_path / "lab.cu"
    path.write_text('#include "factor.cuh"\n' + SCALE.replace("a * x", "FACTOR * a * x"))
    x = np.arange(100, dtype=np.float32)
    assert (run(device, cuda_program(SCALE)["scale"], x, 2.0, 100) == 2 * x).all()
    assert (run(device, cuda_program(path)["scale"], x, 2.0, 100) == 6 * x).all()
    assert (run(device, cuda_program(str(path))["scale"], x, 2.0, 100) == 6 * x).all()
    # a changed header is another program
    (tmp_path / "factor.cuh").write_text("#define FACTOR 5\n")
    assert (run(device, cuda_program(path)["scale"], x, 2.0, 100) == 10 * x).all()


def test_options_reach_the_compiler(device):
    program = cuda_program(SCALE.replace("a * x", "a * K * x"), options=["-DK=4"])
    x = np.ones(10, dtype=np.float32)
    assert (run(device, program["scale"], x, 1.0, 10) == 4).all()


def test_the_toolkit_s_headers_are_there(device):
    program = cuda_program(
        "#include <cuda_fp16.h>\n#include <mma.h>\n#include <cuda/std/cstdint>\n"
        "#include <cooperative_groups.h>\n" + SCALE.replace("int n", "cuda::std::int32_t n")
    )
    x = np.ones(10, dtype=np.float32)
    assert (run(device, program["scale"], x, 2.0, 10) == 2).all()


def test_a_compile_error_is_the_compiler_s_with_the_learner_s_line(tmp_path):
    path = tmp_path / "lab.cu"
    path.write_text(SCALE.replace("a * x", "b * x"))
    with pytest.raises(CompileError) as caught:
        cuda_program(path)
    text = str(caught.value)
    assert text.startswith('lab.cu(4): error: identifier "b" is undefined')
    assert "if (i < n) y[i] = b * x[i];" in text
    assert str(tmp_path) not in text
    assert caught.value._render_traceback_() == [f"CompileError: {text}"]


def test_a_missing_file_says_which():
    with pytest.raises(CompileError, match=r"cannot read no_such\.cu: No such file"):
        cuda_program("no_such.cu")


def test_an_unknown_kernel_lists_those_there_are():
    with pytest.raises(UnknownKernel, match=r"has no kernel 'scall' \(it has: scale\).*'scale'"):
        cuda_program(SCALE)["scall"]
    with pytest.raises(UnknownKernel, match="is there a __global__ function"):
        cuda_program("__device__ int f() { return 1; }\n")["f"]


def test_a_mangled_kernel_is_found_by_its_plain_name(device):
    program = cuda_program(SCALE.replace('extern "C" ', ""))
    x = np.ones(10, dtype=np.float32)
    assert (run(device, program["scale"], x, 2.0, 10) == 2).all()


def test_a_program_knows_its_kernels_parameters_and_registers():
    function = cuda_program(SCALE)["scale"]
    assert [p.name for p in function.parameters] == ["x", "y", "a", "n"]
    assert [p.is_array for p in function.parameters] == [True, True, False, False]
    assert function.resources is not None
    assert 4 <= function.resources.registers <= 64
    assert function.resources.local_bytes == 0


def test_the_cache_keeps_programs_and_survives_damage(tmp_path, monkeypatch):
    monkeypatch.setenv("COALESCE_CACHE", str(tmp_path))
    source = SCALE + "// cached\n"
    first = cuda_program(source).ptx
    (entry,) = (tmp_path / "programs").iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(compiler, "compile_cuda", None)  # the compiler is not asked again
        assert cuda_program(source).ptx == first
    entry.write_bytes(entry.read_bytes()[:-9])
    assert cuda_program(source).ptx == first


def test_without_a_writable_cache_everything_works_and_one_warning_says_so(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("COALESCE_CACHE", str(blocked))
    with pytest.warns(UserWarning, match="set COALESCE_CACHE to a folder of yours"):
        assert cuda_program(SCALE + "// not cached\n")["scale"]


def test_machine_code_for_another_chip_is_compiled_when_asked_for():
    program = cuda_program(SCALE)
    assert set(program.cubins) == {"sm_90"}
    assert program.cubin("sm_80")[:4] == b"\x7fELF"


@numba_cuda.jit
def triple(x, y):
    i = numba_cuda.grid(1)
    if i < x.size:
        y[i] = 3 * x[i]


def staged(x, y, a):
    tile = numba_cuda.shared.array(64, float32)
    other = numba_cuda.shared.array(64, float32)
    i, t = numba_cuda.grid(1), numba_cuda.threadIdx.x
    tile[t] = x[i] if i < x.size else 0
    other[63 - t] = a
    numba_cuda.syncthreads()
    if i < x.size:
        y[i] = tile[t] * other[t]


def matrix(x, y):
    i, j = numba_cuda.grid(2)
    if i < x.shape[0] and j < x.shape[1]:
        y[i, j] = 10 * x[i, j] + i


def test_numba_kernels_run_like_cuda_ones(device):
    x = np.arange(100, dtype=np.float32)
    assert (run(device, triple, x) == 3 * x).all()
    signed = (staged, "void(float32[::1], float32[::1], float32)")
    assert (run(device, signed, x, np.float32(5)) == 5 * x).all()
    program = numba_program(matrix, "void(int64[:,::1], int64[:,::1])")
    a = np.arange(35).reshape(5, 7)
    given, y = device.asarray(a), device.empty(a.shape, a.dtype)
    device.launch(program["matrix"], (1, 1), (8, 8), (given, y))
    assert (device.to_host(y) == 10 * a + np.arange(5)[:, None]).all()


def test_numba_reports_name_the_python_line(device):
    x = device.asarray(np.zeros(64, dtype=np.float32))
    y = device.empty(64, np.float32)
    report = device.profile(triple, 1, 64, (x, y))
    (line,) = [one for one in report.lines if "y[i] = 3 * x[i]" in one.text]
    assert line.file == "test_programs.py"
    assert (
        line.counters["l1tex__average_t_sectors_per_request_pipe_lsu_mem_global_op_ld.ratio"] == 4
    )


def test_a_numba_kernel_that_does_not_compile_says_why():
    def wrong(x):
        x[0] = no_such_name  # noqa: F821

    with pytest.raises(CompileError, match="no_such_name"):
        numba_program(wrong, "void(float32[::1])")


def test_what_is_no_kernel_is_refused(device):
    for wrong in (print, 3, "scale", lambda x: x):
        with pytest.raises(ArgumentError):
            device.launch(wrong, 1, 32, ())
    with pytest.raises(ArgumentError, match="choose a kernel of it: scale"):
        device.launch(cuda_program(SCALE), 1, 32, ())


def test_two_programs_of_one_source_share_nothing_but_the_cache():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cuda_program(SCALE) is not cuda_program(SCALE)


@numba_cuda.jit(device=True)
def clamped(value, low, high):
    return min(max(value, low), high)


def with_helpers(x, y):
    i = numba_cuda.grid(1)
    if i < x.size:
        y[i] = clamped(math.sqrt(x[i]), 1.0, 3.0) + sum_of_pair((x[i], x[i]))


@numba_cuda.jit(device=True)
def sum_of_pair(pair):
    total = 0.0
    for value in pair:
        total += value
    return total


def test_numba_kernels_call_functions_of_their_own(device):
    x, y = np.linspace(0, 16, 40), np.empty(40)
    there, out = device.asarray(x), device.asarray(y)
    program = numba_program(with_helpers, "void(float64[::1], float64[::1])")
    device.launch(program["with_helpers"], 2, 32, (there, out))
    expected = np.clip(np.sqrt(x), 1, 3) + 2 * x
    np.testing.assert_allclose(device.to_host(out), expected, rtol=1e-15)


def test_numba_kernels_print(device, capfd):
    def greet(x):
        print("thread", numba_cuda.threadIdx.x, x[numba_cuda.threadIdx.x])

    values = device.asarray(np.array([2.5, 3.5]))
    device.launch(numba_program(greet, "void(float64[::1])")["greet"], 1, 2, (values,))
    assert capfd.readouterr().out == "thread 0 2.500000\nthread 1 3.500000\n"


def test_numbas_grid_groups_are_refused_with_a_way_out():
    def meets(x):
        x[numba_cuda.grid(1)] = 1.0
        numba_cuda.cg.this_grid().sync()

    with pytest.raises(CompileError, match=r"device runtime.*CUDA C"):
        numba_program(meets, "void(float64[::1])")
