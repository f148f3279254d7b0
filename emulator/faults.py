"""What stopped a launch, in words: who did it, where, and what was probably meant."""

from __future__ import annotations

from typing import NoReturn

from emulator import clusterfaults
from emulator.callfaults import CALL_FAULTS, describe_call
from emulator.clusterfaults import describe_access, describe_misuse
from emulator.copying import describe_copy
from emulator.errors import DeviceFault, UnsupportedInstruction
from emulator.memory import DeviceMemory, distance
from emulator.misuse import describe_mbarrier
from emulator.module import SourceLine
from emulator.native.layout import (
    CLUSTER_MISUSE,
    COPY_MISUSE,
    DIVERGENT,
    MBARRIER_MISUSE,
    MISALIGNED,
    OUT_OF_BOUNDS,
    READ_ONLY,
    TRAP,
    UNSUPPORTED,
    WARPGROUP_MISUSE,
)
from emulator.ptx import Instruction, Symbol
from emulator.report import Dim3, Finding
from emulator.running import Launch, Slot
from emulator.warpgroupfaults import describe_product

NULL_PAGE = 1 << 16
NOT_SHARED = 1 << 24  # offsets into shared memory are below
NEAR = 1 << 20
LOCAL_NAME = "local memory"


def raise_fault(launch: Launch) -> NoReturn:
    """Turn the fault that compiled code left in the context into an exception."""
    context = launch.context
    inst = launch.kernel.instructions[context.fault_site]
    source = launch.kernel.module.source_line(inst)
    if context.fault_kind == UNSUPPORTED and inst.opcode == "call":
        raise UnsupportedInstruction(
            f"kernel {launch.kernel.name!r} called {_callee(inst)}, which this module declares and "
            "does not hold, and which the software GPU does not have: link it in, or call "
            f"something else (PTX line {inst.ptx_line}{_at(source)})"
        )
    if context.fault_kind == UNSUPPORTED:
        raise UnsupportedInstruction(
            f"kernel {launch.kernel.name!r} executed an instruction that the software GPU does not "
            f"have yet: {inst.text} (PTX line {inst.ptx_line}{_at(source)})"
        )
    kind, what = _describe(launch, inst)
    misused = context.fault_kind == MBARRIER_MISUSE
    unsynchronised = misused or (
        context.fault_kind == CLUSTER_MISUSE and context.fault_store in clusterfaults.SYNC
    )
    raise fault_at(
        launch, inst, context.fault_warp, context.fault_lane, kind, what,
        address=context.fault_address, nbytes=8 if misused else context.fault_bytes,
        check="synccheck" if unsynchronised else "memcheck",
    )  # fmt: skip


def fault_at(
    launch: Launch,
    inst: Instruction,
    warp: int,
    lane: int,
    kind: str,
    what: str,
    *,
    address: int = 0,
    nbytes: int = 0,
    check: str = "memcheck",
) -> DeviceFault:
    """The error for what one lane of the warp at ``warp`` (its host address) did at ``inst``."""
    source = launch.kernel.module.source_line(inst)
    slot, index = _find_warp(launch, warp)
    block: Dim3 = tuple(slot.state.ctaid)
    thread = thread_of(launch, index, lane)
    who = f"kernel {launch.kernel.name!r}{_at(source)}, block {block}, thread {thread}"
    line = f"\n    {source.line}: {source.text.strip()}" if source and source.text.strip() else ""
    finding = Finding(
        check=check,
        kind=kind,
        kernel=launch.kernel.name,
        file=source.file if source else "",
        line=source.line if source else 0,
        source_text=source.text.strip() if source else "",
        block=block,
        thread=thread,
        address=address,
        nbytes=nbytes,
        message=f"{kind} in {who}: {what}{line}",
    )
    return DeviceFault(finding)


def _callee(inst: Instruction) -> str:
    target = inst.operands[0]
    return repr(target.name) if isinstance(target, Symbol) else inst.text


def _at(source: SourceLine | None) -> str:
    return f", {source.file}:{source.line}" if source is not None else ""


def _describe(launch: Launch, inst: Instruction) -> tuple[str, str]:
    """The kind of fault and what happened."""
    context = launch.context
    access = "write" if context.fault_store else "read"
    size, address = context.fault_bytes, context.fault_address
    if context.fault_kind == TRAP:
        what = "breakpoint, and there is no debugger" if inst.opcode == "brkpt" else "trap"
        return "trap", f"the kernel executed a {what}"
    if context.fault_kind == DIVERGENT:
        absent = [lane for lane in range(32) if not address >> lane & 1]
        return "divergent warp", (
            f"{'.'.join((inst.opcode, *inst.modifiers[:1]))} needs all 32 threads of the warp, "
            f"but {_lanes(absent)} not here (they took another way, exited, or never were)"
        )
    if context.fault_kind in CALL_FAULTS:
        return describe_call(launch)
    if context.fault_kind == COPY_MISUSE:
        return describe_copy(launch)
    if context.fault_kind == MBARRIER_MISUSE:
        return describe_mbarrier(launch, _find_warp(launch, context.fault_warp)[0])
    if context.fault_kind == CLUSTER_MISUSE:
        return describe_misuse(launch, _find_warp(launch, context.fault_warp)[0])
    if context.fault_kind == WARPGROUP_MISUSE:
        return describe_product(launch)
    if context.fault_kind == OUT_OF_BOUNDS:
        slot, _ = _find_warp(launch, context.fault_warp)
        in_cluster = describe_access(launch, slot, access)
        if in_cluster is not None:
            return in_cluster
    space = _window(inst)
    if inst.opcode == "cp":  # which names both spaces
        in_shared = address < NOT_SHARED if inst.has("bulk") else context.fault_store
        space = "shared" if in_shared else ""
    if context.fault_kind == MISALIGNED and inst.has("tensor") and (size, space) != (16, ""):
        what = "a box in shared memory" if space else "a tensor map"
        where = f"shared offset {address}" if space else f"address {address:#x}"
        return f"misaligned {'box' if space else 'tensor map'}", (
            f"{where} is not a multiple of {size}, where {what} must begin"
        )
    if context.fault_kind == MISALIGNED:
        where = f"{space} offset {address}" if space else f"address {address:#x}"
        return f"misaligned {access}", (
            f"{where} is not a multiple of {size}, which a {size}-byte {access} needs"
        )
    if context.fault_kind == READ_ONLY:
        return "write to constant memory", f"address {address:#x} must not be written"
    assert context.fault_kind == OUT_OF_BOUNDS
    kind = f"out-of-bounds {access}"
    if space == "shared":
        return f"{kind} of shared memory", (
            f"{size} bytes at shared offset {_signed(address)}, but the block has "
            f"{context.shared_bytes} bytes of shared memory"
        )
    if space == "local":
        return f"{kind} of local memory", (
            f"{size} bytes at local offset {_signed(address)}, but a thread has "
            f"{context.local_bytes} bytes of local memory"
        )
    return kind, f"{size} bytes at {address:#x}, {_nearby(launch.memory, address, size)}"


def _lanes(lanes: list[int]) -> str:
    """``[3]`` as "lane 3 is", ``[0, 1, 2, 7]`` as "lanes 0-2, 7 are"."""
    runs: list[list[int]] = []
    for lane in lanes:
        if runs and runs[-1][-1] == lane - 1:
            runs[-1].append(lane)
        else:
            runs.append([lane])
    words = ", ".join(f"{r[0]}-{r[-1]}" if len(r) > 1 else f"{r[0]}" for r in runs)
    return f"lane {words} is" if len(lanes) == 1 else f"lanes {words} are"


def _window(inst: Instruction) -> str:
    if inst.opcode in ("ldmatrix", "stmatrix"):
        return "shared"  # whatever it names
    for modifier in inst.modifiers:
        if modifier == "shared::cluster":
            return ""  # generic by now
        if modifier.split("::")[0] in ("shared", "local"):
            return modifier.split("::")[0]
    return ""


def _signed(value: int) -> int:
    """Offsets below zero come as large unsigned numbers, of 32 or of 64 bits."""
    for width in (32, 64):
        if (1 << width) - NEAR <= value < 1 << width:
            return value - (1 << width)
    return value


def _nearby(memory: DeviceMemory, address: int, size: int) -> str:
    if address < NULL_PAGE:
        return "which is a null pointer (or an index from one)"
    for freed in reversed(memory.recently_freed):
        if freed.address <= address < freed.end:
            when = "" if freed in memory.heap.freed.values() else " before this launch"
            return f"inside {freed.name or 'an array'!r}, which was freed{when}"
    nearest = memory.nearest(address)
    if nearest is None:
        return "but nothing is allocated"
    name = repr(nearest.name) if nearest.name else "an unnamed array"
    extent = f"{name} of {nearest.nbytes:,} bytes"
    if nearest.address <= address and address + size <= nearest.end:
        return f"inside the {nearest.name} of another {_owner(nearest.name)}"
    if nearest.address <= address < nearest.end:
        over = address + size - nearest.end
        return f"the last {over} of them past the end of {extent}"
    gap = distance(nearest, address)
    if gap > NEAR:
        return f"nowhere near any array (the nearest is {extent})"
    if address < nearest.address:
        return f"{gap:,} bytes before the start of {extent}"
    past = address - nearest.end
    return f"{past:,} bytes past the end of {extent}" if past else f"just past the end of {extent}"


def _owner(name: str | None) -> str:
    """Who memory belongs to that a kernel may touch, but not this thread."""
    return "thread" if name == LOCAL_NAME else "block"


def _find_warp(launch: Launch, address: int) -> tuple[Slot, int]:
    stride = launch.context.warp_bytes
    for slot in launch.slots:
        index, rest = divmod(address - slot.state.warps, stride)
        if rest == 0 and 0 <= index < launch.context.warps:
            return slot, index
    raise AssertionError("a fault in a warp that no block has")


def thread_of(launch: Launch, warp: int, lane: int) -> Dim3:
    """A lane's thread index within its block."""
    linear = warp * 32 + lane
    x, y, _ = launch.block
    return linear % x, linear // x % y, linear // (x * y)
