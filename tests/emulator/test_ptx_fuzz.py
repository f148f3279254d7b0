"""Whatever the text, reading it ends in a module or in a PtxError."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator import EmulatorError, Module

SEED = """
.version 8.0
.target sm_90
.address_size 64
.global .align 4 .b8 table[8] = {1, 2, 3, 4};
.visible .entry k(.param .u64 y, .param .u32 n)
{
  .reg .pred %p<2>; .reg .b32 %r<4>; .reg .b64 %rd<3>;
  .loc 1 2 3, function_name $L__info, inlined_at 1 5 6
  ld.param.u64 %rd1, [y];
  mov.u32 %r1, %tid.x;
  setp.lt.s32 %p1, %r1, 5;
  @!%p1 bra $L__BB0;
  { .reg .b32 t; mov.b32 t, -3; st.global.v2.u32 [%rd1+8], {t, %r1}; }
$L__BB0:
  ret;
}
"""
WORDS = [
    ".reg",
    "{",
    "}",
    "[",
    ";",
    "@",
    "%r1",
    "bra",
    ".loc",
    "0x",
    "1e",
    '"',
    "|",
    ".entry",
    "\0",
]

KERNELS = r"""
__noinline__ __device__ float half_of(float x) { return x > 1 ? x / 2 : 0.f; }
extern "C" __global__ void one(const float* x, int* y) {
  __shared__ float tile[64];
  float mine[4];
  tile[threadIdx.x] = half_of(x[threadIdx.x & 15]);
  __syncthreads();
  for (int k = 0; k < 4; k++) mine[k] = tile[(threadIdx.x + k) & 63];
  y[threadIdx.x & 31] = (int)mine[y[0] & 3] + atomicAdd(y + 40, 1) + __shfl_xor_sync(~0u, y[1], 3);
}
"""
CALLS = r"""
typedef int (*Operation)(int, int);
struct Five { int v[5]; };
__device__ int add(int a, int b) { return a + b; }
__device__ int deep(int a, int b) {
  int v[4] = {a, b, 1, 2};
  return b <= 0 ? v[a & 3] : deep(v[b & 3] + a, b - 1) + 1;
}
__device__ Operation table[2] = {add, deep};
__device__ __noinline__ Five pass(Five s, int i) { s.v[i & 3] += i; return s; }
extern "C" __global__ void two(const int* x, int* y) {
  int* p = (int*)malloc(16);
  p[1] = pass(Five{}, threadIdx.x).v[1];
  if (threadIdx.x < 2) printf("%d %s %f\n", threadIdx.x, "abc", 1.5);
  y[threadIdx.x & 31] = table[threadIdx.x & 1](threadIdx.x, 3) + deep(1, x[0] & 7) + p[1];
  assert(y[0] != 12345);
  free(p);
}
"""
SWAPS = ["%r1", "%rd1", "%f1", "%p1", "-1;", "b32", "ld.shared.v4.f32", "and.f32", "bra", "ret;",
         "add.s64", "mov.pred", "[%rd2],", "cvt.u8.f32", "setp.s32", "call",
         "param0", "(retval0),", "vprintf,", "_Z4deepii,", "free,", "[param0+0],"]  # fmt: skip


@settings(max_examples=300)
@given(st.data())
def test_damaged_ptx_never_escapes(data):
    text = SEED
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        cut = data.draw(st.integers(0, 12))
        text = (
            text[:at] + data.draw(st.sampled_from(WORDS) | st.text(max_size=3)) + text[at + cut :]
        )
    with contextlib.suppress(EmulatorError):
        module = Module(text)
        for kernel in module.kernels.values():
            assert kernel.graph.blocks
            assert kernel.static_shared_bytes >= 0


@pytest.mark.parametrize(("source", "start"), [(KERNELS, ".entry"), (CALLS, ".func")])
@settings(max_examples=40)
@given(st.data())
def test_damaged_kernels_end_in_an_error_or_run(card, ptx, source, start, data):
    lines = ptx(source).split("\n")
    first = next(i for i, line in enumerate(lines) if start in line)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(first, len(lines) - 1))
        other = lines[data.draw(st.integers(first, len(lines) - 1))]
        words = lines[at].split(" ")
        words[data.draw(st.integers(0, len(words) - 1))] = data.draw(st.sampled_from(SWAPS))
        both = f"{lines[at]}\n{other}"
        lines[at] = data.draw(st.sampled_from(["", other, both, " ".join(words)]))
    array = np.zeros(256, dtype=np.uint8)
    with contextlib.suppress(EmulatorError):
        for name, kernel in Module("\n".join(lines)).kernels.items():
            arguments = [array] * len(kernel.parameters)
            card.run("\n".join(lines), name, 2, 64, *arguments, timeout_s=0.2)


@settings(max_examples=100)
@given(st.integers(0, len(SEED)))
def test_truncated_ptx(length):
    with contextlib.suppress(EmulatorError):
        Module(SEED[:length])
