"""Compiled modules: kernels, their parameters, their code, their variables."""

from __future__ import annotations

import contextlib
import difflib
import functools
import gc
import math
import struct
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from emulator import cfg
from emulator.cache import cached
from emulator.errors import EmulatorError, PtxError
from emulator.lower import lower_kernel
from emulator.lower.frame import Frame
from emulator.lower.kernel import KERNEL_SYMBOL
from emulator.lower.stackplan import StackPlan, plan_stack
from emulator.lower.warp import parameter_offsets
from emulator.memory import Allocation, DeviceMemory
from emulator.native import jit
from emulator.ptx import Function, Instruction, PtxModule, Symbol, Variable, parse
from emulator.ptx.syntax import TYPE_BITS
from emulator.ptx.tokens import shortened

FLOAT_FORMATS = {2: "<e", 4: "<f", 8: "<d"}  # by bytes
LARGE_BLOCKS, LARGE = 500, 15_000  # basic blocks and instructions of kernels compiled in haste
MAX_CONSTANT_BYTES = 10 * 65536  # banks of constant memory


class UnknownKernel(EmulatorError, KeyError):
    """A module has no kernel of that name."""

    __str__ = Exception.__str__  # KeyError's would put the message in quotes


@dataclass(frozen=True)
class Parameter:
    """A kernel parameter as PTX declares it; ``offset`` is its place in the parameter block."""

    name: str
    type: str
    offset: int
    nbytes: int
    align: int

    @property
    def is_pointer_sized(self) -> bool:
        return self.nbytes == 8 and self.type in ("u64", "b64", "s64")


@dataclass(frozen=True)
class SourceLine:
    """A line of the source a kernel was compiled from."""

    file: str
    line: int
    text: str


class Module:
    """A PTX module.

    ``sources`` maps the file names that the PTX's ``.file`` directives give to their text, for
    messages and line reports. Raises :class:`PtxError` for text that is not PTX.
    """

    def __init__(self, ptx: str, sources: Mapping[str, str] | None = None) -> None:
        self.ptx = ptx
        self.sources = dict(sources or {})
        self.syntax: PtxModule = parse(ptx)
        self.kernels: dict[str, Kernel] = {
            name: Kernel(self, function)
            for name, function in self.syntax.functions.items()
            if function.is_entry and function.has_body
        }
        self._variables: weakref.WeakKeyDictionary[DeviceMemory, dict[str, Allocation]] = (
            weakref.WeakKeyDictionary()
        )

    def __getitem__(self, name: str) -> Kernel:
        if name not in self.kernels:
            close = difflib.get_close_matches(name, self.kernels, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            have = ", ".join(sorted(self.kernels)) or "none"
            raise UnknownKernel(f"no kernel {name!r} in this module (it has: {have}){hint}")
        return self.kernels[name]

    @functools.cached_property
    def global_variables(self) -> tuple[Variable, ...]:
        """Variables in global and constant memory, in the order of their symbol index."""
        at_module_level = self.syntax.variables.values()
        in_functions = [v for f in self.syntax.functions.values() for v in f.variables.values()]
        return tuple(v for v in (*at_module_level, *in_functions) if v.space in ("global", "const"))

    def variables_in(self, memory: DeviceMemory) -> dict[str, Allocation]:
        """This module's ``__device__`` and ``__constant__`` variables, loaded once a memory."""
        loaded = self._variables.get(memory)
        if loaded is None:
            loaded = {}
            constant = sum(v.nbytes for v in self.global_variables if v.space == "const")
            if constant > MAX_CONSTANT_BYTES:
                raise PtxError(
                    f"{constant:,} bytes of constant memory; a GPU has {MAX_CONSTANT_BYTES:,}"
                )
            for variable in self.global_variables:
                loaded[variable.name] = memory.allocate(
                    max(variable.nbytes, 1), variable.name, max(variable.align, 16),
                    poison=False, writable=variable.space == "global",
                )  # fmt: skip
            for variable in self.global_variables:
                _initialise(variable, loaded, self.syntax.function_addresses())
            self._variables[memory] = loaded
        return loaded

    def source_line(self, inst: Instruction) -> SourceLine | None:
        """The line an instruction came from: the reader's own, where a header was inlined."""
        location = inst.location
        while location is not None:
            file = self.syntax.files.get(location.file, "")
            if file in self.sources or location.inlined_at is None:
                lines = self.sources.get(file, "").split("\n")
                inside = 0 < location.line <= len(lines)
                return SourceLine(file, location.line, lines[location.line - 1] if inside else "")
            location = location.inlined_at
        return None


def _initialise(
    variable: Variable, loaded: dict[str, Allocation], functions: Mapping[str, int]
) -> None:
    allocation = loaded[variable.name]
    allocation.memory.clear(allocation)
    if variable.initial is None:
        return
    width = max(TYPE_BITS[variable.type] // 8, 1)
    packed = bytearray()
    for value in variable.initial:
        if isinstance(value, Symbol):
            if value.name in loaded:
                value = loaded[value.name].address + value.offset
            elif value.name in functions:
                value = functions[value.name] + value.offset
            else:
                raise PtxError(f"variable {variable.name!r} points at unknown {value.name!r}")
        if isinstance(value, float):
            packed += _float_bytes(variable, width, value)
        else:
            packed += (value & ((1 << 8 * width) - 1)).to_bytes(width, "little")
    if len(packed) > variable.nbytes:
        raise PtxError(f"variable {variable.name!r} has more initial values than elements")
    allocation.view()[: len(packed)] = memoryview(packed)


def _float_bytes(variable: Variable, width: int, value: float) -> bytes:
    if width not in FLOAT_FORMATS or variable.type[0] in "us":
        raise PtxError(f"variable {variable.name!r} of {variable.type} starts as {value}")
    try:
        return struct.pack(FLOAT_FORMATS[width], value)
    except OverflowError:  # beyond the type's range
        return struct.pack(FLOAT_FORMATS[width], math.copysign(math.inf, value))


class Kernel:
    """One kernel of a module; compiled to native code when first launched."""

    def __init__(self, module: Module, function: Function) -> None:
        self.module = module
        self.function = function
        self.name = function.name
        offsets = parameter_offsets(function)
        self.parameters = tuple(
            Parameter(p.name, p.type, offsets[p.name], p.nbytes, p.align)
            for p in function.parameters
        )
        last = self.parameters[-1] if self.parameters else None
        self.parameter_bytes = last.offset + last.nbytes if last else 0
        self.max_threads = function.max_threads
        self.required_block = function.required_block
        self.required_cluster = function.required_cluster

    @functools.cached_property
    def graph(self) -> cfg.Graph:
        try:
            return cfg.build(self.module.syntax, self.function)
        except RecursionError:
            raise PtxError(
                f"kernel {shortened(self.name)!r}: its calls or loops are nested too deeply"
            ) from None

    @functools.cached_property
    def functions(self) -> tuple[Function, ...]:
        """The kernel and what it can call, callees first."""
        return tuple(self.module.syntax.functions[name] for name in self.graph.entries)

    @functools.cached_property
    def frame(self) -> Frame:
        return Frame(self.graph, self.functions)

    @functools.cached_property
    def instructions(self) -> tuple[Instruction, ...]:
        """All reachable functions' instructions; an index here is a site."""
        return tuple(i for f in self.functions for i in f.instructions)

    @functools.cached_property
    def sites(self) -> dict[tuple[str, int], int]:
        numbers: dict[tuple[str, int], int] = {}
        for function in self.functions:
            for index in range(len(function.instructions)):
                numbers[function.name, index] = len(numbers)
        return numbers

    @functools.cached_property
    def _shared(self) -> tuple[dict[str, int], int]:
        """Offsets of shared variables, dynamic ones behind the static ones; static bytes."""
        own = [v for f in self.functions for v in f.variables.values()]
        used = _named(self.instructions)
        variables = [
            v
            for v in (*self.module.syntax.variables.values(), *own)
            if v.space == "shared" and (v.name in used or v in own)
        ]
        offsets: dict[str, int] = {}
        size = 0
        for variable in variables:
            if variable.count is not None:
                size = -(-size // variable.align) * variable.align
                offsets[variable.name] = size
                size += variable.nbytes
        dynamic = [v for v in variables if v.count is None]
        if dynamic:
            align = max(16, *(v.align for v in dynamic))
            size = -(-size // align) * align
            offsets.update({v.name: size for v in dynamic})
        return offsets, size

    @property
    def shared_offsets(self) -> dict[str, int]:
        return self._shared[0]

    @property
    def static_shared_bytes(self) -> int:
        return self._shared[1]

    @functools.cached_property
    def plan(self) -> StackPlan:
        """How calls of functions on the stack go."""
        return plan_stack(self.module.syntax, self.graph, self.frame)

    @property
    def local_bytes(self) -> int:
        """Local memory of one thread, without the stack."""
        return self.frame.local_bytes

    @functools.cached_property
    def reads_reserved_shared(self) -> bool:
        """Whether the kernel asks where the system's part of shared memory lies."""
        return any("%reserved_smem" in inst.text for inst in self.instructions)

    @functools.cached_property
    def waits_for_clusters(self) -> bool:
        """Whether the kernel has a barrier of clusters."""
        return any(i.opcode == "barrier" and i.has("cluster") for i in self.instructions)

    @property
    def symbols(self) -> dict[str, int]:
        return {v.name: i for i, v in enumerate(self.module.global_variables)}

    @functools.cached_property
    def address(self) -> int:
        """Where the compiled kernel is, compiling it (or taking it from the cache) first."""
        key = jit.code_key(self.module.ptx, self.name)
        return jit.link_kernel(cached("code", key, self._compile), KERNEL_SYMBOL)

    def _compile(self) -> bytes:
        from llvmlite import ir

        # LLVM's time grows faster than these
        is_large = len(self.graph.blocks) > LARGE_BLOCKS or len(self.instructions) > LARGE
        module = ir.Module(name=self.name)
        with _without_collecting():
            lower_kernel(
                module, self.graph, self.frame, self.function, self.symbols,
                self.shared_offsets, self.plan, self.sites,
            )  # fmt: skip
        try:
            return jit.compile_object(module, jit.machine().target, optimise=not is_large)
        except RuntimeError as error:  # LLVM refuses operations on the wrong kind of value
            what = str(error).strip().split("\n")[-1] if str(error) else "invalid"
            raise PtxError(
                f"kernel {self.name!r}: an instruction's operands do not fit its type: {what}"
            ) from error


@contextlib.contextmanager
def _without_collecting() -> Iterator[None]:
    """Lowering makes a great many small objects, none of them garbage before it ends."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _named(instructions: tuple[Instruction, ...]) -> set[str]:
    """Names of variables that instructions mention."""
    from emulator.ptx import Address

    found: set[str] = set()
    for inst in instructions:
        for operand in (*inst.operands, *inst.arguments):
            if isinstance(operand, Symbol):
                found.add(operand.name)
            elif isinstance(operand, Address) and isinstance(operand.base, Symbol):
                found.add(operand.base.name)
    return found
