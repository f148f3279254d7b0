"""Bits: logic, shifts, fields, permutations of bytes."""

from __future__ import annotations

from llvmlite import ir

from emulator.lower.integer import constant, no_floats
from emulator.lower.registry import NotLowered, instruction
from emulator.lower.types import bits, integers, is_signed
from emulator.lower.warp import WarpLowering
from emulator.native.layout import LANES
from emulator.ptx import Immediate, Instruction


@instruction("and", "or", "xor")
def logic(lower: WarpLowering, inst: Instruction) -> None:
    """Bitwise, and on predicates."""
    a, b = (lower.read(o, inst.type) for o in inst.operands[1:3])
    operation = {"and": lower.builder.and_, "or": lower.builder.or_, "xor": lower.builder.xor}
    lower.result(inst, operation[inst.opcode](a, b))


@instruction("not")
def not_(lower: WarpLowering, inst: Instruction) -> None:
    """Bitwise complement."""
    lower.result(inst, lower.builder.not_(lower.read(inst.operands[1], inst.type)))


@instruction("cnot")
def cnot(lower: WarpLowering, inst: Instruction) -> None:
    """1 for zero, else 0."""
    kind = inst.type
    zero = constant(bits(kind), 0)
    is_zero = lower.builder.icmp_unsigned("==", lower.read(inst.operands[1], kind), zero)
    lower.result(inst, lower.builder.zext(is_zero, integers(bits(kind))))


@instruction("shl", "shr")
def shift(lower: WarpLowering, inst: Instruction) -> None:
    """Shifts by the width or more give zero, or copies of the sign."""
    kind = no_floats(inst)
    builder = lower.builder
    width = bits(kind)
    value = lower.read(inst.operands[1], kind)
    amount = lower.read(inst.operands[2], "u32")
    most = constant(32, width - 1)
    beyond = builder.icmp_unsigned(">", amount, most)
    clamped = _resize(lower, builder.select(beyond, most, amount), width)
    if inst.opcode == "shr" and is_signed(kind):
        lower.result(inst, builder.ashr(value, clamped))
        return
    moved = (builder.shl if inst.opcode == "shl" else builder.lshr)(value, clamped)
    lower.result(inst, builder.select(beyond, constant(width, 0), moved))


def _resize(lower: WarpLowering, amount: ir.Value, width: int) -> ir.Value:
    if width == 32:
        return amount
    change = lower.builder.zext if width > 32 else lower.builder.trunc
    return change(amount, integers(width))


@instruction("shf")
def funnel(lower: WarpLowering, inst: Instruction) -> None:
    """``shf.{l,r}.{wrap,clamp}.b32 d, low, high, by``: a shift of 64 bits."""
    builder = lower.builder
    low, high, by = (lower.read(o, "u32") for o in inst.operands[1:4])
    if inst.has("wrap"):
        by = builder.and_(by, constant(32, 31))
    else:
        beyond = builder.icmp_unsigned(">", by, constant(32, 32))
        by = builder.select(beyond, constant(32, 32), by)
    wide = builder.or_(
        builder.shl(builder.zext(high, integers(64)), constant(64, 32)),
        builder.zext(low, integers(64)),
    )
    far = builder.zext(by, integers(64))
    if inst.has("l"):
        moved = builder.lshr(builder.shl(wide, far), constant(64, 32))
    else:
        moved = builder.lshr(wide, far)
    lower.result(inst, builder.trunc(moved, integers(32)))


@instruction("lop3")
def lop3(lower: WarpLowering, inst: Instruction) -> None:
    """Any function of three bits, by its truth table."""
    table = inst.operands[4]
    if not isinstance(table, Immediate) or inst.type != "b32" or len(inst.operands) != 5:
        raise NotLowered(inst.text)
    builder = lower.builder
    a, b, c = (lower.read(o, "b32") for o in inst.operands[1:4])
    result: ir.Value = constant(32, 0)
    for row in range(8):
        if int(table.value) >> row & 1:
            term = a if row & 4 else builder.not_(a)
            term = builder.and_(term, b if row & 2 else builder.not_(b))
            term = builder.and_(term, c if row & 1 else builder.not_(c))
            result = builder.or_(result, term)
    lower.result(inst, result)


@instruction("bfe")
def bfe(lower: WarpLowering, inst: Instruction) -> None:
    """Extract ``length`` bits at ``position``; a signed field is extended."""
    kind = no_floats(inst)
    builder = lower.builder
    width = bits(kind)
    value = lower.read(inst.operands[1], kind)
    position = _resize(lower, _byte(lower, inst, 2), width)
    length = _resize(lower, _byte(lower, inst, 3), width)
    top = constant(width, width - 1)
    last = constant(width, width)

    def at_most(amount: ir.Value, limit: ir.Value) -> ir.Value:
        return builder.select(builder.icmp_unsigned(">", amount, limit), limit, amount)

    far = builder.icmp_unsigned(">", position, top)
    shifted_in = builder.ashr if is_signed(kind) else builder.lshr
    moved = shifted_in(value, at_most(position, top))
    if not is_signed(kind):
        moved = builder.select(far, constant(width, 0), moved)
    room = builder.sub(last, at_most(length, last))  # bits above the field
    room_shift = at_most(room, top)
    field = shifted_in(builder.shl(moved, room_shift), room_shift)
    none = builder.icmp_unsigned("==", length, constant(width, 0))
    lower.result(inst, builder.select(none, constant(width, 0), field))


def _byte(lower: WarpLowering, inst: Instruction, index: int) -> ir.Value:
    return lower.builder.and_(lower.read(inst.operands[index], "u32"), constant(32, 255))


@instruction("bfi")
def bfi(lower: WarpLowering, inst: Instruction) -> None:
    """Insert the low ``length`` bits of ``a`` into ``b`` at ``position``."""
    kind = no_floats(inst)
    builder = lower.builder
    width = bits(kind)
    a, b = (lower.read(o, kind) for o in inst.operands[1:3])
    position = _resize(lower, _byte(lower, inst, 3), width)
    length = _resize(lower, _byte(lower, inst, 4), width)
    top = constant(width, width - 1)

    def power_less_one(amount: ir.Value) -> ir.Value:
        whole = builder.icmp_unsigned(">", amount, top)
        safe = builder.select(whole, constant(width, 0), amount)
        ones = builder.sub(builder.shl(constant(width, 1), safe), constant(width, 1))
        return builder.select(whole, constant(width, -1), ones)

    far = builder.icmp_unsigned(">", position, top)
    safe = builder.select(far, constant(width, 0), position)
    mask = builder.shl(power_less_one(length), safe)
    mask = builder.select(far, constant(width, 0), mask)
    kept = builder.and_(b, builder.not_(mask))
    lower.result(inst, builder.or_(kept, builder.and_(builder.shl(a, safe), mask)))


@instruction("prmt")
def prmt(lower: WarpLowering, inst: Instruction) -> None:
    """Pick four of eight bytes; the top bit of a selector copies the byte's sign."""
    if inst.modifiers != ("b32",):
        raise NotLowered(inst.text)
    builder = lower.builder
    a, b, selector = (lower.read(o, "b32") for o in inst.operands[1:4])
    wide = builder.or_(
        builder.shl(builder.zext(b, integers(64)), constant(64, 32)),
        builder.zext(a, integers(64)),
    )
    result: ir.Value = ir.Constant(integers(32), [0] * LANES)
    for index in range(4):
        nibble = builder.lshr(selector, constant(32, 4 * index))
        which = builder.and_(nibble, constant(32, 7))
        far = builder.zext(builder.shl(which, constant(32, 3)), integers(64))
        byte = builder.and_(builder.trunc(builder.lshr(wide, far), integers(32)), constant(32, 255))
        sign = builder.icmp_unsigned("!=", builder.and_(nibble, constant(32, 8)), constant(32, 0))
        negative = builder.icmp_unsigned(">", byte, constant(32, 127))
        copied = builder.select(negative, constant(32, 255), constant(32, 0))
        chosen = builder.select(sign, copied, byte)
        result = builder.or_(result, builder.shl(chosen, constant(32, 8 * index)))
    lower.result(inst, result)
