"""The instruction table."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from emulator.ptx import Instruction

if TYPE_CHECKING:
    from emulator.lower.warp import WarpLowering

Handler = Callable[["WarpLowering", Instruction], None]

HANDLERS: dict[str, Handler] = {}


class NotLowered(Exception):
    """A handler knows the opcode but not this form of it; the instruction traps when executed."""


def instruction(*opcodes: str) -> Callable[[Handler], Handler]:
    """Register a function as the lowering of one or more opcodes."""

    def register(handler: Handler) -> Handler:
        for opcode in opcodes:
            if opcode in HANDLERS:
                raise ValueError(f"{opcode} has two handlers")
            HANDLERS[opcode] = handler
        return handler

    return register
