"""Integer division without traps.

Where the ISA leaves the result open, it is what the code that ptxas makes for an H100 gives: by
zero, quotient and remainder are all ones; the most negative number by -1 wraps round.
"""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir

from emulator.native.vectors import double, everywhere, resized

Body = Callable[[ir.IRBuilder, ir.Value, ir.Value], ir.Value]


def _zero(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    return builder.icmp_unsigned("==", value, everywhere(value.type, 0))


def _divided_32(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, *, signed: bool) -> ir.Value:
    """The quotient through f64: 53 bits keep it off the next whole number.

    A quotient of 32-bit numbers that is no whole number is at least ``1 / b`` below the next, a
    relative distance of ``1 / a`` >= 2**-32.
    """
    doubles = resized(a.type, double)
    widen = builder.sitofp if signed else builder.uitofp
    back = builder.fptosi if signed else builder.fptoui
    return back(builder.fdiv(widen(a, doubles), widen(b, doubles)), a.type)


def _wraps(builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
    """The most negative number by -1."""
    width = a.type.element.width
    least = builder.icmp_unsigned("==", a, everywhere(a.type, 1 << (width - 1)))
    return builder.and_(least, builder.icmp_unsigned("==", b, everywhere(a.type, -1)))


def _safe(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, *, signed: bool) -> ir.Value:
    """A divisor that no divider traps at; by 1 the most negative number stays what it is."""
    avoid = _zero(builder, b)
    if signed:
        avoid = builder.or_(avoid, _wraps(builder, a, b))
    return builder.select(avoid, everywhere(b.type, 1), b)


def _quotient(signed: bool, wide: bool) -> Body:
    def body(builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
        safe = _safe(builder, a, b, signed=signed)
        if wide:
            value = (builder.sdiv if signed else builder.udiv)(a, safe)
        else:
            value = _divided_32(builder, a, safe, signed=signed)
        return builder.select(_zero(builder, b), everywhere(a.type, -1), value)

    return body


def _remainder(signed: bool, wide: bool) -> Body:
    def body(builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
        safe = _safe(builder, a, b, signed=signed)
        if wide:
            value = (builder.srem if signed else builder.urem)(a, safe)
        else:
            quotient = _divided_32(builder, a, safe, signed=signed)
            value = builder.sub(a, builder.mul(quotient, safe))
        return builder.select(_zero(builder, b), everywhere(a.type, -1), value)

    return body


BODIES_32 = {
    "div_u32": _quotient(signed=False, wide=False),
    "div_s32": _quotient(signed=True, wide=False),
    "rem_u32": _remainder(signed=False, wide=False),
    "rem_s32": _remainder(signed=True, wide=False),
}
BODIES_64 = {
    "div_u64": _quotient(signed=False, wide=True),
    "div_s64": _quotient(signed=True, wide=True),
    "rem_u64": _remainder(signed=False, wide=True),
    "rem_s64": _remainder(signed=True, wide=True),
}
