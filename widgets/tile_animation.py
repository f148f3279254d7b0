"""Watch a block walk along k: what it reads, what it keeps, and how often it uses it."""

from __future__ import annotations

from typing import Any

import ipywidgets

from emulator import H100
from kernels.gemm import Sizes
from widgets.live import Live
from widgets.look import TEXT, faint, significant, table
from widgets.picture import keep
from widgets.tile_picture import Scene, draw, new_picture, scene, svg
from widgets.tiling import (
    NAIVE,
    TILINGS,
    Counts,
    Tiling,
    block_counts,
    once,
    product_counts,
)

OWN = "a tile of your own"
EDGES, DEPTHS, SUMS = (16, 32, 64, 128), (8, 16, 32, 64), (1, 2, 4, 8)


class TileAnimation(Live):
    """The widget: a kernel or a tile of one's own, a block, a step; the picture; the counts."""

    def __init__(self, sizes: Sizes, tile: str) -> None:
        self.sizes = sizes
        wide = ipywidgets.Layout(width="340px")
        self.kernel = ipywidgets.Dropdown(
            options=[*TILINGS, OWN], value=tile, description="Kernel", layout=wide
        )
        short = ipywidgets.Layout(width="190px")
        self.edge, self.depth, self.sums = (
            ipywidgets.Dropdown(options=options, value=value, description=name, layout=short)
            for name, options, value in (
                ("Tile of C", [(f"{e} x {e}", e) for e in EDGES], 64),
                ("Slice of k", DEPTHS, 16),
                ("A thread", [(f"{e} x {e}", e) for e in SUMS], 4),
            )
        )
        self.step = ipywidgets.IntSlider(0, 0, 1, description="Step", layout=wide)
        self.play = ipywidgets.Play(interval=400, layout=ipywidgets.Layout(width="150px"))
        self.block = ipywidgets.IntSlider(0, 0, 1, description="Block", layout=wide)
        ipywidgets.jslink((self.play, "value"), (self.step, "value"))
        self.own = ipywidgets.HBox([self.edge, self.depth, self.sums])
        self._fit()
        self.figure = new_picture(self._scene())
        self.numbers = ipywidgets.HTML(self._numbers())
        self.numbers.add_class("coalesce-tile-animation")
        for control in (self.kernel, self.edge, self.depth, self.sums):
            control.observe(self._choose, names="value")
        for slider in (self.step, self.block):
            slider.observe(self._update, names="value")
        rows = [
            ipywidgets.HBox([self.kernel, self.own]),
            ipywidgets.HBox([self.play, self.step, self.block]),
            self.figure,
            self.numbers,
        ]
        super().__init__(ipywidgets.VBox(rows), self._static)

    @property
    def tiling(self) -> Tiling:
        """What is chosen."""
        if self.kernel.value != OWN:
            return TILINGS[self.kernel.value]
        edge, sums = self.edge.value, self.sums.value
        return Tiling(OWN, edge, edge, self.depth.value, (edge // sums) ** 2)

    def counts(self) -> tuple[Counts, Counts]:
        """Of the block until now, this step included; and of the whole product."""
        down, across = self._where()
        so_far = block_counts(self.tiling, self.sizes, down, across, self.step.value + 1)
        return so_far, product_counts(self.tiling, self.sizes)

    def _where(self) -> tuple[int, int]:
        down, across = divmod(int(self.block.value), self.tiling.grid(self.sizes)[1])
        return down, across

    def _scene(self) -> Scene:
        return scene(self.tiling, self.sizes, *self._where(), self.step.value)

    def _fit(self) -> None:
        """Give the sliders the ends that the tiling has."""
        high, wide = self.tiling.grid(self.sizes)
        last = self.tiling.steps(self.sizes) - 1
        for control, most in ((self.step, last), (self.play, last), (self.block, high * wide - 1)):
            control.value = min(control.value, most)
            control.max = most
        self.own.layout.visibility = "visible" if self.kernel.value == OWN else "hidden"

    def _choose(self, _: Any) -> None:
        self.step.value = 0
        self._fit()
        self._update(_)

    def _update(self, _: Any) -> None:
        draw(self.figure, self._scene())
        keep(self.figure)
        self.numbers.value = self._numbers()

    def _numbers(self) -> str:
        return numbers(self.tiling, self.sizes, *self.counts())

    def _static(self) -> str:
        down, across = self._where()
        says = f"{self.tiling.name}: block {down}, {across} at step {self.step.value}"
        return svg(self._scene(), says) + self._numbers()


def numbers(tiling: Tiling, sizes: Sizes, so_far: Counts, whole: Counts) -> str:
    """The counts as HTML, beside the naive kernel's and the least there can be."""
    naive, least = product_counts(NAIVE, sizes), once(sizes)
    rows = [
        _row("this block until now", so_far),
        _row(f"all blocks, <b>{tiling.name}</b>", whole),
        _row("all blocks, sgemm_naive", naive),
        _row("A and B once", least),
    ]
    head = ["", "from global", "from shared", "FLOP", "FLOP a global byte", "FLOP a shared byte"]
    times = significant(naive.from_global / whole.from_global)
    said = f"{tiling.threads} threads a block, {tiling.sums} sum{'s' * (tiling.sums > 1)} each."
    if tiling != NAIVE:
        said += f" From global memory come <b>{times} times fewer bytes</b> than with naive."
    if tiling.threads > H100.max_threads_per_block:
        most = H100.max_threads_per_block
        said += f" <b>No GPU runs it</b>: a block has at most {most:,} threads."
    return (
        f'<div style="color: {TEXT}">{said}</div>{table(head, rows, numbers=range(1, 6))}'
        + faint("Bytes that threads ask for; caches may serve them. A multiply-add is 2 FLOP.")
    )


def _row(name: str, counts: Counts) -> list[str]:
    shared = counts.flops_a_shared_byte
    return [
        name,
        f"{counts.from_global:,}\u00a0B",
        f"{counts.from_shared:,}\u00a0B" if counts.from_shared else "none",
        f"{counts.flops:,}",
        significant(counts.flops_a_global_byte),
        significant(shared) if shared else "",
    ]


def tile_animation(
    m: int = 256, n: int = 256, k: int = 128, tile: str = "sgemm_shared_tile"
) -> TileAnimation:
    """The widget, for A (m, k) and B (k, n); ``tile`` is a kernel of ``TILINGS``.

    Raises ValueError for another kernel, or for sizes below 1.
    """
    if tile not in TILINGS:
        raise ValueError(f"tile is {tile!r}; it must be one of {', '.join(TILINGS)}")
    if min(m, n, k) < 1:
        raise ValueError(f"sizes are {m}, {n} and {k}; each must be at least 1")
    return TileAnimation(Sizes(m, n, k), tile)
