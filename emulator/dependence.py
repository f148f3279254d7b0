"""How long a warp takes over its FP32 arithmetic when nothing but itself is in its way.

A dependent FP32 instruction issues ``fp32_latency_cycles`` after what it needs, an independent one
as soon as the scheduler's FP32 lanes are free. In a run of instructions without a branch ptxas puts
those next that are ready, so that the run takes a warp as long as its longest chain, or as its
instructions have to be issued one by one. Other warps fill what chains leave free; that there may
be too few of them is what this is about.
"""

from __future__ import annotations

from collections.abc import Sequence

from emulator.arch import Arch
from emulator.cfg import read_registers, written_registers
from emulator.ptx import Instruction
from emulator.running import Launch

WARP = 32
ARITHMETIC = {"add", "sub", "mul", "fma", "mad"}


def waits_for_arithmetic(launch: Launch) -> float:
    """Seconds that the warps of a launch take over FP32 arithmetic, as many at once as fit."""
    arch = launch.arch
    clocks = 0.0
    for block, (warps, _) in zip(launch.kernel.graph.blocks, launch.block_counts, strict=False):
        if warps:
            clocks += float(warps) * clocks_of_a_run(block.body, arch)
    x, y, z = launch.grid
    resident = min(x * y * z, launch.fits.blocks_per_sm * arch.sm_count)
    at_once: int = resident * launch.context.warps
    return clocks / (at_once * arch.clock_hz)


def clocks_of_a_run(body: Sequence[Instruction], arch: Arch) -> int:
    """Clocks of one warp alone over the FP32 arithmetic of instructions without a branch."""
    issue = WARP * arch.schedulers_per_sm // arch.fp32_lanes_per_sm
    issued = longest = 0
    ready: dict[str, int] = {}  # register -> clocks from the start until it can be read
    for inst in body:
        at = max((ready.get(register, 0) for register in read_registers(inst)), default=0)
        if inst.opcode in ARITHMETIC and "f32" in inst.modifiers:
            issued += issue
            at += arch.fp32_latency_cycles
            longest = max(longest, at)
        for register in written_registers(inst):
            ready[register] = at
    return max(issued, longest)
