"""Calls: of other functions of the module, and of the few that Python does for a kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llvmlite import ir

from emulator.cfg import Block
from emulator.lower.registry import NotLowered
from emulator.native.lanes import lanes_of
from emulator.native.layout import LANES, Context, at, field, i32, i64, load, pointer
from emulator.ptx import Instruction, Symbol

if TYPE_CHECKING:
    from emulator.lower.kernel import _KernelLowering

lanes32 = ir.VectorType(i32, LANES)

# Functions that a module declares but does not hold: :mod:`emulator.hostcalls` does them.
HOST_FUNCTIONS = frozenset({"vprintf", "__assertfail", "malloc", "free"})
host_call_type = ir.FunctionType(i32, [pointer, pointer, i64, i64])


def call(kernel: _KernelLowering, block: Block, inst: Instruction) -> None:
    """Note where to return and go to the callee, whose parameters the caller has written in place.

    Recursion is refused: a function has one set of registers a warp.
    """
    lower, builder = kernel.lower, kernel.builder
    target = inst.operands[0]
    if not isinstance(target, Symbol):
        raise NotLowered(inst.text)
    if target.name not in kernel.graph.entries:
        if target.name not in HOST_FUNCTIONS:
            raise NotLowered(f"a call of {target.name}, which has no body")
        call_host(kernel, block, inst)
        return
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


def call_host(kernel: _KernelLowering, block: Block, inst: Instruction) -> None:
    """Have Python do a call for the active lanes; it finds the arguments by the site's number."""
    lower, builder = kernel.lower, kernel.builder
    active = lower.active(inst)
    lower.store_registers()
    with builder.if_then(builder.icmp_unsigned("!=", active, ir.Constant(i32, 0))):
        address = load(builder, field(builder, lower.context, Context, "host_call"), i64)
        routine = HostRoutine(builder.inttoptr(address, pointer))
        site = ir.Constant(i64, lower.site_index)
        status = builder.call(routine, [lower.context, lower.warp, builder.zext(active, i64), site])
        failed = builder.icmp_unsigned("!=", status, ir.Constant(i32, 0))
        assert lower.fault_block is not None
        fine = builder.append_basic_block("called")
        builder.cbranch(failed, lower.fault_block, fine)
        builder.position_at_end(fine)
    if block.falls_to is None:
        kernel.leave(block, lower.mask())
    else:
        kernel.jump(block, block.falls_to)


class HostRoutine:
    """Python's address as something llvmlite's ``call`` takes: opaque pointers have no type."""

    function_type = host_call_type

    def __init__(self, value: ir.Value) -> None:
        self.type = value.type
        self.get_reference = value.get_reference
