"""Contenders timed against one another, one run each in turn, so that a drift meets all alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kernels.launches import Step, launches_of
from kernels.runtime import Timing

Work = Callable[[], None]  # starts what is timed on the device's stream


@dataclass
class Outcome:
    """Timings by contender, and what went wrong with the others."""

    timings: dict[str, Timing] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


def prepared(device: Any, step: Step, *arguments: Any, **options: Any) -> Work:
    """All launches of ``step(device, *arguments)``, checked: starting them costs microseconds."""
    stream = device.stream
    ready = [
        device.prepare(one.kernel, one.grid, one.block, one.args, one.shared_bytes, **one.together)
        for one in launches_of(device, step, *arguments, **options)
    ]

    def work() -> None:
        for one in ready:
            one.start(stream)

    return work


WIDE = 1.5  # times the 10th percentile: a 90th above it means that something else disturbed us
TRIES = 3


def contest(
    device: Any, contenders: Mapping[str, Work], *, rounds: int, warmup: int = 3
) -> Outcome:
    """Event-timed runs, L2 flushed before each, in ``rounds`` rounds over all contenders.

    Every other round goes backwards: what a contender leaves behind, such as a hot chip, does not
    always meet the same one. A contest that was disturbed is held again, for all alike, and the
    quietest of three counts.
    """
    best = _contest(device, contenders, rounds, warmup)
    for _ in range(TRIES - 1):
        if _spread(best) <= WIDE:
            break
        again = _contest(device, contenders, rounds, warmup)
        best = min(best, again, key=lambda one: (len(one.failures), _spread(one)))
    return best


def _spread(outcome: Outcome) -> float:
    return max((t.high_us / t.low_us for t in outcome.timings.values() if t.low_us), default=1.0)


def _contest(device: Any, contenders: Mapping[str, Work], rounds: int, warmup: int) -> Outcome:
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    outcome = Outcome()
    for number in range(warmup + rounds):
        order = list(contenders.items())
        for name, work in reversed(order) if number % 2 else order:
            if name in outcome.failures:
                continue
            try:
                took = device.time_work(lambda _, run=work: run(), repeat=1, warmup=0)
            except Exception as error:  # noqa: BLE001 - one contender must not lose the others
                outcome.failures[name] = said(error)
                continue
            if number >= warmup:
                samples[name] += took
    for name, found in samples.items():
        if name not in outcome.failures:
            outcome.timings[name] = Timing.of(found)
    return outcome


def said(error: Exception) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:300]


def figures(timing: Timing, nbytes: float) -> dict[str, Any]:
    """A timing as it is recorded: microseconds, and bandwidth over ``nbytes``."""
    return {
        "bytes": int(nbytes),
        "median_us": round(timing.median_us, 3),
        "low_us": round(timing.low_us, 3),
        "high_us": round(timing.high_us, 3),
        "samples": timing.samples,
        "gigabytes_per_s": round(timing.gigabytes_per_s(nbytes), 1),
    }
