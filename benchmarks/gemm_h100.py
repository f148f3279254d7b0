"""The GEMM topic on a GPU: correctness, the ladder beside cuBLAS, and where the time goes.

``python -m benchmarks.gemm_h100`` takes about three minutes and writes
``benchmarks/results/gemm_h100.json`` after each section. cuBLAS is torch.matmul on the same memory
in the same rounds, TF32 off. A product counts 2 m n k operations, whatever was executed.

========== =======================================================================================
section    what it holds
========== =======================================================================================
wrong      every kernel at odd sizes and addresses, against float64
ceilings   what the roofline is made of: FP32 multiply-adds alone, DRAM, the datasheet's tensor rate
ladder     every step and cuBLAS at 1024, 2048, 4096 (and 8192 for HGEMM)
alone      as many products of tiles in shared memory, and nothing else: what power allows at most
epilogues  HGEMM with each fused epilogue; torch's separate kernels for the fullest
against_k  one wave of tiles, k from 0 on: a fixed cost and one that grows with k
against_c  one wave of tiles of several shapes, with k of 0 and of 64: what the epilogue costs
waves      rows of tiles added one by one across two waves: wave quantisation
edges      sizes round a multiple of the tile: tile quantisation
========== =======================================================================================
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contest import Work, prepared, said
from benchmarks.gemm_search import (
    CUBLAS,
    arrays,
    clock,
    cublas,
    ends,
    judge,
    poison,
    timed,
)
from benchmarks.origin import RESULTS, gpu_origin
from benchmarks.sections import Record, Sections, failures, rows_of
from kernels.gemm import (
    ENTRIES,
    EPILOGUES,
    Entry,
    HgemmTile,
    SgemmTile,
    Sizes,
    hopper,
    place,
)
from kernels.gemm.hgemm import BEST as HGEMM_BEST
from kernels.gemm.hgemm import SHAPES as HGEMM_SHAPES
from kernels.gemm.hgemm import SIMPLE as HGEMM_SIMPLE
from kernels.gemm.hgemm import Epilogue, hgemm_multistage
from kernels.gemm.hopper import LARGE, SINGLE, SMALL, HopperTile, hgemm_cluster, hgemm_persistent
from kernels.gemm.sgemm import BEST as SGEMM_BEST
from kernels.gemm.sgemm import SHAPES as SGEMM_SHAPES
from kernels.gemm.sgemm import sgemm_double_buffered
from kernels.launches import Step
from kernels.runtime import cuda_program, open_device

MODULE = "benchmarks.gemm_h100"
ALONE = "tensor cores alone"
SECTIONS = ("ladder", "alone", "epilogues", "against_k", "against_c", "waves", "edges")
ODD_SIZES = (
    (1, 1, 1), (5, 3, 0), (1, 300, 70), (300, 1, 33), (129, 257, 100), (256, 512, 64),
    (777, 1032, 520), (1000, 999, 1001),
)  # fmt: skip
SHAPES = (*HGEMM_SHAPES, HgemmTile(64, 128, 64, 32, 64, 4, 8, 2))
DEPTHS = (0, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)


def instances() -> list[tuple[HgemmTile, str, str, Epilogue, bool]]:
    """The HGEMM kernels that will be needed: shape, family, output, epilogue, wide."""
    outputs = [("__half", epilogue) for epilogue in (EPILOGUES[0], *EPILOGUES[1:3])]
    checked = [
        (tile, family, out, epilogue, wide)
        for tile, family in ((HGEMM_SHAPES[-1], "hgemm_multistage"), (HGEMM_SIMPLE, "hgemm_mma"))
        for out, epilogue in [*outputs, ("float", EPILOGUES[-1])]
        for wide in (True, False)
    ]
    fused = [(HGEMM_BEST, "hgemm_multistage", "__half", e, True) for e in EPILOGUES]
    shapes = [
        (tile, "hgemm_multistage", out, EPILOGUES[0], True)
        for tile in SHAPES
        for out in ("__half", "float")
    ]
    return [*checked, *fused, *shapes]


def compile_instance(one: tuple[HgemmTile, str, str, Epilogue, bool]) -> None:
    """Compile a kernel into the cache, in a process of its own."""
    tile, family, out, epilogue, wide = one
    tile.kernel(family, "__half", out, epilogue, wide)


def hopper_instances() -> list[tuple[HopperTile, str, Epilogue]]:
    """The Hopper kernels that will be needed: shape, output, epilogue."""
    single = [(tile, "__half", EPILOGUES[0]) for tile in (SINGLE, LARGE, SMALL)]
    checked = [
        (tile, out, epilogue)
        for tile in (SINGLE, SMALL)
        for out, epilogue in [*(("__half", e) for e in EPILOGUES[1:3]), ("float", EPILOGUES[-1])]
    ]
    return [*single, *checked, *((LARGE, "__half", e) for e in EPILOGUES[1:])]


def compile_hopper(tile: HopperTile, out: str, epilogue: Epilogue) -> None:
    """Compile a kernel into the cache, in a process of its own."""
    tile.kernel("__half", out, epilogue)


def compile_all(processes: int) -> None:
    """Compile in parallel what takes long."""
    with ProcessPoolExecutor(processes) as pool:
        for_hopper = [pool.submit(compile_hopper, *one) for one in hopper_instances()]
        waiting = [pool.submit(compile_instance, one) for one in instances()]
        waiting += [
            pool.submit(compile_sgemm, tile, wide)
            for tile in SGEMM_SHAPES
            for wide in (True, False)
        ]
        for one in (*for_hopper, *waiting):
            one.result()


def compile_sgemm(tile: SgemmTile, wide: bool) -> None:
    """The same for ``sgemm_double_buffered``."""
    tile.kernel(wide)


def check_steps(device: Any, rng: np.random.Generator) -> Iterator[tuple[str, str | None]]:
    """Every kernel at odd sizes and addresses: its name, and what is wrong."""
    for entry in ENTRIES:
        fault: str | None = None
        for sizes in ODD_SIZES:
            for more in options(entry):
                fault = fault or check(device, entry, Sizes(*sizes), rng, more)
        yield entry.name, fault


def options(entry: Entry) -> list[dict[str, Any]]:
    """Ways to call a kernel."""
    if not entry.tensor:
        return [{"alpha": 1.0, "beta": 0.0}, {"alpha": -0.5, "beta": 2.0}]
    dtypes = [{"out": np.float16}, {"out": np.float32, "epilogue": EPILOGUES[-1]}]
    return [*dtypes, *({"epilogue": epilogue} for epilogue in EPILOGUES[1:3])]


def check(
    device: Any, entry: Entry, sizes: Sizes, rng: np.random.Generator, more: dict[str, Any]
) -> str | None:
    """What is wrong with one launch over fresh inputs."""
    try:
        placed = place(device, entry, sizes, rng, **more)
        placed.run(device)
        device.synchronize()
        fault = placed.wrong(device)
    except Exception as error:  # noqa: BLE001 - one kernel must not lose the others
        fault = said(error)
    return f"{fault} ({sizes}, {more})" if fault else None


def ladder(device: Any, tensor: bool, sizes: tuple[int, ...], rounds: int) -> list[Record]:
    """Every step and cuBLAS in the same rounds, by size; checked in some rows."""
    found: list[Record] = []
    for size in sizes:
        a, b, c = arrays(device, size, size, size, "float16" if tensor else "float32")
        verdict = judge(device, a, b, ends(size))
        works: dict[str, Work] = {}
        for entry in ENTRIES:
            if entry.tensor != tensor:
                continue
            try:
                work = prepared(device, entry.step, a, b, c)
                poison(c)
                work()
                if fault := verdict(c):
                    found.append({"name": entry.name, "m": size, "failure": fault})
                else:
                    works[entry.name] = work
            except Exception as error:  # noqa: BLE001 - one step must not lose the others
                found.append({"name": entry.name, "m": size, "failure": said(error)})
        if (peer := cublas(device, a, b, c)) is not None:
            works[CUBLAS] = peer
        found += timed(device, works, (size, size, size), rounds)
    return [{**row, "dtype": "float16" if tensor else "float32"} for row in found]


def epilogues(device: Any, size: int, rounds: int) -> list[Record]:
    """Each fused epilogue; and torch's matmul, addmm and separate kernels."""
    a, b, d = arrays(device, size, size, size, "float16")
    rng = np.random.default_rng(1)
    bias = device.asarray(rng.standard_normal(size, dtype=np.float32))
    residual = device.asarray(rng.standard_normal((size, size), dtype=np.float32).astype("f2"))
    works: dict[str, Work] = {}
    for epilogue in EPILOGUES:
        for step in (hgemm_multistage, hgemm_cluster):
            works[f"{step.__name__}, {epilogue.name}"] = prepared(
                device, step, a, b, d,
                bias=bias if epilogue.bias else None, gelu=epilogue.gelu,
                residual=residual if epilogue.residual else None,
            )  # fmt: skip
    if (peer := cublas(device, a, b, d)) is not None:
        import torch  # type: ignore[import-not-found]

        given = (a, b, bias, residual)
        left, right, add, old = (torch.as_tensor(one, device="cuda") for one in given)
        add = add.half()
        works[CUBLAS] = peer
        works["torch, addmm, gelu, add"] = lambda: torch.nn.functional.gelu(
            torch.addmm(add, left, right)
        ).add_(old)
    return timed(device, works, (size, size, size), rounds)


def one_wave(device: Any, bm: int, bn: int, blocks_per_sm: int = 1) -> tuple[int, int]:
    """m and n of as many tiles as run at once, in a matrix that is about square."""
    tiles = device.arch.sm_count * blocks_per_sm
    down = max(d for d in range(1, int(tiles**0.5) + 1) if tiles % d == 0)
    return down * bm, tiles // down * bn


def contestants() -> list[tuple[str, Step, str, Any]]:
    """The best of each kind: name, function, dtype, shape."""
    return [
        ("sgemm_double_buffered", sgemm_double_buffered, "float32", SGEMM_BEST),
        ("hgemm_multistage", hgemm_multistage, "float16", HGEMM_BEST),
        ("hgemm_persistent", hgemm_persistent, "float16", SINGLE),
    ]


def against_k(device: Any, rounds: int) -> list[Record]:
    """One wave of tiles, deeper and deeper; with a straight line through what is deep."""
    found: list[Record] = []
    for name, step, dtype, tile in contestants():
        m, n = one_wave(device, tile.bm, tile.bn, tile.blocks_per_sm)
        rows: list[Record] = []
        for k in DEPTHS:
            a, b, c = arrays(device, m, n, k, dtype)
            works = {name: prepared(device, step, a, b, c, tile=tile)}
            if k and (peer := cublas(device, a, b, c)) is not None:
                works[CUBLAS] = peer
            rows += timed(device, works, (m, n, k), rounds)
        for who in (name, CUBLAS):
            deep = [r for r in rows if r["name"] == who and r.get("k", 0) >= 512]
            if len(deep) > 1:
                slope, fixed = np.polyfit([r["k"] for r in deep], [r["median_us"] for r in deep], 1)
                rows.append({
                    "name": f"{who}, line", "m": m, "n": n, "fixed_us": round(float(fixed), 3),
                    "us_for_1024_k": round(1024 * float(slope), 3),
                })  # fmt: skip
        found += [{**row, "dtype": dtype} for row in rows]
    return found


def against_c(device: Any, rounds: int) -> list[Record]:
    """One wave of tiles of several shapes, with nothing and with one slice to multiply."""
    found: list[Record] = []
    for tile in SHAPES:
        for k in (0, 64):
            m, n = one_wave(device, tile.bm, tile.bn)
            for out in ("float16", "float32"):
                a, b, _ = arrays(device, m, n, k, "float16")
                d = device.empty((m, n), out)
                name = f"hgemm_multistage, {tile.bm} x {tile.bn}, {out}"
                works = {name: prepared(device, hgemm_multistage, a, b, d, tile=tile)}
                rows = timed(device, works, (m, n, k), rounds)
                found += [{**row, "bm": tile.bm, "bn": tile.bn, "out": out} for row in rows]
    return found


def grown(device: Any, sizes: Callable[[int, int, int, int], list[int]], rounds: int,
          k: int = 1024) -> list[Record]:  # fmt: skip
    """Times for numbers of rows that ``sizes(m, bm, n, bn)`` makes of one wave's, beside cuBLAS."""
    found: list[Record] = []
    for name, step, dtype, tile in contestants():
        wave_m, n = one_wave(device, tile.bm, tile.bn, tile.blocks_per_sm)
        for m in sizes(wave_m, tile.bm, n, tile.bn):
            a, b, c = arrays(device, m, n, k, dtype)
            works = {name: prepared(device, step, a, b, c, tile=tile)}
            if (peer := cublas(device, a, b, c)) is not None:
                works[CUBLAS] = peer
            tiles = -(-m // tile.bm) * (n // tile.bn)
            waves = tiles / (device.arch.sm_count * tile.blocks_per_sm)
            rows = timed(device, works, (m, n, k), rounds)
            found += [{**r, "dtype": dtype, "tiles": tiles, "waves": round(waves, 4)} for r in rows]
    return found


def ceilings(device: Any) -> Record:
    """What the roofline is made of."""
    program = cuda_program(Path(__file__).with_name("ceilings.cu"))
    words = 1 << 28
    x = device.xp.zeros(words, dtype=np.uint32)
    args = (x, x[:4], words // 4)
    read = device.time(program["read_only"], device.arch.sm_count * 8, 256, args, repeat=20)
    return {
        "fp32_alone": clock(device),
        "datasheet_fp32_teraflops": round(device.arch.fp32_flops / 1e12, 1),
        "datasheet_dram_gigabytes_per_s": round(device.arch.dram_bytes_per_s / 1e9, 1),
        "read_gigabytes_per_s": round(read.gigabytes_per_s(4 * words), 1),
    }


def tensor_alone(device: Any, size: int, rounds: int) -> list[Record]:
    """The tensor cores with nothing else to do, beside whole products of as many multiply-adds."""
    program = cuda_program(
        Path(__file__).with_name("tensor_ceiling.cu"), arch=hopper.ARCH, folder=hopper.FOLDER
    )
    a, b, d = arrays(device, size, size, size, "float16")
    sm_count, shared_bytes = device.arch.sm_count, 4 * (128 + 256) * 128
    slices = round(size**3 / (sm_count * 128 * 256 * 64))  # of 128 x 256 x 64
    out = device.empty(sm_count * 256, np.float32)
    filling = a.reshape(-1)[: shared_bytes // 2].view(np.uint32)
    alone = device.prepare(
        program["tensor_alone"], sm_count, 256, (filling, out, slices), shared_bytes
    )
    works: dict[str, Work] = {
        ALONE: lambda: alone.start(device.stream),
        "hgemm_cluster": prepared(device, hgemm_cluster, a, b, d),
    }
    if (peer := cublas(device, a, b, d)) is not None:
        works[CUBLAS] = peer
    return timed(device, works, (size, size, size), rounds)


def main() -> int:
    """Run all sections; 1 when something was wrong."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("--output", type=Path, default=RESULTS / "gemm_h100.json")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--processes", type=int, default=12, help="that compile")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the inputs")
    arguments = parser.parse_args()
    compile_all(arguments.processes)
    device: Any = open_device("cuda")
    rng = np.random.default_rng(arguments.seed)
    rounds = arguments.rounds
    record: Record = {
        "origin": gpu_origin(MODULE, device),
        "seed": arguments.seed,
        "sgemm_tiles": [tile.name for tile in SGEMM_SHAPES],
        "hgemm_tiles": [tile.name for tile in HGEMM_SHAPES],
    }
    section = Sections(record, arguments.output).run
    section("wrong", lambda: {name: f for name, f in check_steps(device, rng) if f is not None})
    section("ceilings", lambda: ceilings(device))
    section("ladder", lambda: [
        *ladder(device, False, (1024, 2048, 4096), rounds),
        *ladder(device, True, (1024, 2048, 4096, 8192), rounds),
    ])  # fmt: skip
    section("alone", lambda: [
        row for size in (2048, 4096, 8192) for row in tensor_alone(device, size, rounds)
    ])  # fmt: skip
    section("epilogues", lambda: epilogues(device, 4096, rounds))
    section("against_k", lambda: against_k(device, rounds))
    section("against_c", lambda: against_c(device, rounds))
    section("waves", lambda: grown(
        device, lambda m, bm, *_: [bm * i for i in range(1, 2 * m // bm + 3)], rounds // 2
    ))  # fmt: skip
    section("edges", lambda: grown(
        device, lambda m, *_: [m + d for d in (-65, -64, -8, -1, 0, 1, 8, 64, 65)], rounds // 2
    ))  # fmt: skip
    report(record)
    print(f"\nwritten to {arguments.output}")
    return int(bool(failures(record, SECTIONS)))


def report(record: Record) -> None:
    """The short table."""
    print(f"{record['origin']['device']}, {record['origin']['date']}")
    print("ceilings:", record.get("ceilings"))
    for name in SECTIONS:
        for row in rows_of(record, name):
            where = f"{row.get('m', '')} x {row.get('n', '')} x {row.get('k', '')}"
            if "fixed_us" in row:
                print(f"{name:10} {row['name']:48} {row['fixed_us']:10.2f} us + "
                      f"{row['us_for_1024_k']:.2f} us for each 1024 of k")  # fmt: skip
            elif "median_us" in row:
                print(f"{name:10} {row['name']:48} {where:20} {row['median_us']:10.2f} us "
                      f"{row['teraflops']:7.2f} TFLOPS {row.get('times_cublas', 0):.4f} x cuBLAS"
                      )  # fmt: skip
    wrong = failures(record, SECTIONS)
    print(f"{len(wrong)} failures")
    for line in wrong[:10]:
        print("  " + line)


if __name__ == "__main__":
    sys.exit(main())
