"""Integer arithmetic."""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir

from emulator.lower.registry import NotLowered, instruction
from emulator.lower.routines import call_routine
from emulator.lower.types import bits, integers, is_float, is_signed
from emulator.lower.warp import WarpLowering
from emulator.native.layout import LANES, i16
from emulator.native.vectors import everywhere, overloaded
from emulator.ptx import Instruction


def constant(width: int, value: int) -> ir.Constant:
    """The same whole number in every lane."""
    return ir.Constant(integers(width), [value & ((1 << width) - 1)] * LANES)


def call(lower: WarpLowering, name: str, *arguments: ir.Value) -> ir.Value:
    """An overloaded LLVM intrinsic over vectors of one type, ``llvm.name.v32...``."""
    return overloaded(lower.builder, name, *arguments)


def no_floats(inst: Instruction) -> str:
    """The instruction's type, which must be an integer one here."""
    kind = inst.type
    if is_float(kind) or "f16" in kind or "x2" in kind or not kind:
        raise NotLowered(inst.text)
    return kind


def add_sub(lower: WarpLowering, inst: Instruction) -> None:
    """``add`` and ``sub``, with ``.sat.s32``, and on pairs of halves."""
    adds = inst.opcode == "add"
    operation = lower.builder.add if adds else lower.builder.sub
    if inst.type in PAIRS:
        pairs(lower, inst, operation)
        return
    kind = no_floats(inst)
    a, b = (lower.read(o, kind) for o in inst.operands[1:3])
    if inst.has("sat"):
        lower.result(inst, call(lower, "sadd.sat" if adds else "ssub.sat", a, b))
        return
    lower.result(inst, operation(a, b))


PAIRS = {"u16x2": "u", "s16x2": "s"}


def pairs(
    lower: WarpLowering, inst: Instruction, operation: Callable[[ir.Value, ir.Value], ir.Value]
) -> None:
    """An operation on both halves of 32 bits."""
    if inst.has("sat"):
        raise NotLowered(inst.text)
    halves = ir.VectorType(i16, 2 * LANES)
    a, b = (lower.builder.bitcast(lower.read(o, "b32"), halves) for o in inst.operands[1:3])
    lower.result(inst, lower.builder.bitcast(operation(a, b), integers(32)))


def product(lower: WarpLowering, inst: Instruction, kind: str) -> tuple[ir.Value, int]:
    """The product that ``mul`` and ``mad`` start from, and its width."""
    builder = lower.builder
    width = bits(kind)
    a, b = (lower.read(o, kind) for o in inst.operands[1:3])
    if inst.has("lo"):
        return builder.mul(a, b), width
    if inst.has("wide"):
        extend = builder.sext if is_signed(kind) else builder.zext
        wide = integers(2 * width)
        return builder.mul(extend(a, wide), extend(b, wide)), 2 * width
    if inst.has("hi"):
        return high_product(lower, kind, a, b), width
    raise NotLowered(inst.text)


def high_product(lower: WarpLowering, kind: str, a: ir.Value, b: ir.Value) -> ir.Value:
    """The upper half of a product."""
    builder = lower.builder
    width = bits(kind)
    if width < 64:
        extend = builder.sext if is_signed(kind) else builder.zext
        whole = builder.mul(extend(a, integers(2 * width)), extend(b, integers(2 * width)))
        return builder.trunc(builder.lshr(whole, constant(2 * width, width)), integers(width))
    # from products of 32-bit halves: the host has no vectors of 128-bit numbers
    half, low = constant(64, 32), constant(64, 0xFFFFFFFF)
    a_low, a_high = builder.and_(a, low), builder.lshr(a, half)
    b_low, b_high = builder.and_(b, low), builder.lshr(b, half)
    middle = builder.add(builder.mul(a_high, b_low), builder.lshr(builder.mul(a_low, b_low), half))
    cross = builder.add(builder.mul(a_low, b_high), builder.and_(middle, low))
    carries = builder.add(builder.lshr(middle, half), builder.lshr(cross, half))
    result = builder.add(builder.mul(a_high, b_high), carries)
    if is_signed(kind):  # a negative factor counts 2**64 too many
        top = constant(64, 63)
        result = builder.sub(result, builder.and_(builder.ashr(a, top), b))
        result = builder.sub(result, builder.and_(builder.ashr(b, top), a))
    return result


def mul(lower: WarpLowering, inst: Instruction) -> None:
    """``mul.{lo,hi,wide}``."""
    value, _ = product(lower, inst, no_floats(inst))
    lower.result(inst, value)


def mad(lower: WarpLowering, inst: Instruction) -> None:
    """``mad.{lo,hi,wide}``, with ``.hi.sat.s32``."""
    kind = no_floats(inst)
    value, width = product(lower, inst, kind)
    addend = lower.read(inst.operands[3], f"{kind[0]}{width}")
    if inst.has("sat"):
        lower.result(inst, call(lower, "sadd.sat", value, addend))
        return
    lower.result(inst, lower.builder.add(value, addend))


@instruction("mul24", "mad24")
def mul24(lower: WarpLowering, inst: Instruction) -> None:
    """24-bit products: the low or the high 32 of 48 bits."""
    kind = no_floats(inst)
    builder = lower.builder
    eight = constant(32, 8)

    def low24(value: ir.Value) -> ir.Value:
        up = builder.shl(value, eight)
        narrow = builder.ashr(up, eight) if is_signed(kind) else builder.lshr(up, eight)
        return (builder.sext if is_signed(kind) else builder.zext)(narrow, integers(64))

    a, b = (low24(lower.read(o, kind)) for o in inst.operands[1:3])
    whole = builder.mul(a, b)
    if inst.has("hi"):
        whole = builder.lshr(whole, constant(64, 16))
    value = builder.trunc(whole, integers(32))
    if inst.opcode == "mad24":
        addend = lower.read(inst.operands[3], kind)
        saturates = inst.has("sat")
        value = call(lower, "sadd.sat", value, addend) if saturates else builder.add(value, addend)
    lower.result(inst, value)


def div_rem(lower: WarpLowering, inst: Instruction) -> None:
    """``div`` and ``rem``; what the ISA leaves open is in :mod:`emulator.native.division`."""
    kind = no_floats(inst)
    a, b = (lower.read(o, kind) for o in inst.operands[1:3])
    width = max(bits(kind), 32)
    if bits(kind) == 16:
        extend = lower.builder.sext if is_signed(kind) else lower.builder.zext
        a, b = (extend(v, integers(width)) for v in (a, b))
    value = call_routine(lower, f"{inst.opcode}_{kind[0]}{width}", a, b)
    lower.result(inst, value if bits(kind) == width else lower.builder.trunc(value, integers(16)))


def absolute(lower: WarpLowering, inst: Instruction) -> None:
    """``abs``: of the most negative value, itself."""
    kind = no_floats(inst)
    value = lower.read(inst.operands[1], kind)
    negative = lower.builder.icmp_signed("<", value, constant(bits(kind), 0))
    lower.result(inst, lower.builder.select(negative, lower.builder.neg(value), value))


def negate(lower: WarpLowering, inst: Instruction) -> None:
    """``neg``."""
    lower.result(inst, lower.builder.neg(lower.read(inst.operands[1], no_floats(inst))))


def min_max(lower: WarpLowering, inst: Instruction) -> None:
    """``min`` and ``max``, with ``.relu``, and on pairs of halves."""
    kind = inst.type if inst.type in PAIRS else no_floats(inst)
    name = kind[0] + inst.opcode

    def operation(a: ir.Value, b: ir.Value) -> ir.Value:
        value = call(lower, name, a, b)
        relu = inst.has("relu")
        return call(lower, "smax", value, everywhere(value.type, 0)) if relu else value

    if kind in PAIRS:
        pairs(lower, inst, operation)
        return
    lower.result(inst, operation(*(lower.read(o, kind) for o in inst.operands[1:3])))


@instruction("sad")
def sad(lower: WarpLowering, inst: Instruction) -> None:
    """``|a - b| + c``."""
    kind = no_floats(inst)
    builder = lower.builder
    a, b, c = (lower.read(o, kind) for o in inst.operands[1:4])
    compare = builder.icmp_signed if is_signed(kind) else builder.icmp_unsigned
    apart = builder.select(compare("<", a, b), builder.sub(b, a), builder.sub(a, b))
    lower.result(inst, builder.add(apart, c))


@instruction("dp4a", "dp2a")
def dot(lower: WarpLowering, inst: Instruction) -> None:
    """Four products of bytes, or two of halves with bytes, added to ``c``."""
    builder = lower.builder
    kinds = inst.types
    a, b, c = (lower.read(o, "b32") for o in inst.operands[1:4])

    def part(value: ir.Value, kind: str, width: int, index: int) -> ir.Value:
        up = builder.shl(value, constant(32, 32 - width * (index + 1)))
        down = builder.ashr if is_signed(kind) else builder.lshr
        return down(up, constant(32, 32 - width))

    total = c
    if inst.opcode == "dp4a":
        pairs = [((8, i), (8, i)) for i in range(4)]
    else:
        first = 2 if inst.has("hi") else 0
        pairs = [((16, i), (8, first + i)) for i in range(2)]
    for (a_width, a_index), (b_width, b_index) in pairs:
        left = part(a, kinds[0], a_width, a_index)
        total = builder.add(total, builder.mul(left, part(b, kinds[1], b_width, b_index)))
    lower.write(inst.operands[0], total, inst)
