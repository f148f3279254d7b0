"""The coalescing topic on a GPU: correctness, bandwidth, the best copy, the chip's ceilings.

``python -m benchmarks.coalescing_h100`` takes about two minutes and writes
``benchmarks/results/coalescing_h100.json`` after each section, so that a later failure loses
nothing. Bandwidth counts each byte read and each byte written once, whatever moved.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import copy_search
from benchmarks.contest import Work, contest, figures, prepared, said
from benchmarks.origin import RESULTS, gpu_origin
from benchmarks.sections import Record, Sections, failures, rows_of
from kernels.coalescing import BY_NAME, ENTRIES, copy_best, place
from kernels.coalescing.block_copy import TALK_FLOATS
from kernels.coalescing.catalogue import Entry, Numbers
from kernels.coalescing.vectors import TALK_FLOATS as TALK_VECTOR_FLOATS
from kernels.runtime import cuda_program, open_device

MODULE = "benchmarks.coalescing_h100"
ODD_SIZES = (1, 31, 33, 1000, 4096, 4097, 99_991)
LARGE = 1 << 26  # floats: 256 MiB in, 256 MiB out
COPY_MIB = (64, 1024, 4096)  # as the peers were measured
SECTIONS = ("kernels", "copies", "search", "finals")


def check_steps(device: Any, rng: np.random.Generator) -> Iterator[tuple[str, str | None]]:
    """Every kernel at odd sizes and alignments: its name, and what is wrong."""
    for entry in ENTRIES:
        fault: str | None = None
        for n in ODD_SIZES:
            for numbers in odd_numbers(entry):
                for shift in (0, 4) if entry.any_alignment else (0,):
                    fault = fault or check(device, entry, n, numbers, rng, shift)
        yield entry.name, fault
    faults = [
        check(device, BY_NAME["copy_best"], n, (), rng, shift_in, shift_out)
        for n in (3, 1000, 99_991)
        for shift_in in (0, 4, 8, 12)
        for shift_out in (0, 4, 8, 12)
    ]
    yield "copy_best, any alignment", next((f for f in faults if f), None)


def odd_numbers(entry: Entry) -> tuple[Numbers, ...]:
    """Values of an entry's numbers to check with."""
    if entry.numbers == ("offset",):
        return ((0,), (5,), (8,))
    if entry.numbers == ("stride",):
        return ((1,), (2,), (7,), (32,))
    if entry.numbers:
        return tuple((size, 5, 3) for size in (1, 2, 4, 8, 16))
    return ((),)


def check(
    device: Any, entry: Entry, n: int, numbers: Numbers, rng: np.random.Generator,
    shift_in: int = 0, shift_out: int | None = None,
) -> str | None:  # fmt: skip
    """What is wrong with one launch over fresh inputs and a poisoned output."""
    where = f"n {n}, numbers {numbers}, shifts {shift_in} and {shift_out}"
    try:
        out = shift_in if shift_out is None else shift_out
        placed = place(device, entry, n, numbers, rng, shift_in=shift_in, shift_out=out)
        launch = placed.launch(device)
        device.launch(launch.kernel, launch.grid, launch.block, launch.args)
        device.synchronize()
        fault = placed.wrong(device)
    except Exception as error:  # noqa: BLE001 - one kernel must not lose the others
        fault = said(error)
    return f"{fault} ({where})" if fault else None


def cases() -> Iterator[tuple[str, str, int, Numbers]]:
    """What is timed: kernel, case, elements, numbers."""
    for entry in ENTRIES:
        if entry.file == "vectors.cu":
            yield entry.name, "talk", TALK_VECTOR_FLOATS, entry.typical
        elif entry.file in ("block_copy.cu", "numba_copies.py"):
            yield entry.name, "talk", TALK_FLOATS, entry.typical
        n = LARGE // 8 if entry.name.startswith("energy") else LARGE
        yield entry.name, "large", n, entry.typical
    for offset in (0, 1, 2, 4, 5, 6, 8):
        yield "copy_offset", f"offset {offset}", 1 << 24, (offset,)
    for stride in (1, 2, 3, 4, 6, 8, 16, 32):
        yield "copy_stride", f"stride {stride}", 1 << 22, (stride,)
    for size in (1, 2, 4, 8, 16):
        yield "copy_elements", f"{size} B", (1 << 27) // size, (size, 0, 1)


def time_steps(device: Any, rng: np.random.Generator) -> list[Record]:
    """Each case: checked, then timed with L2 flushed before each run."""
    found = []
    for name, case, n, numbers in cases():
        entry = BY_NAME[name]
        record: Record = {"kernel": name, "case": case, "n": n}
        if entry.numbers:
            record["numbers"] = dict(zip(entry.numbers, numbers, strict=True))
        try:
            placed = place(device, entry, n, numbers, rng)
            launch = placed.launch(device)
            record |= {"blocks": launch.blocks, "threads": launch.threads}
            timing = device.time(launch.kernel, launch.grid, launch.block, launch.args, repeat=30)
            record |= figures(timing, entry.needed_bytes(n, numbers))
            placed.poison()
            device.launch(launch.kernel, launch.grid, launch.block, launch.args)
            if fault := placed.wrong(device):
                record["failure"] = fault
        except Exception as error:  # noqa: BLE001 - one kernel must not lose the others
            record["failure"] = said(error)
        found.append(record)
    return found


def buffers(device: Any) -> tuple[Any, Any]:
    """Two arrays of the largest size, uint32; the first holds random-looking numbers."""
    xp = device.xp
    words = max(COPY_MIB) << 18
    x = xp.empty(words, dtype=xp.uint32)
    piece = 1 << 26
    for start in range(0, words, piece):
        x[start : start + piece] = xp.arange(start, start + piece, dtype=xp.uint32)
        x[start : start + piece] *= xp.uint32(2654435761)
    return x, xp.empty(words, dtype=xp.uint32)


def copiers(device: Any, x: Any, y: Any) -> dict[str, Work]:
    """Ways to copy ``x`` to ``y``, ready to run: the course's, torch's, the driver's."""
    floats = x.view(np.float32), y.view(np.float32)
    ready: dict[str, Work] = {}
    for name in ("copy_best", "copy_aligned", "copy_coalesced", "copy_float4", "copy_ilp8"):
        step = copy_best if name == "copy_best" else BY_NAME[name].step
        ready[name] = prepared(device, step, *floats)

    def driver_copy() -> None:
        device.runtime.memcpyAsync(
            y.data.ptr, x.data.ptr, x.nbytes, device.runtime.memcpyDeviceToDevice, device.stream
        )

    ready["cudaMemcpyAsync"] = driver_copy
    try:
        import torch  # type: ignore[import-not-found]

        source, target = (torch.as_tensor(a, device="cuda") for a in floats)
        assert target.data_ptr() == y.data.ptr, "torch made a copy"
        ready["torch copy_"] = lambda: target.copy_(source)
    except (ImportError, AssertionError, RuntimeError) as error:
        print(f"no torch copy_ to compare with: {error}", file=sys.stderr)
    return ready


def copy_contest(
    device: Any, x: Any, y: Any, winners: list[copy_search.Variant], rounds: int
) -> list[Record]:
    """All copies against one another in the same rounds, by size."""
    found = []
    for mib in COPY_MIB:
        words = mib << 18
        a, b = x[:words], y[:words]
        works = copiers(device, a, b)
        for variant in winners:
            try:
                ready = copy_search.prepare(device, variant, a, b, words // 4)
                works[f"search: {variant.name}"] = ready
            except Exception as error:  # noqa: BLE001 - one variant must not lose the others
                print(f"{variant.name}: {said(error)}", file=sys.stderr)
        faults = {name: fault for name, work in works.items() if (fault := uncopied(a, b, work))}
        outcome = contest(device, works, rounds=rounds)
        torch = outcome.timings.get("torch copy_")
        for name, timing in outcome.timings.items():
            record = {"copy": name, "mib": mib, **figures(timing, 2 * a.nbytes)}
            if torch is not None:
                record["times_torch"] = round(torch.median_us / timing.median_us, 4)
            if name in faults:
                record["failure"] = faults[name]
            found.append(record)
        found += [{"copy": n, "mib": mib, "failure": text} for n, text in outcome.failures.items()]
    return found


def uncopied(x: Any, y: Any, work: Work) -> str | None:
    """Whether ``work`` fails to copy every word of ``x`` over a poisoned ``y``."""
    try:
        y.fill(0xFFFFFFFF)
        work()
        return None if bool((x == y).all()) else "wrong: the copy differs from its source"
    except Exception as error:  # noqa: BLE001 - one copy must not lose the others
        return said(error)


def ceilings(device: Any, x: Any, y: Any) -> Record:
    """What the chip reaches: reading, writing, copying, multiply-adds, an empty launch."""
    program = cuda_program(Path(__file__).with_name("ceilings.cu"))
    words = 1 << 28  # 1 GiB
    vectors, sms = words // 4, device.arch.sm_count
    few = device.empty(sms * 16 * 256, np.float32)
    rounds = 1 << 14
    works: dict[str, tuple[str, int, int, tuple[Any, ...]]] = {
        "read": ("read_only", sms * 8, 256, (x[:words], y[:4], vectors)),
        "write": ("write_only", sms * 8, 256, (y[:words], 7, vectors)),
        "multiply_add": ("multiply_add", sms * 8, 256, (few, 0.999, 0.001, rounds)),
        "empty_launch": ("nothing", 1, 32, ()),
    }
    found: Record = {
        "datasheet_dram_gigabytes_per_s": round(device.arch.dram_bytes_per_s / 1e9, 1),
        "datasheet_fp32_teraflops": round(device.arch.fp32_flops / 1e12, 1),
    }
    for name, (kernel, grid, block, args) in works.items():
        try:
            timing = device.time(program[kernel], grid, block, args, repeat=30)
        except Exception as error:  # noqa: BLE001 - one ceiling must not lose the others
            found[name] = {"failure": said(error)}
            continue
        if name in ("read", "write"):
            found[name] = figures(timing, 4 * words)
        elif name == "multiply_add":
            flops = 16 * rounds * grid * block
            found[name] = {
                "median_us": round(timing.median_us, 3),
                "teraflops": round(flops / timing.median_us / 1e6, 2),
            }
        else:
            found[name] = {"median_us": round(timing.median_us, 3)}
    return found


def search(device: Any, x: Any, y: Any, rounds: int, found: list[Record]) -> list[Any]:
    """Fill ``found`` with every variant, and return the fastest few."""
    vectors = 1 << 26  # 1 GiB
    geometries = copy_search.geometries()
    found += copy_search.screen(device, geometries, x, y, vectors, rounds)
    hinted = copy_search.hints(copy_search.fastest(found, geometries, 4))
    found += copy_search.screen(device, hinted, x, y, vectors, rounds)
    bulks = copy_search.bulks()
    found += copy_search.screen(device, bulks, x, y, vectors, rounds)
    tiles = copy_search.fastest(found, [*geometries, *hinted], 6)
    return tiles + copy_search.fastest(found, bulks, 2)


def main() -> int:
    """Run all sections; 1 when something was wrong."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("--output", type=Path, default=RESULTS / "coalescing_h100.json")
    parser.add_argument("--no-search", action="store_true", help="leave out the search")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the inputs")
    arguments = parser.parse_args()
    device: Any = open_device("cuda")
    rng = np.random.default_rng(arguments.seed)
    record: Record = {"origin": gpu_origin(MODULE, device), "seed": arguments.seed}

    section = Sections(record, arguments.output).run
    section("wrong", lambda: {name: f for name, f in check_steps(device, rng) if f is not None})
    section("kernels", lambda: time_steps(device, rng))
    x, y = buffers(device)
    section("ceilings", lambda: ceilings(device, x, y))
    section("copies", lambda: copy_contest(device, x, y, [], 40))
    if not arguments.no_search:
        screened: list[Record] = []
        winners: list[Any] = []

        def run_search() -> list[Record]:
            winners.extend(search(device, x, y, 7, screened))
            return screened

        section("search", run_search)
        section("finals", lambda: copy_contest(device, x, y, winners, 40))
    report(record)
    print(f"\nwritten to {arguments.output}")
    return int(bool(failures(record, SECTIONS)))


def report(record: Record) -> None:
    """The short table."""
    print(f"{record['origin']['device']}, {record['origin']['date']}")
    for row in rows_of(record, "kernels"):
        if "median_us" in row:
            print(f"{row['kernel']:22} {row['case']:10} {row['median_us']:10.2f} us "
                  f"{row['gigabytes_per_s']:8.1f} GB/s")  # fmt: skip
    print("ceilings:", record.get("ceilings"))
    fast = [row for row in rows_of(record, "search") if "median_us" in row]
    for row in sorted(fast, key=lambda row: row["median_us"])[:12]:
        print(f"search  {row['name']:70} {row['gigabytes_per_s']:8.1f} GB/s")
    for section in ("copies", "finals"):
        for row in sorted(
            rows_of(record, section), key=lambda r: (r["mib"], r.get("median_us", 0))
        ):
            if "median_us" in row:
                print(f"{section:7} {row['mib']:5} MiB {row['copy']:72} {row['median_us']:9.2f} us "
                      f"{row['gigabytes_per_s']:8.1f} GB/s  {row.get('times_torch', 0):.4f} x torch"
                      )  # fmt: skip
    wrong = failures(record, SECTIONS)
    print(f"{len(wrong)} failures")
    for line in wrong[:10]:
        print("  " + line)


if __name__ == "__main__":
    sys.exit(main())
