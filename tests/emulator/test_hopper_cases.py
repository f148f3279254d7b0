"""Small kernels of clusters, TMA and wgmma leave what they leave on an H100."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest

from benchmarks import wgmma_cases
from benchmarks.hopper_case import Case
from benchmarks.hopper_cases import agrees, cases, kept, recorded
from kernels.runtime import EmulatedDevice, Program

ALL = cases()
AGAIN = "run on an H100: python -m benchmarks.hopper_cases"
# An H100 shifts what it adds to the largest exponent, keeps two bits more than a float32 has,
# and cuts off the rest; the software GPU rounds each sum to nearest. Where one product is much
# smaller than the sum, that shows.
ROUNDS_OTHERWISE = "wgmma infinities, NaN, subnormals"
EXTRA_BITS = 2


@functools.cache
def program(source: str, options: tuple[str, ...]) -> Program:
    return next(c for c in ALL if (c.source, c.options) == (source, options)).program()


@pytest.mark.parametrize("case", ALL, ids=[case.name for case in ALL])
def test_a_case_leaves_what_it_should_and_no_check_complains(case: Case) -> None:
    device = EmulatedDevice(timeout_s=120)
    placed = case.on(device)
    report = device.profile(
        program(case.source, case.options)[case.kernel], case.grid, case.block, placed.arguments,
        case.shared_bytes, cluster=case.cluster, checks="all",
    )  # fmt: skip
    assert report.findings == ()
    found = [device.to_host(array) for array in placed.outputs]
    for output, expected in zip(found, placed.expected or (), strict=False):
        assert not case.differs(output, expected)
    theirs = recorded().get(case.name)
    if case.name == ROUNDS_OTHERWISE:
        assert found[0].tobytes() != as_hopper_adds(case).tobytes(), "then hold it to the record"
    elif theirs is not None:
        differ = [agrees(case, o, e) for o, e in zip(found, theirs["outputs"], strict=True)]
        assert not any(differ), f"{differ}; if the case has changed, {AGAIN}"
    if theirs is not None:
        counted = {n: theirs["counters"][n] for n in case.counters if n in theirs["counters"]}
        assert {name: report.counters.get(name) for name in counted} == counted


def as_hopper_adds(case: Case) -> np.ndarray:
    """What an H100 makes of sums with one product each, as the case's kernel leaves them."""
    product = case.place.__self__  # type: ignore[attr-defined]
    a, b, c = product.operands(case.rng())
    with np.errstate(invalid="ignore"):
        product_of_each = a.astype(np.float64) @ b.astype(np.float64)
        whole = product_of_each + c
        largest = np.maximum(np.maximum(np.abs(c), np.abs(product_of_each)), 2.0**-126)
        unit = 2.0 ** (np.floor(np.log2(largest)) - 23 - EXTRA_BITS)
        cut = np.trunc(c / unit) * unit + np.trunc(product_of_each / unit) * unit
        cut = np.where(np.isfinite(whole), cut, whole)
        near = cut.astype(np.float32)
        beyond = np.abs(near.astype(np.float64)) > np.abs(cut)
        near = np.where(beyond, np.nextafter(near, np.float32(0)), near)
    bits = wgmma_cases.registers_of(near)
    bits[np.isnan(bits.view(np.float32))] = 0x7FFFFFFF
    return bits


def test_sums_on_an_h100_are_cut_off_two_bits_below_a_float32s() -> None:
    case = next(case for case in ALL if case.name == ROUNDS_OTHERWISE)
    (theirs,) = recorded()[case.name]["outputs"]
    assert kept(case, as_hopper_adds(case)) == theirs


def test_what_is_recorded_is_of_cases_that_there_are() -> None:
    assert recorded().keys() <= {case.name for case in ALL}, AGAIN


def test_the_readme_says_what_rests_on_documents_until_it_is_recorded() -> None:
    unconfirmed = {case.name for case in cases(("sparse", "interleaved"))} - recorded().keys()
    said = (Path(__file__).parents[2] / "emulator/README.md").read_text()
    assert bool(unconfirmed) == ("no H100 has confirmed them" in said)
