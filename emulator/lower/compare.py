"""Comparison and selection."""

from __future__ import annotations

from llvmlite import ir

from emulator.lower import halves
from emulator.lower.floating import flush
from emulator.lower.integer import constant
from emulator.lower.registry import NotLowered, instruction, one_of
from emulator.lower.types import bits, integers, is_float, is_signed
from emulator.lower.warp import WarpLowering
from emulator.native.layout import LANES
from emulator.ptx import Instruction, Pair

SIGNS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=",
         "lo": "<", "ls": "<=", "hi": ">", "hs": ">="}  # fmt: skip
UNORDERED = {"equ": "==", "neu": "!=", "ltu": "<", "leu": "<=", "gtu": ">", "geu": ">="}
COMPARISONS = {*SIGNS, *UNORDERED, "num", "nan"}


def compare(lower: WarpLowering, inst: Instruction, kind: str) -> list[ir.Value]:
    """``a OP b`` for ``setp`` and ``set``: one truth a number, the low half's first."""
    if kind in halves.FORMATS:
        return _compare_halves(lower, inst, halves.FORMATS[kind])
    builder = lower.builder
    name = one_of(inst, COMPARISONS)
    a, b = (lower.read(o, kind) for o in inst.operands[1:3])
    if is_float(kind):
        if inst.has("ftz"):
            a, b = flush(lower, a, kind), flush(lower, b, kind)
        return [_compare_floats(lower, name, a, b)]
    if name not in SIGNS:
        raise NotLowered(inst.text)
    signed = is_signed(kind) and name not in ("lo", "ls", "hi", "hs")
    return [(builder.icmp_signed if signed else builder.icmp_unsigned)(SIGNS[name], a, b)]


def _compare_floats(lower: WarpLowering, name: str, a: ir.Value, b: ir.Value) -> ir.Value:
    builder = lower.builder
    if name == "num":
        return builder.fcmp_ordered("ord", a, b)
    if name == "nan":
        return builder.fcmp_unordered("uno", a, b)
    if name in UNORDERED:
        return builder.fcmp_unordered(UNORDERED[name], a, b)
    return builder.fcmp_ordered(SIGNS[name], a, b)


def _compare_halves(lower: WarpLowering, inst: Instruction, form: halves.Format) -> list[ir.Value]:
    builder = lower.builder
    name = one_of(inst, COMPARISONS)
    whole = [lower.read(o, f"b{16 * form.count}") for o in inst.operands[1:3]]
    truths = []
    for index in range(form.count):
        sides = []
        for value in whole:
            if form.count == 2:
                moved = builder.lshr(value, constant(32, 16 * index))
                value = builder.trunc(moved, integers(16))
            if inst.has("ftz"):
                value = halves.flush(lower, value, form)
            sides.append(halves.widen(lower, value, form))
        truths.append(_compare_floats(lower, name, *sides))
    return truths


def combined(lower: WarpLowering, inst: Instruction, truth: ir.Value) -> ir.Value:
    """``truth`` joined with the fourth operand by ``.and``, ``.or`` or ``.xor``."""
    builder = lower.builder
    joins = {"and": builder.and_, "or": builder.or_, "xor": builder.xor}
    name = next((m for m in inst.modifiers if m in joins), None)
    if name is None:
        return truth
    return joins[name](truth, lower.read(inst.operands[3], "pred"))


@instruction("setp")
def setp(lower: WarpLowering, inst: Instruction) -> None:
    """``setp.cmp{.bool}{.ftz}.type p{|q}, a, b{, {!}c}``.

    ``q`` is of the complement; of the upper half for pairs of halves.
    """
    truths = compare(lower, inst, inst.type)
    target = inst.operands[0]
    if not isinstance(target, Pair):
        lower.write(target, combined(lower, inst, truths[0]), inst)
        return
    if len(truths) == 1:
        truths.append(lower.builder.not_(truths[0]))
    both = [combined(lower, inst, truth) for truth in truths]
    for place, value in zip((target.first, target.second), both, strict=True):
        lower.write(place, value, inst)


# "true" in a result: all ones, or the number 1.0
TRUE = {"f32": (32, 0x3F800000), "u32": (32, -1), "s32": (32, -1), "b32": (32, -1),
        "f16": (16, 0x3C00), "bf16": (16, 0x3F80), "u16": (16, -1), "s16": (16, -1),
        "f16x2": (16, 0x3C00), "bf16x2": (16, 0x3F80)}  # fmt: skip


@instruction("set")
def set_(lower: WarpLowering, inst: Instruction) -> None:
    """``set.cmp.dtype.stype``: all ones or 1.0 where it holds, in each half for pairs."""
    if len(inst.types) != 2 or inst.types[0] not in TRUE:
        raise NotLowered(inst.text)
    builder = lower.builder
    result, kind = inst.types
    width, true = TRUE[result]
    truths = [combined(lower, inst, truth) for truth in compare(lower, inst, kind)]
    if len(truths) == 1:
        if result.endswith("x2"):
            raise NotLowered(inst.text)
        value = builder.select(truths[0], constant(width, true), constant(width, 0))
    else:
        one = true & 0xFFFF
        low = builder.select(truths[0], constant(32, one), constant(32, 0))
        high = builder.select(truths[1], constant(32, one << 16), constant(32, 0))
        value = builder.or_(low, high)
    lower.write(inst.operands[0], value, inst, signed=is_signed(result))


@instruction("selp")
def selp(lower: WarpLowering, inst: Instruction) -> None:
    """``d = c ? a : b``."""
    a, b = (lower.read(o, inst.type) for o in inst.operands[1:3])
    lower.result(inst, lower.builder.select(lower.read(inst.operands[3], "pred"), a, b))


@instruction("slct")
def slct(lower: WarpLowering, inst: Instruction) -> None:
    """``d = c >= 0 ? a : b``."""
    builder = lower.builder
    kind, condition = inst.types
    a, b = (lower.read(o, kind) for o in inst.operands[1:3])
    c = lower.read(inst.operands[3], condition)
    if is_float(condition):
        if inst.has("ftz"):
            c = flush(lower, c, condition)
        truth = builder.fcmp_ordered(">=", c, ir.Constant(c.type, [0.0] * LANES))
    else:
        truth = builder.icmp_signed(">=", c, constant(bits(condition), 0))
    lower.write(inst.operands[0], builder.select(truth, a, b), inst)
