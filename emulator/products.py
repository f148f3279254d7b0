"""What was found about products of a warpgroup that went on nevertheless, in words."""

from __future__ import annotations

from emulator import hazards
from emulator.running import Launch
from emulator.watch.products import HAZARD
from emulator.watch.sync import Complaint

KINDS = {
    HAZARD + hazards.SUMS_READ: "read of accumulators before wgmma.wait_group",
    HAZARD + hazards.SUMS_WRITTEN: "write of accumulators before wgmma.wait_group",
    HAZARD + hazards.A_WRITTEN: "write of registers that wgmma still reads",
    HAZARD + hazards.NOT_FENCED: "missing wgmma.fence",
    HAZARD + hazards.NEVER_FENCED: "missing wgmma.fence",
}


def words(launch: Launch, entry: Complaint) -> str:
    """What happened, why it is wrong, and what to do."""
    other, line = _line(launch, entry.a)
    wait = (
        "Let wgmma.commit_group and a wgmma.wait_group that covers it come first, and the "
        'registers pass through an asm volatile("" : "+f"(...) :: "memory") behind it, so that '
        "the compiler moves nothing before the wait"
    )
    if entry.kind == HAZARD + hazards.NEVER_FENCED:
        return (
            "no wgmma.fence comes before this product: the warpgroup's first one needs it, so that "
            "registers and shared memory are as they should be"
        )
    if entry.kind == HAZARD + hazards.NOT_FENCED:
        return (
            f"the instruction at {other} touches registers of this product, with no wgmma.fence "
            "between the two; the product may see what was there before. Put wgmma.fence behind "
            f"the last access{line}"
        )
    verb = {
        HAZARD + hazards.SUMS_READ: "reads sums that the wgmma at {} is still computing",
        HAZARD + hazards.SUMS_WRITTEN: "overwrites sums that the wgmma at {} is still computing",
        HAZARD + hazards.A_WRITTEN: "overwrites a part of A that the wgmma at {} still reads",
    }[entry.kind]
    return f"this {verb.format(other)}. {wait}{line}"


def _line(launch: Launch, number: int) -> tuple[str, str]:
    """Where an instruction stands, and its line of source."""
    inst = launch.kernel.instructions[number]
    source = launch.kernel.module.source_line(inst)
    if source is None:
        return f"PTX line {inst.ptx_line}", ""
    text = f"\n    {source.line}: {source.text.strip()}" if source.text.strip() else ""
    name = f"{source.file}:{source.line}"
    outer = inst.location
    while outer is not None and outer.inlined_at is not None:
        outer = outer.inlined_at
    if outer is not None and outer is not inst.location:
        name += f" (inlined at line {outer.line})"
    return name, text
