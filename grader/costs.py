"""What a correct answer costs, beside the reference solution, and which source line costs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from grader.lab import Limit
from grader.replay import Replayed
from grader.verdict import Finding, Measure
from kernels.runtime import LineReport, Report

SECTOR_BYTES = 32
WARP = 32
INSTRUCTIONS = "smsp__inst_executed.sum"
SHARED = tuple(
    f"smsp__inst_executed_op_{what}.sum"
    for what in ("shared_ld", "shared_st", "shared_atom", "shared_stsm", "ldsm", "ldgsts")
)

ARITHMETIC_BOUNDS = ("issue", "fp32", "dependence")
ARITHMETIC = ("fadd", "fmul", "ffma")

# What limits may name: words for it.
MEASURES = {
    "load_sectors": "sectors of 32 bytes read",
    "store_sectors": "sectors of 32 bytes written",
    "sectors": "sectors of 32 bytes moved",
    "requests": "memory requests of a warp",
    "shared_wavefronts": "wavefronts of shared memory",
    "shared_bytes": "bytes of shared memory a block",
    "instructions": "instructions of a warp",
    "threads": "threads of a launch",
    "waiting_ns": "nanoseconds of waiting for memory, modelled",
    "arithmetic_ns": "nanoseconds of FP32 arithmetic, modelled",
}


@dataclass(frozen=True)
class Access:
    """Global reads or writes, in total or of one source line."""

    requests: float
    sectors: float
    nbytes: float  # that active threads asked for

    @property
    def sectors_per_request(self) -> float:
        """What coalescing makes small."""
        return self.sectors / self.requests if self.requests else 0.0

    @property
    def waste(self) -> float:
        """Sectors moved over sectors that hold as many bytes."""
        return self.sectors * SECTOR_BYTES / self.nbytes if self.nbytes else 0.0


def access(counters: Mapping[str, float], direction: str) -> Access:
    """Global reads (``ld``) or writes (``st``) among counters."""
    return Access(
        counters.get(f"l1tex__t_requests_pipe_lsu_mem_global_op_{direction}.sum", 0.0),
        counters.get(f"l1tex__t_sectors_pipe_lsu_mem_global_op_{direction}.sum", 0.0),
        counters.get(f"smsp__sass_data_bytes_mem_global_op_{direction}.sum", 0.0),
    )


@dataclass(frozen=True)
class SharedAccess:
    """Reads, writes and atomics of shared memory of one source line."""

    instructions: float
    wavefronts: float
    ideal: float  # wavefronts without conflicts
    atomics: float  # of the instructions

    @property
    def excess(self) -> float:
        """Wavefronts that conflicts cost."""
        return self.wavefronts - self.ideal


def shared_access(counters: Mapping[str, float]) -> SharedAccess:
    """Accesses to shared memory among a line's counters."""
    return SharedAccess(
        sum(counters.get(name, 0.0) for name in SHARED),
        counters.get("memory_l1_wavefronts_shared", 0.0),
        counters.get("memory_l1_wavefronts_shared_ideal", 0.0),
        counters.get("smsp__inst_executed_op_shared_atom.sum", 0.0),
    )


def totals(done: Replayed) -> dict[str, float]:
    """Every measure, over all launches of a plan."""
    total = dict.fromkeys(MEASURES, 0.0)
    total["shared_bytes"] = float(done.shared_bytes)
    total["threads"] = float(done.threads)
    for report in done.reports:
        load, store = access(report.counters, "ld"), access(report.counters, "st")
        total["load_sectors"] += load.sectors
        total["store_sectors"] += store.sectors
        total["sectors"] += load.sectors + store.sectors
        total["requests"] += load.requests + store.requests
        total["shared_wavefronts"] += report.counters.get("memory_l1_wavefronts_shared", 0.0)
        total["instructions"] += report.counters.get(INSTRUCTIONS, 0.0)
        total["waiting_ns"] += 1e3 * report.bounds.get("latency", 0.0)
        total["arithmetic_ns"] += 1e3 * max(
            report.bounds.get(name, 0.0) for name in ARITHMETIC_BOUNDS
        )
    return total


def measure(
    limits: Sequence[Limit], yours: Mapping[str, float], solution: Mapping[str, float]
) -> tuple[Measure, ...]:
    """Each limited measure beside the solution's."""
    found = []
    for limit in limits:
        most = limit.factor * solution[limit.measure] + limit.slack
        value = yours[limit.measure]
        found.append(
            Measure(
                limit.measure, MEASURES[limit.measure], value, solution[limit.measure], most,
                value <= most,
            )
        )  # fmt: skip
    return tuple(found)


def worst_line(reports: Sequence[Report], measure_name: str) -> Finding | None:
    """The source line that costs most of a measure, in words."""
    if measure_name in ("shared_bytes", "threads"):
        return None  # no line's alone
    if measure_name == "arithmetic_ns":
        return _worst_of_arithmetic(reports)
    if measure_name == "waiting_ns":
        return _worst_of_waiting(reports)
    if measure_name == "shared_wavefronts":
        return _worst_of_shared(reports)
    if measure_name == "instructions":
        return _worst_of_instructions(reports)
    best: tuple[float, LineReport, str, Access] | None = None
    for report in reports:
        for line in report.lines:
            for direction in ("ld", "st"):
                found = access(line.counters, direction)
                if not found.requests:
                    continue
                if measure_name == "requests":
                    weight = found.requests
                else:
                    wanted = {"load_sectors": "ld", "store_sectors": "st"}.get(measure_name)
                    if wanted not in (None, direction):
                        continue
                    # what is wasted; where nothing is, what is moved
                    weight = found.sectors * (found.waste - 1) + found.sectors * 1e-6
                if best is None or weight > best[0]:
                    best = weight, line, direction, found
    if best is None:
        return None
    _, line, direction, found = best
    requests = measure_name == "requests"
    return _finding(line, _about_requests(found) if requests else _about_sectors(found, direction))


def _worst_of_instructions(reports: Sequence[Report]) -> Finding | None:
    """The line that executes most, whatever it does."""
    lines = [line for report in reports for line in report.lines]
    if not lines:
        return None
    worst = max(lines, key=lambda line: line.counters.get(INSTRUCTIONS, 0.0))
    count = worst.counters.get(INSTRUCTIONS, 0.0)
    share = count / sum(line.counters.get(INSTRUCTIONS, 0.0) for line in lines)
    return _finding(worst, f"{count:,.0f} instructions of a warp, {share:.0%} of all")


def _worst_of_shared(reports: Sequence[Report]) -> Finding | None:
    """The line with most wavefronts by conflicts; where there are none, with most wavefronts."""
    lines = [(line, shared_access(line.counters)) for report in reports for line in report.lines]
    lines = [(line, found) for line, found in lines if found.wavefronts]
    if not lines:
        return None
    line, worst = max(lines, key=lambda one: (one[1].excess, one[1].wavefronts))
    words = f"{worst.wavefronts:,.0f} wavefronts for {worst.instructions:,.0f} accesses of a warp"
    if worst.excess > 0:
        times = worst.wavefronts / worst.ideal
        words += (
            f", {times:.3g} times what they would be without conflicts: lanes of a warp "
            + ("change words of the same bank, or the very same word" if worst.atomics
               else "want different words of the same bank")
        )  # fmt: skip
    else:
        words += ". They have no conflicts; is something read or written more than once?"
    return _finding(line, words)


def _worst_of_waiting(reports: Sequence[Report]) -> Finding | None:
    """The line with most requests to read: nobody waits for a write."""
    lines = [(access(line.counters, "ld"), line) for report in reports for line in report.lines]
    lines = [(found, line) for found, line in lines if found.requests]
    if not lines:
        return None
    found, worst = max(lines, key=lambda one: one[0].requests)
    words = (
        f"{found.requests:,.0f} requests of a warp, {found.nbytes / found.requests / WARP:.3g} "
        "bytes a lane. A warp goes on after a request, up to the first instruction that needs what "
        "it asked for"
    )
    return _finding(worst, words)


def _worst_of_arithmetic(reports: Sequence[Report]) -> Finding | None:
    """The line that does most FP32 arithmetic, and what bounds the launch it is in."""
    best: tuple[float, LineReport, Report] | None = None
    for report in reports:
        for line in report.lines:
            done = sum(
                line.counters.get(f"smsp__sass_thread_inst_executed_op_{kind}_pred_on.sum", 0.0)
                for kind in ARITHMETIC
            )
            if done and (best is None or done > best[0]):
                best = done, line, report
    if best is None:
        return None
    done, line, report = best
    issued = max(report.bounds.get(name, 0.0) for name in ("issue", "fp32"))
    waited = report.bounds.get("dependence", 0.0)
    if waited > issued:
        words = (
            "each waits for the one before, with too little else to issue meanwhile: the "
            f"schedulers have something to issue for {issued / waited:.0%} of the time"
        )
    else:
        words = "the schedulers issue all the time, so that only fewer instructions help"
    return _finding(line, f"{done / WARP:,.0f} FP32 instructions of a warp; {words}")


def _finding(line: LineReport, words: str) -> Finding:
    return Finding(
        "cost", f"{line.file}, line {line.line}: {words}", line.file, line.line, line.text.strip()
    )


def _about_requests(found: Access) -> str:
    carried = found.nbytes / found.requests
    words = f"{found.requests:,.0f} requests, each of which carries {carried:.0f} bytes"
    if carried <= 4 * WARP:
        words += "; with a float4 a thread, one carries 512"
    return words


def _about_sectors(found: Access, direction: str) -> str:
    needed = found.nbytes / found.requests / SECTOR_BYTES
    verb = "read" if direction == "ld" else "write"
    words = (
        f"{found.sectors_per_request:.3g} sectors a request, where {needed:.3g} would hold the "
        f"bytes that were asked for"
    )
    apart = found.waste
    if found.sectors_per_request >= WARP - 1:
        return f"{words}: neighbouring threads {verb} elements that lie 32 bytes or more apart"
    if apart >= 1.5:
        return f"{words}: neighbouring threads {verb} elements about {apart:.0f} places apart"
    if apart > 1.1:
        return f"{words}: each warp's piece starts in the middle of a sector"
    return f"{words}. That is coalesced; is something read or written more than once?"
