"""Rounding once to formats narrower than f32, and the fused products of halves.

A value that cannot be held exactly on the way is rounded *to odd*: cut off, its last bit set when
anything was lost. Rounding that to a format at least two bits shorter gives what rounding the
exact value would have.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from llvmlite import ir

from emulator.native.layout import i8, i16, i32
from emulator.native.vectors import (
    as_bits,
    bits,
    double,
    everywhere,
    half,
    overloaded,
    resized,
    single,
)

LARGEST = float.fromhex("0x1.fffffep127")  # f32


def _odd(builder: ir.IRBuilder, value: ir.Value, rest: ir.Value) -> ir.Value:
    """``value``, the nearest float, moved to the odd neighbour on the side of ``rest``'s sign."""
    whole = bits(value.type)
    pattern = as_bits(builder, value)
    one = everywhere(whole, 1)
    inexact = builder.fcmp_ordered("!=", rest, everywhere(rest.type, 0.0))
    even = builder.icmp_unsigned("==", builder.and_(pattern, one), everywhere(whole, 0))
    zero = everywhere(rest.type, 0.0)
    value_below = builder.icmp_signed("<", pattern, everywhere(whole, 0))
    outward = builder.xor(value_below, builder.fcmp_ordered(">", rest, zero))
    step = builder.select(outward, one, everywhere(whole, -1))
    moved = builder.select(builder.and_(inexact, even), builder.add(pattern, step), pattern)
    return builder.bitcast(moved, value.type)


def _sum_and_rest(builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> tuple[ir.Value, ir.Value]:
    """``a + b`` rounded, and exactly what the rounding lost (Knuth's two-sum)."""
    total = builder.fadd(a, b)
    b_seen = builder.fsub(total, a)
    a_seen = builder.fsub(total, b_seen)
    return total, builder.fadd(builder.fsub(a, a_seen), builder.fsub(b, b_seen))


def fma_half(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
    """f16: the product is exact in f32, the sum is rounded to odd there."""
    floats = resized(a.type, single)
    a, b, c = (builder.fpext(v, floats) for v in (a, b, c))
    total, rest = _sum_and_rest(builder, builder.fmul(a, b), c)
    return builder.fptrunc(_odd(builder, total, rest), resized(a.type, half))


def fma_bfloat(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
    """bf16: the product is exact in f64, the sum is rounded to odd from f64 and its rest."""
    doubles = resized(a.type, double)
    a, b, c = (builder.fpext(widen_bfloat(builder, v), doubles) for v in (a, b, c))
    total, rest = _sum_and_rest(builder, builder.fmul(a, b), c)
    return round_bfloat(builder, _single_odd(builder, total, rest))


def odd_single(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    """f64 to f32, rounded to odd."""
    return _single_odd(builder, value, everywhere(value.type, 0.0))


def _single_odd(builder: ir.IRBuilder, value: ir.Value, rest: ir.Value) -> ir.Value:
    near = builder.fptrunc(value, resized(value.type, single))
    lost = builder.fadd(builder.fsub(value, builder.fpext(near, value.type)), rest)
    odd = _odd(builder, near, lost)
    # past the largest float the nearest is infinity, and nothing is left to say which way it went
    over = builder.and_(_finite(builder, value), builder.not_(_finite(builder, near)))
    largest = overloaded(builder, "copysign", everywhere(near.type, LARGEST), near)
    return builder.select(over, largest, odd)


def _finite(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    infinity = everywhere(value.type, math.inf)
    return builder.fcmp_ordered("<", overloaded(builder, "fabs", value), infinity)


def widen_bfloat(builder: ir.IRBuilder, pattern: ir.Value) -> ir.Value:
    """bf16 bits as f32."""
    words = resized(pattern.type, i32)
    high = builder.shl(builder.zext(pattern, words), everywhere(words, 16))
    return builder.bitcast(high, resized(pattern.type, single))


def round_bfloat(builder: ir.IRBuilder, value: ir.Value, mode: str = "rn") -> ir.Value:
    """f32 to the bits of bf16, in any rounding; NaN becomes 0x7fff."""
    pattern = as_bits(builder, value)
    kept = builder.lshr(round_at(builder, pattern, 16, mode), everywhere(pattern.type, 16))
    number = builder.select(is_nan(builder, pattern), everywhere(pattern.type, 0x7FFF), kept)
    return builder.trunc(number, resized(pattern.type, i16))


def is_nan(builder: ir.IRBuilder, pattern: ir.Value) -> ir.Value:
    """Of f32 bits."""
    magnitude = builder.and_(pattern, everywhere(pattern.type, 0x7FFFFFFF))
    return builder.icmp_unsigned(">", magnitude, everywhere(pattern.type, 0x7F800000))


def round_at(builder: ir.IRBuilder, pattern: ir.Value, cut: int, mode: str) -> ir.Value:
    """f32 bits with the low ``cut`` rounded away (they are left as they fall).

    Adding to the pattern moves the magnitude outwards whatever the sign, up to infinity.
    """
    kind = pattern.type
    unit = 1 << cut
    if mode == "rz":
        return pattern
    if mode == "rna":
        return builder.add(pattern, everywhere(kind, unit // 2))
    if mode == "rn":
        last = builder.and_(builder.lshr(pattern, everywhere(kind, cut)), everywhere(kind, 1))
        return builder.add(pattern, builder.add(last, everywhere(kind, unit // 2 - 1)))
    sign = builder.ashr(pattern, everywhere(kind, 31))
    outward = sign if mode == "rm" else builder.not_(sign)
    return builder.add(pattern, builder.and_(outward, everywhere(kind, unit - 1)))


def _float8(mantissa: int, bias: int, largest: int) -> Callable[[ir.IRBuilder, ir.Value], ir.Value]:
    """f32 to an 8-bit float, to nearest even, clamped to the largest; NaN becomes 0x7f."""
    smallest = 2.0 ** (1 - bias)  # normal
    rounder = 2.0 ** (23 + 1 - bias - mantissa)  # leaves the multiple of the least in its low bits
    cut = 23 - mantissa

    def body(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
        pattern = as_bits(builder, value)
        kind = pattern.type
        size = builder.and_(pattern, everywhere(kind, 0x7FFFFFFF))
        magnitude = builder.bitcast(size, value.type)
        shifted = builder.fadd(magnitude, everywhere(value.type, rounder))
        tiny = builder.and_(as_bits(builder, shifted), everywhere(kind, 0xFF))
        up = builder.lshr(round_at(builder, size, cut, "rn"), everywhere(kind, cut))
        normal = builder.sub(up, everywhere(kind, (127 - bias) << mantissa))
        top = everywhere(kind, largest)
        normal = builder.select(builder.icmp_signed(">", normal, top), top, normal)
        small = builder.fcmp_ordered("<", magnitude, everywhere(value.type, smallest))
        code = builder.select(small, tiny, normal)
        sign = builder.and_(builder.lshr(pattern, everywhere(kind, 24)), everywhere(kind, 0x80))
        code = builder.or_(code, sign)
        code = builder.select(is_nan(builder, pattern), everywhere(kind, 0x7F), code)
        return builder.trunc(code, resized(kind, i8))

    return body


FLOAT8 = {"e4m3": _float8(3, 7, 0x7E), "e5m2": _float8(2, 15, 0x7B)}
