"""The top-k topic on a GPU: correctness, then our selection beside others in the same rounds.

``python -m benchmarks.topk_h100`` takes about two minutes and writes
``benchmarks/results/topk_h100.json`` after each section. What is timed is float32, L2 flushed
before each run. Others are torch.topk, told that its output need not be sorted; and for a single
row CuPy's argsort, the last k of which are taken, values and indices: it sorts pairs by CUB's radix
sort, but rows of a matrix by comparing. "ours" is ``topk_filtered``, "topk" what picks a step.
Figures of RAFT and CUB's top-k on the same kind of chip come from elsewhere: they are not in this
record.

======== ==========================================================================================
section  what it holds
======== ==========================================================================================
wrong    every step, ours, what sorts and what merges in every dtype, against NumPy's stable sort
bars     the points that the course sets itself bars for
ladder   every step at some points
grid     rows of 2^11 to 2^28 elements, k from 8 to 2^16, one row and a hundred
sorted   the best first, as torch.topk has them too when it is told to sort
merged   rows in pieces, each merged into a running top-k, beside whole rows
======== ==========================================================================================
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from benchmarks.contest import Work, contest, prepared, said
from benchmarks.origin import RESULTS, gpu_origin
from benchmarks.sections import Record, Sections, failures, rows_of
from kernels.launches import Step
from kernels.runtime import open_device
from kernels.topk import BY_NAME, ENTRIES, reference, topk, topk_merge, topk_sort

MODULE = "benchmarks.topk_h100"
SECTIONS = ("bars", "ladder", "grid", "sorted", "merged")
DATA = ("uniform", "normal", "adversarial")
BARS = (  # rows, log2 of n, k, milliseconds
    (1, 27, 32, 0.25), (1, 27, 256, 0.25), (1, 27, 2048, 0.3), (1, 27, 32768, 0.3),
    (100, 20, 32, 0.2), (100, 20, 256, 0.25), (100, 20, 2048, 0.3),
    (1, 16, 32, None), (1, 16, 2048, None), (1, 20, 32, None), (1, 20, 2048, None),
)  # fmt: skip
SORTED = (  # rows, log2 of n, k
    (1, 16, 65536), (1, 20, 32), (1, 20, 2048), (1, 20, 32768), (100, 17, 256), (100, 17, 32768),
)  # fmt: skip
MERGED = ((100, 17, 32), (100, 17, 256), (100, 17, 1024), (1000, 14, 32))
PIECES = 8  # of a row
OURS = BY_NAME["topk_filtered"]
LADDER = (  # rows, log2 of n
    (1, 11), (1, 13), (1, 16), (1, 20), (1, 24), (1, 27),
    (100, 11), (100, 14), (100, 17), (100, 20),
)  # fmt: skip
LADDER_K = (8, 32, 256, 1024, 2048, 32768)
SLOW = 2e5  # microseconds of a step, beyond which it is not timed again
GRID_K = (8, 32, 256, 2048, 16384, 65536)
GRID_N = {1: tuple(range(11, 29)), 100: tuple(range(11, 25))}
ODD = ((1, 1, 1), (3, 1000, 1000), (7, 4097, 33), (2, 300_007, 2048), (1, 70_001, 5000))
DTYPES = (np.float32, np.float16, ml_dtypes.bfloat16, np.int32, np.uint32)
BITS = {2: np.uint16, 4: np.uint32}  # by bytes of a key
Make = Callable[[Any, Any, Any], Work]  # of x, values and indices: what finds the latter two


def keys(device: Any, kind: str, rows: int, n: int, seed: int) -> Any:
    """Random keys on the device; "adversarial": all but the low 12 bits equal."""
    random = device.xp.random.RandomState(seed)
    if kind == "uniform":
        return random.random_sample((rows, n), dtype=np.float32)
    if kind == "normal":
        return random.standard_normal((rows, n), dtype=np.float32)
    low = random.randint(0, 4096, (rows, n), dtype=np.uint32)
    return (low + np.uint32(0x3F800000)).view(np.float32)


def in_pieces(device: Any, x: Any, values: Any, indices: Any, *, largest: bool = True) -> None:
    """A step that merges rows piece by piece: what :func:`kernels.topk.topk_merge` is for."""
    indices[...] = -1  # there is nothing yet
    bits = x.view(BITS[x.dtype.itemsize])
    size = -(-x.shape[1] // PIECES)
    for first in range(0, x.shape[1], size):
        piece = device.asarray(bits[:, first : first + size].copy()).view(x.dtype)
        topk_merge(device, values, indices, piece, first, largest=largest)


def merging(device: Any, x: Any, values: Any, indices: Any) -> Work:
    """The same, ready to run: all pieces are there."""
    merges = prepared(device, in_pieces, x, values, indices)

    def work() -> None:
        indices[...] = -1
        merges()

    return work


def by_sorting(x: Any, k: int) -> tuple[Any, Any]:
    """The best k of one row, the best last, and their indices, by CuPy's sort."""
    row = x.reshape(-1)
    at = row.argsort()[-k:]
    return row[at], at


def check_odd(device: Any, rng: np.random.Generator) -> Iterator[tuple[str, str | None]]:
    """Every step at odd sizes: its name, and what is wrong. Ours, and what is not in the
    catalogue, in every dtype.
    """
    steps: list[tuple[str, Step, int | None, bool]] = [
        *((entry.name, entry.step, entry.most_k, False) for entry in ENTRIES),
        ("topk, sorted", partial(topk, sorted=True), None, True),
        ("topk_merge", in_pieces, 32, True),  # longer queues take long to compile
    ]
    for name, step, most, in_order in steps:
        for dtype in (np.float32,) if name in BY_NAME and step is not OURS.step else DTYPES:
            fault = None
            for rows, n, k in ODD:
                for largest in (True, False):
                    low = 0 if dtype == np.uint32 else -30_000
                    host = rng.integers(low, 30_000, (rows, n)).astype(dtype)
                    fault = fault or wrong(
                        device, step, host, min(k, most or k), largest, in_order=in_order
                    )
            yield f"{name}, {np.dtype(dtype).name}", fault


def wrong(
    device: Any, step: Step, host: Any, k: int, largest: bool, *, in_order: bool = False
) -> str | None:
    """What is wrong with one selection; None when nothing is."""
    rows, n = host.shape
    where = f"{rows} x {n}, k {k}"
    bits = BITS[host.dtype.itemsize]
    try:
        x = device.asarray(host.view(bits)).view(host.dtype)
        values = device.empty((rows, k), host.dtype)
        indices = device.empty((rows, k), np.int32)
        step(device, x, values, indices, largest=largest)
        found, at = device.to_host(values.view(bits)), device.to_host(indices)
        for row in range(rows):
            wanted = reference.topk(host[row], k, largest=largest)
            if not np.array_equal(np.sort(at[row]), np.sort(wanted)):
                return f"row {row} of {where}: other elements"
            if in_order and not np.array_equal(at[row], wanted):
                return f"row {row} of {where}: in another order"
            if not np.array_equal(found[row], host.view(bits)[row][at[row]]):
                return f"row {row} of {where}: other values than lie there"
    except Exception as error:  # noqa: BLE001 - one dtype must not lose the others
        return f"{said(error)} ({where})"
    return None


def ready(device: Any, steps: Mapping[str, Step]) -> dict[str, Make]:
    """Steps that are the same launches each time."""
    return {name: partial(prepared, device, step) for name, step in steps.items()}


def point(
    device: Any, torch: Any, kind: str, rows: int, n: int, k: int, rounds: int,
    makes: Mapping[str, Make], *, in_order: bool = False,
) -> Record:  # fmt: skip
    """Times of ours and of others for one case; all have to find the same keys."""
    found: Record = {"data": kind, "rows": rows, "n": n, "k": k}
    try:
        x = keys(device, kind, rows, n, seed=n + k)
        values, indices = device.empty((rows, k), np.float32), device.empty((rows, k), np.int32)
        theirs = torch.as_tensor(x, device="cuda")
        best = torch.topk(theirs, k, sorted=True).values
        works: dict[str, Work] = {"torch": lambda: torch.topk(theirs, k, sorted=in_order)}
        if rows == 1 and not in_order:
            last, _ = by_sorting(x, k)
            if not torch.equal(torch.as_tensor(last, device="cuda").flip(0), best[0]):
                return {**found, "failure": "cupy: other keys than torch"}
            works["cupy"] = lambda: by_sorting(x, k)
        for name, make in makes.items():
            work = make(x, values, indices)
            values[...], indices[...] = np.nan, -1
            (first,) = device.time_work(lambda _, run=work: run(), repeat=1, warmup=0)
            mine = torch.as_tensor(values, device="cuda")
            at = torch.as_tensor(indices, device="cuda").long()
            order = mine if in_order else mine.sort(descending=True).values
            same = bool(torch.equal(order, best))
            same = same and bool(torch.equal(theirs.gather(1, at), mine))
            same = same and bool((at.sort().values.diff() > 0).all())
            if not same:
                return {**found, "failure": f"{name}: other keys than torch"}
            if first < SLOW:
                works[name] = work
        outcome = contest(device, works, rounds=rounds, warmup=1)
        for name, timing in outcome.timings.items():
            found[f"{name}_us"] = round(timing.median_us, 2)
        if outcome.failures:
            found["failure"] = "; ".join(outcome.failures.values())
    except Exception as error:  # noqa: BLE001 - one case must not lose the others
        found["failure"] = said(error)
    return found


def bars(device: Any, torch: Any, rounds: int) -> Iterator[Record]:
    """The bars' points, on all kinds of data."""
    makes = ready(device, {"ours": OURS.step, "topk": topk})
    for rows, bits, k, bar_ms in BARS:
        for kind in DATA:
            found = point(device, torch, kind, rows, 1 << bits, k, rounds, makes)
            yield {**found, "bar_ms": bar_ms}


def ladder(device: Any, torch: Any, rounds: int) -> Iterator[Record]:
    """Every step at some points."""
    for rows, bits in LADDER:
        for k in LADDER_K:
            steps = {
                "ours" if entry is OURS else entry.name: entry.step
                for entry in ENTRIES
                if entry.most_k is None or k <= entry.most_k
            }
            makes = ready(device, steps)
            for kind in ("uniform", "adversarial") if k <= 1 << bits else ():
                yield point(device, torch, kind, rows, 1 << bits, k, rounds, makes)


def grid(device: Any, torch: Any, rounds: int) -> Iterator[Record]:
    """The whole grid."""
    makes = ready(device, {"ours": OURS.step, "topk": topk})
    for rows, sizes in GRID_N.items():
        for bits in sizes:
            for k in GRID_K:
                for kind in DATA if k <= 1 << bits else ():
                    yield point(device, torch, kind, rows, 1 << bits, k, rounds, makes)


def in_order(device: Any, torch: Any, rounds: int) -> Iterator[Record]:
    """The best first: selected and then sorted, or whole rows sorted."""
    makes = ready(device, {"topk": partial(topk, sorted=True), "topk_sort": topk_sort})
    for rows, bits, k in SORTED:
        for kind in ("uniform", "adversarial"):
            yield point(device, torch, kind, rows, 1 << bits, k, rounds, makes, in_order=True)


def merged(device: Any, torch: Any, rounds: int) -> Iterator[Record]:
    """Rows in pieces."""
    makes = {**ready(device, {"topk": topk}), "topk_merge": partial(merging, device)}
    for rows, bits, k in MERGED:
        for kind in ("uniform", "adversarial"):
            yield point(device, torch, kind, rows, 1 << bits, k, rounds, makes)


def main() -> int:
    """Run all sections; 1 when something was wrong."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("--output", type=Path, default=RESULTS / "topk_h100.json")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the odd sizes")
    parser.add_argument("--sections", nargs="*", default=SECTIONS, choices=SECTIONS)
    arguments = parser.parse_args()
    import torch  # type: ignore[import-not-found]

    device: Any = open_device("cuda")
    rng = np.random.default_rng(arguments.seed)
    record: Record = {"origin": gpu_origin(MODULE, device), "seed": arguments.seed}
    section = Sections(record, arguments.output).run
    section("wrong", lambda: {name: f for name, f in check_odd(device, rng) if f is not None})
    rounds: int = arguments.rounds
    for name, rows, times in (
        ("bars", bars, 2 * rounds), ("ladder", ladder, max(rounds // 2, 2)), ("grid", grid, rounds),
        ("sorted", in_order, rounds), ("merged", merged, rounds),
    ):  # fmt: skip
        if name in arguments.sections:
            section(name, lambda rows=rows, times=times: list(rows(device, torch, times)))
    report(record)
    print(f"\nwritten to {arguments.output}")
    return int(bool(failures(record, SECTIONS)) or bool(record["wrong"]))


def report(record: Record) -> None:
    """The bars, and where the grid falls behind."""
    print("wrong:", record.get("wrong"))
    for row in rows_of(record, "bars"):
        bar = f"bar {row['bar_ms'] * 1e3:5.0f} us" if row["bar_ms"] else ""
        print(f"{row['rows']:4} x 2^{row['n'].bit_length() - 1:<3} k {row['k']:6} "
              f"{row['data']:12} {row.get('ours_us', 0):9.1f} us, torch "
              f"{row.get('torch_us', 0):9.1f} us {bar} {row.get('failure', '')}")  # fmt: skip
    for name in ("sorted", "merged"):
        for row in rows_of(record, name):
            print(name, row)
    behind = [r for r in rows_of(record, "grid") if slower(r)]
    print(f"{len(rows_of(record, 'grid'))} points of the grid, {len(behind)} slower than a peer")
    for row in behind:
        print(" ", row)
    for row in (*rows_of(record, "ladder"), *rows_of(record, "grid")):
        if "failure" in row:
            print(" ", row)


def slower(row: Record) -> bool:
    """Whether what picks a step took longer than torch or CuPy."""
    peers = [row[name] for name in ("torch_us", "cupy_us") if name in row]
    return bool(row.get("topk_us", 0.0) > min(peers, default=np.inf))


if __name__ == "__main__":
    sys.exit(main())
