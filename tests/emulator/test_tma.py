"""TMA: boxes of arrays of one to five axes, in and out of shared memory, as NumPy says."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import tma_cases
from benchmarks.boxes import box_of, laid_out, pixels_of
from emulator import DeviceFault
from emulator.tensor_map import Im2col
from kernels.runtime import cuda_program, open_device

ROOM = 32768  # bytes of shared memory that boxes go to
WHOLE = r"""
struct alignas(64) TensorMap { unsigned long long opaque[16]; };
struct Place { int c[5]; unsigned short o[3]; };
__device__ unsigned at(const void* p) { return (unsigned)__cvta_generic_to_shared(p); }
__device__ void expect(unsigned bar, int bytes) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(bar) : "memory");
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(bar), "r"(bytes)
               : "memory");
}
__device__ void wait(unsigned bar, int parity) {
  asm volatile("{ .reg .pred done; again: mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;"
               " @!done bra again; }" ::"r"(bar), "r"(parity) : "memory");
}
#define KERNELS(n, names, ...)                                                                   \
extern "C" __global__ void load_##n(const __grid_constant__ TensorMap map, Place p, int bytes,   \
                                    unsigned char* out, int room) {                              \
  extern __shared__ __align__(1024) unsigned char tile[];                                        \
  __shared__ unsigned long long bar;                                                             \
  for (int i = threadIdx.x; i < room; i += blockDim.x) tile[i] = 0;                              \
  __syncthreads();                                                                               \
  if (threadIdx.x == 0) {                                                                        \
    expect(at(&bar), bytes);                                                                     \
    asm volatile("cp.async.bulk.tensor." #n "d.shared::cluster.global.mbarrier::complete_tx"     \
                 "::bytes [%0], [%1, {" names "}], [%2];"                                        \
                 ::"r"(at(tile)), "l"(&map), "r"(at(&bar)), __VA_ARGS__ : "memory");             \
  }                                                                                              \
  __syncthreads();                                                                               \
  wait(at(&bar), 0);                                                                             \
  for (int i = threadIdx.x; i < room; i += blockDim.x) out[i] = tile[i];                         \
}                                                                                                \
extern "C" __global__ void store_##n(const __grid_constant__ TensorMap map, Place p,             \
                                     const unsigned char* in, int room, int how) {               \
  extern __shared__ __align__(1024) unsigned char tile[];                                        \
  for (int i = threadIdx.x; i < room; i += blockDim.x) tile[i] = in[i];                          \
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");                                   \
  __syncthreads();                                                                               \
  if (threadIdx.x == 0) {                                                                        \
    if (how == 0)                                                                                \
      asm volatile("cp.async.bulk.tensor." #n "d.global.shared::cta.bulk_group"                  \
                   " [%1, {" names "}], [%0];"                                                   \
                   ::"r"(at(tile)), "l"(&map), "r"(0), __VA_ARGS__ : "memory");                  \
    if (how == 1)                                                                                \
      asm volatile("cp.reduce.async.bulk.tensor." #n "d.global.shared::cta.add.bulk_group"       \
                   " [%1, {" names "}], [%0];"                                                   \
                   ::"r"(at(tile)), "l"(&map), "r"(0), __VA_ARGS__ : "memory");                  \
    if (how == 2)                                                                                \
      asm volatile("cp.reduce.async.bulk.tensor." #n "d.global.shared::cta.max.bulk_group"       \
                   " [%1, {" names "}], [%0];"                                                   \
                   ::"r"(at(tile)), "l"(&map), "r"(0), __VA_ARGS__ : "memory");                  \
    asm volatile("cp.async.bulk.commit_group;" ::: "memory");                                    \
    asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory");                               \
  }                                                                                              \
}
KERNELS(1, "%3", "r"(p.c[0]))
KERNELS(2, "%3, %4", "r"(p.c[0]), "r"(p.c[1]))
KERNELS(3, "%3, %4, %5", "r"(p.c[0]), "r"(p.c[1]), "r"(p.c[2]))
KERNELS(4, "%3, %4, %5, %6", "r"(p.c[0]), "r"(p.c[1]), "r"(p.c[2]), "r"(p.c[3]))
KERNELS(5, "%3, %4, %5, %6, %7", "r"(p.c[0]), "r"(p.c[1]), "r"(p.c[2]), "r"(p.c[3]), "r"(p.c[4]))

#define PIXELS(n, names, offsets, ...)                                                           \
extern "C" __global__ void pixels_##n(const __grid_constant__ TensorMap map, Place p, int bytes, \
                                      unsigned char* out, int room) {                            \
  extern __shared__ __align__(1024) unsigned char tile[];                                        \
  __shared__ unsigned long long bar;                                                             \
  for (int i = threadIdx.x; i < room; i += blockDim.x) tile[i] = 0;                              \
  __syncthreads();                                                                               \
  if (threadIdx.x == 0) {                                                                        \
    expect(at(&bar), bytes);                                                                     \
    asm volatile("cp.async.bulk.tensor." #n "d.shared::cluster.global.im2col"                    \
                 ".mbarrier::complete_tx::bytes [%0], [%1, {" names "}], [%2], {" offsets "};"   \
                 ::"r"(at(tile)), "l"(&map), "r"(at(&bar)), __VA_ARGS__ : "memory");             \
  }                                                                                              \
  __syncthreads();                                                                               \
  wait(at(&bar), 0);                                                                             \
  for (int i = threadIdx.x; i < room; i += blockDim.x) out[i] = tile[i];                         \
}
PIXELS(3, "%3, %4, %5", "%6", "r"(p.c[0]), "r"(p.c[1]), "r"(p.c[2]), "h"(p.o[0]))
PIXELS(4, "%3, %4, %5, %6", "%7, %8", "r"(p.c[0]), "r"(p.c[1]), "r"(p.c[2]), "r"(p.c[3]),
       "h"(p.o[0]), "h"(p.o[1]))
PIXELS(5, "%3, %4, %5, %6, %7", "%8, %9, %10", "r"(p.c[0]), "r"(p.c[1]), "r"(p.c[2]), "r"(p.c[3]),
       "r"(p.c[4]), "h"(p.o[0]), "h"(p.o[1]), "h"(p.o[2]))
"""
DTYPES = (np.uint8, np.float16, ml_dtypes.bfloat16, np.int32, np.float32, np.float64)


@pytest.fixture(scope="module")
def device():
    """The software GPU."""
    return open_device("emulated")


@pytest.fixture(scope="module")
def program():
    """The kernels of this file."""
    return cuda_program(WHOLE, name="boxes.cu", arch="sm_90a")


def place(corner, offsets=()):
    """A ``Place``: innermost first, as instructions have them."""
    words = np.zeros(5, np.int32)
    words[: len(corner)] = corner[::-1]
    moved = np.zeros(4, np.uint16)
    moved[: len(offsets)] = offsets[::-1]
    return (words.tobytes() + moved.tobytes())[:28]


def filled(shape, dtype, rng):
    """Numbers that sums and NaN patterns do not hide."""
    return rng.integers(0, 100, shape).astype(dtype)


@st.composite
def cases(draw, least=-3):
    """An array, a box and where it is, from ``least`` on: what an encoder and TMA accept."""
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    unit = 16 // dtype.itemsize
    swizzle = draw(st.sampled_from(["none", "32B", "64B", "128B"]))
    rank = draw(st.integers(1, 5))
    most = {"none": 256, "32B": 32, "64B": 64, "128B": 128}[swizzle] // dtype.itemsize
    row = unit * draw(st.integers(1, max(min(most, 64) // unit, 1)))
    steps = [draw(st.sampled_from([1, 1, 1, 2, 3])) for _ in range(rank - 1)] + [1]
    box = [draw(st.integers(1, 5)) for _ in range(rank - 1)] + [row]
    shape = [draw(st.integers(1, 6)) for _ in range(rank - 1)]
    shape.append(unit * draw(st.integers(1, 6)))
    corner = [draw(st.integers(least, n)) for n in shape[:-1]]
    corner.append(unit * draw(st.integers(least, shape[-1] // unit)))
    return dtype, swizzle, tuple(shape), tuple(box), tuple(steps), tuple(corner)


@settings(max_examples=60)
@given(case=cases(), seed=st.integers(0, 2**32 - 1))
def test_boxes_come_to_shared_memory(device, program, case, seed):
    dtype, swizzle, shape, box, steps, corner = case
    array = filled(shape, dtype, np.random.default_rng(seed))
    expected = box_of(array, corner, box, steps)
    told = device.tensor_map(device.asarray(array), box, swizzle=swizzle, element_strides=steps)
    out = device.empty(ROOM, np.uint8)
    device.launch(
        program[f"load_{len(shape)}"], 1, 64, (told, place(corner), expected.nbytes, out, ROOM),
        ROOM,
    )  # fmt: skip
    assert np.array_equal(device.to_host(out), laid_out(expected, swizzle, ROOM))


@settings(max_examples=60)
@given(
    case=cases(least=0),
    how=st.sampled_from(["store", "add", "max"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_boxes_leave_shared_memory(device, program, case, how, seed):
    dtype, swizzle, shape, box, steps, corner = case
    rng = np.random.default_rng(seed)
    if how == "max" and dtype.kind == "f" and dtype.itemsize > 2:
        how = "add"  # there is none for these
    array = filled(shape, dtype, rng)
    mine = filled([-(-b // s) for b, s in zip(box, steps, strict=True)], dtype, rng)
    expected = array.copy()
    for at in np.ndindex(*mine.shape):
        there = tuple(c + p * s for c, p, s in zip(corner, at, steps, strict=True))
        if all(0 <= t < n for t, n in zip(there, shape, strict=True)):
            old, new = expected[there], mine[at]
            expected[there] = {"store": new, "add": old + new, "max": max(old, new)}[how]
    x = device.asarray(array)
    told = device.tensor_map(x, box, swizzle=swizzle, element_strides=steps)
    given_bytes = device.asarray(laid_out(mine, swizzle, ROOM))
    number = ("store", "add", "max").index(how)
    device.launch(
        program[f"store_{len(shape)}"], 1, 64, (told, place(corner), given_bytes, ROOM, number),
        ROOM,
    )  # fmt: skip
    assert np.array_equal(device.to_host(x), expected)


@settings(max_examples=30)
@given(
    sizes=st.lists(st.integers(2, 6), min_size=1, max_size=3), pixels=st.integers(1, 40),
    swizzle=st.sampled_from(["none", "64B"]), seed=st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_columns_of_pixels_come_to_shared_memory(device, program, sizes, pixels, swizzle, seed):
    rng = np.random.default_rng(seed)
    spatial, channels = len(sizes), 32
    array = filled((3, *sizes, 64), np.float16, rng)
    lower = tuple(int(n) for n in rng.integers(-2, 1, spatial))
    upper = tuple(int(n) for n in rng.integers(-1, 2, spatial))
    steps = (1, *(int(n) for n in rng.integers(1, 3, spatial)), 1)
    offsets = tuple(int(n) for n in rng.integers(0, 3, spatial))
    corner = (int(rng.integers(0, 3)), *lower, int(rng.choice([0, 32])))
    if any(n + u <= low for n, low, u in zip(sizes, lower, upper, strict=True)):
        return  # no base pixels
    expected = pixels_of(array, corner, offsets, lower, upper, channels, pixels, steps)
    told = device.tensor_map(
        device.asarray(array), swizzle=swizzle, element_strides=steps,
        im2col=Im2col(lower, upper, channels, pixels),
    )  # fmt: skip
    out = device.empty(ROOM, np.uint8)
    device.launch(
        program[f"pixels_{spatial + 2}"], 1, 64,
        (told, place(corner, offsets), expected.nbytes, out, ROOM), ROOM,
    )  # fmt: skip
    assert np.array_equal(device.to_host(out), laid_out(expected, swizzle, ROOM))


def test_nan_is_filled_in_where_asked_for(device, program):
    x = device.asarray(np.ones((4, 8), np.float32))
    told = device.tensor_map(x, (4, 8), fill="nan")
    out = device.empty(ROOM, np.uint8)
    device.launch(program["load_2"], 1, 32, (told, place((2, 4)), 128, out, ROOM), ROOM)
    found = device.to_host(out)[:128].view(np.float32).reshape(4, 8)
    assert (found[:2, :4] == 1).all()
    assert np.isnan(found[2:]).all()
    assert np.isnan(found[:, 4:]).all()


@pytest.mark.parametrize(
    ("kernel", "corner", "said"),
    [
        ("load_2", (0, 3), "begins at element 3 of 4 bytes of the innermost axis; its place must"),
        ("store_2", (-1, 0), "begins at -1 of axis 1, counted from the innermost; boxes that are"),
        ("store_2", (0, -4), "begins at -4 of axis 0"),
    ],
)
def test_places_that_hardware_refuses_are_refused(device, program, kernel, corner, said):
    told = device.tensor_map(device.asarray(np.zeros((16, 32), np.float32)), (4, 8))
    arguments = {
        "load_2": (told, place(corner), 128, device.empty(ROOM, np.uint8), ROOM),
        "store_2": (told, place(corner), device.asarray(np.zeros(ROOM, np.uint8)), ROOM, 0),
    }[kernel]
    with pytest.raises(DeviceFault, match=said):
        device.launch(program[kernel], 1, 32, arguments, ROOM)


def test_counters_of_boxes(device, program):
    x = device.asarray(np.ones((100, 200), np.float16))
    told = device.tensor_map(x, (64, 64), swizzle="128B")
    out = device.empty(ROOM, np.uint8)
    # 36 rows of 64 columns are inside; each is 4 sectors, or 5 where it begins within one
    report = device.profile(
        program["load_2"], 2, 64, (told, place((64, 72)), 8192, out, ROOM), ROOM
    )  # fmt: skip
    counters = report.counters
    assert counters["smsp__inst_executed_op_tma_ld.sum"] == 2
    assert counters["memory_tma_requests"] == 2
    assert counters["memory_tma_shared_bytes"] == 2 * 8192
    assert counters["memory_tma_wavefronts_shared_swizzle_128B"] == 2 * 64
    assert counters["memory_tma_wavefronts_shared"] == 2 * 64
    assert counters["memory_mbarrier_waits"] == 2 * 2
    first = [(200 * row + 72) * 2 // 32 for row in range(64, 100)]
    last = [((200 * row + 136) * 2 - 1) // 32 for row in range(64, 100)]
    sectors = sum(b - a + 1 for a, b in zip(first, last, strict=True))
    assert counters["l1tex__m_xbar2l1tex_read_sectors_mem_global_op_tma_ld.sum"] == 2 * sectors
    assert counters["lts__t_sectors_srcunit_tex_op_read.sum"] >= 2 * sectors


@pytest.mark.parametrize(("mode", "seed"), [("late", 3), ("eager", None), ("shuffled", 5)])
def test_when_copies_move_changes_nothing(card, mode, seed):
    source = (Path(tma_cases.__file__).parent / tma_cases.SOURCE).read_text()
    rng = np.random.default_rng(7)
    x, y = rng.integers(0, 1000, 4 * 512).astype(np.uint32), np.zeros(4 * 512, np.uint32)
    options = {"async_copies": mode, "seed": seed}
    card.run(source, "plain", 4, 128, x, y, **options)
    assert np.array_equal(y, x + 1)
    x, y = rng.integers(0, 1000, (2, 4, 256)).astype(np.int32), np.zeros((2, 4, 256), np.int32)
    card.run(source, "to_peer", 8, 64, x, y, cluster=(4, 1, 1), **options)
    assert np.array_equal(y, np.roll(3 * x, 1, axis=1))
    x, y = rng.integers(0, 255, (4, 512)).astype(np.uint8), np.zeros((8, 512), np.uint8)
    card.run(source, "multicast_bytes", 8, 64, x, y, cluster=(4, 1, 1), **options)
    assert np.array_equal(y, np.repeat(x, 2, axis=0))
