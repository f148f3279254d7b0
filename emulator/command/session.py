"""One launch as the command line asks for it, from the file to the report."""

from __future__ import annotations

import argparse
import contextlib
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from emulator.arch import A100, H100, Arch
from emulator.command import bind, wording
from emulator.command.progress import Progress
from emulator.command.source import Loaded, choose, load, shown_name
from emulator.command.usage import UsageError
from emulator.command.values import Argument, parse_argument
from emulator.errors import DeviceFault, EmulatorError
from emulator.launch import check_launch, launch
from emulator.memory import DeviceMemory
from emulator.module import Kernel
from emulator.report import Dim3, Finding, Report
from emulator.sass import machine_code
from emulator.signature import Parameter, parameters_of

ARCHS: dict[str, Arch] = {"h100": H100, "a100": A100}


@dataclass
class Session:
    """A launch that is ready to go, and later what came of it."""

    path: Path
    loaded: Loaded
    kernel: Kernel
    parameters: tuple[Parameter, ...]
    grid: Dim3
    block: Dim3
    shared_bytes: int
    arch: Arch
    registers: int | None
    memory: DeviceMemory
    params: bytes
    arrays: list[bind.DeviceArray]
    timeout_s: float | None
    async_copies: str
    shuffle: int | None
    cores: int | None
    cooperative: bool
    cluster: Dim3 | None
    report: Report | None = None
    seconds: float = 0.0
    faults: list[Finding] = field(default_factory=list)  # of a launch that one ended: the last

    @property
    def name(self) -> str:
        return shown_name(self.kernel)

    @property
    def signature(self) -> str:
        return bind.signature(self.kernel, self.parameters)

    @property
    def findings(self) -> list[Finding]:
        """What checks saw, then what ended the launch."""
        seen = [self._readable(finding) for finding in self.report.findings] if self.report else []
        return seen + self.faults

    def _readable(self, finding: Finding) -> Finding:
        """A finding that calls the kernel what its author calls it."""
        return replace(finding, message=finding.message.replace(self.kernel.name, self.name))

    @property
    def errors(self) -> list[Finding]:
        """The findings that are more than remarks."""
        return [finding for finding in self.findings if finding.severity == "error"]

    def run(
        self, *, counters: bool = False, checks: Sequence[str] = (), quiet: bool, json: bool
    ) -> None:
        """Launch. A fault is kept in ``faults``, and raised again."""
        _ = self.kernel.address  # compiled: what is timed is the run
        cubin = self.loaded.cubin
        started = time.perf_counter()
        try:
            with Progress(self.name, quiet) as progress, _printing(json):
                self.report = launch(
                    self.kernel, self.grid, self.block, self.params, self.memory,
                    shared_bytes=self.shared_bytes, counters=counters, arch=self.arch,
                    registers=self.registers, timeout_s=self.timeout_s,
                    argument_names=tuple(p.name for p in self.parameters), progress=progress,
                    machine_code=machine_code(cubin, self.kernel.name) if counters else None,
                    checks=tuple(checks),
                    async_copies=self.async_copies, seed=self.shuffle, cores=self.cores,
                    cooperative=self.cooperative, cluster=self.cluster,
                )  # fmt: skip
        except DeviceFault as fault:
            self.faults = [self._readable(f) for f in (*fault.before, fault.finding)]
            raise DeviceFault(self.faults[-1]) from None
        except EmulatorError as error:
            raise type(error)(str(error).replace(self.kernel.name, self.name)) from None
        finally:
            self.seconds = time.perf_counter() - started


def prepare(options: argparse.Namespace, command: str) -> Session:
    """Compile, choose, check and copy in. Raises UsageError and EmulatorError."""
    arch = ARCHS[options.arch]
    arguments = [parse_argument(text) for text in options.arguments]
    loaded = load(options.file, arch, _compiler_options(options), options.kernel)
    kernel = choose(loaded, options.kernel)
    parameters = tuple(
        p if p.name.isidentifier() else replace(p, name=f"arg{number}")
        for number, p in enumerate(parameters_of(kernel, loaded.source), 1)
    )
    grid, block = _shapes(options, command, kernel, parameters)
    pairs = bind.match(kernel, parameters, arguments)
    _check_names(options, kernel, parameters, arguments)
    resources = loaded.resources.get(kernel.name)
    registers = resources.registers if resources else None
    check_launch(
        kernel, grid, block, bytes(kernel.parameter_bytes), options.shared, arch, registers
    )
    memory = DeviceMemory()
    params, arrays = bind.place(kernel, parameters, pairs, memory, options.seed)
    return Session(
        options.file, loaded, kernel, parameters, grid, block, options.shared, arch, registers,
        memory, params, arrays, options.timeout, options.async_copies, options.shuffle,
        options.cores, options.cooperative, options.cluster,
    )  # fmt: skip


def _compiler_options(options: argparse.Namespace) -> list[str]:
    words = [f"-D{define}" for define in options.define]
    words += [f"-I{folder}" for folder in options.include]
    if options.std:
        words.append(f"-std={options.std}")
    return words + list(options.option)


def _shapes(
    options: argparse.Namespace, command: str, kernel: Kernel, parameters: Sequence[Parameter]
) -> tuple[Dim3, Dim3]:
    grid, block = options.grid, options.block
    if block is None and kernel.required_block:
        x, y, z = (*kernel.required_block, 1, 1)[:3]
        block = (x, y, z)
    if grid is not None and block is not None:
        return grid, block
    missing = " and ".join(
        what
        for what, shape in (("--grid (blocks)", grid), ("--block (threads of a block)", block))
        if shape is None
    )
    words = ["python -m emulator", command, shlex.quote(str(options.file))]
    if options.kernel:
        words.append(f"--kernel {shlex.quote(options.kernel)}")
    words.append("--grid " + (_axes(grid) if grid else "4"))
    words.append("--block " + (_axes(block) if block else "256"))
    given = " ".join(shlex.quote(text) for text in options.arguments)
    words.append(given or bind.example(parameters))
    raise UsageError(
        f"say {missing}: {bind.signature(kernel, parameters)} does not tell. For example:\n  "
        + " ".join(word for word in words if word)
    )


def _axes(shape: Dim3) -> str:
    return wording.shape(shape).replace(" x ", ",")


def _check_names(
    options: argparse.Namespace,
    kernel: Kernel,
    parameters: Sequence[Parameter],
    arguments: Sequence[Argument],
) -> None:
    """``--show`` and ``--save`` name arrays that are there, said before anything runs."""
    names = [a.name or p.name for p, a in bind.match(kernel, parameters, arguments)]
    for option, wanted in (("--show", options.show), ("--save", [n for n, _ in options.save])):
        for name in wanted:
            if name not in names and (option, name) != ("--show", "all"):
                raise UsageError(
                    f"{option} {name}: there is no such argument; there are "
                    f"{', '.join(names) or 'none'}"
                )


@contextlib.contextmanager
def _printing(to_stderr: bool) -> Iterator[None]:
    """Where the kernel's printf goes: standard output is the JSON document's."""
    with contextlib.redirect_stdout(sys.stderr) if to_stderr else contextlib.nullcontext():
        yield
