"""Launches that would never end: who waits, where, and for whom."""

from __future__ import annotations

from collections import Counter
from typing import NoReturn

from emulator import cfg
from emulator.errors import DeviceFault
from emulator.faults import thread_of
from emulator.native.layout import BARRIER_BIT, EXITED, Warp
from emulator.ptx import Instruction
from emulator.report import Dim3, Finding
from emulator.running import Launch, Slot


def raise_deadlock(launch: Launch) -> NoReturn:
    """Some lanes wait at a barrier that the others will never reach."""
    slot = next(
        s for s in reversed(launch.slots)
        if any(_waiting(s.warp(launch, w)) for w in range(launch.context.warps))
    )  # fmt: skip
    counts: Counter[tuple[str, int]] = Counter()
    first: tuple[int, int, Instruction | None] | None = None
    exited = 0
    for index in range(launch.context.warps):
        warp = slot.warp(launch, index)
        for lane in range(32):
            if index * 32 + lane >= launch.context.threads:
                break
            if warp.pcs[lane] == EXITED:
                exited += 1
            elif warp.pcs[lane] & BARRIER_BIT:
                inst = _barrier_before(launch, warp.pcs[lane] & ~BARRIER_BIT)
                source = launch.kernel.module.source_line(inst) if inst else None
                place = f"{source.file}:{source.line}" if source else "an unknown line"
                counts[place, warp.barrier[lane]] += 1
                first = first or (index, lane, inst)
    assert first is not None
    waits = "; ".join(
        f"{n} threads at barrier {barrier} ({place})" for (place, barrier), n in counts.items()
    )
    source = launch.kernel.module.source_line(first[2]) if first[2] else None
    block: Dim3 = tuple(slot.state.ctaid)
    message = (
        f"deadlock in kernel {launch.kernel.name!r}, block {block}: {waits} wait for threads that "
        f"never come ({exited} of {launch.context.threads} have exited). A barrier must be reached "
        "by every thread that it waits for"
    )
    finding = Finding(
        "synccheck", "deadlock", launch.kernel.name,
        source.file if source else "", source.line if source else 0,
        source.text.strip() if source else "",
        block, thread_of(launch, first[0], first[1]), 0, 0, message,
    )  # fmt: skip
    raise DeviceFault(finding)


def _waiting(warp: Warp) -> bool:
    return any(pc != EXITED and pc & BARRIER_BIT for pc in warp.pcs)


def _barrier_before(launch: Launch, number: int) -> Instruction | None:
    for block in launch.kernel.graph.blocks:
        resumes = block.falls_to is not None and block.falls_to.number == number
        if resumes and block.body and block.body[-1].opcode in cfg.WAITS:
            return block.body[-1]
    return None


def where_warps_are(launch: Launch, waiting: list[Slot]) -> str:
    """The source lines at which unfinished threads stand."""
    places: Counter[str] = Counter()
    for slot in waiting:
        for index in range(launch.context.warps):
            for pc in slot.warp(launch, index).pcs:
                if pc == EXITED or (pc & ~BARRIER_BIT) >= len(launch.kernel.graph.blocks):
                    continue
                block = launch.kernel.graph.blocks[pc & ~BARRIER_BIT]
                source = launch.kernel.module.source_line(block.body[0]) if block.body else None
                waits = "waiting at a barrier before " if pc & BARRIER_BIT else ""
                places[f"{waits}{source.file}:{source.line}" if source else "an unknown line"] += 1
    if not places:
        return "No thread was in the middle of anything: the grid is large, not endless."
    most = ", ".join(f"{n} at {place}" for place, n in places.most_common(3))
    return f"Threads of unfinished blocks were: {most}. Does the loop there ever end?"
