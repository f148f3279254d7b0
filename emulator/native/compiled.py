"""Routines written in Python and compiled by Numba: what lane-by-lane code says best.

A file of :data:`FILES` marks its entry points with :func:`routine` and what they call with
:func:`inner`; lowered code calls an entry by its name (:func:`routine_type` gives its LLVM type).
They see only numbers and addresses: :func:`peek` and :func:`poke` read and write host memory, and
:func:`emulator.native.layout.offset` says where a field lies. All integers are ``int64`` unless
narrowed on purpose: Numba makes a float of ``uint64`` with ``int64``.

Each routine is compiled when a kernel or a launch first needs it (:func:`emulator.native.jit.
require`), so nobody waits for what they do not use. Numba is imported only to compile; a process
that finds the code in the cache never sees it, so names and types are read from the source text.
"""

from __future__ import annotations

import ast
import functools
import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import llvmlite
import llvmlite.binding as llvm
from llvmlite import ir

from emulator.cache import cached, digest, stored
from emulator.native.target import target_machine

# Modules of routines, below ``emulator``.
FILES: tuple[str, ...] = (
    "watch.events",
    "watch.observe",
    "watch.wavefronts",
    "watch.local",
    "units.tensor",
    "units.matrix_descriptor",
    "units.warpgroup",
    "watch.sectors",
    "watch.cachestate",
    "watch.caches",
    "units.window",
    "units.cluster",
    "units.postbox",
    "units.registers",
    "units.meeting",
    "units.barrier",
    "units.queue",
    "units.copies",
    "units.tma",
    "units.mbarrier",
    "units.spaces",
    "watch.shadow",
    "watch.complaints",
    "watch.clocks",
    "watch.landing",
    "watch.lines",
    "watch.clusters",
    "watch.races",
    "watch.uninitialised",
    "watch.proxy",
    "watch.bulk",
    "watch.reading",
    "watch.checked",
    "units.turns",
    "units.stack",
    "watch.sync",
    "watch.products",
    "watch.operands",
)

Function = TypeVar("Function", bound=Callable[..., Any])

PACKAGE = Path(__file__).parent.parent
PREFIX = "coalesce_"
SHELF = "code"  # of the cache
LLVM_TYPES = {
    "void": ir.VoidType(), "int32": ir.IntType(32), "int64": ir.IntType(64),
    "float32": ir.FloatType(), "float64": ir.DoubleType(),
}  # fmt: skip


@dataclass(frozen=True)
class Routine:
    """An entry point: its Python function and its types, result first, as Numba names them."""

    name: str
    function: Callable[..., Any]
    types: tuple[str, ...]


ROUTINES: dict[str, Routine] = {}


def routine(*types: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a function an entry point ``coalesce_<its name>`` of the given result and arguments.

    >>> @routine("int64", "int64", "int32")
    ... def count_wavefronts(warp, mask): ...
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        name = PREFIX + function.__name__
        ROUTINES[name] = Routine(name, function, types)
        return function

    return register


def routine_type(*types: str) -> ir.FunctionType:
    """The LLVM type of a routine with the given result and argument types."""
    result, *arguments = (LLVM_TYPES[t] for t in types)
    return ir.FunctionType(result, arguments)


class Later:
    """What routines call by its name, made when Numba first asks for its type.

    A process that only calls a routine's constants, or its code from the cache, is done before
    Numba is there.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    @functools.cached_property
    def made(self) -> Any:
        """What Numba knows: an intrinsic, a function to compile, or one that is elsewhere."""
        return self._make()

    @property
    def _numba_type_(self) -> Any:
        from numba.core.registry import cpu_target

        context, made = cpu_target.typing_context, self.made
        context.refresh()  # an intrinsic that was just made is registered, and not yet looked at
        return context.resolve_value_type(made)


def external(name: str, *types: str) -> Any:
    """A routine as others call it: by its name, so that its code is compiled once and not in each.

    >>> settle = external("settle_copies", "int64", "int64", "int64")
    """
    return Later(lambda: _external(name, types))


def _external(name: str, kinds: tuple[str, ...]) -> Any:
    from numba.core import types

    result, *arguments = (getattr(types, kind) for kind in kinds)
    # Numba links what it compiles, to nothing that would run; ours is linked once it is whole.
    llvm.add_symbol(PREFIX + name, 1)
    return types.ExternalFunction(PREFIX + name, result(*arguments))


def inner(function: Function) -> Function:
    """Make a function callable from routines. Works whatever ``NUMBA_DISABLE_JIT`` says."""
    return cast(Function, Later(lambda: _callable(function)))


def inlined(function: Function) -> Function:
    """As :func:`inner`, but its code goes into its callers': for what each access does often."""
    return cast(Function, Later(lambda: _callable(function, forceinline=True)))


def _callable(function: Callable[..., Any], **more: bool) -> Any:
    from numba.core.registry import CPUDispatcher

    options = {"nopython": True, "error_model": "numpy"}
    options |= {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return CPUDispatcher(function, targetoptions=options | more)


def _accessor(kind: str) -> tuple[Any, Any]:
    from numba.core import types
    from numba.extending import intrinsic

    number = getattr(types, kind)
    element = ir.FloatType() if kind == "float32" else ir.DoubleType() if kind == "float64" else (
        ir.IntType(number.bitwidth)
    )  # fmt: skip

    @intrinsic
    def read(_: Any, address: Any) -> Any:
        def generate(__: Any, builder: Any, ___: Any, arguments: Any) -> Any:
            where = builder.inttoptr(arguments[0], ir.PointerType())
            return builder.load(where, typ=element, align=1)

        return number(types.int64), generate

    @intrinsic
    def write(_: Any, address: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, ___: Any, arguments: Any) -> Any:
            where = builder.inttoptr(arguments[0], ir.PointerType())
            builder.store(arguments[1], where, align=1)
            return context.get_dummy_value()

        return types.void(types.int64, number), generate

    return read, write


def accessors(kind: str) -> tuple[Any, Any]:
    """``read(address)`` and ``write(address, value)`` for one of Numba's number types.

    >>> read_u32, write_u32 = accessors("uint32")
    """
    return _pair(_accessor, kind)


@functools.cache
def _pair(make: Callable[[str], tuple[Any, Any]], kind: str) -> tuple[Later, Later]:
    both = Later(lambda: make(kind))
    return Later(lambda: both.made[0]), Later(lambda: both.made[1])


def elements(kind: str) -> tuple[Any, Any]:
    """``read(address, index)`` and ``write(address, index, value)``, for loops over an array.

    LLVM sees that neighbouring elements lie side by side, and takes several at once; of addresses
    that are sums it does not, and gathers them.

    >>> read_element, _ = elements("int64")
    """
    return _pair(_elements, kind)


def _elements(kind: str) -> tuple[Any, Any]:
    from numba.core import types
    from numba.extending import intrinsic

    number = getattr(types, kind)
    element = ir.IntType(number.bitwidth)

    def place(builder: Any, address: Any, index: Any) -> Any:
        first = builder.inttoptr(address, ir.PointerType())
        return builder.gep(first, [index], source_etype=element)

    @intrinsic
    def read(_: Any, address: Any, index: Any) -> Any:
        def generate(__: Any, builder: Any, ___: Any, arguments: Any) -> Any:
            return builder.load(place(builder, *arguments), typ=element, align=1)

        return number(types.int64, types.int64), generate

    @intrinsic
    def write(_: Any, address: Any, index: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, ___: Any, arguments: Any) -> Any:
            builder.store(arguments[2], place(builder, *arguments[:2]), align=1)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, number), generate

    return read, write


def stack(nbytes: int) -> Any:
    """``address()`` of ``nbytes`` on the stack of the routine that calls it; not cleared.

    >>> scratch = stack(256)
    """
    return Later(lambda: _stack(nbytes))


def _stack(nbytes: int) -> Any:
    from numba.core import types
    from numba.extending import intrinsic

    @intrinsic
    def address(_: Any) -> Any:
        def generate(__: Any, builder: Any, ___: Any, ____: Any) -> Any:
            kind = ir.ArrayType(ir.IntType(8), nbytes)
            with builder.goto_entry_block():
                place = builder.alloca(kind)
            place.align = 64
            return builder.ptrtoint(place, ir.IntType(64))

        return types.int64(), generate

    return address


@functools.cache
def entries() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Every routine's file and types, by name."""
    found: dict[str, tuple[str, tuple[str, ...]]] = {}
    for name in FILES:
        text = (PACKAGE / f"{name.replace('.', '/')}.py").read_text()
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef):
                for types in filter(None, map(_routine_types, node.decorator_list)):
                    found[PREFIX + node.name] = (name, types)
    return found


def _routine_types(decorator: ast.expr) -> tuple[str, ...] | None:
    """What stands in ``@routine(...)``; None for another decorator."""
    if not (
        isinstance(decorator, ast.Call)
        and isinstance(decorator.func, ast.Name)
        and decorator.func.id == routine.__name__
    ):
        return None
    listed = ast.Expression(ast.Tuple(decorator.args, ast.Load()))
    types: tuple[str, ...] = eval(compile(ast.fix_missing_locations(listed), "routine", "eval"), {})
    return types


def compiled_routine(name: str) -> bytes:
    """A routine's object code, from the cache or from Numba."""
    return cached(SHELF, key_of(name), lambda: _compile(name))


def is_compiled(name: str) -> bool:
    """Whether a routine's object code is in the cache."""
    return stored(SHELF, key_of(name)) is not None


def key_of(name: str) -> str:
    """What a routine's object code is called on its shelf of the cache."""
    return digest(_key().encode(), name.encode())


@functools.cache
def _key() -> str:
    """Changes with the routines, the layout they read, Numba, LLVM and the processor."""
    from importlib.metadata import version

    folders = sorted({name.split(".")[0] for name in FILES})
    files = [path for folder in folders for path in sorted((PACKAGE / folder).glob("*.py"))]
    files += [
        Path(__file__),
        *(PACKAGE / "native" / f"{name}.py" for name in ("layout", "heap", "target")),
    ]
    parts = [path.read_bytes() for path in files]
    host = (version("numba"), llvmlite.__version__, llvm.get_host_cpu_name(),
            llvm.get_host_cpu_features().flatten(), sys.version_info[:2])  # fmt: skip
    return digest(b"numba routines", repr(host).encode(), *parts)


def _compile(name: str) -> bytes:
    importlib.import_module(f"emulator.{entries()[name][0]}")
    return bytes(target_machine().emit_object(_module_of(ROUTINES[name])))


def _module_of(entry: Routine) -> llvm.ModuleRef:
    """A module in which only the entry, under its own name, can be seen from outside."""
    from numba.core import types

    result, *arguments = (getattr(types, t) for t in entry.types)
    dispatcher = _callable(entry.function)
    dispatcher.compile(result(*arguments))
    compiled = next(iter(dispatcher.overloads.values()))
    mangled = compiled.fndesc.llvm_func_name
    wrapper = _wrapper(entry, mangled)
    text = compiled.library.get_llvm_str()
    module = llvm.parse_assembly(text + wrapper)
    for function in module.functions:
        if not function.is_declaration and function.name != entry.name:
            function.linkage = llvm.Linkage.internal
    for variable in module.global_variables:
        if not variable.is_declaration:
            variable.linkage = llvm.Linkage.internal
    module.verify()
    return module


def _wrapper(entry: Routine, mangled: str) -> str:
    """Numba's functions return through a pointer and say in a status whether they raised."""
    result, *arguments = (str(LLVM_TYPES[t]) for t in entry.types)
    place = "ptr" if result == "void" else result
    names = [f"{kind} %a{number}" for number, kind in enumerate(arguments)]
    call = ", ".join(["ptr %place", "ptr %raised", *names])
    end = "ret void" if result == "void" else (
        f"%value = load {result}, ptr %place\n  ret {result} %value"
    )  # fmt: skip
    return f"""
define {result} @{entry.name}({", ".join(names)}) {{
  %place = alloca {place}
  %raised = alloca ptr
  %status = call i32 @{mangled}({call})
  {end}
}}
"""
