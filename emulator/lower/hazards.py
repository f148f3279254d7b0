"""Run-time part of :mod:`emulator.hazards`: what may be too early is looked at as it happens.

A product notes the group it will be in, another instruction the ``wgmma.fence`` that comes next,
both in the warp's frame. Groups that the warp has waited for are complete.
"""

from __future__ import annotations

from collections.abc import Sequence

from llvmlite import ir

from emulator.hazards import NEVER_FENCED, NOT_FENCED, Hazard, Key, multiplies
from emulator.lower.memory import declare
from emulator.lower.warp import WarpLowering
from emulator.native.compiled import routine_type
from emulator.native.layout import Context, Warp, field, i32, i64, load
from emulator.ptx import Instruction

complain_type = routine_type("void", *["int64"] * 6)


def watch_products(lower: WarpLowering, inst: Instruction, key: Key, sites: dict[Key, int]) -> None:
    """Before an instruction: complain if it comes too early, and note that it was executed."""
    hazards = lower.frame.hazards
    if key in hazards.checks or multiplies(inst):
        _check(lower, inst, hazards.checks.get(key, ()), sites)
    if key in lower.frame.marks:
        name = "products_committed" if inst.opcode == "wgmma" else "product_fences"
        where = lower.place(lower.warp, lower.frame.marks[key])
        _count(lower, inst, field(lower.builder, lower.warp, Warp, name), where)
    if inst.opcode == "wgmma" and inst.has("fence"):
        fences = field(lower.builder, lower.warp, Warp, "product_fences")
        _count(lower, inst, fences, fences)


def _count(lower: WarpLowering, inst: Instruction, source: ir.Value, target: ir.Value) -> None:
    """One more than there is, if any lane executes the instruction."""
    builder = lower.builder
    some = builder.icmp_unsigned("!=", lower.active(inst), ir.Constant(i32, 0))
    more = builder.add(load(builder, source, i32), ir.Constant(i32, 1))
    builder.store(builder.select(some, more, load(builder, target, i32)), target)


def _check(
    lower: WarpLowering, inst: Instruction, found: Sequence[Hazard], sites: dict[Key, int]
) -> None:
    """Where synccheck is on, look whether what may be too early is."""
    builder = lower.builder
    table = load(builder, field(builder, lower.context, Context, "complaints"), i64)
    watched = builder.icmp_unsigned("!=", table, ir.Constant(i64, 0))
    active = lower.active(inst)
    routine = declare(lower.module, complain_type, "coalesce_complain_of_product")
    with builder.if_then(watched, likely=False):
        done = load(builder, field(builder, lower.warp, Warp, "products_done"), i32)
        fences = load(builder, field(builder, lower.warp, Warp, "product_fences"), i32)
        wrong = []
        for hazard in found:
            mark = load(builder, lower.place(lower.warp, lower.frame.marks[hazard.other]), i32)
            if hazard.kind == NOT_FENCED:
                coming = builder.add(fences, ir.Constant(i32, 1))
                early = builder.icmp_unsigned("==", mark, coming)
            else:
                early = builder.icmp_unsigned(">", mark, done)
            wrong.append((early, hazard.kind, sites[hazard.other]))
        if multiplies(inst):
            never = builder.icmp_unsigned("==", fences, ir.Constant(i32, 0))
            wrong.append((never, NEVER_FENCED, lower.site_index))
        for early, kind, other in wrong:
            with builder.if_then(early, likely=False):
                numbers = (ir.Constant(i64, n) for n in (kind, lower.site_index, other))
                places = [builder.ptrtoint(p, i64) for p in (lower.context, lower.warp)]
                builder.call(routine, [*places, builder.zext(active, i64), *numbers])
