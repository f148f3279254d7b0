"""PTX types as LLVM vectors over a warp's lanes."""

from __future__ import annotations

from llvmlite import ir

from emulator.native.layout import LANES
from emulator.ptx.syntax import TYPE_BITS

FLOATS = {"f16": ir.HalfType(), "f32": ir.FloatType(), "f64": ir.DoubleType()}


def bits(ptx_type: str) -> int:
    """Width of a type."""
    return TYPE_BITS[ptx_type]


def is_signed(ptx_type: str) -> bool:
    """Whether a type is a signed integer."""
    return ptx_type.startswith("s")


def is_float(ptx_type: str) -> bool:
    """Whether LLVM has the type as a floating-point one."""
    return ptx_type in FLOATS


def element(ptx_type: str) -> ir.Type:
    """One lane's value. Packed types (f16x2) and those LLVM lacks (bf16, tf32) are their bits."""
    return FLOATS.get(ptx_type) or ir.IntType(TYPE_BITS[ptx_type])


def vector(ptx_type: str) -> ir.VectorType:
    """A value over the warp."""
    return ir.VectorType(element(ptx_type), LANES)


def integers(width: int) -> ir.VectorType:
    """Plain bits over the warp."""
    return ir.VectorType(ir.IntType(width), LANES)
