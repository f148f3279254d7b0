"""Arithmetic on f16 and bf16, single or in pairs: rounded once from the exact result.

Sums and products of f16, and sums of bf16, are exact enough in f32 for a second rounding to change
nothing. Fused products and those of bf16 go through routines that round to odd on the way.
"""

from __future__ import annotations

from dataclasses import dataclass

from llvmlite import ir

from emulator.lower.integer import call
from emulator.lower.registry import NotLowered
from emulator.lower.routines import call_routine
from emulator.lower.types import integers
from emulator.lower.warp import WarpLowering
from emulator.native.layout import LANES, i16
from emulator.native.narrow import round_bfloat, widen_bfloat
from emulator.native.vectors import everywhere, half, resized, single
from emulator.ptx import Instruction, Operand


@dataclass(frozen=True)
class Format:
    """What a type is made of."""

    name: str  # "f16" or "bf16"
    count: int  # numbers in a register
    smallest: int  # normal, as bits
    infinity: int

    @property
    def one(self) -> int:
        return 0x3C00 if self.name == "f16" else 0x3F80


FORMATS = {
    "f16": Format("f16", 1, 0x0400, 0x7C00),
    "f16x2": Format("f16", 2, 0x0400, 0x7C00),
    "bf16": Format("bf16", 1, 0x0080, 0x7F80),
    "bf16x2": Format("bf16", 2, 0x0080, 0x7F80),
}
NAN = 0x7FFF  # what a GPU makes
SIGN = 0x8000


def read(lower: WarpLowering, source: Operand, form: Format) -> ir.Value:
    """A source as ``<32 x i16>`` or ``<64 x i16>``."""
    whole = lower.read(source, f"b{16 * form.count}")
    return lower.builder.bitcast(whole, ir.VectorType(i16, LANES * form.count))


def operand(lower: WarpLowering, inst: Instruction, index: int) -> ir.Value:
    """A source, flushed when the instruction says ``.ftz``."""
    form = FORMATS[inst.type]
    value = read(lower, inst.operands[index], form)
    return flush(lower, value, form) if inst.has("ftz") else value


def widen(lower: WarpLowering, value: ir.Value, form: Format) -> ir.Value:
    """Bits as f32."""
    if form.name == "bf16":
        return widen_bfloat(lower.builder, value)
    halves = lower.builder.bitcast(value, resized(value.type, half))
    return lower.builder.fpext(halves, resized(value.type, single))


def narrow(lower: WarpLowering, value: ir.Value, form: Format) -> ir.Value:
    """f32 to the nearest, as bits."""
    if form.name == "bf16":
        return round_bfloat(lower.builder, value)
    halves = lower.builder.fptrunc(value, resized(value.type, half))
    return lower.builder.bitcast(halves, resized(value.type, i16))


def is_nan(lower: WarpLowering, value: ir.Value, form: Format) -> ir.Value:
    """Which are NaN."""
    size = lower.builder.and_(value, everywhere(value.type, SIGN - 1))
    return lower.builder.icmp_unsigned(">", size, everywhere(value.type, form.infinity))


def flush(lower: WarpLowering, value: ir.Value, form: Format) -> ir.Value:
    """Subnormals to zero of the same sign."""
    builder = lower.builder
    size = builder.and_(value, everywhere(value.type, SIGN - 1))
    small = builder.icmp_unsigned("<", size, everywhere(value.type, form.smallest))
    zero = builder.and_(value, everywhere(value.type, SIGN))
    return builder.select(small, zero, value)


def finish(lower: WarpLowering, inst: Instruction, value: ir.Value) -> None:
    """Apply ``.ftz``, ``.sat`` and ``.relu`` to a result and write it."""
    form = FORMATS[inst.type]
    if inst.has("ftz"):
        value = flush(lower, value, form)
    if inst.has("sat"):
        value = saturate(lower, value, form)
    if inst.has("relu"):
        value = relu(lower, value, form)
    lower.write(inst.operands[0], lower.builder.bitcast(value, integers(16 * form.count)), inst)


def saturate(lower: WarpLowering, value: ir.Value, form: Format) -> ir.Value:
    """Clamp to [0, 1]; NaN becomes +0."""
    builder = lower.builder
    zero = everywhere(value.type, 0)
    capped = call(lower, "smin", value, everywhere(value.type, form.one))
    number = builder.select(is_nan(lower, value, form), zero, capped)
    return call(lower, "smax", number, zero)


def relu(lower: WarpLowering, value: ir.Value, form: Format) -> ir.Value:
    """Negative numbers become +0, NaN the one that a GPU makes."""
    nan = is_nan(lower, value, form)
    positive = call(lower, "smax", value, everywhere(value.type, 0))
    return lower.builder.select(nan, everywhere(value.type, NAN), positive)


def add_sub(lower: WarpLowering, inst: Instruction) -> None:
    """``add`` and ``sub``."""
    form = FORMATS[inst.type]
    a, b = (widen(lower, operand(lower, inst, i), form) for i in (1, 2))
    operation = lower.builder.fadd if inst.opcode == "add" else lower.builder.fsub
    finish(lower, inst, narrow(lower, operation(a, b), form))


def mul(lower: WarpLowering, inst: Instruction) -> None:
    """``mul``."""
    form = FORMATS[inst.type]
    a, b = (operand(lower, inst, i) for i in (1, 2))
    if form.name == "bf16":
        finish(lower, inst, fused(lower, a, b, everywhere(a.type, SIGN), form))  # ... + -0
        return
    value = lower.builder.fmul(widen(lower, a, form), widen(lower, b, form))
    finish(lower, inst, narrow(lower, value, form))


def fma(lower: WarpLowering, inst: Instruction) -> None:
    """``fma``: rounded once."""
    if inst.has("oob"):
        raise NotLowered(inst.text)
    a, b, c = (operand(lower, inst, i) for i in (1, 2, 3))
    finish(lower, inst, fused(lower, a, b, c, FORMATS[inst.type]))


def fused(lower: WarpLowering, a: ir.Value, b: ir.Value, c: ir.Value, form: Format) -> ir.Value:
    """``a * b + c`` as bits, by a routine."""
    name = f"fma_{form.name}x{form.count}"
    if form.name == "bf16":
        return call_routine(lower, name, a, b, c)
    halves = (lower.builder.bitcast(v, resized(v.type, half)) for v in (a, b, c))
    return lower.builder.bitcast(call_routine(lower, name, *halves), a.type)


def absolute(lower: WarpLowering, inst: Instruction) -> None:
    """``abs``."""
    value = operand(lower, inst, 1)
    finish(lower, inst, lower.builder.and_(value, everywhere(value.type, SIGN - 1)))


def negate(lower: WarpLowering, inst: Instruction) -> None:
    """``neg``."""
    value = operand(lower, inst, 1)
    finish(lower, inst, lower.builder.xor(value, everywhere(value.type, SIGN)))


def min_max(lower: WarpLowering, inst: Instruction) -> None:
    """``min`` and ``max`` as for f32: NaN loses unless ``.NaN``; ``.xorsign.abs``."""
    if len(inst.operands) != 3:
        raise NotLowered(inst.text)
    builder = lower.builder
    form = FORMATS[inst.type]
    a, b = (operand(lower, inst, i) for i in (1, 2))
    signs = builder.and_(builder.xor(a, b), everywhere(a.type, SIGN))
    if inst.has("xorsign"):
        a, b = (builder.and_(v, everywhere(v.type, SIGN - 1)) for v in (a, b))
    a_nan, b_nan = (is_nan(lower, v, form) for v in (a, b))
    ranks = (_rank(lower, a), _rank(lower, b))
    value = _rank(lower, call(lower, "s" + inst.opcode, *ranks))
    if not inst.has("NaN"):
        value = builder.select(a_nan, b, builder.select(b_nan, a, value))
    none = (builder.or_ if inst.has("NaN") else builder.and_)(a_nan, b_nan)
    if inst.has("xorsign"):
        value = builder.or_(value, signs)
    finish(lower, inst, builder.select(none, everywhere(a.type, NAN), value))


def _rank(lower: WarpLowering, value: ir.Value) -> ir.Value:
    """Bits of a float as a signed number of the same order, and back."""
    builder = lower.builder
    negative = builder.ashr(value, everywhere(value.type, 15))
    return builder.xor(value, builder.and_(negative, everywhere(value.type, SIGN - 1)))


def function(lower: WarpLowering, inst: Instruction) -> None:
    """``ex2.approx`` and ``tanh.approx``: those of f32, rounded."""
    form = FORMATS[inst.type]
    wide = widen(lower, operand(lower, inst, 1), form)
    builder = lower.builder
    parts = []
    for first in range(form.count):
        picks = [first + form.count * lane for lane in range(LANES)]
        one = builder.shuffle_vector(wide, wide, ir.Constant(integers(32), picks))
        parts.append(call_routine(lower, inst.opcode, one))
    whole = parts[0]
    if form.count == 2:
        order = [lane // 2 + LANES * (lane % 2) for lane in range(2 * LANES)]
        picks_both = ir.Constant(ir.VectorType(integers(32).element, 2 * LANES), order)
        whole = builder.shuffle_vector(parts[0], parts[1], picks_both)
    finish(lower, inst, narrow(lower, whole, form))
