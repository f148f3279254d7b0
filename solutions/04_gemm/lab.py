"""Lab 04: how each task is judged. Never part of ``labs/``."""

from __future__ import annotations

import numpy as np

from grader.lab import Argument, Array, Case, Expected, Lab, Limit, Task
from kernels.runtime import ArraySpec

FLOAT, HALF = "float32", "float16"
HALF_UNIT = 2.0**-24  # the largest relative error of one rounding to float32
GPU_ALONE = ("cuda",)


def size_case(m: int, n: int, k: int, looks_for: str = "", **more: object) -> Case:
    """m x n results of k terms."""
    sizes = {"m": m, "n": n, "k": k}
    return Case(f"m={m} n={n} k={k}", sizes, looks_for, **more)  # type: ignore[arg-type]


def odd_sizes(rng: np.random.Generator, looks_for: str) -> tuple[Case, ...]:
    """Sizes that nobody has seen: below a tile, several, tall and wide."""

    def some(low: int, high: int) -> int:
        return int(rng.integers(low, high))

    return (
        size_case(some(2, 15), some(2, 15), some(2, 15), "less than one tile", hidden=True),
        size_case(some(65, 130), some(65, 130), some(33, 70), "tiles that are not full",
                  hidden=True),
        size_case(some(1, 4), some(130, 200), some(33, 70), "a wide result", hidden=True),
        size_case(some(130, 200), some(1, 4), some(33, 70), "a tall result", hidden=True),
        size_case(64 * some(2, 4), 64 * some(2, 4), 32 * some(3, 6), looks_for, hidden=True,
                  counted=True),
    )  # fmt: skip


# --- squared_distances --------------------------------------------------------------------------


def distances_arguments(case: Case) -> tuple[Argument, ...]:
    """x (m, k), y (n, k) float32."""
    return (
        ArraySpec("x", (case["m"], case["k"]), FLOAT),
        ArraySpec("y", (case["n"], case["k"]), FLOAT),
    )


def distances_inputs(case: Case, rng: np.random.Generator) -> tuple[Array, ...]:
    """Points round the origin."""
    shapes = ((case["m"], case["k"]), (case["n"], case["k"]))
    return tuple(rng.standard_normal(shape, dtype=np.float32) for shape in shapes)


def distances_reference(case: Case, x: Array, y: Array) -> tuple[Expected, ...]:
    """Sums of squares: all terms are positive, so the error bound is relative."""
    apart = x.astype(np.float64)[:, None, :] - y.astype(np.float64)[None, :, :]
    values = np.square(apart).sum(axis=2)
    return (Expected(values, FLOAT, (case["k"] + 4) * HALF_UNIT * values),)


SQUARED_DISTANCES = Task(
    name="squared_distances",
    title="A tile in shared memory",
    goal="Squared distances of all pairs of points, from tiles in shared memory.",
    public=(
        size_case(64, 96, 32, "whole tiles"),
        size_case(70, 45, 33, "tiles that are not full, in every direction"),
        size_case(1, 1, 1, "a single pair"),
        size_case(1, 100, 7, "a single point of x"),
        size_case(5, 3, 0, "no coordinates: all distances are 0"),
        size_case(0, 5, 3, "nothing to do"),
        size_case(128, 160, 64, "what it costs", counted=True),
        size_case(4096, 4096, 128, "time on a GPU", devices=GPU_ALONE),
    ),
    draw_hidden=lambda rng: odd_sizes(rng, "what it costs"),
    arguments=distances_arguments,
    make_inputs=distances_inputs,
    reference=distances_reference,
    tolerance=(
        "k + 4 roundings of float32 (2^-24 each) of the distance: one a term and a few more, and "
        "far less than half precision."
    ),
    limits=(
        Limit(
            "load_sectors", 1.25, 64,
            "Each coordinate is fetched again by every thread that needs it, or by threads that "
            "lie a whole point apart. Let a block fetch TILE coordinates of its points once, "
            "thread (y, x) coordinate x of point y, and take them from shared memory.",
        ),
        Limit("store_sectors", 1.25, 64, "Neighbouring threads should write neighbouring pairs."),
        Limit(
            "shared_wavefronts", 1.25, 1024,
            "The 32 lanes of a warp have 32 different points of y, and want the same coordinate of "
            "each. If a row of the tile is 32 floats, all of those lie in one bank. One float more "
            "a row, or another order within it, spreads them over all banks.",
        ),
        Limit(
            "instructions", 1.6, 4096,
            "Much more is executed than a subtraction and a multiply-add a term. Are there guards "
            "in the innermost loop that zeros in the tile would make unnecessary?",
        ),
    ),
    hints=(
        "A block computes 32 x 32 pairs, and needs 32 points of each set for it: 64 numbers for "
        "each coordinate, where its threads now fetch 2048. Which thread could fetch which?",
        "For each 32 coordinates: fetch x_tile[y][x] and y_tile[y][x] (both along rows of the "
        "inputs, so that lanes read neighbours), wait, add up 32 terms, wait again. Put zeros "
        "where there is no point or no coordinate: they add (0 - 0)^2.",
        "__shared__ float x_tile[TILE][TILE], y_tile[TILE][TILE + 1]; the sum takes "
        "x_tile[threadIdx.y][c] - y_tile[threadIdx.x][c]. The row of y that a thread fetches is "
        "blockIdx.x * TILE + threadIdx.y, not its own j.",
    ),
    moved_bytes=lambda case: 4 * (
        case["m"] * case["k"] + case["n"] * case["k"] + case["m"] * case["n"]
    ),
    lessons={
        "out-of-bounds read": (
            "The last tiles have fewer points, or fewer coordinates: fetch only what is there, "
            "and put zeros in place of the rest."
        ),
    },
)  # fmt: skip

# --- dense_layer --------------------------------------------------------------------------------


def dense_arguments(case: Case) -> tuple[Argument, ...]:
    """x (m, k), w (k, n), bias (n,) float32."""
    return (
        ArraySpec("x", (case["m"], case["k"]), FLOAT),
        ArraySpec("w", (case["k"], case["n"]), FLOAT),
        ArraySpec("bias", (case["n"],), FLOAT),
    )


def dense_inputs(case: Case, rng: np.random.Generator) -> tuple[Array, ...]:
    """Numbers of either sign."""
    shapes = ((case["m"], case["k"]), (case["k"], case["n"]), (case["n"],))
    return tuple(rng.standard_normal(shape, dtype=np.float32) for shape in shapes)


def layer(x: Array, w: Array, bias: Array, unit: float) -> tuple[Array, Array]:
    """max(x w + bias, 0) in float64, and how far k + 4 errors of ``unit`` may take it."""
    wide_x, wide_w, wide_bias = (one.astype(np.float64) for one in (x, w, bias))
    magnitude = np.abs(wide_x) @ np.abs(wide_w) + np.abs(wide_bias)
    values = np.maximum(wide_x @ wide_w + wide_bias, 0.0)
    return values, (x.shape[1] + 4) * unit * magnitude + 2.0**-126


def dense_reference(_: Case, x: Array, w: Array, bias: Array) -> tuple[Expected, ...]:
    """The layer, with an error bound for sums in any order."""
    values, tolerance = layer(x, w, bias, HALF_UNIT)
    return (Expected(values, FLOAT, tolerance),)


DENSE_LAYER = Task(
    name="dense_layer",
    title="A tile in registers",
    goal="max(x w + bias, 0) with 4 x 4 sums a thread, so that shared memory keeps up.",
    public=(
        size_case(128, 64, 48, "whole tiles"),
        size_case(100, 70, 33, "tiles that are not full, in every direction"),
        size_case(1, 1, 1, "a single element"),
        size_case(200, 3, 20, "fewer columns than a tile"),
        size_case(5, 3, 0, "an empty sum: the bias alone"),
        size_case(0, 5, 3, "nothing to do"),
        size_case(128, 192, 64, "what it costs", counted=True),
        size_case(4096, 4096, 1024, "time on a GPU", devices=GPU_ALONE),
    ),
    draw_hidden=lambda rng: odd_sizes(rng, "what it costs"),
    arguments=dense_arguments,
    make_inputs=dense_inputs,
    reference=dense_reference,
    tolerance=(
        "k + 4 roundings of float32 (2^-24 each) of the sum of all terms' magnitudes: right for "
        "every order of summation, and far less than half precision."
    ),
    limits=(
        Limit(
            "shared_wavefronts", 1.5, 1024,
            "A thread that has one sum reads two floats for each multiply-add; one that has 4 x 4 "
            "reads 8 floats for 16 multiply-adds, because each serves four sums.",
        ),
        Limit(
            "load_sectors", 1.25, 256,
            "A larger tile fetches each number fewer times: a tile of 64 x 64 needs a quarter of "
            "what four times four tiles of 16 x 16 need.",
        ),
        Limit(
            "store_sectors", 1.25, 64,
            "Neighbouring threads should write neighbouring elements: give a thread columns that "
            "are 16 apart, or write its neighbours as a float4.",
        ),
        Limit(
            "instructions", 1.5, 4096,
            "The multiply-adds should be most of what is executed. Are all of a thread's 8 floats "
            "in registers before its 16 multiply-adds?",
        ),
    ),
    hints=(
        "If a thread had 4 sums of one row, it would need one float of x for all four. With 4 rows "
        "and 4 columns, each of 8 floats serves four sums. How large is the block's tile then?",
        "float sum[4][4]; thread (down, across) takes rows down, down + 16, down + 32, down + 48 "
        "and columns across, across + 16, ...: lanes still read and write neighbours. fetch() "
        "works for any TILE; TILE in the Python file has to be the same.",
        "For each c of the slice: float from_x[4], from_w[4]; from_x[r] = x_tile[down + 16 * r]"
        "[c], from_w[s] = w_tile[c][across + 16 * s], then sum[r][s] += from_x[r] * from_w[s] for "
        "all r and s. At the end, check row < m and col < n for each element.",
    ),
    moved_bytes=lambda case: 4 * (
        case["m"] * case["k"] + case["k"] * case["n"] + case["n"] + case["m"] * case["n"]
    ),
    lessons={
        "rows-tail": "Rows are missing: is TILE in dense_layer.py what a block handles?",
        "columns-tail": "Columns are missing: is TILE in dense_layer.py what a block handles?",
    },
)  # fmt: skip

# --- tensor_layer -------------------------------------------------------------------------------

TENSOR_UNIT = 2.0**-23  # tensor cores cut sums off where others round


def tensor_arguments(case: Case) -> tuple[Argument, ...]:
    """x (m, k), w (k, n) float16, bias (n,), residual (m, n) float32."""
    return (
        ArraySpec("x", (case["m"], case["k"]), HALF),
        ArraySpec("w", (case["k"], case["n"]), HALF),
        ArraySpec("bias", (case["n"],), FLOAT),
        ArraySpec("residual", (case["m"], case["n"]), FLOAT),
    )


def tensor_inputs(case: Case, rng: np.random.Generator) -> tuple[Array, ...]:
    """Numbers of either sign."""
    x, w, bias = dense_inputs(case, rng)
    residual = rng.standard_normal((case["m"], case["n"]), dtype=np.float32)
    return x.astype(np.float16), w.astype(np.float16), bias, residual


def tensor_reference(
    _: Case, x: Array, w: Array, bias: Array, residual: Array
) -> tuple[Expected, ...]:
    """The layer and what is added to it. Products of halves are exact in float32."""
    values, tolerance = layer(x, w, bias, TENSOR_UNIT)
    values = values + residual.astype(np.float64)
    tolerance = tolerance + 2 * HALF_UNIT * (np.abs(values) + np.abs(residual))
    return (Expected(values, FLOAT, tolerance),)


def tensor_hidden(rng: np.random.Generator) -> tuple[Case, ...]:
    """Sizes that nobody has seen, all of them of whole tiles."""
    return (
        size_case(64, 64 * int(rng.integers(2, 5)), 32 * int(rng.integers(2, 5)), "a wide result",
                  hidden=True),
        size_case(64 * int(rng.integers(2, 5)), 64, 32 * int(rng.integers(2, 5)), "a tall result",
                  hidden=True),
        size_case(128, 64 * int(rng.integers(2, 4)), 32 * int(rng.integers(5, 9)), "what it costs",
                  hidden=True, counted=True),
    )  # fmt: skip


TENSOR_LAYER = Task(
    name="tensor_layer",
    title="Tensor cores and a fused epilogue",
    goal="max(x w + bias, 0) + residual of halves, by mma.sync, in one launch.",
    public=(
        size_case(64, 64, 32, "a single tile"),
        size_case(64, 128, 96, "several tiles and slices"),
        size_case(192, 64, 64, "more rows than columns"),
        size_case(128, 128, 128, "what it costs", counted=True),
        size_case(4096, 4096, 4096, "time on a GPU", devices=GPU_ALONE),
    ),
    draw_hidden=tensor_hidden,
    arguments=tensor_arguments,
    make_inputs=tensor_inputs,
    reference=tensor_reference,
    tolerance=(
        "k + 4 units of float32 (2^-23 each: tensor cores cut off where others round) of the sum "
        "of all terms' magnitudes. Sums in half precision are far beyond it."
    ),
    limits=(
        Limit(
            "instructions", 4.0, 4096,
            "An mma of a warp does 2048 multiply-adds; an ordinary instruction of a warp does 32. "
            "The multiply-adds should be multiply_add() on fragments from load_matrices() and "
            "load_transposed().",
        ),
        Limit(
            "sectors", 1.15, 256,
            "The sums are written, read again and written again. Add the bias, cut off below 0 and "
            "add the residual while a thread still has the sums in its registers.",
        ),
        Limit(
            "shared_wavefronts", 1.2, 512,
            "ldmatrix reads 8 rows of 16 bytes at a time. Rows of x's tile are 64 bytes and rows "
            "of w's 128, so that unswizzled they begin in the same few banks. Let x_place() and "
            "w_place() put a row's chunks in an order that depends on the row.",
        ),
    ),
    hints=(
        "A warp's 32 x 32 are 2 x 4 pieces of 16 x 8. For each 16 of k it needs 2 fragments of x "
        "(16 x 16 each, one load_matrices) and 2 of w that serve two pieces each (16 x 16, one "
        "load_transposed).",
        "For x, lane l names row l % 16, chunk l / 16 of a 16 x 16: then the quarters come in the "
        "order that multiply_add wants. For w, the same: row c + l % 16, and chunk l / 16; out[0] "
        "and out[1] are the upper and lower 8 x 8 of the left 8 columns, out[2] and out[3] of the "
        "right. As to banks: chunk ^ row % 8 for rows of 8 chunks; for rows of 4, two of which "
        "fill the banks, chunk ^ row / 2 % 4.",
        "load_matrices(from_x[r], &x_tile[x_place(warp_row + 16 * r + lane % 16, c / 8 + lane / "
        "16)]); load_transposed(from_w[s], &w_tile[w_place(c + lane % 16, warp_col / 8 + 2 * s + "
        "lane / 16)]); multiply_add(sum[r][s], from_x[r], from_w[s / 2][s % 2 * 2], from_w[s / 2]"
        "[s % 2 * 2 + 1]). sum[r][s][e] belongs to row 16 r + lane / 4 + e / 2 * 8 and column 8 s "
        "+ lane % 4 * 2 + e % 2 of the warp's.",
    ),
    moved_bytes=lambda case: (
        2 * (case["m"] * case["k"] + case["k"] * case["n"])
        + 4 * (2 * case["m"] * case["n"] + case["n"])
    ),
    lessons={
        "permuted": (
            "Sums are stored where others belong: which rows and columns of a 16 x 8 does lane l "
            "have? The comment of multiply_add() says."
        ),
    },
)  # fmt: skip

LAB = Lab("04_gemm", "Matrix multiplication", (SQUARED_DISTANCES, DENSE_LAYER, TENSOR_LAYER))
