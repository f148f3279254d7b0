"""Outputs against the reference: is each number near enough, and if not, which are wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from grader.lab import Array, Expected
from grader.patterns import Pattern, pattern_of

POISON = 0xFF  # what fills memory that nobody has written
TOO_EARLY = (
    "Some threads write nothing, or read what others have not written yet: does each element have "
    "a thread, and is there a __syncthreads() between filling shared memory and reading it?"
)


@dataclass(frozen=True)
class Mismatch:
    """What is wrong with one output."""

    code: str  # of grader.verdict.CODES
    message: str
    pattern: Pattern | None = None
    examples: str = ""


def compare(
    expected: Expected, got: Array, *, earlier: Sequence[Expected] = (), name: str = "the output"
) -> Mismatch | None:
    """None when every element of ``got`` is within tolerance; NaN never is.

    ``earlier`` is what the same output should have been on inputs before these.
    """
    wrong = wrong_form(expected, got, name)
    if wrong is not None:
        return wrong
    if got.size == 0:
        return None
    bad = ~near(expected, got)
    if not bad.any():
        return None
    poison = unwritten(got)
    count = int(bad.sum())
    share = f"{count:,} of {got.size:,} elements of {name}"
    examples = _examples(expected, got, bad, poison)
    pattern = pattern_of(bad, expected.values, got, poison)
    if (bad & poison).any() and pattern.kind in ("periodic", "scattered", "everything"):
        pattern = replace(pattern, meaning=TOO_EARLY)
    if 2 * int((bad & poison).sum()) > count:
        words = f"{share} were never written (or come from memory that nobody wrote)."
        return Mismatch("not-written", words, pattern, examples)
    for before in earlier:
        if before.values.shape == got.shape and near(before, got)[bad].all():
            return Mismatch(
                "not-repeatable",
                f"{share} are the right answer to inputs of an earlier run, not to these.",
                Pattern("earlier", "", "Something is kept from one run to the next: each run has "
                        "to compute its own answer."),
                examples,
            )  # fmt: skip
    if np.issubdtype(got.dtype, np.floating) and not np.isfinite(got[bad & ~poison]).all():
        return Mismatch("not-finite", f"{share} are wrong: NaN or infinity.", pattern, examples)
    return Mismatch("wrong-values", f"{share} are wrong.", pattern, examples)


def wrong_form(expected: Expected, got: Array, name: str) -> Mismatch | None:
    """Another shape or dtype than expected."""
    if got.shape != expected.values.shape:
        return Mismatch(
            "wrong-shape", f"{name} has shape {got.shape}; it must be {expected.values.shape}."
        )
    if got.dtype != np.dtype(expected.dtype):
        return Mismatch(
            "wrong-dtype", f"{name} holds {got.dtype}; it must be {np.dtype(expected.dtype)}."
        )
    return None


def near(expected: Expected, got: Array) -> npt.NDArray[np.bool_]:
    """Which elements are within tolerance."""
    if not np.issubdtype(got.dtype, np.floating):
        return np.asarray(got == expected.values, dtype=np.bool_)
    with np.errstate(invalid="ignore", over="ignore"):
        off = np.abs(got.astype(np.float64) - expected.values)
        return np.asarray(off <= expected.tolerance, dtype=np.bool_)  # false for NaN


def unwritten(got: Array) -> npt.NDArray[np.bool_]:
    """Which elements still hold the bytes that memory is filled with."""
    raw = np.ascontiguousarray(got).view(np.uint8).reshape(*got.shape, got.dtype.itemsize)
    return np.asarray((raw == POISON).all(axis=-1), dtype=np.bool_)


def _examples(
    expected: Expected,
    got: Array,
    bad: npt.NDArray[np.bool_],
    poison: npt.NDArray[np.bool_],
    most: int = 3,
) -> str:
    lines = []
    for place in np.argwhere(bad)[:most]:
        at = tuple(int(axis) for axis in place)
        index = ", ".join(str(axis) for axis in at)
        found = "never written" if poison[at] else f"{got[at]:.7g}"
        lines.append(f"  [{index}] is {found}, should be {expected.values[at]:.7g}")
    return "\n".join(lines)
