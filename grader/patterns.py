"""Where outputs are wrong, and what that usually means."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
PERIODS = (2, 3, 4, 5, 8, 16, 32, 64, 128, 256, 512, 1024)
SHIFTS = (1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 32, -32)


@dataclass(frozen=True)
class Pattern:
    """How the wrong elements are distributed."""

    kind: str  # "tail", "head", "columns-tail", "periodic", "shifted", "zeros", ...
    where: str  # "only elements 256 to 299, the last 44 of 300"
    meaning: str  # what it probably means


def pattern_of(
    bad: Mask, expected: npt.NDArray[Any], got: npt.NDArray[Any], poison: Mask
) -> Pattern:
    """The first pattern that explains every wrong element."""
    place = _place(bad)
    unwritten = 2 * int((bad & poison).sum()) > int(bad.sum())
    values = None if unwritten else _by_value(bad, expected, got)
    if values is None:
        return place
    return replace(values, where=f"{values.where}; {place.where}")


def _place(bad: Mask) -> Pattern:
    if bad.ndim == 2 and min(bad.shape) > 1:
        found = _by_axis(bad)
        if found is not None:
            return found
    return _by_place(bad.reshape(-1), "element", "i")


def _by_value(bad: Mask, expected: npt.NDArray[Any], got: npt.NDArray[Any]) -> Pattern | None:
    """What the wrong numbers are."""
    right, wrong = expected[bad].astype(np.float64), got[bad].astype(np.float64)
    if not np.isfinite(wrong).all():
        return None
    if (wrong == 0).all():
        return Pattern(
            "zeros",
            "all wrong ones are 0",
            "Is everything that is read there filled in first, and the index the one you mean?",
        )
    if bad.sum() > 1 and got.size > 2 and (got == got.flat[0]).all():
        return Pattern(
            "constant", f"every element is {got.flat[0]:.7g}",
            "The answer does not depend on the input at all.",
        )  # fmt: skip
    flat_right = expected.reshape(-1).astype(np.float64)
    at = np.flatnonzero(bad.reshape(-1))
    scale = np.abs(right).max() * 1e-5
    for shift in SHIFTS:
        inside = (at + shift >= 0) & (at + shift < flat_right.size)
        if inside.sum() < max(2, 0.8 * at.size):
            continue
        same = np.abs(wrong[inside] - flat_right[at[inside] + shift]) <= scale
        if same.mean() > 0.9:
            plural = "element" if abs(shift) == 1 else "elements"
            side = "right" if shift > 0 else "left"
            return Pattern(
                "shifted",
                f"each wrong element holds what belongs {abs(shift)} {plural} to its {side}",
                "An index is off by that much, on the reading or on the writing side.",
            )
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = wrong / right
    usable = ratio[np.isfinite(ratio)]
    if usable.size > 2 and np.ptp(usable) <= 1e-5 * abs(usable[0]) and abs(usable[0] - 1) > 1e-3:
        return Pattern(
            "scaled", f"every wrong element is {usable[0]:.5g} times what it should be",
            "A factor is missing, applied twice, or wrong.",
        )  # fmt: skip
    if usable.size and np.median(np.abs(usable - 1)) < 0.004 and usable.size > 0.9 * wrong.size:
        worst = np.abs(usable - 1).max()
        return Pattern(
            "imprecise", f"all are close, but off by up to {worst:.1g} of their value",
            "The arithmetic or what is stored in between has fewer digits than float32: half "
            "precision, or sums in an order that loses digits?",
        )  # fmt: skip
    if bad.sum() > 2 and np.array_equal(np.sort(got, axis=None), np.sort(_as(got, expected), None)):
        return Pattern(
            "permuted", "the right numbers are there, in the wrong places",
            "Reading and writing use indices that do not belong together.",
        )  # fmt: skip
    return None


def _as(got: npt.NDArray[Any], expected: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return expected.astype(got.dtype)


def _by_axis(bad: Mask) -> Pattern | None:
    """Whole rows or whole columns."""
    columns, rows = np.asarray(bad.any(axis=0)), np.asarray(bad.any(axis=1))
    if not columns.all() and np.array_equal(bad, np.broadcast_to(columns, bad.shape)):
        found = _by_place(columns, "column", "c")
        return Pattern(f"columns-{found.kind}", f"in every row, {found.where}", found.meaning)
    if not rows.all() and np.array_equal(bad, np.broadcast_to(rows[:, None], bad.shape)):
        found = _by_place(rows, "row", "r")
        return Pattern(f"rows-{found.kind}", found.where, found.meaning)
    return None


def _by_place(bad: Mask, noun: str, index: str) -> Pattern:
    """Which places along one axis."""
    total = bad.size
    at = np.flatnonzero(bad)
    first, last, count = int(at[0]), int(at[-1]), int(at.size)
    if count == total:
        return Pattern(
            "everything", f"every {noun} is wrong" if total > 1 else f"the only {noun} is wrong",
            "Nothing is right: start with the formula, and with which element a thread handles.",
        )  # fmt: skip
    if count == 1:
        return Pattern("single", f"only {noun} {first} of {total:,}", _single(first, total))
    if last - first + 1 == count and last == total - 1:
        return Pattern(
            "tail", f"only {noun}s {first:,} to {last:,}, the last {count:,} of {total:,}",
            _tail(first, count, total),
        )  # fmt: skip
    if last - first + 1 == count and first == 0:
        return Pattern(
            "head", f"only {noun}s 0 to {last:,}, the first {count:,} of {total:,}",
            "What comes before the first whole vector or block has to be handled on its own.",
        )  # fmt: skip
    return _periodic(bad, noun, index) or _scattered(at, total, noun)


def _single(first: int, total: int) -> str:
    if first == total - 1 and total > 4 and total % 4 == 1:
        return (
            f"The last one is left out, and {total:,} is no multiple of 4: is there nobody to "
            "handle what is left after whole groups of four? Or < for <=?"
        )
    if first == total - 1:
        return "The last one is left out: < or <=, n or n - 1?"
    if first == 0:
        return "The first one is left out: does a loop start at 1?"
    return "One place goes wrong: what is special about it?"


def _tail(first: int, count: int, total: int) -> str:
    if count < 4 and first % 4 == 0:
        return (
            f"{total:,} is no multiple of 4, and the {count} beyond the last whole group of four "
            "have nobody to handle them: the tail is missing."
        )
    block = next((size for size in (1024, 512, 256, 128, 64, 32) if first % size == 0), None)
    if block is not None and first:
        return (
            f"Everything is right up to {first:,}, a multiple of {block}: the last block or warp, "
            "which is only partly full, is not handled. Is the grid rounded up, and does every "
            "thread with work left do it?"
        )
    return "The end is not reached: is the grid large enough, and does the loop go to n?"


def _periodic(bad: Mask, noun: str, index: str) -> Pattern | None:
    """Wrong wherever the index has certain remainders."""
    for period in PERIODS:
        if bad.size < 2 * period:
            return None
        whole = bad.size // period * period
        table = bad[:whole].reshape(-1, period)
        residues = np.asarray(table.any(axis=0))
        rest = bad[whole:]
        same = (table == residues).all() and (rest <= residues[: rest.size]).all()
        if residues.all() or not same:
            continue
        found = np.flatnonzero(residues)
        if found.size == 1:
            where = f"every {noun} with {index} % {period} == {found[0]}"
        elif found[-1] - found[0] + 1 == found.size:
            where = f"every {noun} with {index} % {period} from {found[0]} to {found[-1]}"
        else:
            where = f"{noun}s with {index} % {period} in {', '.join(str(f) for f in found[:8])}"
        if period == 32 or (period > 32 and found[0] % 32 == 0):
            meaning = "The period is a warp's or a block's: which lanes or warps take no part?"
        else:
            meaning = f"One in {period} goes wrong: a stride or the component of a vector is off."
        return Pattern("periodic", f"wrong in {where}", meaning)
    return None


def _scattered(at: npt.NDArray[np.intp], total: int, noun: str) -> Pattern:
    return Pattern(
        "scattered",
        f"{at.size:,} of {total:,} {noun}s, the first at {at[0]:,}, the last at {at[-1]:,}",
        "No simple pattern: does the answer depend on the order in which threads run?",
    )
