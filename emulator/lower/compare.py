"""Comparison and selection."""

from __future__ import annotations

from llvmlite import ir

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


def compare(lower: WarpLowering, inst: Instruction, kind: str) -> ir.Value:
    """``a OP b`` for ``setp`` and ``set``."""
    builder = lower.builder
    name = one_of(inst, COMPARISONS)
    a, b = (lower.read(o, kind) for o in inst.operands[1:3])
    if not is_float(kind):
        if kind.startswith("bf") or "x2" in kind or name not in SIGNS:
            raise NotLowered(inst.text)
        signed = is_signed(kind) and name not in ("lo", "ls", "hi", "hs")
        return (builder.icmp_signed if signed else builder.icmp_unsigned)(SIGNS[name], a, b)
    if inst.has("ftz"):
        a, b = flush(lower, a, kind), flush(lower, b, kind)
    if name == "num":
        return builder.fcmp_ordered("ord", a, b)
    if name == "nan":
        return builder.fcmp_unordered("uno", a, b)
    if name in UNORDERED:
        return builder.fcmp_unordered(UNORDERED[name], a, b)
    return builder.fcmp_ordered(SIGNS[name], a, b)


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
    """``setp.cmp{.bool}{.ftz}.type p{|q}, a, b{, {!}c}``; ``q`` is of the complement."""
    truth = compare(lower, inst, inst.type)
    target = inst.operands[0]
    if isinstance(target, Pair):
        both = combined(lower, inst, truth), combined(lower, inst, lower.builder.not_(truth))
        for place, value in zip((target.first, target.second), both, strict=True):
            lower.write(place, value, inst)
        return
    lower.write(target, combined(lower, inst, truth), inst)


@instruction("set")
def set_(lower: WarpLowering, inst: Instruction) -> None:
    """``set.cmp.dtype.stype``: all ones or 1.0 where it holds."""
    if len(inst.types) != 2:
        raise NotLowered(inst.text)
    result, kind = inst.types
    truth = combined(lower, inst, compare(lower, inst, kind))
    builder = lower.builder
    if result == "f32":
        one = ir.Constant(ir.VectorType(ir.FloatType(), LANES), [1.0] * LANES)
        value = builder.select(truth, one, ir.Constant(one.type, [0.0] * LANES))
    elif result in ("u32", "s32", "b32"):
        value = builder.sext(truth, integers(32))
    else:
        raise NotLowered(inst.text)
    lower.write(inst.operands[0], value, inst)


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
