"""Barriers, calls, traps: the ends of blocks other than branches and returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from llvmlite import ir

from emulator.cfg import Block
from emulator.lower.barriers import barrier
from emulator.lower.registry import NotLowered, instruction
from emulator.lower.warp import WarpLowering
from emulator.native.lanes import lanes_of
from emulator.native.layout import (
    LANES,
    TRAP,
    at,
    i32,
    load,
)
from emulator.ptx import Instruction, Symbol

if TYPE_CHECKING:
    from emulator.lower.kernel import _KernelLowering

lanes32 = ir.VectorType(i32, LANES)


@instruction("membar", "fence", "prefetch", "prefetchu", "discard", "applypriority", "nanosleep",
             "griddepcontrol", "pmevent", "setmaxnreg")  # fmt: skip
def no_effect(lower: WarpLowering, inst: Instruction) -> None:
    """Memory is sequentially consistent here, and hints are hints."""
    if inst.opcode in ("griddepcontrol", "setmaxnreg"):
        raise NotLowered(inst.text)


def trap(kernel: _KernelLowering, block: Block, inst: Instruction) -> None:
    """``trap``: ends the launch."""
    lower = kernel.lower
    lower.fault(TRAP, lower.active(inst))
    lower.store_registers()
    if block.falls_to is not None:
        kernel.jump(block, block.falls_to)
    else:
        kernel.leave(block, lower.mask(), exit_=True)


def call(kernel: _KernelLowering, block: Block, inst: Instruction) -> None:
    """Note where to return and go to the callee, whose parameters the caller has written in place.

    Recursion is refused: a function has one set of registers a warp.
    """
    lower, builder = kernel.lower, kernel.builder
    target = inst.operands[0]
    if not isinstance(target, Symbol) or target.name not in kernel.graph.entries:
        raise NotLowered(inst.text)
    callee_block = kernel.graph.entries[target.name]
    callee = callee_block.function
    if block.falls_to is None or callee_block.number > block.number or callee is block.function:
        raise NotLowered("recursion")
    active = lower.active(inst)
    resume = block.falls_to.number
    where = at(builder, lower.warp, lower.frame.returns[callee.name])
    old = load(builder, where, lanes32, 64)
    back = ir.Constant(lanes32, [resume] * LANES)
    builder.store(builder.select(lanes_of(builder, active), back, old), where, align=64)
    lower.store_registers()
    if inst.predicate is not None:
        kernel.store_pcs(builder.and_(lower.mask(), builder.not_(active)), resume)
    kernel.store_pcs(active, callee_block.number)
    builder.branch(kernel.dispatch)


Terminator = Callable[["_KernelLowering", Block, Instruction], None]

TERMINATORS: dict[str, Terminator] = {
    "bar": barrier,
    "barrier": barrier,
    "trap": trap,
    "call": call,
    "brx": lambda kernel, block, inst: _refuse(inst),
}


def _refuse(inst: Instruction) -> None:
    raise NotLowered(inst.text)
