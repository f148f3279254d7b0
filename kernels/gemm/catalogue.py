"""Every kernel of the topic with inputs, reference and tolerance, for tests and benchmarks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels.gemm import reference
from kernels.gemm.hgemm import Epilogue, hgemm_mma, hgemm_multistage
from kernels.gemm.hopper import hgemm_cluster, hgemm_persistent, hgemm_wgmma
from kernels.gemm.launches import Launch, Sizes, Step, launch_of
from kernels.gemm.reference import Array
from kernels.gemm.sgemm import (
    sgemm_coalesced,
    sgemm_double_buffered,
    sgemm_naive,
    sgemm_register_tile,
    sgemm_shared_tile,
    sgemm_vectorised,
    sgemm_warp_tile,
)
from kernels.runtime import Device


@dataclass(frozen=True)
class Entry:
    """One kernel: how to call it, and on what."""

    step: Step
    file: str  # of its source, in this folder
    buys: str  # what it does otherwise than the one before it
    tensor: bool = False  # HGEMM, on the tensor cores
    options: dict[str, Any] = field(default_factory=dict)  # given to the step on every call

    @property
    def name(self) -> str:
        """The kernel's name, which is its Python function's."""
        return self.step.__name__


@dataclass(frozen=True)
class Placed:
    """An entry's arrays on a device, ready to launch."""

    entry: Entry
    sizes: Sizes
    arrays: tuple[Any, ...]  # a, b and the output, on the device
    options: dict[str, Any]
    expected: Array
    tolerance: Array
    before: Array  # what the output holds before a launch

    def launch(self, device: Device) -> Launch:
        """What the entry's function launches."""
        return launch_of(device, self.entry.step, *self.arrays, **self.options)

    def run(self, device: Device) -> None:
        """Call the entry's function."""
        self.entry.step(device, *self.arrays, **self.options)

    def reset(self, device: Device) -> None:
        """Make the output what it was before."""
        if self.before.size:
            self.arrays[-1][...] = device.asarray(self.before)

    def wrong(self, device: Device) -> str | None:
        """What is wrong with the output as it is; None when nothing is."""
        got = device.to_host(self.arrays[-1]).astype(np.float64)
        error = np.abs(got - self.expected)
        fine = (error <= self.tolerance) | (np.isnan(got) & np.isnan(self.expected))
        if fine.all():
            return None
        row, col = (int(i) for i in np.argwhere(~fine)[0])
        return (
            f"{self.entry.name}: {int((~fine).sum())} of {got.size} elements are wrong; the first "
            f"is [{row}, {col}]: {got[row, col]}, expected {self.expected[row, col]} to within "
            f"{self.tolerance[row, col]:.2e}"
        )


def place(
    device: Device,
    entry: Entry,
    sizes: Sizes,
    rng: np.random.Generator,
    *,
    alpha: float = 1.0,
    beta: float = 0.0,
    epilogue: Epilogue = Epilogue(),  # noqa: B008 - a frozen value
    dtype: npt.DTypeLike = np.float16,
    out: npt.DTypeLike = np.float16,
    **options: Any,
) -> Placed:
    """Fresh random inputs and an output for ``sizes``.

    SGEMM takes ``alpha`` and ``beta``; where ``beta`` is 0, C is NaN before. HGEMM takes
    ``epilogue`` and the dtypes of its inputs and its output. ``options`` go to the entry's
    function.
    """
    more = {**entry.options, **options}
    if entry.tensor:
        return _place_tensor(device, entry, sizes, rng, epilogue, np.dtype(dtype), np.dtype(out),
                             more)  # fmt: skip
    a = rng.standard_normal((sizes.m, sizes.k), dtype=np.float32)
    b = rng.standard_normal((sizes.k, sizes.n), dtype=np.float32)
    c = rng.standard_normal((sizes.m, sizes.n), dtype=np.float32)
    if beta == 0.0:
        c = np.full_like(c, np.nan)
    arrays = tuple(device.asarray(one) for one in (a, b, c))
    return Placed(
        entry, sizes, arrays, {"alpha": alpha, "beta": beta, **more},
        reference.sgemm(a, b, c, alpha, beta),
        reference.sgemm_tolerance(a, b, c, alpha, beta), c,
    )  # fmt: skip


def _place_tensor(
    device: Device, entry: Entry, sizes: Sizes, rng: np.random.Generator, epilogue: Epilogue,
    dtype: np.dtype[Any], out: np.dtype[Any], options: dict[str, Any],
) -> Placed:  # fmt: skip
    a = rng.standard_normal((sizes.m, sizes.k), dtype=np.float32).astype(dtype)
    b = rng.standard_normal((sizes.k, sizes.n), dtype=np.float32).astype(dtype)
    bias = rng.standard_normal(sizes.n, dtype=np.float32) if epilogue.bias else None
    residual = None
    if epilogue.residual:
        residual = rng.standard_normal((sizes.m, sizes.n), dtype=np.float32).astype(out)
    before = np.full((sizes.m, sizes.n), np.nan, dtype=out)
    expected = reference.hgemm(a, b, bias, epilogue.gelu, residual)
    return Placed(
        entry, sizes, tuple(device.asarray(one) for one in (a, b, before)),
        {
            "bias": None if bias is None else device.asarray(bias),
            "gelu": epilogue.gelu,
            "residual": None if residual is None else device.asarray(residual),
            **options,
        },
        expected, reference.hgemm_tolerance(a, b, expected, out, bias, residual), before,
    )  # fmt: skip


ENTRIES: tuple[Entry, ...] = (
    Entry(sgemm_naive, "sgemm.cu", "a thread an element"),
    Entry(sgemm_coalesced, "sgemm.cu", "lanes along rows of B and C"),
    Entry(sgemm_shared_tile, "sgemm.cu", "tiles in shared memory"),
    Entry(sgemm_register_tile, "sgemm_register_tile.cu", "8 x 8 sums a thread"),
    Entry(sgemm_vectorised, "sgemm_vectorised.cu", "16 bytes an access"),
    Entry(sgemm_warp_tile, "sgemm_vectorised.cu", "lanes in a square"),
    Entry(sgemm_double_buffered, "sgemm_double_buffered.cu", "copies that run ahead"),
    Entry(hgemm_mma, "hgemm_mma.cu", "tensor cores", tensor=True),
    Entry(hgemm_multistage, "hgemm_multistage.cu", "copies that run ahead", tensor=True),
    Entry(hgemm_wgmma, "hgemm_wgmma.cu", "TMA fills the ring, warpgroups multiply", tensor=True),
    Entry(hgemm_persistent, "hgemm_wgmma.cu", "a block an SM, tile after tile", tensor=True),
    Entry(hgemm_cluster, "hgemm_wgmma.cu", "pairs of blocks share columns of B", tensor=True),
)
BY_NAME = {entry.name: entry for entry in ENTRIES}
