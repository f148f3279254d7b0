"""The ILP and TLP topic on a GPU: both grids of the talk, latencies, the polynomial.

``python -m benchmarks.ilp_tlp_h100`` takes less than a minute and writes
``benchmarks/results/ilp_tlp_h100.json`` after each section. Copies are timed by events with L2
flushed before each, and bandwidth counts each byte read and written once. Rates of arithmetic are
those of the SM's own clock, which the kernels read as they begin and end, together with a timer in
nanoseconds: the clock's rate is what it was during the run.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contest import figures, said
from benchmarks.origin import RESULTS, gpu_origin
from benchmarks.sections import Record, Sections, failures, rows_of
from kernels.ilp_tlp import (
    DEGREE,
    ENTRIES,
    chain,
    copy_in_flight,
    ffma_chains,
    ffma_registers,
    ffma_shared,
    gentle,
    latency_ffma,
    latency_global,
    latency_shared,
    launch_of,
    place,
    polynomial_constants,
    polynomial_elements,
    polynomial_horner,
    stamps,
)
from kernels.ilp_tlp.catalogue import Entry, Numbers
from kernels.ilp_tlp.dram import LOADS, TALK_FLOATS, WIDTHS
from kernels.ilp_tlp.ffma import CHAINS, OPERAND_CHAINS, USES, WEIGHTS, ffmas
from kernels.ilp_tlp.latency import SHARED_LINKS, STEPS
from kernels.ilp_tlp.rates import Stamped
from kernels.launches import Step
from kernels.runtime import open_device

MODULE = "benchmarks.ilp_tlp_h100"
SECTIONS = ("dram", "ffma", "operands", "latencies", "polynomial")
COPY_WARPS = (1, 2, 4, 8, 12, 16, 20, 24, 28, 32)  # a block
FLOATS = {"talk": TALK_FLOATS, "large": 1 << 26}
FFMA_WARPS = (1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32)
ALL_SMS = tuple((warps, chains) for warps in (4, 8, 16, 32) for chains in (1, 2, 4, 8))
OPERAND_WARPS = (4, 8, 16, 32)
ROUNDS = 4000
LINE = 32  # ints of a cache line
# what answers, ints, hops, how far apart, whether L2 is flushed before
WALKS = (
    ("shared memory", SHARED_LINKS, 20_000, 1, False),
    ("L1", 64 * LINE, 20_000, LINE, False),
    ("L2", 1 << 21, 1 << 16, LINE, False),  # 8 MiB in 65,536 lines, each once a walk
    ("DRAM", 1 << 26, 1 << 15, LINE, True),  # some lines of 256 MiB
)
# x a thread, threads a block, blocks an SM: all resident at once
SHAPES = ((1, 128, 1), (1, 512, 1), (1, 1024, 2), (2, 512, 2), (4, 128, 1), (4, 512, 1),
          (4, 512, 2), (8, 128, 1), (8, 256, 1), (8, 512, 1), (8, 512, 2), (16, 128, 1),
          (16, 256, 1), (16, 512, 1))  # fmt: skip
POLYNOMIAL_S = 2e-3  # for which each is to run


def check_steps(device: Any, rng: np.random.Generator) -> Iterator[tuple[str, str | None]]:
    """Every kernel at odd sizes and grids: its name, and what is wrong."""
    for entry in ENTRIES:
        fault: str | None = None
        for sizes in {"n": ((0,), (1,), (33,), (4099,), (100_003,)), "blocks": ((1,), (7,))}.get(
            entry.sizes[0] if entry.sizes else "", ((),)
        ):
            for numbers in odd_numbers(entry):
                fault = fault or check(device, entry, sizes, numbers, rng)
        yield entry.name, fault


def odd_numbers(entry: Entry) -> tuple[Numbers, ...]:
    """Values of an entry's numbers to check with."""
    every: dict[tuple[str, ...], tuple[Numbers, ...]] = {
        ("loads", "width"): tuple((loads, width) for width in WIDTHS for loads in LOADS),
        ("chains", "rounds"): tuple((chains, 3) for chains in CHAINS),
        ("uses", "rounds"): tuple((uses, 3) for uses in USES),
        ("rounds",): ((0,), (1,), (5,)),
        ("start", "hops"): ((0, 1000), (5, 7)),
    }
    return every[entry.numbers]


def check(
    device: Any, entry: Entry, sizes: tuple[int, ...], numbers: Numbers, rng: np.random.Generator
) -> str | None:
    """What is wrong with one launch over fresh inputs and a poisoned output."""
    try:
        placed = place(device, entry, sizes, numbers, rng)
        one = placed.launch(device)
        device.launch(one.kernel, one.grid, one.block, one.args)
        device.synchronize()
        fault = placed.wrong(device)
    except Exception as error:  # noqa: BLE001 - one kernel must not lose the others
        fault = said(error)
    return f"{fault} ({sizes}, numbers {numbers})" if fault else None


def copies(device: Any) -> Iterator[Record]:
    """The DRAM experiment: two blocks an SM, warps a block, loads in flight a thread."""
    for case, n in FLOATS.items():
        x = device.asarray(np.arange(n, dtype=np.uint32).view(np.float32))
        y = device.empty(n, np.float32)
        for width in WIDTHS:
            for loads in LOADS:
                for warps in COPY_WARPS:
                    yield {
                        "kernel": "copy_in_flight", "case": case, "width": width, "loads": loads,
                        "warps": warps, **tried(timed_copy, device, x, y, loads, width, warps),
                    }  # fmt: skip


def timed_copy(device: Any, x: Any, y: Any, loads: int, width: int, warps: int) -> Record:
    """One cell of the grid, checked."""
    one = launch_of(device, copy_in_flight, x, y, loads, width, warps=warps)
    y.view(np.uint8)[...] = 0xFF
    timing = device.time(one.kernel, one.grid, one.block, one.args, repeat=7, warmup=1)
    wrong = int((x.view(np.uint32) != y.view(np.uint32)).sum())
    found = {"blocks": one.blocks, **figures(timing, 2 * x.nbytes)}
    return found | ({"failure": f"{wrong} floats are wrong"} if wrong else {})


def stamped(device: Any, marks: Any, warps: int, work: Callable[[], None], runs: int = 5) -> Record:
    """Medians of what ``runs`` runs say, after one that warms up."""
    found = []
    for _ in range(runs + 1):
        work()
        found.append(Stamped.of(device.to_host(marks), warps))
    clocks = [one.clocks for one in found[1:]]
    return {
        "clocks": statistics.median(clocks),
        "lowest_clocks": min(clocks),
        "highest_clocks": max(clocks),
        "clock_ghz": round(statistics.median(one.clock_hz for one in found[1:]) / 1e9, 4),
        "runs": runs,
    }


def chains(device: Any) -> Iterator[Record]:
    """The FFMA experiment on one SM, then on all of them."""
    factors = device.asarray(np.array([1, 1], dtype=np.float32))
    cells = [(1, warps, count) for warps in FFMA_WARPS for count in CHAINS]
    cells += [(device.arch.sm_count, warps, count) for warps, count in ALL_SMS]
    for blocks, warps, count in cells:
        yield {
            "kernel": "ffma_chains", "blocks": blocks, "warps": warps, "chains": count,
            **tried(timed_chains, device, factors, blocks, warps, count),
        }  # fmt: skip


def timed_chains(device: Any, factors: Any, blocks: int, warps: int, count: int) -> Record:
    """One cell of the grid, checked: each FFMA adds 1."""
    marks, out = device.asarray(stamps(blocks, warps)), device.empty(blocks * warps * 32, "float32")
    found = stamped(
        device, marks, warps,
        lambda: ffma_chains(device, factors, marks, out, count, ROUNDS, warps=warps),
    )  # fmt: skip
    steps = ffmas(count, ROUNDS) // count
    thread = np.arange(warps * 32)[:, None] + np.arange(count)[None, :] + steps
    wrong = device.to_host(out).reshape(blocks, -1) != thread.sum(axis=1).astype(np.float32)
    flops = 2 * warps * 32 * ffmas(count, ROUNDS)
    return rates(found, flops) | ({"failure": f"{wrong.sum()} are wrong"} if wrong.any() else {})


def rates(found: Record, flops: int) -> Record:
    """With FLOP a clock and an SM, and what that is at the clock that was measured."""
    a_clock = flops / found["clocks"]
    return found | {
        "flops_a_clock": round(a_clock, 3),
        "gigaflops_an_sm": round(a_clock * found["clock_ghz"], 2),
    }


def operands(device: Any, rng: np.random.Generator) -> Iterator[Record]:
    """FFMAs whose operands come from registers, and from shared memory."""
    weights = device.asarray(rng.integers(-3, 4, (WEIGHTS, 32)).astype(np.float32))
    for warps in OPERAND_WARPS:
        for uses in (0, *USES):
            yield {
                "kernel": "ffma_shared" if uses else "ffma_registers",
                "warps": warps,
                "uses": uses or None,
                **tried(timed_operands, device, weights, warps, uses),
            }


def timed_operands(device: Any, weights: Any, warps: int, uses: int) -> Record:
    """``uses`` of a weight from shared memory; 0: from registers."""
    marks, out = device.asarray(stamps(1, warps)), device.empty(warps * 32, "float32")

    def run() -> None:
        if uses:
            ffma_shared(device, weights, marks, out, uses, ROUNDS, warps=warps)
        else:
            ffma_registers(device, weights, marks, out, ROUNDS, warps=warps)

    flops = 2 * warps * 32 * WEIGHTS * OPERAND_CHAINS * ROUNDS
    return rates(stamped(device, marks, warps, run), flops)


def latencies(device: Any, rng: np.random.Generator) -> Iterator[Record]:
    """Clocks of what waits for the last one's result, in one thread."""
    yield {"kernel": "FFMA", **tried(ffma_latency, device)}
    for name, n, hops, apart, cold in WALKS:
        yield {"kernel": name, **tried(walk_latency, device, rng, n, hops, apart, cold)}


def ffma_latency(device: Any) -> Record:
    """Clocks of a dependent FFMA."""
    factors = device.asarray(np.array([1, 1, 0], dtype=np.float32))
    clocks, last = device.empty(1, np.int64), device.empty(1, np.float32)

    def run() -> float:
        latency_ffma(device, factors, clocks, last, 100)
        return float(device.to_host(clocks)[0]) / (100 * STEPS)

    return {"clocks": round(statistics.median([run() for _ in range(4)][1:]), 2)}


def walk_latency(
    device: Any, rng: np.random.Generator, n: int, hops: int, apart: int, cold: bool
) -> Record:
    """Clocks of a dependent load, walking through ``n`` ints by every ``apart``-th."""
    links = device.asarray(chain(rng, n, apart))
    clocks, last = device.empty(1, np.int64), device.empty(1, np.int32)
    step = latency_shared if (n, apart) == (SHARED_LINKS, 1) else latency_global

    def run() -> float:
        if cold:
            device.flush_l2()
        step(device, links, clocks, last, 0, hops)
        return float(device.to_host(clocks)[0]) / hops

    return {"clocks": round(statistics.median([run() for _ in range(4)][1:]), 2)}


def polynomials(device: Any, rng: np.random.Generator) -> Iterator[Record]:
    """The polynomial's share of the FP32 issue limit, for points and warps in several shapes."""
    sms, lanes = device.arch.sm_count, device.arch.fp32_lanes_per_sm
    coefficients = device.asarray(gentle(rng))
    for step in (polynomial_elements, polynomial_constants):
        for elements, threads, a_sm in SHAPES:
            n = sms * a_sm * threads * elements
            ideal = DEGREE * n / (sms * lanes * device.arch.clock_hz)  # seconds a round
            rounds = max(int(POLYNOMIAL_S / ideal), 1)
            x = device.asarray(rng.random(n, dtype=np.float32))
            yield {
                "kernel": step.__name__, "elements": elements, "threads": threads,
                "blocks_an_sm": a_sm, "n": n, "rounds": rounds,
                **tried(timed_polynomial, device, step, x, coefficients, rounds, elements, threads),
            }  # fmt: skip


def timed_polynomial(
    device: Any, step: Step, x: Any, coefficients: Any, rounds: int, elements: int, threads: int
) -> Record:
    """Two figures: by events without stamps, and by the stamps of all warps."""
    n, sms, lanes = x.size, device.arch.sm_count, device.arch.fp32_lanes_per_sm
    y, wanted = device.empty(n, np.float32), device.empty(n, np.float32)
    shape: dict[str, Any] = {"elements": elements, "threads": threads}
    one = launch_of(device, step, x, coefficients, y, rounds, **shape)
    timing = device.time(one.kernel, one.grid, one.block, one.args, repeat=7, warmup=2)
    polynomial_horner(device, x, coefficients, wanted, rounds)
    wrong = int((y != wanted).sum())
    marks = device.asarray(stamps(one.blocks, threads // 32))
    found = []
    for _ in range(6):
        step(device, x, coefficients, y, rounds, stamps=marks, **shape)
        found.append(Stamped.of(device.to_host(marks), threads // 32))
    ffma_clocks = DEGREE * rounds * n / (sms * lanes)  # that the issue limit takes
    share = statistics.median(ffma_clocks / (s.ns * 1e-9 * s.clock_hz) for s in found[1:])
    clock_hz = statistics.median(s.clock_hz for s in found[1:])
    return {
        "median_us": round(timing.median_us, 3),
        "samples": timing.samples,
        "teraflops": round(2 * DEGREE * rounds * n / timing.median_us / 1e6, 3),
        "clock_ghz": round(clock_hz / 1e9, 4),
        "of_issue_limit": round(share, 4),
        "of_issue_limit_by_events": round(ffma_clocks / (timing.median_us * 1e-6 * clock_hz), 4),
    } | ({"failure": f"{wrong} differ from Horner's"} if wrong else {})


def tried(work: Callable[..., Record], *arguments: Any) -> Record:
    """A record's figures, or why there are none: too many registers is an answer, no failure."""
    try:
        return work(*arguments)
    except Exception as error:  # noqa: BLE001 - one cell must not lose the others
        refused = any(word in str(error) for word in ("registers", "OUT_OF_RESOURCES"))
        return {"refused" if refused else "failure": said(error)}


def main() -> int:
    """Run all sections; 1 when something was wrong."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("--output", type=Path, default=RESULTS / "ilp_tlp_h100.json")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the inputs")
    arguments = parser.parse_args()
    device: Any = open_device("cuda")
    rng = np.random.default_rng(arguments.seed)
    record: Record = {"origin": gpu_origin(MODULE, device), "seed": arguments.seed}
    section = Sections(record, arguments.output).run
    section("wrong", lambda: {name: f for name, f in check_steps(device, rng) if f is not None})
    section("ffma", lambda: list(chains(device)))
    section("operands", lambda: list(operands(device, rng)))
    section("polynomial", lambda: list(polynomials(device, rng)))
    section("latencies", lambda: list(latencies(device, rng)))
    section("dram", lambda: list(copies(device)))
    report(record)
    print(f"\nwritten to {arguments.output}")
    return int(bool(failures(record, SECTIONS)))


def report(record: Record) -> None:
    """The short tables."""
    print(f"{record['origin']['device']}, {record['origin']['date']}")
    for row in rows_of(record, "latencies"):
        print(f"latency of {row['kernel']:14} {row.get('clocks', row):>8} clocks")
    for case in FLOATS:
        for width in WIDTHS:
            print(f"GB/s, {case}, {width} bytes a load; down: warps a block, across: loads {LOADS}")
            cells = {(r["warps"], r["loads"]): r for r in rows_of(record, "dram")
                     if (r["case"], r["width"]) == (case, width)}  # fmt: skip
            for warps in COPY_WARPS:
                rates = [cells.get((warps, k), {}).get("gigabytes_per_s", 0) for k in LOADS]
                print(f"{warps:4} " + " ".join(f"{rate:8.0f}" for rate in rates))
    print(f"FLOP a clock of one SM; down: warps, across: chains {CHAINS}")
    cells = {(r["warps"], r["chains"]): r for r in rows_of(record, "ffma") if r["blocks"] == 1}
    for warps in FFMA_WARPS:
        found = [cells.get((warps, k), {}).get("flops_a_clock", 0) for k in CHAINS]
        print(f"{warps:4} " + " ".join(f"{rate:8.1f}" for rate in found))
    for row in rows_of(record, "operands"):
        print(f"{row['warps']:3} warps, {row['kernel']}, uses {row['uses']}: "
              f"{row.get('flops_a_clock', row)} FLOP a clock")  # fmt: skip
    for row in rows_of(record, "polynomial"):
        if "teraflops" in row:
            print(f"polynomial {row['elements']:3} x {row['threads']:5} x {row['blocks_an_sm']}: "
                  f"{row['teraflops']:7.2f} TFLOPS, {row['clock_ghz']:.3f} GHz, "
                  f"{row['of_issue_limit']:.4f} of the issue limit")  # fmt: skip
    wrong = failures(record, SECTIONS)
    print(f"{len(wrong)} failures")
    for line in wrong[:10]:
        print("  " + line)


if __name__ == "__main__":
    sys.exit(main())
