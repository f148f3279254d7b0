"""``wmma`` in every shape, type, layout and state space, and products written with ``<mma.h>``."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from emulator.errors import DeviceFault
from kernels.runtime import EmulatedDevice, cuda_program
from tests.emulator.fragments import (
    BITS,
    from_memory,
    in_memory,
    patterns,
    wmma_places,
)
from tests.emulator.test_tensor import bound, numbers

SHAPES = [(16, 16, 16), (32, 8, 16), (8, 32, 16)]
FORMS = [  # shape, type of A and B, of C, of D
    *((shape, "f16", c, d) for shape in SHAPES for c in ("f16", "f32") for d in ("f16", "f32")),
    *((shape, "bf16", "f32", "f32") for shape in SHAPES),
    *((shape, kind, "s32", "s32") for shape in SHAPES for kind in ("s8", "u8")),
    ((16, 16, 8), "tf32", "f32", "f32"),
    ((8, 8, 4), "f64", "f64", "f64"),
    ((8, 8, 32), "s4", "s32", "s32"), ((8, 8, 32), "u4", "s32", "s32"),
    ((8, 8, 128), "b1", "s32", "s32"),
]  # fmt: skip
SPACES = ("global", "shared", "generic")
ROOM = 8192


def registers_of(role: str, shape: tuple[int, int, int], kind: str) -> int:
    """32-bit (for f64, 64-bit) registers of a fragment, as the ISA lists them."""
    m, n, k = shape
    if role in "ab":
        count = m * k if role == "a" else n * k
        return 8 if kind == "f16" else max(count * BITS[kind] // max(32, BITS[kind]) // 32, 1)
    return m * n // 32 // (2 if kind == "f16" else 1)


def fragment(name: str, shape: tuple[int, int, int], kind: str) -> str:
    count = registers_of(name, shape, kind)
    return "{" + ", ".join(f"%{name}{i}" for i in range(count)) + "}"


def declared(name: str, shape: tuple[int, int, int], kind: str) -> str:
    width = max(BITS[kind], 32)
    return f"  .reg .b{width} %{name}<{registers_of(name, shape, kind)}>;"


def product(shape, kind, c, d, layouts, strides, space, suffix="", operation="") -> str:
    """PTX: D = A B + C, the matrices in global memory or copied to shared memory first."""
    text = "m{}n{}k{}".format(*shape)
    kinds = {"a": kind, "b": kind, "c": c, "d": d}
    types = f"{d}.{c}" if kind == "f16" else f"{d}.{kind}.{kind}.{c}"
    named = "" if space == "generic" else f".{space}"
    lines = [declared(name, shape, kinds[name]) for name in "abcd"]
    for index, name in enumerate("abcd"):
        lines.append(f"  ld.param.u64 %{name}at, [{name}];")
        if space != "global":
            lines += [
                f"  mov.u64 %q, tile; add.u64 %q, %q, {index * ROOM};", "  mov.u32 %i, %tid.x;",
                f"$copy{index}:", "  mul.wide.u32 %o, %i, 4; add.u64 %s, %q, %o;",
                f"  add.u64 %o, %{name}at, %o; ld.global.b32 %v, [%o]; st.shared.b32 [%s], %v;",
                f"  add.u32 %i, %i, 32; setp.lt.u32 %p, %i, {ROOM // 4}; @%p bra $copy{index};",
                f"  mov.u64 %{name}to, %{name}at; mov.u64 %{name}at, %q;",
            ]  # fmt: skip
            if space == "generic":
                lines.append(f"  cvta.shared.u64 %{name}at, %{name}at;")
    lines.append("  bar.sync 0;")
    for name, layout in zip("abc", layouts, strict=False):
        place = f"{fragment(name, shape, kinds[name])}, [%{name}at], {strides[name]}"
        lines.append(
            f"  wmma.load.{name}.sync.aligned.{layout}.{text}{named}.{kinds[name]} {place};"
        )
    operands = ", ".join(fragment(name, shape, kinds[name]) for name in "dabc")
    lines += [
        f"  wmma.mma{operation}.sync.aligned.{layouts[0]}.{layouts[1]}.{text}.{types}{suffix} "
        f"{operands};",
        f"  mov.u32 %i, {strides['d']};",
        f"  wmma.store.d.sync.aligned.{layouts[3]}.{text}{named}.{d} [%dat], "
        f"{fragment('d', shape, d)}, %i;",
        "  bar.sync 0;",
    ]  # fmt: skip
    if space != "global":
        lines += [
            "  mov.u64 %q, tile;", f"  add.u64 %q, %q, {3 * ROOM};", "  mov.u32 %i, %tid.x;",
            "$back:", "  mul.wide.u32 %o, %i, 4; add.u64 %s, %q, %o; ld.shared.b32 %v, [%s];",
            "  add.u64 %o, %dto, %o; st.global.b32 [%o], %v;",
            f"  add.u32 %i, %i, 32; setp.lt.u32 %p, %i, {ROOM // 4}; @%p bra $back;",
        ]  # fmt: skip
    return "\n".join([
        ".version 8.5", ".target sm_90", ".address_size 64",
        ".visible .entry k(.param .u64 a, .param .u64 b, .param .u64 c, .param .u64 d)", "{",
        f"  .shared .align 128 .b8 tile[{4 * ROOM}];" if space != "global" else "",
        "  .reg .b64 %q, %o, %s, %aat, %bat, %cat, %dat, %ato, %bto, %cto, %dto;",
        "  .reg .b32 %i, %v; .reg .pred %p;", *lines, "  ret;", "}",
    ])  # fmt: skip


def run(card, shape, kind, c, d, layouts, space, matrices, suffix="", operation=""):
    """D, from matrices laid out with room between their rows."""
    m, n, k = shape
    kinds = {"a": kind, "b": kind, "c": c, "d": d}
    sizes = {"a": (m, k), "b": (k, n), "c": (m, n), "d": (m, n)}
    strides = {}
    for name, layout in zip("abcd", layouts, strict=True):
        tight = sizes[name][1 if layout == "row" else 0]
        strides[name] = tight + 128 // BITS[kinds[name]]
    arrays = []
    for name, matrix in zip("abc", matrices, strict=True):
        raw = in_memory(matrix, kinds[name], layouts["abc".index(name)], strides[name])
        arrays.append(np.concatenate([raw, np.zeros(ROOM - raw.size, dtype=np.uint8)]))
    out = np.full(ROOM, 0xEE, dtype=np.uint8)
    ptx = product(shape, kind, c, d, layouts, strides, space, suffix, operation)
    card.run(ptx, "k", 1, 32, *arrays, out)
    lines = m if layouts[3] == "row" else n
    used = lines * strides["d"] * BITS[d] // 8
    found = from_memory(out[:used], d, layouts[3], strides["d"], (m, n))
    rest = in_memory(np.zeros((m, n)), d, layouts[3], strides["d"])  # what must be left alone
    between = np.flatnonzero(rest == 0xEE)
    assert np.all(out[between] == 0xEE) and np.all(out[used:] == 0xEE)
    return found


def layouts_of(shape, kind: str, c: str, d: str) -> list[tuple[str, str]]:
    """Of A and B: all four for one shape of each width, two for the rest."""
    every = list(itertools.product(("row", "col"), repeat=2))
    if BITS[kind] < 8:
        return [("row", "col")]  # the only one there is
    thorough = shape == (16, 16, 16) and (c, d) in (("f32", "f32"), ("s32", "s32"))
    return every if thorough and kind != "u8" else every[1:3]


def matrices_of(shape, kind, c, random):
    m, n, k = shape
    if kind in ("s8", "u8", "s4", "u4", "b1"):
        bits = BITS[kind]
        low, high = (-(1 << bits - 1), 1 << bits - 1) if kind[0] == "s" else (0, 1 << bits)
        return (random.integers(low, high, (m, k)), random.integers(low, high, (k, n)),
                random.integers(-1000, 1000, (m, n)))  # fmt: skip
    return tuple(numbers(random, s, t) for s, t in (((m, k), kind), ((k, n), kind), ((m, n), c)))


@pytest.mark.parametrize(("shape", "kind", "c", "d"), FORMS)
def test_products_in_every_layout_and_space(card, shape, kind, c, d):
    random = np.random.default_rng(sum(shape))
    for turn, (a_layout, b_layout) in enumerate(layouts_of(shape, kind, c, d)):
        c_layout = ("row", "col")[turn % 2]
        d_layout = ("row", "col")[sum(shape) // 8 + turn // 2 & 1]
        space = SPACES[(turn + FORMS.index((shape, kind, c, d))) % 3]
        matrices = matrices_of(shape, kind, c, random)
        operation = ".xor.popc" if kind == "b1" else ""
        got = run(card, shape, kind, c, d, (a_layout, b_layout, c_layout, d_layout), space,
                  matrices, operation=operation)  # fmt: skip
        x, y, z = (np.asarray(v).astype(np.float64) for v in matrices)
        if kind == "b1":
            expected = (x[:, :, None] != y[None]).sum(axis=1) + z
        else:
            expected = x @ y + z
        limit = 0 if d == "s32" else bound(x, y, z, expected, d)
        assert np.all(np.abs(got.astype(np.float64) - expected) <= limit), (
            a_layout,
            b_layout,
            space,
        )


@pytest.mark.parametrize(("shape", "kind", "c"), sorted({form[:3] for form in FORMS}))
def test_fragments_hold_what_the_hardware_s_do(card, shape, kind, c):
    """Programs may not rely on it, but do; it does not depend on the layout in memory."""
    m, n, k = shape
    sizes = {"a": (m, k), "b": (k, n), "c": (m, n)}
    kinds = {"a": kind, "b": kind, "c": c}
    text = "m{}n{}k{}".format(*shape)
    fast = {"a": "row", "b": "col", "c": "row"}
    loads = [(name, layout) for name in "abc" for layout in ("row", "col")
             if BITS[kinds[name]] >= 8 or layout == fast[name]]  # fmt: skip
    lines, matrices, arrays, outs = [], [], [], []
    for index, (name, layout) in enumerate(loads):
        role, size = kinds[name], 8 if kinds[name] == "f64" else 4
        count = registers_of(name, shape, role)
        names = [f"%x{index}_{i}" for i in range(count)]
        lines += [
            f"  .reg .b{8 * size} {', '.join(names)};", f"  ld.param.u64 %p, [in{index}];",
            f"  wmma.load.{name}.sync.aligned.{layout}.{text}.global.{role} "
            f"{{{', '.join(names)}}}, [%p];",
            f"  ld.param.u64 %p, [out{index}]; mad.wide.u32 %p, %t, {size}, %p;",
            *(f"  st.global.b{8 * size} [%p+{32 * size * i}], {x};" for i, x in enumerate(names)),
        ]  # fmt: skip
        random = np.random.default_rng(index)
        if BITS[role] < 8:
            matrix = random.integers(0, 1 << BITS[role], sizes[name])
        else:  # each element another
            matrix = np.arange(np.prod(sizes[name])).reshape(sizes[name])
            matrix = matrix % 128 if BITS[role] == 8 else matrix
        matrices.append(matrix)
        tight = sizes[name][1 if layout == "row" else 0]  # the stride that none given means
        arrays.append(in_memory(matrix, role, layout, tight))
        outs.append(np.zeros((count, 32), dtype=np.uint64 if size == 8 else np.uint32))
    names = [f".param .u64 {way}{i}" for way in ("in", "out") for i in range(len(loads))]
    card.run("\n".join([
        ".version 8.5", ".target sm_90", ".address_size 64",
        f".visible .entry k({', '.join(names)})",
        "{", "  .reg .b64 %p; .reg .b32 %t; mov.u32 %t, %tid.x;", *lines, "  ret;", "}",
    ]), "k", 1, 32, *arrays, *outs)  # fmt: skip
    for (name, _), matrix, out in zip(loads, matrices, outs, strict=True):
        role = kinds[name]
        count, place = wmma_places(name, shape, role)
        raw = patterns(matrix, role)
        per = max(32 // BITS[role], 1)
        for lane in range(32):
            for register in range(out.shape[0]):  # f16 fragments repeat their first registers
                for element in range(per):
                    i = (register * per + element) % count
                    bits = int(out[register, lane]) >> element * BITS[role]
                    found = bits & ((1 << BITS[role]) - 1)
                    assert found == raw[place(lane >> 2, lane % 4, i)], (name, lane, register)


def test_whole_sums_clamp_when_asked(card):
    shape, layouts = (16, 16, 16), ("row", "col", "row", "row")
    x, y = np.full((16, 16), -128), np.full((16, 16), -128)
    z = np.full((16, 16), 2**31 - 1)
    z[0] = -(2**31)
    exact = x @ y + z
    got = run(card, shape, "s8", "s32", "s32", layouts, "global", (x, y, z), ".satfinite")
    assert np.array_equal(got, np.clip(exact, -(2**31), 2**31 - 1))
    got = run(card, shape, "s8", "s32", "s32", layouts, "global", (x, y, z))
    assert np.array_equal(got, exact.astype(np.uint64).astype(np.uint32).view(np.int32))


def test_bits_may_be_anded(card):
    shape, layouts = (8, 8, 128), ("row", "col", "row", "row")
    x, y, z = matrices_of(shape, "b1", "s32", np.random.default_rng(1))
    got = run(card, shape, "b1", "s32", "s32", layouts, "shared", (x, y, z), "", ".and.popc")
    assert np.array_equal(got, x @ y + z)


PRODUCTS = r"""
#include <mma.h>
#include <cuda_fp16.h>
using namespace nvcuda;
// D = relu(A B), one warp for each 16 x 16 tile, A and B by way of shared memory
extern "C" __global__ void with_wmma(const half* a, const half* b, float* d, int n, int k) {
  __shared__ half tile_a[16 * 24], tile_b[16 * 24];
  int row = blockIdx.y * 16, col = blockIdx.x * 16;
  wmma::fragment<wmma::matrix_a, 16, 16, 16, half, wmma::row_major> fa;
  wmma::fragment<wmma::matrix_b, 16, 16, 16, half, wmma::row_major> fb;
  wmma::fragment<wmma::accumulator, 16, 16, 16, float> sums;
  wmma::fill_fragment(sums, 0.0f);
  for (int start = 0; start < k; start += 16) {
    for (int i = threadIdx.x; i < 256; i += 32) {
      tile_a[i / 16 * 24 + i % 16] = a[(row + i / 16) * k + start + i % 16];
      tile_b[i / 16 * 24 + i % 16] = b[(start + i / 16) * n + col + i % 16];
    }
    __syncthreads();
    wmma::load_matrix_sync(fa, tile_a, 24);
    wmma::load_matrix_sync(fb, tile_b, 24);
    wmma::mma_sync(sums, fa, fb, sums);
    __syncthreads();
  }
  for (int i = 0; i < sums.num_elements; i++) sums.x[i] = fmaxf(sums.x[i], 0.0f);
  wmma::store_matrix_sync(d + row * n + col, sums, n, wmma::mem_row_major);
}
// The same with ldmatrix and mma: a block of 4 warps makes 32 x 32, each warp 16 x 16
extern "C" __global__ void with_mma(const half* a, const half* b, float* d, int n, int k) {
  __shared__ __align__(16) half tile_a[32][40], tile_b[32][40];
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  int row = warp / 2 * 16, col = warp % 2 * 16;
  float sums[2][4] = {};
  for (int start = 0; start < k; start += 32) {
    for (int i = threadIdx.x; i < 1024; i += 128) {
      tile_a[i / 32][i % 32] = a[(blockIdx.y * 32 + i / 32) * k + start + i % 32];
      tile_b[i / 32][i % 32] = b[(start + i / 32) * n + blockIdx.x * 32 + i % 32];
    }
    __syncthreads();
    for (int step = 0; step < 32; step += 16) {
      unsigned fa[4], fb[4];
      unsigned from = __cvta_generic_to_shared(&tile_a[row + lane % 16][step + lane / 16 * 8]);
      asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                   : "=r"(fa[0]), "=r"(fa[1]), "=r"(fa[2]), "=r"(fa[3]) : "r"(from));
      from = __cvta_generic_to_shared(&tile_b[step + lane % 16][col + lane / 16 * 8]);
      asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                   : "=r"(fb[0]), "=r"(fb[1]), "=r"(fb[2]), "=r"(fb[3]) : "r"(from));
      for (int j = 0; j < 2; j++)
        asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, "
                     "{%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                     : "+f"(sums[j][0]), "+f"(sums[j][1]), "+f"(sums[j][2]), "+f"(sums[j][3])
                     : "r"(fa[0]), "r"(fa[1]), "r"(fa[2]), "r"(fa[3]), "r"(fb[2 * j]),
                       "r"(fb[2 * j + 1]));
    }
    __syncthreads();
  }
  for (int j = 0; j < 2; j++)
    for (int i = 0; i < 4; i++) {
      int r = blockIdx.y * 32 + row + lane / 4 + i / 2 * 8;
      int c = blockIdx.x * 32 + col + j * 8 + lane % 4 * 2 + i % 2;
      d[r * n + c] = fmaxf(sums[j][i], 0.0f);
    }
}
extern "C" __global__ void part_of_a_warp(const half* a, float* d) {
  wmma::fragment<wmma::accumulator, 16, 16, 16, float> sums;
  if (threadIdx.x != 3) wmma::load_matrix_sync(sums, d, 16, wmma::mem_row_major);
}
"""


KERNELS = [("with_wmma", 16, 32), ("with_mma", 32, 128)]


@pytest.mark.parametrize(("name", "tile", "threads"), KERNELS)
def test_whole_products_with_tensor_cores(card, name, tile, threads):
    random = np.random.default_rng(4)
    m, n, k = 64, 96, 64
    a, b = numbers(random, (m, k), "f16"), numbers(random, (k, n), "f16")
    d = np.full((m, n), np.nan, dtype=np.float32)
    card.run(PRODUCTS, name, (n // tile, m // tile), threads, a, b, d, np.int32(n), np.int32(k))
    x, y = a.astype(np.float64), b.astype(np.float64)
    expected = np.maximum(x @ y, 0)
    assert np.all(np.abs(d - expected) <= bound(x, y, 0, expected, "f32"))


def test_a_tile_past_the_end_names_the_line(card):
    a, b = np.zeros((16, 16), dtype=np.float16), np.zeros((16, 16), dtype=np.float16)
    d = np.zeros((15, 16), dtype=np.float32)
    with pytest.raises(DeviceFault, match=r"out-of-bounds write.*kernel.cu.*past the end"):
        card.run(PRODUCTS, "with_wmma", 1, 32, a, b, d, np.int32(16), np.int32(16))


def test_a_part_of_a_warp_cannot_load_a_fragment(card):
    a, d = np.zeros((16, 16), dtype=np.float16), np.zeros((16, 16), dtype=np.float32)
    with pytest.raises(DeviceFault, match=r"divergent warp.*wmma.load.*lane 3 is not here"):
        card.run(PRODUCTS, "part_of_a_warp", 1, 32, a, d)


COUNTED = r"""
#include <mma.h>
using namespace nvcuda;
template <class A, class B>
__device__ void move(const half* memory, float* d) {
  __shared__ __align__(32) half tile[512];
  for (int i = threadIdx.x; i < 512; i += 32) tile[i] = memory[i];
  __syncwarp();
  wmma::fragment<wmma::matrix_a, 16, 16, 16, half, A> a;
  wmma::fragment<wmma::matrix_b, 16, 16, 16, half, B> b;
  wmma::fragment<wmma::accumulator, 16, 16, 16, float> sums;
  wmma::fill_fragment(sums, 0.0f);
  wmma::load_matrix_sync(a, memory, 16);
  wmma::load_matrix_sync(b, tile, 16);
  wmma::mma_sync(sums, a, b, sums);
  wmma::store_matrix_sync(d, sums, 16, wmma::mem_row_major);
  wmma::store_matrix_sync(d + 256, sums, 16, wmma::mem_col_major);
}
extern "C" __global__ void moves(const half* memory, float* d) {
  move<wmma::row_major, wmma::row_major>(memory, d);
}
"""


def test_counters_are_of_the_accesses_that_machine_code_has(card):
    """ptxas -arch=sm_90: LDG x 4, LDSM.MT88.4, HMMA x 2, STG.64 x 4, STG x 8."""
    memory, d = np.zeros(512, dtype=np.float16), np.zeros(512, dtype=np.float32)
    found = card.run(COUNTED, "moves", 1, 32, memory, d, counters=True).counters
    assert found["smsp__inst_executed_op_global_ld.sum"] == 16 + 4
    assert found["smsp__inst_executed_op_ldsm.sum"] == 1
    assert found["smsp__inst_executed_op_global_st.sum"] == 4 + 8
    assert found["l1tex__t_requests_pipe_lsu_mem_global_op_st.sum"] == 4 + 8


def checked(source: str, name: str, tile: int, threads: int):
    """What every check says of a product of 32 x 32 x 64."""
    device = EmulatedDevice()
    random = np.random.default_rng(6)
    a, b = numbers(random, (32, 64), "f16"), numbers(random, (64, 32), "f16")
    arrays = [device.asarray(a), device.asarray(b), device.empty((32, 32), np.float32)]
    kernel = cuda_program(source)[name]
    launch = (32 // tile, 32 // tile), threads, (*arrays, np.int32(32), np.int32(64))
    return device.profile(kernel, *launch, checks="all").findings


@pytest.mark.parametrize(("name", "tile", "threads"), KERNELS)
def test_correct_products_are_left_in_peace(name, tile, threads):
    assert checked(PRODUCTS, name, tile, threads) == ()


def test_a_missing_barrier_before_ldmatrix_is_a_race():
    lines = PRODUCTS.split("\n")
    starts = next(i for i, line in enumerate(lines) if "with_mma" in line)
    barrier = next(i for i in range(starts, len(lines)) if "__syncthreads" in lines[i])
    lines[barrier] = ""
    found = checked("\n".join(lines), "with_mma", 32, 128)
    findings = [f for f in found if (f.check, f.severity) == ("racecheck", "error")]
    assert any("ldmatrix" in side.source_text for f in findings for side in f.sides)
