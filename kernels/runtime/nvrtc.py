"""CUDA C++ to PTX and cubin by NVRTC. Needs no GPU: compiler and headers come as packages."""

from __future__ import annotations

import functools
import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernels.runtime.errors import CompileError

STANDARD = ("-std=c++17", "-lineinfo", "-default-device")


@dataclass(frozen=True)
class Compiled:
    """What one compilation made."""

    ptx: str
    cubin: bytes


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
    from cuda.bindings import nvrtc

    major, minor = _check(nvrtc.nvrtcVersion())
    return int(major), int(minor)


def compile_cuda(
    source: str, name: str, arch: str, options: Sequence[str] = (), folder: Path | None = None
) -> Compiled:
    """Compile ``source``, shown as ``name`` in messages, for ``arch`` ("sm_90").

    ``folder`` is where ``#include "..."`` looks first. Raises :class:`CompileError` with NVRTC's
    log.
    """
    from cuda.bindings import nvrtc

    everything = [f"-arch={arch}", *STANDARD, *options]
    if folder is not None:
        everything.append(f"-I{folder}")
    everything += [f"-I{path}" for path in include_folders()]
    encoded = [option.encode() for option in everything]
    program = _check(nvrtc.nvrtcCreateProgram(source.encode(), name.encode(), 0, [], []))
    try:
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
        return Compiled(ptx.rstrip(b"\0 \n").decode(), cubin)
    finally:
        nvrtc.nvrtcDestroyProgram(program)


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
