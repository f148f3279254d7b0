from __future__ import annotations

from types import SimpleNamespace

import pytest

from kernels.gemm import Sizes
from kernels.gemm.catalogue import BY_NAME
from kernels.runtime import Timing, open_device
from widgets import product_cost, product_table

SIZES = Sizes(128, 128, 64)
MADE = SimpleNamespace(device="NVIDIA H100", date="2026-11-23", command="python -m x")


def nothing():
    raise LookupError("this makes it: python -m x")


def test_costs_are_told_for_each_multiply_add() -> None:
    device = open_device("emulated")
    naive, tiled, tensor = (
        product_cost(device, BY_NAME[name], SIZES)
        for name in ("sgemm_naive", "sgemm_shared_tile", "hgemm_mma")
    )
    assert (naive.global_bytes, naive.shared_bytes) == (33.0, 0.0)  # 33 sectors for 32 of them
    assert (tiled.global_bytes, tiled.shared_bytes) == (8 / 32, 8.0)
    assert tensor.shared_bytes < 0.1 and tensor.instructions < 1
    made = repr(product_table([naive, tiled, tensor], nothing, 4096))
    assert "hgemm_mma" in made and "No H100 figure is recorded yet" in made
    assert "modelled, 128 x 128 x 64" in made


def test_recorded_figures_stand_beside() -> None:
    def step(name: str, size: int, dtype: str) -> SimpleNamespace:
        if name == "hgemm_mma":
            raise LookupError(f"no figure of {name} at {size} ({dtype})")
        return SimpleNamespace(teraflops=12.3)

    device = open_device("emulated")
    costs = [product_cost(device, BY_NAME[n], SIZES) for n in ("sgemm_shared_tile", "hgemm_mma")]
    made = repr(product_table(costs, lambda: SimpleNamespace(origin=MADE, step=step), 4096))
    assert "12.3" in made and "Recorded: NVIDIA H100, 2026-11-23" in made
    assert "Not recorded: no figure of hgemm_mma at 4096 (float16)" in made


def test_measured_and_modelled_times_are_not_mixed() -> None:
    one = product_cost(open_device("emulated"), BY_NAME["hgemm_mma"], SIZES)
    other = type(one)(**{**vars(one), "timing": Timing.of([1.0], "measured")})
    with pytest.raises(ValueError, match="times of one kind"):
        product_table([one, other], nothing, 4096)


def test_small_counts_go_with_large_times() -> None:
    found = product_cost(open_device("emulated"), BY_NAME["hgemm_mma"], Sizes(256, 256, 64), SIZES)
    assert found.counted == SIZES and found.timing.kind == "modelled"
    assert found.teraflops == found.sizes.flops / found.timing.median_us / 1e6
