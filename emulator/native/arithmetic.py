"""Long arithmetic as routines compiled once: kernels that use it stay small and compile fast.

A kernel stores the operands into its warp's scratch, calls the routine with the warp, and loads
the result from where the first operand was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from llvmlite import ir

from emulator.native import approximate, division, narrow, permute
from emulator.native.layout import LANES, Warp, at, field, i8, i16, i32, i64, load, pointer
from emulator.native.vectors import double, half, single, width_of

routine_type = ir.FunctionType(ir.VoidType(), [pointer])


@dataclass(frozen=True)
class Routine:
    """``result = body(builder, *operands)`` over vectors."""

    name: str
    body: Callable[..., ir.Value]
    result: ir.VectorType
    operands: tuple[ir.VectorType, ...]

    @property
    def symbol(self) -> str:
        return f"coalesce_{self.name}"

    def offsets(self) -> list[int]:
        """Byte offset of each operand in the scratch."""
        offsets, at_byte = [], 0
        for kind in self.operands:
            offsets.append(at_byte)
            at_byte += -(-kind.count * width_of(kind) // 8 // 64) * 64
        return offsets


def _vector(element: ir.Type, per_lane: int = 1) -> ir.VectorType:
    return ir.VectorType(element, LANES * per_lane)


def _all() -> list[Routine]:
    words, longs = _vector(i32), _vector(i64)
    floats, doubles, bytes_ = _vector(single), _vector(double), _vector(i8, 2)
    found = []
    for name in approximate.BODIES:
        found.append(Routine(name, approximate.BODIES[name], floats, (floats,)))
    for name, body in division.BODIES_32.items():
        found.append(Routine(name, body, words, (words, words)))
    for name, body in division.BODIES_64.items():
        found.append(Routine(name, body, longs, (longs, longs)))
    for count in (1, 2):
        halves, shorts = _vector(half, count), _vector(i16, count)
        found.append(Routine(f"fma_f16x{count}", narrow.fma_half, halves, (halves,) * 3))
        found.append(Routine(f"fma_bf16x{count}", narrow.fma_bfloat, shorts, (shorts,) * 3))
    found.append(Routine("narrow_f64", narrow.odd_single, floats, (doubles,)))
    for name in narrow.FLOAT8:
        two = _vector(single, 2)
        found.append(Routine(f"{name}_of_f32", narrow.FLOAT8[name], bytes_, (two,)))
    found.append(Routine("prmt", permute.prmt, words, (words,) * 3))
    found.append(Routine("fns", permute.fns, words, (words,) * 3))
    return found


ROUTINES = {routine.name: routine for routine in _all()}


def arithmetic_names() -> list[str]:
    """The symbol of every routine of this file."""
    return [routine.symbol for routine in ROUTINES.values()]


def define_arithmetic_routines(module: ir.Module) -> None:
    """Define every routine of this file."""
    for routine in ROUTINES.values():
        function = ir.Function(module, routine_type, name=routine.symbol)
        function.attributes.add("nounwind")
        builder = ir.IRBuilder(function.append_basic_block("entry"))
        data = field(builder, function.args[0], Warp, "data")
        operands = [
            load(builder, at(builder, data, offset), kind, 64)
            for kind, offset in zip(routine.operands, routine.offsets(), strict=True)
        ]
        builder.store(routine.body(builder, *operands), data, align=64)
        builder.ret_void()
