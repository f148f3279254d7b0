"""Cooperative groups: grids that wait for themselves, tiles, and what tiles do together."""

from __future__ import annotations

import numpy as np
import pytest

from emulator import DeviceFault, LaunchError

GRID = r"""
#include <cooperative_groups.h>
namespace cg = cooperative_groups;
extern "C" __global__ void jacobi(float* a, float* b, int n, int turns) {
  cg::grid_group grid = cg::this_grid();
  for (int k = 0; k < turns; k++) {
    for (int i = grid.thread_rank(); i < n; i += grid.size())
      b[i] = (a[i] + a[(i + 1) % n] + a[(i + n - 1) % n]) / 3;
    grid.sync();
    float* t = a; a = b; b = t;
  }
}
"""


@pytest.mark.parametrize("seed", [None, 5])
def test_a_grid_waits_for_all_its_blocks(card, seed):
    n, turns = 3000, 6
    a = np.random.default_rng(0).standard_normal(n).astype(np.float32)
    b, want = np.zeros_like(a), a.copy()
    for _ in range(turns):
        want = (want + np.roll(want, -1) + np.roll(want, 1)) / np.float32(3)
    card.run(
        GRID, "jacobi", 11, 96, a, b, np.int32(n), np.int32(turns), cooperative=True, seed=seed
    )
    np.testing.assert_allclose(a, want, rtol=1e-6, atol=1e-6)


def test_a_grid_that_does_not_fit_is_refused(card):
    a = np.zeros(8, dtype=np.float32)
    with pytest.raises(LaunchError, match=r"5,000 blocks.*264 fit: 2 on each of 132 SMs.*warps"):
        card.run(GRID, "jacobi", 5000, 1024, a, a, np.int32(8), np.int32(1), cooperative=True)


def test_a_grid_cannot_wait_in_a_launch_that_is_not_cooperative(card):
    a = np.zeros(8, dtype=np.float32)
    with pytest.raises(DeviceFault, match="trap"):
        card.run(GRID, "jacobi", 2, 32, a, a, np.int32(8), np.int32(1))


GROUPS = r"""
#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>
#include <cooperative_groups/scan.h>
namespace cg = cooperative_groups;
extern "C" __global__ void tiles(const int* x, int* y, int n) {
  auto block = cg::this_thread_block();
  auto warp = cg::tiled_partition<32>(block);
  auto tile = cg::tiled_partition<8>(warp);
  int i = block.thread_rank(), v = x[i];
  y[i] = cg::reduce(tile, v, cg::plus<int>());
  y[i + n] = cg::inclusive_scan(warp, v);
  y[i + 2 * n] = cg::exclusive_scan(tile, v);
  y[i + 3 * n] = tile.shfl_down(v, 1) + 100 * tile.thread_rank() + 1000 * tile.meta_group_rank();
  y[i + 4 * n] = warp.ballot(v % 2) + tile.any(v > 95);
  block.sync();
}
extern "C" __global__ void some(const int* x, int* y, int* count, int n) {
  int i = threadIdx.x;
  if (x[i] % 3 == 0) {
    auto here = cg::coalesced_threads();
    y[i] = here.thread_rank() + 100 * here.size();
    int at;
    if (here.thread_rank() == 0) at = atomicAdd(count, here.size());
    at = here.shfl(at, 0) + here.thread_rank();
    y[i + n] = at;
    y[i + 2 * n] = cg::reduce(here, x[i], cg::greater<int>());
  }
}
extern "C" __global__ void labels(const int* x, int* y, int n) {
  int i = threadIdx.x;
  auto warp = cg::tiled_partition<32>(cg::this_thread_block());
  auto same = cg::labeled_partition(warp, x[i] % 4);
  y[i] = same.size() + 100 * same.thread_rank();
  y[i + n] = cg::reduce(same, x[i], cg::plus<int>());
  auto odd = cg::binary_partition(warp, x[i] % 2);
  y[i + 2 * n] = cg::reduce(odd, 1, cg::plus<int>());
}
extern "C" __global__ void wide(const int* x, int* y, int n) {  // a tile of two warps
  __shared__ cg::block_tile_memory<256> memory;
  auto block = cg::this_thread_block(memory);
  auto tile = cg::tiled_partition<64>(block);
  int i = block.thread_rank();
  y[i] = cg::reduce(tile, x[i], cg::plus<int>());
  tile.sync();
  y[i + n] = tile.thread_rank() + 1000 * tile.meta_group_rank();
}
"""
N = 256


@pytest.fixture
def x():
    return np.random.default_rng(3).integers(0, 100, N, dtype=np.int32)


def test_tiles_of_a_block(card, x):
    y = np.zeros(5 * N, dtype=np.int32)
    card.run(GROUPS, "tiles", 1, N, x, y, np.int32(N))
    eights, warps = x.reshape(-1, 8), x.reshape(-1, 32)
    reduced, scanned, before, shifted, said = y.reshape(5, -1)
    assert reduced.tolist() == np.repeat(eights.sum(1), 8).tolist()
    assert scanned.tolist() == np.cumsum(warps, axis=1).reshape(-1).tolist()
    assert before.tolist() == (np.cumsum(eights, axis=1) - eights).reshape(-1).tolist()
    down = np.concatenate([eights[:, 1:], eights[:, 7:]], axis=1)
    ranks = np.arange(N) % 8 * 100 + np.arange(N) // 8 % 4 * 1000
    assert shifted.tolist() == (down.reshape(-1) + ranks).tolist()
    ballots = [sum(1 << i for i, v in enumerate(w) if v % 2) for w in warps.tolist()]
    want = np.repeat(np.array(ballots, dtype=np.uint32), 32)
    want += np.repeat((eights > 95).any(1), 8).astype(np.uint32)
    assert said.view(np.uint32).tolist() == want.tolist()


def test_threads_that_are_together(card, x):
    y, count = np.full(3 * N, -1, dtype=np.int32), np.zeros(1, dtype=np.int32)
    card.run(GROUPS, "some", 1, N, x, y, count, np.int32(N))
    chosen = x % 3 == 0
    assert count[0] == chosen.sum()
    assert sorted(y[N : 2 * N][chosen].tolist()) == list(range(chosen.sum()))
    for w in range(N // 32):
        lanes = [i for i in range(32 * w, 32 * w + 32) if chosen[i]]
        for rank, i in enumerate(lanes):
            assert y[i] == rank + 100 * len(lanes)
            assert y[i + 2 * N] == x[lanes].max()


def test_lanes_with_the_same_label(card, x):
    y = np.zeros(3 * N, dtype=np.int32)
    card.run(GROUPS, "labels", 1, N, x, y, np.int32(N))
    for i in range(N):
        warp = range(i // 32 * 32, i // 32 * 32 + 32)
        same = [j for j in warp if x[j] % 4 == x[i] % 4]
        assert y[i] == len(same) + 100 * same.index(i)
        assert y[i + N] == x[same].sum()
        assert y[i + 2 * N] == sum(x[j] % 2 == x[i] % 2 for j in warp)


def test_a_tile_of_two_warps(card, x):
    y = np.zeros(2 * N, dtype=np.int32)
    card.run(GROUPS, "wide", 1, N, x, y, np.int32(N))
    assert y[:N].tolist() == np.repeat(x.reshape(-1, 64).sum(1), 64).tolist()
    assert y[N:].tolist() == [i % 64 + 1000 * (i // 64) for i in range(N)]
