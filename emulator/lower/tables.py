"""``brx.idx``: a branch to the label of a table that each lane's index picks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llvmlite import ir

from emulator.cfg import Block
from emulator.lower.calls import spend_turn
from emulator.lower.registry import NotLowered
from emulator.lower.types import integers
from emulator.native.lanes import bits_of, splat
from emulator.native.layout import LANES, NO_TARGET, Warp, field, i32, i64, mask_type, pointer
from emulator.ptx import Instruction

if TYPE_CHECKING:
    from emulator.lower.kernel import _KernelLowering

lanes32 = integers(32)


def brx(kernel: _KernelLowering, block: Block, inst: Instruction) -> None:
    """``brx.idx index, table``. An index past the table's end ends the launch."""
    if "idx" not in inst.modifiers or not block.targets:
        raise NotLowered(inst.text)
    lower, builder = kernel.lower, kernel.builder
    index = lower.read(inst.operands[0], "u32")
    active = lower.active(inst)
    count = ir.Constant(lanes32, [len(block.targets)] * LANES)
    beyond = builder.icmp_unsigned(">=", index, count)
    wrong = builder.and_(active, bits_of(builder, beyond))
    lower.store_registers()
    picked = builder.select(beyond, ir.Constant(lanes32, [0] * LANES), index)
    lower.fault(NO_TARGET, wrong, address=index)
    numbers = [target.number for target in block.targets]
    kernel.store_pcs(active, _look_up(kernel, numbers, picked))
    if inst.predicate is not None:
        assert block.falls_to is not None
        stay = builder.and_(lower.mask(), builder.not_(active))
        kernel.store_pcs(stay, block.falls_to.number)
    if min(numbers) > block.number:
        builder.branch(kernel.dispatch)
        return
    first = min(numbers)
    if any(b.may_spin for b in kernel.graph.blocks[first : block.number + 1]):
        builder.store(active, field(builder, lower.warp, Warp, "avoid"))
    spend_turn(kernel)


def _look_up(kernel: _KernelLowering, numbers: list[int], index: ir.Value) -> ir.Value:
    """``numbers[index]`` over the warp; the numbers are constants beside the code."""
    lower, builder = kernel.lower, kernel.builder
    kind = ir.ArrayType(i32, len(numbers))
    table = ir.GlobalVariable(lower.module, kind, lower.module.get_unique_name("targets"))
    table.global_constant = True
    table.linkage = "internal"
    table.initializer = ir.Constant(kind, numbers)
    pointers = ir.VectorType(pointer, LANES)
    gather = lower.intrinsic(
        "llvm.masked.gather.v32i32.v32p0", lanes32, [pointers, i32, mask_type, lanes32]
    )
    start = splat(builder, builder.ptrtoint(table, i64))
    step = builder.shl(builder.zext(index, integers(64)), ir.Constant(integers(64), [2] * LANES))
    where = builder.inttoptr(builder.add(start, step), pointers)
    everybody = ir.Constant(mask_type, [1] * LANES)
    nothing = ir.Constant(lanes32, [0] * LANES)
    return builder.call(gather, [where, ir.Constant(i32, 4), everybody, nothing])
