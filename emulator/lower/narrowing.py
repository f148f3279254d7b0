"""Conversions to and from formats narrower than f32: f16, bf16, tf32, e4m3, e5m2.

An f32 that stands for a wider value was rounded to odd, so that this rounding is the only one.
"""

from __future__ import annotations

from llvmlite import ir

from emulator.lower.halves import FORMATS, NAN, SIGN, Format, relu, saturate
from emulator.lower.integer import constant
from emulator.lower.registry import NotLowered
from emulator.lower.routines import call_routine
from emulator.lower.types import integers
from emulator.lower.warp import WarpLowering
from emulator.native.layout import LANES, i8, i16, i32
from emulator.native.narrow import is_nan, round_at, round_bfloat
from emulator.native.rounding import MODES
from emulator.native.vectors import everywhere, half, resized, single
from emulator.ptx import Instruction

TF32_CUT = 13  # low bits of an f32 that tf32 lacks
TF32_LARGEST, TF32_NAN, INFINITY = 0x7F7FE000, 0x7FFFFFFF, 0x7F800000
SIGN_32 = 1 << 31


def rounding(inst: Instruction) -> str:
    """How a result that doesn't fit is rounded; to nearest unless said."""
    return next((m for m in inst.modifiers if m in ("rn", "rna", *MODES)), "rn")


def convert(lower: WarpLowering, inst: Instruction) -> None:
    """``cvt`` with tf32, a pair, or an 8-bit float."""
    target, source = inst.types
    if inst.has("rs") or inst.has("scaled"):
        raise NotLowered(inst.text)
    if (target, source) == ("tf32", "f32"):
        _to_tf32(lower, inst)
    elif target in ("f16x2", "bf16x2") and source == "f32":
        _pair_to_halves(lower, inst, FORMATS[target])
    elif target in ("e4m3x2", "e5m2x2") and source in ("f32", "f16x2"):
        _to_float8(lower, inst, target[:4], source)
    elif target == "f16x2" and source in ("e4m3x2", "e5m2x2"):
        _from_float8(lower, inst, source[:4])
    else:
        raise NotLowered(inst.text)


def odd_single(lower: WarpLowering, value: ir.Value) -> ir.Value:
    """f64 as f32, rounded to odd."""
    return call_routine(lower, "narrow_f64", value)


def fit_53_bits(lower: WarpLowering, value: ir.Value, *, signed: bool) -> ir.Value:
    """64-bit integers of 53 bits or fewer that round to 51 bits or fewer as ``value`` does.

    Where there are more, the last 11 give way to one that says whether any of them was set.
    """
    builder = lower.builder
    low = builder.and_(value, constant(64, 0x7FF))
    some = builder.icmp_unsigned("!=", low, constant(64, 0))
    sticky = builder.select(some, constant(64, 0x800), constant(64, 0))
    shortened = builder.or_(builder.sub(value, low), sticky)
    beyond = builder.icmp_unsigned(">", value, constant(64, (1 << 53) - 1))
    if signed:
        moved = builder.add(value, constant(64, 1 << 53))
        beyond = builder.icmp_unsigned(">", moved, constant(64, 1 << 54))
    return builder.select(beyond, shortened, value)


def to_half(lower: WarpLowering, inst: Instruction, value: ir.Value, form: Format) -> ir.Value:
    """f32 to the bits of f16 or bf16, in the instruction's rounding, saturated as it says."""
    builder = lower.builder
    mode = rounding(inst)
    nan_in = builder.fcmp_unordered("uno", value, value)
    if form.name == "bf16":
        pattern = round_bfloat(builder, value, mode)
    else:
        near = builder.fptrunc(value, resized(value.type, half))
        pattern = builder.bitcast(near, resized(value.type, i16))
        if mode != "rn":
            pattern = _corrected(lower, value, near, mode)
        pattern = builder.select(nan_in, everywhere(pattern.type, NAN), pattern)
    if inst.has("satfinite"):
        pattern = _finite(lower, pattern, form)
    if inst.has("sat"):
        pattern = saturate(lower, pattern, form)
    return relu(lower, pattern, form) if inst.has("relu") else pattern


def _finite(lower: WarpLowering, pattern: ir.Value, form: Format) -> ir.Value:
    """Infinities as the largest numbers."""
    builder = lower.builder
    size = builder.and_(pattern, everywhere(pattern.type, SIGN - 1))
    infinite = builder.icmp_unsigned("==", size, everywhere(pattern.type, form.infinity))
    return builder.select(infinite, builder.sub(pattern, everywhere(pattern.type, 1)), pattern)


def _corrected(lower: WarpLowering, value: ir.Value, near: ir.Value, mode: str) -> ir.Value:
    """The nearest f16 stepped back where it is on the wrong side of ``value``."""
    builder = lower.builder
    if mode not in MODES:
        raise NotLowered(f"f16 rounded {mode}")
    back = builder.fpext(near, value.type)
    pattern = builder.bitcast(near, resized(near.type, i16))
    kind = pattern.type
    one, sign = everywhere(kind, 1), builder.and_(pattern, everywhere(kind, SIGN))
    above, below = (builder.fcmp_ordered(s, back, value) for s in (">", "<"))
    negative = builder.icmp_unsigned("!=", sign, everywhere(kind, 0))
    # magnitudes: bits without sign grow outwards
    too_far = builder.select(negative, below, above)
    too_near = builder.select(negative, above, below)
    inward, outward = builder.sub(pattern, one), builder.add(pattern, one)
    if mode == "rz":
        return builder.select(too_far, inward, pattern)
    grows = negative if mode == "rm" else builder.not_(negative)
    grown = builder.select(too_near, outward, pattern)
    shrunk = builder.select(too_far, inward, pattern)
    return builder.select(grows, grown, shrunk)


def _to_tf32(lower: WarpLowering, inst: Instruction) -> None:
    builder = lower.builder
    mode = rounding(inst)
    if mode not in ("rn", "rna", "rz"):
        raise NotLowered(inst.text)
    pattern = builder.bitcast(lower.read(inst.operands[1], "f32"), integers(32))
    value = round_at(builder, pattern, TF32_CUT, mode)
    value = builder.and_(value, constant(32, -1 << TF32_CUT))
    if inst.has("satfinite"):
        size = builder.and_(value, constant(32, SIGN_32 - 1))
        infinite = builder.icmp_unsigned("==", size, constant(32, INFINITY))
        largest = builder.or_(
            builder.and_(value, constant(32, SIGN_32)), constant(32, TF32_LARGEST)
        )
        value = builder.select(infinite, largest, value)
    if inst.has("relu"):
        negative = builder.icmp_signed("<", value, constant(32, 0))
        value = builder.select(negative, constant(32, 0), value)
    nan = is_nan(builder, pattern)
    lower.write(inst.operands[0], builder.select(nan, constant(32, TF32_NAN), value), inst)


def _pair_to_halves(lower: WarpLowering, inst: Instruction, form: Format) -> None:
    """``cvt.{f16x2,bf16x2}.f32 d, high, low``."""
    builder = lower.builder
    if len(inst.operands) != 3:
        raise NotLowered(inst.text)
    high, low = (
        builder.zext(to_half(lower, inst, lower.read(o, "f32"), form), integers(32))
        for o in inst.operands[1:3]
    )
    whole = builder.or_(builder.shl(high, constant(32, 16)), low)
    lower.write(inst.operands[0], whole, inst)


def _to_float8(lower: WarpLowering, inst: Instruction, name: str, source: str) -> None:
    """``cvt.rn.satfinite.{e4m3x2,e5m2x2}``: from two f32, the first above, or from a pair."""
    builder = lower.builder
    if rounding(inst) != "rn" or not inst.has("satfinite"):
        raise NotLowered(inst.text)
    if source == "f32":
        high, low = (lower.read(o, "f32") for o in inst.operands[1:3])
        order = [lane // 2 + LANES * (lane % 2) for lane in range(2 * LANES)]
        picks = ir.Constant(ir.VectorType(i32, 2 * LANES), order)
        both = builder.shuffle_vector(low, high, picks)
    else:
        halves = builder.bitcast(
            lower.read(inst.operands[1], "b32"), ir.VectorType(half, 2 * LANES)
        )
        both = builder.fpext(halves, ir.VectorType(single, 2 * LANES))
    if inst.has("relu"):
        negative = builder.fcmp_ordered("<=", both, everywhere(both.type, 0.0))  # and -0
        both = builder.select(negative, everywhere(both.type, 0.0), both)
    codes = call_routine(lower, f"{name}_of_f32", both)
    lower.write(inst.operands[0], builder.bitcast(codes, integers(16)), inst)


def _from_float8(lower: WarpLowering, inst: Instruction, name: str) -> None:
    """``cvt.rn.f16x2.{e4m3x2,e5m2x2}``: exact."""
    builder = lower.builder
    form = FORMATS["f16x2"]
    bytes_ = builder.bitcast(lower.read(inst.operands[1], "b16"), ir.VectorType(i8, 2 * LANES))
    shorts = ir.VectorType(i16, 2 * LANES)
    up = builder.shl(builder.zext(bytes_, shorts), everywhere(shorts, 8))
    if name == "e4m3":
        # one exponent bit fewer: as f16 with the same digits it is 2**8 too small
        sign = builder.and_(up, everywhere(shorts, SIGN))
        moved = builder.lshr(builder.shl(up, everywhere(shorts, 1)), everywhere(shorts, 2))
        small = builder.bitcast(builder.or_(moved, sign), resized(shorts, half))
        scale = builder.bitcast(everywhere(shorts, 0x5C00), small.type)  # 256.0
        scaled = builder.bitcast(builder.fmul(small, scale), shorts)
        nan = builder.icmp_unsigned("==", moved, everywhere(shorts, 0x3F80))
        up = builder.select(nan, everywhere(shorts, NAN), scaled)
    if inst.has("relu"):
        up = relu(lower, up, form)
    lower.write(inst.operands[0], builder.bitcast(up, integers(32)), inst)
