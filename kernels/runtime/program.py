"""Programs: device code for both devices, from CUDA C++ or from Numba."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

import emulator
from emulator.cubin import Resources, kernel_resources
from emulator.nvrtc import Recipe
from emulator.sass import MachineCode, machine_code
from emulator.signature import Parameter, parameters_of, plain_name
from kernels.runtime.errors import CompileError, UnknownKernel

DEFAULT_ARCH = "sm_90"
IN_MEMORY = "kernel.cu"  # the file name of a source that is not a file


class Program:
    """Compiled device code: PTX for the software GPU, a cubin for a real one.

    ``program["name"]`` is a kernel to launch.
    """

    def __init__(
        self,
        name: str,
        ptx: str,
        cubins: Mapping[str, bytes],
        sources: Mapping[str, str],
        recipe: Recipe | None = None,
    ) -> None:
        self.name = name
        self.ptx = ptx
        self.cubins = dict(cubins)
        self.sources = dict(sources)
        self.recipe = recipe

    @property
    def source(self) -> str:
        """The text of the main source file, "" when there is none."""
        return next(iter(self.sources.values()), "")

    @property
    def headers(self) -> Mapping[str, str]:
        """The text of what it includes from its folder, by name. Findings name who includes it."""
        return self.recipe.included() if self.recipe else {}

    @functools.cached_property
    def module(self) -> emulator.Module:
        """The PTX, read."""
        module = emulator.Module(self.ptx)
        # PTX names files as the compiler saw them; messages want them as the reader does.
        for number, path in list(module.syntax.files.items()):
            name = Path(path).name
            if name in self.sources:
                module.syntax.files[number] = name
        module.sources.update(self.sources)
        return module

    @functools.cached_property
    def resources(self) -> Mapping[str, Resources]:
        """Registers and local memory by kernel, from any cubin there is."""
        return kernel_resources(next(iter(self.cubins.values()), b""))

    def cubin(self, arch: str) -> bytes:
        """Machine code for ``arch`` ("sm_90"), compiling it if it is not there.

        Code for one chip alone ("sm_90a") is for that chip; another raises :class:`CompileError`.
        """
        if f"{arch}a" in self.cubins:
            return self.cubins[f"{arch}a"]
        if arch not in self.cubins and (alone := [one for one in self.cubins if one[-1] == "a"]):
            raise CompileError(
                f"{self.name} uses instructions that only {alone[0]} has; this GPU is {arch}"
            )
        if arch not in self.cubins:
            if self.recipe is None:
                have = ", ".join(self.cubins) or "none"
                raise CompileError(f"{self.name} has machine code for {have}, not for {arch}")
            self.cubins[arch] = self.recipe.compile(arch).cubin
        return self.cubins[arch]

    @functools.cached_property
    def kernels(self) -> Mapping[str, KernelFunction]:
        """The kernels by name."""
        return {
            name: KernelFunction(
                self, name, parameters_of(kernel, self.source), self.resources.get(name)
            )
            for name, kernel in self.module.kernels.items()
        }

    def __getitem__(self, name: str) -> KernelFunction:
        if name in self.kernels:
            return self.kernels[name]
        plain = [k for k in self.kernels if plain_name(k) == name]
        if len(plain) == 1:
            return self.kernels[plain[0]]
        close = difflib.get_close_matches(name, self.kernels, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        have = ", ".join(sorted(self.kernels)) or "none: is there a __global__ function?"
        raise UnknownKernel(f"{self.name} has no kernel {name!r} (it has: {have}){hint}")

    def __repr__(self) -> str:
        return f"Program({self.name}: {', '.join(self.kernels)})"


class KernelFunction:
    """One kernel of a program, with what is known of its parameters."""

    def __init__(
        self,
        program: Program,
        name: str,
        parameters: tuple[Parameter, ...],
        resources: Resources | None,
    ) -> None:
        self.program = program
        self.name = name
        self.parameters = parameters
        self.resources = resources

    @property
    def code(self) -> emulator.Kernel:
        """The kernel as the software GPU has it."""
        return self.program.module[self.name]

    @functools.cached_property
    def machine_code(self) -> MachineCode | None:
        """What ptxas made of it, from any cubin there is; None without ``nvdisasm``."""
        return machine_code(next(iter(self.program.cubins.values()), b""), self.name)

    @property
    def static_shared_bytes(self) -> int:
        """Shared memory that the kernel declares with a size."""
        return self.code.static_shared_bytes

    def __repr__(self) -> str:
        shown = ", ".join(f"{p.ctype} {p.name}" for p in self.parameters)
        return f"{plain_name(self.name)}({shown})"


def cuda_program(
    source_or_path: str | Path,
    *,
    options: Sequence[str] = (),
    name: str | None = None,
    arch: str = DEFAULT_ARCH,
    folder: Path | None = None,
) -> Program:
    """Compile CUDA C++ with NVRTC. No GPU is needed.

    ``source_or_path`` is a file (a ``Path``, or text ending in ``.cu`` without a line break) or the
    source itself. ``options`` are NVRTC's (``"-DTILE=32"``). ``name`` is what messages call a
    source that is not a file. ``arch`` is what the PTX is for; machine code for another chip is
    compiled when it is needed. ``folder`` is where ``#include "..."`` looks first: by default that
    of the file.

    Raises :class:`CompileError`, whose message is the compiler's, with the source's own lines.
    """
    if _is_path(source_or_path):
        path = Path(source_or_path)
        try:
            source = path.read_text()
        except OSError as error:
            raise CompileError(f"cannot read {path}: {error.strerror}") from error
        folder, name = folder or path.resolve().parent, name or path.name
    else:
        source = str(source_or_path)
    file = name or IN_MEMORY
    if "\0" in source:
        raise CompileError(f"{file} holds a NUL character; it is not C++ source")
    recipe = Recipe(source, file, tuple(options), folder)
    compiled = recipe.compile(arch)
    return Program(file, compiled.ptx, {arch: compiled.cubin}, {file: source}, recipe)


def _is_path(given: str | Path) -> bool:
    return isinstance(given, Path) or ("\n" not in given and given.endswith((".cu", ".cuh")))
