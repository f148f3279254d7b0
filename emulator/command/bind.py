"""Arguments against a kernel's parameters, and both onto the device."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from emulator.command.source import shown_name
from emulator.command.usage import UsageError
from emulator.command.values import (
    Argument,
    ArraySpec,
    FileSpec,
    ScalarSpec,
    load,
    make_array,
    number,
    type_name,
)
from emulator.memory import Allocation, DeviceMemory
from emulator.module import Kernel
from emulator.signature import Parameter

NUMBERS = {"f16": np.float16, "f32": np.float32, "f64": np.float64}


@dataclass(frozen=True)
class DeviceArray:
    """An array argument: its place on the device and what it held before the launch."""

    name: str
    allocation: Allocation
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    before: npt.NDArray[np.uint8]  # the bytes
    is_written: bool  # by the host, before the launch
    is_output: bool

    def values(self) -> npt.NDArray[Any]:
        """What it holds now."""
        return self.allocation.view().view(self.dtype).reshape(self.shape)


def signature(kernel: Kernel, parameters: Sequence[Parameter]) -> str:
    """``scale(float* y, float a, int n)``."""
    shown = ", ".join(f"{ctype(p)} {p.name}" for p in parameters)
    return f"{shown_name(kernel)}({shown})"


def ctype(parameter: Parameter) -> str:
    """A parameter's type without what matters to a compiler alone."""
    return re.sub(
        r"\s*\b(__restrict__|__restrict|__grid_constant__)\b", "", parameter.ctype
    ).strip()


def example(parameters: Sequence[Parameter]) -> str:
    """Arguments that would fit, for a message."""
    return " ".join(_example(p) for p in parameters)


def match(
    kernel: Kernel, parameters: Sequence[Parameter], arguments: Sequence[Argument]
) -> list[tuple[Parameter, Argument]]:
    """Which argument is for which parameter: by position, or by name when all names are known.

    Raises :class:`UsageError`, which shows the kernel's parameters.
    """
    if len(arguments) != len(parameters):
        raise UsageError(
            f"{signature(kernel, parameters)} takes {_count(len(parameters), 'argument')}; "
            f"{len(arguments)} {'was' if len(arguments) == 1 else 'were'} given"
            + (f", such as: {example(parameters)}" if parameters else "")
        )
    names = [a.name for a in arguments]
    labels = [name for name in names if name is not None]
    twice = next((n for n in labels if labels.count(n) > 1), None)
    if twice is not None:
        raise UsageError(f"two arguments are named {twice!r}")
    known = [p.name for p in parameters]
    if set(names) == set(known):
        by_name = {a.name: a for a in arguments}
        return [(p, by_name[p.name]) for p in parameters]
    for place, name in enumerate(names):
        if name in known and known.index(name) != place:
            raise UsageError(
                f"argument {arguments[place].text!r} stands where {known[place]!r} is expected in "
                f"{signature(kernel, parameters)}; name all arguments to give them in any order"
            )
    return list(zip(parameters, arguments, strict=True))


def place(
    kernel: Kernel,
    parameters: Sequence[Parameter],
    pairs: Sequence[tuple[Parameter, Argument]],
    memory: DeviceMemory,
    seed: int,
) -> tuple[bytes, list[DeviceArray]]:
    """The parameter block, and the arrays that it points at. Raises :class:`UsageError`."""
    random = np.random.default_rng(seed)
    block = bytearray(kernel.parameter_bytes)
    arrays: list[DeviceArray] = []
    for parameter, argument in pairs:
        try:
            data = _bytes(parameter, argument, memory, random, arrays)
        except UsageError as error:
            raise UsageError(f"{error}\n  {signature(kernel, parameters)}") from None
        block[parameter.offset : parameter.offset + len(data)] = data
    return bytes(block), arrays


def _bytes(
    parameter: Parameter,
    argument: Argument,
    memory: DeviceMemory,
    random: np.random.Generator,
    arrays: list[DeviceArray],
) -> bytes:
    value = argument.value
    if isinstance(value, ScalarSpec):
        return _scalar(parameter, argument, value)
    if parameter.is_array is False or (parameter.is_array is None and parameter.nbytes != 8):
        return _by_value(parameter, argument, value, random)
    host: npt.NDArray[Any] | None = None
    if isinstance(value, FileSpec):
        host = load(value.path, argument.text)
        dtype, shape = host.dtype, host.shape
    else:
        dtype, shape = value.dtype, value.shape
    _check_dtype(parameter, argument, dtype)
    if isinstance(value, ArraySpec):
        host = make_array(value, argument.text, random)
    nbytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    name = argument.name or parameter.name
    try:
        allocation = memory.allocate(nbytes, name)
        if host is not None:
            allocation.view()[:] = host.reshape(-1).view(np.uint8)
        else:
            allocation.begin_unwritten()
        before = allocation.view().copy()
    except MemoryError as error:
        raise UsageError(f"argument {argument.text!r}: {error}") from None
    output = isinstance(value, ArraySpec) and value.is_output
    arrays.append(DeviceArray(name, allocation, dtype, shape, before, host is not None, output))
    return allocation.address.to_bytes(8, "little")


def _check_dtype(parameter: Parameter, argument: Argument, dtype: np.dtype[Any]) -> None:
    expected = parameter.dtype
    if parameter.is_array is None or expected is None or expected == dtype:
        return
    if expected.itemsize == dtype.itemsize and expected.kind in "iub" and dtype.kind in "iub":
        return  # bits are bits: int for unsigned
    fill = argument.text.partition("[")[2]
    instead = f"; write {type_name(expected)}[{fill}" if fill else ""
    raise UsageError(
        f"argument {argument.text!r} is an array of {type_name(dtype)}; parameter "
        f"{parameter.name!r} is {ctype(parameter)}, an array of {type_name(expected)}{instead}"
    )


def _by_value(
    parameter: Parameter,
    argument: Argument,
    value: ArraySpec | FileSpec,
    random: np.random.Generator,
) -> bytes:
    """An array as a parameter's own bytes: ``f32[4]=1,2,3,4`` for a ``float4`` or a struct."""
    nbytes = load(value.path, argument.text).nbytes if isinstance(value, FileSpec) else value.nbytes
    is_number = parameter.dtype is not None
    if is_number or nbytes != parameter.nbytes:
        what = f"parameter {parameter.name!r} is {ctype(parameter)}"
        raise UsageError(
            f"argument {argument.text!r} is an array; {what}, a single number: write "
            f"{_example(parameter)}"
            if is_number
            else f"argument {argument.text!r} is {nbytes:,} bytes; {what}, {parameter.nbytes} "
            f"bytes passed by value: write {_example(parameter)}"
        )
    host = make_array(value, argument.text, random)
    return bytes(nbytes) if host is None else host.tobytes()


def _scalar(parameter: Parameter, argument: Argument, value: ScalarSpec) -> bytes:
    wrong = f"argument {argument.text!r}"
    is_pointer = parameter.is_array is True
    if is_pointer and value.text != "null" and value.dtype is None:
        raise UsageError(
            f"{wrong} is a number; parameter {parameter.name!r} is {ctype(parameter)}, a pointer: "
            f"write an array, such as {_example(parameter)}, or null"
        )
    if value.text == "null" and parameter.is_array is False:
        raise UsageError(
            f"{wrong}: parameter {parameter.name!r} ({ctype(parameter)}) is no pointer"
        )
    expected = np.dtype(np.uint64) if is_pointer else parameter.dtype
    dtype = value.dtype or expected or _guess(parameter, value.text)
    if dtype is None:
        raise UsageError(
            f"{wrong}: parameter {parameter.name!r} ({ctype(parameter)}) takes {parameter.nbytes} "
            f"bytes by value: write them, such as {_example(parameter)}"
        )
    both_whole = expected is not None and expected.kind in "iub" and dtype.kind in "iub"
    same_size = dtype.itemsize == parameter.nbytes
    if not same_size or (expected is not None and expected != dtype and not both_whole):
        instead = f"{type_name(expected)}={value.text}" if expected else _example(parameter)
        sizes = (f", {dtype.itemsize} bytes", f", {parameter.nbytes} bytes") * (not same_size)
        ours, theirs = sizes or ("", "")
        raise UsageError(
            f"{wrong} is {type_name(dtype)}{ours}; parameter {parameter.name!r} is "
            f"{ctype(parameter)}{theirs}: write {instead}"
        )
    try:
        return np.array(number(value.text, dtype), dtype=dtype).tobytes()
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{wrong}: {error}") from None


def _guess(parameter: Parameter, text: str) -> np.dtype[Any] | None:
    """The type of a number for a parameter of which PTX tells the bits only."""
    kind = re.fullmatch(r"([bsuf])(8|16|32|64)", parameter.ctype)
    size = parameter.nbytes
    if size not in (1, 2, 4, 8) or (kind is None and parameter.ctype == "b8"):
        return None
    if kind is not None and kind.group(1) == "f":
        return np.dtype(NUMBERS[parameter.ctype])
    is_fraction = re.search(r"[.]|inf|nan|\de", text) is not None and "x" not in text
    if is_fraction and size > 1:
        return np.dtype(f"f{size}")
    signed = kind is not None and kind.group(1) == "s"
    return np.dtype(f"{'i' if signed or text.startswith('-') else 'u'}{size}")


def _example(parameter: Parameter) -> str:
    """An argument that would fit a parameter."""
    kind = type_name(parameter.dtype) if parameter.dtype is not None else None
    if parameter.is_array:
        is_const = parameter.ctype.startswith("const")
        fill = "=random" if is_const else ""
        return f"'{kind or 'u8'}[1024]{fill}'"
    if parameter.is_array is None and parameter.nbytes == 8:
        return "'f32[1024]=random'"
    if kind is not None:
        return f"{kind}=1"
    if parameter.nbytes in (1, 2, 4, 8):
        return {"f16": "f16=1", "f32": "f32=1", "f64": "f64=1"}.get(
            parameter.ctype, f"u{8 * parameter.nbytes}=1"
        )
    return f"'u8[{parameter.nbytes}]=0'"


def _count(count: int, what: str) -> str:
    return f"{count or 'no'} {what}{'s' * (count != 1)}"
