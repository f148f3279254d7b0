"""Lab 03: how each task is judged. Never part of ``labs/``."""

from __future__ import annotations

import numpy as np

from emulator import H100
from grader.lab import Argument, Array, Case, Expected, Lab, Limit, Task
from kernels.ilp_tlp.catalogue import gentle
from kernels.runtime import ArraySpec

FLOAT = "float32"
HALF_UNIT = 2.0**-24  # the largest relative error of one rounding to float32
GPU_ALONE = ("cuda",)
FOUR_WARPS = 128 * H100.sm_count  # threads, an SM's worth on each of an H100's

# --- blend --------------------------------------------------------------------------------------


def blend_case(n: int, looks_for: str = "", **more: object) -> Case:
    """``n`` floats of each array."""
    return Case(f"n={n}", {"n": n, "a": 0.75, "b": -1.5}, looks_for, **more)  # type: ignore[arg-type]


def blend_arguments(case: Case) -> tuple[Argument, ...]:
    """x (n,) float32, y (n,) float32, a, b."""
    x, y = (ArraySpec(name, (case["n"],), FLOAT) for name in ("x", "y"))
    return x, y, case["a"], case["b"]


def blend_inputs(case: Case, rng: np.random.Generator) -> tuple[Array, ...]:
    """Floats of either sign."""
    x, y = rng.standard_normal((2, case["n"]), dtype=np.float32)
    return x.copy(), y.copy()


def blend_reference(case: Case, x: Array, y: Array) -> tuple[Expected, ...]:
    """a * x + b * y; two products and their sum round at most three times."""
    first = np.float64(np.float32(case["a"])) * x.astype(np.float64)
    second = np.float64(np.float32(case["b"])) * y.astype(np.float64)
    error = 2 * HALF_UNIT * (np.abs(first) + np.abs(second)) + 2.0**-149
    return (Expected(first + second, FLOAT, error),)


def blend_hidden(rng: np.random.Generator) -> tuple[Case, ...]:
    """Lengths that nobody has seen, with every remainder of 4."""
    small = [
        blend_case(4 * int(rng.integers(1, 2000)) + rest, "any length", hidden=True)
        for rest in range(4)
    ]
    several = 16 * FOUR_WARPS * int(rng.integers(4, 8)) + int(rng.integers(1, 3000))
    return (*small, blend_case(several, "what it costs", hidden=True, counted=True))


BLEND = Task(
    name="blend",
    title="Saturate DRAM with four warps an SM",
    goal="a * x + b * y by 128 threads an SM, with enough bytes in flight for DRAM's bandwidth.",
    public=(
        blend_case(100_000, "whole float4s"),
        blend_case(4_103, "a length that is no multiple of 4"),
        blend_case(3, "less than a float4"),
        blend_case(1, "a single float"),
        blend_case(0, "nothing to do"),
        blend_case(16 * FOUR_WARPS * 8, "what it costs", counted=True),
        blend_case((1 << 26) + 3, "time on a GPU", devices=GPU_ALONE),
    ),
    draw_hidden=blend_hidden,
    arguments=blend_arguments,
    make_inputs=blend_inputs,
    reference=blend_reference,
    tolerance="two roundings of float32 (2^-24 each) of |a x| + |b y|.",
    limits=(
        Limit(
            "threads", 1.0, 0,
            "Four warps an SM, one block of 128 threads on each, is all that there is for this "
            "kernel. More threads would be TLP; the task is to do it by ILP: more loads in flight "
            "in each thread.",
        ),
        Limit(
            "waiting_ns", 2.0, 1000,
            "Each time a warp waits for memory, all that it has in flight is what it asked for "
            "since the last time. Four warps have to ask for some 60 bytes a lane before any of "
            "them needs the first: load several float4s of x and of y into registers, then "
            "compute, then store.",
        ),
        Limit(
            "sectors", 1.1, 64,
            "More bytes move than the task needs: neighbouring threads should take neighbouring "
            "float4s, and each of them once.",
        ),
        Limit(
            "instructions", 3.0, 4096,
            "Much more is executed than a few float4s a thread need. Is part of the arrays done "
            "one float at a time?",
        ),
    ),
    hints=(
        "How many bytes does a thread have in flight? It asks for x[i] and y[i], and the next "
        "thing it does needs both. What if it asked for x and y at four places before it computed "
        "at the first?",
        "float4 is four floats in one request. And a loop that loads into an array in registers, "
        "followed by a second loop that computes and stores, has all of the first loop's loads in "
        "flight, if both are unrolled (#pragma unroll) and their bounds are constants.",
        "float4 xs[4], ys[4]; for k = 0..3: xs[k] = x4[i + k * threads], ys[k] = y4[...], guarded "
        "by i + k * threads < n / 4; then a second loop for out4; i goes on by 4 * threads. The up "
        "to 3 floats that fill no float4 come at the end.",
    ),
    moved_bytes=lambda case: 12 * case["n"],
    lessons={
        "out-of-bounds read": (
            "Of four places that are loaded at once, each needs its own guard: i + k * threads "
            "may be beyond the end where i is not."
        ),
        "single": "n is no multiple of 4: up to 3 floats come after the last whole float4.",
        "tail": "n is no multiple of 4: up to 3 floats come after the last whole float4.",
    },
)  # fmt: skip

# --- iterate_map --------------------------------------------------------------------------------

DEGREE = 15
ROUNDINGS = 34  # a round: powers and sums one by one make 29


def map_case(n: int, rounds: int, looks_for: str = "", **more: object) -> Case:
    """``n`` points, ``rounds`` times."""
    name = f"n={n}, rounds={rounds}"
    return Case(name, {"n": n, "rounds": rounds}, looks_for, **more)  # type: ignore[arg-type]


def map_arguments(case: Case) -> tuple[Argument, ...]:
    """x (n,) float32, coefficients (16,) float32, rounds."""
    x = ArraySpec("x", (case["n"],), FLOAT)
    return x, ArraySpec("coefficients", (DEGREE + 1,), FLOAT), case["rounds"]


def map_inputs(case: Case, rng: np.random.Generator) -> tuple[Array, ...]:
    """Points of [0, 1], and a polynomial that leads back there and lets no error grow."""
    return rng.random(case["n"], dtype=np.float32), gentle(rng)


def map_reference(case: Case, x: Array, coefficients: Array) -> tuple[Expected, ...]:
    """Horner in float64. All terms are positive, so that errors are relative."""
    at = x.astype(np.float64)
    for _ in range(case["rounds"]):
        at = np.polynomial.polynomial.polyval(at, coefficients.astype(np.float64))
    return (Expected(at, FLOAT, ROUNDINGS * max(case["rounds"], 1) * HALF_UNIT * at + 2.0**-149),)


def map_hidden(rng: np.random.Generator) -> tuple[Case, ...]:
    """Other lengths; numbers of rounds that are no multiple of anything."""
    few = FOUR_WARPS - 128 * int(rng.integers(1, 9)) - int(rng.integers(0, 100))
    return (
        map_case(int(rng.integers(2, 120)), int(rng.integers(1, 4)), "less than a block",
                 hidden=True),
        map_case(int(rng.integers(1000, 5000)) | 1, 2 * int(rng.integers(2, 6)) + 1,
                 "an odd number of rounds", hidden=True),
        map_case(4 * FOUR_WARPS + int(rng.integers(1, 500)), 3, "a last block that is not full",
                 hidden=True),
        map_case(few, 61, "what few points cost", hidden=True, counted=True),
        map_case(4 * FOUR_WARPS, 43, "what many points cost", hidden=True, counted=True),
    )  # fmt: skip


ITERATE_MAP = Task(
    name="iterate_map",
    title="A polynomial at the FP32 peak",
    goal="A polynomial of degree 15, again and again, with every issue slot of an SM in use.",
    public=(
        map_case(1000, 3, "a last block that is not full"),
        map_case(1, 1, "a single point"),
        map_case(70_000, 2, "more points than threads fit at once"),
        map_case(257, 7, "an odd number of rounds"),
        map_case(100, 0, "no round at all"),
        map_case(0, 1, "nothing to do"),
        map_case(FOUR_WARPS, 64, "what few points cost", counted=True),
        map_case(4 * FOUR_WARPS, 48, "what many points cost", counted=True),
        map_case(1 << 14, 20_000, "few points: time on a GPU", devices=GPU_ALONE),
        map_case(1 << 22, 1000, "many points: time on a GPU", devices=GPU_ALONE),
    ),
    draw_hidden=map_hidden,
    arguments=map_arguments,
    make_inputs=map_inputs,
    reference=map_reference,
    tolerance=(
        f"{ROUNDINGS} roundings of float32 (2^-24 each) a round: more than any order of the sum "
        "makes, and far less than half precision."
    ),
    limits=(
        Limit(
            "arithmetic_ns", 1.15, 100,
            "Two things take time here, and the model counts both: instructions that are issued, "
            "and a chain's 4 clocks for each of its instructions while there is nothing else to "
            "issue. Many points: Horner's rule needs 15 FFMAs and nothing else; let a thread do "
            "several points. Few points: halve the polynomial, and halve the halves (Estrin), so "
            "that parts of one point's sum do not wait for one another.",
        ),
        Limit(
            "sectors", 2.0, 2048,
            "The points are read once and written once; the rounds are made in registers.",
        ),
    ),
    hints=(
        "Which case is refused? With 4 x 128 points an SM or more, count instructions: a power and "
        "a sum for each term are 30. Is there a way to write p(x) with one multiplication and "
        "one addition a term? With 128 points an SM, count what waits for what.",
        "Horner: ((c15 x + c14) x + c13) x + ...: 15 FFMAs, all in a chain; give a thread 4 points "
        "and it has 4 chains. Estrin: c0 + c1 x, c2 + c3 x, ..., 8 FFMAs that wait for nobody; "
        "then pairs of those with x^2, then with x^4, then with x^8.",
        "#pragma unroll 4 over the rounds, so that counting them does not take an issue slot in "
        "six. In iterate_map.py: n >= device.arch.sm_count * THREADS * 4 chooses the kernel with "
        "four points a thread, in blocks of THREADS * 4 points.",
    ),
    moved_bytes=lambda case: 8 * case["n"],
    lessons={
        "tail": (
            "A thread does several points now: does the grid still cover all of them, and does "
            "each point have its own guard?"
        ),
    },
)  # fmt: skip

# --- mix_channels -------------------------------------------------------------------------------

CHANNELS = 16


def mix_case(n: int, looks_for: str = "", **more: object) -> Case:
    """``n`` pixels."""
    return Case(f"n={n}", {"n": n}, looks_for, **more)  # type: ignore[arg-type]


def mix_arguments(case: Case) -> tuple[Argument, ...]:
    """x (16, n) float32, w (16, 16) float32."""
    x = ArraySpec("x", (CHANNELS, case["n"]), FLOAT)
    return x, ArraySpec("w", (CHANNELS, CHANNELS), FLOAT)


def mix_inputs(case: Case, rng: np.random.Generator) -> tuple[Array, ...]:
    """Values of either sign; channels of different sizes."""
    x = rng.standard_normal((CHANNELS, case["n"]), dtype=np.float32)
    scale = np.ldexp(np.ones(CHANNELS, np.float32), rng.integers(-6, 6, CHANNELS))
    return (
        (x * scale[:, None]).astype(np.float32),
        rng.standard_normal((CHANNELS, CHANNELS), dtype=np.float32),
    )


def mix_reference(_: Case, x: Array, w: Array) -> tuple[Expected, ...]:
    """w @ x in float64; a sum of 16 products rounds at most 32 times."""
    values = w.astype(np.float64) @ x.astype(np.float64)
    size = np.abs(w).astype(np.float64) @ np.abs(x).astype(np.float64)
    return (Expected(values, FLOAT, 2 * CHANNELS * HALF_UNIT * size + 2.0**-149),)


def mix_hidden(rng: np.random.Generator) -> tuple[Case, ...]:
    """Less than a block, several, and a last one that is not full."""
    return (
        mix_case(int(rng.integers(2, 31)), "less than a warp", hidden=True),
        mix_case(int(rng.integers(129, 511)), "less than a block of four pixels a thread",
                 hidden=True),
        mix_case(int(rng.integers(1000, 3000)) | 1, "a last block that is not full", hidden=True),
        mix_case(512 * int(rng.integers(9, 20)), "what it costs", hidden=True, counted=True),
    )  # fmt: skip


MIX_CHANNELS = Task(
    name="mix_channels",
    title="Operands from registers",
    goal="Mix 16 channels of every pixel, with values that are used often held in registers.",
    public=(
        mix_case(1024, "whole blocks"),
        mix_case(333, "a last block that is not full"),
        mix_case(1, "a single pixel"),
        mix_case(0, "nothing to do"),
        mix_case(8192, "what it costs", counted=True),
        mix_case(1 << 22, "time on a GPU", devices=GPU_ALONE),
    ),
    draw_hidden=mix_hidden,
    arguments=mix_arguments,
    make_inputs=mix_inputs,
    reference=mix_reference,
    tolerance=(
        "32 roundings of float32 (2^-24 each) of the sum of |w x|: as many as 16 products and "
        "their sum can make. Tensor cores' TF32 has too few digits."
    ),
    limits=(
        Limit(
            "shared_wavefronts", 2.5, 64,
            "Shared memory delivers one operand of a warp in a clock; the SM could do four FFMAs "
            "meanwhile. Keep in registers what a thread uses again: its pixels' sums, or their "
            "channels. And let a weight that was read serve several pixels: a thread that does 4 "
            "reads each weight once for 4 FFMAs.",
        ),
        Limit(
            "requests", 1.25, 128,
            "What was read from shared memory is now read from global memory, again and again. L1 "
            "is the same memory, and no faster: read a value once and keep it in a register.",
        ),
        Limit(
            "sectors", 1.25, 256,
            "More bytes of global memory move than there are pixels and sums: neighbouring threads "
            "should take neighbouring pixels.",
        ),
        Limit(
            "instructions", 2.0, 4096,
            "Much more is executed than one FFMA a product and little else. Are the loops "
            "unrolled, so that arrays are in registers?",
        ),
    ),
    hints=(
        "For one pixel, 16 sums of 16 products need each channel 16 times, but there are only 16 "
        "of them: they fit a thread's registers. Do the pixels have to be in shared memory at all?",
        "The weights are too many for registers, 256, and all pixels need the same. Read one and "
        "use it for several pixels: float sum[16][4] for 4 pixels a thread, 128 apart, so that "
        "loads stay coalesced. In mix_channels.py, pixels = 4.",
        "for j: read the 4 pixels' channel j from x; for r: one weight w[r][j] from shared memory, "
        "4 FFMAs: sum[r][k] = fmaf(w, in[k], sum[r][k]). Keep the weights turned round in shared "
        "memory, weight[j][r], and 4 of them are one float4.",
    ),
    moved_bytes=lambda case: 8 * CHANNELS * case["n"] + 4 * CHANNELS * CHANNELS,
    lessons={
        "columns-tail": (
            "The last pixels are missing or wrong: does the grid in mix_channels.py fit the number "
            "of pixels that a thread does?"
        ),
        "out-of-bounds read": "Each of a thread's pixels needs its own guard: i < n.",
        "rows-periodic": "Whole channels are wrong: is it w[r][j], row r for output r, everywhere?",
    },
)  # fmt: skip

LAB = Lab("03_ilp_tlp", "ILP and TLP", (BLEND, ITERATE_MAP, MIX_CHANNELS))
