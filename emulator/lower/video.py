"""Video instructions (PTX ISA, "Video Instructions"): arithmetic on bytes and halves of registers.

``vadd.s32.u32.u32.sat %d.b1, %a.h0, %b.b3, %c`` takes parts of ``a`` and ``b``, works on 34 bits,
clamps to the part of ``d`` it fills, and joins the result with ``c``. The forms that end in 2 and 4
do so for two halves or four bytes at once. Here all of that happens in 64 bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from llvmlite import ir

from emulator.lower.compare import SIGNS
from emulator.lower.integer import call, constant
from emulator.lower.registry import NotLowered, instruction, one_of
from emulator.lower.types import integers, is_signed
from emulator.lower.warp import WarpLowering
from emulator.ptx import Instruction, Operand, Register

PART_BITS = {"b": 8, "h": 16, "": 32}
Operation = Callable[[WarpLowering, ir.Value, ir.Value], ir.Value]


def _whole(operand: Operand) -> Operand:
    return replace(operand, part="", negated=False) if isinstance(operand, Register) else operand


def _part(operand: Operand) -> str:
    return operand.part if isinstance(operand, Register) else ""


def _wide(lower: WarpLowering, value: ir.Value, width: int, signed: bool) -> ir.Value:
    """The low ``width`` bits of a 64-bit number, extended."""
    builder = lower.builder
    rest = constant(64, 64 - width)
    return (builder.ashr if signed else builder.lshr)(builder.shl(value, rest), rest)


def _source(lower: WarpLowering, operand: Operand, kind: str) -> ir.Value:
    """A scalar source: the part it names, extended as its type says."""
    part = _part(operand)
    width = PART_BITS[part[:1]]
    number = int(part[1:] or 0)
    if part and number * width >= 32:
        raise NotLowered(f"part {part}")
    builder = lower.builder
    value = builder.zext(lower.read(_whole(operand), "b32"), integers(64))
    moved = builder.lshr(value, constant(64, number * width))
    return _wide(lower, moved, width, is_signed(kind))


def _clamped(lower: WarpLowering, value: ir.Value, width: int, signed: bool) -> ir.Value:
    top = (1 << (width - signed)) - 1
    bottom = -(1 << (width - 1)) if signed else 0
    return call(lower, "smax", call(lower, "smin", value, constant(64, top)), constant(64, bottom))


def _difference(lower: WarpLowering, a: ir.Value, b: ir.Value) -> ir.Value:
    return call(lower, "smax", lower.builder.sub(a, b), lower.builder.sub(b, a))


def _average(lower: WarpLowering, a: ir.Value, b: ir.Value) -> ir.Value:
    """Rounded away from zero where the sum is positive, down where it is negative."""
    builder = lower.builder
    total = builder.add(a, b)
    up = builder.zext(builder.icmp_signed(">=", total, constant(64, 0)), integers(64))
    return builder.ashr(builder.add(total, up), constant(64, 1))


OPERATIONS: dict[str, Operation] = {
    "vadd": lambda lower, a, b: lower.builder.add(a, b),
    "vsub": lambda lower, a, b: lower.builder.sub(a, b),
    "vabsdiff": _difference,
    "vmin": lambda lower, a, b: call(lower, "smin", a, b),
    "vmax": lambda lower, a, b: call(lower, "smax", a, b),
    "vavrg": _average,
}
SECONDARY = ("add", "min", "max")


def _finish(lower: WarpLowering, inst: Instruction, value: ir.Value, kind: str) -> None:
    """Clamp, join with the last operand, write."""
    builder = lower.builder
    part = _part(inst.operands[0])
    width = PART_BITS[part[:1]]
    if inst.has("sat"):
        value = _clamped(lower, value, width, is_signed(kind))
    has_third = len(inst.operands) == 4
    second = next((m for m in inst.modifiers if m in SECONDARY), None)
    if (second or part) and not has_third:
        raise NotLowered(inst.text)
    if second:
        third = _source(lower, inst.operands[3], kind)
        name = f"s{second}"
        value = builder.add(value, third) if second == "add" else call(lower, name, value, third)
    elif part:
        shift = int(part[1:]) * width
        field = ((1 << width) - 1) << shift
        moved = builder.and_(builder.shl(value, constant(64, shift)), constant(64, field))
        rest = builder.zext(lower.read(inst.operands[3], "b32"), integers(64))
        value = builder.or_(moved, builder.and_(rest, constant(64, ~field)))
    lower.write(_whole(inst.operands[0]), builder.trunc(value, integers(32)), inst)


@instruction("vadd", "vsub", "vabsdiff", "vmin", "vmax")
def scalar(lower: WarpLowering, inst: Instruction) -> None:
    """``vop.dtype.atype.btype{.sat}{.op2} d{.part}, a{.part}, b{.part}{, c}``."""
    target, *kinds = inst.types
    a, b = (_source(lower, o, k) for o, k in zip(inst.operands[1:3], kinds, strict=True))
    _finish(lower, inst, OPERATIONS[inst.opcode](lower, a, b), target)


@instruction("vshl", "vshr")
def shift(lower: WarpLowering, inst: Instruction) -> None:
    """``vshl``, ``vshr``: by at most 32 (``.clamp``), or modulo 32 (``.wrap``)."""
    target, kind, _ = inst.types
    builder = lower.builder
    a, by = _source(lower, inst.operands[1], kind), _source(lower, inst.operands[2], "u32")
    if one_of(inst, ("clamp", "wrap")) == "clamp":
        by = call(lower, "umin", by, constant(64, 32))
    else:
        by = builder.and_(by, constant(64, 31))
    left = inst.opcode == "vshl"
    value = call(lower, "sshl.sat", a, by) if left else builder.ashr(a, by)
    _finish(lower, inst, value, target)


@instruction("vset")
def compare(lower: WarpLowering, inst: Instruction) -> None:
    """``vset.atype.btype.cmp{.op2} d{.part}, a{.part}, b{.part}{, c}``: 1 where it holds."""
    a, b = (_source(lower, o, k) for o, k in zip(inst.operands[1:3], inst.types, strict=True))
    _finish(lower, inst, _holds(lower, inst, a, b), "u32")


def _holds(lower: WarpLowering, inst: Instruction, a: ir.Value, b: ir.Value) -> ir.Value:
    sign = SIGNS[one_of(inst, ("eq", "ne", "lt", "le", "gt", "ge"))]
    return lower.builder.zext(lower.builder.icmp_signed(sign, a, b), integers(64))


@instruction("vmad")
def multiply_add(lower: WarpLowering, inst: Instruction) -> None:
    """``vmad.dtype.atype.btype{.po}{.sat}{.shr7,.shr15} d, {-}a, {-}b, {-}c``, in 128 bits."""
    builder = lower.builder
    _, *kinds = inst.types
    minus = [isinstance(o, Register) and o.negated for o in inst.operands[1:4]]
    minus_product = minus[0] != minus[1]
    signed = any(map(is_signed, kinds)) or minus_product or minus[2]
    wide = integers(128)
    a, b = (
        builder.sext(_source(lower, o, k), wide)
        for o, k in zip(inst.operands[1:3], kinds, strict=True)
    )
    c = lower.read(_whole(inst.operands[3]), "b32")
    c = (builder.sext if signed else builder.zext)(c, wide)
    total, one = builder.mul(a, b), constant(128, 1)
    if inst.has("po"):
        total = builder.add(total, one)
    elif minus_product:
        total = builder.neg(total)
    elif minus[2]:
        c = builder.neg(c)
    total = builder.add(total, c)
    by = next((n for n in (7, 15) if inst.has(f"shr{n}")), 0)
    total = builder.ashr(total, constant(128, by))
    if inst.has("sat"):
        top, bottom = (2**31 - 1, -(2**31)) if signed else (2**32 - 1, 0)
        total = call(lower, "smin", total, constant(128, top))
        total = call(lower, "smax", total, constant(128, bottom))
    lower.write(inst.operands[0], builder.trunc(total, integers(32)), inst)


@instruction(
    "vadd2", "vsub2", "vavrg2", "vabsdiff2", "vmin2", "vmax2", "vset2",
    "vadd4", "vsub4", "vavrg4", "vabsdiff4", "vmin4", "vmax4", "vset4",
)  # fmt: skip
def packed(lower: WarpLowering, inst: Instruction) -> None:
    """``vop2`` and ``vop4``: parts of ``a`` and ``b``; results replace parts of ``c`` or add up."""
    builder = lower.builder
    count = int(inst.opcode[-1])
    width = 32 // count
    *target, a_kind, b_kind = inst.types
    signed = bool(target) and is_signed(target[0])
    both = builder.or_(
        builder.shl(_source(lower, _whole(inst.operands[2]), "u32"), constant(64, 32)),
        _source(lower, _whole(inst.operands[1]), "u32"),
    )
    default = [range(count), range(count, 2 * count)]
    chosen = [_digits(o, count) or d for o, d in zip(inst.operands[1:3], default, strict=True)]
    written = _digits(inst.operands[0]) or range(count)
    total = _source(lower, inst.operands[3], "u32")
    for index in written:
        a, b = (
            _wide(
                lower, builder.lshr(both, constant(64, picks[index] * width)), width, is_signed(k)
            )
            for picks, k in zip(chosen, (a_kind, b_kind), strict=True)
        )
        if inst.opcode.startswith("vset"):
            value = _holds(lower, inst, a, b)
        else:
            value = OPERATIONS[inst.opcode[:-1]](lower, a, b)
        if inst.has("sat"):
            value = _clamped(lower, value, width, signed)
        if inst.has("add"):
            total = builder.add(total, value)
            continue
        field = ((1 << width) - 1) << index * width
        moved = builder.and_(builder.shl(value, constant(64, index * width)), constant(64, field))
        total = builder.or_(moved, builder.and_(total, constant(64, ~field)))
    lower.write(_whole(inst.operands[0]), builder.trunc(total, integers(32)), inst)


def _digits(operand: Operand, count: int | None = None) -> list[int]:
    """The parts that ``.h20`` or ``.b7610`` names, lowest first; none without."""
    found = [int(digit) for digit in reversed(_part(operand)[1:])]
    if found and count is not None and len(found) != count:
        raise NotLowered(f"part {_part(operand)}")
    return found
