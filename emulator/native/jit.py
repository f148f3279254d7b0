"""From LLVM IR to machine code, cached on disk by content."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import llvmlite
import llvmlite.binding as llvm
from llvmlite import ir

from emulator.cache import cached, digest
from emulator.native.arithmetic import arithmetic_names, define_arithmetic_routines
from emulator.native.checks import (
    CHECK_SIZES,
    check_global_name,
    check_window_name,
    define_check_routines,
)
from emulator.native.clusters import ENTRIES as CLUSTER_ENTRIES
from emulator.native.compiled import compiled_routine, entries
from emulator.native.deferred import SLOTS, deferred_names, define_deferred_routines
from emulator.native.moves import MOVES, WINDOW_LOAD, define_move_routines, has_permute, move_name
from emulator.native.products import define_product_routines, product_names
from emulator.native.rounding import define_rounding_routines, rounding_names
from emulator.native.rows import define_row_routines, row_names
from emulator.native.scheduler import define_scheduler
from emulator.native.target import target_machine
from emulator.native.transfers import define_transfer_routines, transfer_names

SCHEDULER_ENTRIES = ("coalesce_run_blocks", "coalesce_step_block")


@dataclass
class Machine:
    """This process's JIT: target, and the routines shared by all kernels."""

    jit: llvm.LLJIT
    target: llvm.TargetMachine
    routines: dict[str, int]  # name to address
    slots: ctypes.Array[ctypes.c_uint64]  # addresses of deferred routines; 0: not loaded
    trackers: list[object] = field(default_factory=list)  # keep compiled code alive
    lock: threading.Lock = field(default_factory=threading.Lock)


@functools.cache
def machine() -> Machine:
    """The JIT of this process, made on first use."""
    target = target_machine()
    jit = llvm.create_lljit_compiler(target_machine())
    names = [*routine_names(), *deferred_names()]
    key = code_key("routines")
    code = cached("code", key, lambda: compile_object(_routines_module(), target))
    builder = llvm.JITLibraryBuilder().add_object_img(code).add_current_process()
    builder.export_symbol(SLOTS)
    for name in names:
        builder.export_symbol(name)
    tracker = builder.link(jit, "coalesce_routines")
    count = len(deferred_names())
    slots = (ctypes.c_uint64 * count).from_address(tracker[SLOTS])
    made = Machine(jit, target, {name: tracker[name] for name in names}, slots)
    made.trackers.append(tracker)
    return made


def require(*files: str) -> None:
    """Load the routines of files of :mod:`emulator.native.compiled`, compiling what is new."""
    m = machine()
    called: set[str] = set()
    with m.lock:
        for index, name in enumerate(deferred_names()):
            if m.slots[index] or entries()[name][0] not in files:
                continue
            code = compiled_routine(name)
            called |= _units_called(code)
            builder = llvm.JITLibraryBuilder().add_object_img(code).add_current_process()
            for other in deferred_names():
                if other != name and _names(code, other):
                    builder.import_symbol(other, m.routines[other])
            tracker = builder.export_symbol(name).link(m.jit, f"{name}_itself")
            m.trackers.append(tracker)
            m.slots[index] = tracker[name]
    if called - {*files}:
        require(*called)


def loaded(name: str) -> Callable[..., None]:
    """A routine without a result that :func:`require` has loaded, to be called with integers."""
    _, (_, *arguments) = entries()[name]
    address = machine().slots[deferred_names().index(name)]
    return ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * len(arguments))(address)


def _units_called(code: bytes) -> set[str]:
    """Files of hardware units whose routines object code names. Watchers come with a launch."""
    called = {file for name, (file, _) in entries().items() if _names(code, name)}
    return {file for file in called if file.startswith("units.")}


def _names(code: bytes, name: str) -> bool:
    """Whether object code names a routine."""
    return name.encode() + b"\0" in code


def routine_names() -> list[str]:
    """Every routine that kernels or the scheduler need."""
    names = [check_global_name(n) for n in CHECK_SIZES]
    names += [check_window_name(n) for n in CHECK_SIZES]
    names += [move_name(kind, n, c) for kind in ("load", "store") for n, c in MOVES]
    if has_permute():
        names.append(WINDOW_LOAD)
    return [
        *names,
        *transfer_names(),
        *rounding_names(),
        *arithmetic_names(),
        *product_names(),
        *row_names(),
        *SCHEDULER_ENTRIES,
        *CLUSTER_ENTRIES,
    ]


def _routines_module() -> ir.Module:
    module = ir.Module(name="coalesce_routines")
    define_check_routines(module)
    define_move_routines(module)
    define_transfer_routines(module)
    define_rounding_routines(module)
    define_arithmetic_routines(module)
    define_product_routines(module)
    define_row_routines(module)
    define_scheduler(module)
    define_deferred_routines(module)
    return module


HUGE_LINES = 150_000  # of LLVM's text, beyond which its time grows with the square


def compile_object(
    module: ir.Module, target: llvm.TargetMachine, *, optimise: bool = True
) -> bytes:
    """Verify, optimise and assemble a module."""
    module.triple = target.triple
    text = str(module)
    parsed = llvm.parse_assembly(text)
    parsed.verify()
    if text.count("\n") > HUGE_LINES:
        target = target_machine(opt=0)
    elif optimise:
        _optimise(parsed, target)
    else:
        target = target_machine(opt=1)
    with _as_it_stands():
        return bytes(target.emit_object(parsed))


# What code generation does without, and what LLVM has by default.
#
# CodeGenPrepare takes a fifth of it to move addresses to their uses, where they already are. And
# half of it goes to a search for the regions over which a value that has no register all the time
# could keep one: warps' values are so many and so wide that nearly all live in memory in the end.
FASTER = {"disable-cgp": ("true", "false"), "grow-region-complexity-budget": ("0", "10000")}


@contextlib.contextmanager
def _as_it_stands() -> Iterator[None]:
    """Without what takes long and helps little; the process gets its options back."""
    for option, (ours, _) in FASTER.items():
        llvm.set_option("coalesce", f"-{option}={ours}")
    try:
        yield
    finally:
        for option, (_, default) in FASTER.items():
            llvm.set_option("coalesce", f"-{option}={default}")


def _optimise(parsed: llvm.ModuleRef, target: llvm.TargetMachine) -> None:
    """Only what vector code written by a lowering needs: no loop or inlining passes."""
    builder = llvm.create_pass_builder(target, llvm.create_pipeline_tuning_options(2))
    passes = llvm.create_new_function_pass_manager()
    passes.add_sroa_pass()
    passes.add_instruction_combine_pass()
    passes.add_new_gvn_pass()
    passes.add_simplify_cfg_pass()
    for function in parsed.functions:
        if not function.is_declaration:
            passes.run(function, builder)


_library_numbers = itertools.count()


def link_kernel(code: bytes, symbol: str) -> int:
    """Load a kernel's object code; the address of its function."""
    m = machine()
    require(*_units_called(code))
    with m.lock:
        builder = llvm.JITLibraryBuilder().add_object_img(code).add_current_process()
        for name, address in m.routines.items():
            builder.import_symbol(name, address)
        tracker = builder.export_symbol(symbol).link(m.jit, f"kernel{next(_library_numbers)}")
        m.trackers.append(tracker)
        return int(tracker[symbol])


@functools.cache
def _own_digest() -> str:
    """Changes with this package's code, LLVM and the processor: each changes what is compiled."""
    digest = hashlib.sha256()
    package = Path(__file__).parent.parent
    for path in sorted(package.rglob("*.py")):
        digest.update(path.read_bytes())
    parts = (llvmlite.__version__, llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten())
    digest.update(repr(parts).encode())
    return digest.hexdigest()


def code_key(*parts: str) -> str:
    """A digest of what determines a compilation."""
    return digest(_own_digest().encode(), *(part.encode() for part in parts))


RunBlocks = ctypes.CFUNCTYPE(
    ctypes.c_int32,
    ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_void_p,
)  # fmt: skip
StepBlock = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p)
