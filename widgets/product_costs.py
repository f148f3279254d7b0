"""What matrix products cost on a device, side by side, for each multiply-add."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Protocol

import numpy as np

from emulator import Report
from emulator.counting import metrics
from kernels.gemm import Entry, Sizes, profile, time
from kernels.runtime import Device, Timing, open_device
from widgets.live import Html
from widgets.look import BLUE, ORANGE, bar, faint, significant, table
from widgets.recorded import Origin

SECTOR = 32  # bytes


@dataclass(frozen=True)
class ProductCost:
    """One product: its counters, and its time, perhaps of a larger one."""

    entry: Entry
    sizes: Sizes  # that were timed
    counted: Sizes  # that the report is of
    report: Report  # of the software GPU
    timing: Timing
    device: str  # that it was timed on

    @property
    def teraflops(self) -> float:
        """2 m n k operations a second, in 10^12, whatever was executed."""
        return self.sizes.flops / self.timing.median_us / 1e6

    @property
    def bound(self) -> str:
        """What the model says that the counted product waits for most."""
        bounds = self.report.bounds
        return max(bounds, key=lambda name: bounds[name])

    def a_multiply_add(self, counted: float) -> float:
        """``counted`` for each multiply-add of the task."""
        return 2 * counted / self.counted.flops

    @property
    def global_bytes(self) -> float:
        """Of the sectors that loads touched and TMA's copies read, for each multiply-add."""
        found = self.report.counters
        sectors = found[metrics.sectors("ld")] + found.get(metrics.bulk_sectors("ld"), 0.0)
        return self.a_multiply_add(SECTOR * sectors)

    @property
    def shared_bytes(self) -> float:
        """That threads and matrix loads asked of shared memory, for each multiply-add."""
        asked = (metrics.bytes_asked(d, "shared") for d in ("ld", "ldsm"))
        return self.a_multiply_add(sum(self.report.counters[name] for name in asked))

    @property
    def instructions(self) -> float:
        """Warp instructions for each 32 multiply-adds."""
        return 32 * self.a_multiply_add(self.report.counters[metrics.INSTRUCTIONS])


def product_arrays(device: Device, entry: Entry, sizes: Sizes, seed: int = 4) -> tuple[Any, ...]:
    """Random A and B and an empty C on the device, of the dtype that the entry takes."""
    rng = np.random.default_rng(seed)
    dtype = np.float16 if entry.tensor else np.float32
    a, b = (
        device.asarray(rng.standard_normal(shape, dtype=np.float32).astype(dtype))
        for shape in ((sizes.m, sizes.k), (sizes.k, sizes.n))
    )
    return a, b, device.empty((sizes.m, sizes.n), dtype)


def product_cost(
    device: Device, entry: Entry, sizes: Sizes, counted: Sizes | None = None, **options: Any
) -> ProductCost:
    """Time ``entry`` at ``sizes`` on ``device``; count it at ``counted`` on the software GPU.

    ``counted`` is ``sizes`` unless given. On the software GPU, where both are alike, one run gives
    counters and time.
    """
    counted = counted or sizes
    emulated = device.kind == "emulated"
    counting = device if emulated else open_device("emulated")
    given = product_arrays(counting, entry, counted)
    report = profile(counting, entry.step, *given, **{**entry.options, **options})
    if emulated and counted == sizes and report.time_us is not None:
        timing = Timing.of([report.time_us], "modelled")
    else:
        given = product_arrays(device, entry, sizes)
        timing = time(device, entry.step, *given, **{**entry.options, **options})
    return ProductCost(entry, sizes, counted, report, timing, device.name)


class Recorded(Protocol):
    """A recorded product, as ``benchmarks.recorded`` has it."""

    @property
    def teraflops(self) -> float: ...


class Record(Protocol):
    """Recorded ladders of products."""

    @property
    def origin(self) -> Origin: ...

    def step(self, name: str, size: int, dtype: str, /) -> Recorded:
        """A figure; LookupError when there is none."""
        ...


def product_table(costs: Sequence[ProductCost], load: Callable[[], Record], size: int) -> Html:
    """Counters and times of ``costs``, beside those recorded at ``size``^3.

    Raises ValueError when times are of different kinds, or of no kind.
    """
    kinds = {one.timing.kind for one in costs}
    if len(kinds) != 1:
        raise ValueError(f"one table holds times of one kind, not of {sorted(kinds)}")
    kind = kinds.pop()
    theirs, notes = _recorded(costs, load, size)
    best = max(one.teraflops for one in costs)
    head = ["", "from global,<br>bytes / FMA", "from shared,<br>bytes / FMA",
            "instructions<br>/ 32 FMA", f"time,<br>{kind}", "waits for",
            f"TFLOPS,<br>{kind}", ""]  # fmt: skip
    if theirs:
        head.append(f"TFLOPS,<br>recorded, {size:,}³")
    rows, words = [], []
    for one in costs:
        cells = [
            significant(one.global_bytes), significant(one.shared_bytes),
            significant(one.instructions), f"{significant(one.timing.median_us)} µs",
            one.bound, significant(one.teraflops),
        ]  # fmt: skip
        more = [theirs.get(one.entry.name, "")] if theirs else []
        drawn = bar(one.teraflops / best, ORANGE if one.entry.tensor else BLUE, "90px")
        rows.append([f"<code>{escape(one.entry.name)}</code>", *cells, drawn, *more])
        words.append("  ".join([one.entry.name, *cells, *more]))
    first = costs[0]
    at = f"{first.counted.m} x {first.counted.n} x {first.counted.k}"
    notes.insert(0, f"Counters, and what is waited for: {first.report.device}, m x n x k {at}.")
    timed = f"{first.sizes.m} x {first.sizes.n} x {first.sizes.k}"
    notes.insert(1, f"Times: {first.device}, {kind}, {timed}. Blue: FP32; orange: tensor cores.")
    html = table(head, rows, numbers=(1, 2, 3, 4, 6, 8)) + "".join(faint(note) for note in notes)
    return Html(html, "\n".join([*words, *notes]))


def _recorded(
    costs: Sequence[ProductCost], load: Callable[[], Record], size: int
) -> tuple[dict[str, str], list[str]]:
    """TFLOPS by name, and where they come from, or why there are none."""
    try:
        record = load()
    except LookupError as missing:
        return {}, [f"No H100 figure is recorded yet. {missing}"]
    made = record.origin
    found, notes = {}, [f"Recorded: {made.device}, {made.date}, by: {made.command}"]
    for one in costs:
        dtype = "float16" if one.entry.tensor else "float32"
        try:
            found[one.entry.name] = significant(record.step(one.entry.name, size, dtype).teraflops)
        except LookupError as missing:
            notes.append(f"Not recorded: {missing}")
    return found, notes
