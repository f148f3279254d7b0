"""Contests of the benchmarks: in turn, and again where something else disturbed them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from benchmarks.contest import contest


class Clock:
    """A device whose runs take what is given, in microseconds, one after another."""

    def __init__(self, times: Iterator[float]) -> None:
        self.times, self.ran = times, 0

    def time_work(self, work: Callable[[Any], None], *, repeat: int, warmup: int) -> list[float]:
        work(None)
        self.ran += 1
        return [next(self.times) for _ in range(repeat)]


def both(clock: Clock, rounds: int = 4) -> dict[str, float]:
    nothing = {"ours": lambda: None, "theirs": lambda: None}
    timings = contest(clock, nothing, rounds=rounds, warmup=0).timings
    return {name: timing.median_us for name, timing in timings.items()}


def test_contenders_take_turns_backwards_every_other_time() -> None:
    assert both(Clock(iter([10, 20, 20, 10, 10, 20, 20, 10]))) == {
        "ours": 10, "theirs": 20
    }  # fmt: skip


def test_a_disturbed_contest_is_held_again_and_the_quiet_one_counts() -> None:
    disturbed = [100, 20, 90, 10, 10, 20, 20, 10]
    clock = Clock(iter([*disturbed, 11, 21, 21, 11, 11, 21, 21, 11]))
    assert both(clock) == {"ours": 11, "theirs": 21}
    assert clock.ran == 16


def test_one_that_stays_disturbed_ends_and_the_quietest_counts() -> None:
    times = [10, 10, 10, 90, 90, 10, 10, 10]
    calmer = [10, 10, 10, 30, 30, 10, 10, 10]
    clock = Clock(iter(times + calmer + times))
    both(clock)
    assert clock.ran == 24


def test_one_contender_that_fails_does_not_lose_the_others() -> None:
    def fails() -> None:
        raise RuntimeError("no memory\nand more")

    outcome = contest(
        Clock(iter([5.0] * 9)), {"ours": lambda: None, "theirs": fails}, rounds=3, warmup=0
    )  # fmt: skip
    assert outcome.failures == {"theirs": "RuntimeError: no memory"}
    assert outcome.timings["ours"].median_us == pytest.approx(5.0)
