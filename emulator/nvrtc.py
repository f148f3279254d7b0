"""CUDA C++ to PTX and cubin by NVRTC. Needs no GPU: compiler and headers come as packages."""

from __future__ import annotations

import functools
import importlib.util
import json
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from emulator.cache import cached, digest
from emulator.errors import CompileError
from emulator.host_code import HEADERS

STANDARD = ("-std=c++17", "-lineinfo", "-default-device")


@dataclass(frozen=True)
class Compiled:
    """What one compilation made."""

    ptx: str
    cubin: bytes
    mangled: Mapping[str, str] = field(default_factory=dict)  # by the name that was asked for


@functools.cache
def include_folders() -> tuple[str, ...]:
    """The toolkit's headers (``cuda_fp16.h``, ``mma.h``, libcu++), wherever the packages are."""
    found: list[Path] = []
    spec = importlib.util.find_spec("nvidia")
    if spec is not None and spec.submodule_search_locations:
        for root in spec.submodule_search_locations:
            found += sorted(Path(root).glob("*/include"))
    folders = [
        folder
        for include in found
        for folder in (include, include / "cccl")
        if (folder / "cuda_fp16.h").exists() or (folder / "cuda" / "std").exists()
    ]
    if not any((folder / "cuda_fp16.h").exists() for folder in folders):
        toolkit = Path("/usr/local/cuda/include")  # a system toolkit, where no packages are
        if (toolkit / "cuda_fp16.h").exists():
            folders += [f for f in (toolkit, toolkit / "cccl") if f.exists()]
    return tuple(str(folder) for folder in folders)


@functools.cache
def version() -> tuple[int, int]:
    """NVRTC's version, such as (13, 0)."""
    major, minor = _check(_bindings().nvrtcVersion())
    return int(major), int(minor)


def compile_cuda(
    source: str,
    name: str,
    arch: str,
    options: Sequence[str] = (),
    folder: Path | None = None,
    instances: Sequence[str] = (),
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Compiled:
    """Compile ``source``, shown as ``name`` in messages, for ``arch`` ("sm_90").

    ``folder`` is where ``#include "..."`` looks first. ``instances`` are kernels of templates to
    make, as C++ names them (``"scale<float>"``). ``headers`` are texts by the name that is
    included, before any file. A ``-std`` among ``options`` replaces C++17.
    Raises :class:`CompileError` with NVRTC's log.
    """
    nvrtc = _bindings()
    everything = [f"-arch={arch}", *STANDARD, *options]
    if any(option.startswith(("-std", "--std")) for option in options):
        everything.remove(STANDARD[0])
    if folder is not None:
        everything.append(f"-I{folder}")
    everything += [f"-I{path}" for path in include_folders()]
    encoded = [option.encode() for option in everything]
    texts = {**HEADERS, **headers}
    names = [header.encode() for header in texts]
    program = _check(
        nvrtc.nvrtcCreateProgram(
            source.encode(), name.encode(), len(names), list(map(str.encode, texts.values())), names
        )
    )
    try:
        for instance in instances:
            _check(nvrtc.nvrtcAddNameExpression(program, instance.encode()))
        status = nvrtc.nvrtcCompileProgram(program, len(encoded), encoded)[0]
        if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
            size = _check(nvrtc.nvrtcGetProgramLogSize(program))
            log = _text(nvrtc.nvrtcGetProgramLog, program, size).decode(errors="replace")
            raise CompileError(_readable(log, name) or f"NVRTC: {status.name}")
        ptx = _text(nvrtc.nvrtcGetPTX, program, _check(nvrtc.nvrtcGetPTXSize(program)))
        cubin = b""
        if arch.startswith("sm_"):
            size = _check(nvrtc.nvrtcGetCUBINSize(program))
            cubin = _text(nvrtc.nvrtcGetCUBIN, program, size)
        mangled = {
            i: _check(nvrtc.nvrtcGetLoweredName(program, i.encode())).decode() for i in instances
        }
        return Compiled(ptx.rstrip(b"\0 \n").decode(), cubin, mangled)
    finally:
        nvrtc.nvrtcDestroyProgram(program)


@dataclass(frozen=True)
class Recipe:
    """How a CUDA C++ program is compiled: enough to do it again for another chip."""

    source: str
    name: str
    options: tuple[str, ...]
    folder: Path | None
    instances: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()  # texts by name, before any file

    def included(self) -> dict[str, str]:
        """The files that ``#include "..."`` finds beside the source, and theirs: text by name."""
        return {path.name: text for path, text in _headers(self.source, self.folder, {}).items()}

    def compile(self, arch: str) -> Compiled:
        """Compile, or take from the cache."""
        key = digest(
            repr(version()).encode(), arch.encode(), self.name.encode(),
            repr((self.options, self.instances, self.headers)).encode(), self.source.encode(),
            repr(self.included()).encode(),
        )  # fmt: skip

        def make() -> bytes:
            done = compile_cuda(
                self.source, self.name, arch, self.options, self.folder, self.instances,
                dict(self.headers),
            )  # fmt: skip
            return json.dumps(
                {
                    "ptx": done.ptx,
                    "cubin": b64encode(done.cubin).decode(),
                    "mangled": dict(done.mangled),
                }
            ).encode()

        stored = json.loads(cached("programs", key, make))
        return Compiled(stored["ptx"], b64decode(stored["cubin"]), stored["mangled"])


def _headers(source: str, folder: Path | None, found: dict[Path, str]) -> dict[Path, str]:
    """``found``, and what ``source`` includes from its folder, and what that includes."""
    if folder is None:
        return found
    for name in re.findall(r'^\s*#\s*include\s+"([^"]+)"', source, re.MULTILINE):
        path = (folder / name).resolve()
        if path.is_file() and path not in found:
            found[path] = path.read_text(errors="replace")
            _headers(found[path], path.parent, found)
    return found


def _bindings() -> Any:
    """NVRTC's Python bindings: imported late, because only compiling needs them."""
    try:
        from cuda.bindings import nvrtc
    except ImportError as error:
        raise CompileError(
            f"NVIDIA's compiler is not installed ({error}): `pip install 'cuda-bindings>=13,<14' "
            "nvidia-cuda-nvrtc nvidia-cuda-runtime`. PTX files need no compiler"
        ) from None
    return nvrtc


def _text(get: Any, program: Any, size: int) -> bytes:
    buffer = b" " * size
    _check(get(program, buffer))
    return buffer


def _check(result: Any) -> Any:
    status, *rest = result
    if status.value != 0:
        raise CompileError(f"NVRTC failed: {status.name}")
    return rest[0] if len(rest) == 1 else rest


def _readable(log: str, name: str) -> str:
    """NVRTC's log without the folder in front of the learner's file name."""
    text = log.rstrip("\0 \n")
    return re.sub(rf"(?m)^\S*/(?={re.escape(name)}\()", "", text)
