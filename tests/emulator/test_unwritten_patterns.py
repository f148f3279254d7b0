"""initcheck knows of every byte whether it was written, whatever wrote it and in which launch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tests.emulator.conftest import Card

SEED = 5
THREADS = 80  # the last warp is not full
WIDTHS = (1, 4, 16)
SOURCE = """
extern "C" __global__ void accesses(unsigned char* memory, const int* writes, const int* widths,
                                    const int* places, int steps, int* out) {
  int sum = 0;
  for (int k = 0; k < steps; ++k) {
    int place = places[k * blockDim.x + threadIdx.x];
    if (place >= 0) {
      if (writes[k]) {
        if (widths[k] == 1) memory[place] = 0;
        if (widths[k] == 4) *reinterpret_cast<int*>(memory + place) = -1;
        if (widths[k] == 16) *reinterpret_cast<int4*>(memory + place) = make_int4(-1, 0, 0, 0);
      } else {
        if (widths[k] == 1) sum += memory[place];
        if (widths[k] == 4) sum += *reinterpret_cast<int*>(memory + place);
        if (widths[k] == 16) {
          int4 v = *reinterpret_cast<int4*>(memory + place);
          sum += v.x + v.y + v.z + v.w;
        }
      }
    }
    __syncthreads();
  }
  out[threadIdx.x] = sum;
}
"""


def accesses(
    rng: np.random.Generator, nbytes: int, written: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.int32], ...]:
    """Regular and irregular steps. Reads mostly keep to what is ``written``, which writes note."""
    steps = int(rng.integers(1, 8))
    writes = rng.integers(0, 2, steps).astype(np.int32)
    widths = rng.choice(WIDTHS, steps).astype(np.int32)
    places = np.empty((steps, THREADS), np.int32)
    for step, width in enumerate(map(int, widths)):
        room = nbytes // width
        if rng.random() < 0.8:
            stride = int(rng.choice([0, 1, 1, 1, 2, 3, 5, 8, 9, 33]))
            units = rng.integers(room) // 8 * 8 + stride * np.arange(THREADS)
        else:
            units = rng.integers(room, size=THREADS)
        units[units >= room] = -1
        if rng.random() < 0.3:
            units[rng.random(THREADS) < 0.3] = -1
        for thread, unit in enumerate(units):
            if unit < 0:
                continue
            whole = slice(unit * width, (unit + 1) * width)
            if writes[step]:
                written[whole] = True
            elif not written[whole].all() and rng.random() < 0.99:
                units[thread] = -1
        places[step] = np.where(units < 0, -1, units * width)
    return writes, widths, places


def test_a_read_is_called_uninitialised_exactly_if_it_is(card: Card) -> None:
    rng = np.random.default_rng(SEED)
    seen = [0, 0]
    for _ in range(40):
        nbytes = int(rng.integers(16, 6000))
        allocation = card.memory.allocate(nbytes)
        allocation.begin_unwritten()
        written = np.zeros(nbytes, np.bool_)
        for _ in range(3):
            before = written.copy()
            writes, widths, places = accesses(rng, nbytes, written)
            report = card.run(
                SOURCE, "accesses", 1, THREADS, np.uint64(allocation.address), writes, widths,
                places, np.int32(len(writes)), np.zeros(THREADS, np.int32), checks="initcheck",
            )  # fmt: skip
            wrong = reads_unwritten(before, writes, widths, places)
            assert bool(report.findings) == wrong, (nbytes, writes, widths, places)
            seen[wrong] += 1
        card.memory.free(allocation)
    assert min(seen) > 10


def reads_unwritten(written: npt.NDArray[np.bool_], *steps: npt.NDArray[np.int32]) -> bool:
    """Whether any step reads a byte that neither an earlier step nor an earlier launch wrote."""
    wrong = False
    for writes, width, places in zip(*steps, strict=True):
        for place in places[places >= 0]:
            if writes:
                written[place : place + width] = True
            else:
                wrong |= not written[place : place + width].all()
    return wrong
