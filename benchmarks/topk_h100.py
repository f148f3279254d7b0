"""The top-k topic on a GPU: correctness, then our selection beside torch.topk in the same rounds.

``python -m benchmarks.topk_h100`` takes about a minute and writes
``benchmarks/results/topk_h100.json`` after each section. Everything is float32; torch.topk is told
that its output need not be sorted. L2 is flushed before each run. Figures of RAFT and CUB on the
same kind of chip come from elsewhere: they are not in this record.

======== ==========================================================================================
section  what it holds
======== ==========================================================================================
wrong    every step, ours in every dtype, at odd sizes, against NumPy's stable sort
bars     the points that the course sets itself bars for
ladder   every step at some points
grid     rows of 2^11 to 2^28 elements, k from 8 to 2^16, one row and a hundred
======== ==========================================================================================
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from benchmarks.contest import Work, contest, prepared, said
from benchmarks.origin import RESULTS, gpu_origin
from benchmarks.sections import Record, Sections, failures, rows_of
from kernels.launches import Step
from kernels.runtime import open_device
from kernels.topk import BY_NAME, ENTRIES, Entry, reference

MODULE = "benchmarks.topk_h100"
SECTIONS = ("bars", "ladder", "grid")
DATA = ("uniform", "normal", "adversarial")
BARS = (  # rows, log2 of n, k, milliseconds
    (1, 27, 32, 0.25), (1, 27, 256, 0.25), (1, 27, 2048, 0.3), (1, 27, 32768, 0.3),
    (100, 20, 32, 0.2), (100, 20, 256, 0.25), (100, 20, 2048, 0.3),
    (1, 16, 32, None), (1, 16, 2048, None), (1, 20, 32, None), (1, 20, 2048, None),
)  # fmt: skip
OURS = BY_NAME["topk_filtered"]
LADDER = (  # rows, log2 of n
    (1, 11), (1, 13), (1, 16), (1, 20), (1, 24), (1, 27),
    (100, 11), (100, 14), (100, 17), (100, 20),
)  # fmt: skip
LADDER_K = (8, 32, 256, 1024, 2048, 32768)
SLOW = 2e5  # microseconds of a step, beyond which it is not timed again
GRID_K = (8, 32, 256, 2048, 16384, 65536)
GRID_N = {1: tuple(range(11, 29)), 100: tuple(range(11, 25))}
ODD = ((1, 1, 1), (3, 1000, 1000), (7, 4097, 33), (2, 300_007, 2048))
DTYPES = (np.float32, np.float16, ml_dtypes.bfloat16, np.int32, np.uint32)


def keys(device: Any, kind: str, rows: int, n: int, seed: int) -> Any:
    """Random keys on the device; "adversarial": all but the low 12 bits equal."""
    random = device.xp.random.RandomState(seed)
    if kind == "uniform":
        return random.random_sample((rows, n), dtype=np.float32)
    if kind == "normal":
        return random.standard_normal((rows, n), dtype=np.float32)
    low = random.randint(0, 4096, (rows, n), dtype=np.uint32)
    return (low + np.uint32(0x3F800000)).view(np.float32)


def check_odd(device: Any, rng: np.random.Generator) -> Iterator[tuple[str, str | None]]:
    """Every step at odd sizes, ours in every dtype: its name, and what is wrong."""
    for entry in ENTRIES:
        for dtype in DTYPES if entry is OURS else (np.float32,):
            fault = None
            for rows, n, k in ODD:
                most = entry.most_k or k
                for largest in (True, False):
                    low = 0 if dtype == np.uint32 else -30_000
                    host = rng.integers(low, 30_000, (rows, n)).astype(dtype)
                    fault = fault or wrong(device, entry.step, host, min(k, most), largest)
            yield f"{entry.name}, {np.dtype(dtype).name}", fault


def wrong(device: Any, step: Step, host: Any, k: int, largest: bool) -> str | None:
    """What is wrong with one selection; None when nothing is."""
    rows, n = host.shape
    try:
        x = device.asarray(host.view(np.uint16)) if host.dtype == ml_dtypes.bfloat16 else None
        x = device.asarray(host) if x is None else x.view(host.dtype)
        values = device.empty((rows, k), host.dtype)
        indices = device.empty((rows, k), np.int32)
        step(device, x, values, indices, largest=largest)
        at = device.to_host(indices)
        for row in range(rows):
            wanted = reference.topk(host[row], k, largest=largest)
            if not np.array_equal(np.sort(at[row]), np.sort(wanted)):
                return f"row {row} of {rows} x {n}, k {k}: other elements"
    except Exception as error:  # noqa: BLE001 - one dtype must not lose the others
        return f"{said(error)} ({rows} x {n}, k {k})"
    return None


def point(
    device: Any, torch: Any, kind: str, rows: int, n: int, k: int, rounds: int,
    entries: Sequence[Entry] = (OURS,),
) -> Record:  # fmt: skip
    """Times of steps and of torch for one case; all have to find the same keys."""
    found: Record = {"data": kind, "rows": rows, "n": n, "k": k}
    try:
        x = keys(device, kind, rows, n, seed=n + k)
        values, indices = device.empty((rows, k), np.float32), device.empty((rows, k), np.int32)
        theirs = torch.as_tensor(x, device="cuda")
        best = torch.topk(theirs, k, sorted=False).values.sort().values
        works: dict[str, Work] = {"torch": lambda: torch.topk(theirs, k, sorted=False)}
        for entry in entries:
            if entry.most_k is not None and k > entry.most_k:
                continue
            name = "ours" if entry is OURS else entry.name
            work = prepared(device, entry.step, x, values, indices)
            values[...], indices[...] = np.nan, -1
            (first,) = device.time_work(lambda _, run=work: run(), repeat=1, warmup=0)
            mine = torch.as_tensor(values, device="cuda")
            at = torch.as_tensor(indices, device="cuda").long()
            same = bool(torch.equal(mine.sort().values, best))
            same = same and bool(torch.equal(theirs.gather(1, at), mine))
            same = same and bool((at.sort().values.diff() > 0).all())
            if not same:
                return {**found, "failure": f"{entry.name}: other keys than torch"}
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
    for rows, bits, k, bar_ms in BARS:
        for kind in DATA:
            yield {**point(device, torch, kind, rows, 1 << bits, k, rounds), "bar_ms": bar_ms}


def ladder(device: Any, torch: Any, rounds: int) -> Iterator[Record]:
    """Every step at some points."""
    for rows, bits in LADDER:
        for k in LADDER_K:
            for kind in ("uniform", "adversarial") if k <= 1 << bits else ():
                yield point(device, torch, kind, rows, 1 << bits, k, rounds, ENTRIES)


def grid(device: Any, torch: Any, rounds: int) -> Iterator[Record]:
    """The whole grid."""
    for rows, sizes in GRID_N.items():
        for bits in sizes:
            for k in GRID_K:
                for kind in DATA if k <= 1 << bits else ():
                    yield point(device, torch, kind, rows, 1 << bits, k, rounds)


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
    if "bars" in arguments.sections:
        section("bars", lambda: list(bars(device, torch, 2 * arguments.rounds)))
    if "ladder" in arguments.sections:
        section("ladder", lambda: list(ladder(device, torch, max(arguments.rounds // 2, 2))))
    if "grid" in arguments.sections:
        section("grid", lambda: list(grid(device, torch, arguments.rounds)))
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
    behind = [r for r in rows_of(record, "grid") if r.get("ours_us", 0) > r.get("torch_us", 1e9)]
    print(f"{len(rows_of(record, 'grid'))} points of the grid, {len(behind)} slower than torch")
    for row in behind:
        print(" ", row)
    for row in (*rows_of(record, "ladder"), *rows_of(record, "grid")):
        if "failure" in row:
            print(" ", row)


if __name__ == "__main__":
    sys.exit(main())
