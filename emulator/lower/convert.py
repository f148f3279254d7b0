"""``cvt``: between integers and floating-point numbers of all widths, in every rounding."""

from __future__ import annotations

from llvmlite import ir

from emulator.lower import narrowing
from emulator.lower.floating import flush, saturate
from emulator.lower.halves import FORMATS, widen
from emulator.lower.integer import call, constant
from emulator.lower.registry import NotLowered, instruction
from emulator.lower.types import bits, integers, is_signed, vector
from emulator.lower.warp import WarpLowering
from emulator.native.layout import Warp, field, i32, load
from emulator.native.rounding import CONVERSIONS, MODES, rounding_name, rounding_type
from emulator.native.vectors import double, everywhere, single
from emulator.ptx import Instruction

TO_INTEGER = {"rni": "roundeven", "rzi": "trunc", "rmi": "floor", "rpi": "ceil"}
INTEGERS = {f"{sign}{width}" for sign in "us" for width in (8, 16, 32, 64)}
FLOATS = {"f16", "bf16", "f32", "f64"}


@instruction("cvt")
def cvt(lower: WarpLowering, inst: Instruction) -> None:
    """``cvt{.rounding}{.ftz}{.sat}.dtype.atype d, a``, and the forms of narrow types and pairs."""
    if inst.has("pack"):
        _pack(lower, inst)
        return
    if len(inst.types) != 2:
        raise NotLowered(inst.text)
    target, source = inst.types
    if not {target, source} <= INTEGERS | FLOATS:
        narrowing.convert(lower, inst)
        return
    if source in FLOATS:
        value = _as_float(lower, inst, source)
        if target in FLOATS:
            value = _float_to_float(lower, inst, value, target)
        else:
            value = _float_to_integer(lower, inst, value, target)
    else:
        value = lower.read(inst.operands[1], source)
        if target in FLOATS:
            value = _integer_to_float(lower, inst, value, target, source)
        else:
            value = _integer_to_integer(lower, inst, value, target, source)
    lower.write(inst.operands[0], value, inst, signed=is_signed(target))


def _as_float(lower: WarpLowering, inst: Instruction, source: str) -> ir.Value:
    """An operand as f32 or f64, exactly; rounded to a whole number if the instruction says so."""
    if source in FORMATS:
        value = widen(lower, lower.read(inst.operands[1], "b16"), FORMATS[source])
    else:
        value = lower.read(inst.operands[1], source)
    if inst.has("ftz") and source == "f32":
        value = flush(lower, value, "f32")
    whole = next((m for m in inst.modifiers if m in TO_INTEGER), None)
    return value if whole is None else call(lower, TO_INTEGER[whole], value)


def _float_to_float(
    lower: WarpLowering, inst: Instruction, value: ir.Value, target: str
) -> ir.Value:
    builder = lower.builder
    is_double = value.type.element == double
    mode = narrowing.rounding(inst)
    if target in FORMATS:
        exact = narrowing.odd_single(lower, value) if is_double else value
        return narrowing.to_half(lower, inst, exact, FORMATS[target])
    if target == "f64" and not is_double:
        value = builder.fpext(value, vector("f64"))
    elif target == "f32" and is_double:
        if mode == "rn":
            value = builder.fptrunc(value, vector("f32"))
        else:
            value = _directed(lower, value, "f32", "f64", mode)
    if inst.has("ftz") and target == "f32":
        value = flush(lower, value, "f32")
    return saturate(lower, value) if inst.has("sat") else value


def _directed(
    lower: WarpLowering, value: ir.Value, target: str, source: str, mode: str
) -> ir.Value:
    """A conversion by a routine that sets the host's rounding."""
    from emulator.lower.memory import declare

    builder = lower.builder
    conversion = f"{target}_of_{source}"
    if conversion not in CONVERSIONS or mode not in MODES:
        raise NotLowered(f"{conversion}, rounded {mode}")
    data = field(builder, lower.warp, Warp, "data")
    builder.store(value, data, align=64)
    routine = declare(lower.module, rounding_type, rounding_name(conversion))
    builder.call(routine, [lower.warp, ir.Constant(i32, MODES[mode])])
    return load(builder, data, vector(target), 64)


def _integer_to_float(
    lower: WarpLowering, inst: Instruction, value: ir.Value, target: str, source: str
) -> ir.Value:
    builder = lower.builder
    mode = narrowing.rounding(inst)
    convert = builder.sitofp if is_signed(source) else builder.uitofp
    width = bits(source)
    if target in FORMATS:
        if width == 64:
            value = narrowing.fit_53_bits(lower, value, signed=is_signed(source))
        if width < 32:
            exact = convert(value, vector("f32"))
        else:
            exact = narrowing.odd_single(lower, convert(value, vector("f64")))
        return narrowing.to_half(lower, inst, exact, FORMATS[target])
    if mode == "rn" or width < 32 or (target, width) == ("f64", 32):
        result = convert(value, vector(target))
    else:
        result = _directed(lower, value, target, source, mode)
    return saturate(lower, result) if inst.has("sat") else result


def _float_to_integer(
    lower: WarpLowering, inst: Instruction, value: ir.Value, target: str
) -> ir.Value:
    """A whole number clamped to the type's range; NaN is 0 (the top bit in 64 bits).

    By comparisons: LLVM's own saturating conversion works lane by lane.
    """
    builder = lower.builder
    if not any(m in TO_INTEGER for m in inst.modifiers):
        value = call(lower, "trunc", value)
    width, signed = bits(target), is_signed(target)
    digits = 24 if value.type.element == single else 53
    least = -(1 << (width - 1)) if signed else 0
    most = (1 << (width - signed)) - 1
    surplus = max(most.bit_length() - digits, 0)  # bits of it that the float does not have
    top = everywhere(value.type, float(most >> surplus << surplus))
    bottom = everywhere(value.type, float(least))
    # in this order NaN becomes a bound, which is safe to convert
    inside = builder.select(builder.fcmp_ordered("<", value, top), value, top)
    inside = builder.select(builder.fcmp_ordered(">", inside, bottom), inside, bottom)
    through = integers(max(width, 32))
    whole = (builder.fptosi if signed or width < 32 else builder.fptoui)(inside, through)
    if surplus:
        beyond = builder.fcmp_ordered(">", value, top)
        whole = builder.select(beyond, constant(width, most), whole)
    nan = builder.fcmp_unordered("uno", value, value)
    # an H100's 64-bit converters give the most negative number for NaN
    of_nan = 1 << (width - 1) if width == 64 or digits == 53 else 0
    whole = builder.select(nan, everywhere(through, of_nan), whole)
    return whole if width >= 32 else builder.trunc(whole, integers(width))


def _integer_to_integer(
    lower: WarpLowering, inst: Instruction, value: ir.Value, target: str, source: str
) -> ir.Value:
    builder = lower.builder
    have, want = bits(source), bits(target)
    if inst.has("sat"):
        value = clamped(lower, value, target, source)
    if want > have:
        return (builder.sext if is_signed(source) else builder.zext)(value, integers(want))
    return builder.trunc(value, integers(want)) if want < have else value


def clamped(lower: WarpLowering, value: ir.Value, target: str, source: str) -> ir.Value:
    """Clamp to what the target can hold, where the source can hold more."""
    have, want = bits(source), int(target[1:])
    top = (1 << (want - is_signed(target))) - 1
    bottom = -(1 << (want - 1)) if is_signed(target) else 0
    source_top = (1 << (have - is_signed(source))) - 1
    if top < source_top:
        value = call(lower, "smin" if is_signed(source) else "umin", value, constant(have, top))
    if is_signed(source) and bottom > -(1 << (have - 1)):
        value = call(lower, "smax", value, constant(have, bottom))
    return value


def _pack(lower: WarpLowering, inst: Instruction) -> None:
    """``cvt.pack.sat.type.s32{.b32} d, a, b{, c}``: ``a`` above ``b``, and ``c`` above both."""
    builder = lower.builder
    target = inst.modifiers[2]
    width = int(target[1:])
    if inst.modifiers[:2] != ("pack", "sat") or inst.modifiers[3] != "s32":
        raise NotLowered(inst.text)
    high, low = (
        builder.and_(
            clamped(lower, lower.read(o, "s32"), target, "s32"), constant(32, (1 << width) - 1)
        )
        for o in inst.operands[1:3]
    )
    value = builder.or_(builder.shl(high, constant(32, width)), low)
    if len(inst.operands) == 4:
        rest = lower.read(inst.operands[3], "b32")
        value = builder.or_(builder.shl(rest, constant(32, 2 * width)), value)
    lower.write(inst.operands[0], value, inst)
