"""Unsigned numbers in memory as ``int64``: with others, Numba makes floats of ``uint64``."""

from __future__ import annotations

from emulator.native.compiled import accessors, inner

read_i8, _ = accessors("int8")
read_i16, _ = accessors("int16")
read_i32, _ = accessors("int32")


@inner
def byte_at(address: int) -> int:
    """One byte."""
    return int(read_i8(address)) & 0xFF


@inner
def half_at(address: int) -> int:
    """Two bytes."""
    return int(read_i16(address)) & 0xFFFF


@inner
def word_at(address: int) -> int:
    """Four bytes."""
    return int(read_i32(address)) & 0xFFFFFFFF
