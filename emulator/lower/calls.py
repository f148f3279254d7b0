"""Calls: of other functions of the module, and of the few that Python does for a kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llvmlite import ir

from emulator.cfg import Block
from emulator.lower.memory import declare
from emulator.lower.registry import NotLowered
from emulator.lower.warp import WarpLowering
from emulator.native.compiled import routine_type
from emulator.native.lanes import lanes_of
from emulator.native.layout import LANES, Context, Warp, at, field, i32, i64, load, pointer
from emulator.ptx import Instruction, Register, Symbol

if TYPE_CHECKING:
    from emulator.lower.kernel import _KernelLowering

lanes32 = ir.VectorType(i32, LANES)

# Functions that a module declares but does not hold: :mod:`emulator.hostcalls` does them.
# Bytes of their arguments and of their results.
HOST_FUNCTIONS: dict[str, tuple[list[int], list[int]]] = {
    "vprintf": ([8, 8], [4]),
    "__assertfail": ([8, 8, 4, 8, 8], []),
    "malloc": ([8], [8]),
    "free": ([8], []),
    "__cuda_syscall_aligned_malloc": ([8, 8], [8]),
    "__nv_aligned_device_malloc": ([8, 8], [8]),
}
enter_type = routine_type("int32", *["int64"] * 6)
leave_type = routine_type("void", *["int64"] * 4)
host_call_type = ir.FunctionType(i32, [pointer, pointer, i64, i64])


def call(kernel: _KernelLowering, block: Block, inst: Instruction) -> None:
    """``call``: a function's name, or a register that points at one.

    Where the callee is not on the stack, its parameters are written already; all there is to do is
    to note where to return.
    """
    lower, builder = kernel.lower, kernel.builder
    target = inst.operands[0]
    if isinstance(target, Register):
        pointers = lower.read(target, "u64")
        builder.store(pointers, field(builder, lower.warp, Warp, "addresses"), align=64)
        call_stacked(kernel, block, inst, 0)
        return
    if not isinstance(target, Symbol):
        raise NotLowered(inst.text)
    if target.name not in kernel.graph.entries:
        if target.name not in HOST_FUNCTIONS:
            raise NotLowered(f"a call of {target.name}, which has no body")
        call_host(kernel, block, inst)
        return
    if target.name in lower.plan.functions:
        call_stacked(kernel, block, inst, lower.plan.functions[target.name])
        return
    callee_block = kernel.graph.entries[target.name]
    callee = callee_block.function
    assert block.falls_to is not None
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


def call_stacked(kernel: _KernelLowering, block: Block, inst: Instruction, function: int) -> None:
    """Call a function on the stack: the one with a record, or what each lane's address says."""
    lower, builder = kernel.lower, kernel.builder
    active = lower.active(inst)
    lower.store_registers()
    assert block.falls_to is not None and lower.fault_block is not None
    if inst.predicate is not None:
        stay = builder.and_(lower.mask(), builder.not_(active))
        kernel.store_pcs(stay, block.falls_to.number)
    enter = declare(lower.module, enter_type, "coalesce_enter_function")
    numbers = (lower.site_index, lower.plan.sites[block.number], function)
    arguments = [builder.ptrtoint(lower.context, i64), builder.ptrtoint(lower.warp, i64)]
    arguments += [builder.zext(active, i64), *(ir.Constant(i64, n) for n in numbers)]
    status = builder.call(enter, arguments)
    entered = builder.append_basic_block("entered")
    failed = builder.icmp_signed("<", status, ir.Constant(i32, 0))
    builder.cbranch(failed, lower.fault_block, entered)
    builder.position_at_end(entered)
    spend_turn(kernel)


def spend_turn(kernel: _KernelLowering) -> None:
    """Lanes have new program counters and may have gone back: go on, or yield once in a while."""
    builder, lower = kernel.builder, kernel.lower
    fuel = builder.sub(load(builder, lower.fuel_at, i32), ir.Constant(i32, 1))
    builder.store(fuel, lower.fuel_at)
    spent = builder.icmp_signed("<", fuel, ir.Constant(i32, 0))
    builder.cbranch(spent, kernel.yield_, kernel.dispatch)


def return_stacked(lower: WarpLowering, function: str, lanes: ir.Value) -> None:
    """Return from a function on the stack: each lane to its own caller."""
    builder = lower.builder
    leave = declare(lower.module, leave_type, "coalesce_leave_function")
    arguments = [builder.ptrtoint(lower.context, i64), builder.ptrtoint(lower.warp, i64)]
    record = ir.Constant(i64, lower.plan.functions[function])
    builder.call(leave, [*arguments, builder.zext(lanes, i64), record])


def call_host(kernel: _KernelLowering, block: Block, inst: Instruction) -> None:
    """Have Python do a call for the active lanes; it finds the arguments by the site's number."""
    lower, builder = kernel.lower, kernel.builder
    target, variables = inst.operands[0], block.function.variables
    assert isinstance(target, Symbol)
    arguments = [variables[a.name].nbytes for a in inst.arguments if isinstance(a, Symbol)]
    if (arguments, [variables[name].nbytes for name in inst.returns]) != HOST_FUNCTIONS[
        target.name
    ]:
        raise NotLowered(inst.text)
    active = lower.active(inst)
    lower.store_registers()
    with builder.if_then(builder.icmp_unsigned("!=", active, ir.Constant(i32, 0))):
        address = load(builder, field(builder, lower.context, Context, "host_call"), i64)
        routine = HostRoutine(builder.inttoptr(address, pointer))
        site = ir.Constant(i64, lower.site_index)
        status = builder.call(routine, [lower.context, lower.warp, builder.zext(active, i64), site])
        failed = builder.icmp_unsigned("==", status, ir.Constant(i32, 0))
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
