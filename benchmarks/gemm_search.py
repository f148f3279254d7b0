"""A search for the fastest tile shapes of SGEMM and HGEMM, each against cuBLAS in the same rounds.

``python -m benchmarks.gemm_search`` compiles all shapes in parallel, checks each against float64 at
a size that fits no tile and in rows of the large one, times the right ones in turn with
torch.matmul (TF32 off),
and writes ``benchmarks/results/gemm_search_h100.json`` after each section. About three minutes.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contest import Work, contest, prepared, said
from benchmarks.origin import RESULTS, gpu_origin, write
from kernels.gemm import (
    Epilogue,
    HgemmTile,
    SgemmTile,
    hgemm_multistage,
    reference,
    sgemm_double_buffered,
)
from kernels.runtime import open_device

MODULE = "benchmarks.gemm_search"
Tile = SgemmTile | HgemmTile
Record = dict[str, Any]
ODD = (777, 1032, 520)  # m, n, k of the check: no tile fits, rows begin at multiples of 16 bytes
CUBLAS = "cuBLAS"


def sgemm_tiles() -> list[SgemmTile]:
    """Shapes of ``sgemm_double_buffered``."""
    large = [
        SgemmTile(128, 256, bk, wm, wn, 8, 16, stages, copy_a, 8, 1)
        for bk, stages in ((8, 4), (16, 3), (32, 2))
        for wm, wn in ((64, 64), (32, 128))
        for copy_a in ("WORDS", "REGISTERS")
    ]
    return [
        *large,
        SgemmTile(128, 256, 16, 64, 64, 8, 16, 4, "WORDS", 8, 1),
        SgemmTile(128, 256, 16, 64, 64, 8, 16, 3, "WORDS", 4, 1),
        SgemmTile(128, 256, 16, 64, 64, 8, 16, 3, "WORDS", 16, 1),
        SgemmTile(256, 128, 16, 64, 64, 16, 8, 3, "WORDS", 8, 1),
        SgemmTile(256, 128, 16, 128, 32, 16, 8, 3, "WORDS", 8, 1),
        SgemmTile(128, 128, 16, 64, 64, 8, 16, 3, "WORDS", 8, 2),
        SgemmTile(128, 128, 16, 64, 64, 8, 16, 3, "REGISTERS", 8, 2),
        SgemmTile(128, 128, 32, 64, 64, 8, 16, 2, "WORDS", 8, 2),
        SgemmTile(128, 128, 8, 64, 32, 8, 8, 4, "WORDS", 8, 2),
        SgemmTile(128, 128, 16, 64, 32, 8, 8, 3, "WORDS", 8, 2),
        SgemmTile(128, 128, 16, 64, 32, 8, 8, 3, "REGISTERS", 8, 2),
        SgemmTile(128, 128, 32, 64, 32, 8, 8, 2, "WORDS", 8, 2),
        SgemmTile(64, 128, 16, 32, 64, 8, 8, 3, "WORDS", 8, 4),
        SgemmTile(128, 64, 16, 64, 32, 8, 8, 3, "WORDS", 8, 4),
        SgemmTile(64, 128, 16, 32, 64, 8, 8, 3, "REGISTERS", 8, 4),
        SgemmTile(64, 64, 16, 32, 32, 8, 4, 4, "WORDS", 8, 4),
        SgemmTile(64, 64, 32, 32, 32, 8, 4, 3, "REGISTERS", 8, 4),
        SgemmTile(64, 64, 16, 64, 32, 8, 8, 4, "WORDS", 8, 4),
        *(
            SgemmTile(*shape, unroll)
            for shape in (
                (128, 256, 16, 64, 64, 8, 16, 3, "WORDS", 8, 1),
                (128, 256, 32, 64, 64, 8, 16, 2, "WORDS", 8, 1),
                (128, 128, 16, 64, 64, 8, 16, 3, "WORDS", 8, 2),
                (64, 128, 16, 32, 64, 8, 8, 3, "WORDS", 8, 4),
                (64, 128, 32, 32, 64, 8, 8, 2, "WORDS", 8, 4),
            )
            for unroll in (8, 4)
        ),
    ]


def hgemm_tiles() -> list[HgemmTile]:
    """Shapes of ``hgemm_multistage``."""
    return [
        HgemmTile(128, 256, 64, 64, 64, 3, 8, 1),
        HgemmTile(128, 256, 64, 64, 64, 4, 8, 1),
        HgemmTile(128, 256, 32, 64, 64, 4, 8, 1),
        HgemmTile(128, 256, 32, 64, 64, 6, 8, 1),
        HgemmTile(128, 256, 64, 64, 64, 3, 4, 1),
        HgemmTile(128, 256, 64, 64, 64, 3, 16, 1),
        HgemmTile(256, 128, 64, 64, 64, 3, 8, 1),
        HgemmTile(256, 128, 32, 64, 64, 5, 8, 1),
        HgemmTile(256, 128, 64, 64, 64, 4, 4, 1),
        HgemmTile(128, 128, 64, 64, 64, 3, 8, 1),
        HgemmTile(128, 128, 64, 64, 64, 3, 8, 2),
        HgemmTile(128, 128, 32, 64, 64, 4, 8, 2),
        HgemmTile(128, 128, 64, 64, 32, 3, 8, 1),
        HgemmTile(128, 128, 64, 64, 32, 4, 8, 1),
        HgemmTile(128, 128, 64, 32, 64, 3, 8, 2),
        HgemmTile(128, 64, 64, 64, 32, 4, 8, 2),
        HgemmTile(64, 128, 64, 32, 64, 4, 8, 2),
        HgemmTile(64, 256, 64, 64, 64, 3, 8, 1),
        HgemmTile(64, 64, 64, 32, 32, 4, 8, 3),
    ]


def compile_tile(tile: Tile) -> tuple[str, str | None, Record]:
    """Compile one shape into the cache, in a process of its own: name, failure, resources."""
    try:
        if isinstance(tile, SgemmTile):
            kernel = tile.kernel(True)
        else:
            kernel = tile.kernel("hgemm_multistage", "__half", "__half", Epilogue(), True)
    except Exception as error:  # noqa: BLE001 - a shape that does not compile is a result
        return tile.name, said(error), {}
    if (used := kernel.resources) is None:
        return tile.name, None, {}
    return tile.name, None, {"registers": used.registers, "spilled_bytes": used.local_bytes}


def compile_all(tiles: Sequence[Tile], processes: int) -> dict[str, tuple[str | None, Record]]:
    """Compile shapes in parallel."""
    with ProcessPoolExecutor(processes) as pool:
        return {name: (fault, used) for name, fault, used in pool.map(compile_tile, tiles)}


def arrays(device: Any, m: int, n: int, k: int, dtype: str, seed: int = 0) -> tuple[Any, Any, Any]:
    """A and B of random numbers, and an output, on the device."""
    rng = np.random.default_rng(seed)
    a, b = (rng.standard_normal(s, dtype=np.float32).astype(dtype) for s in ((m, k), (k, n)))
    return device.asarray(a), device.asarray(b), device.empty((m, n), dtype)


def prepare(device: Any, tile: Tile, a: Any, b: Any, c: Any) -> Work:
    """A checked launch of ``c = a @ b``."""
    step = sgemm_double_buffered if isinstance(tile, SgemmTile) else hgemm_multistage
    return prepared(device, step, a, b, c, tile=tile)


def judge(device: Any, a: Any, b: Any, rows: Sequence[int]) -> Callable[[Any], str | None]:
    """What tells whether some rows of a product are wrong: computed once, in float64."""
    left, right = device.to_host(a)[list(rows)], device.to_host(b)
    exact = left.astype(np.float64) @ right.astype(np.float64)
    if left.dtype == np.float16:
        allowed = reference.hgemm_tolerance(left, right, exact, left.dtype)
    else:
        allowed = reference.sgemm_tolerance(left, right, left)

    def verdict(c: Any) -> str | None:
        found = np.concatenate([device.to_host(c[row : row + 1]) for row in rows])
        off = np.abs(found.astype(np.float64) - exact) / allowed
        if (off <= 1.0).all():
            return None
        worst = float(np.nan_to_num(off, nan=np.inf).max())
        return f"wrong: {worst:.3g} times the error that rounding explains"

    return verdict


def poison(c: Any) -> None:
    """Fill an output with NaN."""
    c.reshape(-1).view(np.uint8)[...] = 0xFF


def ends(m: int) -> list[int]:
    """Rows to check of many: the first, the last and two in the middle."""
    return [0, 1, m // 2 - 1, m // 2, m - 2, m - 1]


def cublas(device: Any, a: Any, b: Any, c: Any) -> Work | None:
    """torch.matmul on the same memory, in float32 without TF32; None without torch."""
    try:
        import torch  # type: ignore[import-not-found]
    except ImportError:
        print("no torch: nothing to compare with", file=sys.stderr)
        return None
    torch.backends.cuda.matmul.allow_tf32 = False
    left, right, out = (torch.as_tensor(one, device="cuda") for one in (a, b, c))
    if out.data_ptr() != c.data.ptr:
        raise RuntimeError("torch made a copy of the output")
    return lambda: torch.matmul(left, right, out=out)


def timed(
    device: Any, works: dict[str, Work], sizes: tuple[int, int, int], rounds: int
) -> list[Record]:
    """Contenders in turn, fastest first, with TFLOPS and the share of cuBLAS's speed."""
    m, n, k = sizes
    outcome = contest(device, works, rounds=rounds, warmup=2)
    peer = outcome.timings.get(CUBLAS)
    found: list[Record] = []
    for name, timing in sorted(outcome.timings.items(), key=lambda one: one[1].median_us):
        row: Record = {
            "name": name, "m": m, "n": n, "k": k,
            "median_us": round(timing.median_us, 3),
            "low_us": round(timing.low_us, 3),
            "high_us": round(timing.high_us, 3),
            "samples": timing.samples,
            "teraflops": round(2 * m * n * k / timing.median_us / 1e6, 2),
        }  # fmt: skip
        if peer is not None:
            row["times_cublas"] = round(peer.median_us / timing.median_us, 4)
        found.append(row)
    return found + [{"name": name, "failure": text} for name, text in outcome.failures.items()]


def screen(
    device: Any, tiles: Sequence[Tile], dtype: str, size: int, rounds: int,
    compiled: dict[str, tuple[str | None, Record]],
) -> list[Record]:  # fmt: skip
    """Check and time shapes at ``size``^3; fastest first, then those that failed."""
    odd, large = arrays(device, *ODD, dtype), arrays(device, size, size, size, dtype)
    judges = (judge(device, *odd[:2], range(ODD[0])), judge(device, *large[:2], ends(size)))
    works: dict[str, Work] = {}
    failed: list[Record] = []
    for tile in tiles:
        fault = compiled[tile.name][0]
        if fault is None:
            try:
                for (a, b, c), verdict in zip((odd, large), judges, strict=True):
                    poison(c)
                    works[tile.name] = prepare(device, tile, a, b, c)
                    works[tile.name]()
                    fault = fault or verdict(c)
            except Exception as error:  # noqa: BLE001 - a shape that fails is a result
                fault = said(error)
        if fault is not None:
            works.pop(tile.name, None)
            failed.append({"name": tile.name, "failure": fault})
    if (peer := cublas(device, *large)) is not None:
        works[CUBLAS] = peer
    found = timed(device, works, (size, size, size), rounds)
    return [{**row, **compiled.get(row["name"], (None, {}))[1]} for row in found] + failed


def clock(device: Any) -> Record:
    """The FP32 rate of multiply-adds alone, which tells the clock under load."""
    from kernels.runtime import cuda_program

    program = cuda_program(Path(__file__).with_name("ceilings.cu"))
    grid, rounds = device.arch.sm_count * 8, 1 << 15
    few = device.empty(grid * 256, "float32")
    args = (few, 0.999, 0.001, rounds)
    timing = device.time(program["multiply_add"], grid, 256, args, repeat=10)
    teraflops = 16 * rounds * grid * 256 / timing.median_us / 1e6
    return {
        "teraflops": round(teraflops, 2),
        "clock_ghz": round(teraflops * 1e3 / (device.arch.sm_count * 256), 3),
    }


def main() -> int:
    """Run all sections; 1 when a shape was wrong."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("--output", type=Path, default=RESULTS / "gemm_search_h100.json")
    parser.add_argument("--processes", type=int, default=12, help="that compile")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--compile-only", action="store_true", help="needs no GPU")
    arguments = parser.parse_args()
    sgemm, hgemm = sgemm_tiles(), hgemm_tiles()
    started = time.monotonic()
    compiled = compile_all([*sgemm, *hgemm], arguments.processes)
    print(f"compiled {len(compiled)} shapes in {time.monotonic() - started:.0f} s", file=sys.stderr)
    if arguments.compile_only:
        for name, (fault, used) in compiled.items():
            print(f"{name:45} {fault or used}")
        return int(any(fault for fault, _ in compiled.values()))

    device: Any = open_device("cuda")
    record: Record = {"origin": gpu_origin(MODULE, device)}
    sections: list[tuple[str, Callable[[], Any]]] = [
        ("clock", lambda: clock(device)),
        *[
            (f"sgemm_{size}", lambda size=size: screen(
                device, sgemm, "float32", size, arguments.rounds, compiled))
            for size in (4096, 2048, 1024)
        ],
        *[
            (f"hgemm_{size}", lambda size=size: screen(
                device, hgemm, "float16", size, arguments.rounds, compiled))
            for size in (4096, 8192, 2048, 1024)
        ],
        ("clock_after", lambda: clock(device)),
    ]  # fmt: skip
    for name, run in sections:
        started = time.monotonic()
        try:
            record[name] = run()
        except Exception as error:  # noqa: BLE001 - one section must not lose the others
            record[name] = {"failure": said(error)}
        write(arguments.output, record)
        print(f"{name}: {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)
        report(name, record[name])
    faults = [row for rows in record.values() if isinstance(rows, list)
              for row in rows if "failure" in row]  # fmt: skip
    print(f"{len(faults)} failures; written to {arguments.output}")
    return int(bool(faults))


def report(section: str, rows: Any) -> None:
    """A section's short table."""
    if not isinstance(rows, list):
        print(section, rows)
        return
    for row in rows:
        if "failure" in row:
            print(f"{section:12} {row['name']:45} {row['failure']}")
        else:
            print(f"{section:12} {row['name']:45} {row['median_us']:10.1f} us "
                  f"{row['teraflops']:7.1f} TFLOPS {row.get('times_cublas', 0):7.4f} x cuBLAS "
                  f"{row.get('registers', '')}")  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
