"""Bits counted, found, cut out and put in."""

from __future__ import annotations

from llvmlite import ir

from emulator.lower.integer import call, constant, no_floats
from emulator.lower.logic import resize
from emulator.lower.registry import NotLowered, instruction
from emulator.lower.routines import call_routine
from emulator.lower.types import bits, integers, is_signed
from emulator.lower.warp import WarpLowering
from emulator.native.vectors import leading_zeros
from emulator.ptx import Instruction


@instruction("popc", "clz", "brev")
def count_bits(lower: WarpLowering, inst: Instruction) -> None:
    """``popc``, ``clz`` (a 32-bit result) and ``brev``."""
    kind = no_floats(inst)
    value = lower.read(inst.operands[1], kind)
    if inst.opcode == "popc":
        result = call(lower, "ctpop", value)
    elif inst.opcode == "brev":
        lower.result(inst, call(lower, "bitreverse", value))
        return
    else:
        result = leading_zeros(lower.builder, value)
    if bits(kind) == 64:
        result = lower.builder.trunc(result, integers(32))
    lower.write(inst.operands[0], result, inst)


@instruction("bfind")
def bfind(lower: WarpLowering, inst: Instruction) -> None:
    """The highest bit that is not a sign bit, or 0xffffffff; ``.shiftamt``: how far to shift."""
    kind = no_floats(inst)
    builder = lower.builder
    width = bits(kind)
    value = lower.read(inst.operands[1], kind)
    if is_signed(kind):
        value = builder.xor(value, builder.ashr(value, constant(width, width - 1)))
    zeros = leading_zeros(builder, value)
    found = zeros if inst.has("shiftamt") else builder.sub(constant(width, width - 1), zeros)
    none = builder.icmp_unsigned("==", value, constant(width, 0))
    result = builder.select(none, constant(width, -1), found)
    if width == 64:
        result = builder.trunc(result, integers(32))
    lower.write(inst.operands[0], result, inst)


@instruction("fns")
def fns(lower: WarpLowering, inst: Instruction) -> None:
    """The n-th set bit of a mask, from a base up or down."""
    mask, base, offset = (lower.read(o, "b32") for o in inst.operands[1:4])
    lower.result(inst, call_routine(lower, "fns", mask, base, offset))


def below(lower: WarpLowering, count: ir.Value) -> ir.Value:
    """32-bit words with the low ``count`` bits set; all of them from 32 on."""
    builder = lower.builder
    wide = builder.zext(builder.and_(count, constant(32, 31)), integers(64))
    ones = builder.sub(builder.shl(constant(64, 1), wide), constant(64, 1))
    beyond = builder.icmp_unsigned(">", count, constant(32, 31))
    return builder.select(beyond, constant(32, -1), builder.trunc(ones, integers(32)))


@instruction("bmsk")
def bmsk(lower: WarpLowering, inst: Instruction) -> None:
    """Ones at ``position``, ``width`` of them; ``.wrap`` takes both modulo 32."""
    builder = lower.builder
    position, width = (lower.read(o, "b32") for o in inst.operands[1:3])
    if inst.has("wrap"):
        width = builder.and_(width, constant(32, 31))
    elif not inst.has("clamp"):
        raise NotLowered(inst.text)
    inside = builder.and_(position, constant(32, 31))
    moved = builder.shl(below(lower, width), inside)
    if inst.has("clamp"):
        beyond = builder.icmp_unsigned(">", position, constant(32, 31))
        moved = builder.select(beyond, constant(32, 0), moved)
    lower.result(inst, moved)


@instruction("szext")
def szext(lower: WarpLowering, inst: Instruction) -> None:
    """The low ``width`` bits, extended; ``.wrap`` takes the width modulo 32."""
    builder = lower.builder
    kind = no_floats(inst)
    value, width = lower.read(inst.operands[1], kind), lower.read(inst.operands[2], "u32")
    if inst.has("wrap"):
        width = builder.and_(width, constant(32, 31))
    elif not inst.has("clamp"):
        raise NotLowered(inst.text)
    room = builder.sub(constant(32, 32), width)
    beyond = builder.icmp_unsigned(">", width, constant(32, 31))
    none = builder.icmp_unsigned("==", width, constant(32, 0))
    shift = builder.select(beyond, constant(32, 0), builder.and_(room, constant(32, 31)))
    down = builder.ashr if is_signed(kind) else builder.lshr
    field = down(builder.shl(value, shift), shift)
    lower.result(inst, builder.select(none, constant(32, 0), field))


@instruction("bfe")
def bfe(lower: WarpLowering, inst: Instruction) -> None:
    """Extract ``length`` bits at ``position``; a signed field is extended."""
    kind = no_floats(inst)
    builder = lower.builder
    width = bits(kind)
    value = lower.read(inst.operands[1], kind)
    position = resize(lower, _byte(lower, inst, 2), width)
    length = resize(lower, _byte(lower, inst, 3), width)
    top = constant(width, width - 1)
    last = constant(width, width)

    def at_most(amount: ir.Value, limit: ir.Value) -> ir.Value:
        return call(lower, "umin", amount, limit)

    shifted_in = builder.ashr if is_signed(kind) else builder.lshr
    moved = shifted_in(value, at_most(position, top))
    if not is_signed(kind):
        far = builder.icmp_unsigned(">", position, top)
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
    position = resize(lower, _byte(lower, inst, 3), width)
    length = resize(lower, _byte(lower, inst, 4), width)
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
