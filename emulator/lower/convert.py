"""``cvt``: between integers and floating-point numbers of all widths, in every rounding."""

from __future__ import annotations

from llvmlite import ir

from emulator.lower.floating import flush, saturate
from emulator.lower.integer import call, constant
from emulator.lower.registry import NotLowered, instruction
from emulator.lower.types import bits, integers, is_float, is_signed, vector
from emulator.lower.warp import WarpLowering
from emulator.native.layout import LANES, Warp, field, i32, load
from emulator.native.rounding import CONVERSIONS, MODES, rounding_name, rounding_type
from emulator.ptx import Instruction

TO_INTEGER = {"rni": "roundeven", "rzi": "trunc", "rmi": "floor", "rpi": "ceil"}


@instruction("cvt")
def cvt(lower: WarpLowering, inst: Instruction) -> None:
    """``cvt{.rounding}{.ftz}{.sat}.dtype.atype d, a``."""
    if len(inst.types) != 2 or len(inst.operands) != 2:
        _pairs(lower, inst)
        return
    target, source = inst.types
    if any("x2" in t or t == "tf32" or t == "bf16" for t in (target, source)):
        _narrow(lower, inst, target, source)
        return
    value = lower.read(inst.operands[1], source)
    if inst.has("ftz") and source == "f32":
        value = flush(lower, value, "f32")
    if is_float(target) and is_float(source):
        value = _float_to_float(lower, inst, value, target, source)
    elif is_float(target):
        value = _integer_to_float(lower, inst, value, target, source)
    elif is_float(source):
        value = _float_to_integer(lower, inst, value, target, source)
    else:
        value = _integer_to_integer(lower, inst, value, target, source)
    lower.write(inst.operands[0], value, inst, signed=is_signed(target))


def _mode(inst: Instruction) -> str:
    return next((m for m in inst.modifiers if m in ("rn", *MODES)), "rn")


def _float_to_float(
    lower: WarpLowering, inst: Instruction, value: ir.Value, target: str, source: str
) -> ir.Value:
    builder = lower.builder
    whole = next((m for m in inst.modifiers if m in TO_INTEGER), None)
    if whole is not None:
        value = call(lower, TO_INTEGER[whole], value)
    if bits(target) > bits(source):
        value = builder.fpext(value, vector(target))
    elif bits(target) < bits(source):
        mode = _mode(inst)
        if mode == "rn":
            value = builder.fptrunc(value, vector(target))
        elif (target, source) == ("f32", "f64"):
            value = _directed(lower, value, target, source, mode)
        else:
            value = _directed_half(lower, value, mode)
    if inst.has("ftz") and target == "f32":
        value = flush(lower, value, "f32")
    return saturate(lower, value) if inst.has("sat") else value


def _directed(
    lower: WarpLowering, value: ir.Value, target: str, source: str, mode: str
) -> ir.Value:
    from emulator.lower.memory import declare

    builder = lower.builder
    conversion = f"{target}_of_{source}"
    if conversion not in CONVERSIONS:
        raise NotLowered(conversion)
    data = field(builder, lower.warp, Warp, "data")
    builder.store(value, data, align=64)
    routine = declare(lower.module, rounding_type, rounding_name(conversion))
    builder.call(routine, [lower.warp, ir.Constant(i32, MODES[mode])])
    return load(builder, data, vector(target), 64)


def _directed_half(lower: WarpLowering, value: ir.Value, mode: str) -> ir.Value:
    """f32 to f16 away from nearest: round to nearest, then step back where that went too far."""
    builder = lower.builder
    if value.type != vector("f32"):
        raise NotLowered("cvt from f64 to f16 in this rounding")
    near = builder.fptrunc(value, vector("f16"))
    back = builder.fpext(near, vector("f32"))
    pattern = builder.bitcast(near, integers(16))
    negative = builder.icmp_signed("<", pattern, constant(16, 0))
    above = builder.fcmp_ordered(">", back, value)
    below = builder.fcmp_ordered("<", back, value)
    outward = builder.add(pattern, constant(16, 1))
    inward = builder.sub(pattern, constant(16, 1))
    # one step towards -infinity, and one towards +infinity, as bit patterns
    down = builder.select(negative, outward, inward)
    up = builder.select(negative, inward, outward)
    down = builder.select(builder.icmp_unsigned("==", pattern, constant(16, 0)),
                          constant(16, 0x8001), down)  # fmt: skip
    up = builder.select(builder.icmp_unsigned("==", pattern, constant(16, 0x8000)),
                        constant(16, 1), up)  # fmt: skip
    if mode == "rm":
        result = builder.select(above, down, pattern)
    elif mode == "rp":
        result = builder.select(below, up, pattern)
    else:
        too_far = builder.select(negative, below, above)
        result = builder.select(too_far, inward, pattern)
    return builder.bitcast(result, vector("f16"))


def _integer_to_float(
    lower: WarpLowering, inst: Instruction, value: ir.Value, target: str, source: str
) -> ir.Value:
    builder = lower.builder
    mode = _mode(inst)
    if mode == "rn":
        convert = builder.sitofp if is_signed(source) else builder.uitofp
        result = convert(value, vector(target))
    elif bits(source) < 32 or target == "f16":
        raise NotLowered(inst.text)
    elif (target, bits(source)) == ("f64", 32):
        convert = builder.sitofp if is_signed(source) else builder.uitofp
        result = convert(value, vector(target))  # always exact
    else:
        kind = f"{'s' if is_signed(source) else 'u'}{bits(source)}"
        result = _directed(lower, value, target, kind, mode)
    return saturate(lower, result) if inst.has("sat") else result


def _float_to_integer(
    lower: WarpLowering, inst: Instruction, value: ir.Value, target: str, source: str
) -> ir.Value:
    """Rounded to a whole number, clamped to the type's range; NaN is 0 (the top bit in 64 bits)."""
    builder = lower.builder
    whole = next((m for m in inst.modifiers if m in TO_INTEGER), "rzi")
    if source == "f16":
        value = builder.fpext(value, vector("f32"))
    value = call(lower, TO_INTEGER[whole], value)
    signed = is_signed(target)
    width = bits(target)
    name = f"llvm.fpto{'s' if signed else 'u'}i.sat.v{LANES}i{width}"
    suffix = "f64" if source == "f64" else "f32"
    function = lower.intrinsic(f"{name}.v{LANES}{suffix}", integers(width), [value.type])
    result = builder.call(function, [value])
    if width == 64 or source == "f64":
        # an H100's converters give the most negative number for NaN here
        nan = builder.fcmp_unordered("uno", value, value)
        result = builder.select(nan, constant(width, 1 << (width - 1)), result)
    return result


def _integer_to_integer(
    lower: WarpLowering, inst: Instruction, value: ir.Value, target: str, source: str
) -> ir.Value:
    builder = lower.builder
    have, want = bits(source), bits(target)
    if inst.has("sat"):
        value = _clamped(lower, value, target, source)
    if want > have:
        return (builder.sext if is_signed(source) else builder.zext)(value, integers(want))
    return builder.trunc(value, integers(want)) if want < have else value


def _clamped(lower: WarpLowering, value: ir.Value, target: str, source: str) -> ir.Value:
    """Clamp to what the target can hold, where the source can hold more."""
    have, want = bits(source), bits(target)
    top = (1 << (want - is_signed(target))) - 1
    bottom = -(1 << (want - 1)) if is_signed(target) else 0
    source_top = (1 << (have - is_signed(source))) - 1
    if top < source_top:
        value = call(lower, "smin" if is_signed(source) else "umin", value, constant(have, top))
    if is_signed(source) and bottom > -(1 << (have - 1)):
        value = call(lower, "smax", value, constant(have, bottom))
    return value


def _narrow(lower: WarpLowering, inst: Instruction, target: str, source: str) -> None:
    """bf16 and tf32, whose bits are the upper ones of an f32's."""
    builder = lower.builder
    if (target, source) == ("f32", "bf16"):
        low = builder.zext(lower.read(inst.operands[1], "b16"), integers(32))
        lower.write(inst.operands[0], builder.shl(low, constant(32, 16)), inst)
        return
    if source != "f32" or target not in ("bf16", "tf32") or inst.has("relu"):
        raise NotLowered(inst.text)
    value = builder.bitcast(lower.read(inst.operands[1], "f32"), integers(32))
    if target == "bf16":
        rounded = to_bfloat(lower, value, inst)
        lower.write(inst.operands[0], rounded, inst)
        return
    if not inst.has("rna"):
        raise NotLowered(inst.text)
    up = builder.add(value, constant(32, 0x1000))
    kept = builder.and_(up, constant(32, 0xFFFFE000))
    lower.write(inst.operands[0], _unless_nan(lower, value, kept, 0x7FFFFFFF), inst)


def to_bfloat(lower: WarpLowering, value: ir.Value, inst: Instruction) -> ir.Value:
    """The bits of an f32 rounded to bf16: to nearest even, or cut off for ``.rz``."""
    builder = lower.builder
    up = value
    if _mode(inst) == "rn":
        odd = builder.and_(builder.lshr(value, constant(32, 16)), constant(32, 1))
        up = builder.add(value, builder.add(odd, constant(32, 0x7FFF)))
    elif _mode(inst) != "rz":
        raise NotLowered(inst.text)
    high = builder.lshr(up, constant(32, 16))
    return builder.trunc(_unless_nan(lower, value, high, 0x7FFF), integers(16))


def _unless_nan(lower: WarpLowering, value: ir.Value, result: ir.Value, nan: int) -> ir.Value:
    builder = lower.builder
    magnitude = builder.and_(value, constant(32, 0x7FFFFFFF))
    is_nan = builder.icmp_unsigned(">", magnitude, constant(32, 0x7F800000))
    return builder.select(is_nan, constant(32, nan), result)


def _pairs(lower: WarpLowering, inst: Instruction) -> None:
    """``cvt.rn.{f16x2,bf16x2}.f32 d, high, low``."""
    builder = lower.builder
    target = inst.types[0]
    if target not in ("f16x2", "bf16x2") or inst.types[1] != "f32" or inst.has("relu"):
        raise NotLowered(inst.text)
    halves = []
    for operand in inst.operands[1:3]:
        value = lower.read(operand, "f32")
        if target == "bf16x2":
            half = to_bfloat(lower, builder.bitcast(value, integers(32)), inst)
        elif _mode(inst) == "rn":
            half = builder.bitcast(builder.fptrunc(value, vector("f16")), integers(16))
        else:
            half = builder.bitcast(_directed_half(lower, value, _mode(inst)), integers(16))
        halves.append(builder.zext(half, integers(32)))
    high, low = halves
    whole = builder.or_(builder.shl(high, constant(32, 16)), low)
    lower.write(inst.operands[0], whole, inst)
