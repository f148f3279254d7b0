"""What selections cost on a device, side by side, for each key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt

from emulator.counting import metrics
from kernels.runtime import ArraySpec, Device, Timing, open_device, record
from kernels.topk.reference import topk
from widgets.live import Html
from widgets.look import faint, significant, table

SECTOR = 32  # bytes
Step = Callable[..., Any]  # (device, x, values, indices)


@dataclass(frozen=True)
class TopKCost:
    """One selection: its counters over all launches, and its time."""

    label: str
    k: int
    data: str  # the keys' distribution
    keys: int  # of all rows
    key_bytes: int
    launches: int
    counters: dict[str, float]  # of the software GPU
    timing: Timing
    device: str
    right: bool  # whether it found the indices that it should have

    @property
    def times_read(self) -> float:
        """Bytes of all sectors that loads touched, over those of the keys."""
        return SECTOR * self.counters[metrics.sectors("ld")] / (self.keys * self.key_bytes)

    @property
    def written(self) -> float:
        """Bytes of all sectors that stores touched, over those of the keys."""
        return SECTOR * self.counters[metrics.sectors("st")] / (self.keys * self.key_bytes)

    @property
    def instructions(self) -> float:
        """Warp instructions for each 32 keys."""
        return 32 * self.counters[metrics.INSTRUCTIONS] / self.keys

    @property
    def wavefronts(self) -> float:
        """Wavefronts of shared memory for each 32 keys."""
        return 32 * self.counters["memory_l1_wavefronts_shared"] / self.keys


COUNTERS = (
    metrics.sectors("ld"), metrics.sectors("st"), metrics.INSTRUCTIONS,
    "memory_l1_wavefronts_shared",
)  # fmt: skip


def topk_cost(
    device: Device, label: str, step: Step, keys: npt.NDArray[Any], k: int, *, data: str = "",
    counted: npt.NDArray[Any] | None = None,
) -> TopKCost:  # fmt: skip
    """Time ``step(device, x, values, indices)`` on ``device``; count it on the software GPU.

    ``keys`` (rows, n) or (n,), in host memory; ``counted`` are those to count with, ``keys`` unless
    given. The indices that it finds are compared with NumPy's stable sort, in any order.
    """
    some = keys if counted is None else counted

    def solve(on: Device, x: Any) -> tuple[Any, Any]:
        shape = (*x.shape[:-1], k)
        values, indices = on.empty(shape, x.dtype), on.empty(shape, "int32")
        step(on, x, values, indices)
        return values, indices

    emulated = device.kind == "emulated"
    counting = device if emulated else open_device("emulated")
    plan = record(solve, ArraySpec("x", some.shape, str(some.dtype)))
    loaded = plan.load(counting, [some])
    reports = [call.by(counting.profile) for call in loaded.calls()]
    found = np.sort(loaded.outputs()[1].reshape(-1, k), axis=1)
    wanted = np.sort([topk(row, k) for row in some.reshape(-1, some.shape[-1])], axis=1)
    totals = {name: sum(r.counters.get(name, 0.0) for r in reports) for name in COUNTERS}
    if emulated and keys is some:
        timing = Timing.of([sum(r.time_us or 0.0 for r in reports)], "modelled")
    else:
        timed = record(solve, ArraySpec("x", keys.shape, str(keys.dtype)))
        timing = timed.time(device, [keys])
    return TopKCost(
        label, k, data, some.size, some.dtype.itemsize, len(reports), totals, timing, device.name,
        bool(np.array_equal(found, wanted)),
    )  # fmt: skip


def topk_table(costs: Sequence[TopKCost]) -> Html:
    """A row a selection. Raises ValueError when there are none."""
    if not costs:
        raise ValueError("no selections to show: give at least one TopKCost")
    kind = costs[0].timing.kind
    head = ["", "k", "keys", "launches", "keys read, times", "written, times", "instructions",
            "wavefronts", f"µs, {kind}", "right"]  # fmt: skip
    cells = [
        [
            one.label, f"{one.k:,}", one.data, str(one.launches), f"{one.times_read:.2f}",
            f"{one.written:.3f}", significant(one.instructions), significant(one.wavefronts),
            significant(one.timing.median_us), "yes" if one.right else "NO",
        ]
        for one in costs
    ]  # fmt: skip
    note = (
        "Instructions of a warp and wavefronts of shared memory: for each 32 keys. Counters: "
        f"software GPU. Times: {costs[0].device}, {kind}."
    )
    html = table(head, [[escape(c) for c in row] for row in cells], numbers=(1, *range(3, 9)))
    text = "\n".join(["\t".join(head), *("\t".join(row) for row in cells), note])
    return Html(html + faint(note), text)
