"""Barriers of a block and of a warp."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llvmlite import ir

from emulator.cfg import Block
from emulator.lower.registry import NotLowered, instruction
from emulator.lower.warp import WarpLowering
from emulator.native.lanes import count_lanes, lanes_of
from emulator.native.layout import (
    BARRIER_BIT,
    LANES,
    BlockState,
    Warp,
    at,
    field,
    i32,
    i64,
    load,
)
from emulator.ptx import Instruction

if TYPE_CHECKING:
    from emulator.lower.kernel import _KernelLowering

lanes32 = ir.VectorType(i32, LANES)


def barrier(kernel: _KernelLowering, block: Block, inst: Instruction) -> None:
    """``bar.sync a{, b}``, ``barrier{.cta}.sync``, ``bar.warp.sync``."""
    lower, builder = kernel.lower, kernel.builder
    if "red" in inst.modifiers:
        raise NotLowered("barrier reductions")
    if block.falls_to is None:
        raise NotLowered("a barrier at a function's end")
    if "warp" in inst.modifiers:
        # Lanes that parted meet at the lowest block they share, so those that can be here are.
        lower.store_registers()
        kernel.jump(block, block.falls_to)
        return
    number = lower.read(inst.operands[0], "u32")
    active = lower.active(inst)
    threads = lower.read(inst.operands[1], "u32") if len(inst.operands) > 1 else None
    lower.store_registers()
    state = lower.block_state
    where = field(builder, lower.warp, Warp, "barrier")
    old = load(builder, where, lanes32, 64)
    builder.store(builder.select(lanes_of(builder, active), number, old), where, align=64)
    first = builder.extract_element(number, ir.Constant(i32, 0))
    first = builder.and_(first, ir.Constant(i32, 15))
    used_at = field(builder, state, BlockState, "barriers_used")
    bit = builder.shl(ir.Constant(i32, 1), first)
    builder.store(builder.or_(load(builder, used_at, i32), bit), used_at)
    if threads is not None:
        _expect(lower, first, builder.extract_element(threads, ir.Constant(i32, 0)))
    resume = block.falls_to.number
    if inst.predicate is not None:
        stay = builder.and_(lower.mask(), builder.not_(active))
        kernel.store_pcs(stay, resume)
    kernel.store_pcs(active, resume | BARRIER_BIT)
    builder.branch(kernel.dispatch)


def _expect(lower: WarpLowering, number: ir.Value, threads: ir.Value) -> None:
    builder = lower.builder
    byte = builder.mul(builder.zext(number, i64), ir.Constant(i64, 4))
    where = at(builder, field(builder, lower.block_state, BlockState, "expected"), byte)
    builder.store(threads, where)


@instruction("bar", "barrier")
def arrive(lower: WarpLowering, inst: Instruction) -> None:
    """``bar.arrive a, b``: counts at the barrier without waiting."""
    if "arrive" not in inst.modifiers or len(inst.operands) != 2:
        raise NotLowered(inst.text)
    builder = lower.builder
    number = builder.extract_element(lower.read(inst.operands[0], "u32"), ir.Constant(i32, 0))
    number = builder.and_(number, ir.Constant(i32, 15))
    threads = builder.extract_element(lower.read(inst.operands[1], "u32"), ir.Constant(i32, 0))
    _expect(lower, number, threads)
    byte = builder.mul(builder.zext(number, i64), ir.Constant(i64, 4))
    where = at(builder, field(builder, lower.block_state, BlockState, "arrived"), byte)
    here = count_lanes(builder, lower.active(inst))
    builder.store(builder.add(load(builder, where, i32), here), where)
    used_at = field(builder, lower.block_state, BlockState, "barriers_used")
    bit = builder.shl(ir.Constant(i32, 1), number)
    builder.store(builder.or_(load(builder, used_at, i32), bit), used_at)
