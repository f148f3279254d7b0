"""Opcodes that integers and floating-point numbers share, by type."""

from __future__ import annotations

from emulator.lower import carry, floating, integer
from emulator.lower.registry import Handler, NotLowered, instruction
from emulator.lower.types import is_float
from emulator.lower.warp import WarpLowering
from emulator.ptx import Instruction

BY_TYPE: dict[str, tuple[Handler, Handler]] = {
    # opcode: for integers, for floating point
    "add": (integer.add_sub, floating.add_sub),
    "sub": (integer.add_sub, floating.add_sub),
    "mul": (integer.mul, floating.mul),
    "mad": (integer.mad, floating.fma),
    "div": (integer.div_rem, floating.div),
    "abs": (integer.absolute, floating.absolute),
    "neg": (integer.negate, floating.negate),
    "min": (integer.min_max, floating.min_max),
    "max": (integer.min_max, floating.min_max),
}


@instruction(*BY_TYPE)
def shared(lower: WarpLowering, inst: Instruction) -> None:
    """The handler for the instruction's type."""
    if inst.has("cc"):
        carry.chained(lower, inst)
        return
    integers, floats = BY_TYPE[inst.opcode]
    (floats if is_float(inst.type) else integers)(lower, inst)


@instruction("rem")
def rem(lower: WarpLowering, inst: Instruction) -> None:
    """Integers only."""
    if is_float(inst.type):
        raise NotLowered(inst.text)
    integer.div_rem(lower, inst)
