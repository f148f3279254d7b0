"""Wavefronts and bank conflicts of shared memory against the rule, stated here over arrays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

WIDTHS = {1: "unsigned char", 2: "unsigned short", 4: "float", 8: "float2", 16: "float4"}
SHARED_BYTES = 48 << 10


def touching(size: int) -> str:
    """Loads ``at[lane]`` elements into shared memory and stores there; -1 keeps a lane out."""
    kind = WIDTHS[size]
    return f"""
extern __shared__ {kind} tile[];
extern "C" __global__ void read(const int* at, {kind}* out) {{
  int i = threadIdx.x, k = at[i];
  if (k >= 0) out[i] = tile[k];
}}
extern "C" __global__ void write(const int* at, {kind}* out) {{
  int i = threadIdx.x, k = at[i];
  if (k >= 0) tile[k] = out[i];
}}
"""


def name(what: str, direction: str) -> str:
    return {
        "instructions": f"smsp__inst_executed_op_shared_{direction}.sum",
        "wavefronts": f"l1tex__data_pipe_lsu_wavefronts_mem_shared_op_{direction}.sum",
        "conflicts": f"l1tex__data_bank_conflicts_pipe_lsu_mem_shared_op_{direction}.sum",
        "bytes": f"smsp__sass_data_bytes_mem_shared_op_{direction}.sum",
    }[what]


def run(card, size, at, direction="ld"):
    at = np.array(at, dtype=np.int32)
    out = np.zeros((len(at), size), dtype=np.uint8)
    kernel = "read" if direction == "ld" else "write"
    return card.run(
        touching(size), kernel, 1, len(at), at, out, shared_bytes=SHARED_BYTES, counters=True
    ).counters


def busiest_bank(words: np.ndarray) -> int:
    distinct = np.unique(words)
    return int(np.bincount(distinct % 32, minlength=32).max()) if len(distinct) else 0


def wavefronts(at: list[int], size: int, direction: str) -> int:
    """Lanes of 8 bytes go by halves of the warp, of 16 by quarters; two of a load's together where
    each lane's neighbour, or each lane's next but one, keeps out or wants the same."""
    a_lane = max(size // 4, 1)
    words = [
        np.arange(k * size // 4, k * size // 4 + a_lane) if k >= 0 else np.empty(0, dtype=int)
        for k in at
    ]
    together = 32 // a_lane
    for apart in (1, 2):
        pairs = [(at[lane], at[lane ^ apart]) for lane in range(32)]
        if direction == "ld" and all(-1 in pair or pair[0] == pair[1] for pair in pairs):
            together = min(64 // a_lane, 32)
    return sum(
        busiest_bank(np.concatenate(words[i : i + together])) for i in range(0, 32, together)
    )


patterns = (
    st.lists(st.integers(-1, 700), min_size=32, max_size=32)
    | st.lists(st.integers(0, 40), min_size=32, max_size=32)
    | st.tuples(st.integers(0, 7), st.integers(0, 16)).map(
        lambda p: [p[0] + p[1] * lane for lane in range(32)]
    )
    | st.permutations(range(32))
    | st.lists(st.integers(0, 90), min_size=16, max_size=16).map(
        lambda p: [x for x in p for _ in "12"]
    )
    | st.lists(st.integers(-1, 90), min_size=8, max_size=8).map(
        lambda p: [p[lane // 4 * 2 % 8 + lane % 2] for lane in range(32)]
    )
)


@settings(max_examples=100)
@given(st.sampled_from(sorted(WIDTHS)), patterns, st.sampled_from(["ld", "st"]))
def test_wavefronts_are_passes_over_the_banks(card, size, at, direction):
    found = run(card, size, at, direction)
    expected = wavefronts(at, size, direction)
    active = sum(k >= 0 for k in at)
    assert found[name("wavefronts", direction)] == expected
    assert found[name("instructions", direction)] == bool(active)
    assert found[name("bytes", direction)] == active * size


@pytest.mark.parametrize("stride", range(1, 34))
def test_a_stride_of_floats_conflicts_as_often_as_it_shares_a_factor_with_32(card, stride):
    found = run(card, 4, [stride * lane for lane in range(32)])
    assert found[name("wavefronts", "ld")] == np.gcd(stride, 32)
    assert found[name("conflicts", "ld")] == np.gcd(stride, 32) - 1


@pytest.mark.parametrize("size", sorted(WIDTHS))
@pytest.mark.parametrize(
    ("pattern", "share"),
    [(lambda lane: lane, 1), (lambda lane: 31 - lane, 1), (lambda lane: 5, 2)],
    ids=["row", "reversed", "broadcast"],
)
def test_rows_and_broadcasts_are_free_of_conflicts(card, size, pattern, share):
    found = run(card, size, [pattern(lane) for lane in range(32)])
    assert found[name("wavefronts", "ld")] == max(size / 4 / share, 1)
    assert found[name("conflicts", "ld")] == 0


TILE = """
extern "C" __global__ void transpose(const float* x, float* y) {{
  __shared__ float tile[32][{pitch}];
  tile[threadIdx.y][threadIdx.x] = x[threadIdx.y * 32 + threadIdx.x];
  __syncthreads();
  y[threadIdx.y * 32 + threadIdx.x] = tile[threadIdx.x][threadIdx.y];
}}
"""


@pytest.mark.parametrize(("pitch", "passes"), [(32, 32), (33, 1), (36, 4)])
def test_a_padded_tile_has_no_conflicts_and_each_line_its_own_counters(card, pitch, passes):
    x, y = np.arange(1024, dtype=np.float32), np.zeros(1024, dtype=np.float32)
    report = card.run(TILE.format(pitch=pitch), "transpose", 1, (32, 32), x, y, counters=True)
    assert (y.reshape(32, 32) == x.reshape(32, 32).T).all()
    by_line = {line.line: line.counters for line in report.lines}
    assert by_line[4][name("wavefronts", "st")] == 32
    assert by_line[6][name("wavefronts", "ld")] == 32 * passes
    assert by_line[6][name("conflicts", "ld")] == 32 * (passes - 1)
    assert report.counters["memory_l1_wavefronts_shared"] == 32 + 32 * passes
    assert report.counters["derived__memory_l1_wavefronts_shared_excessive"] == 32 * (passes - 1)
    assert name("wavefronts", "st") not in by_line[6]


GENERIC = r"""
extern "C" __global__ void staged(const float* x, float* y) {
  __shared__ float tile[64];
  float* p = tile;
  asm volatile("" : "+l"(p));  // keeps the compiler from knowing which space this is
  p[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  y[threadIdx.x] = p[(threadIdx.x * 2) % 64];
}
"""


def test_generic_addresses_of_shared_memory_are_shared_accesses(card):
    x, y = np.arange(64, dtype=np.float32), np.zeros(64, dtype=np.float32)
    found = card.run(GENERIC, "staged", 1, 64, x, y, counters=True).counters
    assert found["smsp__inst_executed_op_generic_st.sum"] == 2
    assert found[name("instructions", "st")] == 0
    assert found[name("wavefronts", "st")] == 2
    assert found[name("wavefronts", "ld")] == 4
    assert found[name("conflicts", "ld")] == 2
