"""Reading PTX: text to :class:`PtxModule`."""

from emulator.ptx.parse import parse
from emulator.ptx.syntax import (
    Address,
    Function,
    Immediate,
    Instruction,
    Location,
    Operand,
    Pair,
    Predicate,
    PtxModule,
    Raw,
    Register,
    Symbol,
    TensorPlace,
    Variable,
    Vector,
)

__all__ = [
    "Address",
    "Function",
    "Immediate",
    "Instruction",
    "Location",
    "Operand",
    "Pair",
    "Predicate",
    "PtxModule",
    "Raw",
    "Register",
    "Symbol",
    "TensorPlace",
    "Variable",
    "Vector",
    "parse",
]
