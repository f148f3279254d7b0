"""Tensor maps: what tells a GPU's tensor memory accelerator (TMA) of an array of a device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from emulator.errors import LaunchError
from emulator.tensor_map import INTERLEAVES, Im2col, TensorMap
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
    interleave: str,
) -> TensorMap:
    """The map of an array of the device. Raises LaunchError for what TMA cannot do."""
    info = inspect(array, "tensor_map(): the array")
    if info is None:
        raise ArgumentError(
            f"tensor_map() takes an array on the device; this is {type(array).__name__}. "
            "device.asarray() puts one there"
        )
    shape, strides = tuple(info.shape), _strides(array, info)
    if piece := INTERLEAVES.get(interleave, 0):
        size = info.dtype.itemsize
        if not shape or shape[-1] * size != piece or strides[-1] != size:
            raise LaunchError(
                f"tensor_map: the last axis of an array with interleave {interleave!r} is a slice "
                f"of {piece // size} neighbouring channels of {info.dtype}; this array is {shape}"
            )
        shape, strides = shape[:-1], strides[:-1]
    return TensorMap(
        info.address, info.dtype, shape, strides, tuple(box),
        tuple(element_strides or (1,) * len(shape)), swizzle, fill, im2col, interleave,
    )  # fmt: skip


def _strides(array: Any, info: ArrayInfo) -> tuple[int, ...]:
    """Bytes between neighbours along each axis; an axis of one element is as if packed."""
    packed, strides = info.dtype.itemsize, []
    for size, stride in zip(reversed(info.shape), reversed(array.strides), strict=True):
        strides.append(int(stride) if size > 1 else packed)
        packed = strides[-1] * size
    return tuple(reversed(strides))
