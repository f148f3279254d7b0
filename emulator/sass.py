"""Machine code: what ptxas made of each PTX instruction that touches memory.

``nvdisasm`` (of the package nvidia-cuda-nvdisasm, or of a CUDA toolkit) lists a cubin without a
GPU; cubins compiled with ``-lineinfo`` say for every machine instruction which line of the PTX it
came from. Everything here is optional: where the tool or that table is missing, there is no
:class:`MachineCode`, and counts are those of the PTX.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import re
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from emulator.cache import cached, digest
from emulator.cubin import kernel_resources, sections_data

PTX_TEXT = ".nv_debug_ptx_txt"
_SECTION = re.compile(r"^\.text\.(\S+):")
_LINE = re.compile(r'^\s*//## File "([^"]*)", line (\d+)')
_LABEL = re.compile(r"^(\.L_x_\d+):")
_INSTRUCTION = re.compile(r"^\s*/\*([0-9a-f]+)\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)\s*(.*?)\s*;")
_TARGET = re.compile(r"`\((\.L_x_\d+)\)")
KINDS = {
    "LDG": ("load", "global"), "LD": ("load", "generic"), "LDS": ("load", "shared"),
    "LDL": ("load", "local"), "STG": ("store", "global"), "ST": ("store", "generic"),
    "STS": ("store", "shared"), "STL": ("store", "local"), "ATOMG": ("atomic", "global"),
    "ATOM": ("atomic", "generic"), "ATOMS": ("atomic", "shared"), "RED": ("reduction", "global"),
    "REDG": ("reduction", "global"), "LDGSTS": ("copy", "global"), "LDSM": ("load", "shared"),
    "STSM": ("store", "shared"),
}  # fmt: skip
WIDTHS = {"U8": 1, "S8": 1, "U16": 2, "S16": 2, "64": 8, "128": 16}


@dataclass(frozen=True)
class MachineAccess:
    """One machine instruction that touches memory."""

    opcode: str  # "LDS.128"
    kind: str  # "load", "store", "atomic", "reduction", "copy"
    space: str  # "global", "shared", "local", "generic"
    nbytes: int  # a lane
    ptx_line: int  # 0 where unknown
    depth: int  # how many loops it is in


@dataclass(frozen=True)
class MachineCode:
    """One kernel's machine code, with the functions it may call."""

    kernel: str
    instructions: int  # without the padding at the end
    registers: int  # a thread
    local_bytes: int  # a thread
    ptx: str  # digest of the PTX that the line numbers are of
    accesses: tuple[MachineAccess, ...]


def machine_code(cubin: bytes, kernel: str) -> MachineCode | None:
    """The machine code of ``kernel``; None without ``nvdisasm`` or a table of PTX lines.

    Warns, and gives None, when the tool is there and cannot read ``cubin``.
    """
    is_elf = cubin.startswith(b"\x7fELF")
    if not is_elf or find_nvdisasm() is None or len(sections_data(cubin, PTX_TEXT)) != 1:
        return None  # a cubin linked of several PTX has several numberings
    key = digest(Path(__file__).read_bytes(), cubin)
    listed = cached("machine", key, lambda: _encoded(cubin))
    found = json.loads(listed).get(kernel)
    if found is None:
        return None
    accesses = tuple(MachineAccess(**access) for access in found.pop("accesses"))
    return MachineCode(accesses=accesses, **found)


@functools.cache
def find_nvdisasm() -> Path | None:
    """The disassembler: of this Python's packages, on the path, or of a system's toolkit."""
    spec = importlib.util.find_spec("nvidia")
    roots = list(spec.submodule_search_locations or []) if spec is not None else []
    found = [path for root in roots for path in sorted(Path(root).glob("*/bin/nvdisasm"))]
    on_path = shutil.which("nvdisasm")
    found += [Path(on_path)] if on_path else []
    found += [Path("/usr/local/cuda/bin/nvdisasm")]
    return next((path for path in found if path.is_file()), None)


def ptx_digest(ptx: str) -> str:
    """What PTX shares with the copy of it that a cubin holds: instructions, and their lines.

    The copy lacks comments, indentation and directives that say where code came from.
    """
    plain = (" ".join(line.partition("//")[0].split()) for line in ptx.split("\n"))
    numbered = (f"{n} {line}" for n, line in enumerate(plain) if ";" in line and line[0] != ".")
    return digest("\n".join(numbered).encode())


def _encoded(cubin: bytes) -> bytes:
    (raw,) = sections_data(cubin, PTX_TEXT).values()
    text = raw.decode(errors="replace").replace("\0", "\n")
    ptx, resources = ptx_digest(text), kernel_resources(cubin)
    functions = {name: _accesses(lines) for name, lines in _sections(_listing(cubin))}
    shared = [a for name, (_, found) in functions.items() if name not in resources for a in found]
    codes = {
        name: MachineCode(
            name, count, resources[name].registers, resources[name].local_bytes, ptx,
            (*accesses, *shared),
        )
        for name, (count, accesses) in functions.items()
        if name in resources
    }  # fmt: skip
    return json.dumps({name: asdict(code) for name, code in codes.items()}).encode()


def _listing(cubin: bytes) -> str:
    tool = find_nvdisasm()
    assert tool is not None
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        command = [str(tool), "-gp", "-c", file.name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        why = (done.stderr or done.stdout).strip().split("\n")[0]
        warnings.warn(
            f"{tool} cannot read a cubin ({why}); accesses are counted as the PTX has them. "
            "Install a newer nvidia-cuda-nvdisasm",
            stacklevel=2,
        )
        return ""
    return done.stdout


def _sections(listing: str) -> Iterator[tuple[str, list[str]]]:
    """Each function's name and its part of a listing."""
    name, lines = "", list[str]()
    for line in listing.split("\n"):
        if match := _SECTION.match(line):
            if name:
                yield name, lines
            name, lines = match[1], []
        else:
            lines.append(line)
    if name:
        yield name, lines


def _accesses(lines: list[str]) -> tuple[int, list[MachineAccess]]:
    """How many instructions a function has, and those that touch memory."""
    found: list[tuple[int, str, int]] = []  # address, opcode, PTX line
    labels: dict[str, int] = {}
    branches: list[tuple[int, str]] = []
    pending: list[str] = []
    ptx_line = count = 0
    for line in lines:
        if match := _LINE.match(line):
            ptx_line = int(match[2]) if match[1].startswith(PTX_TEXT) else 0
        elif match := _LABEL.match(line):
            pending.append(match[1])
        elif match := _INSTRUCTION.match(line):
            address, opcode = int(match[1], 16), match[2]
            labels |= dict.fromkeys(pending, address)
            pending.clear()
            count += opcode != "NOP"
            if opcode.startswith("BRA") and (target := _TARGET.search(match[3])):
                branches.append((address, target[1]))
            if opcode.partition(".")[0] in KINDS:
                found.append((address, opcode, ptx_line))
    loops = {(labels[t], at) for at, t in branches if labels.get(t, at) < at}
    # one loop may have several turns back: its head counts
    heads: dict[int, int] = {}
    for head, last in loops:
        heads[head] = max(heads.get(head, 0), last)
    return count, [_access(address, opcode, line, heads) for address, opcode, line in found]


def _access(address: int, opcode: str, line: int, loops: Mapping[int, int]) -> MachineAccess:
    base, *suffixes = opcode.split(".")
    kind, space = KINDS[base]
    nbytes = next((WIDTHS[s] for s in suffixes if s in WIDTHS), 4)
    depth = sum(head <= address <= last for head, last in loops.items())
    return MachineAccess(opcode, kind, space, nbytes, line, depth)
