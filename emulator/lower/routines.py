"""Calls of the arithmetic routines that are compiled once for all kernels."""

from __future__ import annotations

from llvmlite import ir

from emulator.lower.warp import WarpLowering
from emulator.native.arithmetic import ROUTINES, routine_type
from emulator.native.layout import Warp, at, field, load


def call_routine(lower: WarpLowering, name: str, *operands: ir.Value) -> ir.Value:
    """The result of a routine, its operands passed through the warp's scratch."""
    routine = ROUTINES[name]
    builder = lower.builder
    lower.spill()
    data = field(builder, lower.warp, Warp, "data")
    for value, kind, offset in zip(operands, routine.operands, routine.offsets(), strict=True):
        if value.type != kind:
            raise TypeError(f"{name} takes {kind}, not {value.type}")
        builder.store(value, at(builder, data, offset), align=64)
    existing = lower.module.globals.get(routine.symbol)
    function = existing or ir.Function(lower.module, routine_type, name=routine.symbol)
    builder.call(function, [lower.warp])
    return load(builder, data, routine.result, 64)
