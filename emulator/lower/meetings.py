"""Lanes of a warp meet: before a ``.sync`` operation, a lane waits for the lanes of its mask.

As on Volta and later, what is waited for is every lane of the mask that has not exited, wherever
it comes from. Almost always the running lanes are just those of the mask: that is one comparison.
Otherwise :mod:`emulator.units.meeting` sorts out who waits and who goes on.
(PTX ISA, "bar.warp.sync", "shfl.sync"; CUDA C++ Programming Guide, "Independent Thread Scheduling")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llvmlite import ir

from emulator.cfg import Block
from emulator.lower.memory import declare
from emulator.native.compiled import routine_type
from emulator.native.lanes import bits_of, lanes_of, splat
from emulator.native.layout import (
    BARRIER_BIT,
    EXITED,
    LANES,
    MEETING_BIT,
    Context,
    Warp,
    field,
    i32,
    i64,
    load,
)
from emulator.ptx import Immediate, Instruction

if TYPE_CHECKING:
    from emulator.lower.kernel import _KernelLowering

lanes32 = ir.VectorType(i32, LANES)
MEET = "coalesce_meet"
MEET_AFTER_EXIT = "coalesce_meet_after_exit"
meet_type = routine_type("int64", *["int64"] * 6)
after_exit_type = routine_type("void", "int64")


def meet(kernel: _KernelLowering, block: Block, inst: Instruction) -> None:
    """The empty block before a ``.sync`` operation: goes on to it with the lanes of one mask."""
    lower, builder = kernel.lower, kernel.builder
    after = block.falls_to
    operand = block.members
    assert after is not None and after.number == block.number + 1 and operand is not None
    running = lower.mask()
    active = lower.active(inst)
    wanted = lower.read(operand, "u32")
    if isinstance(operand, Immediate):
        alike = builder.icmp_unsigned(
            "==", active, ir.Constant(i32, int(operand.value) & 0xFFFFFFFF)
        )
    else:
        alike = _all_equal(builder, wanted, active)
    if inst.predicate is not None:
        nobody = builder.icmp_unsigned("==", active, ir.Constant(i32, 0))
        everybody = builder.icmp_unsigned("==", active, running)
        alike = builder.or_(nobody, builder.and_(alike, everybody))
    together = kernel.targets[after.number]
    some_exited = builder.append_basic_block("some_exited")
    wait = builder.append_basic_block("wait")
    builder.cbranch(alike, together, some_exited)

    builder.position_at_end(some_exited)
    pcs = load(builder, field(builder, lower.warp, Warp, "pcs"), lanes32, 64)
    nowhere = ir.Constant(lanes32, [EXITED] * LANES)
    live = bits_of(builder, builder.icmp_unsigned("!=", pcs, nowhere))
    alike = _all_equal(builder, builder.and_(wanted, splat(builder, live)), active)
    if inst.predicate is not None:
        alike = builder.and_(alike, builder.icmp_unsigned("==", active, running))
    complaints = load(builder, field(builder, lower.context, Context, "complaints"), i64)
    unwatched = builder.icmp_unsigned("==", complaints, ir.Constant(i64, 0))
    builder.cbranch(builder.and_(alike, unwatched), together, wait)

    builder.position_at_end(wait)
    where = field(builder, lower.warp, Warp, "members")
    old = load(builder, where, lanes32, 64)
    builder.store(builder.select(lanes_of(builder, active), wanted, old), where, align=64)
    if inst.predicate is not None:
        assert after.falls_to is not None
        skip = builder.and_(running, builder.not_(active))
        kernel.store_pcs(skip, after.falls_to.number)
    routine = declare(lower.module, meet_type, MEET)
    arguments = [
        builder.ptrtoint(lower.context, i64),
        builder.ptrtoint(lower.warp, i64),
        builder.zext(active, i64),
        ir.Constant(i64, block.number),
        ir.Constant(i64, lower.site_index),
        ir.Constant(i64, int(inst.opcode != "bar")),
    ]
    group = builder.trunc(builder.call(routine, arguments), i32)
    go = builder.append_basic_block("go")
    nobody = builder.icmp_unsigned("==", group, ir.Constant(i32, 0))
    builder.cbranch(nobody, kernel.dispatch, go)
    builder.position_at_end(go)
    builder.store(group, lower.mask_at)
    pcs = load(builder, field(builder, lower.warp, Warp, "pcs"), lanes32, 64)
    elsewhere = builder.select(lanes_of(builder, group), nowhere, pcs)
    least = lower.intrinsic("llvm.vector.reduce.umin.v32i32", i32, [lanes32])
    builder.store(builder.call(least, [elsewhere]), lower.others_at)
    builder.branch(together)


def _all_equal(builder: ir.IRBuilder, masks: ir.Value, active: ir.Value) -> ir.Value:
    """Whether every active lane's mask is just the active lanes."""
    same = builder.icmp_unsigned("==", masks, splat(builder, active))
    return builder.icmp_unsigned("==", builder.and_(bits_of(builder, same), active), active)


def release_meetings(kernel: _KernelLowering) -> None:
    """Lanes have exited: nobody waits for them any longer."""
    lower, builder = kernel.lower, kernel.builder
    pcs = load(builder, field(builder, lower.warp, Warp, "pcs"), lanes32, 64)
    held = builder.and_(pcs, ir.Constant(lanes32, [MEETING_BIT | BARRIER_BIT] * LANES))
    meeting = builder.icmp_unsigned("==", held, ir.Constant(lanes32, [MEETING_BIT] * LANES))
    some = builder.icmp_unsigned("!=", bits_of(builder, meeting), ir.Constant(i32, 0))
    with builder.if_then(some, likely=False):
        routine = declare(lower.module, after_exit_type, MEET_AFTER_EXIT)
        builder.call(routine, [builder.ptrtoint(lower.warp, i64)])
