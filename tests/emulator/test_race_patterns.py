"""racecheck tells racing accesses from others whatever strides, widths and lanes they have."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest

from tests.emulator.conftest import Card

THREADS = 80  # the last warp is not full
CELLS = THREADS * 40
SEED = 7
READ, WRITE, READ_4, WRITE_4, ADD = range(5)
SOURCE = """
extern "C" __global__ void accesses(int* memory, const int* kinds, const int* places,
                                    const int* barriers, int steps, int* out, int in_shared) {
  __shared__ int4 window[%d];
  int* at = in_shared ? reinterpret_cast<int*>(window) : memory;
  int sum = 0;
  for (int k = 0; k < steps; ++k) {
    int place = places[k * blockDim.x + threadIdx.x];
    if (place >= 0) {
      int4* wide = reinterpret_cast<int4*>(at + (place & -4));
      if (kinds[k] == 0) sum += at[place];
      if (kinds[k] == 1) at[place] = k;
      if (kinds[k] == 2) { int4 v = *wide; sum += v.x + v.y + v.z + v.w; }
      if (kinds[k] == 3) *wide = make_int4(k, k, k, k);
      if (kinds[k] == 4) atomicAdd(at + place, 1);
    }
    if (barriers[k]) __syncthreads();
  }
  out[threadIdx.x] = sum;
}
""" % (CELLS // 4)  # noqa: UP031 - braces abound

Ints = npt.NDArray[np.int32]


def cells_of(kind: int, place: int) -> range:
    """What one thread touches; a place below 0 is nothing."""
    if place < 0:
        return range(0)
    first = place & -4
    return range(first, first + 4) if kind in (READ_4, WRITE_4) else range(place, place + 1)


def race(kinds: Ints, places: Ints, barriers: Ints) -> bool:
    """Whether two threads touch a cell between two barriers, not both reading or both adding."""
    ends = [0, *(np.flatnonzero(barriers) + 1), len(kinds)]
    for first, last in pairwise(ends):
        touched: dict[int, set[tuple[int, int]]] = {}
        for step in range(first, last):
            for thread in range(THREADS):
                for cell in cells_of(int(kinds[step]), int(places[step, thread])):
                    how = int(kinds[step]) % 2 if kinds[step] != ADD else ADD
                    touched.setdefault(cell, set()).add((thread, how))
        for meeting in touched.values():
            for thread, how in meeting:
                others = {other_how for other, other_how in meeting if other != thread}
                if (how == WRITE and others) or (how == ADD and others - {ADD}):
                    return True
    return False


def accesses(rng: np.random.Generator) -> tuple[Ints, Ints, Ints]:
    """Steps in which threads mostly keep to places of their own, and sometimes do not."""
    steps = int(rng.integers(2, 14))
    kinds = rng.choice([READ, WRITE, READ_4, WRITE_4, ADD], steps, p=[0.4, 0.25, 0.15, 0.1, 0.1])
    barriers = (rng.random(steps) < 0.3).astype(np.int32)
    places = np.empty((steps, THREADS), np.int32)
    stride, owner = 4, np.arange(THREADS)
    for step in range(steps):
        if step == 0 or barriers[step - 1]:
            stride = int(rng.choice([1, 2, 3, 4, 5, 8, 12, 20, 32, 33, 40]))
            owner = rng.permutation(THREADS) if rng.random() < 0.2 else np.arange(THREADS)
        if kinds[step] in (READ_4, WRITE_4):
            places[step] = owner * stride if stride % 4 == 0 else -1
        elif kinds[step] == READ and rng.random() < 0.2:
            places[step] = rng.integers(CELLS)  # one for all
        else:
            places[step] = owner * stride + rng.integers(stride)
        idle = rng.random()
        if idle < 0.2:
            places[step, rng.integers(THREADS) :] = -1
        elif idle < 0.4:
            places[step, rng.random(THREADS) < 0.3] = -1
        # One thread goes where another one is, or was. Not to add: of several threads that add to
        # a cell the checker remembers the last.
        if kinds[step] != ADD and rng.random() < 0.15:
            places[step, rng.integers(THREADS)] = places[
                rng.integers(step + 1), rng.integers(THREADS)
            ]
    return kinds.astype(np.int32), places, barriers


@pytest.mark.parametrize("in_shared", [False, True], ids=["global", "shared"])
def test_a_race_is_found_exactly_where_there_is_one(card: Card, in_shared: bool) -> None:
    rng = np.random.default_rng([SEED, in_shared])
    seen = [0, 0]
    for _ in range(100):
        kinds, places, barriers = accesses(rng)
        report = card.run(
            SOURCE, "accesses", 1, THREADS, np.zeros(CELLS, np.int32), kinds, places, barriers,
            np.int32(len(kinds)), np.zeros(THREADS, np.int32), np.int32(in_shared),
            checks="racecheck",
        )  # fmt: skip
        racy = race(kinds, places, barriers)
        assert bool(report.findings) == racy, (kinds, places, barriers)
        seen[racy] += 1
    assert min(seen) > 20
