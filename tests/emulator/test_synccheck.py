"""synccheck: misuse of barriers and of masks is found, with its line; correct use is not."""

from __future__ import annotations

import numpy as np
import pytest

from emulator.synccheck import IN_BLOCK, IN_WARP, INVALID

MISUSE = r"""
extern "C" __global__ void divergent(int* y) {
  if (threadIdx.x % 2) { y[threadIdx.x] = 1; __syncthreads(); /* odd */ y[threadIdx.x] += 1; }
  else { __syncthreads(); y[threadIdx.x] += 2; }
}
extern "C" __global__ void early_exit(int* y, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  __syncthreads();  // for those that remain
  y[i] = 1;
}
extern "C" __global__ void odd_count(int* y) {
  asm volatile("barrier.sync 1, 40;");  // forty
  y[threadIdx.x] = 1;
}
extern "C" __global__ void counts_differ(int* y) {
  if (threadIdx.x < 32) asm volatile("bar.arrive 1, 96;");
  else asm volatile("bar.sync 1, 64;");  // not ninety-six
  y[threadIdx.x] = 1;
}
extern "C" __global__ void not_a_member(int* y) {
  y[threadIdx.x] = __shfl_sync(0xffff, threadIdx.x, 3);  // only half
}
extern "C" __global__ void exited(int* y) {
  if (threadIdx.x >= 20) return;
  y[threadIdx.x] = __shfl_down_sync(0xffffffff, threadIdx.x, 1);  // all
}
extern "C" __global__ void points(int* y) {
  int v = threadIdx.x;
  if (v < 16) { v = __shfl_xor_sync(0xffffffff, v, 1); y[v + 32] = 1; }
  else { y[v + 32] = 2; v = __shfl_xor_sync(0xffffffff, 2 * v, 2); }
  y[threadIdx.x] = v;
}
extern "C" __global__ void correct(int* y, int n) {
  __shared__ int sum;
  int i = blockIdx.x * blockDim.x + threadIdx.x, v = i < n ? y[i] : 0;
  if (threadIdx.x == 0) sum = 0;
  __syncthreads();
  for (int step = 16; step > 0; step /= 2) v += __shfl_down_sync(0xffffffff, v, step);
  if (threadIdx.x % 32 == 0) atomicAdd(&sum, v);
  if (threadIdx.x % 32 < 16) __syncwarp(0x0000ffff); else __syncwarp(0xffff0000);
  unsigned same = __match_any_sync(0xffffffff, threadIdx.x % 3);
  v = __reduce_add_sync(same, 1);
  int many = __syncthreads_count(v > 10);
  if (threadIdx.x < 64) asm volatile("bar.sync 1, 64;");
  if (threadIdx.x == 0) while (atomicAdd(&sum, 0) < 0) ;  // the others come to the barrier first
  __syncthreads();
  if (i < n) y[i] = sum + many;
}
"""

MISUSES = [
    ("divergent", 64, (), IN_WARP, "/* odd */", "lanes"),
    ("early_exit", 64, (np.int32(50),), IN_BLOCK, "// for those", "14 of them have exited"),
    ("odd_count", 64, (), INVALID, "// forty", "40 threads"),
    ("counts_differ", 96, (), INVALID, "// not ninety", "64 threads, where others"),
    ("not_a_member", 32, (), INVALID, "// only half", "mask 0x0000ffff"),
    ("exited", 32, (), IN_WARP, "// all", "lanes 20 to 31 have exited"),
    ("points", 32, (), IN_WARP, "if (v < 16) { v = __sh", "lanes 16 to 31 are elsewhere"),
]


@pytest.mark.parametrize(("name", "threads", "more", "kind", "mark", "words"), MISUSES)
def test_misuse_is_found_where_it_is(card, name, threads, more, kind, mark, words):
    y = np.zeros(96, dtype=np.int32)
    report = card.run(MISUSE, name, 1, threads, y, *more, checks={"synccheck"})
    line = next(n for n, text in enumerate(MISUSE.split("\n"), 1) if mark in text)
    found = [f for f in report.findings if f.line == line and f.kind == kind]
    assert found, report.findings
    assert words in found[0].message
    assert found[0].check == "synccheck"
    assert found[0].file.endswith("kernel.cu")


@pytest.mark.parametrize("threads", [64, 100, 256])
def test_correct_use_is_not(card, threads):
    y = np.zeros(300, dtype=np.int32)
    report = card.run(MISUSE, "correct", 3, threads, y, np.int32(300), checks="all")
    assert [f for f in report.findings if f.check == "synccheck"] == []


def test_without_the_check_nothing_is_said(card):
    y = np.zeros(64, dtype=np.int32)
    report = card.run(MISUSE, "early_exit", 1, 64, y, np.int32(50))
    assert report.findings == ()
    assert y.tolist() == [1] * 50 + [0] * 14


def test_a_complaint_counts_how_often_it_was_made(card):
    y = np.zeros(10 * 64, dtype=np.int32)
    report = card.run(MISUSE, "divergent", 10, 64, y, checks={"synccheck"})
    assert {f.count for f in report.findings} == {20}
    assert report.findings[0].block == (0, 0, 0)
