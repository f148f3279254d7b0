"""Lab 01: how each task is judged. Never part of ``labs/``."""

from __future__ import annotations

import numpy as np

from grader.lab import Argument, Array, Case, Expected, Lab, Limit, Task
from kernels.runtime import ArraySpec

FLOAT = "float32"
HALF_UNIT = 2.0**-24  # the largest relative error of one rounding to float32
GPU_ALONE = ("cuda",)

# --- aos_scan -----------------------------------------------------------------------------------

CHUNK = 256
FIELDS = 31
SCAN_ROUNDINGS = 80  # 63 to compute an energy, at most 14 to add it up, and room to spare


def scan_case(n: int, looks_for: str = "", **more: bool | tuple[str, ...]) -> Case:
    """``n`` records."""
    return Case(f"n={n}", {"n": n, "gain": 0.75}, looks_for, **more)  # type: ignore[arg-type]


def scan_arguments(case: Case) -> tuple[Argument, ...]:
    """records (n, 31) float32, gain."""
    return ArraySpec("records", (case["n"], FIELDS), FLOAT), case["gain"]


def scan_inputs(case: Case, rng: np.random.Generator) -> tuple[Array, ...]:
    """Samples of either sign."""
    return (rng.standard_normal((case["n"], FIELDS)).astype(np.float32),)


def scan_reference(case: Case, records: Array) -> tuple[Expected, ...]:
    """Running energies by chunk. All terms are positive, so the error bound is relative."""
    energy = case["gain"] * np.square(records.astype(np.float64)).sum(axis=1)
    running = np.empty(case["n"])
    for first in range(0, case["n"], CHUNK):
        chunk = slice(first, first + CHUNK)
        running[chunk] = np.cumsum(energy[chunk])
    return (Expected(running, FLOAT, SCAN_ROUNDINGS * HALF_UNIT * running),)


def scan_hidden(rng: np.random.Generator) -> tuple[Case, ...]:
    """Lengths that nobody has seen: below a chunk, a few chunks, many."""
    some, more, many = rng.integers(33, 255), rng.integers(300, 2000), rng.integers(20_000, 30_000)
    return (
        scan_case(int(some), "less than one chunk", hidden=True),
        scan_case(int(more), "a last chunk that is not full", hidden=True),
        scan_case(int(many) | 1, "what it costs", hidden=True, counted=True),
    )


AOS_SCAN = Task(
    name="aos_scan",
    title="Scan an array of structures",
    goal="Running energies of records of 31 floats, with coalesced reads.",
    public=(
        scan_case(1000, "a last chunk that is not full"),
        scan_case(1, "a single record"),
        scan_case(256, "exactly one chunk"),
        scan_case(0, "nothing to do"),
        scan_case(16_384, "what it costs", counted=True),
        scan_case(1 << 20, "time on a GPU", devices=GPU_ALONE),
    ),
    draw_hidden=scan_hidden,
    arguments=scan_arguments,
    make_inputs=scan_inputs,
    reference=scan_reference,
    tolerance=(
        f"{SCAN_ROUNDINGS} roundings of float32 (2^-24 each) of the sum so far: more than adding "
        "31 squares and then 256 energies in a tree makes, and far less than half precision."
    ),
    limits=(
        Limit(
            "load_sectors", 1.25, 8,
            "The threads of a warp read the same sample of neighbouring records, 124 bytes apart, "
            "so each sector that is fetched is mostly other samples. Read the block's records as "
            "one run of floats, thread i taking floats i, i + 256, ..., and pick records after.",
        ),
        Limit(
            "store_sectors", 1.25, 8,
            "Neighbouring threads should write neighbouring sums.",
        ),
        Limit(
            "instructions", 4.0, 64,
            "Staging costs a few instructions a float; this does much more. Is every thread doing "
            "work that one of them should do?",
        ),
    ),
    hints=(
        "The 256 records of a chunk are 7936 floats in a row. In which order would 256 threads "
        "read 7936 floats so that each warp reads 32 neighbours at a time?",
        "Records change hands inside a block: __shared__ float staged[CHUNK * FIELDS]. Fill it "
        "together, then let thread i pick its 31 floats from staged + i * FIELDS.",
        "for (int k = threadIdx.x; k < here * FIELDS; k += CHUNK) staged[k] = chunk[k]; where "
        "chunk = records + (size_t)first * FIELDS. Between filling and picking, every thread of "
        "the block has to wait: __syncthreads().",
    ),
    moved_bytes=lambda case: case["n"] * (FIELDS + 1) * 4,
    lessons={
        "out-of-bounds read": (
            "The last chunk has fewer than 256 records: read here * FIELDS floats of it, no more."
        ),
        "tail": "The last chunk has fewer records: do its threads stage, pick and write theirs?",
    },
)  # fmt: skip

# --- scale_copy ---------------------------------------------------------------------------------


def copy_case(n: int, start: int, lead: int, looks_for: str = "", **more: object) -> Case:
    """``n`` floats that start ``start`` floats past an aligned address, ``lead`` zeros before."""
    name = f"n={n}, x {start} past alignment, lead={lead}"
    sizes = {"n": n, "start": start, "lead": lead, "alpha": 1.7}
    return Case(name, sizes, looks_for, **more)  # type: ignore[arg-type]


def copy_arguments(case: Case) -> tuple[Argument, ...]:
    """x (n,) float32, alpha, lead."""
    return ArraySpec("x", (case["n"],), FLOAT, case["start"]), case["alpha"], case["lead"]


def copy_inputs(case: Case, rng: np.random.Generator) -> tuple[Array, ...]:
    """Any finite floats, of very different sizes."""
    exponents = rng.integers(-20, 20, case["n"], dtype=np.int8)
    return (np.ldexp(rng.standard_normal(case["n"], dtype=np.float32), exponents),)


def copy_reference(case: Case, x: Array) -> tuple[Expected, ...]:
    """Zeros, then alpha * x, both factors as float32."""
    payload = np.float64(np.float32(case["alpha"])) * x.astype(np.float64)
    values = np.concatenate([np.zeros(case["lead"]), payload])
    return (Expected(values, FLOAT, 2 * HALF_UNIT * np.abs(values) + 2.0**-149),)


def copy_hidden(rng: np.random.Generator) -> tuple[Case, ...]:
    """All ways of being misaligned, and lengths that nobody has seen."""
    small = [
        copy_case(
            int(rng.integers(1, 40)), start, lead, "any alignment, and a length of any kind",
            hidden=True,
        )
        for start in range(4) for lead in range(4)
    ]  # fmt: skip
    same, other = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    long = int(rng.integers(60_000, 70_000)) | 1
    return (
        *small,
        copy_case(long, same, same, "what it costs, both misaligned alike", hidden=True,
                  counted=True),
        copy_case(long + 2, other, 0, "what it costs, misaligned differently", hidden=True,
                  counted=True),
    )  # fmt: skip


SCALE_COPY = Task(
    name="scale_copy",
    title="A vectorised copy for any length and alignment",
    goal="alpha * x behind a header of zeros, a float4 a thread wherever addresses allow it.",
    public=(
        copy_case(1024, 0, 0, "whole vectors alone"),
        copy_case(1001, 0, 0, "a tail of one float"),
        copy_case(1001, 1, 1, "head and tail, misaligned alike"),
        copy_case(1000, 1, 2, "source and payload misaligned differently"),
        copy_case(1, 3, 3, "less than one vector"),
        copy_case(2, 1, 1, "shorter than its head"),
        copy_case(0, 0, 5, "a header alone"),
        copy_case(0, 0, 0, "nothing to do"),
        copy_case(65_536, 0, 0, "what it costs, aligned", counted=True),
        copy_case(65_537, 3, 3, "what it costs, misaligned alike", counted=True),
        copy_case(65_537, 1, 2, "what it costs, misaligned differently", counted=True),
        copy_case((1 << 24) + 3, 1, 1, "time on a GPU", devices=GPU_ALONE),
    ),
    draw_hidden=copy_hidden,
    arguments=copy_arguments,
    make_inputs=copy_inputs,
    reference=copy_reference,
    tolerance=(
        "one unit in the last place of float32 (2^-23, relative): one multiplication rounds once."
    ),
    limits=(
        Limit(
            "requests", 1.3, 64,
            "A request of a warp that copies a float a thread carries 128 bytes; with a float4 a "
            "thread it carries 512. Peel off the floats before the first 16-byte boundary, copy "
            "float4s, then the rest.",
        ),
        Limit(
            "sectors", 1.2, 64,
            "More bytes move than the copy needs: neighbouring threads should handle neighbouring "
            "floats or float4s.",
        ),
        Limit(
            "instructions", 2.5, 1024,
            "Much more is executed than four floats a thread need: is part of the copy done one "
            "float at a time, or an index computed over and over?",
        ),
    ),
    hints=(
        "When are both addresses multiples of 16 at the same time? Look at misalignment(x) and "
        "misalignment(y): if they are equal, the same number of floats brings both to a boundary.",
        "head = (4 - misalignment(x)) % 4 floats come before the first whole float4 (never more "
        "than n), then (n - head) / 4 vectors, then what is left. Three loops, or one loop and two "
        "ifs.",
        "const float4* from = reinterpret_cast<const float4*>(x + head); the same for y; "
        "for (int v = thread; v < vectors; v += threads) copies from[v], scaled. Where the two "
        "misalignments differ, keep the starter's loop.",
    ),
    moved_bytes=lambda case: (2 * case["n"] + case["lead"]) * 4,
    lessons={
        "misaligned read": (
            "x may start at any float, so a float4 at x + 4 * v need not be aligned. Handle the "
            "floats before the first 16-byte boundary on their own."
        ),
        "misaligned write": (
            "The payload starts lead floats into the message: source and payload may be misaligned "
            "by different amounts. Check both before you copy float4s."
        ),
        "single": (
            "One float is left out: n is no multiple of 4, so that up to 3 floats come after the "
            "last whole float4, and up to 3 before the first."
        ),
        "head": (
            "The floats before the first whole float4, or the header of zeros, are missing or "
            "wrong: up to 3 floats of head, and lead zeros."
        ),
    },
)  # fmt: skip

# --- gather_rows --------------------------------------------------------------------------------


def gather_case(rows: int, width: int, looks_for: str = "", **more: object) -> Case:
    """``rows`` rows of ``width`` floats, from a table that is half again as long."""
    table = more.pop("table", rows * 3 // 2 + 3)
    sizes = {"rows": rows, "width": width, "table": table}
    return Case(f"rows={rows}, width={width}", sizes, looks_for, **more)  # type: ignore[arg-type]


def gather_arguments(case: Case) -> tuple[Argument, ...]:
    """table (table, width) float32, index (rows,) int32."""
    table = ArraySpec("table", (case["table"], case["width"]), FLOAT)
    return table, ArraySpec("index", (case["rows"],), "int32")


def gather_inputs(case: Case, rng: np.random.Generator) -> tuple[Array, ...]:
    """Any rows in any order, some of them several times, the first and the last among them."""
    table = rng.standard_normal((case["table"], case["width"]), dtype=np.float32)
    index = rng.integers(0, case["table"], case["rows"]).astype(np.int32)
    if case["rows"] > 3:
        index[rng.permutation(case["rows"])[:4]] = 0, case["table"] - 1, 0, case["table"] - 1
    return table, index


def gather_reference(case: Case, table: Array, index: Array) -> tuple[Expected, ...]:
    """A copy: exact."""
    return (Expected(table[index].astype(np.float64), FLOAT, 0.0),)


def gather_hidden(rng: np.random.Generator) -> tuple[Case, ...]:
    """Widths below, at and above a warp's, and odd ones."""
    narrow, odd, wide = rng.integers(2, 31), rng.integers(33, 63), rng.integers(65, 400)
    rows = [int(r) for r in rng.integers(9, 300, 4)]
    return (
        gather_case(rows[0], int(narrow), "rows shorter than a warp", hidden=True),
        gather_case(rows[1], int(odd), "rows a little longer than a warp", hidden=True),
        gather_case(rows[2], int(wide), "rows of several warps", hidden=True),
        gather_case(rows[3], 32 * int(rng.integers(2, 6)), "whole warps", hidden=True),
        gather_case(
            int(rng.integers(500, 700)), 32 * int(rng.integers(3, 8)), "what it costs",
            hidden=True, counted=True,
        ),
        gather_case(
            int(rng.integers(500, 700)), int(rng.integers(130, 250)) | 1, "the cost of odd widths",
            hidden=True, counted=True,
        ),
    )  # fmt: skip


GATHER_ROWS = Task(
    name="gather_rows",
    title="Gather rows by an index list",
    goal="Rows of a table in the order of an index, each row read coalesced.",
    public=(
        gather_case(100, 64, "more rows than a block handles"),
        gather_case(7, 33, "rows one float longer than a warp"),
        gather_case(50, 1, "rows of a single float"),
        gather_case(1, 1000, "a single long row"),
        gather_case(0, 16, "nothing to do"),
        gather_case(512, 128, "what it costs", counted=True),
        gather_case(1 << 18, 128, "time on a GPU", devices=GPU_ALONE, table=1 << 19),
    ),
    draw_hidden=gather_hidden,
    arguments=gather_arguments,
    make_inputs=gather_inputs,
    reference=gather_reference,
    tolerance="none: a copy is exact.",
    limits=(
        Limit(
            "load_sectors", 1.5, 64,
            "Each thread walks along a row of its own, so a warp reads one float of 32 rows at a "
            "time. Deal the floats of one row to neighbouring threads: lane 0 takes column 0, lane "
            "1 column 1.",
        ),
        Limit(
            "store_sectors", 1.5, 64,
            "Rows are read coalesced but not written so: neighbouring threads should write "
            "neighbouring columns.",
        ),
        Limit(
            "instructions", 6.0, 1024,
            "Much more is executed than a copy needs. Is every element looked up by its own search "
            "or division, or are most threads idle?",
        ),
    ),
    hints=(
        "Which threads should read neighbouring floats? Those of one warp. Which floats are "
        "neighbours? Those of one row.",
        "Give each warp a row: lane = threadIdx.x % 32 and row = (blockIdx.x * blockDim.x + "
        "threadIdx.x) / 32. A block of 256 threads then handles 8 rows: the grid in "
        "gather_rows.py has to follow.",
        "for (int column = lane; column < width; column += 32) to[column] = from[column]; and in "
        "gather_rows.py, rows_a_block = THREADS // 32.",
    ),
    moved_bytes=lambda case: case["rows"] * (2 * case["width"] + 1) * 4,
    lessons={
        "rows-tail": (
            "The last rows are missing: does the grid have enough blocks for the number of rows "
            "that a block now handles (rows_a_block in gather_rows.py)?"
        ),
        "columns-tail": (
            "Rows longer than a warp need a loop: lane, lane + 32, lane + 64, ... up to width."
        ),
        "permuted": "Rows end up in the wrong place: out[r] is table[index[r]], not the reverse.",
    },
)  # fmt: skip

LAB = Lab("01_coalescing", "Global memory coalescing", (AOS_SCAN, SCALE_COPY, GATHER_ROWS))
