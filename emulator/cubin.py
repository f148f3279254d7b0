"""What a cubin says of its kernels: registers, shared and local memory. No GPU needed.

A cubin is an ELF file; ``.nv.info`` holds records (format, attribute, size, value), of which those
read here are EIATTR_REGCOUNT and EIATTR_FRAME_SIZE, each a pair (symbol index, number).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

REGCOUNT, FRAME_SIZE = 0x2F, 0x11
SIZED = 4  # the format of a record whose value follows it


@dataclass(frozen=True)
class Resources:
    """What a kernel needs of an SM."""

    registers: int  # a thread
    local_bytes: int  # a thread: spills and arrays; 0 is what one wants
    max_threads: int | None = None  # a block, from __launch_bounds__


@dataclass(frozen=True)
class _Section:
    name: str
    data: bytes
    link: int


def kernel_resources(cubin: bytes) -> dict[str, Resources]:
    """Resources by kernel name; empty when ``cubin`` is."""
    if not cubin:
        return {}
    sections = _sections(cubin)
    by_name = {section.name: section for section in sections}
    symbols = by_name[".symtab"]
    names = sections[symbols.link].data
    registers: dict[str, int] = {}
    frames: dict[str, int] = {}
    info = by_name[".nv.info"].data
    at = 0
    while at + 4 <= len(info):
        kind, attribute, size = struct.unpack_from("<BBH", info, at)
        at += 4
        if kind != SIZED:
            continue
        if attribute in (REGCOUNT, FRAME_SIZE):
            symbol, value = struct.unpack_from("<II", info, at)
            name = _string(names, struct.unpack_from("<I", symbols.data, 24 * symbol)[0])
            (registers if attribute == REGCOUNT else frames)[name] = value
        at += size
    return {name: Resources(count, frames.get(name, 0)) for name, count in registers.items()}


def _sections(elf: bytes) -> list[_Section]:
    header = struct.unpack_from("<16sHHIQQQIHHHHHH", elf)
    offset, size, count, strings = header[6], header[11], header[12], header[13]
    raw = [struct.unpack_from("<IIQQQQIIQQ", elf, offset + i * size) for i in range(count)]
    names = raw[strings]
    table = elf[names[4] : names[4] + names[5]]
    no_data = 8  # SHT_NOBITS
    return [
        _Section(_string(table, s[0]), b"" if s[1] == no_data else elf[s[4] : s[4] + s[5]], s[6])
        for s in raw
    ]


def _string(table: bytes, at: int) -> str:
    return table[at : table.index(b"\0", at)].decode()


def sections_data(cubin: bytes, prefix: str) -> dict[str, bytes]:
    """The bytes of the sections whose names start so, by name."""
    return {s.name: s.data for s in _sections(cubin) if s.name.startswith(prefix)}
