"""Asynchronous copies: not there before they are waited for, all there after."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator import DeviceFault, LaunchError, UnsupportedInstruction

MODES = ["late", "eager", "shuffled"]

PIPELINE = r"""
#include <cuda_pipeline.h>
// Row sums, a tile of 64 columns at a time: while one tile is summed, the next is on its way.
template <bool kWaits>
__device__ void row_sums(const float* x, float* y, int columns) {
  __shared__ float tile[2][64];
  const float* row = x + blockIdx.x * columns;
  int tiles = columns / 64;
  tile[0][threadIdx.x] = tile[1][threadIdx.x] = 0;
  __syncthreads();
  auto fetch = [&](int t) {
    if (threadIdx.x < 16)
      __pipeline_memcpy_async(&tile[t & 1][4 * threadIdx.x], row + 64 * t + 4 * threadIdx.x, 16);
    __pipeline_commit();
  };
  float sum = 0;
  fetch(0);
  for (int t = 0; t < tiles; t++) {
    if (t + 1 < tiles) fetch(t + 1); else __pipeline_commit();
    if (kWaits) __pipeline_wait_prior(1);
    __syncthreads();
    sum += tile[t & 1][threadIdx.x];
    __syncthreads();
  }
  atomicAdd(&y[blockIdx.x], sum);
}
extern "C" __global__ void waits(const float* x, float* y, int c) { row_sums<true>(x, y, c); }
extern "C" __global__ void peeks(const float* x, float* y) {
  __shared__ float tile[64];
  if (threadIdx.x < 16)
    __pipeline_memcpy_async(&tile[4 * threadIdx.x], x + 4 * threadIdx.x, 16);
  for (int k = 0; k < 4; k++) __syncthreads();
  y[threadIdx.x] = tile[threadIdx.x];
}
extern "C" __global__ void forgets(const float* x, float* y, int c) { row_sums<false>(x, y, c); }
"""


def row_sums(card, name: str, **options) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(1).integers(0, 1000, (6, 320)).astype(np.float32)
    y = np.zeros(6, np.float32)
    report = card.run(PIPELINE, name, 6, 64, x, y, np.int32(320), **options)
    assert name == "forgets" or report.findings == ()
    return y, x.sum(1)


@pytest.mark.parametrize("mode", MODES)
def test_double_buffering_is_right_whenever_copies_finish(card, mode):
    for options in ({"seed": 3}, {"checks": "all"}):
        y, want = row_sums(card, "waits", async_copies=mode, **options)
        assert y.tolist() == want.tolist()


def test_forgetting_to_wait_shows(card):
    eager, want = row_sums(card, "forgets", async_copies="eager")
    assert eager.tolist() == want.tolist()
    for mode in ("late", "shuffled"):
        stale, want = row_sums(card, "forgets", async_copies=mode)
        assert (stale != want).all()


def test_forgetting_to_wait_is_a_race(card):
    """Until a copy is waited for it may write at any time: no barrier orders a read after it."""
    x, y = np.zeros((2, 320), np.float32), np.zeros(2, np.float32)
    report = card.run(PIPELINE, "forgets", 2, 64, x, y, np.int32(320), checks="racecheck")
    reads = [f.sides[1] for f in report.findings if f.kind == "read-after-write hazard"]
    assert {side.source_text for side in reads} == {"sum += tile[t & 1][threadIdx.x];"}


def test_a_seed_decides_when_shuffled_copies_finish(card):
    def result(seed: int) -> bytes:
        x, y = np.arange(64, dtype=np.float32), np.zeros(64, np.float32)
        card.run(PIPELINE, "peeks", 1, 64, x, y, async_copies="shuffled", seed=seed)
        return y.tobytes()

    results = [result(seed) for seed in range(6)]
    assert results == [result(seed) for seed in range(6)]
    assert len(set(results)) > 1


def ptx_kernel(body: str, shared_bytes: int = 1024) -> str:
    """A kernel of inline PTX: %rd1 input, %rd2 output, %r1 thread, %r2 shared array."""
    return f"""
.version 8.0
.target sm_80
.address_size 64
.visible .entry k(.param .u64 x, .param .u64 y)
{{
  .reg .pred %p<8>;
  .reg .b32 %r<32>;
  .reg .b64 %rd<16>;
  .shared .align 16 .b8 tile[{shared_bytes}];
  ld.param.u64 %rd1, [x];
  ld.param.u64 %rd2, [y];
  mov.u32 %r1, %tid.x;
  mov.u32 %r2, tile;
{body}
  ret;
}}
"""


WORD_ADDRESSES = """
  mul.wide.u32 %rd3, %r1, {size};
  add.u64 %rd4, %rd1, %rd3;
  add.u64 %rd5, %rd2, %rd3;
  mad.lo.u32 %r3, %r1, {size}, %r2;
"""


def copy_out(size: int) -> str:
    """Each thread's bytes of shared memory to its place in the output."""
    return "".join(
        f"  ld.shared.u32 %r9, [%r3+{at}];\n  st.global.u32 [%rd5+{at}], %r9;\n"
        for at in range(0, size, 4)
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("operator, size", [("ca", 4), ("ca", 8), ("ca", 16), ("cg", 16)])
def test_bytes_beyond_the_source_size_become_zero(card, operator, size, mode):
    body = WORD_ADDRESSES.format(size=size) + f"""
  rem.u32 %r4, %r1, {size + 1};
  cp.async.{operator}.shared.global [%r3], [%rd4], {size}, %r4;
  cp.async.wait_all;
""" + copy_out(size)  # fmt: skip
    x = np.arange(1, 32 * size + 1).astype(np.uint8).reshape(32, size) | 1
    y = np.full_like(x, 77)
    card.run(ptx_kernel(body), "k", 1, 32, x, y, async_copies=mode)
    kept = np.arange(size) < (np.arange(32) % (size + 1))[:, None]
    assert (y == np.where(kept, x, 0)).all()


def test_an_ignored_source_may_lie_anywhere(card):
    body = WORD_ADDRESSES.format(size=8) + """
  setp.ge.u32 %p1, %r1, 5;
  cp.async.ca.shared::cta.global.L2::128B [%r3], [%rd4], 8, %p1;
  cp.async.wait_all;
""" + copy_out(8)  # fmt: skip
    x = np.arange(1, 6, dtype=np.uint64)
    y = np.full(32, 77, dtype=np.uint64)
    card.run(ptx_kernel(body), "k", 1, 32, x, y)
    assert y.tolist() == [1, 2, 3, 4, 5] + [0] * 27


def test_a_partial_source_may_end_where_the_array_ends(card):
    body = WORD_ADDRESSES.format(size=16) + """
  mov.u32 %r4, 12;
  cp.async.cg.shared.global [%r3], [%rd4], 16, %r4;
  cp.async.wait_all;
""" + copy_out(16)  # fmt: skip
    x = np.arange(7, dtype=np.uint32)
    y = np.zeros(8, np.uint32)
    card.run(ptx_kernel(body), "k", 1, 2, x, y)
    assert y.tolist() == [0, 1, 2, 0, 4, 5, 6, 0]
    with pytest.raises(DeviceFault, match="argument0"):
        card.run(ptx_kernel(body), "k", 1, 2, x[:6].copy(), y)


@pytest.mark.parametrize(
    "target, source, message",
    [
        ("%r3", "%rd4+4", "misaligned read.*16-byte read"),
        ("%r3+8", "%rd4", "misaligned write: .*shared offset 8|shared offset 8 .*multiple of 16"),
        ("%r3", "%rd4+16384", "out-of-bounds read .*past the end of 'argument0'"),
        ("%r3+4096", "%rd4", "out-of-bounds write of shared memory"),
    ],
)
@pytest.mark.parametrize("extra", ["", ", %r4"])
def test_both_sides_are_checked_when_a_copy_is_issued(card, target, source, message, extra):
    body = WORD_ADDRESSES.format(size=16) + f"""
  mov.u32 %r4, 16;
  cp.async.cg.shared.global [{target}], [{source}], 16{extra};
"""  # fmt: skip
    x, y = np.zeros(128, np.uint32), np.zeros(128, np.uint32)
    with pytest.raises(DeviceFault, match=f"(?s){message}"):
        card.run(ptx_kernel(body), "k", 1, 32, x, y)


def test_a_source_size_beyond_the_copy_is_refused(card):
    body = WORD_ADDRESSES.format(size=4) + """
  mov.u32 %r4, 5;
  cp.async.ca.shared.global [%r3], [%rd4], 4, %r4;
"""  # fmt: skip
    x, y = np.zeros(32, np.uint32), np.zeros(32, np.uint32)
    with pytest.raises(DeviceFault, match="src-size of 5 bytes in a copy of 4"):
        card.run(ptx_kernel(body), "k", 1, 32, x, y)


@pytest.mark.parametrize(
    "copy",
    [
        "cp.async.cg.shared.global [%r3], [%rd4], 8",
        "cp.async.bulk.global.shared::cta.bulk_group.cp_mask [%rd5], [%r3], 16, 3",
    ],
)
def test_copies_of_other_kinds_are_refused_by_name(card, copy):
    body = WORD_ADDRESSES.format(size=16) + f"  {copy};\n"
    x, y = np.zeros(128, np.uint32), np.zeros(128, np.uint32)
    with pytest.raises(UnsupportedInstruction, match=r"cp\.async"):
        card.run(ptx_kernel(body), "k", 1, 32, x, y)


def test_an_unknown_mode_is_refused(card):
    with pytest.raises(LaunchError, match="late, eager, shuffled"):
        row_sums(card, "waits", async_copies="lazy")


# --- random programs ----------------------------------------------------------------------------

STEP = st.one_of(
    st.tuples(st.just("copy"), st.integers(0, 7), st.integers(0, 7)),  # cell, source
    st.just(("commit",)),
    st.tuples(st.just("wait"), st.integers(-1, 3)),
    st.tuples(st.just("read"), st.integers(0, 7)),
)
PROGRAM = st.lists(st.tuples(STEP, st.sampled_from([2, 3, 5, 99])), min_size=1, max_size=14)


def as_ptx(program) -> tuple[str, int]:
    """Lane i has 8 cells of shared memory; steps are skipped where the divisor divides the lane."""
    lines = ["  mad.lo.u32 %r3, %r1, 32, %r2;", "  mov.u32 %r10, 0;"]
    lines += [f"  st.shared.u32 [%r3+{4 * cell}], %r10;" for cell in range(8)]
    reads = 0
    lines += ["  mul.wide.u32 %rd4, %r1, 32;", "  add.u64 %rd4, %rd4, %rd1;"]
    for number, (step, divisor) in enumerate(program):
        branches = number % 2  # take part by a branch or by a predicate
        lines += [f"  rem.u32 %r4, %r1, {divisor};", "  setp.ne.u32 %p1, %r4, 0;"]
        guard = f"@!%p1 bra SKIP{number};\n  " if branches else "@%p1 "
        if step[0] == "copy":
            what = f"cp.async.ca.shared.global [%r3+{4 * step[1]}], [%rd4+{4 * step[2]}], 4;"
        elif step[0] == "commit":
            what = "cp.async.commit_group;"
        elif step[0] == "wait":
            what = "cp.async.wait_all;" if step[1] < 0 else f"cp.async.wait_group {step[1]};"
        else:
            lines.append(f"  ld.shared.u32 %r5, [%r3+{4 * step[1]}];")
            lines += [
                f"  mad.lo.u32 %r6, %r1, 64, {4 * reads};",
                "  cvt.u64.u32 %rd6, %r6;",
                "  add.u64 %rd6, %rd6, %rd2;",
            ]
            what = "st.global.u32 [%rd6], %r5;"
            reads += 1
        lines += [f"  {guard}{what}"] + ([f"SKIP{number}:"] if branches else [])
    return ptx_kernel("\n".join(lines)), reads


def by_model(program, lane: int, late: bool) -> list[set[int] | None]:
    """What each read of a lane may see: one value, or, between issue and wait, one of several."""
    cells: list[set[int]] = [{0} for _ in range(8)]
    building: list[tuple[int, int]] = []
    groups: list[list[tuple[int, int]]] = []
    seen: list[set[int] | None] = []

    def finish(copies) -> None:
        for cell, source in copies:
            cells[cell] = {1 + 8 * lane + source}

    for step, divisor in program:
        takes_part = lane % divisor != 0
        if step[0] == "read":
            flying = {
                1 + 8 * lane + source
                for group in [*groups, building]
                for cell, source in group
                if cell == step[1]
            }
            seen.append((cells[step[1]] | (set() if late else flying)) if takes_part else None)
        elif takes_part and step[0] == "copy":
            building.append(step[1:])
        elif takes_part and step[0] == "commit":
            groups.append(building)
            building = []
        elif takes_part and step[1] < 0:
            finish([copy for group in [*groups, building] for copy in group])
            groups, building = [], []
        elif takes_part:
            while len(groups) > step[1]:
                finish(groups.pop(0))
    return seen


@settings(max_examples=60)
@given(PROGRAM, st.sampled_from(["late", "shuffled"]), st.integers(0, 99))
def test_random_programs_read_what_a_model_says(card, program, mode, seed):
    targets = [(step[1], step[2]) for step, _ in program if step[0] == "copy"]
    if mode == "shuffled" and len({cell for cell, _ in targets}) < len(targets):
        mode = "late"  # two copies in flight to one cell may land in either order
    source, reads = as_ptx(program)
    x = 1 + np.arange(256, dtype=np.uint32)
    y = np.full((32, 16), 0xFFFFFFFF, np.uint32)
    card.run(source, "k", 1, 32, x, y, async_copies=mode, seed=seed)
    for lane in range(32):
        for read, allowed in enumerate(by_model(program, lane, mode == "late")):
            if allowed is None:
                assert y[lane, read] == 0xFFFFFFFF
            else:
                assert int(y[lane, read]) in allowed
    assert (y[:, reads:] == 0xFFFFFFFF).all()


def test_a_waiting_lane_waits_for_its_own_groups_only(card):
    """Half of the warp has committed one group more: each waits for all but its newest."""
    body = WORD_ADDRESSES.format(size=4) + """
  mov.u32 %r8, 0;
  st.shared.u32 [%r3], %r8;
  cp.async.ca.shared.global [%r3], [%rd4], 4;
  cp.async.commit_group;
  setp.lt.u32 %p1, %r1, 16;
  @%p1 cp.async.commit_group;
  cp.async.wait_group 1;
""" + copy_out(4)  # fmt: skip
    x, y = np.arange(1, 33, dtype=np.uint32), np.zeros(32, np.uint32)
    card.run(ptx_kernel(body), "k", 1, 32, x, y)
    assert y.tolist() == [*range(1, 17), *[0] * 16]


def test_more_copies_in_flight_than_are_kept_finish_early_with_a_warning(card):
    body = WORD_ADDRESSES.format(size=4) + """
  mov.u32 %r8, 5000;
AGAIN:
  cp.async.ca.shared.global [%r3], [%rd4], 4;
  sub.u32 %r8, %r8, 1;
  setp.ne.u32 %p1, %r8, 0;
  @%p1 bra AGAIN;
  cp.async.wait_all;
""" + copy_out(4)  # fmt: skip
    x, y = np.arange(64, dtype=np.uint32), np.zeros(64, np.uint32)
    with pytest.warns(UserWarning, match="does the kernel ever wait"):
        card.run(ptx_kernel(body), "k", 1, 64, x, y)
    assert y.tolist() == x.tolist()


def test_copies_that_nobody_waited_for_are_gone_before_the_next_block(card):
    """A thread that exits leaves its copies; its successor starts with none and with no groups."""
    source = r"""
#include <cuda_pipeline.h>
extern "C" __global__ void k(const int* x, int* y) {
  __shared__ int cell[32];
  cell[threadIdx.x] = -1;
  for (int i = 0; i < 3; i++) {
    __pipeline_memcpy_async(&cell[threadIdx.x], &x[blockIdx.x], 4);
    __pipeline_commit();
  }
  __pipeline_wait_prior(blockIdx.x & 1 ? 3 : 2);
  y[32 * blockIdx.x + threadIdx.x] = cell[threadIdx.x];
}
"""
    x, y = np.arange(40, dtype=np.int32), np.zeros((40, 32), np.int32)
    card.run(source, "k", 40, 32, x, y)
    blocks = np.arange(40)
    assert (y == np.where(blocks & 1, -1, blocks)[:, None]).all()
