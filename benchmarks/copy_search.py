"""A search for the fastest copy: block size, loads in flight, grid, cache hints, bulk copies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.contest import Work, contest, figures, said
from kernels.runtime import cuda_program

LOADS = ("LD", "LD_NO_ALLOCATE", "LD_NO_ALLOCATE_256B", "LD_STREAM", "LD_FIRST_OUT")
STORES = ("ST", "ST_STREAM", "ST_GLOBAL", "ST_NO_ALLOCATE", "ST_THROUGH", "ST_FIRST_OUT")
SOURCE = Path(__file__).with_name("copy_variants.cu")


@dataclass(frozen=True)
class Tiles:
    """Blocks of ``threads`` that copy ``loads`` vectors of 16 bytes a thread at a time."""

    threads: int
    loads: int
    load: str = "LD_NO_ALLOCATE"
    store: str = "ST_STREAM"
    blocks_per_sm: int = 0  # 0: a block for every tile

    @property
    def name(self) -> str:
        grid = f"{self.blocks_per_sm} blocks an SM" if self.blocks_per_sm else "a block a tile"
        return f"{self.threads} x {self.loads}, {grid}, {self.load}, {self.store}"

    @property
    def symbol(self) -> str:
        return f"tiles_{self.threads}_{self.loads}_{self.load}_{self.store}"

    @property
    def source(self) -> str:
        return (
            f'extern "C" __global__ void __launch_bounds__({self.threads}) {self.symbol}('
            "const uint4* in, uint4* out, size_t n) { "
            f"copy_tiles<{self.threads}, {self.loads}, {self.load}, {self.store}>(in, out, n); }}"
        )

    def launch(self, sm_count: int, vectors: int) -> tuple[int, int, int]:
        """Grid, block, dynamic shared memory."""
        tiles = -(-vectors // (self.threads * self.loads))
        blocks = min(tiles, self.blocks_per_sm * sm_count) if self.blocks_per_sm else tiles
        return max(blocks, 1), self.threads, 0


@dataclass(frozen=True)
class Bulk:
    """``blocks_per_sm`` threads an SM that drive the bulk copy engine."""

    stages: int
    nbytes: int  # a stage
    blocks_per_sm: int

    @property
    def name(self) -> str:
        return f"bulk, {self.stages} x {self.nbytes >> 10} KiB, {self.blocks_per_sm} blocks an SM"

    @property
    def symbol(self) -> str:
        return f"bulk_{self.stages}_{self.nbytes}"

    @property
    def source(self) -> str:
        return (
            f'extern "C" __global__ void __launch_bounds__(32) {self.symbol}('
            "const uint4* in, uint4* out, size_t n) { "
            f"copy_bulk<{self.stages}, {self.nbytes}>(in, out, n); }}"
        )

    def launch(self, sm_count: int, vectors: int) -> tuple[int, int, int]:
        """Grid, block, dynamic shared memory."""
        return self.blocks_per_sm * sm_count, 32, self.stages * self.nbytes


Variant = Tiles | Bulk


def geometries() -> list[Variant]:
    """Block size, loads in flight and grid, with the first cache hints."""
    found: list[Variant] = []
    for threads in (64, 128, 256, 512, 1024):
        for loads in (1, 2, 4, 8, 16):
            if threads * loads > 8192:
                continue
            for blocks in (0, 1, 2, 4, 8, 16):
                if blocks == 0 or 256 <= threads * blocks <= 2048:
                    found.append(Tiles(threads, loads, blocks_per_sm=blocks))
    return found


def hints(best: Sequence[Variant]) -> list[Variant]:
    """Every pair of cache hints for each geometry."""
    return [
        replace(variant, load=load, store=store)
        for variant in best
        if isinstance(variant, Tiles)
        for load in LOADS
        for store in STORES
    ]


def bulks() -> list[Variant]:
    """Stages and sizes that fit an SM's shared memory."""
    shapes = [
        (stages, kib << 10, blocks)
        for kib in (2, 4, 8, 16, 32)
        for stages in (2, 4, 8, 16)
        for blocks in (1, 2, 4, 8, 16)
    ]
    return [
        Bulk(stages, nbytes, blocks)
        for stages, nbytes, blocks in shapes
        if blocks * stages * nbytes >= 32 << 10 and blocks * (stages * nbytes + 2048) <= 227 << 10
    ]


def prepare(device: Any, variant: Variant, x: Any, y: Any, vectors: int) -> Work:
    """A checked launch of ``variant`` over the first ``vectors`` of uint32 arrays ``x``, ``y``."""
    grid, block, shared = variant.launch(device.arch.sm_count, vectors)
    kernel = program((variant.source,))[variant.symbol]
    ready = device.prepare(kernel, grid, block, (x, y, vectors), shared)
    stream = device.stream
    return lambda: ready.start(stream)


@cache
def program(sources: tuple[str, ...]) -> Any:
    """The templates with these instances of them."""
    text = SOURCE.read_text() + "\n" + "\n".join(sources) + "\n"
    return cuda_program(text, name="copy_variants.cu")


def wrong(device: Any, work: Callable[[Any, Any, int], Work]) -> str | None:
    """What a copy gets wrong at a length that fills no tile; None when nothing."""
    xp = device.xp
    vectors = (1 << 19) + 77
    x = xp.arange(4 * vectors + 4, dtype=xp.uint32)
    x *= xp.uint32(2654435761)
    y = xp.full(4 * vectors + 4, 0xFFFFFFFF, dtype=xp.uint32)
    work(x, y, vectors)()
    device.synchronize()
    if not bool((x[: 4 * vectors] == y[: 4 * vectors]).all()):
        return "wrong: the copy differs from its source"
    if not bool((y[4 * vectors :] == 0xFFFFFFFF).all()):
        return "wrong: it writes past the end"
    return None


def screen(
    device: Any, variants: Sequence[Variant], x: Any, y: Any, vectors: int, rounds: int
) -> list[dict[str, Any]]:
    """Check and time variants; fastest first, then those that failed with the reason."""
    works: dict[str, Work] = {}
    failed: list[dict[str, Any]] = []
    for variant in variants:
        try:
            fault = wrong(device, lambda a, b, n, v=variant: prepare(device, v, a, b, n))
            if fault is None:
                works[variant.name] = prepare(device, variant, x, y, vectors)
        except Exception as error:  # noqa: BLE001 - a variant that fails is a result
            fault = said(error)
        if fault is not None:
            failed.append({"name": variant.name, "failure": fault})
    outcome = contest(device, works, rounds=rounds, warmup=1)
    timed = [{"name": n, **figures(t, 32 * vectors)} for n, t in outcome.timings.items()]
    timed.sort(key=lambda found: found["median_us"])
    return timed + failed + [{"name": n, "failure": f} for n, f in outcome.failures.items()]


def fastest(found: Sequence[dict[str, Any]], variants: Sequence[Variant], n: int) -> list[Variant]:
    """The ``n`` fastest of ``variants``, by what :func:`screen` found."""
    by_name = {variant.name: variant for variant in variants}
    timed = [f for f in found if "failure" not in f and f["name"] in by_name]
    timed.sort(key=lambda f: f["median_us"])
    return [by_name[name] for name in list(dict.fromkeys(f["name"] for f in timed))[:n]]
