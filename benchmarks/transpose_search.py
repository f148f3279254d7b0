"""A search for the fastest transpose: shape and order of tiles, where they turn, cache hints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import copy_search
from benchmarks.contest import Work, contest, figures, said
from kernels.runtime import cuda_program

SOURCE = Path(__file__).with_name("transpose_variants.cu")
SHAPES = ((32, 32), (64, 32), (32, 64), (64, 64), (128, 32), (32, 128), (128, 64), (64, 128),
          (128, 128))  # fmt: skip
GROUPS = (1, 2, 4, 8, 16, 32, 64, 1 << 20)  # rows of tiles walked together; the last: all
STORES = ("ST", "ST_STREAM", "ST_NO_ALLOCATE", "ST_FIRST_OUT")
Size = tuple[int, int]


@dataclass(frozen=True)
class Variant:
    """One instance of a template of ``transpose_variants.cu``."""

    family: str  # "early", "late", "stream", "words", "aligned"
    rows: int  # of a tile of the input
    cols: int
    threads: int
    group: int = 8
    load: str = "LD"
    store: str = "ST"
    stages: int = 0  # of a stream; blocks an SM follow from them
    in_quads: bool = False  # words: 16 bytes a load
    out_quads: bool = False  # and a store
    sector: int = 8  # aligned: floats that stores begin at a multiple of
    warps: int = 0  # an SM has to have room for at least; 0: as registers allow

    @property
    def template(self) -> str:
        """What the kernel calls."""
        shape = f"{self.rows}, {self.cols}, {self.threads}, {self.group}"
        if self.family in ("early", "late"):
            more = f"{self.load}, {self.store}"
        elif self.family == "stream":
            more = f"{self.stages}, {self.store}"
        elif self.family == "words":
            more = f"{int(self.in_quads)}, {int(self.out_quads)}"
        else:
            more = str(self.sector)
        return f"transpose_{self.family}<{shape}, {more}>"

    @property
    def name(self) -> str:
        room = f", {self.warps} warps" if self.warps else ""
        return self.template.removeprefix("transpose_") + room

    @property
    def symbol(self) -> str:
        return "".join(c if c.isalnum() else "_" for c in f"{self.template}{self.warps}")

    @property
    def source(self) -> str:
        room = f", {32 * self.warps // self.threads}" if self.warps else ""
        return (
            f'extern "C" __global__ void __launch_bounds__({self.threads}{room}) {self.symbol}('
            "const unsigned* in, unsigned* out, int rows, int cols) { "
            f"{self.template}(in, out, rows, cols); }}"
        )

    def takes(self, rows: int, cols: int) -> bool:
        """Whether it can transpose a matrix of this size."""
        if self.family in ("early", "late", "stream"):
            return rows % 4 == 0 and cols % 4 == 0
        return not (self.in_quads and cols % 4) and not (self.out_quads and rows % 4)

    def launch(self, sm_count: int, rows: int, cols: int) -> tuple[int, int, int]:
        """Grid, block, dynamic shared memory."""
        taller = rows + self.sector - 1 if self.family == "aligned" else rows
        tiles = -(-taller // self.rows) * -(-cols // self.cols)
        shared = 4 * self.rows * self.cols * max(self.stages, 1)
        if self.family == "stream":
            tiles = min(tiles, sm_count * max(1, min((220 << 10) // shared, 2048 // self.threads)))
        return tiles, self.threads, shared


def quads() -> list[Variant]:
    """Tiles of every shape for matrices whose rows begin at multiples of 16 bytes."""
    found = [
        Variant(family, rows, cols, threads)
        for family in ("early", "late")
        for rows, cols in SHAPES
        for threads in (64, 128, 256, 512, 1024)
        if 1 <= rows * cols // 16 // threads <= 4
    ]
    found += [
        Variant("stream", rows, cols, threads, stages=stages)
        for rows, cols in ((64, 64), (128, 64), (64, 128), (128, 128))
        for threads in (256, 512)
        for stages in (2, 3)
        if rows * cols // 16 // threads >= 1
    ]
    return found


def words(in_quads: bool = False, out_quads: bool = False) -> list[Variant]:
    """Tiles of every shape for rows that begin anywhere."""
    found = [
        Variant("words", rows, cols, threads, in_quads=in_quads, out_quads=out_quads)
        for rows, cols in SHAPES
        for threads in (128, 256, 512, 1024)
        if 4 <= rows * cols // threads <= 32
    ]
    if not out_quads and not in_quads:
        found += [
            Variant("aligned", rows, cols, threads, sector=sector)
            for rows, cols in ((64, 64), (128, 32), (128, 64))
            for threads in (256, 512)
            for sector in (8, 32)
        ]
    return found


def groups(best: Sequence[Variant]) -> list[Variant]:
    """Every order of tiles, and more warps than registers alone allow, for each of the best."""
    orders = [replace(v, group=group) for v in best for group in GROUPS if group != v.group]
    return orders + [replace(v, warps=warps) for v in best for warps in (32, 48, 64)]


def hints(best: Sequence[Variant]) -> list[Variant]:
    """Cache hints for each of the best that have any."""
    return [
        replace(v, load=load, store=store)
        for v in best
        if v.family in ("early", "late")
        for load in copy_search.LOADS
        for store in STORES
        if (load, store) != (v.load, v.store)
    ]


@cache
def program(source: str) -> Any:
    """The templates with one instance of them."""
    text = "\n".join([copy_search.SOURCE.read_text(), SOURCE.read_text(), source, ""])
    return cuda_program(text, name="transpose_variants.cu")


def prepare(device: Any, variant: Variant, x: Any, y: Any) -> Work:
    """A checked launch of ``variant`` from ``x`` (rows, cols) to ``y`` (cols, rows), uint32."""
    rows, cols = x.shape
    grid, block, shared = variant.launch(device.arch.sm_count, rows, cols)
    kernel = program(variant.source)[variant.symbol]
    ready = device.prepare(kernel, grid, block, (x, y, rows, cols), shared)
    stream = device.stream
    return lambda: ready.start(stream)


def untransposed(device: Any, x: Any, y: Any, work: Work) -> str | None:
    """Whether ``work`` fails to put all of ``x``, transposed, into a poisoned ``y``."""
    try:
        y.fill(0xFFFFFFFF)
        work()
        device.synchronize()
        return None if bool((y == x.T).all()) else "wrong: not the transposed matrix"
    except Exception as error:  # noqa: BLE001 - one variant must not lose the others
        return said(error)


def numbered(device: Any, rows: int, cols: int) -> Any:
    """A matrix of uint32 that look random and are all different."""
    xp = device.xp
    x = xp.arange(rows * cols, dtype=np.uint32)
    x *= xp.uint32(2654435761)
    return x.reshape(rows, cols)


def screen(
    device: Any, variants: Sequence[Variant], size: Size, rounds: int
) -> list[dict[str, Any]]:
    """Check and time variants; fastest first, then those that failed with the reason."""
    rows, cols = size
    x, y = numbered(device, rows, cols), device.empty((cols, rows), np.uint32)
    step = 4 if rows % 4 == 0 and cols % 4 == 0 else 1
    edge = numbered(device, 500 + step, 700 + 3 * step)  # fills no tile
    edge_out = device.empty(edge.shape[::-1], np.uint32)
    works: dict[str, Work] = {}
    failed: list[dict[str, Any]] = []
    for variant in variants:
        fault: str | None = None
        try:
            if variant.takes(*edge.shape):
                ready = prepare(device, variant, edge, edge_out)
                fault = untransposed(device, edge, edge_out, ready)
            if fault is None:
                works[variant.name] = prepare(device, variant, x, y)
                fault = untransposed(device, x, y, works[variant.name])
        except Exception as error:  # noqa: BLE001 - a variant that fails is a result
            fault = said(error)
        if fault is not None:
            works.pop(variant.name, None)
            failed.append({"name": variant.name, "size": list(size), "failure": fault})
    outcome = contest(device, works, rounds=rounds, warmup=1)
    timed = [
        {"name": name, "size": list(size), **figures(timing, 8 * rows * cols)}
        for name, timing in outcome.timings.items()
    ]
    timed.sort(key=lambda found: found["median_us"])
    failed += [{"name": n, "size": list(size), "failure": f} for n, f in outcome.failures.items()]
    return timed + failed


def fastest(found: Sequence[dict[str, Any]], variants: Sequence[Variant], n: int) -> list[Variant]:
    """The ``n`` fastest of ``variants``, by what :func:`screen` found."""
    by_name = {variant.name: variant for variant in variants}
    timed = [f for f in found if "failure" not in f and f["name"] in by_name]
    timed.sort(key=lambda f: f["median_us"])
    return [by_name[name] for name in list(dict.fromkeys(f["name"] for f in timed))[:n]]


def search(
    device: Any, start: Sequence[Variant], size: Size, rounds: int, found: list[dict[str, Any]]
) -> list[Variant]:
    """Shapes, then orders and room, then hints; fills ``found`` and returns the fastest few."""
    every = list(start)
    mine = screen(device, start, size, rounds)
    for more in (groups(fastest(mine, every, 5)), []):
        stage = more or hints(fastest(mine, every, 2))
        every += stage
        mine += screen(device, stage, size, rounds)
    found += mine
    return fastest(mine, every, 4)
