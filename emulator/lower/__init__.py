"""PTX instructions as operations on 32 lanes, one module an instruction family.

:data:`~emulator.lower.registry.HANDLERS` maps each opcode to the function that lowers it; an
opcode that is not there is refused when it is executed.
"""

from emulator.lower import (  # noqa: F401  (each registers its handlers)
    alloca,
    arithmetic,
    atomics,
    carry,
    clusters,
    compare,
    control,
    convert,
    copies,
    fields,
    floating,
    integer,
    logic,
    matrices,
    mbarriers,
    memory,
    moves,
    tensor,
    tensormaps,
    time,
    together,
    video,
    wgmma,
    wmma,
)
from emulator.lower.kernel import lower_kernel
from emulator.lower.registry import HANDLERS

__all__ = ["HANDLERS", "lower_kernel"]
