"""The bank conflicts topic on a GPU: correctness, times, the best transpose beside a copy.

``python -m benchmarks.bank_conflicts_h100`` takes about three minutes and writes
``benchmarks/results/bank_conflicts_h100.json`` after each section. Bandwidth counts each byte read
from and written to global memory once, whatever moved; of ``read_shared``, each byte that a lane
got from shared memory.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import transpose_search
from benchmarks.contest import Work, contest, figures, prepared, said
from benchmarks.origin import RESULTS, gpu_origin
from benchmarks.sections import Record, Sections, failures, rows_of
from benchmarks.transpose_search import Size, Variant, numbered, untransposed
from kernels.bank_conflicts import (
    BY_NAME,
    ENTRIES,
    broadcast,
    column,
    permuted,
    place,
    scattered,
    strided,
)
from kernels.bank_conflicts.catalogue import Entry, Numbers, Sizes
from kernels.bank_conflicts.patterns import LOADS, table_elements
from kernels.coalescing import copy_best
from kernels.placed import Array
from kernels.runtime import open_device

MODULE = "benchmarks.bank_conflicts_h100"
SECTIONS = ("kernels", "transposes", "search", "finals")
ODD_LENGTHS = (0, 1, 31, 33, 1000, 4097, 99_991)
ODD_MATRICES = ((1, 1), (31, 33), (64, 64), (100, 77), (257, 600), (600, 259), (1000, 1024))
LADDER = ("transpose_naive", "transpose_tiled", "transpose_padded", "transpose_swizzled",
          "transpose_best")  # fmt: skip
# what is recorded: the goal's size, rows that begin anywhere, and sizes that fill no tile
MATRICES: tuple[Size, ...] = (
    (8192, 8192), (8191, 8193), (8191, 8192), (8192, 8191), (8190, 8194), (8100, 8300),
    (10_000, 6004), (65_536, 1000), (1000, 65_536), (4096, 4096), (1024, 1024),
)  # fmt: skip
FEW, ODD = (8192, 8192), (8191, 8193)
ROUNDS = 128  # of 8 loads from shared memory


def check_steps(device: Any, rng: np.random.Generator) -> Iterator[tuple[str, str | None]]:
    """Every kernel at odd sizes and alignments: its name, and what is wrong."""
    for entry in ENTRIES:
        fault: str | None = None
        for sizes in ODD_MATRICES if len(entry.sizes) == 2 else [(n,) for n in ODD_LENGTHS]:
            for shift in (0, 4) if entry.alignment == 4 else (0,):
                for numbers in odd_numbers(entry):
                    fault = fault or check(device, entry, sizes, numbers, rng, shift)
        yield entry.name, fault


def odd_numbers(entry: Entry) -> tuple[Numbers, ...]:
    """Values of an entry's numbers to check with."""
    return ((4, 3), (8, 2), (16, 1)) if entry.numbers else ((),)


def check(
    device: Any, entry: Entry, sizes: Sizes, numbers: Numbers, rng: np.random.Generator, shift: int
) -> str | None:
    """What is wrong with one launch over fresh inputs and a poisoned output."""
    try:
        placed = place(device, entry, sizes, numbers, rng, shift_in=shift, shift_out=shift)
        launch = placed.launch(device)
        device.launch(launch.kernel, launch.grid, launch.block, launch.args)
        device.synchronize()
        fault = placed.wrong(device)
    except Exception as error:  # noqa: BLE001 - one kernel must not lose the others
        fault = said(error)
    return f"{fault} ({sizes}, numbers {numbers}, {shift} bytes past)" if fault else None


@dataclass(frozen=True)
class Timed:
    """A kernel that is timed by itself."""

    name: str
    case: str
    sizes: Sizes
    numbers: Numbers = ()
    inputs: tuple[Array, ...] | None = None

    @property
    def nbytes(self) -> int:
        """What bandwidth is counted over."""
        if self.name == "read_shared":
            return self.sizes[0] * self.numbers[0] * LOADS * self.numbers[1]
        return BY_NAME[self.name].needed_bytes(self.sizes)


def patterns() -> Iterator[tuple[str, Array]]:
    """Where the lanes of a warp read."""
    for stride in (1, 2, 3, 4, 8, 16, 32, 33):
        yield f"stride {stride}", strided(stride)
    yield "broadcast", broadcast()
    yield "column, swizzled", column(at=13, swizzled=True)
    yield "permuted", permuted(1)
    yield "scattered", scattered(1)


def cases(sm_count: int, rng: np.random.Generator, n: int = 1 << 28) -> Iterator[Timed]:
    """Everything but the transposes; histograms of ``n`` bytes."""
    threads = (8 * 256 * sm_count,)
    for width in (4, 8, 16):
        table = rng.integers(0, 1 << 32, table_elements(width) * width // 4, dtype=np.uint32)
        for name, places in patterns():
            case = f"{width} B, {name}"
            yield Timed("read_shared", case, threads, (width, ROUNDS), (table, places))
    for name in ("column_sums_tiled", "column_sums_padded"):
        yield Timed(name, "large", BY_NAME[name].large)
    random = rng.integers(0, 256, n, dtype=np.uint8)
    for name in ("histogram_global", "histogram_shared", "histogram_warps", "histogram_lanes"):
        yield Timed(name, "large", (n,), (), (random,))
        yield Timed(name, "one value", (n,), (), (np.full(n, 7, dtype=np.uint8),))


def time_cases(device: Any, rng: np.random.Generator) -> list[Record]:
    """Each case: timed with L2 flushed before each run, and checked."""
    found = []
    for case in cases(device.arch.sm_count, rng):
        entry = BY_NAME[case.name]
        record: Record = {"kernel": case.name, "case": case.case, "sizes": list(case.sizes)}
        if entry.numbers:
            record["numbers"] = dict(zip(entry.numbers, case.numbers, strict=True))
        try:
            placed = place(device, entry, case.sizes, case.numbers, rng, inputs=case.inputs)
            launch = placed.launch(device)
            record |= {"blocks": launch.blocks, "threads": launch.threads}
            timing = device.time(launch.kernel, launch.grid, launch.block, launch.args, repeat=20)
            record |= figures(timing, case.nbytes)
            placed.poison()
            device.launch(launch.kernel, launch.grid, launch.block, launch.args)
            if fault := placed.wrong(device):
                record["failure"] = fault
        except Exception as error:  # noqa: BLE001 - one kernel must not lose the others
            record["failure"] = said(error)
        found.append(record)
    return found


def transposers(device: Any, x: Any, y: Any) -> dict[str, Work]:
    """Ways to transpose ``x`` into ``y``, uint32: the course's and torch's, ready to run."""
    floats = x.view(np.float32), y.view(np.float32)
    ready: dict[str, Work] = {}
    for name in LADDER:
        ready[name] = prepared(device, BY_NAME[name].step, *floats)
    if (tensors := as_torch(*floats)) is not None:
        source, target = tensors
        ready["torch"] = lambda: target.copy_(source.t())
    return ready


def copiers(device: Any, x: Any, y: Any) -> dict[str, Work]:
    """Ways to copy as many bytes."""
    floats = x.view(np.float32).reshape(-1), y.view(np.float32).reshape(-1)
    ready = {"copy_best": prepared(device, copy_best, *floats)}
    if (tensors := as_torch(*floats)) is not None:
        source, target = tensors
        ready["torch copy_"] = lambda: target.copy_(source)
    return ready


def as_torch(x: Any, y: Any) -> tuple[Any, Any] | None:
    """The same memory as torch's tensors; None without torch."""
    try:
        import torch  # type: ignore[import-not-found]

        source, target = (torch.as_tensor(array, device="cuda") for array in (x, y))
        assert target.data_ptr() == y.data.ptr, "torch made a copy"
        return source, target
    except (ImportError, AssertionError, RuntimeError) as error:
        print(f"no torch to compare with: {error}", file=sys.stderr)
        return None


def transpose_contest(
    device: Any, winners: list[Variant], sizes: tuple[Size, ...], rounds: int
) -> list[Record]:
    """All transposes, and copies of as many bytes, against one another in the same rounds."""
    found: list[Record] = []
    for rows, cols in sizes:
        x, y = numbered(device, rows, cols), device.empty((cols, rows), np.uint32)
        works = transposers(device, x, y)
        for variant in winners:
            if not variant.takes(rows, cols):
                continue
            try:
                works[f"search: {variant.name}"] = transpose_search.prepare(device, variant, x, y)
            except Exception as error:  # noqa: BLE001 - one variant must not lose the others
                print(f"{variant.name}: {said(error)}", file=sys.stderr)
        faults = {n: f for n, work in works.items() if (f := untransposed(device, x, y, work))}
        copies = copiers(device, x, y)
        outcome = contest(device, {**works, **copies}, rounds=rounds)
        copy, torch = outcome.timings.get("copy_best"), outcome.timings.get("torch")
        for name, timing in outcome.timings.items():
            record = {"kernel": name, "rows": rows, "cols": cols, **figures(timing, 2 * x.nbytes)}
            if copy is not None:
                record["of_copy"] = round(copy.median_us / timing.median_us, 4)
            if torch is not None and name not in copies:
                record["times_torch"] = round(torch.median_us / timing.median_us, 4)
            if name in faults:
                record["failure"] = faults[name]
            found.append(record)
        found += [
            {"kernel": name, "rows": rows, "cols": cols, "failure": text}
            for name, text in outcome.failures.items()
        ]
    return found


def search(device: Any, rounds: int, found: list[Record]) -> list[Variant]:
    """Fill ``found`` with every variant, and return the fastest few of each kind."""
    best: list[Variant] = []
    for start, size in (
        (transpose_search.quads(), FEW),
        (transpose_search.words(), ODD),
        (transpose_search.words(in_quads=True), (8191, 8192)),
        (transpose_search.words(out_quads=True), (8192, 8191)),
    ):
        best += transpose_search.search(device, start, size, rounds, found)
    return best


def main() -> int:
    """Run all sections; 1 when something was wrong."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("--output", type=Path, default=RESULTS / "bank_conflicts_h100.json")
    parser.add_argument("--search", action="store_true", help="look for a faster transpose, too")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the inputs")
    arguments = parser.parse_args()
    device: Any = open_device("cuda")
    rng = np.random.default_rng(arguments.seed)
    record: Record = {"origin": gpu_origin(MODULE, device), "seed": arguments.seed}
    section = Sections(record, arguments.output).run
    section("wrong", lambda: {name: f for name, f in check_steps(device, rng) if f is not None})
    section("transposes", lambda: transpose_contest(device, [], MATRICES, 40))
    section("kernels", lambda: time_cases(device, rng))
    if arguments.search:
        screened: list[Record] = []
        winners: list[Variant] = []

        def run_search() -> list[Record]:
            winners.extend(search(device, 5, screened))
            return screened

        section("search", run_search)
        section("finals", lambda: transpose_contest(device, winners, MATRICES, 20))
    report(record)
    print(f"\nwritten to {arguments.output}")
    return int(bool(failures(record, SECTIONS)))


def report(record: Record) -> None:
    """The short table."""
    print(f"{record['origin']['device']}, {record['origin']['date']}")
    for row in rows_of(record, "kernels"):
        if "median_us" in row:
            print(f"{row['kernel']:20} {row['case']:24} {row['median_us']:10.2f} us "
                  f"{row['gigabytes_per_s']:9.1f} GB/s")  # fmt: skip
    fast = [row for row in rows_of(record, "search") if "median_us" in row]
    for size in dict.fromkeys(tuple(row["size"]) for row in fast):
        mine = sorted((r for r in fast if tuple(r["size"]) == size), key=lambda r: r["median_us"])
        for row in mine[:12]:
            print(f"search {size} {row['name']:56} {row['gigabytes_per_s']:8.1f} GB/s")
    for section in ("transposes", "finals"):
        rows = [row for row in rows_of(record, section) if "median_us" in row]
        for row in sorted(rows, key=lambda row: (-row["rows"], row["cols"], row["median_us"])):
            beside = f"{row.get('of_copy', 0):.4f} of copy  {row.get('times_torch', 0):.3f} x torch"
            print(f"{section:10} {row['rows']:6} x {row['cols']:<6} {row['kernel']:60} "
                  f"{row['median_us']:9.2f} us {row['gigabytes_per_s']:8.1f} GB/s  {beside}"
                  )  # fmt: skip
    wrong = failures(record, SECTIONS)
    print(f"{len(wrong)} failures")
    for line in wrong[:10]:
        print("  " + line)


if __name__ == "__main__":
    sys.exit(main())
