"""Numba kernels as programs: PTX from NVVM, no GPU needed."""

from __future__ import annotations

import contextlib
import functools
import inspect
import linecache
import re
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np

import emulator
from emulator.cubin import kernel_resources
from emulator.signature import Parameter
from kernels.runtime.errors import ArgumentError, CompileError
from kernels.runtime.program import DEFAULT_ARCH, KernelFunction, Program

NumbaTypes = tuple[Any, ...]
DEVICE_RUNTIME = "cudaCG"  # what functions of cudadevrt for cooperative groups begin with


class NumbaProgram(Program):
    """A program of one Numba kernel."""

    def __init__(
        self, function: Callable[..., Any], types: NumbaTypes, ptx: str, file: str, text: str
    ) -> None:
        super().__init__(file, ptx, {}, {file: text})
        self.function = function
        self.types = types

    def cubin(self, arch: str) -> bytes:
        """Machine code, from the PTX by nvJitLink."""
        if arch not in self.cubins:
            self.cubins[arch] = _link(self.ptx, arch)
        return self.cubins[arch]

    @functools.cached_property
    def kernels(self) -> dict[str, KernelFunction]:
        """The kernel, under its Python name."""
        (kernel,) = self.module.kernels.values()
        resources = kernel_resources(self.cubin(DEFAULT_ARCH)).get(kernel.name)
        names = list(inspect.signature(self.function).parameters)
        parameters = _parameters(names, self.types, kernel)
        return {kernel.name: KernelFunction(self, kernel.name, parameters, resources)}


def numba_program(kernel: Any, signature: Any) -> NumbaProgram:
    """Compile a Numba kernel for a signature.

    ``kernel`` is a function or what ``@cuda.jit`` made of one; ``signature`` a tuple of Numba types
    or text such as ``"void(float32[::1], float32[::1], int32)"``. Raises :class:`CompileError` with
    Numba's message.
    """
    function = getattr(kernel, "py_func", kernel)
    if not inspect.isfunction(function):
        raise ArgumentError(_not_a_kernel(kernel))
    return _compile(function, _types(signature))


def _not_a_kernel(kernel: Any) -> str:
    return (
        f"{kernel!r} is not a kernel: pass program['name'], or a Numba kernel (a function with "
        "@cuda.jit, or a pair of a function and its signature)"
    )


def numba_kernel(kernel: Any, args: Sequence[Any]) -> KernelFunction:
    """The kernel to launch for ``@cuda.jit`` functions and ``(function, signature)`` pairs.

    Without a signature, the types are those of the arguments.
    """
    if isinstance(kernel, Program):
        names = ", ".join(kernel.kernels)
        raise ArgumentError(f"{kernel!r} is a program; choose a kernel of it: {names}")
    if isinstance(kernel, tuple) and len(kernel) == 2:
        program = numba_program(*kernel)
    else:
        function = getattr(kernel, "py_func", None)
        if inspect.isfunction(kernel):
            raise ArgumentError(
                f"{kernel.__name__} is a plain function: decorate it with @numba.cuda.jit, or pass "
                "a pair (function, signature)"
            )
        if function is None:
            raise ArgumentError(_not_a_kernel(kernel))
        program = _compile(function, tuple(_type_of(arg) for arg in args))
    return next(iter(program.kernels.values()))


def _types(signature: Any) -> NumbaTypes:
    from numba.core import sigutils

    if isinstance(signature, tuple | list):
        return tuple(signature)
    try:
        arguments, _ = sigutils.normalize_signature(signature)  # type: ignore[no-untyped-call]
    except (TypeError, ValueError, NameError, SyntaxError) as error:
        raise ArgumentError(f"{signature!r} is not a Numba signature: {error}") from None
    return tuple(arguments)


@functools.cache
def _array_type(dtype: np.dtype[Any], axes: int) -> Any:
    from numba import types
    from numba.np.numpy_support import from_dtype

    element = from_dtype(dtype)
    return types.Array(element, axes, "C") if axes else element


def _type_of(argument: Any) -> Any:
    from numba import types

    shape, dtype = getattr(argument, "shape", ()), getattr(argument, "dtype", None)
    if dtype is not None:
        return _array_type(np.dtype(dtype), len(shape))
    if isinstance(argument, bool):
        return types.boolean
    if isinstance(argument, int):
        return types.int32 if -(2**31) <= argument < 2**31 else types.int64
    if isinstance(argument, float):
        return types.float64
    raise ArgumentError(f"Numba has no type for {argument!r}")


_compiled: weakref.WeakKeyDictionary[Callable[..., Any], dict[NumbaTypes, NumbaProgram]] = (
    weakref.WeakKeyDictionary()
)


def _compile(function: Callable[..., Any], types: NumbaTypes) -> NumbaProgram:
    known = _compiled.setdefault(function, {})
    if types not in known:
        known[types] = _compile_now(function, types)
    return known[types]


@contextlib.contextmanager
def _as_if_for(capability: tuple[int, int]) -> Iterator[None]:
    """Numba asks the driver which chip to compile device functions for: answer in its stead."""
    answer = SimpleNamespace(compute_capability=capability)
    with mock.patch("numba.cuda.dispatcher.get_current_device", lambda: answer):
        yield


def _compile_now(function: Callable[..., Any], types: NumbaTypes) -> NumbaProgram:
    from numba import cuda
    from numba.core.errors import NumbaError

    major, minor = int(DEFAULT_ARCH[3:-1]), int(DEFAULT_ARCH[-1])
    try:
        with _as_if_for((major, minor)):
            ptx, _ = cuda.compile(  # type: ignore[attr-defined]
                function, types, device=False, output="ptx", abi="numba", lineinfo=True,
                cc=(major, minor),
            )  # fmt: skip
    except NumbaError as error:
        raise CompileError(f"{function.__name__}: {error}") from None
    path = inspect.getsourcefile(function) or function.__code__.co_filename
    text = "".join(linecache.getlines(path))
    text_of_ptx = (ptx.decode() if isinstance(ptx, bytes) else ptx).rstrip("\0")
    if DEVICE_RUNTIME in text_of_ptx:
        raise CompileError(
            f"{function.__name__}: cuda.cg.this_grid() calls NVIDIA's device runtime, which is not "
            "linked here: launch one kernel after another, or write this one in CUDA C++, where "
            "cooperative_groups::this_grid() needs no library"
        )
    # Numba's mangled names are long and its own; messages and profilers want the function's.
    (mangled,) = re.findall(r"\.visible \.entry (\w+)\(", text_of_ptx)
    readable = text_of_ptx.replace(mangled, function.__name__)
    return NumbaProgram(function, types, readable, Path(path).name, text)


def _parameters(
    names: Sequence[str], types: NumbaTypes, kernel: emulator.Kernel
) -> tuple[Parameter, ...]:
    """Numba's parameters: an array takes five words and two an axis; a scalar takes one."""
    from numba import types as numba_types
    from numba.np.numpy_support import as_dtype

    raw = iter(kernel.parameters)
    found = []
    for name, kind in zip(names, types, strict=True):
        slot = next(raw)
        if isinstance(kind, numba_types.Array):
            for _ in range(4 + 2 * kind.ndim):
                next(raw)
            dtype = np.dtype(as_dtype(kind.dtype))
            found.append(
                Parameter(name, str(kind), dtype, True, dtype.itemsize, slot.offset, 8, kind.ndim)
            )
        else:
            dtype = np.dtype(as_dtype(kind))
            found.append(Parameter(name, str(kind), dtype, False, 1, slot.offset, slot.nbytes))
    return tuple(found)


def _link(ptx: str, arch: str) -> bytes:
    """PTX to machine code with nvJitLink, which needs no GPU."""
    from cuda.bindings import nvjitlink

    handle = nvjitlink.create(2, [f"-arch={arch}", "-lineinfo"])
    try:
        data = ptx.encode() + b"\0"
        nvjitlink.add_data(handle, nvjitlink.InputType.PTX, data, len(data), "kernel.ptx")
        nvjitlink.complete(handle)
        image = bytearray(nvjitlink.get_linked_cubin_size(handle))
        nvjitlink.get_linked_cubin(handle, image)
    except nvjitlink.nvJitLinkError as error:
        log = bytearray(nvjitlink.get_error_log_size(handle))
        nvjitlink.get_error_log(handle, log)
        raise CompileError(f"nvJitLink: {error} {log.decode().rstrip(chr(0))}") from None
    finally:
        nvjitlink.destroy(handle)
    return bytes(image)
