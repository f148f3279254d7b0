"""What a lab is: tasks, the cases they are judged on, and what they may cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels.runtime import ArraySpec

Array = npt.NDArray[Any]
Argument = ArraySpec | int | float
EITHER = ("emulated", "cuda")


@dataclass(frozen=True)
class Case:
    """One set of sizes that a task is judged on."""

    name: str  # "n=1000"; shown to the learner
    sizes: Mapping[str, int | float]
    looks_for: str = ""  # what only this case would show: "the last chunk is not full"
    counted: bool = False  # judge what it costs, too; too small cases say nothing about cost
    devices: tuple[str, ...] = EITHER  # large cases are for a GPU alone
    hidden: bool = False  # drawn anew for each grading

    def __getitem__(self, size: str) -> Any:
        return self.sizes[size]


@dataclass(frozen=True)
class Expected:
    """One output as it should be."""

    values: Array  # computed in float64, or integers
    dtype: str  # what the learner's array must hold
    tolerance: Array | float  # largest allowed absolute difference, one or for each element


@dataclass(frozen=True)
class Limit:
    """How much more than the reference solution a correct answer may cost."""

    measure: str  # one of grader.costs.MEASURES
    factor: float  # times the solution's
    slack: float  # and this much more, so that tiny counts do not decide
    lesson: str  # what a larger number usually means here


@dataclass(frozen=True)
class Task:
    """One thing to write, and how it is judged.

    ``arguments(case)`` are what ``solve`` gets after the device; ``make_inputs(case, rng)`` are
    values for the arrays among them, in order; ``reference(case, *inputs)`` the outputs, from the
    same values in float64. ``moved_bytes(case)`` is the least that must cross the memory bus.
    """

    name: str  # of its files: NAME.py, NAME.cu
    title: str
    goal: str  # one sentence
    public: tuple[Case, ...]
    draw_hidden: Callable[[np.random.Generator], tuple[Case, ...]]
    arguments: Callable[[Case], tuple[Argument, ...]]
    make_inputs: Callable[[Case, np.random.Generator], tuple[Array, ...]]
    reference: Callable[..., tuple[Expected, ...]]
    tolerance: str  # what the tolerance is, and why
    limits: tuple[Limit, ...]
    hints: tuple[str, ...]  # from a nudge to nearly everything
    moved_bytes: Callable[[Case], int]
    slowest: float = 1.25  # times the solution's time on a GPU
    lessons: Mapping[str, str] = field(default_factory=dict)  # diagnosis -> this task's words

    def cases(self, device_kind: str, *, rng: np.random.Generator | None) -> tuple[Case, ...]:
        """Public cases, and hidden ones when there is an ``rng`` to draw them with."""
        drawn = self.draw_hidden(rng) if rng is not None else ()
        return tuple(c for c in (*self.public, *drawn) if device_kind in c.devices)


@dataclass(frozen=True)
class Lab:
    """The tasks of one topic."""

    name: str  # of its folder: 01_coalescing
    title: str
    tasks: tuple[Task, ...]

    def task(self, name: str) -> Task | None:
        """The task of that name."""
        return next((task for task in self.tasks if task.name == name), None)


def array_specs(arguments: Sequence[Argument]) -> tuple[ArraySpec, ...]:
    """The arrays among a task's arguments."""
    return tuple(a for a in arguments if isinstance(a, ArraySpec))
