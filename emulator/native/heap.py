"""Memory that compiled routines ask for while a launch runs, from the C library's heap."""

from __future__ import annotations

import ctypes
import functools
from typing import Any

from llvmlite import ir

from emulator.native.compiled import Later

_words = ir.IntType(64)
_pointer = ir.PointerType()


def _function(module: ir.Module, result: ir.Type, arguments: list[ir.Type], name: str) -> Any:
    existing = module.globals.get(name)
    return existing or ir.Function(module, ir.FunctionType(result, arguments), name=name)


def heap() -> Any:
    """``resize(address, nbytes)`` for routines: the block's new address, or 0 without memory.

    Address 0 makes a new block. Whoever keeps the address gives it back by :func:`release`.
    """
    return Later(_resize)


def _resize() -> Any:
    from numba.core import types
    from numba.extending import intrinsic

    @intrinsic
    def resize(_: Any, address: Any, nbytes: Any) -> Any:
        def generate(__: Any, builder: Any, ___: Any, arguments: Any) -> Any:
            realloc = _function(builder.module, _pointer, [_pointer, _words], "realloc")
            old = builder.inttoptr(arguments[0], _pointer)
            return builder.ptrtoint(builder.call(realloc, [old, arguments[1]]), _words)

        return types.int64(types.int64, types.int64), generate

    return resize


@functools.cache
def _free() -> Any:
    free = ctypes.CDLL(None).free
    free.argtypes, free.restype = [ctypes.c_void_p], None
    return free


def release(address: int) -> None:
    """Give a block back; 0 is none."""
    if address:
        _free()(address)
