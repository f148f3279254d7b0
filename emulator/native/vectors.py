"""Small words for vector IR: constants in every lane, intrinsics by element type."""

from __future__ import annotations

from llvmlite import ir

from emulator.native.lanes import intrinsic
from emulator.native.layout import i1

half, single, double = ir.HalfType(), ir.FloatType(), ir.DoubleType()


def resized(kind: ir.VectorType, element: ir.Type) -> ir.VectorType:
    """As many lanes of another element."""
    return ir.VectorType(element, kind.count)


def bits(kind: ir.VectorType) -> ir.VectorType:
    """As many integers of the element's width."""
    return resized(kind, ir.IntType(width_of(kind)))


def width_of(kind: ir.VectorType) -> int:
    """Bits of an element."""
    element = kind.element
    if isinstance(element, ir.IntType):
        return int(element.width)
    return {half: 16, single: 32, double: 64}[element]


def everywhere(kind: ir.VectorType, value: float) -> ir.Constant:
    """A number in every lane; whole numbers are taken modulo the element's range."""
    if isinstance(kind.element, ir.IntType):
        value = int(value) & ((1 << int(kind.element.width)) - 1)
    return ir.Constant(kind, [value] * kind.count)


def overloaded(builder: ir.IRBuilder, name: str, *arguments: ir.Value) -> ir.Value:
    """``llvm.NAME`` over vectors of the first argument's type."""
    kind = arguments[0].type
    letter = "i" if isinstance(kind.element, ir.IntType) else "f"
    full = f"llvm.{name}.v{kind.count}{letter}{width_of(kind)}"
    function = intrinsic(builder.module, full, kind, [a.type for a in arguments])
    return builder.call(function, list(arguments))


def leading_zeros(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    """``ctlz``; the width for zero."""
    return overloaded(builder, "ctlz", value, ir.Constant(i1, 0))


def as_bits(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    """The same bits as integers."""
    return builder.bitcast(value, bits(value.type))


def select_less(
    builder: ir.IRBuilder, value: ir.Value, limit: ir.Value, then: ir.Value
) -> ir.Value:
    """``value < limit ? then : value``, unsigned."""
    return builder.select(builder.icmp_unsigned("<", value, limit), then, value)
