"""Tensor maps: what tells a GPU's tensor memory accelerator (TMA) of an array of a device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from emulator.tensor_map import Im2col, TensorMap
from kernels.runtime.arguments import ArrayInfo, Inspect
from kernels.runtime.errors import ArgumentError


def describe(
    array: Any,
    inspect: Inspect,
    box: Sequence[int],
    swizzle: str,
    fill: str,
    element_strides: Sequence[int] | None,
    im2col: Im2col | None,
) -> TensorMap:
    """The map of an array of the device. Raises LaunchError for what TMA cannot do."""
    info = inspect(array, "tensor_map(): the array")
    if info is None:
        raise ArgumentError(
            f"tensor_map() takes an array on the device; this is {type(array).__name__}. "
            "device.asarray() puts one there"
        )
    return TensorMap(
        info.address, info.dtype, tuple(info.shape), _strides(array, info),
        tuple(box), tuple(element_strides or (1,) * len(info.shape)), swizzle, fill, im2col,
    )  # fmt: skip


def _strides(array: Any, info: ArrayInfo) -> tuple[int, ...]:
    """Bytes between neighbours along each axis; an axis of one element is as if packed."""
    packed, strides = info.dtype.itemsize, []
    for size, stride in zip(reversed(info.shape), reversed(array.strides), strict=True):
        strides.append(int(stride) if size > 1 else packed)
        packed = strides[-1] * size
    return tuple(reversed(strides))
