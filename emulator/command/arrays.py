"""What a launch did to its arrays, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from emulator.command.bind import DeviceArray
from emulator.command.usage import UsageError
from emulator.command.values import type_name
from emulator.memory import POISON

LINE = 96


@dataclass(frozen=True)
class Change:
    """How an array differs from what it was."""

    elements: int
    changed: int
    first: int | None  # index of the first element that changed
    last: int | None
    never_written: int  # elements that still hold the poison they started with


def change(array: DeviceArray) -> Change:
    """Compare an array with its state before the launch, bit by bit."""
    width = array.dtype.itemsize
    now = array.allocation.view().reshape(-1, width)
    differs = (now != array.before.reshape(-1, width)).any(axis=1)
    places = np.flatnonzero(differs)
    poisoned = 0 if array.is_written else int((now == POISON).all(axis=1).sum())
    first, last = (int(places[0]), int(places[-1])) if len(places) else (None, None)
    return Change(len(now), len(places), first, last, poisoned)


def show(arrays: Sequence[DeviceArray], elements: int, names: Sequence[str]) -> str:
    """Changed arrays (and those in ``names``) with ``elements`` of their values each."""
    parts, quiet = [], []
    for array in arrays:
        found = change(array)
        if found.changed or array.is_output or array.name in names or "all" in names:
            parts.append(_title(array, found))
            if elements:
                parts.append(_values(array.values(), elements))
        else:
            quiet.append(array.name)
    if quiet:
        parts.append(f"unchanged: {', '.join(quiet)}")
    return "\n".join(parts)


def save(arrays: Sequence[DeviceArray], wanted: Sequence[tuple[str, Path]]) -> None:
    """Write arrays to ``.npy`` files."""
    by_name = {array.name: array for array in arrays}
    for name, path in wanted:
        if name not in by_name:
            raise UsageError(f"--save {name}: that argument is a number, not an array")
        try:
            np.save(path, by_name[name].values())
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror}") from None


def described(array: DeviceArray) -> str:
    """``y  f32[64,64]``."""
    return f"{array.name}  {type_name(array.dtype)}[{','.join(map(str, array.shape))}]"


def _title(array: DeviceArray, found: Change) -> str:
    if found.changed == 0:
        what = "unchanged"
    elif found.changed == found.elements:
        what = "all elements changed" if found.elements > 1 else "changed"
    else:
        at = f"index {found.first:,}"
        if found.first != found.last:
            at = f"indices {found.first:,} to {found.last:,}"
        what = f"{found.changed:,} of {found.elements:,} elements changed, {at}"
    if found.never_written and found.changed:
        what += f"; {found.never_written:,} never written"
    elif found.never_written:
        what = "never written"
    return f"{described(array)}  {what}"


def _values(values: npt.NDArray[Any], elements: int) -> str:
    """The first and the last elements, NumPy's way."""
    shown = values
    if values.dtype.kind == "V" or (values.dtype.itemsize == 1 and values.dtype.kind not in "iub"):
        shown = values.astype(np.float32)
    text = np.array2string(
        shown, threshold=elements, edgeitems=max(elements // 2, 1) if values.ndim == 1 else 3,
        max_line_width=LINE, separator=" ", prefix="  ",
    )  # fmt: skip
    return "  " + text
