"""TMA of interleaved arrays: slices of channels in and out of shared memory, as documents say."""

from __future__ import annotations

import re

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.boxes import slice_pixels_of, slices_laid_out, slices_of
from benchmarks.tma_cases import CASES, HOW, filled, place_of, unwritten
from emulator.tensor_map import INTERLEAVES, UNCONFIRMED, Im2col
from kernels.runtime import LaunchError, cuda_program, open_device

ROOM = 16384  # bytes of shared memory that boxes go to
DTYPES = (np.uint8, np.float16, ml_dtypes.bfloat16, np.int32, np.float32, np.float64)


@pytest.fixture(scope="module")
def device():
    """The software GPU."""
    return open_device("emulated")


@pytest.fixture(scope="module")
def program():
    """The kernels of the cases, which only look at what comes and goes."""
    return CASES[0].program()


@st.composite
def layouts(draw):
    """An interleave, a swizzle that goes with it, and elements."""
    interleave = draw(st.sampled_from(["16B", "32B"]))
    swizzles = ["32B"] if interleave == "32B" else ["none", "32B", "64B", "128B"]
    return interleave, draw(st.sampled_from(swizzles)), np.dtype(draw(st.sampled_from(DTYPES)))


@st.composite
def cases(draw, least=-3):
    """An interleaved array, a box and where it is, from ``least`` on."""
    interleave, swizzle, dtype = draw(layouts())
    rank = draw(st.integers(3, 5))
    shape = [draw(st.integers(1, 5)) for _ in range(rank - 1)] + [draw(st.integers(1, 20))]
    box = [draw(st.integers(1, 4)) for _ in range(rank - 1)] + [draw(st.integers(1, 9))]
    steps = [draw(st.sampled_from([1, 1, 2, 3])) for _ in range(rank)]
    box[1] = steps[1] = 1
    corner = tuple(draw(st.integers(least, n)) for n in shape)
    return interleave, swizzle, dtype, tuple(shape), tuple(box), tuple(steps), corner


@settings(max_examples=60)
@given(case=cases(), seed=st.integers(0, 2**32 - 1))
def test_slices_come_to_shared_memory(device, program, case, seed):
    interleave, swizzle, dtype, shape, box, steps, corner = case
    channels = INTERLEAVES[interleave] // dtype.itemsize
    array = filled(np.random.default_rng(seed), (*shape, channels), dtype)
    expected = slices_of(array, corner, box, steps)
    told = device.tensor_map(
        device.asarray(array), box, swizzle=swizzle, element_strides=steps, interleave=interleave
    )
    out = device.asarray(unwritten(ROOM))
    device.launch(
        program[f"slices_{len(shape)}"], 1, 64,
        (told, place_of(corner), expected.nbytes, ROOM, out), ROOM,
    )  # fmt: skip
    assert np.array_equal(device.to_host(out), slices_laid_out(expected, swizzle, ROOM))


@settings(max_examples=40)
@given(case=cases(least=0), how=st.sampled_from(["store", "add"]), seed=st.integers(0, 2**32 - 1))
def test_slices_leave_shared_memory(device, program, case, how, seed):
    interleave, swizzle, dtype, shape, box, steps, corner = case
    if how == "add" and dtype.itemsize == 1:
        how = "store"  # there is no such reduction
    rng, channels = np.random.default_rng(seed), INTERLEAVES[interleave] // dtype.itemsize
    array = filled(rng, (*shape, channels), dtype)
    mine = filled(rng, (*(-(-b // s) for b, s in zip(box, steps, strict=True)), channels), dtype)
    expected = array.copy()
    for at in np.ndindex(*mine.shape[:-1]):
        there = tuple(c + p * s for c, p, s in zip(corner, at, steps, strict=True))
        if all(t < n for t, n in zip(there, shape, strict=True)):
            expected[there] = mine[at] + (array[there] if how == "add" else 0)
    x = device.asarray(array)
    told = device.tensor_map(x, box, swizzle=swizzle, element_strides=steps, interleave=interleave)
    arguments = (
        told, place_of(corner), HOW.index(how), ROOM,
        device.asarray(slices_laid_out(mine, swizzle, ROOM)), device.asarray(unwritten(1)),
    )  # fmt: skip
    device.launch(program[f"store_{len(shape)}"], 1, 64, arguments, ROOM)
    assert np.array_equal(device.to_host(x), expected)


@settings(max_examples=30)
@given(
    layout=layouts(), sizes=st.lists(st.integers(2, 6), min_size=1, max_size=3),
    pixels=st.integers(1, 40), seed=st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_pixels_have_a_slice_each(device, program, layout, sizes, pixels, seed):
    interleave, swizzle, dtype = layout
    rng, spatial = np.random.default_rng(seed), len(sizes)
    channels = INTERLEAVES[interleave] // dtype.itemsize
    array = filled(rng, (3, 2, *sizes, channels), dtype)
    lower = tuple(int(n) for n in rng.integers(-2, 1, spatial))
    upper = tuple(int(n) for n in rng.integers(-1, 2, spatial))
    steps = (1, 1, *(int(n) for n in rng.integers(1, 3, spatial)))
    offsets = tuple(int(n) for n in rng.integers(0, 3, spatial))
    corner = (int(rng.integers(0, 3)), int(rng.integers(0, 3)), *lower)
    if any(n + u <= low for n, low, u in zip(sizes, lower, upper, strict=True)):
        return  # no base pixels
    box = Im2col(lower, upper, channels, pixels)
    expected = slice_pixels_of(array, corner, offsets, box, steps)
    told = device.tensor_map(
        device.asarray(array), swizzle=swizzle, element_strides=steps, im2col=box,
        interleave=interleave,
    )  # fmt: skip
    out = device.asarray(unwritten(ROOM))
    device.launch(
        program[f"slice_pixels_{spatial + 2}"], 1, 64,
        (told, place_of(corner, offsets), expected.nbytes, ROOM, out), ROOM,
    )  # fmt: skip
    assert np.array_equal(device.to_host(out), slices_laid_out(expected, swizzle, ROOM))


def test_a_report_on_slices_counts_them_and_says_that_no_gpu_confirmed_it(device, program):
    x = device.asarray(np.ones((2, 3, 10, 16), np.float16))
    told = device.tensor_map(x, (1, 1, 8), swizzle="32B", fill="nan", interleave="32B")
    out = device.asarray(unwritten(ROOM))
    report = device.profile(
        program["slices_3"], 1, 64, (told, place_of((1, 2, 6)), 256, ROOM, out), ROOM
    )
    found = device.to_host(out)[:256].view(np.float16)
    assert (found[:64] == 1).all()
    assert np.isnan(found[64:]).all()
    counters = report.counters
    assert counters["memory_tma_shared_bytes"] == 256
    assert counters["memory_tma_wavefronts_shared_swizzle_32B"] == 2
    assert UNCONFIRMED in report.notes
    # four of eight slices of a sector each are inside
    assert counters["l1tex__m_xbar2l1tex_read_sectors_mem_global_op_tma_ld.sum"] == 4


@pytest.mark.parametrize(
    ("shape", "box", "options", "said"),
    [
        ((2, 3, 8, 8), (1, 1, 8), {"interleave": "8B"}, "interleave '8B'; there are none, 16B"),
        ((2, 3, 8, 16), (1, 1, 8), {}, "is a slice of 8 neighbouring channels of float16; this"),
        ((3, 8, 8), (1, 8), {}, "3 to 5 axes and that of a slice's channels; there are 2"),
        ((2, 3, 8, 8), (1, 2, 8), {}, "a box of 2 slices of channels; a copy takes 1"),
        ((2, 3, 8, 8), (1, 1, 8, 8), {}, "a number for each of 3 axes"),
        ((2, 3, 8, 16), (1, 1, 8), {"interleave": "32B"}, "swizzle '32B' only; this is 'none'"),
        ((2, 3, 8, 8), (), {"im2col": Im2col((0,), (0,), 16, 9)}, "takes slices, of 8 here"),
        ((2, 3, 8, 8), (), {"im2col": Im2col((0, 0), (0, 0), 8, 9)}, "each of 1 axes"),
    ],
)
def test_what_an_interleaved_map_must_be(device, shape, box, options, said):
    with pytest.raises(LaunchError, match=re.escape(said)):
        device.tensor_map(
            device.asarray(np.zeros(shape, np.float16)), box, **{"interleave": "16B", **options}
        )


def test_slices_of_32_bytes_begin_at_multiples_of_32(device):
    options = {"interleave": "32B", "swizzle": "32B"}
    x = device.asarray(np.zeros((2, 2, 9, 24), np.float16))
    with pytest.raises(LaunchError, match="slices of the last axis must be neighbours"):
        device.tensor_map(x[..., :16], (1, 1, 4), **options)
    x = device.asarray(np.zeros(1032, np.float16))
    beside = x[8:][: 2 * 2 * 8 * 16] if x.ctypes.data % 32 == 0 else x[: 2 * 2 * 8 * 16]
    with pytest.raises(LaunchError, match="16 bytes past a multiple of 32"):
        device.tensor_map(beside.reshape(2, 2, 8, 16), (1, 1, 4), **options)


CHANGED = r"""
struct alignas(128) TensorMap { unsigned long long opaque[16]; };
__device__ unsigned at(const void* p) { return (unsigned)__cvta_generic_to_shared(p); }
extern "C" __global__ void k(const __grid_constant__ TensorMap given, TensorMap* map, int* out) {
  __shared__ alignas(128) int tile[32];
  __shared__ unsigned long long bar;
  if (threadIdx.x < 16) map->opaque[threadIdx.x] = given.opaque[threadIdx.x];
  __syncwarp();
  if (threadIdx.x == 0) {
    asm volatile("tensormap.replace.tile.interleave_layout.global.b1024.b32 [%0], 1;"
                 ::"l"(map) : "memory");
    asm volatile("tensormap.replace.tile.global_dim.global.b1024.b32 [%0], 0, 8;"
                 ::"l"(map) : "memory");
    asm volatile("tensormap.replace.tile.box_dim.global.b1024.b32 [%0], 0, 8;"
                 ::"l"(map) : "memory");
    asm volatile("fence.proxy.tensormap::generic.acquire.gpu [%0], 128;" ::"l"(map) : "memory");
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(at(&bar)) : "memory");
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], 128;" ::"r"(at(&bar)));
    asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%2, %3, %4}], [%5];"
                 ::"r"(at(tile)), "l"(map), "r"(2), "r"(2), "r"(1), "r"(at(&bar)) : "memory");
    asm volatile("{ .reg .pred p; again: mbarrier.try_wait.parity.shared::cta.b64 p, [%0], 0;"
                 " @!p bra again; }" ::"r"(at(&bar)) : "memory");
  }
  __syncwarp();
  out[threadIdx.x] = tile[threadIdx.x];
}
"""


def test_a_kernel_can_make_a_map_interleaved(device):
    x = np.arange(2 * 3 * 32).reshape(2, 3, 32).astype(np.int32)  # or 3 slices of 8 pixels
    told = device.tensor_map(device.asarray(x), (1, 1, 32))
    out, made = device.empty(32, np.int32), device.empty(16, np.uint64)
    program = cuda_program(CHANGED, name="interleave.cu", arch="sm_90a")
    device.launch(program["k"], 1, 32, (told, made, out))
    expected = np.concatenate([x[1, 2, 8:], np.zeros(8, np.int32)])
    assert np.array_equal(device.to_host(out), expected)
