"""mbarriers: phases, arrivals, bytes, and waiting for copies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator import DeviceFault, UnsupportedInstruction


def kernel(body: str) -> str:
    """%rd1 input, %rd2 output, %r1 thread, %r2 shared memory: mbarriers, then 1 KiB from 128 on."""
    return f"""
.version 8.3
.target sm_90
.address_size 64
.visible .entry k(.param .u64 x, .param .u64 y)
{{
  .reg .pred %p<8>;
  .reg .b32 %r<32>;
  .reg .b64 %rd<32>;
  .shared .align 128 .b8 tile[1152];
  ld.param.u64 %rd1, [x];
  ld.param.u64 %rd2, [y];
  mov.u32 %r1, %tid.x;
  mov.u32 %r2, tile;
  mul.wide.u32 %rd3, %r1, 4;
  add.u64 %rd4, %rd1, %rd3;
  add.u64 %rd5, %rd2, %rd3;
  mad.lo.u32 %r3, %r1, 4, %r2;
{body}
  ret;
}}
"""


INIT = """
  setp.eq.u32 %p1, %r1, 0;
  @%p1 mbarrier.init.shared::cta.b64 [%r2], {count};
  bar.sync 0;
"""


def run(card, body: str, threads: int = 32, **options) -> np.ndarray:
    x = np.arange(1, 257, dtype=np.uint32)
    y = np.zeros(256, np.uint32)
    report = card.run(kernel(body), "k", 1, threads, x, y, **options)
    assert report.findings == ()
    return y


# --- one thread, against a model ----------------------------------------------------------------


@dataclass
class Model:
    """An mbarrier as PTX describes it."""

    expected: int
    pending: int
    phase: int = 0
    tx: int = 0

    def settle(self) -> None:
        if self.pending == 0 and self.tx == 0:
            self.phase += 1
            self.pending = self.expected


STEP = st.one_of(
    st.tuples(st.just("arrive"), st.integers(1, 4)),
    st.tuples(st.just("noComplete"), st.integers(1, 4)),
    st.tuples(st.just("drop"), st.integers(1, 2)),
    st.tuples(st.just("arrive.expect_tx"), st.integers(0, 40)),
    st.tuples(st.just("expect_tx"), st.integers(0, 1000)),
    st.tuples(st.just("complete_tx"), st.integers(0, 1000)),
    st.tuples(st.just("parity"), st.integers(0, 1)),
    st.just(("wait", 0)),
    st.just(("restart", 0)),
)


@settings(max_examples=40)
@given(st.integers(1, 6), st.lists(STEP, min_size=1, max_size=20), st.booleans())
def test_phases_go_as_a_model_says(card, count, steps, is_generic):
    """Steps that the model forbids are left out; every answer is compared."""
    space, address = ("", "%rd7") if is_generic else (".shared::cta", "%r2")
    lines = ["  cvt.u64.u32 %rd7, %r2;", "  cvta.shared.u64 %rd7, %rd7;"]
    lines.append(f"  mbarrier.init{space}.b64 [{address}], {count};")
    model, state_phase, want = Model(count, count), None, []

    def answer(condition: bool) -> None:
        lines.extend(
            ["  selp.u32 %r9, 1, 2, %p2;", f"  st.global.u32 [%rd2+{4 * len(want)}], %r9;"]
        )
        want.append(1 if condition else 2)

    for what, n in steps:
        if what in ("arrive", "noComplete", "drop", "arrive.expect_tx"):
            amount = 1 if what == "arrive.expect_tx" else n
            if amount > model.pending or (what == "noComplete" and amount == model.pending):
                continue
            state_phase = model.phase
            if what == "arrive.expect_tx":
                model.tx += n
                lines.append(
                    f"  mbarrier.arrive.expect_tx.release.cta{space}.b64 %rd9, [{address}], {n};"
                )
            else:
                name = {"drop": "arrive_drop", "noComplete": "arrive.noComplete"}.get(what, what)
                lines.append(f"  mbarrier.{name}{space}.b64 %rd9, [{address}], {n};")
            if what == "noComplete":
                lines.append("  mbarrier.pending_count.b64 %r8, %rd9;")
                lines.append(f"  setp.eq.u32 %p2, %r8, {model.pending};")
                answer(True)
            if what == "drop":
                model.expected -= min(n, model.expected)
            model.pending -= amount
            model.settle()
        elif what in ("expect_tx", "complete_tx"):
            model.tx += n if what == "expect_tx" else -n
            model.settle()
            lines.append(f"  mbarrier.{what}.relaxed.cta{space}.b64 [{address}], {n};")
        elif what == "parity":
            lines.append(f"  mbarrier.try_wait.parity{space}.b64 %p2, [{address}], {n}, 1000;")
            answer(model.phase % 2 != n)
        elif what == "wait" and state_phase is not None and model.phase - state_phase < 2:
            lines.append(f"  mbarrier.test_wait.acquire.cta{space}.b64 %p2, [{address}], %rd9;")
            answer(model.phase > state_phase)
        elif what == "restart":
            lines.append(f"  mbarrier.inval{space}.b64 [{address}];")
            lines.append(f"  mbarrier.init{space}.b64 [{address}], {count};")
            model, state_phase = Model(count, count), None
    y = run(card, "\n".join(lines), threads=1)
    assert y[: len(want)].tolist() == want


# --- warps that wait for one another ------------------------------------------------------------

RING = r"""
#include <cuda/barrier>
// Warp 0 hands `n` tiles through a ring of `kSlots` to warps 1..3, which all read every tile.
template <int kSlots>
__device__ void ring(const int* x, int* y, int n) {
  using Barrier = cuda::barrier<cuda::thread_scope_block>;
  __shared__ Barrier full[kSlots], empty[kSlots];
  __shared__ int tile[kSlots][32];
  int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  if (threadIdx.x < kSlots) {
    init(&full[threadIdx.x], 32);
    init(&empty[threadIdx.x], 96);
  }
  __syncthreads();
  int sum = 0;
  for (int i = 0; i < n; i++) {
    int slot = i % kSlots, turn = i / kSlots;
    if (warp == 0) {
      if (turn > 0) empty[slot].wait_parity((turn - 1) & 1);
      tile[slot][lane] = x[32 * i + lane];
      (void)full[slot].arrive();
    } else {
      full[slot].wait_parity(turn & 1);
      sum = 31 * sum + tile[slot][(lane + warp) & 31];
      (void)empty[slot].arrive();
    }
  }
  if (warp) y[threadIdx.x - 32] = sum;
}
extern "C" __global__ void ring1(const int* x, int* y, int n) { ring<1>(x, y, n); }
extern "C" __global__ void ring3(const int* x, int* y, int n) { ring<3>(x, y, n); }
"""


@pytest.mark.parametrize("name", ["ring1", "ring3"])
@pytest.mark.parametrize("seed", [None, 5])
def test_a_producer_and_three_consumers_share_a_ring(card, name, seed):
    x = np.random.default_rng(2).integers(0, 100, (25, 32)).astype(np.int32)
    y = np.zeros(96, np.int32)
    checks = () if seed else "all"
    report = card.run(RING, name, 1, 128, x, y, np.int32(25), seed=seed, checks=checks)
    assert report.findings == ()
    want = np.zeros(96, np.int64)
    lane, warp = np.arange(96) % 32, np.arange(96) // 32 + 1
    for row in x:
        want = (31 * want + row[(lane + warp) & 31]) & 0xFFFFFFFF
    assert y.view(np.uint32).tolist() == want.tolist()


def test_a_consumer_that_does_not_wait_is_a_race(card):
    source = RING.replace("full[slot].wait_parity(turn & 1);", "")
    x, y = np.zeros((2, 32), np.int32), np.zeros(96, np.int32)
    report = card.run(source, "ring3", 1, 128, x, y, np.int32(2), checks="racecheck")
    lines = {side.source_text.strip() for f in report.findings for side in f.sides}
    assert {"tile[slot][lane] = x[32 * i + lane];",
            "sum = 31 * sum + tile[slot][(lane + warp) & 31];"} <= lines  # fmt: skip


def test_lanes_of_one_warp_wait_for_one_another(card):
    """The upper half waits in a loop for the lower half of its own warp."""
    body = INIT.format(count=16) + """
  setp.lt.u32 %p2, %r1, 16;
  @%p2 bra ARRIVE;
SPIN:
  mbarrier.try_wait.parity.shared::cta.b64 %p3, [%r2], 0;
  @!%p3 bra SPIN;
  ld.shared.u32 %r4, [%r3+64];
  st.global.u32 [%rd5], %r4;
  bra DONE;
ARRIVE:
  ld.global.u32 %r4, [%rd4];
  st.shared.u32 [%r3+128], %r4;
  mbarrier.arrive.shared::cta.b64 _, [%r2];
DONE:
"""  # fmt: skip
    assert run(card, body, checks="all")[16:32].tolist() == list(range(1, 17))


@pytest.mark.parametrize("mode", ["late", "eager", "shuffled"])
@pytest.mark.parametrize("noinc", [False, True])
def test_copies_arrive_at_an_mbarrier(card, mode, noinc):
    """One warp copies and never waits; the other waits for the mbarrier only."""
    body = INIT.format(count=64 if noinc else 32) + f"""
  setp.ge.u32 %p2, %r1, 32;
  @%p2 bra WAIT;
  cp.async.ca.shared.global [%r3+128], [%rd4], 4;
  cp.async.ca.shared.global [%r3+512], [%rd4+512], 4;
  cp.async.mbarrier.arrive{".noinc" if noinc else ""}.shared::cta.b64 [%r2];
  cp.async.ca.shared.global [%r3+1024], [%rd4], 4;
  mbarrier.arrive.shared::cta.b64 %rd9, [%r2];
  bra DONE;
WAIT:
  mbarrier.try_wait.parity.shared::cta.b64 %p3, [%r2], 0;
  @!%p3 bra WAIT;
  ld.shared.u32 %r4, [%r3];
  ld.shared.u32 %r5, [%r3+384];
  st.global.u32 [%rd5+-128], %r4;
  st.global.u32 [%rd5], %r5;
DONE:
"""  # fmt: skip
    for options in ({"seed": 1}, {"checks": "all"}):
        y = run(card, body, threads=64, async_copies=mode, **options)
        assert y[:32].tolist() == list(range(1, 33))
        assert y[32:64].tolist() == list(range(129, 161))


# --- misuse -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body, message",
    [
        ("mbarrier.arrive.shared.b64 %rd9, [%r2];", "uninitialised mbarrier.*shared offset 0"),
        (
            "mbarrier.init.shared.b64 [%r2+8], 1;\n mbarrier.inval.shared.b64 [%r2+8];\n"
            "mbarrier.try_wait.parity.shared.b64 %p1, [%r2+8], 0;",
            "uninitialised mbarrier.*shared offset 8",
        ),
        (
            "mbarrier.init.shared.b64 [%r2], 1;\n st.shared.u32 [%r2+4], %r1;\n"
            "mbarrier.arrive.shared.b64 %rd9, [%r2];",
            "uninitialised mbarrier",
        ),
        ("mbarrier.init.shared.b64 [%r2], 0;", "count of 0 .*1 to 1,048,575"),
        ("mbarrier.init.shared.b64 [%r2], 1048576;", "count of 1048576"),
        ("mbarrier.init.b64 [%rd2], 4;", "outside shared memory"),
        ("mbarrier.init.shared.b64 [%r2+4], 4;", "misaligned"),
        ("mbarrier.init.shared.b64 [%r2+4096], 4;", "out-of-bounds"),
        (
            "mbarrier.init.shared.b64 [%r2], 3;\n mbarrier.arrive.shared.b64 %rd9, [%r2], 4;",
            "too many arrivals.*4 arrivals at .*of 3 arrivals it still waits for 3",
        ),
        (
            "mbarrier.init.shared.b64 [%r2], 3;\n"
            "mbarrier.arrive.noComplete.shared.b64 %rd9, [%r2], 3;",
            "noComplete that completes",
        ),
        (
            "mbarrier.init.shared.b64 [%r2], 3;\n mbarrier.arrive.shared.b64 %rd9, [%r2];\n"
            "mbarrier.init.shared.b64 [%r2], 3;",
            "initialised while in use",
        ),
        (
            "mbarrier.init.shared.b64 [%r2], 3;\n mbarrier.expect_tx.relaxed.cta.shared::cta.b64 "
            "[%r2], 1048576;",
            r"tx-count out of range.*\+1048576 bytes",
        ),
        (
            "mbarrier.init.shared.b64 [%r2], 3;\n mov.u64 %rd9, 0;\n"
            "mbarrier.test_wait.shared.b64 %p1, [%r2], %rd9;",
            "invalid mbarrier state",
        ),
    ],
)  # fmt: skip
def test_misuse_is_found(card, body, message):
    with pytest.raises(DeviceFault, match=f"(?s){message}") as caught:
        run(card, body, threads=1)
    expected = "memcheck" if "aligned" in message or "bounds" in message else "synccheck"
    assert caught.value.finding.check == expected


def test_a_block_does_not_inherit_the_mbarriers_of_the_last_one(card):
    body = """
  mov.u32 %r4, %ctaid.x;
  setp.eq.u32 %p1, %r4, 0;
  @%p1 mbarrier.init.shared.b64 [%r2], 8;
  mbarrier.arrive.shared.b64 %rd9, [%r2];
"""
    x = np.zeros(1, np.uint32)
    with pytest.raises(DeviceFault, match=r"not initialised in this block.*"):
        card.run(kernel(body), "k", 2, 1, x, x.copy())


def test_only_arrivals_and_bytes_go_to_mbarriers_of_other_blocks(card):
    body = "mbarrier.init.shared::cluster.b64 [%r2], 1;"
    with pytest.raises(UnsupportedInstruction, match="shared::cluster"):
        run(card, body)
