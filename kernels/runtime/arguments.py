"""Arguments against parameters: one check for every device and for recording."""

from __future__ import annotations

import operator
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from emulator import LaunchError
from emulator.signature import Parameter
from emulator.tensor_map import NBYTES, TensorMap
from kernels.runtime.errors import ArgumentError
from kernels.runtime.program import KernelFunction

Shape = tuple[int, ...]

MOST_ALIGNED = 256  # bytes; every new array begins at a multiple of it


@dataclass(frozen=True)
class ArrayInfo:
    """What a device knows of one of its arrays."""

    shape: Shape
    dtype: np.dtype[Any]
    contiguous: bool
    address: int  # a device address; while recording, the offset within its buffer

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize


# An array's facts; or None for what is no array. Raises ArgumentError (told the argument's name)
# for an array of another device.
Inspect = Callable[[Any, str], ArrayInfo | None]


@dataclass(frozen=True)
class MapArgument:
    """A tensor map as a kernel's argument, for a ``const __grid_constant__`` parameter."""

    described: TensorMap
    data: bytes = field(repr=False)  # as the device has it
    array: Any = field(repr=False)  # lives as long as the map

    def __post_init__(self) -> None:
        assert len(self.data) == NBYTES


@dataclass(frozen=True)
class Bound:
    """One argument that fits its parameter: an array's facts, or a scalar's bytes."""

    parameter: Parameter
    array: ArrayInfo | None
    scalar: bytes = b""


def alignment_of(array: Any, inspect: Inspect) -> int:
    """The largest power of two up to 256 that an array's address is a multiple of."""
    info = inspect(array, "alignment(): the array")
    if info is None:
        raise ArgumentError(f"alignment() takes an array on the device; this is {_describe(array)}")
    return min(info.address & -info.address or MOST_ALIGNED, MOST_ALIGNED)


def bind(function: KernelFunction, args: Sequence[Any], inspect: Inspect) -> list[Bound]:
    """Check every argument. Raises :class:`ArgumentError`, which names the one that is wrong."""
    parameters = function.parameters
    if len(args) != len(parameters):
        raise ArgumentError(
            f"{function!r} takes {len(parameters)} arguments; {len(args)} were given"
        )
    return [
        _bind(function, parameter, value, inspect)
        for parameter, value in zip(parameters, args, strict=True)
    ]


def _bind(function: KernelFunction, parameter: Parameter, value: Any, inspect: Inspect) -> Bound:
    who = f"{function.name}: argument {parameter.name!r}"
    array = inspect(value, who)
    if array is not None:
        _check_array(who, parameter, array)
        return Bound(parameter, array)
    if parameter.is_array:
        raise ArgumentError(
            f"{who} must be an array of {parameter.dtype or parameter.ctype} on the device; "
            f"it is {_describe(value)}. device.asarray() puts one there"
        )
    return Bound(parameter, None, _scalar(who, parameter, value))


def _check_array(who: str, parameter: Parameter, array: ArrayInfo) -> None:
    if parameter.is_array is False:
        raise ArgumentError(
            f"{who} must be a single {parameter.dtype or parameter.ctype}; it is an array of "
            f"shape {array.shape}"
        )
    if not array.contiguous:
        raise ArgumentError(
            f"{who} is not contiguous (a transposed or strided view); kernels index memory "
            "directly: pass a contiguous copy"
        )
    expected = parameter.dtype
    if expected is not None and not _same_dtype(expected, array.dtype):
        raise ArgumentError(
            f"{who} must be an array of {expected} ({parameter.ctype}); its dtype is {array.dtype}"
        )
    if array.address % max(parameter.alignment, 1):
        raise ArgumentError(
            f"{who} ({parameter.ctype}) must start at a multiple of {parameter.alignment} bytes; "
            f"it starts {array.address % parameter.alignment} bytes past one"
        )


def _same_dtype(expected: np.dtype[Any], given: np.dtype[Any]) -> bool:
    return expected == given or {expected, given} == {np.dtype(np.bool_), np.dtype(np.uint8)}


def _scalar(who: str, parameter: Parameter, value: Any) -> bytes:
    """A scalar's bytes as the kernel reads them."""
    dtype = parameter.dtype
    if dtype is None:
        return _untyped(who, parameter, value)
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, np.generic) and not _same_dtype(dtype, value.dtype):
        raise ArgumentError(f"{who} must be {dtype} ({parameter.ctype}); it is {value.dtype}")
    if np.issubdtype(dtype, np.integer):
        try:
            whole = operator.index(value)
        except TypeError:
            raise ArgumentError(f"{who} must be a whole number; it is {_describe(value)}") from None
        limits = np.iinfo(dtype.name)
        if not limits.min <= whole <= limits.max:
            raise ArgumentError(
                f"{who} is {whole}, which does not fit {dtype} ({limits.min} to {limits.max})"
            )
        return np.array(whole, dtype=dtype).tobytes()
    if dtype == np.bool_ and not isinstance(value, bool | np.bool_):
        raise ArgumentError(f"{who} must be True or False; it is {_describe(value)}")
    if not isinstance(value, int | float | np.generic):
        raise ArgumentError(f"{who} must be a number; it is {_describe(value)}")
    return np.array(value).astype(dtype).tobytes()


def _untyped(who: str, parameter: Parameter, value: Any) -> bytes:
    """A parameter whose type the declaration does not tell: sizes must agree."""
    value = value.data if isinstance(value, MapArgument) else value
    if isinstance(value, np.generic | np.ndarray):
        data = value.tobytes()
        if len(data) == parameter.nbytes:
            return data
        raise ArgumentError(
            f"{who} ({parameter.ctype}) takes {parameter.nbytes} bytes; {_describe(value)} has "
            f"{len(data)}"
        )
    if isinstance(value, bytes) and len(value) == parameter.nbytes:
        return value
    if isinstance(value, int) and parameter.nbytes in (1, 2, 4, 8):
        bits = 8 * parameter.nbytes
        if -(1 << (bits - 1)) <= value < 1 << bits:
            return (value & ((1 << bits) - 1)).to_bytes(parameter.nbytes, "little")
    if isinstance(value, float) and parameter.ctype == "f32":
        return struct.pack("<f", value)
    if isinstance(value, float) and parameter.ctype == "f64":
        return struct.pack("<d", value)
    raise ArgumentError(
        f"{who} ({parameter.ctype}, {parameter.nbytes} bytes): pass a NumPy scalar of that size; "
        f"it is {_describe(value)}"
    )


def _describe(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"a NumPy array of {value.dtype}, shape {value.shape}"
    return f"{value!r} ({type(value).__name__})" if len(repr(value)) < 60 else type(value).__name__


def pack(function: KernelFunction, bound: Sequence[Bound]) -> bytes:
    """The kernel's parameter block: each value at its offset, arrays as addresses."""
    code = function.code
    block = bytearray(code.parameter_bytes)
    raw = iter(code.parameters)
    for one in bound:
        for value in _values(one):
            slot = next(raw)
            block[slot.offset : slot.offset + len(value)] = value
    return bytes(block)


def _values(bound: Bound) -> list[bytes]:
    if bound.array is None:
        return [bound.scalar]
    if bound.parameter.numba_ndim is None:
        return [struct.pack("<Q", bound.array.address)]
    # Numba passes an array as its fields: meminfo, parent, nitems, itemsize, data, shape, strides
    array = bound.array
    itemsize = array.dtype.itemsize
    strides = [itemsize] * len(array.shape)
    for axis in range(len(array.shape) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * array.shape[axis + 1]
    items = array.nbytes // itemsize
    fields = (0, 0, items, itemsize, array.address, *array.shape, *strides)
    return [struct.pack("<q", field) for field in fields]


def three(what: str, shape: Any, kernel: str) -> tuple[int, int, int]:
    """A grid or block as three whole numbers."""
    axes = shape if isinstance(shape, tuple | list) else (shape,)
    try:
        whole = [operator.index(axis) for axis in axes]
    except TypeError:
        raise LaunchError(
            f"{kernel}: {what} {shape!r} must be a whole number or up to three of them"
        ) from None
    if not 1 <= len(whole) <= 3:
        raise LaunchError(f"{kernel}: {what} {shape!r} must have one to three axes")
    x, y, z = (*whole, 1, 1)[:3]
    return x, y, z
