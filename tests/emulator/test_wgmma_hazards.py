"""What may not be done to a product of a warpgroup in flight, planted and found, with its line."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.matrix_layout import Layout
from kernels.runtime import cuda_program, open_device
from tests.emulator.test_wgmma import source

REGISTERS = """
__device__ void multiply(float (&d)[4], const unsigned (&a)[4], const void* b) {
  asm volatile("wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {%0, %1, %2, %3},"
               " {%4, %5, %6, %7}, %8, 1, 1, 1, 0;"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(matrix(b)));
}
template <int N> __device__ void hold(float (&d)[N]) {
  for (int i = 0; i < N; ++i) asm volatile("" : "+f"(d[i])::"memory");
}
__device__ void store(float* out, const float (&d)[4]) {
  for (int i = 0; i < 4; ++i) out[4 * threadIdx.x + i] = d[i];
}
"""
HEAD = """
extern "C" __global__ void k(float* out, const unsigned* in, int n) {
  __shared__ __align__(128) short a[64 * 16], b[8 * 16];
  for (int i = threadIdx.x; i < 64 * 16; i += 128) a[i] = 0x3c00, b[i % 128] = 0x3c00;
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  __syncthreads();
  float d[4] = {};
"""

CORRECT = {
    "one product": "fence(); multiply(d, a, b); commit(); wait<0>(); hold(d); store(out, d);",
    "a loop with two groups in flight": """
      for (int i = 0; i < n; ++i) { fence(); multiply(d, a, b); commit(); wait<1>(); }
      wait<0>(); hold(d); store(out, d);""",
    "two accumulators by turns": """
      float e[4] = {};
      fence(); multiply(d, a, b); commit();
      for (int i = 0; i < n; ++i) {
        hold(e); fence(); multiply(e, a, b); commit(); wait<1>(); hold(d);
        store(out, d);
        hold(d); fence(); multiply(d, a, b); commit(); wait<1>(); hold(e);
        store(out, e);
      }
      wait<0>(); hold(d); store(out, d);""",
    "A from registers, loaded anew once it is free": """
      for (int i = 0; i < n; ++i) {
        unsigned x[4];
        for (int j = 0; j < 4; ++j) x[j] = in[j] + i;
        for (int j = 0; j < 4; ++j) asm volatile("" : "+r"(x[j])::"memory");
        fence(); multiply(d, x, b); commit(); wait<0>();
        for (int j = 0; j < 4; ++j) asm volatile("" : "+r"(x[j])::"memory");
      }
      hold(d); store(out, d);""",
    "sums scaled between products": """
      for (int i = 0; i < n; ++i) {
        for (int j = 0; j < 4; ++j) d[j] *= 0.5f;
        hold(d); fence(); multiply(d, a, b); commit(); wait<0>(); hold(d);
      }
      store(out, d);""",
    "several tiles, each stored": """
      for (int t = 0; t < n; ++t) {
        for (int j = 0; j < 4; ++j) d[j] = 0;
        for (int i = 0; i < n; ++i) { fence(); multiply(d, a, b); commit(); wait<1>(); }
        wait<0>(); hold(d); store(out + 512 * (t & 1), d);
      }""",
}

PLANTED = {
    "sums are read before the wait": ("read of accumulators before wgmma.wait_group", """
      fence(); multiply(d, a, b); commit();
      out[threadIdx.x] = d[0] + 1; //!
      wait<0>();"""),
    "a wait leaves the group in flight whose sums are read": (
      "read of accumulators before wgmma.wait_group", """
      float e[4] = {};
      fence(); multiply(d, a, b); commit(); multiply(e, a, b); commit(); wait<1>();
      out[threadIdx.x] = e[0] * 2; //!
      out[threadIdx.x + 128] = d[0] * 2;
      wait<0>();"""),
    "the commit is missing": ("read of accumulators before wgmma.wait_group", """
      fence(); multiply(d, a, b); wait<0>();
      out[threadIdx.x] = d[0] * 3; //!"""),
    "the wait is missing on one way": ("read of accumulators before wgmma.wait_group", """
      for (int i = 0; i < n; ++i) { //! where the compiler says that the product below stands
        fence(); multiply(d, a, b); commit();
        if (i < n - 1) wait<0>();
      }
      out[threadIdx.x] = d[0] * 3;"""),
    "no fence at all": ("missing wgmma.fence", """
      multiply(d, a, b); commit(); wait<0>(); hold(d); store(out, d);"""),
    "no fence after the sums were scaled": ("missing wgmma.fence", """
      fence(); multiply(d, a, b); commit(); wait<0>(); hold(d);
      for (int j = 0; j < 4; ++j) d[j] *= 0.5f; //!
      multiply(d, a, b); commit(); wait<0>(); hold(d); store(out, d);"""),
    "A is loaded anew while it is read": ("write of registers that wgmma still reads", """
      unsigned x[4] = {in[0], in[1], in[2], in[3]};
      fence();
      for (int i = 0; i < n; ++i) {
        multiply(d, x, b); commit();
        asm volatile("ld.global.u32 %0, [%1];" : "+r"(x[1]) : "l"(in + i)); //!
        fence();
      }
      wait<0>(); hold(d); store(out, d);"""),
}  # fmt: skip


def findings(card, body):
    """What all checks say of a kernel."""
    out, given = np.zeros(4096, np.float32), np.zeros(64, np.uint32)
    kernel = source(REGISTERS + HEAD + body + "\n}")
    report = card.run(kernel, "k", 1, 128, out, given, np.int32(4), checks="all")
    return kernel, report.findings


@pytest.mark.parametrize("name", CORRECT)
def test_nothing_is_found_in_correct_kernels(card, name):
    assert not findings(card, CORRECT[name])[1]


@pytest.mark.parametrize("name", PLANTED)
def test_hazards_are_found_where_they_are(card, name):
    kind, body = PLANTED[name]
    kernel, found = findings(card, body)
    lines = [number for number, text in enumerate(kernel.splitlines(), 1) if "//!" in text]
    assert {f.kind for f in found} == {kind}
    inside = next(i for i, text in enumerate(kernel.splitlines(), 1) if "mma_async" in text)
    for line in lines or [inside]:
        assert any(f.line == line or f"kernel.cu:{line}" in f.message for f in found)


STAGES = """
extern "C" __global__ void k(float* out, const unsigned* in, int n) {
  __shared__ __align__(128) short a[2][64 * 16], b[2][8 * 16];
  __shared__ __align__(8) unsigned long long free_, full;
  unsigned free = __cvta_generic_to_shared(&free_), filled = __cvta_generic_to_shared(&full);
  auto wait_at = [](unsigned barrier, int parity) {
    asm volatile("{ .reg .pred p; again: mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;"
                 " @!p bra again; }" ::"r"(barrier), "r"(parity) : "memory");
  };
  auto arrive = [](unsigned barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
  };
  if (threadIdx.x == 0) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(free) : "memory");
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 128;" ::"r"(filled) : "memory");
  }
  __syncthreads();
  int thread = threadIdx.x % 128;
  auto fill = [&](int s, int v) {
    for (int i = thread; i < 64 * 16; i += 128)
      a[s][i] = v, b[s][i % 128] = v; //!
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  };
  float d[4] = {};
"""
FREED = {  # how a stage is filled again, and whether that is right
    "at a block's barrier after the wait": (True, """
      for (int i = 0; i < n; ++i) {
        if (threadIdx.x < 128) fill(0, i);
        __syncthreads();
        fence(); multiply(d, a[0], b[0]); commit(); wait<0>();
        __syncthreads();
      }
      hold(d); store(out, d);"""),
    "two stages, one group in flight": (True, """
      for (int i = 0; i < n; ++i) {
        if (threadIdx.x < 128) fill(i & 1, i);
        __syncthreads();
        fence(); multiply(d, a[i & 1], b[i & 1]); commit(); wait<1>();
        __syncthreads();
        if (i == n - 1) wait<0>();
      }
      hold(d); store(out, d);"""),
    "by one thread's arrival for the warpgroup": (True, """
      if (threadIdx.x < 128) {
        for (int i = 0; i < n; ++i) {
          wait_at(filled, i & 1);
          fence(); multiply(d, a[0], b[0]); commit(); wait<0>();
          if (threadIdx.x == 70) arrive(free);
        }
        hold(d); store(out, d);
      } else {
        for (int i = 0; i < n; ++i) {
          if (i) wait_at(free, (i - 1) & 1);
          fill(0, i);
          arrive(filled);
        }
      }"""),
    "before the wait": (False, """
      for (int i = 0; i < n; ++i) {
        if (threadIdx.x < 128) fill(0, i);
        __syncthreads();
        fence(); multiply(d, a[0], b[0]); commit();
        __syncthreads();
      }
      wait<0>(); hold(d); store(out, d);"""),
    "two stages, but two groups in flight": (False, """
      for (int i = 0; i < n; ++i) {
        if (threadIdx.x < 128) fill(i & 1, i);
        __syncthreads();
        fence(); multiply(d, a[i & 1], b[i & 1]); commit(); wait<2>();
        __syncthreads();
      }
      wait<0>(); hold(d); store(out, d);"""),
    "by an arrival before the wait": (False, """
      if (threadIdx.x < 128) {
        for (int i = 0; i < n; ++i) {
          wait_at(filled, i & 1);
          fence(); multiply(d, a[0], b[0]); commit();
          if (threadIdx.x == 70) arrive(free);
          wait<0>();
        }
        hold(d); store(out, d);
      } else {
        for (int i = 0; i < n; ++i) {
          if (i) wait_at(free, (i - 1) & 1);
          fill(0, i);
          arrive(filled);
        }
      }"""),
}  # fmt: skip


@pytest.mark.parametrize("name", FREED)
def test_a_stage_is_filled_again_once_no_product_reads_it(card, name):
    right, body = FREED[name]
    out, given = np.zeros(4096, np.float32), np.zeros(64, np.uint32)
    kernel = source(REGISTERS + STAGES + body + "\n}")
    report = card.run(kernel, "k", 1, 256, out, given, np.int32(4), checks="all")
    read = [f for f in report.findings if "wgmma" in f.message and f.check == "racecheck"]
    if right:
        assert not report.findings
        return
    line = next(i for i, text in enumerate(kernel.splitlines(), 1) if "//!" in text)
    assert read and {f.kind for f in read} == {"write-after-read hazard"}
    assert {f.line for f in read} == {line}


RING = """
__device__ unsigned at(const void* p) { return (unsigned)__cvta_generic_to_shared(p); }
__device__ void wait_at(void* barrier, int parity) {
  asm volatile("{ .reg .pred p; again: mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;"
               " @!p bra again; }" ::"r"(at(barrier)), "r"(parity) : "memory");
}
__device__ void arrive(void* barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(at(barrier)) : "memory");
}
extern "C" __global__ void k(float* out, const unsigned* in, int n) {
  __shared__ __align__(128) short stages[2][72 * 16];
  __shared__ __align__(8) unsigned long long empty[2], full[2];
  if (threadIdx.x == 0)
    for (int s = 0; s < 2; ++s) {
      asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(at(empty + s)) : "memory");
      asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(at(full + s)) : "memory");
    }
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  __syncthreads();
  float d[4] = {};
  if (threadIdx.x == 128) {
    for (int i = 0; i < n; ++i) {
      int s = i % 2, phase = i / 2 % 2;
      wait_at(empty + s, phase ^ 1);
      asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(at(full + s)),
                   "r"(2304) : "memory");
      asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes" //!
                   " [%0], [%1], %2, [%3];" ::"r"(at(stages[s])), "l"(in), "r"(2304),
                   "r"(at(full + s)) : "memory");
    }
  } else if (threadIdx.x < 128) {
    for (int i = 0; i < n; ++i) {
      int s = i % 2, phase = i / 2 % 2;
      wait_at(full + s, phase);
      fence(); multiply(d, stages[s], stages[s] + 64 * 16); commit();
      RELEASE
    }
    wait<0>(); hold(d); store(out, d);
  }
}
"""
RELEASES = {
    "the stage that the wait covers": (True, """
      if (i) { wait<1>(); if (threadIdx.x == 0) arrive(empty + (i - 1) % 2); }"""),
    "each stage, all waited for": (True, "wait<0>(); if (threadIdx.x == 0) arrive(empty + s);"),
    "a stage too early": (False, "wait<1>(); if (threadIdx.x == 0) arrive(empty + s);"),
}  # fmt: skip


@pytest.mark.parametrize("name", RELEASES)
def test_a_copy_comes_to_a_stage_once_no_product_reads_it(card, name):
    right, release = RELEASES[name]
    out, given = np.zeros(4096, np.float32), np.zeros(1024, np.uint32)
    kernel = source(REGISTERS + RING.replace("RELEASE", release))
    report = card.run(kernel, "k", 1, 160, out, given, np.int32(8), checks="all")
    line = next(i for i, text in enumerate(kernel.splitlines(), 1) if "//!" in text)
    if right:
        assert not report.findings
    else:
        assert {(f.check, f.line) for f in report.findings} == {("racecheck", line)}
        assert "wgmma" in report.findings[0].message


BOXES = """
struct alignas(64) TensorMap { unsigned long long opaque[16]; };
extern "C" __global__ void k(const __grid_constant__ TensorMap map, float* out,
                             unsigned long long tile, unsigned long long step, int again,
                             int nbytes) {
  __shared__ __align__(1024) short memory[72 * 64];
  __shared__ __align__(8) unsigned long long full;
  unsigned start = __cvta_generic_to_shared(memory), bar = __cvta_generic_to_shared(&full);
  if (threadIdx.x == 0) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(bar) : "memory");
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(bar), "r"(nbytes)
                 : "memory");
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes" //!
                 " [%0], [%1, {%2, %2}], [%3];" ::"r"(start), "l"(&map), "r"(0), "r"(bar)
                 : "memory");
  }
  __syncthreads();
  asm volatile("{ .reg .pred p; again: mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;"
               " @!p bra again; }" ::"r"(bar), "r"(0) : "memory");
  if (again) {
    for (int i = threadIdx.x; i < 72 * 64; i += 128) memory[i] = 0x3c00;
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    __syncthreads();
  }
  float d[4] = {};
  fence();
  unsigned long long a = tile + (start >> 4), b = a + (64 * 128 >> 4);
  for (int i = 0; i < 4; ++i)
    asm volatile("wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {%0, %1, %2, %3}, %4, %5,"
                 " 1, 1, 1, 0, 0;"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "l"(a + i * step), "l"(b + i * step));
  commit(); wait<0>(); hold(d); store(out, d);
}
"""


@pytest.mark.parametrize("mode", ["32B", "64B", "128B"])
@pytest.mark.parametrize("again", [0, 1])
def test_a_descriptor_swizzles_as_the_tensor_map_did(mode, again):
    """Also where ordinary stores have overwritten the box: then nobody knows how they swizzled."""
    kernel = source(REGISTERS + BOXES)
    device = open_device("emulated")
    program = cuda_program(kernel, name="kernel.cu", arch="sm_90a")
    columns = int(mode.removesuffix("B")) // 2
    x = np.random.default_rng(1).integers(-4, 5, (72, columns)).astype(np.float16)
    matrix = device.asarray(x)
    described = Layout(128, along_k=True, start=0, leading=16, stride=1024).descriptor
    out = device.asarray(np.zeros((128, 4), np.float32))
    tensor_map = device.tensor_map(matrix, (72, columns), swizzle=mode)
    arguments = (
        tensor_map,
        out,
        np.uint64(described),
        np.uint64(2),
        np.int32(again),
        np.int32(x.nbytes),
    )
    report = device.profile(program["k"], 1, 128, arguments, checks="all")
    assert bool(report.findings) == (mode != "128B" and not again)
    for finding in report.findings:
        line = next(i for i, text in enumerate(kernel.splitlines(), 1) if "//!" in text)
        assert finding.kind == "matrix descriptor and tensor map swizzle differently"
        assert {side.line for side in finding.sides} >= {line}
        assert f"{mode.removesuffix('B')} bytes" in finding.message
