"""What the launches of the topic share: its programs, and the checks of its arguments."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

from kernels.runtime import Device, KernelFunction, cuda_program

KEYS = {
    np.dtype(np.float32): "float",
    np.dtype(np.float16): "__half",
    np.dtype(ml_dtypes.bfloat16): "__nv_bfloat16",
    np.dtype(np.int32): "int",
    np.dtype(np.uint32): "unsigned",
}
LONGEST = (1 << 31) - 1  # elements of a row: indices are int32


@dataclass(frozen=True)
class Rows:
    """What is selected from, and how many."""

    count: int
    length: int  # elements of a row
    k: int
    dtype: np.dtype[Any]

    @property
    def key(self) -> str:
        """The dtype as the sources have it."""
        return KEYS[self.dtype]


@cache
def instance(family: str, name: str, kernel: str) -> KernelFunction:
    """The kernel ``name``, whose text ``kernel`` calls a template of ``family``.cu."""
    path = Path(__file__).with_name(f"{family}.cu")
    program = cuda_program(path.read_text() + "\n" + kernel, name=path.name, folder=path.parent)
    return program[name]


def check(
    name: str, x: Any, values: Any, indices: Any, lengths: Any = None, *, piece: bool = False
) -> Rows:
    """Rows, length, k and dtype. Raises ValueError when arrays do not fit together.

    ``piece``: x is a part of each row, which may be shorter than k.
    """
    axes = len(x.shape)
    if axes not in (1, 2):
        raise ValueError(f"{name}: x must have one or two axes; its shape is {tuple(x.shape)}")
    dtype = np.dtype(x.dtype)
    if dtype not in KEYS:
        known = ", ".join(str(one) for one in KEYS)
        raise ValueError(f"{name}: x must be of one of {known}; its dtype is {dtype}")
    length = int(x.shape[-1])
    if length > LONGEST:
        raise ValueError(f"{name}: a row has {length} elements; {LONGEST} are the most")
    count = int(x.shape[0]) if axes == 2 else 1
    if len(values.shape) != axes or values.shape[:-1] != x.shape[:-1]:
        raise ValueError(
            f"{name}: values must have shape {(*x.shape[:-1], 'k')}; it has {tuple(values.shape)}"
        )
    k = int(values.shape[-1])
    if k > length and not piece:
        raise ValueError(f"{name}: k is {k}, but a row has {length} elements")
    if tuple(indices.shape) != tuple(values.shape):
        raise ValueError(
            f"{name}: indices must have the shape of values, {tuple(values.shape)}; it has "
            f"{tuple(indices.shape)}"
        )
    for what, array, wanted in (("values", values, dtype), ("indices", indices, np.int32)):
        if np.dtype(array.dtype) != wanted:
            raise ValueError(f"{name}: {what} must be of {wanted}; its dtype is {array.dtype}")
    if lengths is not None and tuple(lengths.shape) != (count,):
        raise ValueError(
            f"{name}: lengths must have shape ({count},); it has {tuple(lengths.shape)}"
        )
    return Rows(count, length, k, dtype)


def kernel_of(
    family: str, name: str, rows: Rows, largest: bool, lengths: Any, *, threads: int,
    parameters: str, template: str = "", least: int | None = None,
) -> KernelFunction:  # fmt: skip
    """The kernel ``name`` for rows like these, of the template of that name in ``family``.cu.

    The template is of ``largest``, what ``template`` names, and the type of keys; the function
    takes keys, lengths (or nullptr), and ``parameters`` as C++ declares them. KEY stands for the
    type of keys. ``least``: blocks that have to fit on an SM, by which the compiler gives registers
    away.
    """
    key, order = rows.key, str(largest).lower()
    declared, passed = ("", "nullptr") if lengths is None else ("const int* lengths, ", "lengths")
    names = ", ".join(one.split()[-1] for one in parameters.split(","))
    options = ", ".join(one for one in (order, template) if one)
    bounds = f"{threads}" if least is None else f"{threads}, {least}"
    text = (
        f'extern "C" __global__ void __launch_bounds__({bounds})\n'
        f"{name}(const {key}* keys, {declared}{parameters.replace('KEY', key)}) {{\n"
        f"  {name}<{options}>(keys, {passed}, {names});\n}}\n"
    )
    return instance(family, name, text)


def given(lengths: Any) -> tuple[Any, ...]:
    """The argument that lengths are, where there are any."""
    return () if lengths is None else (lengths,)


def zeros(device: Device, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Any:
    """What blocks tell each other in: zeros before the first launch, and left so by the last."""
    return device.asarray(np.zeros(shape, dtype))
