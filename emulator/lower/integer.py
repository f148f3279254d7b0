"""Integer arithmetic."""

from __future__ import annotations

from llvmlite import ir

from emulator.lower.registry import NotLowered, instruction
from emulator.lower.types import bits, integers, is_float, is_signed
from emulator.lower.warp import WarpLowering
from emulator.native.access import intrinsic
from emulator.native.layout import LANES, i1
from emulator.ptx import Instruction


def constant(width: int, value: int) -> ir.Constant:
    """The same whole number in every lane."""
    return ir.Constant(integers(width), [value & ((1 << width) - 1)] * LANES)


def call(lower: WarpLowering, name: str, *arguments: ir.Value) -> ir.Value:
    """An overloaded LLVM intrinsic over vectors of one type, ``llvm.name.v32...``."""
    kind = arguments[0].type
    suffix = {ir.HalfType(): "f16", ir.FloatType(): "f32", ir.DoubleType(): "f64"}.get(
        kind.element
    ) or f"i{kind.element.width}"
    function = intrinsic(
        lower.module, f"llvm.{name}.v{LANES}{suffix}", kind, [a.type for a in arguments]
    )
    return lower.builder.call(function, list(arguments))


def no_floats(inst: Instruction) -> str:
    """The instruction's type, which must be an integer one here."""
    kind = inst.type
    if is_float(kind) or "f16" in kind or "x2" in kind or not kind:
        raise NotLowered(inst.text)
    return kind


def add_sub(lower: WarpLowering, inst: Instruction) -> None:
    """``add`` and ``sub``, with ``.sat.s32``."""
    kind = no_floats(inst)
    if "cc" in inst.modifiers:
        raise NotLowered(inst.text)
    a, b = (lower.read(o, kind) for o in inst.operands[1:3])
    if inst.has("sat"):
        lower.result(inst, call(lower, "sadd.sat" if inst.opcode == "add" else "ssub.sat", a, b))
        return
    operation = lower.builder.add if inst.opcode == "add" else lower.builder.sub
    lower.result(inst, operation(a, b))


def product(lower: WarpLowering, inst: Instruction, kind: str) -> tuple[ir.Value, int]:
    """The product that ``mul`` and ``mad`` start from, and its width."""
    builder = lower.builder
    width = bits(kind)
    a, b = (lower.read(o, kind) for o in inst.operands[1:3])
    if inst.has("lo"):
        return builder.mul(a, b), width
    extend = builder.sext if is_signed(kind) else builder.zext
    whole = builder.mul(extend(a, integers(2 * width)), extend(b, integers(2 * width)))
    if inst.has("wide"):
        return whole, 2 * width
    if inst.has("hi"):
        high = builder.lshr(whole, constant(2 * width, width))
        return builder.trunc(high, integers(width)), width
    raise NotLowered(inst.text)


def mul(lower: WarpLowering, inst: Instruction) -> None:
    """``mul.{lo,hi,wide}``."""
    value, _ = product(lower, inst, no_floats(inst))
    lower.result(inst, value)


def mad(lower: WarpLowering, inst: Instruction) -> None:
    """``mad.{lo,hi,wide}``, with ``.hi.sat.s32``."""
    kind = no_floats(inst)
    if "cc" in inst.modifiers:
        raise NotLowered(inst.text)
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
        value = builder.add(value, lower.read(inst.operands[3], kind))
    lower.result(inst, value)


def div_rem(lower: WarpLowering, inst: Instruction) -> None:
    """``div`` and ``rem``.

    Where the ISA leaves the result open, it is what an H100 gives: all ones for a quotient by zero,
    the dividend for a remainder by zero. The host's divider, which would trap, never sees those.
    """
    kind = no_floats(inst)
    builder = lower.builder
    width = bits(kind)
    a, b = (lower.read(o, kind) for o in inst.operands[1:3])
    by_zero = builder.icmp_unsigned("==", b, constant(width, 0))
    safe = builder.select(by_zero, constant(width, 1), b)
    if is_signed(kind):
        least = constant(width, 1 << (width - 1))
        overflow = builder.and_(
            builder.icmp_unsigned("==", a, least),
            builder.icmp_unsigned("==", b, constant(width, -1)),
        )
        safe = builder.select(overflow, constant(width, 1), safe)
        if inst.opcode == "div":
            value = builder.select(overflow, a, builder.sdiv(a, safe))
        else:
            value = builder.select(overflow, constant(width, 0), builder.srem(a, safe))
    else:
        value = builder.udiv(a, safe) if inst.opcode == "div" else builder.urem(a, safe)
    at_zero = constant(width, -1) if inst.opcode == "div" else a
    lower.result(inst, builder.select(by_zero, at_zero, value))


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
    """``min`` and ``max``, with ``.relu``."""
    kind = no_floats(inst)
    a, b = (lower.read(o, kind) for o in inst.operands[1:3])
    value = call(lower, ("s" if is_signed(kind) else "u") + inst.opcode, a, b)
    if inst.has("relu"):
        value = call(lower, "smax", value, constant(bits(kind), 0))
    lower.result(inst, value)


@instruction("sad")
def sad(lower: WarpLowering, inst: Instruction) -> None:
    """``|a - b| + c``."""
    kind = no_floats(inst)
    builder = lower.builder
    a, b, c = (lower.read(o, kind) for o in inst.operands[1:4])
    compare = builder.icmp_signed if is_signed(kind) else builder.icmp_unsigned
    apart = builder.select(compare("<", a, b), builder.sub(b, a), builder.sub(a, b))
    lower.result(inst, builder.add(apart, c))


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
        result = leading_zeros(lower, value)
    if bits(kind) == 64:
        result = lower.builder.trunc(result, integers(32))
    lower.write(inst.operands[0], result, inst)


def leading_zeros(lower: WarpLowering, value: ir.Value) -> ir.Value:
    """``ctlz``; the width for zero."""
    kind = value.type
    name = f"llvm.ctlz.v{LANES}i{kind.element.width}"
    function = intrinsic(lower.module, name, kind, [kind, i1])
    return lower.builder.call(function, [value, ir.Constant(i1, 0)])


@instruction("bfind")
def bfind(lower: WarpLowering, inst: Instruction) -> None:
    """The highest bit that is not a sign bit, or 0xffffffff; ``.shiftamt``: how far to shift."""
    kind = no_floats(inst)
    builder = lower.builder
    width = bits(kind)
    value = lower.read(inst.operands[1], kind)
    if is_signed(kind):
        value = builder.xor(value, builder.ashr(value, constant(width, width - 1)))
    zeros = leading_zeros(lower, value)
    found = zeros if inst.has("shiftamt") else builder.sub(constant(width, width - 1), zeros)
    none = builder.icmp_unsigned("==", value, constant(width, 0))
    result = builder.select(none, constant(width, -1), found)
    if width == 64:
        result = builder.trunc(result, integers(32))
    lower.write(inst.operands[0], result, inst)


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
