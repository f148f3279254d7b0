"""Timelines of small blocks whose waits are known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from emulator import LaunchError
from emulator.timeline import (
    CONSUMER,
    COPIES,
    FILLING,
    PRODUCER,
    PRODUCTS,
    READ,
    RUNS,
    STAGE,
    WAITS_FOR_BARRIER,
    WAITS_FOR_COPIES,
    WAITS_FOR_DATA,
    WAITS_FOR_ROOM,
    Timeline,
)
from kernels.gemm.hgemm import SHAPES, hgemm_multistage
from kernels.gemm.hopper import HopperTile, hgemm_cluster, hgemm_persistent
from kernels.launches import timeline
from kernels.runtime import Device, DeviceError, open_device
from tests.emulator.conftest import Card

TILE = HopperTile(consumers=2, bn=64, stages=3)
M, N, K = 2 * 128, 64, 64 * 9

BARRIER = """
extern "C" __global__ void meet(int* out, int turns) {
  int sum = 0;
  if (threadIdx.x / 32 == 2)
    for (int i = 0; i < turns; ++i) sum = sum * 3 + out[i % 32];
  __syncthreads();
  if (threadIdx.x == 0) out[0] = sum;
}
"""

PHASES = """
__device__ unsigned at(const void* p) { return __cvta_generic_to_shared(p); }
__device__ void wait(unsigned barrier, int parity) {
  asm volatile("{\\n.reg .pred p;\\nagain: mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;\\n"
               "@!p bra again;\\n}" ::"r"(barrier), "r"(parity) : "memory");
}
extern "C" __global__ void phases(float* in, float* out, int turns) {
  __shared__ alignas(128) float row[32 * 4];
  __shared__ unsigned long long full, empty;
  if (threadIdx.x == 0) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 32;" ::"r"(at(&full)));
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 32;" ::"r"(at(&empty)));
  }
  __syncthreads();
  int lane = threadIdx.x % 32;
  float sum = 0;
  for (int turn = 0; turn < turns; ++turn) {
    if (threadIdx.x < 32) {
      wait(at(&empty), turn & 1 ^ 1);
      asm volatile("cp.async.ca.shared.global [%0], [%1], 16;" ::"r"(at(row + 4 * lane)),
                   "l"(in + 128 * turn + 4 * lane) : "memory");
      asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(at(&full)));
    } else {
      wait(at(&full), turn & 1);
      sum += row[lane];
      asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(at(&empty)) : "memory");
    }
  }
  if (threadIdx.x >= 32) out[lane] = sum;
}
"""


@pytest.fixture(scope="module")
def device() -> Device:
    return open_device("emulated")


def halves(device: Device, m: int, n: int, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    a, b = (device.asarray(rng.standard_normal(s).astype(np.float16)) for s in ((m, k), (k, n)))
    return a, b, device.empty((m, n), np.float16)


def make_sense(found: Timeline) -> None:
    """What holds for every timeline."""
    for lane in found.lanes:
        assert all(0 <= one.begin < one.end <= found.cycles for one in lane.intervals), lane.name
        for one, after in itertools.pairwise(lane.intervals):
            assert one.end <= after.begin, lane.name
    for lane in found.of(STAGE):
        kinds = [one.kind for one in lane.intervals]
        assert kinds[0] == FILLING
        for one, after in itertools.pairwise(lane.intervals):
            if one.kind == READ:
                assert after.kind == FILLING, "a stage is filled again once it has been read"
    for phase, after in itertools.pairwise(found.phases):
        if phase.barrier == after.barrier:
            assert after.number == phase.number + 1 and after.end >= phase.end == after.begin


@pytest.fixture(scope="module")
def hopper(device: Device) -> Timeline:
    return timeline(device, hgemm_persistent, *halves(device, M, N, K), tile=TILE)


def test_roles_of_a_warp_specialised_product(hopper: Timeline) -> None:
    make_sense(hopper)
    (producer,) = hopper.of(PRODUCER)
    assert producer.warps == (0,) and producer.spent(WAITS_FOR_ROOM) > producer.spent(RUNS)
    assert [lane.warps for lane in hopper.of(CONSUMER)] == [(4, 5, 6, 7), (8, 9, 10, 11)]
    for lane in hopper.of(CONSUMER):
        assert lane.spent(WAITS_FOR_DATA) > 0
        waits = [one for one in lane.intervals if one.kind == WAITS_FOR_DATA]
        assert waits[0].what == "waits for stage 0 to be full, phase 0 (parity 0)"
        assert "wait(full" in waits[0].source_text and waits[0].file == "hgemm_wgmma.cu"


def test_every_slice_is_a_turn_of_a_stage(hopper: Timeline) -> None:
    slices = K // 64
    assert len(hopper.of(STAGE)) == TILE.stages and hopper.copies_in_flight <= TILE.stages
    assert [one.nbytes for one in hopper.copies] == [2 * 64 * (128 + 64)] * slices
    assert all(one.kind == COPIES for one in hopper.copies)
    for stage in range(TILE.stages):
        full = [p for p in hopper.phases if p.stage == stage and p.fills]
        empty = [p for p in hopper.phases if p.stage == stage and not p.fills]
        assert [p.parity for p in full] == [n % 2 for n in range(slices // TILE.stages)]
        assert len(empty) == len(full)
        for filled, given_back in zip(full, empty, strict=True):
            assert given_back.end > filled.end


def test_products_come_in_a_group_a_slice(hopper: Timeline) -> None:
    for lane in hopper.of("tensor cores"):
        assert len(lane.intervals) == K // 64
        assert lane.intervals[0].what == "group 0: 4 wgmma of the warpgroup"
        # 64 x 64 x 64 multiply-adds at 4096 FLOP a cycle; longer with others' in between
        assert all(one.kind == PRODUCTS and one.cycles >= 128 for one in lane.intervals)


def test_more_stages_wait_less_for_data(device: Device, hopper: Timeline) -> None:
    more = HopperTile(consumers=2, bn=64, stages=8)
    deep = timeline(device, hgemm_persistent, *halves(device, M, N, K), tile=more)
    make_sense(deep)
    assert deep.copies_in_flight > hopper.copies_in_flight
    assert deep.cycles < hopper.cycles
    assert deep.of(CONSUMER)[0].spent(WAITS_FOR_DATA) < hopper.of(CONSUMER)[0].spent(WAITS_FOR_DATA)


def test_the_same_run_gives_the_same_times(device: Device, hopper: Timeline) -> None:
    a, b, d = halves(device, M, N, K)
    assert timeline(device, hgemm_persistent, a, b, d, tile=TILE) == hopper
    want = a.astype(np.float32) @ b.astype(np.float32)
    assert np.abs(d.astype(np.float32) - want).max() < 0.2


def test_blocks_of_a_cluster_share_copies(device: Device) -> None:
    tile = HopperTile(consumers=1, bn=128, stages=3, cluster=2)
    a, b, d = halves(device, 2 * 64, 128, 64 * 6)
    for block in range(2):
        found = timeline(device, hgemm_cluster, a, b, d, tile=tile, block=block)
        make_sense(found)
        assert found.block == block and len(found.of(STAGE)) == 3
        # a box of A, half of B's boxes asked for here, and half of them by the other block
        assert [one.nbytes for one in found.copies] == [2 * 64 * (64 + 128)] * 6
        assert "by 3 copies" in found.copies[0].what


def test_stages_of_cp_async(device: Device) -> None:
    tile = SHAPES[-1]
    a, b, d = halves(device, tile.bm, tile.bn, tile.bk * (2 * tile.stages + 1))
    found = timeline(device, hgemm_multistage, a, b, d, tile=tile)
    make_sense(found)
    assert len(found.of(STAGE)) == tile.stages
    assert len(found.copies) == 2 * tile.stages + 1
    assert {one.nbytes for one in found.copies} == {2 * tile.bk * (tile.bm + tile.bn)}
    assert found.of("warps")[0].spent(WAITS_FOR_COPIES) > 0
    for lane in found.of(STAGE):
        assert lane.spent(READ) > 0


def test_who_comes_late_to_a_barrier_keeps_the_others(card: Card) -> None:
    out = np.arange(32, dtype=np.int32)
    found = card.run(BARRIER, "meet", 1, 128, out, np.int32(40), timeline=0).timeline
    assert found is not None
    make_sense(found)
    waits = [lane.spent(WAITS_FOR_BARRIER) for lane in found.lanes]
    assert waits[2] == 0 and min(waits[0], waits[1], waits[3]) > 40


def test_cp_async_arrives_at_an_mbarrier(card: Card) -> None:
    given, out = np.arange(5 * 128, dtype=np.float32), np.zeros(32, np.float32)
    found = card.run(PHASES, "phases", 1, 64, given, out, np.int32(5), timeline=0).timeline
    assert found is not None
    assert out[3] == sum(128 * turn + 3 for turn in range(5))
    ends = {}
    for phase in found.phases:
        ends.setdefault(phase.barrier, []).append(phase.end)
    assert [len(times) for times in ends.values()] == [5, 5]
    full, empty = ends.values()
    assert all(a < b for a, b in zip(full, empty, strict=True))
    assert full[0] >= 650, "memory's latency"


@pytest.mark.parametrize("block", [-1, 4])
def test_there_must_be_such_a_block(card: Card, block: int) -> None:
    with pytest.raises(LaunchError, match="the grid's blocks are 0 to 3"):
        card.run(BARRIER, "meet", 4, 32, np.zeros(32, np.int32), np.int32(1), timeline=block)


def test_only_the_software_gpu_tells() -> None:
    class Gpu:
        kind, name = "cuda", "NVIDIA H100"

    with pytest.raises(DeviceError, match="open_device"):
        timeline(Gpu(), hgemm_persistent)  # type: ignore[arg-type]
