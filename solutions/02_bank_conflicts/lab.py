"""Lab 02: how each task is judged. Never part of ``labs/``."""

from __future__ import annotations

import numpy as np

from grader.lab import Argument, Array, Case, Expected, Lab, Limit, Task
from kernels.runtime import ArraySpec

HALF_UNIT = 2.0**-24  # the largest relative error of one rounding to float32
GPU_ALONE = ("cuda",)

# --- transpose_doubles --------------------------------------------------------------------------


def matrix_case(rows: int, cols: int, looks_for: str = "", **more: object) -> Case:
    """A matrix of ``rows`` x ``cols``."""
    sizes = {"rows": rows, "cols": cols}
    return Case(f"{rows} x {cols}", sizes, looks_for, **more)  # type: ignore[arg-type]


def transpose_arguments(case: Case) -> tuple[Argument, ...]:
    """x (rows, cols) float64."""
    return (ArraySpec("x", (case["rows"], case["cols"]), "float64"),)


def transpose_inputs(case: Case, rng: np.random.Generator) -> tuple[Array, ...]:
    """Every element is different."""
    return (rng.standard_normal((case["rows"], case["cols"])),)


def transpose_reference(_: Case, x: Array) -> tuple[Expected, ...]:
    """Rows as columns: exact."""
    return (Expected(x.T.copy(), "float64", 0.0),)


def transpose_hidden(rng: np.random.Generator) -> tuple[Case, ...]:
    """Sizes that nobody has seen: below a tile, several, tall and wide."""
    odd = [int(size) for size in rng.integers(33, 200, 4)]
    return (
        matrix_case(int(rng.integers(2, 31)), int(rng.integers(2, 31)), "less than one tile",
                    hidden=True),
        matrix_case(odd[0], odd[1], "tiles at the edges that are not full", hidden=True),
        matrix_case(odd[2] + 200, int(rng.integers(1, 5)), "a tall matrix", hidden=True),
        matrix_case(int(rng.integers(1, 5)), odd[3] + 200, "a wide matrix", hidden=True),
        matrix_case(32 * int(rng.integers(6, 9)), 32 * int(rng.integers(6, 9)), "what it costs",
                    hidden=True, counted=True),
    )  # fmt: skip


TRANSPOSE_DOUBLES = Task(
    name="transpose_doubles",
    title="Swizzle a transpose",
    goal="A transpose of doubles whose tile conflicts neither by rows nor by columns, unpadded.",
    public=(
        matrix_case(64, 96, "whole tiles"),
        matrix_case(100, 70, "tiles at the edges that are not full"),
        matrix_case(1, 1, "a single element"),
        matrix_case(1, 1000, "a single row"),
        matrix_case(0, 5, "nothing to do"),
        matrix_case(256, 192, "what it costs", counted=True),
        matrix_case(8192, 8192, "time on a GPU", devices=GPU_ALONE),
    ),
    draw_hidden=transpose_hidden,
    arguments=transpose_arguments,
    make_inputs=transpose_inputs,
    reference=transpose_reference,
    tolerance="none: a transpose is exact.",
    limits=(
        Limit(
            "shared_bytes", 1.0, 0,
            "A block may have the tile's 8192 bytes and no more. Padding avoids conflicts by "
            "wasting memory; a swizzle avoids them by where each double of a row is kept: row y "
            "keeps its columns in another order than row y + 1.",
        ),
        Limit(
            "shared_wavefronts", 1.1, 64,
            "A double takes two banks, so that 16 of them, half a warp, fill the 32 banks. The 16 "
            "doubles of half a column have to lie in 16 different pairs of banks, and still do so "
            "along a row. Which column of row y is in pair p must depend on y.",
        ),
        Limit(
            "load_sectors", 1.1, 64,
            "Lanes have to go along a row of the input when they read it.",
        ),
        Limit(
            "store_sectors", 1.1, 64,
            "Lanes have to go along a row of the output when they write it: that is what the tile "
            "in shared memory is for.",
        ),
        Limit(
            "instructions", 2.0, 1024,
            "Much more is executed than one place a double needs. A swizzle is one or two "
            "operations on y and x.",
        ),
    ),
    hints=(
        "Down a column, y changes and x does not. What has to happen to x, depending on y, so that "
        "each row has column x in another pair of banks?",
        "The place has to be a different one for each x of a row, or doubles overwrite each other. "
        "An xor with a number that depends on y alone only changes the order of a row.",
        "y * TILE + (x ^ y): for a fixed y, and for a fixed x, x ^ y takes all values from 0 to "
        "31.",
    ),
    moved_bytes=lambda case: 2 * case["rows"] * case["cols"] * 8,
    lessons={
        "out-of-bounds write of shared memory": (
            "place() returns a number beyond the tile's 1024 doubles. Within a row, the column "
            "must stay between 0 and 31."
        ),
        "out-of-bounds read of shared memory": (
            "place() returns a number beyond the tile's 1024 doubles. Within a row, the column "
            "must stay between 0 and 31."
        ),
    },
)  # fmt: skip

# --- channel_scales -----------------------------------------------------------------------------


def scales_arguments(case: Case) -> tuple[Argument, ...]:
    """x (rows, cols) float32."""
    return (ArraySpec("x", (case["rows"], case["cols"]), "float32"),)


def scales_inputs(case: Case, rng: np.random.Generator) -> tuple[Array, ...]:
    """Columns of very different sizes; the largest magnitude is often negative."""
    x = rng.standard_normal((case["rows"], case["cols"]), dtype=np.float32)
    return (np.ldexp(x, rng.integers(-10, 10, case["cols"])[None, :]).astype(np.float32),)


def scales_reference(case: Case, x: Array) -> tuple[Expected, ...]:
    """Largest magnitudes over 127: the maximum is exact, the division rounds once."""
    largest = np.abs(x.astype(np.float64)).max(axis=0, initial=0.0)
    scales = largest / 127
    return (Expected(scales, "float32", 2 * HALF_UNIT * scales + 2.0**-149),)


def scales_hidden(rng: np.random.Generator) -> tuple[Case, ...]:
    """Fewer rows than warps, columns that fill no warp, and many of both."""
    return (
        matrix_case(int(rng.integers(2, 31)), int(rng.integers(2, 31)), "less than one block",
                    hidden=True),
        matrix_case(int(rng.integers(33, 90)), int(rng.integers(33, 90)),
                    "columns that fill no warp", hidden=True),
        matrix_case(int(rng.integers(500, 900)) | 1, int(rng.integers(100, 200)) | 1,
                    "many of both", hidden=True),
        matrix_case(int(rng.integers(64, 100)), 32 * int(rng.integers(9, 16)), "what it costs",
                    hidden=True, counted=True),
    )  # fmt: skip


CHANNEL_SCALES = Task(
    name="channel_scales",
    title="Reduce columns without conflicts",
    goal="The largest magnitude of every column, handed from warp to warp without conflicts.",
    public=(
        matrix_case(100, 64, "more rows than warps"),
        matrix_case(7, 33, "fewer rows than warps, and one column too many"),
        matrix_case(1, 1, "a single element"),
        matrix_case(1000, 1, "a single column"),
        matrix_case(5, 0, "nothing to do"),
        matrix_case(64, 512, "what it costs", counted=True),
        matrix_case(16_384, 4096, "time on a GPU", devices=GPU_ALONE),
    ),
    draw_hidden=scales_hidden,
    arguments=scales_arguments,
    make_inputs=scales_inputs,
    reference=scales_reference,
    tolerance=(
        "one unit in the last place of float32 (2^-23, relative): the maximum is exact, and the "
        "division by 127 rounds once."
    ),
    limits=(
        Limit(
            "shared_wavefronts", 3.0, 64,
            "32 lanes write, or read, words that lie a multiple of 32 words apart: those are all "
            "in one bank. In a 32 x 32 exchange one side goes along rows and the other down "
            "columns, so exchanging the indices only moves the conflict to the other side. Pad the "
            "rows to 33 words, or swizzle them, or add up row by row.",
        ),
        Limit(
            "load_sectors", 1.25, 64,
            "The reads of global memory were coalesced before: neighbouring lanes should read "
            "neighbouring columns.",
        ),
        Limit(
            "store_sectors", 2.0, 64,
            "Each scale should be written once.",
        ),
        Limit(
            "instructions", 3.0, 1024,
            "Much more is executed than the exchange needs. Does each warp still take every 32nd "
            "row and one column of partial results?",
        ),
    ),
    hints=(
        "Draw partial as 32 rows of 32 words. A row touches 32 banks; a column touches one. Which "
        "lanes write a column now?",
        "Whichever way round you store, one side is a column. Either make rows 33 words long, so "
        "that a column goes through all banks, or keep what belongs to column c of row r at c ^ r.",
        "Write partial[warp * 32 + (lane ^ warp)], then __syncthreads(), then read "
        "partial[lane * 32 + (warp ^ lane)].",
    ),
    moved_bytes=lambda case: (case["rows"] + 1) * case["cols"] * 4,
    lessons={
        "columns": "Whole columns are wrong: does each warp get its own column's partial results?",
        "out-of-bounds write of shared memory": (
            "Rows of 33 words take 32 * 33 words of shared memory: make the array larger, too."
        ),
        "out-of-bounds read of shared memory": (
            "Rows of 33 words take 32 * 33 words of shared memory: make the array larger, too."
        ),
    },
)  # fmt: skip

# --- digit_sums -------------------------------------------------------------------------------

TILE = 4096
DIGITS = 16


def sums_case(n: int, shift: int, looks_for: str = "", **more: object) -> Case:
    """``n`` keys, of which most have the same digit."""
    name = f"n={n}, shift={shift}"
    return Case(name, {"n": n, "shift": shift}, looks_for, **more)  # type: ignore[arg-type]


def sums_arguments(case: Case) -> tuple[Argument, ...]:
    """keys (n,) uint32, weights (n,) uint32, shift."""
    arrays = (ArraySpec(name, (case["n"],), "uint32") for name in ("keys", "weights"))
    return (*arrays, case["shift"])


def sums_inputs(case: Case, rng: np.random.Generator) -> tuple[Array, ...]:
    """Random keys, of which nine of ten have one digit in common, and weights."""
    keys = rng.integers(0, 1 << 32, case["n"], dtype=np.uint32)
    common = np.uint32(rng.integers(0, DIGITS)) << np.uint32(case["shift"])
    others = ~(np.uint32(DIGITS - 1) << np.uint32(case["shift"]))
    weights = rng.integers(0, 1 << 32, case["n"], dtype=np.uint32)
    return np.where(rng.random(case["n"]) < 0.9, keys & others | common, keys), weights


def sums_reference(case: Case, keys: Array, weights: Array) -> tuple[Expected, ...]:
    """Sums by tile, modulo 2**32: exact."""
    tiles = -(-case["n"] // TILE)
    digits = (keys >> np.uint32(case["shift"]) & np.uint32(DIGITS - 1)).astype(np.int64)
    place = np.arange(case["n"]) // TILE * DIGITS + digits
    # float64 holds sums of 4096 weights below 2**32 exactly
    flat = np.bincount(place, weights=weights.astype(np.float64), minlength=tiles * DIGITS)
    return (Expected(np.mod(flat, 2.0**32).reshape(tiles, DIGITS), "uint32", 0.0),)


def sums_hidden(rng: np.random.Generator) -> tuple[Case, ...]:
    """Other lengths and digits."""
    shifts = [int(shift) for shift in rng.integers(0, 29, 4)]
    return (
        sums_case(int(rng.integers(33, 255)), shifts[0], "less than a block", hidden=True),
        sums_case(int(rng.integers(257, 4000)), shifts[1], "less than a tile", hidden=True),
        sums_case(int(rng.integers(9000, 12_000)) | 1, shifts[2], "a last tile that is not full",
                    hidden=True),
        sums_case(TILE * int(rng.integers(5, 9)), shifts[3], "what it costs", hidden=True,
                    counted=True),
    )  # fmt: skip


DIGIT_SUMS = Task(
    name="digit_sums",
    title="A privatised, weighted histogram",
    goal="Weights of 16 digits by tile, in shared sums that no two lanes of a warp share.",
    public=(
        sums_case(8192, 0, "whole tiles"),
        sums_case(5000, 8, "a last tile that is not full"),
        sums_case(1, 28, "a single key"),
        sums_case(0, 4, "nothing to do"),
        sums_case(16_384, 12, "what it costs", counted=True),
        sums_case(1 << 26, 16, "time on a GPU", devices=GPU_ALONE),
    ),
    draw_hidden=sums_hidden,
    arguments=sums_arguments,
    make_inputs=sums_inputs,
    reference=sums_reference,
    tolerance="none: sums modulo 2**32 are exact.",
    limits=(
        Limit(
            "shared_wavefronts", 4.0, 64,
            "Nine of ten keys have the same digit, so that the lanes of a warp add to the same "
            "word, one after the other. Copies for each warp do not help: it is the lanes of one "
            "warp that meet. Give each lane a sum of its own for each digit, and put it where "
            "lane l only ever touches bank l. In the end, too, lanes should read neighbouring "
            "words.",
        ),
        Limit(
            "load_sectors", 1.25, 64,
            "Keys and weights should be read once, neighbouring lanes reading neighbours.",
        ),
        Limit(
            "store_sectors", 3.0, 64,
            "Only the 16 sums of a tile have to be written, once.",
        ),
        Limit(
            "instructions", 4.0, 4096,
            "Much more is executed than one addition a key. Does every thread look at every key, "
            "or at every sum?",
        ),
    ),
    hints=(
        "Which word does lane l add to for digit d? If the word's number modulo 32 is l, whatever "
        "d is, no two lanes of a warp can ever meet.",
        "mine[digit * 32 + lane]: 16 * 32 sums, set to zero first. Other warps of the block "
        "have a lane l, too, so the addition stays atomic.",
        "In the end warp w takes digits w and w + 8: lane l reads mine[digit * 32 + l], neighbours "
        "in 32 banks, and __reduce_add_sync(0xffffffff, ...) adds up what the lanes have read.",
    ),
    moved_bytes=lambda case: case["n"] * 8 + -(-case["n"] // TILE) * DIGITS * 4,
    lessons={
        "out-of-bounds read": (
            "The last tile has fewer keys: take `here` of them, no more."
        ),
    },
)  # fmt: skip

LAB = Lab("02_bank_conflicts", "Bank conflicts", (TRANSPOSE_DOUBLES, CHANNEL_SCALES, DIGIT_SUMS))
