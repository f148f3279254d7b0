"""The ``.approx`` functions on f32: polynomials, all lanes at once.

Coefficients are minimax fits (relative error below 2**-25 before rounding) in the interval that
the reduction leaves. Errors as tested: ex2 2**-22.5 and lg2 2**-22 relative, sin and cos 2**-20.5
absolute within [-pi, pi], tanh 2**-11 relative: what the ISA states.
"""

from __future__ import annotations

import math

from llvmlite import ir

from emulator.native.vectors import as_bits, bits, everywhere, overloaded

EX2 = (1.0, 0.6931471824645996, 0.24022647738456726, 0.055503323674201965, 0.00961843691766262,
       0.0013398873852565885, 0.00015353361959569156)  # fmt: skip
LG2 = (1.4426950216293335, -0.7213473320007324, 0.48091062903404236, -0.3607036769390106,
       0.28791624307632446, -0.23894481360912323, 0.21571560204029083, -0.20726975798606873,
       0.1258370280265808)  # fmt: skip
SIN = (1.0, -0.16666659712791443, 0.008333055302500725, -0.00019808781507890671,
       2.603871280371095e-06)  # fmt: skip
TANH_OVER = (4.89352455891786e-03, 6.37261928875436e-04, 1.48572235717979e-05,
             5.12229709037114e-08, -8.60467152213735e-11, 2.00018790482477e-13,
             -2.76076847742355e-16)  # fmt: skip
TANH_UNDER = (4.89352518554385e-03, 2.26843463243900e-03, 1.18534705686654e-04,
              1.19825839466702e-06)  # fmt: skip
TANH_IS_ONE = 7.90531110763549805  # from here on, in f32
TANH_IS_IDENTITY = 0.0004

ROUNDER = 1.5 * 2**23  # added to a float, it leaves its whole part in the low bits
ROUNDER_BITS = 0x4B400000
PI_HIGH, PI_LOW = 3.1415927410125732, -8.742277657347586e-08  # sum: pi to 48 bits
HALF_PI = math.pi / 2
SMALLEST_NORMAL = 2.0**-126
SQRT_HALF_BITS = 0x3F3504F3


def polynomial(builder: ir.IRBuilder, x: ir.Value, coefficients: tuple[float, ...]) -> ir.Value:
    """Horner's rule, lowest coefficient first, with fused steps."""
    total = everywhere(x.type, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = overloaded(builder, "fma", total, x, everywhere(x.type, coefficient))
    return total


def within(builder: ir.IRBuilder, x: ir.Value, low: float, high: float) -> ir.Value:
    """``x`` between two numbers; NaN stays."""
    for sign, limit in ((">", high), ("<", low)):
        bound = everywhere(x.type, limit)
        x = builder.select(builder.fcmp_ordered(sign, x, bound), bound, x)
    return x


def ex2(builder: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """``2**x``: a power for the whole part, in two factors so that subnormals come out right."""
    kind, whole = x.type, bits(x.type)
    x = within(builder, x, -160.0, 130.0)
    shifted = builder.fadd(x, everywhere(kind, ROUNDER))
    rest = builder.fsub(x, builder.fsub(shifted, everywhere(kind, ROUNDER)))
    value = polynomial(builder, rest, EX2)
    power = builder.sub(as_bits(builder, shifted), everywhere(whole, ROUNDER_BITS))
    first = builder.ashr(power, everywhere(whole, 1))
    for part in (first, builder.sub(power, first)):
        factor = builder.shl(builder.add(part, everywhere(whole, 127)), everywhere(whole, 23))
        value = builder.fmul(value, builder.bitcast(factor, kind))
    return value


def lg2(builder: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """``log2(x)``: the exponent, and a polynomial for a mantissa between sqrt(1/2) and sqrt(2)."""
    kind, whole = x.type, bits(x.type)
    zero = everywhere(kind, 0.0)
    small = builder.fcmp_ordered("<", x, everywhere(kind, SMALLEST_NORMAL))
    scaled = builder.select(small, builder.fmul(x, everywhere(kind, 2.0**24)), x)
    pattern = as_bits(builder, scaled)
    above = builder.sub(pattern, everywhere(whole, SQRT_HALF_BITS))
    exponent = builder.ashr(above, everywhere(whole, 23))
    mantissa = builder.sub(pattern, builder.shl(exponent, everywhere(whole, 23)))
    rest = builder.fsub(builder.bitcast(mantissa, kind), everywhere(kind, 1.0))
    power = builder.sitofp(exponent, kind)
    shift = builder.select(small, everywhere(kind, -24.0), zero)
    power = builder.fadd(power, shift)
    value = overloaded(builder, "fma", rest, polynomial(builder, rest, LG2), power)
    special = builder.fcmp_unordered("==", x, everywhere(kind, math.inf))  # or NaN
    value = builder.select(special, x, value)
    negative = builder.fcmp_ordered("<", x, zero)
    value = builder.select(negative, everywhere(kind, math.nan), value)
    return builder.select(builder.fcmp_ordered("==", x, zero), everywhere(kind, -math.inf), value)


def _sine(builder: ir.IRBuilder, x: ir.Value, behind: float) -> ir.Value:
    """``sin(x + behind * pi)``: less the nearest multiple of pi, whose parity is the sign."""
    kind, whole = x.type, bits(x.type)
    turns = overloaded(builder, "fma", x, everywhere(kind, 1 / math.pi), everywhere(kind, behind))
    shifted = builder.fadd(turns, everywhere(kind, ROUNDER))
    whole_turns = builder.fsub(shifted, everywhere(kind, ROUNDER))
    count = builder.fsub(whole_turns, everywhere(kind, behind))
    rest = overloaded(builder, "fma", count, everywhere(kind, -PI_HIGH), x)
    rest = overloaded(builder, "fma", count, everywhere(kind, -PI_LOW), rest)
    rest = within(builder, rest, -HALF_PI, HALF_PI)  # far out nothing is left to be right
    series = polynomial(builder, builder.fmul(rest, rest), SIN)
    value = as_bits(builder, builder.fmul(rest, series))
    sign = builder.shl(as_bits(builder, shifted), everywhere(whole, 31))
    return builder.bitcast(builder.xor(value, sign), kind)


def sin(builder: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """``sin(x)``; of -0 it is -0, whose sign the reduction would lose."""
    zero = builder.fcmp_ordered("==", x, everywhere(x.type, 0.0))
    return builder.select(zero, x, _sine(builder, x, 0.0))


def cos(builder: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """``cos(x)``, as a sine a quarter turn on."""
    return _sine(builder, x, 0.5)


def tanh(builder: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """``tanh(x)``, a quotient of polynomials."""
    kind = x.type
    near = within(builder, x, -TANH_IS_ONE, TANH_IS_ONE)
    square = builder.fmul(near, near)
    over = builder.fmul(near, polynomial(builder, square, TANH_OVER))
    value = builder.fdiv(over, polynomial(builder, square, TANH_UNDER))
    magnitude = overloaded(builder, "fabs", x)
    large = builder.fcmp_ordered(">=", magnitude, everywhere(kind, TANH_IS_ONE))
    one = overloaded(builder, "copysign", everywhere(kind, 1.0), x)
    value = builder.select(large, one, within(builder, value, -1.0, 1.0))
    small = builder.fcmp_ordered("<", magnitude, everywhere(kind, TANH_IS_IDENTITY))
    return builder.select(small, x, value)


BODIES = {"ex2": ex2, "lg2": lg2, "sin": sin, "cos": cos, "tanh": tanh}
