"""Lab 07: how each task is judged. Never part of ``labs/``."""

from __future__ import annotations

import numpy as np

from grader.lab import Argument, Array, Case, Expected, Lab, Limit, Task
from kernels.runtime import ArraySpec
from kernels.topk.reference import ordered

FLOAT, WORD, INDEX = "float32", "uint32", "int32"
GPU_ALONE = ("cuda",)
KEPT = 32


def smallest(rows: Array, k: int) -> Array:
    """The indices of each row's k smallest, in order; of equal ones the lower index first."""
    if k == 0:
        return np.empty((len(rows), 0), np.int64)
    worst = np.partition(rows, k - 1, axis=1)[:, k - 1]  # a whole sort of long rows takes long
    found = np.empty((len(rows), k), np.int64)
    for row, bar, best in zip(rows, worst, found, strict=True):
        at = np.flatnonzero(row <= bar)
        best[:] = at[np.argsort(row[at], kind="stable")[:k]]
    return found


# --- warp_topk ----------------------------------------------------------------------------------


def rows_case(rows: int, n: int, looks_for: str = "", **more: object) -> Case:
    """``rows`` of ``n`` keys."""
    sizes = {"rows": rows, "n": n}
    return Case(f"rows={rows} n={n}", sizes, looks_for, **more)  # type: ignore[arg-type]


def rows_arguments(case: Case) -> tuple[Argument, ...]:
    """keys (rows, n) float32."""
    return (ArraySpec("keys", (case["rows"], case["n"]), FLOAT),)


SPECIAL = np.array([np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-42, -1e-42], np.float32)


def rows_inputs(case: Case, rng: np.random.Generator) -> tuple[Array, ...]:
    """Rows in turn: all different; few different ones; special ones among negative ones; rising.

    Where costs are counted, all are different and in no order.
    """
    shape = case["rows"], case["n"]
    keys = rng.standard_normal(shape, dtype=np.float32)
    if case.counted or case.devices == GPU_ALONE:
        return (keys,)
    keys[1::4] = rng.integers(0, 20, keys[1::4].shape)
    special = rng.choice(SPECIAL, keys[2::4].shape)
    share = min(1.0, 24 / max(case["n"], 1))  # few enough for all of them to be among the best
    keys[2::4] = np.where(rng.random(special.shape) < share, special, -1 - np.abs(keys[2::4]))
    keys[3::4].sort(axis=1)
    return (keys,)


def rows_reference(case: Case, keys: Array) -> tuple[Expected, ...]:
    """Indices, the best first; exact."""
    best = np.full((case["rows"], KEPT), case["n"], np.int64)
    k = min(KEPT, case["n"])
    best[:, :k] = smallest(-ordered(keys), k)
    return (Expected(best, INDEX, 0.0),)


def rows_hidden(rng: np.random.Generator) -> tuple[Case, ...]:
    """Lengths that nobody has seen."""
    return (
        rows_case(int(rng.integers(4, 9)), int(rng.integers(2, 31)), "less than a warp has lanes",
                  hidden=True),
        rows_case(int(rng.integers(5, 12)), int(rng.integers(33, 63)), "a second piece, not full",
                  hidden=True),
        rows_case(int(rng.integers(5, 12)), int(rng.integers(500, 999)) | 1, "any length",
                  hidden=True),
        rows_case(2, 32 * int(rng.integers(400, 560)), "what it costs", hidden=True, counted=True),
    )  # fmt: skip


WARP_TOPK = Task(
    name="warp_topk",
    title="Bitonic top-k of a warp",
    goal="The indices of the 32 largest of each row, found in one pass by shuffles.",
    public=(
        rows_case(8, 256, "whole pieces of 32"),
        rows_case(4, 100, "a last piece that is not full"),
        rows_case(7, 333, "rows that begin anywhere, and a last block that is not full"),
        rows_case(4, 32, "exactly 32"),
        rows_case(4, 5, "fewer than 32"),
        rows_case(1, 1, "a single key"),
        rows_case(3, 0, "rows of nothing"),
        rows_case(0, 100, "nothing to do"),
        rows_case(4, 16_384, "what it costs", counted=True),
        rows_case(1 << 14, 1 << 12, "time on a GPU", devices=GPU_ALONE),
    ),
    draw_hidden=rows_hidden,
    arguments=rows_arguments,
    make_inputs=rows_inputs,
    reference=rows_reference,
    tolerance="none: there is one right order of all keys.",
    limits=(
        Limit(
            "load_sectors", 1.25, 64,
            "A row should be read once, neighbouring lanes reading neighbouring keys. What of it "
            "may still be among the best has to be kept in registers: 32 entries, one a lane.",
        ),
        Limit(
            "shared_wavefronts", 1.0, 64,
            "The lanes of a warp can hand one another registers: __shfl_xor_sync. Shared memory "
            "and its barriers are for threads that are further apart.",
        ),
        Limit(
            "instructions", 1.6, 2048,
            "Most pieces of 32 keys have none that matters: one vote over the warp, against the "
            "worst of those that it holds, should tell. Sort and merge only the others.",
        ),
    ),
    hints=(
        "Let lane l hold the best but l of all that has been seen, so that lane 31 has the worst "
        "of them. 32 more entries come, one a lane. When can all of them be thrown away? When not, "
        "what would two sorted lists of 32 be good for?",
        "A bitonic network compares lane l with lane l ^ distance: __shfl_xor_sync gives the other "
        "entry, and each of the two keeps the larger or the smaller. Sizes 2, 4, 8, 16, 32, and in "
        "each distances size / 2, ..., 1; the piece goes down or up as lane & size says. If one "
        "list of 32 goes down and one goes up, the larger of each pair of entries are the best 32 "
        "of all 64, and form a bitonic sequence: five more steps sort it.",
        "Entry worst = __shfl_sync(ALL, kept, 31); if (!__any_sync(ALL, mine > worst)) continue; "
        "then the sort, mine = mine > kept ? mine : kept, and steps with distances 16, 8, 4, 2, 1 "
        "in which the lane without that bit keeps the larger. Lanes beyond the end offer 0. All "
        "lanes have to take part in every shuffle.",
    ),
    moved_bytes=lambda case: 4 * case["rows"] * (case["n"] + KEPT),
    lessons={
        "out-of-bounds read": (
            "The last piece of a row may have fewer than 32 keys: lanes beyond the end offer "
            "something that is worse than any entry."
        ),
        "deadlock": (
            "A shuffle waits for every lane that its mask names. If only some lanes of a warp come "
            "to it, they wait for ever: vote first, then all lanes sort, or none."
        ),
        "scattered": (
            "Is the order complete? NaN, of either sign, above all numbers; -0 equal to 0; of "
            "equal keys the lower index first. Is the list that lies in the lanes sorted after "
            "each merge, so that lane 31 has the worst? And do all lanes come to every shuffle?"
        ),
        "permuted": (
            "The right indices are there, in the wrong order: of equal keys, the one with the "
            "lower index comes first, and -0 is equal to 0."
        ),
    },
)  # fmt: skip

# --- digit_pass ---------------------------------------------------------------------------------

DIGITS = 256


def pass_case(n: int, shift: int, low: int, looks_for: str = "", **more: object) -> Case:
    """``n`` keys, most of which differ in the ``low`` lowest bits alone."""
    sizes = {"n": n, "shift": shift, "low": low}
    return Case(f"n={n} shift={shift} low={low}", sizes, looks_for, **more)  # type: ignore[arg-type]


def pass_arguments(case: Case) -> tuple[Argument, ...]:
    """keys (n,), weights (n,), state (2,), all uint32, and shift."""
    keys, weights = (ArraySpec(name, (case["n"],), WORD) for name in ("keys", "weights"))
    return keys, weights, ArraySpec("state", (2,), WORD), case["shift"]


def digit_sums(case: Case, keys: Array, weights: Array, prefix: int) -> Array:
    """What the keys that begin with the prefix weigh, by their next digit."""
    shift = np.uint32(case["shift"])
    candidates = keys.astype(np.int64) >> (case["shift"] + 8) == prefix
    digits = keys[candidates] >> shift & np.uint32(DIGITS - 1)
    return np.bincount(digits, weights[candidates], DIGITS).astype(np.int64)  # exact below 2^53


def pass_inputs(case: Case, rng: np.random.Generator) -> tuple[Array, ...]:
    """Seven of eight keys have all but their low bits in common.

    The goal is any that there is, or just what the candidates from some digit on weigh.
    """
    n, low = case["n"], case["low"]
    keys = rng.integers(0, 1 << 32, n, dtype=np.uint32)
    common = int(rng.integers(0, 1 << 32)) >> low << low
    alike = rng.random(n) < 0.875
    alike[0] = True
    keys[alike] = common + rng.integers(0, 1 << low, int(alike.sum())).astype(np.uint32)
    weights = rng.integers(1, 16, n, dtype=np.uint32)
    prefix = common >> (case["shift"] + 8)
    sums = digit_sums(case, keys, weights, prefix)
    reached = sums[::-1].cumsum()
    goal = rng.integers(1, reached[-1] + 1) if rng.random() < 0.5 else rng.choice(reached)
    return keys, weights, np.array([prefix, max(goal, 1)], np.uint32)


def pass_reference(case: Case, keys: Array, weights: Array, state: Array) -> tuple[Expected, ...]:
    """Sums of all digits; the digit at which they reach the goal; exact."""
    prefix, goal = (int(one) for one in state)
    sums = digit_sums(case, keys, weights, prefix)
    above = sums[::-1].cumsum()[::-1] - sums
    digit = int(np.flatnonzero((above < goal) & (goal <= above + sums))[0])
    found = np.array([prefix << 8 | digit, goal - above[digit]], np.int64)
    return Expected(sums, WORD, 0.0), Expected(found, WORD, 0.0)


def pass_hidden(rng: np.random.Generator) -> tuple[Case, ...]:
    """Other lengths, and keys that differ in other digits."""
    return (
        pass_case(int(rng.integers(2, 100)), 8, 12, "less than a block", hidden=True),
        pass_case(4 * int(rng.integers(1000, 3000)) + 3, 0, int(rng.integers(9, 16)),
                  "the last digit", hidden=True),
        pass_case(int(rng.integers(17_000, 20_000)), 24, 32, "digits that are spread", hidden=True),
        pass_case(4096 * int(rng.integers(9, 14)), 16, int(rng.integers(10, 14)),
                  "what it costs", hidden=True, counted=True),
    )  # fmt: skip


DIGIT_PASS = Task(
    name="digit_pass",
    title="Radix select on digits that are all the same",
    goal="Add up weights by digit so that lanes with equal digits do not wait for one another.",
    public=(
        pass_case(8192, 24, 32, "digits that are spread"),
        pass_case(5003, 16, 12, "a length that is no multiple of 4"),
        pass_case(20_000, 8, 12, "sixteen digits, in more than one block"),
        pass_case(3000, 0, 4, "the last digit"),
        pass_case(100, 24, 0, "all keys equal but for a few"),
        pass_case(1, 24, 32, "a single key"),
        pass_case(3, 8, 16, "less than four keys"),
        pass_case(32_768, 16, 12, "what it costs: one digit", counted=True),
        pass_case(32_768, 8, 9, "what it costs: two digits", counted=True),
        pass_case((1 << 26) + 1, 16, 12, "time on a GPU", devices=GPU_ALONE),
    ),
    draw_hidden=pass_hidden,
    arguments=pass_arguments,
    make_inputs=pass_inputs,
    reference=pass_reference,
    tolerance="none: sums are exact.",
    limits=(
        Limit(
            "shared_wavefronts", 3.0, 2048,
            "Lanes of one warp add to the same word, one after the other. Copies of the sums for "
            "each warp do not help there. Either lanes with equal digits agree on one of them that "
            "adds for all (__match_any_sync), or each lane has sums of its own, in a bank of its "
            "own.",
        ),
        Limit(
            "load_sectors", 1.25, 256,
            "A pass should read keys and weights once, and neighbouring lanes neighbouring ones.",
        ),
        Limit(
            "instructions", 3.0, 8192,
            "Much more is executed than a match and an addition a key. Does a lane ask all other "
            "lanes in a loop?",
        ),
    ),
    hints=(
        "If 20 lanes of a warp have digit 7, then 20 additions could be one, of what the 20 weigh "
        "together. Which lanes have the same digit as this one? One instruction tells.",
        "__match_any_sync(mask, digit) gives each lane a mask of those with the same digit. Its "
        "lowest bit, __ffs(same) - 1, can be the lane that adds. What these lanes weigh together "
        "is __reduce_add_sync(same, weight). Lanes without a candidate must not be in it.",
        "unsigned candidates = __ballot_sync(ALL, candidate); if (!candidate) return; unsigned "
        "same = __match_any_sync(candidates, digit); unsigned sum = __reduce_add_sync(same, "
        "weight); if (__ffs(same) - 1 == threadIdx.x % 32) atomicAdd(&sums[digit], sum);",
    ),
    moved_bytes=lambda case: 4 * (2 * case["n"] + DIGITS + 2),
    lessons={
        "everything": (
            "Are the sums of all blocks and the sums of a block set to zero before anything is "
            "added to them?"
        ),
        "imprecise": (
            "Whole numbers, and a little off: are the sums set to zero before anything is added to "
            "them, and is every weight added once?"
        ),
        "out-of-bounds read": (
            "n is no multiple of 4: up to 3 keys come after the last four."
        ),
        "deadlock": (
            "__ballot_sync and __match_any_sync wait for every lane that their mask names: vote "
            "before lanes without a candidate leave, and match only those that stay."
        ),
    },
)  # fmt: skip

# --- nearest ------------------------------------------------------------------------------------


def points_case(m: int, n: int, d: int, looks_for: str = "", **more: object) -> Case:
    """``m`` queries, ``n`` points of ``d`` coordinates."""
    sizes = {"m": m, "n": n, "d": d}
    return Case(f"m={m} n={n} d={d}", sizes, looks_for, **more)  # type: ignore[arg-type]


def points_arguments(case: Case) -> tuple[Argument, ...]:
    """queries (m, d), points (n, d) float32."""
    return (
        ArraySpec("queries", (case["m"], case["d"]), FLOAT),
        ArraySpec("points", (case["n"], case["d"]), FLOAT),
    )


def points_inputs(case: Case, rng: np.random.Generator) -> tuple[Array, ...]:
    """Whole numbers from 0 to 255, often small ones, so that many distances are equal."""
    most = 256 if case["d"] > 16 else 4
    shapes = ((case["m"], case["d"]), (case["n"], case["d"]))
    return tuple(rng.integers(0, most, shape).astype(np.float32) for shape in shapes)


def points_reference(case: Case, queries: Array, points: Array) -> tuple[Expected, ...]:
    """Sums of squares of whole numbers below 2^24: exact in float32 and float64."""
    wide, of = queries.astype(np.float64), points.astype(np.float64)
    best = np.zeros((case["m"], KEPT), np.int64)
    nearest = np.zeros((case["m"], KEPT))
    norms = np.square(of).sum(axis=1)
    for first in range(0, case["m"], 256):  # rows of a matrix that would be too large
        some = wide[first : first + 256]
        matrix = np.square(some).sum(axis=1)[:, None] - 2 * some @ of.T + norms
        found = smallest(matrix, KEPT)
        best[first : first + 256] = found
        nearest[first : first + 256] = np.take_along_axis(matrix, found, axis=1)
    return Expected(nearest, FLOAT, 0.0), Expected(best, INDEX, 0.0)


def points_hidden(rng: np.random.Generator) -> tuple[Case, ...]:
    """Sizes that nobody has seen."""

    def some(low: int, high: int) -> int:
        return int(rng.integers(low, high))

    return (
        points_case(some(2, 8), some(33, 63), some(2, 16), "less than a block", hidden=True),
        points_case(some(17, 31), some(100, 300), some(33, 63), "tiles that are not full",
                    hidden=True),
        points_case(some(1, 4), some(500, 900) | 1, some(65, 128), "few queries", hidden=True),
        points_case(16, 32 * some(200, 240), 32, "what it costs", hidden=True,
                    counted=True),
    )  # fmt: skip


NEAREST = Task(
    name="nearest",
    title="Distance and top-k in one kernel",
    goal="The 32 nearest points of each query, without a matrix of distances in memory.",
    public=(
        points_case(16, 256, 32, "whole tiles"),
        points_case(21, 333, 45, "tiles that are not full, in every direction"),
        points_case(1, 32, 1, "a single query, and 32 points"),
        points_case(5, 500, 2, "points that are equally near"),
        points_case(3, 64, 128, "as many coordinates as there may be"),
        points_case(2, 40, 0, "no coordinates: all distances are 0"),
        points_case(0, 50, 3, "nothing to do"),
        points_case(16, 8192, 32, "what it costs", counted=True),
        points_case(4096, 1 << 16, 64, "time on a GPU", devices=GPU_ALONE),
    ),
    draw_hidden=points_hidden,
    arguments=points_arguments,
    make_inputs=points_inputs,
    reference=points_reference,
    tolerance="none: distances of whole numbers below 2^24 are exact.",
    limits=(
        Limit(
            "store_sectors", 1.1, 64,
            "Distances are written that are not part of the answer. A lane that has computed one "
            "can offer it to the best 32 that its warp holds in registers, and forget it.",
        ),
        Limit(
            "load_sectors", 1.5, 256,
            "Each block should read its queries once, and each point once for all of its queries.",
        ),
        Limit(
            "instructions", 1.5, 8192,
            "Most tiles have no point that is nearer than the 32 that a query has already: a vote "
            "tells, and only otherwise is there anything to sort.",
        ),
        Limit(
            "shared_wavefronts", 2.0, 2048,
            "Does one coordinate that was read from shared memory serve all queries of a warp? And "
            "do lanes, which have different points, read different banks?",
        ),
    ),
    hints=(
        "distances_to_tile gives a lane the distances of one point and four queries, in registers. "
        "What does the kernel do with them now, and what is done with them next, by whom?",
        "A block of 4 warps has 16 queries, 4 a warp, and goes through all points by tiles of 32. "
        "For each of its queries a warp keeps the best 32 in registers, a lane each: Entry "
        "kept[4]. After each tile a lane offers entry_of(distance[i], first + lane) to kept[i].",
        "for (first = 0; first < n; first += POINTS) { distances_to_tile(...); for i: kept[i] = "
        "offered(kept[i], first + lane < n ? entry_of(...) : ~(Entry)0, lane); }, then write. "
        "offered() is the vote, sort and merge of warp_topk.cu, with smaller entries the better. "
        "In nearest.py it is one launch of -(-m // QUERIES) blocks of (32, 4).",
    ),
    moved_bytes=lambda case: 4 * (
        (case["m"] + case["n"]) * case["d"] + 2 * case["m"] * KEPT
    ),
    lessons={
        "out-of-bounds read": (
            "The last tiles have fewer points, queries or coordinates: fetch only what is there."
        ),
        "deadlock": (
            "Every thread of a block has to come to each __syncthreads(), and every lane of a warp "
            "to each shuffle: warps without a query take part until the end."
        ),
    },
)  # fmt: skip

LAB = Lab("07_topk", "Parallel top-k", (WARP_TOPK, DIGIT_PASS, NEAREST))
