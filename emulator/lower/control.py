"""Barriers, calls, traps: the ends of blocks other than branches and returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from emulator.cfg import Block
from emulator.lower.barriers import barrier
from emulator.lower.calls import call
from emulator.lower.copies import call_unit
from emulator.lower.registry import NotLowered, instruction
from emulator.lower.tables import brx
from emulator.lower.tensor import require_whole_warp
from emulator.lower.warp import WarpLowering
from emulator.lower.wgmma import wait as wait_for_products
from emulator.native.layout import TRAP
from emulator.ptx import Immediate, Instruction

if TYPE_CHECKING:
    from emulator.lower.kernel import _KernelLowering


@instruction("membar", "fence", "prefetch", "prefetchu", "discard", "applypriority",
             "griddepcontrol", "pmevent")  # fmt: skip
def no_effect(lower: WarpLowering, inst: Instruction) -> None:
    """Memory is sequentially consistent here, hints are hints, and no grid waits for another."""


def setmaxnreg(kernel: _KernelLowering, block: Block, inst: Instruction) -> None:
    """``setmaxnreg.{inc,dec}.sync.aligned.u32 n``: ``inc`` waits for the block's pool."""
    lower = kernel.lower
    (count,) = inst.operands
    if not isinstance(count, Immediate) or count.value not in REGISTER_COUNTS:
        raise NotLowered(inst.text)
    if inst.has("inc") == inst.has("dec") or block.falls_to is None:
        raise NotLowered(inst.text)
    require_whole_warp(lower, inst)
    active = lower.active(inst)
    lower.store_registers()
    grows = int(inst.has("inc"))
    granted = call_unit(lower, "adjust_registers", active, int(count.value), grows)
    kernel.yield_unless(granted, block)
    kernel.count_block(block)
    kernel.jump(block, block.falls_to)


REGISTER_COUNTS = range(24, 257, 8)


def trap(kernel: _KernelLowering, block: Block, inst: Instruction) -> None:
    """``trap``: ends the launch."""
    lower = kernel.lower
    lower.fault(TRAP, lower.active(inst))
    lower.store_registers()
    if block.falls_to is not None:
        kernel.jump(block, block.falls_to)
    else:
        kernel.leave(block, lower.mask(), exit_=True)


@instruction("brkpt")
def breakpoint_(lower: WarpLowering, inst: Instruction) -> None:
    """``brkpt``: without a debugger it ends the launch."""
    lower.fault(TRAP, lower.active(inst))


Terminator = Callable[["_KernelLowering", Block, Instruction], None]

TERMINATORS: dict[str, Terminator] = {
    "bar": barrier,
    "barrier": barrier,
    "trap": trap,
    "call": call,
    "brx": brx,
    "setmaxnreg": setmaxnreg,
    "wgmma": wait_for_products,
}
