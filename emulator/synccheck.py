"""What synccheck found, in words: barriers and masks that do not fit the threads that came."""

from __future__ import annotations

from emulator import products
from emulator.deadlock import barrier_before
from emulator.faults import thread_of
from emulator.ptx import Instruction
from emulator.report import Dim3, Finding
from emulator.running import Launch
from emulator.watch import sync
from emulator.watch.sync import Complaint, Complaints

IN_WARP, IN_BLOCK = "divergent threads in warp", "divergent threads in block"
INVALID = "invalid arguments"
KINDS = {
    sync.WARP_APART: IN_WARP, sync.THREADS_EXITED: IN_BLOCK, sync.BAD_COUNT: INVALID,
    sync.TOO_MANY: INVALID, sync.COUNTS_DIFFER: INVALID, sync.NOT_A_MEMBER: INVALID,
    sync.MEMBERS_EXITED: IN_WARP, sync.POINTS_DIFFER: IN_WARP, sync.BAD_NUMBER: INVALID,
    sync.CLUSTER_APART: IN_WARP,
}  # fmt: skip


def sync_findings(launch: Launch, complaints: Complaints) -> tuple[Finding, ...]:
    """Every complaint as a finding, in order of source line."""
    found = [_finding(launch, entry) for entry in complaints.entries[: complaints.used]]
    return tuple(sorted(filter(None, found), key=lambda f: (f.file, f.line, f.kind)))


def _finding(launch: Launch, entry: Complaint) -> Finding | None:
    """None for lanes that come apart to a barrier that lets them."""
    blocks = launch.kernel.graph.blocks
    inst = (
        barrier_before(blocks, entry.place) if entry.kind in sync.AFTER_BARRIER
        else launch.kernel.instructions[entry.place]
    )  # fmt: skip
    may_part = inst is not None and inst.opcode == "barrier" and not inst.has("aligned")
    if entry.kind == sync.WARP_APART and may_part:
        return None
    source = launch.kernel.module.source_line(inst) if inst is not None else None
    x, y, _ = launch.grid
    block: Dim3 = entry.block % x, entry.block // x % y, entry.block // (x * y)
    thread = thread_of(launch, 0, entry.thread)
    kind = KINDS.get(entry.kind) or products.KINDS[entry.kind]
    where = f", {source.file}:{source.line}" if source is not None else ""
    line = f"\n    {source.line}: {source.text.strip()}" if source and source.text.strip() else ""
    times = f"\n    {entry.count:,} times in this launch" if entry.count > 1 else ""
    return Finding(
        check="synccheck",
        kind=kind,
        kernel=launch.kernel.name,
        file=source.file if source else "",
        line=source.line if source else 0,
        source_text=source.text.strip() if source else "",
        block=block,
        thread=thread,
        address=0,
        nbytes=0,
        message=f"{kind} in kernel {launch.kernel.name!r}{where}, block {block}, thread {thread}: "
        f"{_words(launch, entry, inst)}{line}{times}",
        count=entry.count,
        severity="info" if entry.kind == sync.MEMBERS_EXITED else "error",
    )


def _words(launch: Launch, entry: Complaint, inst: Instruction | None) -> str:
    a, b = entry.a, entry.b
    name = _name(inst)
    match entry.kind:
        case sync.WARP_APART:
            return (
                f"the warp comes to barrier {a} in parts: {_lanes(b)} are elsewhere. Every thread "
                "must come to the same barrier; put it where the branch has ended"
            )
        case sync.CLUSTER_APART:
            return (
                f"the warp comes to the cluster's barrier in parts: {_lanes(b)} are elsewhere, and "
                "an .aligned barrier.cluster must be executed by the whole warp at once"
            )
        case sync.THREADS_EXITED:
            return (
                f"barrier {a} is for all threads of the block, and {b} of them have exited. Let "
                "them stay for the barrier, and guard their work instead"
            )
        case sync.BAD_COUNT:
            return (
                f"barrier {b} is for {a} threads; the number must be a multiple of 32, not 0, and "
                f"not more than the block has ({launch.context.warps * 32})"
            )
        case sync.TOO_MANY:
            return f"the barrier is for {a} threads, and {b} came"
        case sync.COUNTS_DIFFER:
            return f"here the barrier is for {a} threads, where others came to it for {b}"
        case sync.NOT_A_MEMBER:
            return f"{name} with mask {a:#010x}, which does not contain the lane that executes it"
        case sync.MEMBERS_EXITED:
            return (
                f"{name} with mask {a:#010x}, of which {_lanes(b)} have exited: what they would "
                "have given is undefined"
            )
        case kind if kind in products.KINDS:
            return products.words(launch, entry)
        case sync.POINTS_DIFFER:
            return (
                f"{name} with mask {a:#010x}, whose lanes came to different instructions: "
                f"{_lanes(b)} are elsewhere, so what they give is undefined"
            )
    return f"there is no barrier {a}; they are numbered 0 to 15"


def _name(inst: Instruction | None) -> str:
    names = {"shfl": "a shuffle", "vote": "a vote", "match": "a match", "redux": "a reduction",
             "elect": "an election", "bar": "__syncwarp()"}  # fmt: skip
    return names.get(inst.opcode, "an operation") if inst is not None else "an operation"


def _lanes(mask: int) -> str:
    lanes = [lane for lane in range(32) if mask >> lane & 1]
    if len(lanes) == 1:
        return f"lane {lanes[0]}"
    if lanes[-1] - lanes[0] == len(lanes) - 1:
        return f"lanes {lanes[0]} to {lanes[-1]}"
    if len(lanes) <= 6:
        return "lanes " + ", ".join(map(str, lanes))
    return f"{len(lanes)} lanes (mask {mask:#010x})"
