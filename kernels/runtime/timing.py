"""What a timing is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import quantiles


@dataclass(frozen=True)
class Timing:
    """Times of one piece of work on one device, in microseconds."""

    median_us: float
    low_us: float  # the 10th percentile of the samples
    high_us: float  # the 90th
    samples: int
    kind: str  # "measured" by events on a GPU, or "modelled" by the software one

    @classmethod
    def of(cls, samples_us: Sequence[float], kind: str = "measured") -> Timing:
        """Median and spread of samples."""
        if len(samples_us) == 1:
            only = samples_us[0]
            return cls(only, only, only, 1, kind)
        deciles = quantiles(samples_us, n=10, method="inclusive")
        return cls(deciles[4], deciles[0], deciles[8], len(samples_us), kind)

    def gigabytes_per_s(self, nbytes: float) -> float:
        """Bandwidth when the work moves ``nbytes`` bytes."""
        return nbytes / self.median_us / 1e3

    def __str__(self) -> str:
        spread = "" if self.samples == 1 else f" ({self.low_us:.2f} to {self.high_us:.2f})"
        return f"{self.median_us:.2f} us{spread}, {self.kind}"
