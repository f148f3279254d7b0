"""Opcodes that integers, floats and halves share, by type."""

from __future__ import annotations

from emulator.lower import carry, floating, halves, integer
from emulator.lower.registry import Handler, NotLowered, instruction
from emulator.lower.types import is_float
from emulator.lower.warp import WarpLowering
from emulator.ptx import Instruction

BY_TYPE: dict[str, tuple[Handler | None, Handler | None, Handler | None]] = {
    # opcode: for integers, for f32 and f64, for f16 and bf16
    "add": (integer.add_sub, floating.add_sub, halves.add_sub),
    "sub": (integer.add_sub, floating.add_sub, halves.add_sub),
    "mul": (integer.mul, floating.mul, halves.mul),
    "mad": (integer.mad, floating.fma, None),
    "fma": (None, floating.fma, halves.fma),
    "div": (integer.div_rem, floating.div, None),
    "rem": (integer.div_rem, None, None),
    "abs": (integer.absolute, floating.absolute, halves.absolute),
    "neg": (integer.negate, floating.negate, halves.negate),
    "min": (integer.min_max, floating.min_max, halves.min_max),
    "max": (integer.min_max, floating.min_max, halves.min_max),
    "ex2": (None, floating.function, halves.function),
    "tanh": (None, floating.function, halves.function),
}


@instruction(*BY_TYPE)
def shared(lower: WarpLowering, inst: Instruction) -> None:
    """The handler for the instruction's type."""
    integers, floats, shorts = BY_TYPE[inst.opcode]
    if inst.type in halves.FORMATS:
        handler = shorts
    elif is_float(inst.type):
        handler = floats
    else:
        handler = carry.chained if inst.has("cc") else integers
    if handler is None or len(inst.types) != 1:
        raise NotLowered(inst.text)
    handler(lower, inst)
