"""Every kernel of the topic computes what its NumPy reference does, at any size and grid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.ilp_tlp import (
    BY_NAME,
    ENTRIES,
    chain,
    copy_in_flight,
    dram,
    ffma,
    ffma_chains,
    ffma_shared,
    gentle,
    latency,
    latency_global,
    latency_shared,
    place,
    polynomial,
    polynomial_elements,
    polynomial_horner,
    reference,
    stamps,
)
from kernels.ilp_tlp.launches import program
from kernels.runtime import ArgumentError, ArraySpec, LaunchError, record

LENGTH = st.integers(0, 300) | st.sampled_from([1023, 1024, 1025, 4097]) | st.integers(0, 20_000)
POLYNOMIALS = [entry for entry in ENTRIES if entry.file == "polynomial.cu"]


def wrong(device, name, sizes, numbers, seed, **more):
    entry = BY_NAME[name]
    placed = place(device, entry, sizes, numbers, np.random.default_rng(seed), **more)
    entry.step(device, *placed.on_device, placed.output, *placed.numbers)
    return placed.wrong(device)


@settings(max_examples=40)
@given(
    n=LENGTH, loads=st.sampled_from(dram.LOADS), width=st.sampled_from(dram.WIDTHS),
    warps=st.integers(1, 8), blocks=st.integers(1, 9), seed=st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_a_copy_is_whole_whatever_is_in_flight(device, n, loads, width, warps, blocks, seed):
    placed = place(device, BY_NAME["copy_in_flight"], (n,), (loads, width),
                   np.random.default_rng(seed))  # fmt: skip
    copy_in_flight(
        device, *placed.on_device, placed.output, loads, width, warps=warps, blocks=blocks
    )
    assert placed.wrong(device) is None


def test_nothing_is_written_past_the_end(device):
    for width in dram.WIDTHS:
        x, y = device.asarray(np.zeros(1003, np.float32)), device.empty(2000, np.float32)
        copy_in_flight(device, x, y[:1003], 4, width, blocks=3)
        assert np.isnan(device.to_host(y)[1003:]).all()


@settings(max_examples=30)
@given(
    chains=st.sampled_from(ffma.CHAINS), rounds=st.integers(0, 3), blocks=st.integers(1, 3),
    warps=st.integers(1, 9), seed=st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_every_ffma_of_every_chain_is_done(device, chains, rounds, blocks, warps, seed):
    rng = np.random.default_rng(seed)
    factors = np.array([rng.choice([-1, 1]), rng.integers(0, 8)], dtype=np.float32)
    out = device.empty(blocks * warps * 32, np.float32)
    marks = device.asarray(stamps(blocks, warps))
    ffma_chains(device, device.asarray(factors), marks, out, chains, rounds, warps=warps)
    expected = reference.ffma_chains(factors, blocks, warps, chains, rounds)
    np.testing.assert_array_equal(device.to_host(out), expected)
    begin, end = device.to_host(marks)[:, 0], device.to_host(marks)[:, 1]
    assert (end >= begin).all() and (begin > 0).all()


@settings(max_examples=30)
@given(
    uses=st.sampled_from((0, *ffma.USES)), rounds=st.integers(0, 3), blocks=st.integers(1, 3),
    seed=st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_operands_are_the_same_wherever_they_come_from(device, uses, rounds, blocks, seed):
    name, numbers = ("ffma_shared", (uses, rounds)) if uses else ("ffma_registers", (rounds,))
    assert wrong(device, name, (blocks,), numbers, seed) is None


@pytest.mark.parametrize("entry", POLYNOMIALS, ids=lambda entry: entry.name)
@settings(max_examples=20)
@given(n=LENGTH, rounds=st.integers(0, 8), seed=st.integers(0, 2**32 - 1))
def test_a_polynomial_is_evaluated(device, entry, n, rounds, seed):
    assert wrong(device, entry.name, (n,), (rounds,), seed) is None


@settings(max_examples=20)
@given(
    n=LENGTH, rounds=st.integers(0, 4), elements=st.sampled_from(polynomial.ELEMENTS),
    warps=st.integers(1, 8), stamped=st.booleans(), seed=st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_any_number_of_elements_a_thread_will_do(device, n, rounds, elements, warps, stamped, seed):
    placed = place(device, BY_NAME["polynomial_elements"], (n,), (rounds,),
                   np.random.default_rng(seed))  # fmt: skip
    blocks = max(1, -(-n // (32 * warps * elements)))
    marks = device.asarray(stamps(blocks, warps)) if stamped else None
    polynomial_elements(
        device, *placed.on_device, placed.output, rounds, elements=elements, threads=32 * warps,
        stamps=marks,
    )  # fmt: skip
    assert placed.wrong(device) is None
    assert marks is None or (device.to_host(marks) > 0).all()


@settings(max_examples=20)
@given(n=st.integers(1, 3000), apart=st.integers(1, 40), seed=st.integers(0, 2**32 - 1))
def test_a_chain_is_one_ring(n, apart, seed):
    links = chain(np.random.default_rng(seed), n, apart)
    at, seen = 0, []
    for _ in range(-(-n // apart)):
        seen.append(at)
        at = int(links[at])
    assert at == 0 and sorted(seen) == list(range(0, n, apart))


@settings(max_examples=15)
@given(start=st.integers(0, 1023), hops=st.integers(0, 300), seed=st.integers(0, 2**32 - 1))
def test_a_walk_ends_where_its_links_lead(device, start, hops, seed):
    for name in ("latency_global", "latency_shared"):
        assert wrong(device, name, (), (start, hops), seed) is None
    assert wrong(device, "latency_ffma", (), (hops % 40,), seed) is None


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_no_check_has_anything_to_say(device, entry):
    sizes = {"n": 5003, "blocks": 3}
    placed = place(device, entry, tuple(sizes[name] for name in entry.sizes),
                   rng=np.random.default_rng(3))  # fmt: skip
    one = placed.launch(device)
    report = device.profile(one.kernel, one.grid, one.block, one.args, checks=("all",))
    assert report.findings == ()
    assert placed.wrong(device) is None


@pytest.mark.parametrize("name", [e.name for e in ENTRIES if e.flops(e.large, e.typical)])
def test_the_work_is_what_the_catalogue_says(device, name):
    entry = BY_NAME[name]
    sizes = {"n": (1024,), "blocks": (2,)}.get(entry.sizes[0] if entry.sizes else "", ())
    placed = place(device, entry, sizes, rng=np.random.default_rng(3))
    one = placed.launch(device)
    counters = device.profile(one.kernel, one.grid, one.block, one.args).counters
    fused = counters["smsp__sass_thread_inst_executed_op_ffma_pred_on.sum"]
    assert 2 * fused == entry.flops(sizes, entry.typical)


def test_shared_operands_cost_a_wavefront_each(device):
    found = []
    for uses in ffma.USES:
        placed = place(device, BY_NAME["ffma_shared"], (1,), (uses, 4), np.random.default_rng(0))
        one = placed.launch(device)
        counters = device.profile(one.kernel, one.grid, one.block, one.args).counters
        found.append(counters["smsp__inst_executed_op_shared_ld.sum"])
    reads = [4 * 4 * 16 * 8 // uses for uses in ffma.USES]
    assert [int(f) for f in found] == [r + 4 for r in reads]  # and each warp's first weight


def test_kernels_can_be_recorded_into_a_plan(device):
    def solve(recording, x, coefficients):
        y = recording.empty(x.shape, x.dtype)
        polynomial_elements(recording, x, coefficients, y, 2)
        return y

    plan = record(solve, ArraySpec("x", (1000,), np.float32), ArraySpec("c", (16,), np.float32))
    rng = np.random.default_rng(0)
    x, c = rng.random(1000, dtype=np.float32), gentle(rng)
    np.testing.assert_allclose(
        plan.run(device, [x, c])[0], reference.polynomial(x, c, 1000, 2), rtol=1e-5
    )


@pytest.mark.parametrize(
    ("family", "line"),
    [
        ("ffma", f"constexpr int UNROLLED = {ffma.UNROLLED};"),
        ("ffma", f"constexpr int WEIGHTS = {ffma.WEIGHTS};"),
        ("ffma", f"constexpr int OPERAND_CHAINS = {ffma.OPERAND_CHAINS};"),
        ("polynomial", f"constexpr int DEGREE = {polynomial.DEGREE};"),
        ("latency", f"constexpr int STEPS = {latency.STEPS};"),
        ("latency", f"constexpr int SHARED_LINKS = {latency.SHARED_LINKS};"),
    ],
)
def test_the_python_side_knows_the_sources_numbers(family, line):
    assert line in program(family).source


# --- what is refused ----------------------------------------------------------------------------


def floats(device, *shape):
    return device.empty(shape, np.float32)


def test_numbers_that_no_kernel_is_made_for_are_refused(device):
    x = floats(device, 64)
    with pytest.raises(ValueError, match="loads is 3; 1, 2, 4, 8, 16 or 32"):
        copy_in_flight(device, x, x, 3)
    with pytest.raises(ValueError, match="width is 8; 4 or 16"):
        copy_in_flight(device, x, x, 1, 8)
    with pytest.raises(ValueError, match="warps is 33; a block has 1 to 32"):
        copy_in_flight(device, x, x, 1, warps=33)
    with pytest.raises(ValueError, match="0 blocks"):
        copy_in_flight(device, x, x, 1, blocks=0)
    with pytest.raises(ValueError, match="elements is 5"):
        polynomial_elements(device, x, floats(device, 16), x, elements=5)
    with pytest.raises(ValueError, match="uses is 3"):
        ffma_shared(device, x, x, x, 3, 1)
    with pytest.raises(ValueError, match="rounds is -1"):
        polynomial_horner(device, x, floats(device, 16), x, -1)


def test_shapes_that_do_not_fit_are_refused(device):
    x, marks = floats(device, 128), device.empty((4, 2, 2), np.int64)
    with pytest.raises(ValueError, match="x holds 127 elements; 128 are needed"):
        copy_in_flight(device, x[1:], x, 1)
    with pytest.raises(ValueError, match=r"coefficients must have shape \(16,\)"):
        polynomial_horner(device, x, floats(device, 15), x)
    with pytest.raises(ValueError, match="whole blocks of 128"):
        ffma_chains(device, floats(device, 2), marks, floats(device, 100), 1, 1)
    with pytest.raises(ValueError, match=r"stamps must have shape \(8, 2, 2\)"):
        ffma_chains(device, floats(device, 2), marks, floats(device, 256), 1, 1)
    with pytest.raises(ValueError, match=r"factors must have shape \(2,\)"):
        ffma_chains(device, x, marks, x, 1, 1)
    with pytest.raises(ValueError, match=r"weights must have shape \(16, 32\)"):
        ffma_shared(device, x, marks, x, 1, 1)
    at = device.empty(1, np.int32)
    with pytest.raises(ValueError, match=r"expected an array of \(1024,\)"):
        latency_shared(device, at, device.empty(1, np.int64), at, 0, 1)
    with pytest.raises(ValueError, match="start is 1; links has 1 elements"):
        latency_global(device, at, device.empty(1, np.int64), at, 1, 1)


def test_a_block_with_more_registers_than_an_sm_is_refused(device):
    x, y = floats(device, 1024), floats(device, 1024)
    with pytest.raises(LaunchError, match="registers"):
        copy_in_flight(device, x, y, 32, 16, warps=32)


def test_arrays_that_are_not_aligned_for_a_vector_are_refused(device):
    with pytest.raises(ArgumentError, match="multiple of 16 bytes"):
        copy_in_flight(device, floats(device, 11)[1:], floats(device, 10), 1, 16)
