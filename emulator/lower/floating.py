"""Floating-point arithmetic on f32 and f64: IEEE results in every rounding.

``.approx`` forms of division and roots are correctly rounded here, or nearly, which is inside the
ISA's bounds for them. ``.ftz`` takes subnormal operands and results as zeros of their sign.
"""

from __future__ import annotations

import math

from llvmlite import ir

from emulator.lower.integer import call, constant
from emulator.lower.registry import NotLowered, instruction
from emulator.lower.routines import call_routine
from emulator.lower.types import bits, integers, vector
from emulator.lower.warp import WarpLowering
from emulator.native.layout import LANES, Warp, at, field, i32, load
from emulator.native.rounding import MODES, rounding_name, rounding_type
from emulator.native.vectors import as_bits, everywhere
from emulator.ptx import Instruction

SMALLEST_NORMAL = {"f16": 0x0400, "f32": 0x00800000, "f64": 0x0010000000000000}
MANTISSA_BITS = {"f16": 10, "f32": 23, "f64": 52}


def kind_of(inst: Instruction) -> str:
    """The instruction's type: f32 or f64."""
    if inst.type not in ("f32", "f64"):
        raise NotLowered(inst.text)
    return inst.type


def operand(lower: WarpLowering, inst: Instruction, index: int) -> ir.Value:
    """A source, flushed when the instruction says ``.ftz``."""
    return flushed(lower, inst, lower.read(inst.operands[index], kind_of(inst)))


def flushed(lower: WarpLowering, inst: Instruction, value: ir.Value) -> ir.Value:
    """Subnormals to zero of the same sign, for ``.ftz``."""
    if not inst.has("ftz"):
        return value
    return flush(lower, value, inst.type)


def flush(lower: WarpLowering, value: ir.Value, kind: str) -> ir.Value:
    """Subnormals to zero of the same sign."""
    builder = lower.builder
    width = bits(kind)
    whole = builder.bitcast(value, integers(width))
    sign_bit = 1 << (width - 1)
    magnitude = builder.and_(whole, constant(width, sign_bit - 1))
    small = builder.icmp_unsigned("<", magnitude, constant(width, SMALLEST_NORMAL[kind]))
    zero = builder.and_(whole, constant(width, sign_bit))
    return builder.bitcast(builder.select(small, zero, whole), value.type)


def finish(lower: WarpLowering, inst: Instruction, value: ir.Value) -> None:
    """Apply ``.ftz`` and ``.sat`` to a result and write it."""
    value = flushed(lower, inst, value)
    if inst.has("sat"):
        value = saturate(lower, value)
    lower.result(inst, value)


def saturate(lower: WarpLowering, value: ir.Value) -> ir.Value:
    """Clamp to [0, 1]; NaN becomes +0."""
    builder = lower.builder
    zero = ir.Constant(value.type, [0.0] * LANES)
    one = ir.Constant(value.type, [1.0] * LANES)
    positive = builder.fcmp_ordered(">", value, zero)
    capped = builder.select(builder.fcmp_ordered(">", value, one), one, value)
    return builder.select(positive, capped, zero)


def rounding(inst: Instruction) -> str:
    """``rn`` unless the instruction names another."""
    return next((m for m in inst.modifiers if m in ("rn", *MODES)), "rn")


def rounded(
    lower: WarpLowering, inst: Instruction, operation: str, *operands: ir.Value
) -> ir.Value:
    """An operation in the instruction's rounding."""
    mode = rounding(inst)
    if mode != "rn":
        return directed(lower, operation, mode, inst.type, *operands)
    builder = lower.builder
    if operation == "fma":
        return call(lower, "fma", *operands)
    if operation == "sqrt":
        return call(lower, "sqrt", *operands)
    plain = {"add": builder.fadd, "sub": builder.fsub, "mul": builder.fmul, "div": builder.fdiv}
    return plain[operation](*operands)


def directed(
    lower: WarpLowering, operation: str, mode: str, kind: str, *operands: ir.Value
) -> ir.Value:
    """An operation rounded towards zero, down or up, by a routine that sets the host's mode."""
    from emulator.lower.memory import declare

    builder = lower.builder
    data = field(builder, lower.warp, Warp, "data")
    for index, value in enumerate(operands):
        where = at(builder, data, index * bits(kind) // 8 * LANES)
        builder.store(value, where, align=64)
    routine = declare(lower.module, rounding_type, rounding_name(operation, kind))
    builder.call(routine, [lower.warp, ir.Constant(i32, MODES[mode])])
    return load(builder, data, vector(kind), 64)


def add_sub(lower: WarpLowering, inst: Instruction) -> None:
    """``add`` and ``sub``."""
    kind_of(inst)
    a, b = (operand(lower, inst, i) for i in (1, 2))
    finish(lower, inst, rounded(lower, inst, inst.opcode, a, b))


def mul(lower: WarpLowering, inst: Instruction) -> None:
    """``mul``."""
    kind_of(inst)
    a, b = (operand(lower, inst, i) for i in (1, 2))
    value = rounded(lower, inst, "mul", a, b)
    if inst.has("ftz"):
        value = _flush_product(lower, inst, value, a, b, None)
    finish(lower, inst, value)


def fma(lower: WarpLowering, inst: Instruction) -> None:
    """``fma`` and ``mad``: rounded once."""
    kind_of(inst)
    a, b, c = (operand(lower, inst, i) for i in (1, 2, 3))
    value = rounded(lower, inst, "fma", a, b, c)
    if inst.has("ftz"):
        value = _flush_product(lower, inst, value, a, b, c)
    finish(lower, inst, value)


def _flush_product(
    lower: WarpLowering,
    inst: Instruction,
    value: ir.Value,
    a: ir.Value,
    b: ir.Value,
    c: ir.Value | None,
) -> ir.Value:
    """Zero where ``a * b (+ c)`` of f32, rounded to 24 bits of any exponent, would be subnormal.

    That is when an H100 flushes. In f64 the product is exact, and what its sum with ``c`` lost to
    rounding can be had back; so magnitudes can be compared with the last that would be flushed.
    """
    builder = lower.builder
    wide = vector("f64")
    zero = everywhere(wide, 0.0)
    total = builder.fmul(builder.fpext(a, wide), builder.fpext(b, wide))
    lost = zero
    if c is not None:
        product, term = total, builder.fpext(c, wide)
        total = builder.fadd(product, term)
        back = builder.fsub(total, product)
        lost = builder.fadd(
            builder.fsub(product, builder.fsub(total, back)), builder.fsub(term, back)
        )
    size, rest = call(lower, "fabs", total), builder.fmul(total, lost)

    def below(edge: float, *, or_equal: bool = False) -> ir.Value:
        bound = everywhere(wide, edge * 2.0**-126)
        on_edge = builder.fcmp_ordered("==", size, bound)
        short = builder.fcmp_ordered("<=" if or_equal else "<", rest, zero)
        return builder.or_(builder.fcmp_ordered("<", size, bound), builder.and_(on_edge, short))

    mode = rounding(inst)
    flushes = below(1 - 2.0**-25) if mode == "rn" else below(1.0)
    if mode in ("rm", "rp"):
        outward = builder.fcmp_ordered(">" if mode == "rp" else "<", total, zero)
        flushes = builder.select(outward, below(1 - 2.0**-24, or_equal=True), flushes)
    nothing = call(lower, "copysign", everywhere(value.type, 0.0), value)
    return builder.select(flushes, nothing, value)


def div(lower: WarpLowering, inst: Instruction) -> None:
    """``div`` in every rounding, ``.approx`` and ``.full``."""
    kind_of(inst)
    a, b = (operand(lower, inst, i) for i in (1, 2))
    value = rounded(lower, inst, "div", a, b)
    if inst.has("approx"):
        # as the ISA has it: a divisor past 2**126 gives zero, and NaN from an infinity
        builder = lower.builder
        size = call(lower, "fabs", b)
        far = builder.fcmp_ordered(">", size, everywhere(b.type, 2.0**126))
        finite = builder.fcmp_ordered("<", size, everywhere(b.type, math.inf))
        zero = call(lower, "copysign", everywhere(b.type, 0.0), b)
        value = builder.select(builder.and_(far, finite), builder.fmul(a, zero), value)
    finish(lower, inst, value)


@instruction("rcp")
def rcp(lower: WarpLowering, inst: Instruction) -> None:
    """``1 / a``; ``rcp.approx.ftz.f64`` has 20 bits after the point."""
    a = operand(lower, inst, 1)
    one = everywhere(a.type, 1.0)
    finish(lower, inst, coarse(lower, inst, rounded(lower, inst, "div", one, a)))


@instruction("sqrt")
def sqrt(lower: WarpLowering, inst: Instruction) -> None:
    """``sqrt`` in every rounding and ``.approx``."""
    finish(lower, inst, rounded(lower, inst, "sqrt", operand(lower, inst, 1)))


@instruction("rsqrt")
def rsqrt(lower: WarpLowering, inst: Instruction) -> None:
    """``1 / sqrt(a)``, both steps rounded: within 2**-22.9; ``.ftz.f64`` has 20 bits."""
    root = call(lower, "sqrt", operand(lower, inst, 1))
    value = lower.builder.fdiv(everywhere(root.type, 1.0), root)
    finish(lower, inst, coarse(lower, inst, value))


def coarse(lower: WarpLowering, inst: Instruction, value: ir.Value) -> ir.Value:
    """A result of ``.approx.ftz.f64``: to nearest in the upper 32 bits, the lower ones zero."""
    if inst.type != "f64" or not (inst.has("approx") and inst.has("ftz")):
        return value
    builder = lower.builder
    up = builder.add(builder.bitcast(value, integers(64)), constant(64, 1 << 31))
    return builder.bitcast(builder.and_(up, constant(64, -1 << 32)), value.type)


@instruction("sin", "cos", "lg2")
def function(lower: WarpLowering, inst: Instruction) -> None:
    """The ``.approx`` functions of f32; ``ex2`` and ``tanh`` come here as well."""
    if kind_of(inst) != "f32" or not inst.has("approx"):
        raise NotLowered(inst.text)
    finish(lower, inst, call_routine(lower, inst.opcode, operand(lower, inst, 1)))


def absolute(lower: WarpLowering, inst: Instruction) -> None:
    """``abs``."""
    finish(lower, inst, call(lower, "fabs", operand(lower, inst, 1)))


def negate(lower: WarpLowering, inst: Instruction) -> None:
    """``neg``."""
    finish(lower, inst, lower.builder.fneg(operand(lower, inst, 1)))


def min_max(lower: WarpLowering, inst: Instruction) -> None:
    """``min`` and ``max``: the number rather than the NaN, unless ``.NaN``; -0 below +0.

    ``.xorsign.abs`` compares magnitudes, and the signs' product is the result's.
    """
    kind_of(inst)
    if len(inst.operands) != 3:
        raise NotLowered(inst.text)
    builder = lower.builder
    a, b = (operand(lower, inst, i) for i in (1, 2))
    signs = builder.xor(as_bits(builder, a), as_bits(builder, b))
    if inst.has("xorsign"):
        a, b = call(lower, "fabs", a), call(lower, "fabs", b)
    number = "imum" if inst.has("NaN") else "imumnum"
    value = call(lower, inst.opcode + number, a, b)
    if inst.has("xorsign"):
        value = call(lower, "copysign", value, builder.bitcast(signs, value.type))
    finish(lower, inst, value)


@instruction("copysign")
def copysign(lower: WarpLowering, inst: Instruction) -> None:
    """The magnitude of ``b`` with the sign of ``a``."""
    kind_of(inst)
    sign, magnitude = (lower.read(o, inst.type) for o in inst.operands[1:3])
    lower.result(inst, call(lower, "copysign", magnitude, sign))


@instruction("testp")
def testp(lower: WarpLowering, inst: Instruction) -> None:
    """Which class a number is of."""
    builder = lower.builder
    kind = kind_of(inst)
    width = bits(kind)
    whole = builder.bitcast(lower.read(inst.operands[1], kind), integers(width))
    magnitude = builder.and_(whole, constant(width, (1 << (width - 1)) - 1))
    exponent_ones = ((1 << (width - 1 - MANTISSA_BITS[kind])) - 1) << MANTISSA_BITS[kind]
    infinity = constant(width, exponent_ones)
    smallest = constant(width, SMALLEST_NORMAL[kind])
    finite = builder.icmp_unsigned("<", magnitude, infinity)
    number = builder.icmp_unsigned("<=", magnitude, infinity)
    below = builder.icmp_unsigned("<", magnitude, smallest)
    zero = builder.icmp_unsigned("==", magnitude, constant(width, 0))
    answers = {
        "finite": finite,
        "infinite": builder.icmp_unsigned("==", magnitude, infinity),
        "number": number,
        "notanumber": builder.not_(number),
        "normal": builder.and_(finite, builder.or_(zero, builder.not_(below))),
        "subnormal": builder.and_(below, builder.not_(zero)),
    }
    lower.write(inst.operands[0], answers[inst.modifiers[0]], inst)
