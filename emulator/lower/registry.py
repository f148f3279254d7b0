"""The instruction table."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from emulator.ptx import Instruction

if TYPE_CHECKING:
    from emulator.lower.warp import WarpLowering

Handler = Callable[["WarpLowering", Instruction], None]

HANDLERS: dict[str, Handler] = {}


class NotLowered(Exception):
    """A handler knows the opcode but not this form of it; the instruction traps when executed."""


def one_of(inst: Instruction, choices: Collection[str]) -> str:
    """The first modifier that is one of ``choices``."""
    for modifier in inst.modifiers:
        if modifier in choices:
            return modifier
    raise NotLowered(inst.text)


def instruction(*opcodes: str) -> Callable[[Handler], Handler]:
    """Register a function as the lowering of one or more opcodes."""

    def register(handler: Handler) -> Handler:
        for opcode in opcodes:
            if opcode in HANDLERS:
                raise ValueError(f"{opcode} has two handlers")
            HANDLERS[opcode] = handler
        return handler

    return register
