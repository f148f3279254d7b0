"""Addresses of a cluster's shared memory: 32-bit ones and generic ones, over a warp.

What they are is for :mod:`emulator.units.window` to say.
"""

from __future__ import annotations

from llvmlite import ir

from emulator.lower.types import integers
from emulator.lower.warp import WarpLowering
from emulator.native.compiled import routine_type
from emulator.native.layout import i64, load


def translate(
    lower: WarpLowering, values: ir.Value, routine: str, *numbers: ir.Value | int
) -> ir.Value:
    """64-bit values, one a lane, through a routine of :mod:`emulator.units.window`."""
    builder = lower.builder
    where = lower.of_warp("addresses")
    builder.store(values, where, align=64)
    arguments = [builder.ptrtoint(p, i64) for p in (lower.context, lower.warp)]
    arguments += [ir.Constant(i64, n) if isinstance(n, int) else n for n in numbers]
    kind = routine_type("void", *["int64"] * len(arguments))
    name = f"coalesce_{routine}"
    known = lower.module.globals.get(name)
    builder.call(known or ir.Function(lower.module, kind, name), arguments)
    return load(builder, where, integers(64), 64)


def to_generic(lower: WarpLowering, values: ir.Value) -> ir.Value:
    """32-bit addresses of ``.shared::cluster``, in 64 bits, as generic ones."""
    return translate(lower, values, "leave_window", 0xFFFFFFFF)


def from_generic(lower: WarpLowering, values: ir.Value) -> ir.Value:
    """Generic addresses as 32-bit ones of ``.shared::cluster``, in 64 bits."""
    return translate(lower, values, "enter_window", 0xFFFFFFFF)
