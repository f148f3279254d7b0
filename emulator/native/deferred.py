"""Routines that are compiled when they are first needed: until then, only how to call them.

Kernels and the scheduler call ``coalesce_<name>``, which is here and jumps to the address in the
routine's slot; :func:`emulator.native.jit.require` puts it there.
"""

from __future__ import annotations

from llvmlite import ir

from emulator.native.compiled import entries, routine_type
from emulator.native.lanes import routine
from emulator.native.layout import i64, load, pointer

SLOTS = "coalesce_deferred"


def deferred_names() -> list[str]:
    """Routines in the order of their slots."""
    return sorted(entries())


def define_deferred_routines(module: ir.Module) -> None:
    """Define a jump for every routine, and the table of where they go."""
    names = deferred_names()
    table = ir.ArrayType(i64, max(len(names), 1))
    slots = ir.GlobalVariable(module, table, SLOTS)
    slots.initializer = ir.Constant(table, [0] * max(len(names), 1))
    for index, name in enumerate(names):
        kind = routine_type(*entries()[name][1])
        known = module.globals.get(name)
        builder = ir.IRBuilder(known.append_basic_block("entry")) if known is not None else (
            routine(module, kind, name)
        )  # fmt: skip
        where = builder.gep(slots, [ir.Constant(i64, 8 * index)], source_etype=ir.IntType(8))
        target = _Function(builder.inttoptr(load(builder, where, i64), pointer), kind)
        value = builder.call(target, list(builder.function.args))
        if isinstance(kind.return_type, ir.VoidType):
            builder.ret_void()
        else:
            builder.ret(value)


class _Function:
    """An address as something llvmlite's ``call`` takes: opaque pointers have no type."""

    def __init__(self, value: ir.Value, kind: ir.FunctionType) -> None:
        self.type = value.type
        self.get_reference = value.get_reference
        self.function_type = kind
