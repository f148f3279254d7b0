"""Accesses as machine code has them: joined, dropped, unrolled; and what cannot be told."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from emulator import sass
from emulator.counting import metrics
from emulator.nvrtc import compile_cuda
from emulator.reconcile import AS_PTX, reconcile
from emulator.sass import machine_code
from tests.emulator.conftest import FILE

SOURCE = r"""
extern "C" __global__ void row(const float* x, float* y) {
  __shared__ float tile[32][36];
  int t = threadIdx.x;
  for (int r = 0; r < 32; r++) tile[r][t] = x[32 * r + t];
  __syncthreads();
  float s = 0;
  #pragma unroll
  for (int j = 0; j < 32; j++) s += tile[t][j];
  y[t] = s;
}
extern "C" __global__ void spread(float* y) {
  __shared__ float tile[128];
  int t = threadIdx.x;
  #pragma unroll
  for (int i = 0; i < 4; i++) tile[4 * t + i] = t + i;
  __syncthreads();
  y[t] = tile[127 - t];
}
extern "C" __global__ void rows(const float* x, float* y, int n) {
  float s = 0;
  for (int j = 0; j < n; j++) s += x[32 * j + threadIdx.x];
  y[threadIdx.x] = s;
}
extern "C" __global__ void picked(const int* x, int* y, int n) {
  int a[16];
  for (int i = 0; i < 16; i++) a[i] = x[i];
  y[threadIdx.x] = a[threadIdx.x & n];
}
extern "C" __global__ void total(float* y) {
  __shared__ float sum;
  if (threadIdx.x == 0) sum = 0;
  __syncthreads();
  atomicAdd(&sum, (float) threadIdx.x);
  __syncthreads();
  if (threadIdx.x == 0) y[0] = sum;
}
__device__ __noinline__ float called(const float* p) { return p[0] + p[1]; }
extern "C" __global__ void calls(const float* x, float* y) {
  y[threadIdx.x] = called(x + 2 * threadIdx.x);
}
"""


@pytest.fixture(scope="module")
def compiled():
    return compile_cuda(SOURCE, FILE, "sm_90")


@pytest.fixture
def profile(card, compiled):
    def run(name, *arguments, machine=True, block=32):
        code = machine_code(compiled.cubin, name) if machine else None
        return card.run(SOURCE, name, 1, block, *arguments, counters=True, machine_code=code)

    return run


def test_32_loads_of_a_row_are_8_of_16_bytes(profile):
    x, y = np.arange(1024, dtype=np.float32), np.zeros(32, dtype=np.float32)
    report = profile("row", x, y)
    assert (y == x.reshape(32, 32).sum(0)[0:0].sum() + x.reshape(32, 32).sum(1)).all()
    assert report.counters[metrics.instructions("ld", "shared")] == 8
    assert report.counters[metrics.bytes_asked("ld", "shared")] == 32 * 32 * 4
    # rows of 144 bytes: quarter-warps of 16 bytes a lane meet no bank twice
    assert report.counters[metrics.shared_wavefronts("ld")] == 8 * 4
    assert report.counters[metrics.bank_conflicts("ld")] == 0
    assert not any("Approximate" in note for note in report.notes)
    plain = profile("row", x, y, machine=False)
    assert plain.counters[metrics.instructions("ld", "shared")] == 32
    assert plain.counters[metrics.bytes_asked("ld", "shared")] == 32 * 32 * 4
    assert plain.counters[metrics.shared_wavefronts("ld")] > 8 * 4
    assert AS_PTX in plain.notes


def test_stores_are_joined_too(profile):
    y = np.zeros(32, dtype=np.float32)
    report = profile("spread", y)
    assert y.tolist() == [(127 - t) // 4 + (127 - t) % 4 for t in range(32)]
    assert report.counters[metrics.instructions("st", "shared")] == 1
    assert report.counters[metrics.shared_wavefronts("st")] == 4
    line = next(one for one in report.lines if "4 * t + i" in one.text)
    assert line.counters[metrics.instructions("st", "shared")] == 1


def test_unrolled_loops_count_each_turn(profile):
    x, y = np.ones(32 * 13, dtype=np.float32), np.zeros(32, dtype=np.float32)
    report = profile("rows", x, y, np.int32(13))
    assert report.counters[metrics.requests("ld")] == 13
    assert report.counters[metrics.sectors("ld")] == 13 * 4
    assert not any("Approximate" in note for note in report.notes)


def test_arrays_in_registers_touch_no_local_memory(profile, compiled):
    x, y = np.arange(16, dtype=np.int32), np.zeros(32, dtype=np.int32)
    report = profile("picked", x, y, np.int32(15))
    assert y.tolist() == [*range(16), *range(16)]
    code = machine_code(compiled.cubin, "picked")
    has_local = any(access.space == "local" for access in code.accesses)
    assert bool(report.counters.get(metrics.requests("st", "local"))) == has_local


def test_lines_that_cannot_be_told_are_named(profile, card, compiled):
    """An addition of f32 in shared memory is a loop of exchanges."""
    y = np.zeros(1, dtype=np.float32)
    report = profile("total", y)
    assert y[0] == 496
    line = SOURCE.split("\n").index(
        next(text for text in SOURCE.split("\n") if "atomicAdd" in text)
    )
    (note,) = [note for note in report.notes if "Approximate" in note]
    assert f"{FILE}:{line + 1}." in note


def test_a_load_moved_out_of_its_loop_is_named(card, compiled):
    """One copy, in no loop, of an instruction that the PTX has in one."""
    kernel, code = card.module(SOURCE)["rows"], machine_code(compiled.cubin, "rows")
    loads = [a for a in code.accesses if a.kind == "load"]
    stores = [a for a in code.accesses if a.kind == "store"]
    moved = dataclasses.replace(loads[0], depth=0)
    found = reconcile(kernel, dataclasses.replace(code, accesses=(moved, *stores)))
    assert {place.text.strip() for place in found.unmatched} == {
        "for (int j = 0; j < n; j++) s += x[32 * j + threadIdx.x];"
    }


def test_functions_that_are_called_belong_to_the_kernel(profile):
    x, y = np.arange(64, dtype=np.float32), np.zeros(32, dtype=np.float32)
    report = profile("calls", x, y)
    assert y.tolist() == [4 * t + 1 for t in range(32)]
    assert report.counters[metrics.requests("ld")] == 2


def test_what_machine_code_says_of_a_kernel(compiled):
    code = machine_code(compiled.cubin, "row")
    assert code.registers >= 16
    assert code.local_bytes == 0
    assert 50 < code.instructions < 400
    wide = [a for a in code.accesses if a.opcode == "LDS.128"]
    assert len(wide) == 8
    assert {(a.kind, a.space, a.nbytes) for a in wide} == {("load", "shared", 16)}
    lines = compiled.ptx.split("\n")
    assert all("ld.shared" in lines[a.ptx_line - 1] for a in wide)


def test_numba_kernels_have_machine_code_too():
    from numba import cuda

    from kernels.runtime import EmulatedDevice, numba_program

    def reverse(x, y):
        i = cuda.threadIdx.x
        y[i] = x[31 - i]

    program = numba_program(reverse, "void(float32[::1], float32[::1])")
    function = program["reverse"]
    assert function.machine_code is not None
    device = EmulatedDevice()
    x, y = device.asarray(np.arange(32, dtype=np.float32)), device.empty(32, np.float32)
    report = device.profile(function, 1, 32, (x, y))
    assert not any("Approximate" in note for note in report.notes)


def test_code_of_other_ptx_is_not_used(card, compiled):
    code = machine_code(compiled.cubin, "row")
    other = dataclasses.replace(code, ptx="of something else")
    assert reconcile(card.module(SOURCE)["row"], other) is None


def test_without_the_disassembler_everything_works(card, compiled, monkeypatch):
    monkeypatch.setattr(sass, "find_nvdisasm", lambda: None)
    assert machine_code(compiled.cubin, "row") is None
    x, y = np.arange(1024, dtype=np.float32), np.zeros(32, dtype=np.float32)
    report = card.run(SOURCE, "row", 1, 32, x, y, counters=True, machine_code=None)
    assert AS_PTX in report.notes


@pytest.mark.parametrize("cubin", [b"", b"not a cubin", b"\x7fELF"[:2]])
def test_what_is_no_cubin_has_no_machine_code(cubin):
    assert machine_code(cubin, "row") is None


def test_a_disassembler_that_fails_is_warned_of(compiled, monkeypatch, tmp_path):
    tool = tmp_path / "nvdisasm"
    tool.write_text("#!/bin/sh\necho too new >&2\nexit 1\n")
    tool.chmod(0o755)
    monkeypatch.setattr(sass, "find_nvdisasm", lambda: tool)
    monkeypatch.setenv("COALESCE_CACHE", str(tmp_path / "cache"))
    with pytest.warns(UserWarning, match="too new"):
        assert machine_code(compiled.cubin, "row") is None


STEPPING = """.version 8.5
.target sm_90
.address_size 64
.visible .entry k(.param .u64 y) {
  .reg .b64 %y; .reg .b32 %s, %a, %b, %c;
  .shared .align 16 .b8 window[64];
  mov.u32 %s, window;
  ld.shared.u32 %a, [%s];
  add.u32 %s, %s, 16;
  ld.shared.u32 %b, [%s];
  ld.shared.u32 %c, [%s];
  add.u32 %a, %a, %b;
  add.u32 %a, %a, %c;
  ld.param.u64 %y, [y];
  st.global.u32 [%y], %a;
  ret;
}
"""


def test_an_address_that_changed_between_two_loads_is_another_one(card):
    """Loads by one register name, of which machine code has only the first."""
    lines = STEPPING.split("\n")
    first, _, last = (n for n, line in enumerate(lines, 1) if "ld.shared" in line)
    stored = next(n for n, line in enumerate(lines, 1) if "st.global" in line)
    accesses = (
        sass.MachineAccess("LDS", "load", "shared", 4, first, 0),
        sass.MachineAccess("STG.E", "store", "global", 4, stored, 0),
    )
    code = sass.MachineCode("k", 9, 16, 0, sass.ptx_digest(STEPPING), accesses)
    kernel = card.module(STEPPING)["k"]
    found = reconcile(kernel, code)
    # the third loads what the second did, and is gone; what became of the second is not known
    gone = [kernel.instructions[site].ptx_line for site in found.counted]
    assert gone == [last]
