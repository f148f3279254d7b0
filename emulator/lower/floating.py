"""Floating-point arithmetic on f32 and f64: IEEE results in every rounding.

``.approx`` forms are correctly rounded here, which is inside the ISA's bounds for them. ``.ftz``
takes subnormal operands and results as zeros of their sign.
"""

from __future__ import annotations

from llvmlite import ir

from emulator.lower.integer import call, constant
from emulator.lower.registry import NotLowered, instruction
from emulator.lower.types import bits, integers, vector
from emulator.lower.warp import WarpLowering
from emulator.native.layout import LANES, Warp, at, field, i32, load
from emulator.native.rounding import MODES, rounding_name, rounding_type
from emulator.ptx import Instruction, Operand

SMALLEST_NORMAL = {"f16": 0x0400, "f32": 0x00800000, "f64": 0x0010000000000000}
MANTISSA_BITS = {"f16": 10, "f32": 23, "f64": 52}
QUIET_NAN = {"f16": 0x7FFF, "f32": 0x7FFFFFFF, "f64": 0xFFF8000000000000}  # what a GPU makes


def kind_of(inst: Instruction) -> str:
    """The instruction's type: f32 or f64."""
    if inst.type not in ("f32", "f64"):
        raise NotLowered(inst.text)
    return inst.type


def operand(lower: WarpLowering, inst: Instruction, index: int) -> ir.Value:
    """A source, flushed when the instruction says ``.ftz``."""
    return flushed(lower, inst, read(lower, inst.operands[index], kind_of(inst)))


def read(lower: WarpLowering, source: Operand, kind: str) -> ir.Value:
    """A source as a floating-point vector."""
    return lower.read(source, kind)


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
    finish(lower, inst, rounded(lower, inst, "mul", a, b))


@instruction("fma")
def fma(lower: WarpLowering, inst: Instruction) -> None:
    """``fma`` and ``mad``: rounded once."""
    kind_of(inst)
    a, b, c = (operand(lower, inst, i) for i in (1, 2, 3))
    finish(lower, inst, rounded(lower, inst, "fma", a, b, c))


def div(lower: WarpLowering, inst: Instruction) -> None:
    """``div`` in every rounding, ``.approx`` and ``.full``."""
    kind_of(inst)
    a, b = (operand(lower, inst, i) for i in (1, 2))
    finish(lower, inst, rounded(lower, inst, "div", a, b))


@instruction("rcp")
def rcp(lower: WarpLowering, inst: Instruction) -> None:
    """``1 / a``."""
    a = operand(lower, inst, 1)
    one = ir.Constant(a.type, [1.0] * LANES)
    finish(lower, inst, rounded(lower, inst, "div", one, a))


@instruction("sqrt")
def sqrt(lower: WarpLowering, inst: Instruction) -> None:
    """``sqrt`` in every rounding and ``.approx``."""
    finish(lower, inst, rounded(lower, inst, "sqrt", operand(lower, inst, 1)))


@instruction("rsqrt")
def rsqrt(lower: WarpLowering, inst: Instruction) -> None:
    """``1 / sqrt(a)``: f32 through f64, so that it is rounded once in all but rare ties."""
    builder = lower.builder
    kind = kind_of(inst)
    a = operand(lower, inst, 1)
    wide = a if kind == "f64" else builder.fpext(a, vector("f64"))
    one = ir.Constant(vector("f64"), [1.0] * LANES)
    value = builder.fdiv(one, call(lower, "sqrt", wide))
    finish(lower, inst, value if kind == "f64" else builder.fptrunc(value, vector("f32")))


def absolute(lower: WarpLowering, inst: Instruction) -> None:
    """``abs``."""
    finish(lower, inst, call(lower, "fabs", operand(lower, inst, 1)))


def negate(lower: WarpLowering, inst: Instruction) -> None:
    """``neg``."""
    finish(lower, inst, lower.builder.fneg(operand(lower, inst, 1)))


def min_max(lower: WarpLowering, inst: Instruction) -> None:
    """``min`` and ``max``: the number rather than the NaN, unless ``.NaN``; -0 below +0."""
    kind = kind_of(inst)
    if "xorsign" in inst.modifiers or len(inst.operands) != 3:
        raise NotLowered(inst.text)
    a, b = (operand(lower, inst, i) for i in (1, 2))
    finish(lower, inst, least_or_most(lower, inst.opcode, kind, a, b, inst.has("NaN")))


def least_or_most(
    lower: WarpLowering, opcode: str, kind: str, a: ir.Value, b: ir.Value, nan_wins: bool
) -> ir.Value:
    """The smaller or the larger of two vectors, NaN and signed zero as the ISA has them."""
    builder = lower.builder
    width = bits(kind)
    compare = "<" if opcode == "min" else ">"
    result = builder.select(builder.fcmp_ordered(compare, a, b), a, b)
    # equal values differ only as zeros do: min takes either's sign, max only both's
    join = builder.or_ if opcode == "min" else builder.and_
    both = join(*(builder.bitcast(v, integers(width)) for v in (a, b)))
    equal = builder.fcmp_ordered("==", a, b)
    result = builder.select(equal, builder.bitcast(both, a.type), result)
    a_nan = builder.fcmp_unordered("uno", a, a)
    b_nan = builder.fcmp_unordered("uno", b, b)
    nan = builder.bitcast(constant(width, QUIET_NAN[kind]), a.type)
    if nan_wins:
        return builder.select(builder.or_(a_nan, b_nan), nan, result)
    result = builder.select(a_nan, b, builder.select(b_nan, a, result))
    return builder.select(builder.and_(a_nan, b_nan), nan, result)


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
        "normal": builder.and_(finite, builder.not_(below)),
        "subnormal": builder.and_(below, builder.not_(zero)),
    }
    lower.write(inst.operands[0], answers[inst.modifiers[0]], inst)
