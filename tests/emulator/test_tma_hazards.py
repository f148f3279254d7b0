"""What only an emulator can say of bulk copies: planted mistakes are found, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from kernels.runtime import DeviceFault, cuda_program, open_device
from tests.emulator.test_wgmma import source
from tests.emulator.test_wgmma_hazards import CORRECT, HEAD, REGISTERS
from tests.emulator.test_wgmma_hazards import RING as RING_OF_PRODUCTS

HEADER = r"""
struct alignas(64) TensorMap { unsigned long long opaque[16]; };
__device__ unsigned at(const void* p) { return (unsigned)__cvta_generic_to_shared(p); }
__device__ void init(unsigned bar, int count) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(bar), "r"(count) : "memory");
}
__device__ void expect(unsigned bar, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(bar), "r"(bytes)
               : "memory");
}
__device__ void arrive(unsigned bar) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(bar) : "memory");
}
__device__ void wait(unsigned bar, int parity) {
  asm volatile("{ .reg .pred done; again: mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;"
               " @!done bra again; }" ::"r"(bar), "r"(parity) : "memory");
}
__device__ void fence() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
__device__ void load(unsigned to, const void* from, int bytes, unsigned bar) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes"
               " [%0], [%1], %2, [%3];" ::"r"(to), "l"(from), "r"(bytes), "r"(bar) : "memory");
}
__device__ void load_box(unsigned to, const TensorMap& map, int x, int y, unsigned bar) {
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes"
               " [%0], [%1, {%2, %3}], [%4];" ::"r"(to), "l"(&map), "r"(x), "r"(y), "r"(bar)
               : "memory");
}
__device__ void store(void* to, unsigned from, int bytes) {
  asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;"
               ::"l"(to), "r"(from), "r"(bytes) : "memory");
}
__device__ void close() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }
__device__ void until_read() { asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory"); }
"""
# A ring of two stages: one thread loads, 64 others read; then all write a tile, which one stores.
RING = r"""
extern "C" __global__ void ring(const __grid_constant__ TensorMap map, int* out) {
  __shared__ __align__(128) int stage[2][256];
  __shared__ __align__(16) int tile[64];
  __shared__ unsigned long long full[2], empty[2];
  int t = threadIdx.x;
  if (t == 0) {
    for (int i = 0; i < 2; ++i) { init(at(&full[i]), 1); init(at(&empty[i]), 64); }
    fence();
  }
  __syncthreads();
  if (t == 64) {
    for (int i = 0; i < 6; ++i) {
      int s = i & 1;
      if (i >= 2) EMPTY;
      expect(at(&full[s]), 1024);
      load_box(at(stage[s]), map, 0, 4 * i, at(&full[s]));
    }
  }
  if (t < 64) {
    int sum = 0;
    for (int i = 0; i < 6; ++i) {
      int s = i & 1;
      FULL;
      for (int k = 0; k < 4; ++k) sum += stage[s][64 * k + t];
      RELEASE;
    }
    for (int i = 0; i < 3; ++i) {
      tile[t] = sum + i;
      FENCE;
      asm volatile("bar.sync 1, 64;" ::: "memory");
      if (t == 0) {
        store(out + 64 * i, at(tile), 256);
        close();
        UNTIL_READ;
      }
      asm volatile("bar.sync 1, 64;" ::: "memory");
    }
  }
}
"""
ONCE = r"""
extern "C" __global__ void once(const int* in, int* out) {
  __shared__ __align__(16) int tile[256];
  __shared__ unsigned long long bar;
  int t = threadIdx.x;
  if (t == 0) {
    init(at(&bar), 1);
    fence();
    expect(at(&bar), 1024);
    load(at(tile), in, 512, at(&bar));
    load(at(tile) + 512, in + 128, 512, at(&bar));
  }
  __syncthreads();
  WAIT;
  out[t] = tile[4 * t];
}
"""
RIGHT = {
    "EMPTY": "wait(at(&empty[s]), (i / 2 - 1) & 1)", "FULL": "wait(at(&full[s]), i / 2 & 1)",
    "RELEASE": "arrive(at(&empty[s]))", "FENCE": "fence()", "UNTIL_READ": "until_read()",
}  # fmt: skip


@pytest.fixture(scope="module")
def device():
    """The software GPU."""
    return open_device("emulated")


def run_ring(device, **changes):
    """The ring with lines replaced: its report and what it computed."""
    body = RING
    for name, text in (RIGHT | changes).items():
        body = body.replace(f"{name};", f"{text};")
    source = HEADER + body
    program = cuda_program(source, name="ring.cu", arch="sm_90a")
    x = np.arange(24 * 64, dtype=np.int32).reshape(24, 64)
    told = device.tensor_map(device.asarray(x), (4, 64))
    out = device.empty(3 * 64, np.int32)
    report = device.profile(program["ring"], 1, 96, (told, out), checks=("racecheck", "initcheck"))
    return report, device.to_host(out), x.sum(axis=0), source.splitlines()


def test_a_correct_ring_has_no_findings(device):
    report, out, expected, _ = run_ring(device)
    assert report.findings == ()
    for i in range(3):
        assert np.array_equal(out[64 * i :][:64], expected + i)


def one_of(report, kind):
    """The finding of that kind."""
    assert kind in {f.kind for f in report.findings}, [f.message for f in report.findings]
    return next(f for f in report.findings if f.kind == kind)


def run_once(device, wait, bytes_expected=1024):
    """One load by thread 0, and ``wait`` before all read: the report."""
    body = ONCE.replace("WAIT;", wait).replace(
        "expect(at(&bar), 1024)", f"expect(at(&bar), {bytes_expected})"
    )
    program = cuda_program(HEADER + body, name="once.cu", arch="sm_90a")
    x, out = device.asarray(np.arange(256, dtype=np.int32)), device.empty(64, np.int32)
    return device.profile(program["once"], 1, 64, (x, out), checks="all")


def test_a_correct_load_has_no_findings(device):
    assert run_once(device, "wait(at(&bar), 0);").findings == ()
    assert run_once(device, "if (t == 0) wait(at(&bar), 0); __syncthreads();").findings == ()


def test_a_tile_that_only_another_thread_waited_for(device):
    found = one_of(run_once(device, "if (t == 0) wait(at(&bar), 0);"), "read-after-write hazard")
    assert "out[t] =" in found.source_text
    assert "mbarrier" in found.message
    assert found.sides[0].thread == (0, 0, 0)


@pytest.mark.parametrize("wait", ["", "__syncthreads();", "wait(at(&bar), 1);"])
def test_a_tile_read_before_its_phase_is_complete(device, wait):
    found = one_of(run_once(device, wait), "read-after-write hazard")
    assert "in flight" in found.message
    assert "mbarrier" in found.message


def test_a_stage_released_before_it_is_read(device):
    early = {"FULL": f"{RIGHT['FULL']}; {RIGHT['RELEASE']}", "RELEASE": ""}
    report, *_ = run_ring(device, **early)
    found = one_of(report, "write-after-read hazard")
    assert "sum +=" in found.sides[0].source_text
    assert found.sides[1].thread == (64, 0, 0)


def test_a_missing_proxy_fence(device):
    report, *_ = run_ring(device, FENCE="")
    found = one_of(report, "missing fence.proxy.async")
    assert {f.kind for f in report.findings} == {found.kind}
    assert "tile[t]" in found.sides[0].source_text
    assert found.sides[1].thread == (0, 0, 0)


def test_a_source_overwritten_while_a_store_may_read_it(device):
    report, *_ = run_ring(device, UNTIL_READ="")
    found = one_of(report, "write-after-read hazard")
    assert "wait_group.read" in found.message
    assert "tile[t]" in found.source_text


def test_more_bytes_expected_than_come(device):
    with pytest.raises(DeviceFault, match="deadlock") as caught:
        run_once(device, "wait(at(&bar), 0);", bytes_expected=2048)
    assert "2,048 were expected" in str(caught.value)
    assert "1,024 have arrived" in str(caught.value)


def test_fewer_bytes_expected_than_come(device):
    with pytest.raises(DeviceFault, match="transaction count") as caught:
        run_once(device, "wait(at(&bar), 0);", bytes_expected=512)
    assert "expected 512 bytes" in str(caught.value)
    assert "1,024 bytes were to be counted" in str(caught.value)
    assert caught.value.finding.line


def test_a_wait_for_a_phase_of_the_wrong_parity(device):
    with pytest.raises(DeviceFault, match="deadlock") as caught:
        run_once(device, "wait(at(&bar), 0); wait(at(&bar), 1);")
    assert "parity 1" in str(caught.value)
    assert "nobody has arrived" in str(caught.value)


def test_a_product_of_a_tile_in_flight(card):
    text = RING_OF_PRODUCTS.replace(
        "RELEASE", "wait<0>(); if (threadIdx.x == 0) arrive(empty + s);"
    )
    early = "if (i == 0) wait_at(full + s, phase);"
    kernel = source(REGISTERS + text.replace("wait_at(full + s, phase);", early))
    out, given = np.zeros(4096, np.float32), np.zeros(1024, np.uint32)
    report = card.run(kernel, "k", 1, 160, out, given, np.int32(2), checks="racecheck")
    found = one_of(report, "read-after-write hazard")
    assert "in flight" in found.message
    assert "mma_async" in found.source_text


@pytest.mark.parametrize("fence", [True, False])
def test_a_product_of_what_threads_wrote(card, fence):
    head = HEAD if fence else HEAD.replace("fence.proxy.async.shared::cta;", "")
    kernel = source(REGISTERS + head + CORRECT["one product"] + "\n}")
    out, given = np.zeros(4096, np.float32), np.zeros(64, np.uint32)
    report = card.run(kernel, "k", 1, 128, out, given, np.int32(4), checks="all")
    assert {f.kind for f in report.findings} == (set() if fence else {"missing fence.proxy.async"})


def test_a_block_that_does_not_wait_for_its_last_copy(device):
    found = one_of(run_once(device, "return;"), "block exits with a copy in flight")
    assert "512 bytes" in found.message
    assert "load(" in found.source_text or "cp.async.bulk" in found.source_text


MISPLACED = r"""
extern "C" __global__ void k(const __grid_constant__ TensorMap map, int* out, int box, int bytes) {
  __shared__ __align__(1024) int tile[1024];
  __shared__ unsigned long long bar;
  init(at(&bar), 1);
  expect(at(&bar), 1024);
  if (box >= 0) load_box(at(tile) + box, map, 0, 0, at(&bar));
  if (bytes > 0) load(at(tile), out, bytes, at(&bar));
  if (bytes < 0) store(out, at(tile) - bytes, 64);
  if (bytes == 0 && box < 0) store((char*)out + 4, at(tile), 64);
}
"""


@pytest.mark.parametrize(
    ("box", "nbytes", "kind", "words"),
    [
        (64, 0, "misaligned box", "multiple of 128"),
        (3968, 0, "out-of-bounds write of shared memory", "1024 bytes"),
        (-1, 24, "invalid copy", "multiple of 16"),
        (-1, -4, "misaligned read", "shared offset"),
        (-1, 0, "misaligned write", "address 0x"),
    ],
)  # fmt: skip
def test_a_copy_to_the_wrong_place(device, box, nbytes, kind, words):
    program = cuda_program(HEADER + MISPLACED, name="places.cu", arch="sm_90a")
    x, out = device.asarray(np.ones((8, 64), np.int32)), device.empty(64, np.int32)
    told = device.tensor_map(x, (4, 64))
    with pytest.raises(DeviceFault, match=words) as caught:
        device.launch(program["k"], 1, 1, (told, out, np.int32(box), np.int32(nbytes)))
    assert caught.value.finding.kind == kind
    assert caught.value.finding.line


THROUGH_GLOBAL = r"""
extern "C" __global__ void k(int* x, int* out) {
  __shared__ __align__(16) int tile[64];
  __shared__ unsigned long long bar;
  int t = threadIdx.x;
  if (t == 0) init(at(&bar), 1);
  x[t] = 3 * t;
  FENCE;
  __syncthreads();
  if (t == 0) {
    expect(at(&bar), 256);
    load(at(tile), x, 256, at(&bar));
  }
  wait(at(&bar), 0);
  out[t] = tile[63 - t];
}
"""


@pytest.mark.parametrize("fence", ["", 'asm volatile("fence.proxy.async;" ::: "memory")'])
def test_a_copy_of_global_memory_that_the_block_wrote(device, fence):
    body = HEADER + THROUGH_GLOBAL.replace("FENCE", fence)
    program = cuda_program(body, name="through.cu", arch="sm_90a")
    x, out = device.empty(64, np.int32), device.empty(64, np.int32)
    report = device.profile(program["k"], 1, 64, (x, out), checks="all")
    assert np.array_equal(device.to_host(out), 3 * np.arange(64)[::-1])
    kinds = {f.kind for f in report.findings}
    assert kinds == (set() if fence else {"missing fence.proxy.async"})
    assert all("x[0]" in f.message or "x at" in f.message for f in report.findings)
