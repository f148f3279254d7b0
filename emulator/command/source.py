"""A file to kernels: CUDA C++ through NVRTC, PTX as it stands."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emulator.arch import Arch
from emulator.command.program import compile_program
from emulator.command.usage import UsageError
from emulator.cubin import Resources, kernel_resources
from emulator.demangle import demangle, function_name, last_name
from emulator.errors import CompileError
from emulator.module import Kernel, Module
from emulator.ptx.parse import MAX_PTX_BYTES
from emulator.signature import plain_name

MAX_SOURCE_BYTES = 16 << 20
TEMPLATE = re.compile(r"\btemplate\s*<[^;{}]*?>[^;{}]*?\b__global__\b[^;{}]*?\b(\w+)\s*\(")


@dataclass(frozen=True)
class Loaded:
    """A file's kernels, and the text that their parameters are declared in."""

    path: Path
    module: Module
    source: str  # CUDA C++, "" for PTX
    resources: dict[str, Resources]  # by kernel; empty for PTX
    instances: dict[str, str]  # mangled names, by how C++ names a template's kernel
    cubin: bytes = b""  # empty for PTX


def load(path: Path, arch: Arch, options: Sequence[str] = (), wanted: str | None = None) -> Loaded:
    """Read and, where it is CUDA C++, compile a file.

    ``wanted`` is the kernel to come: ``scale<float>`` makes that one of a template. Raises
    :class:`UsageError`, :class:`CompileError` with the compiler's log, :class:`PtxError`.
    """
    text = _read(path)
    if _is_ptx(path, text):
        if options:
            raise UsageError(f"{path} is PTX: {options[0]} and its like are for compiling C++")
        module = Module(text)
        _find_sources(module, path)
        return Loaded(path, module, "", {}, {})
    instances = (wanted,) if wanted is not None and "<" in wanted else ()
    major, minor = arch.compute_capability
    try:
        compiled = compile_program(text, path, options, instances, f"sm_{major}{minor}")
    except CompileError as error:
        raise CompileError(_about_instance(str(error), wanted or "")) from None
    module = Module(compiled.ptx)
    for number, name in module.syntax.files.items():
        if Path(name) == path.absolute():
            module.syntax.files[number] = str(path)
    module.sources[str(path)] = text
    _find_sources(module, path)
    resources = kernel_resources(compiled.cubin)
    return Loaded(path, module, text, resources, dict(compiled.mangled), compiled.cubin)


def choose(loaded: Loaded, wanted: str | None) -> Kernel:
    """The kernel of that name, or the only one. Raises :class:`UsageError` with the choice."""
    kernels = loaded.module.kernels
    if wanted is not None and wanted in loaded.instances:
        return kernels[loaded.instances[wanted]]
    if not kernels:
        raise UsageError(_no_kernels(loaded))
    if wanted is None:
        if len(kernels) == 1:
            return next(iter(kernels.values()))
        raise UsageError(f"{loaded.path} has several kernels; choose one:\n{_choice(kernels)}")
    if wanted in kernels:
        return kernels[wanted]
    names = {mangled: function_name(demangle(mangled)) for mangled in kernels}
    for same in (
        [m for m, name in names.items() if name == wanted],
        [m for m, name in names.items() if name.endswith(f"::{wanted}")],
        [m for m, name in names.items() if last_name(name) == wanted],
        [m for m in kernels if plain_name(m) == wanted],
    ):
        if len(same) == 1:
            return kernels[same[0]]
        if same:
            raise UsageError(
                f"{wanted!r} is the name of several kernels; choose one:\n"
                + _choice({m: kernels[m] for m in same})
            )
    if re.search(rf"\b{re.escape(wanted)}\b", " ".join(TEMPLATE.findall(loaded.source))):
        raise UsageError(
            f"{wanted!r} is a template: say which one, such as --kernel '{wanted}<float>'"
        )
    close = difflib.get_close_matches(wanted, [last_name(name) for name in names.values()], n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    raise UsageError(f"{loaded.path} has no kernel {wanted!r}.{hint} It has:\n{_choice(kernels)}")


def shown_name(kernel: Kernel) -> str:
    """A kernel's name as its author has it: ``ns::scale<float>``."""
    return function_name(demangle(kernel.name))


def _read(path: Path) -> str:
    try:
        size = path.stat().st_size
        if path.is_file() and size > MAX_PTX_BYTES:
            raise UsageError(f"{path} is {size:,} bytes; at most {MAX_PTX_BYTES:,} are read")
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    if data.startswith((b"\x7fELF", b"\x50\xed\x55\xba")):
        raise UsageError(
            f"{path} is machine code (a cubin or a fat binary); the software GPU runs CUDA C++ and "
            "PTX. nvcc --ptx, or cuobjdump -ptx, make PTX"
        )
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UsageError(f"{path} is not text: line {line} is not UTF-8") from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise UsageError(f"{path} is not text: line {line} holds a NUL character")
    return text


def _is_ptx(path: Path, text: str) -> bool:
    if path.suffix in (".cu", ".cuh", ".cpp", ".cc", ".h", ".hpp"):
        return False
    return path.suffix == ".ptx" or re.search(r"^\s*\.version\s", text, re.MULTILINE) is not None


def _find_sources(module: Module, path: Path) -> None:
    """Text of the files that line information names: the user's own, not the toolkit's."""
    folder = path.resolve().parent
    for number, name in list(module.syntax.files.items()):
        if name in module.sources:
            continue
        for candidate in (Path(name), folder / Path(name).name):
            if candidate.is_absolute() and not candidate.is_relative_to(folder):
                continue
            try:
                if candidate.is_file() and candidate.stat().st_size <= MAX_SOURCE_BYTES:
                    shown = _as_typed(candidate, folder, path)
                    module.sources[shown] = candidate.read_text()
                    module.syntax.files[number] = shown
                    break
            except (OSError, UnicodeDecodeError, ValueError):
                continue  # a report can do without: it then has line numbers only


def _as_typed(file: Path, folder: Path, path: Path) -> str:
    """``sub/tile.h`` for a header beside ``sub/kernel.cu``."""
    return str(path.parent / file.relative_to(folder)) if file.is_absolute() else str(file)


def _no_kernels(loaded: Loaded) -> str:
    templates = TEMPLATE.findall(loaded.source)
    if templates:
        return (
            f"{loaded.path} has kernels as templates only ({', '.join(dict.fromkeys(templates))}): "
            f"say which one, such as --kernel '{templates[0]}<float>'"
        )
    return f"{loaded.path} has no kernel: a __global__ function in C++, an .entry in PTX"


def _about_instance(log: str, wanted: str) -> str:
    """NVRTC reports a wrong ``--kernel 'name<...>'`` as an error in a file of its own."""
    match = re.search(r"__nv_name_map\(\d+\): error: (.*)", log)
    if match is None:
        return log
    return f"--kernel {wanted!r}: {match.group(1)}"


def _choice(kernels: dict[str, Kernel]) -> str:
    names = Counter(shown_name(kernel) for kernel in kernels.values())
    lines = []
    for kernel in kernels.values():
        name = shown_name(kernel)
        told = f"{kernel.name}  {demangle(kernel.name)}" if names[name] > 1 else _quoted(name)
        lines.append(f"  --kernel {told}")
    return "\n".join(lines)


def _quoted(name: str) -> str:
    return f"'{name}'" if re.search(r"[^\w:]", name) else name
