"""Counters of a finished launch, in total and by source line.

Requests, sectors, wavefronts and bytes are counted as the hardware's L1 counts them. What is
counted as instructions are PTX instructions: machine code has other, usually fewer, ones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from emulator.cfg import Block, read_registers
from emulator.counting import metrics
from emulator.counting.opcodes import work_of
from emulator.lower.wmma import machine_accesses
from emulator.native.layout import (
    ATOMIC_RULE,
    BYPASSING,
    GLOBAL,
    MERGED,
    ORDINARY,
    PAIRED,
    SWAP_RULE,
    Site,
)
from emulator.ptx import Address, Immediate, Instruction, Register
from emulator.report import LineReport, Report
from emulator.running import Launch

Counts = dict[str, float]

DIRECTIONS = {"ld": "ld", "ldu": "ld", "st": "st", "atom": "atom", "red": "red", "cp": "ldgsts",
              "ldmatrix": "ldsm", "stmatrix": "stsm"}  # fmt: skip
SPACES = ("global", "shared", "local", "const", "param")
AS = {"ldsm": "ld", "stsm": "st", "red": "atom"}  # whose wavefronts count those of another
BY_INSTRUCTION = (
    "Instruction counts are of PTX instructions; the machine code that ptxas makes of them has "
    "other, usually fewer, ones."
)
EXPANDED = "Divisions, roots and the like count as one instruction; machine code does them in many."
APPROXIMATE = frozenset(
    {metrics.INSTRUCTIONS, metrics.THREAD_INSTRUCTIONS, metrics.PREDICATED_ON,
     metrics.THREADS_AN_INSTRUCTION, metrics.PREDICATED_ON_RATIO, metrics.BRANCH_INSTRUCTIONS,
     metrics.BRANCH_TARGETS, metrics.UNIFORM_TARGETS, metrics.DIVERGENT_TARGETS,
     metrics.BRANCH_EFFICIENCY, metrics.ACHIEVED}
    | {metric.name for metric in metrics.METRICS.values()
       if metric.section in (metrics.CACHES, metrics.BULK)}
    | {metrics.pipe(name) for name in metrics.PIPES}
    | {metrics.thread_operations(name) for name in metrics.CLASSES}
)  # fmt: skip


def counting_rule(inst: Instruction) -> int:
    """How the routines that count accesses treat an instruction."""
    if inst.opcode in ("atom", "red"):
        if _is_increment(inst):
            return ORDINARY
        return SWAP_RULE if inst.has("cas") else ATOMIC_RULE
    if inst.opcode in ("ld", "ldu") and any(m.startswith("shared") for m in inst.modifiers):
        return PAIRED
    return BYPASSING if inst.opcode == "cp" and inst.has("cg") else ORDINARY


def _is_increment(inst: Instruction) -> bool:
    """Whether ptxas counts the lanes at each word of shared memory first (``ATOMS.POPC.INC``)."""
    last = inst.operands[-1]
    return (
        inst.has("shared") and inst.has("add") and inst.type in ("u32", "s32")
        and isinstance(last, Immediate) and last.value == 1
    )  # fmt: skip


def passes_l1_by(inst: Instruction) -> bool:
    """Whether a load asks for what other SMs may have written since, or not to be kept in L1."""
    return bool({"cg", "cv", "volatile", "relaxed", "acquire", "mmio"} & set(inst.modifiers))


def report(launch: Launch) -> Report:
    """All counters of a finished launch; the time is added by the model."""
    kernel = launch.kernel
    lines: dict[tuple[str, int], Counts] = defaultdict(lambda: defaultdict(float))
    texts: dict[tuple[str, int], str] = {}
    total: Counts = defaultdict(float)
    expanded = False
    unread = _unread_results(launch)
    for block, (warps, lanes) in zip(kernel.graph.blocks, launch.block_counts, strict=False):
        for offset, inst in enumerate(block.body):
            place = kernel.module.source_line(inst)
            key = (place.file, place.line) if place else ("", 0)
            texts.setdefault(key, place.text.rstrip() if place else "")
            site = launch.sites[kernel.sites[block.function.name, block.first + offset]]
            if site.counted_bytes == MERGED:
                continue  # machine code has no such instruction
            added = instruction_counts(inst, block, site, float(warps), float(lanes))
            direction = direction_of(inst, unread)
            if direction:
                added |= memory_counts(direction, site)
                added |= cache_counts(direction, site)
                name = metrics.instructions(direction, space_of(inst))
                if name in metrics.METRICS:
                    many = machine_accesses(inst)[1] if inst.opcode == "wmma" else 1
                    added[name] = float(warps) * many
            added |= bulk_counts(inst, site, float(warps))
            expanded |= bool(warps) and work_of(inst).expands
            for name, amount in added.items():
                lines[key][name] += amount
                total[name] += amount
    for name in metrics.METRICS:
        if name.endswith(".sum") or name.startswith(("memory_", "derived__")):
            total.setdefault(name, 0.0)
    fits = launch.fits
    total |= {metrics.OCCUPANCY_LIMITS[name]: float(n) for name, n in fits.limits.items()}
    total[metrics.WAVES] = fits.waves
    total[metrics.THEORETICAL] = 100.0 * fits.theoretical
    total[metrics.ACHIEVED] = 100.0 * fits.achieved
    if launch.caches is not None:
        total[metrics.DRAM_READ], total[metrics.DRAM_WRITTEN] = launch.caches.dram_bytes()
    approximate = APPROXIMATE
    if expanded:
        approximate |= {metrics.thread_operations(name) for name in metrics.FLOATING}
    return Report(
        kernel=kernel.name,
        grid=launch.grid,
        block=launch.block,
        shared_bytes=launch.dynamic_shared_bytes,
        device=f"emulated {launch.arch.name}",
        counters=with_ratios(total),
        lines=tuple(
            LineReport(file, line, texts[file, line], with_ratios(found))
            for (file, line), found in sorted(lines.items())
            if line
        ),
        notes=(BY_INSTRUCTION, EXPANDED) if expanded else (BY_INSTRUCTION,),
        approximate=approximate,
        occupancy=fits,
    )


def instruction_counts(
    inst: Instruction, block: Block, site: Site, warps: float, lanes: float
) -> Counts:
    """What an instruction adds by being executed by ``warps`` warps with ``lanes`` lanes."""
    added = {metrics.INSTRUCTIONS: warps, metrics.THREAD_INSTRUCTIONS: lanes}
    work = work_of(inst)
    counted = inst.predicate is not None and inst is not block.terminator
    active_warps = float(site.executed) if counted else warps
    active = float(site.executed_lanes) if counted else lanes
    added[metrics.PREDICATED_ON] = active
    added[metrics.pipe(work.pipe)] = warps
    added[metrics.thread_operations(work.class_)] = active
    if work.floating:
        added[metrics.thread_operations(work.floating)] = active * work.times
    if work.tensor_path:
        path = metrics.tensor_operations(work.tensor_path)
        added[path] = active_warps * work.tensor_operations
    if inst.opcode in ("bra", "brx"):
        added[metrics.BRANCH_INSTRUCTIONS] = warps
        added[metrics.DIVERGENT_TARGETS] = float(site.divergent)
        added[metrics.UNIFORM_TARGETS] = warps - float(site.divergent)
        added[metrics.BRANCH_TARGETS] = warps
    return added


def direction_of(inst: Instruction, unread: set[int]) -> str:
    """What a memory instruction does, as counters name it; "" for any other."""
    direction = DIRECTIONS.get(inst.opcode, "")
    if inst.has("bulk"):
        return ""  # bulk_counts
    if direction == "ldgsts" and not any(isinstance(o, Address) for o in inst.operands):
        return ""  # groups, and waiting for them
    if inst.opcode == "wmma":
        direction, _ = machine_accesses(inst)
    return "red" if direction == "atom" and id(inst) in unread else direction


def space_of(inst: Instruction) -> str:
    """The state space that an access names; "generic" when it names none."""
    if inst.has("shared::cluster"):
        return "generic"  # as machine code has it
    names = (modifier.partition("::")[0] for modifier in inst.modifiers)
    return next((name for name in names if name in SPACES), "generic")


def memory_counts(direction: str, site: Site) -> Counts:
    """What a memory instruction's accesses add, by the space that they went to."""
    added: Counts = {}
    if site.requests and site.kind == GLOBAL:
        added[metrics.bytes_asked(direction)] = float(site.bytes)
        names = [direction]
        if direction == "ldgsts":  # also counted as loads
            names = ["ld"] if site.rule == BYPASSING else ["ld", "ldgsts_cache_access"]
        for name in names:
            added[metrics.requests(name)] = float(site.requests)
            added[metrics.sectors(name)] = float(site.sectors)
    if site.local_requests:
        added[metrics.requests(direction, "local")] = float(site.local_requests)
        added[metrics.sectors(direction, "local")] = float(site.local_sectors)
        added[metrics.bytes_asked(direction, "local")] = float(site.local_bytes)
    if site.remote_requests:
        added[metrics.REMOTE_REQUESTS] = float(site.remote_requests)
        added[metrics.REMOTE_BYTES] = float(site.remote_bytes)
    if site.shared_requests:
        excessive = float(site.wavefronts) - float(site.ideal_wavefronts)
        if direction != "ldgsts":  # what a copy writes to shared memory has no counters of its own
            each = 2.0 if site.rule == SWAP_RULE else 1.0  # a swap reads, then writes
            pooled = AS.get(direction, direction)
            added[metrics.shared_wavefronts(pooled)] = float(site.wavefronts)
            added[metrics.bank_conflicts(pooled)] = excessive / each
            asked = "atom" if direction == "red" else direction
            added[metrics.bytes_asked(asked, "shared")] = float(site.shared_bytes)
        added[metrics.SHARED_WAVEFRONTS] = float(site.wavefronts)
        added[metrics.SHARED_IDEAL] = float(site.ideal_wavefronts)
        added[metrics.SHARED_EXCESSIVE] = excessive
    return added


def bulk_counts(inst: Instruction, site: Site, warps: float) -> Counts:
    """What a bulk copy adds, and a wait at an mbarrier."""
    if inst.opcode == "mbarrier":
        waits, early = float(site.bulk_requests), float(site.bulk_bytes)
        return {metrics.MBARRIER_WAITS: waits, metrics.MBARRIER_EARLY: early}
    if inst.opcode != "cp" or not inst.has("bulk") or not site.bulk_requests:
        return {}
    wavefronts = [float(n) for n in site.bulk_wavefronts]
    added = {
        metrics.BULK_REQUESTS: float(site.bulk_requests),
        metrics.BULK_BYTES: float(site.bulk_bytes),
        metrics.BULK_WAVEFRONTS: sum(wavefronts),
        **{metrics.bulk_wavefronts(s): n
           for s, n in zip(metrics.SWIZZLES, wavefronts, strict=True)},
    }  # fmt: skip
    if not inst.has("global"):
        return added
    reads = inst.modifiers.index("global") > _first(inst.modifiers, "shared")
    direction = "ld" if reads else "red" if inst.has("reduce") else "st"
    operation = metrics.L2_OPERATIONS[direction]
    return added | {
        metrics.bulk_instructions(direction): warps,
        metrics.bulk_sectors(direction): float(site.sectors),
        metrics.L2_SECTORS: float(site.l2_sectors),
        metrics.l2_sectors(operation): float(site.l2_sectors),
        metrics.L2_HITS: float(site.l2_hits),
    }


def _first(modifiers: Sequence[str], space: str) -> int:
    return next(i for i, m in enumerate(modifiers) if m.partition("::")[0] == space)


def cache_counts(direction: str, site: Site) -> Counts:
    """What an instruction's accesses to global memory found in the modelled caches."""
    if not site.requests or site.kind != GLOBAL:
        return {}
    operation = metrics.L2_OPERATIONS.get(direction, "read")
    hits, reached = float(site.l1_hits), float(site.l2_sectors)
    added = {
        metrics.L2_SECTORS: reached,
        metrics.l2_sectors(operation): reached,
        metrics.L2_HITS: float(site.l2_hits),
    }
    if operation == "read":
        added[metrics.L1_HITS] = hits
        added[metrics.L1_FROM_L2] = reached
    return added


def _unread_results(launch: Launch) -> set[int]:
    """Atomics (by identity) whose result nothing reads: ptxas makes reductions of them."""
    read: set[tuple[str, str]] = set()
    for block in launch.kernel.graph.blocks:
        for inst in block.body:
            own = inst.operands[0] if inst.opcode == "atom" and inst.predicate else None
            for name in read_registers(inst):
                if not (isinstance(own, Register) and own.name == name):
                    read.add((block.function.name, name))
    return {
        id(inst)
        for block in launch.kernel.graph.blocks
        for inst in block.body
        if inst.opcode == "atom"
        and isinstance(inst.operands[0], Register)
        and (block.function.name, inst.operands[0].name) not in read
    }


def with_ratios(found: Counts) -> Counts:
    """Counts with what is derived from them."""
    counters = dict(found)
    for space in ("global", "local"):
        for direction in metrics.DIRECTIONS:
            asked = found.get(metrics.requests(direction, space))
            if asked or (asked is not None and (space, direction) in ALWAYS):
                ratio = found[metrics.sectors(direction, space)] / asked if asked else 0.0
                counters[metrics.sectors_per_request(direction, space)] = ratio
    if read := found.get(metrics.sectors("ld")):
        counters[metrics.L1_HIT_RATE] = 100.0 * found.get(metrics.L1_HITS, 0.0) / read
    if reached := found.get(metrics.L2_SECTORS):
        counters[metrics.L2_HIT_RATE] = 100.0 * found[metrics.L2_HITS] / reached
    executed = found.get(metrics.INSTRUCTIONS, 0.0)
    for total, ratio_name in (
        (metrics.THREAD_INSTRUCTIONS, metrics.THREADS_AN_INSTRUCTION),
        (metrics.PREDICATED_ON, metrics.PREDICATED_ON_RATIO),
    ):
        counters[ratio_name] = found.get(total, 0.0) / executed if executed else 0.0
    if targets := found.get(metrics.BRANCH_TARGETS):
        counters[metrics.BRANCH_EFFICIENCY] = 100.0 * found[metrics.UNIFORM_TARGETS] / targets
    return counters


ALWAYS = {("global", "ld"), ("global", "st")}
