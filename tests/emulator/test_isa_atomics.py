"""Atomics of every type, in every state space: old values in lane order, sums rounded once."""

from __future__ import annotations

import math
import struct

import ml_dtypes
import numpy as np
import pytest

from tests.emulator.oracle import STORED

LANES = 32
SPACES = ("global", "shared", "generic global", "generic shared")
HALVES = {"f16": np.float16, "bf16": ml_dtypes.bfloat16}


def ptx_of(instruction: str, register: str, move: str, nbytes: int, space: str, count: int) -> str:
    """All lanes at one address: ``%v`` is each lane's operand, ``%d`` what it found there."""
    shared = "shared" in space
    where = {"global": "%g", "shared": "%s", "generic global": "%cell"}.get(space, "%window")
    named = "" if "generic" in space else f".{space}"
    d, v = ([f"%{name}{i}" for i in range(count)] for name in "dv")
    if count == 1:
        group = [d[0], v[0]]
    else:
        group = ["{" + ", ".join(names) + "}" for names in (d, v)]
    instruction = instruction.replace("SPACE", named).replace("%d", group[0], 1)
    instruction = instruction.replace("%v", group[1]).replace("%cell", where)
    size = nbytes * count
    each = range(count)
    lines = [
        ".version 8.5", ".target sm_90", ".address_size 64", ".shared .align 16 .b8 window[64];",
        ".visible .entry k(.param .u64 x, .param .u64 old, .param .u64 cell) {",
        f"  .reg .{register} %d<8>, %v<8>, %w; .reg .b64 %x, %g, %cell, %old, %s, %window;",
        "  .reg .b32 %t;",
        "  ld.param.u64 %x, [x]; ld.param.u64 %old, [old]; ld.param.u64 %cell, [cell];",
        "  cvta.to.global.u64 %g, %cell; mov.u64 %s, window; cvta.shared.u64 %window, %s;",
        "  mov.u32 %t, %tid.x;",
        f"  mad.wide.u32 %x, %t, {size}, %x; mad.wide.u32 %old, %t, {size}, %old;",
        *(f"  ld.{move} {v[i]}, [%x+{nbytes * i}];" for i in each),
        *(f"  ld.{move} %w, [%cell+{nbytes * i}]; st.shared.{move} [window+{nbytes * i}], %w;"
          for i in each),
        f"  {instruction}",
        *(f"  st.{move} [%old+{nbytes * i}], {d[i]};" for i in each),
        *(f"  ld.shared.{move} %w, [window+{nbytes * i}]; st.{move} [%cell+{nbytes * i}], %w;"
          for i in each if shared),
        "  ret; }",
    ]  # fmt: skip
    return "\n".join(lines)


def run(card, instruction, kind, values, start, space="global"):
    """What each lane found, and what is left: arrays of shape (lanes, elements), (elements,)."""
    values = np.asarray(values)
    count = 1 if values.ndim == 1 else values.shape[1]
    nbytes = values.dtype.itemsize
    register = move = f"b{8 * nbytes}"
    old, cell = np.zeros_like(values), np.asarray(start, dtype=values.dtype).reshape(count).copy()
    code = ptx_of(instruction, register, move, nbytes, space, count)
    card.run(code, "k", 1, LANES, values.copy(), old, cell)
    return old, cell


def in_lane_order(operation, values, start):
    """The old values and the last one, as exact Python numbers."""
    found, now = [], start
    for value in values:
        found.append(now)
        now = operation(now, value)
    return found, now


def operations(kind: str):
    width = np.dtype(STORED[kind]).itemsize * 8
    low = 0 if kind[0] in "ub" else -(1 << (width - 1))

    def wrap(value: int) -> int:
        return (value - low) % (1 << width) + low

    return {
        "add": lambda a, b: wrap(a + b), "min": min, "max": max,
        "and": lambda a, b: a & b, "or": lambda a, b: a | b, "xor": lambda a, b: a ^ b,
        "exch": lambda a, b: b,
        "inc": lambda a, b: 0 if a >= b else a + 1,
        "dec": lambda a, b: b if a == 0 or a > b else a - 1,
    }  # fmt: skip


FORMS = [
    *((op, kind) for op in ("add", "min", "max") for kind in ("u32", "s32", "u64", "s64")),
    *((op, kind) for op in ("and", "or", "xor", "exch") for kind in ("b32", "b64")),
    ("inc", "u32"), ("dec", "u32"),
]  # fmt: skip


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize(("op", "kind"), FORMS)
def test_whole_numbers(card, op, kind, space):
    dtype = STORED[kind]
    random = np.random.default_rng(len(op))
    info = np.iinfo(dtype)
    values = random.integers(info.min, info.max, LANES, dtype=dtype, endpoint=True)
    if op in ("inc", "dec"):
        values = np.full(LANES, 5, dtype=dtype)
    start = dtype(3)
    old, cell = run(card, f"atomSPACE.{op}.{kind} %d, [%cell], %v;", kind, values, start, space)
    found, last = in_lane_order(operations(kind)[op], values.tolist(), 3)
    assert old.tolist() == found
    assert cell.tolist() == [last]
    if op != "exch":
        _, cell = run(card, f"redSPACE.{op}.{kind} [%cell], %v; //%d", kind, values, start, space)
        assert cell.tolist() == [last]


@pytest.mark.parametrize("bits", [16, 32, 64])
@pytest.mark.parametrize("space", SPACES)
def test_compare_and_swap(card, bits, space):
    dtype = np.dtype(f"u{bits // 8}").type
    values = np.arange(LANES, dtype=dtype) + dtype(7)
    code = f"{{ .reg .b{bits} new; mov.b{bits} new, 9; "
    if bits == 16:
        code += f"atomSPACE.cas.b{bits} %d, [%cell], %v, new; }}"
    else:
        code += f"add.u{bits} new, %v, 1; atomSPACE.cas.b{bits} %d, [%cell], %v, new; }}"
    old, cell = run(card, code, f"b{bits}", values, dtype(10), space)
    if bits == 16:  # lane 3 swaps 10 for 9, and lane 2 has been
        assert old.tolist() == [10] * 4 + [9] * 28
        assert cell[0] == 9
    else:  # each lane from 3 on finds what the one before left
        assert old.tolist() == [10] * 4 + [10 + i for i in range(1, 29)]
        assert cell[0] == values[-1] + 1


@pytest.mark.parametrize("space", SPACES)
def test_128_bits(card, space):
    values = np.arange(2 * LANES, dtype=np.uint64).reshape(LANES, 2)
    unpack = "mov.b128 {%d0, %d1}, found; }"
    pack = "{ .reg .b128 found, mine, new; mov.b128 mine, {%v0, %v1}; "
    start = np.array([1000, 2000], dtype=np.uint64)

    def of(instruction: str):
        # the pair of registers is packed by hand, so the vector syntax is not wanted
        code = ptx_of("HERE", "b64", "b64", 8, space, 2)
        where = {"global": "%g", "shared": "%s", "generic global": "%cell"}.get(space, "%window")
        named = "" if "generic" in space else f".{space}"
        full = (
            (pack + instruction + unpack).replace("SPACE", named).replace("[%cell]", f"[{where}]")
        )
        old, cell = np.zeros_like(values), start.copy()
        card.run(code.replace("HERE", full), "k", 1, LANES, values.copy(), old, cell)
        return old, cell

    old, cell = of("atomSPACE.exch.b128 found, [%cell], mine; ")
    assert (old == np.concatenate([[start], values[:-1]])).all()
    assert (cell == values[-1]).all()
    code = "{ .reg .b64 a, b; add.u64 a, %v0, 1000; add.u64 b, %v1, 1999; mov.b128 mine, {a, b}; "
    code += "mov.b64 a, 7; mov.b128 new, {a, b}; } atomSPACE.cas.b128 found, [%cell], mine, new; "
    old, cell = of(code)  # lane 0 compares with (1000, 2000)
    assert (old[0] == start).all()
    assert (old[1:] == [7, 2000]).all()
    assert cell.tolist() == [7, 2000]


def single(value: float) -> float:
    """Rounded to f32 from f64, which holds the sum of two of them but for its last bit or so."""
    return float(np.float32(value))


def flushed(value: float) -> float:
    return math.copysign(0.0, value) if abs(value) < 2.0**-126 else value


SMALL = [2.0**-149, -(2.0**-149), 2.0**-127, 2.0**-126, -(2.0**-126), 3 * 2.0**-128, 0.0, -0.0]


@pytest.mark.parametrize("space", SPACES)
def test_sums_of_f32_flush_subnormals_outside_shared_memory(card, space):
    random = np.random.default_rng(5)
    values = np.array([*SMALL, *SMALL[::-1], *random.standard_normal(16)], dtype=np.float32)
    start = np.float32(2.0**-140)
    keep = flushed if "global" in space else float

    def step(a: float, b: float) -> float:
        return keep(single(keep(a) + keep(b)))

    for opcode, target in (("atom", "%d, "), ("red", "")):
        code = f"{opcode}SPACE.add.f32 {target}[%cell], %v; //%d"
        old, cell = run(card, code, "f32", values, start, space)
        found, last = in_lane_order(step, values.tolist(), float(start))
        if opcode == "atom":
            assert old.view(np.uint32).tolist() == np.float32(found).view(np.uint32).tolist()
        assert cell.view(np.uint32)[0] == np.float32(last).view(np.uint32)


@pytest.mark.parametrize("space", SPACES)
def test_sums_of_f64(card, space):
    values = np.array([0.1 * (i - 12) for i in range(LANES)])
    old, cell = run(card, "atomSPACE.add.f64 %d, [%cell], %v;", "f64", values, 1e-320, space)
    found, last = in_lane_order(lambda a, b: a + b, values.tolist(), 1e-320)
    assert old.tolist() == found
    assert cell.tolist() == [last]


def half_sum(name: str):
    """f32 holds a sum of two halves closely enough for one rounding."""

    def step(a: float, b: float) -> float:
        with np.errstate(all="ignore"):
            return float(HALVES[name](np.float32(a) + np.float32(b)))

    return step


def least(pick):
    def step(a: float, b: float) -> float:
        if math.isnan(a) or math.isnan(b):
            return b if math.isnan(a) else a
        if a == b == 0:
            return pick(a, b, key=lambda v: math.copysign(1, v))
        return pick(a, b)

    return step


def half_values(name: str, count: int) -> np.ndarray:
    info = ml_dtypes.finfo(HALVES[name])
    tiny = float(info.smallest_subnormal)
    special = [tiny, -tiny, 0.0, -0.0, 1.0, float(info.max), -1.0, 3 * tiny]
    random = np.random.default_rng(9)
    spread = random.standard_normal(count - len(special)) * 4
    return np.array([*special, *spread]).astype(HALVES[name])


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("name", HALVES)
@pytest.mark.parametrize("packed", [False, True])
def test_sums_of_halves_keep_subnormals(card, name, packed, space):
    values = half_values(name, LANES * (1 + packed)).view(np.uint16)
    if packed:
        values = values.view(np.uint32)
    kind = name + "x2" * packed
    code = f"atomSPACE.add.noftz.{kind} %d, [%cell], %v;"
    old, cell = run(card, code, kind, values, 0, space)
    step = half_sum(name)
    for part in range(1 + packed):
        mine = values.view(HALVES[name]).astype(np.float64)[part :: 1 + packed]
        found, last = in_lane_order(step, mine.tolist(), 0.0)
        assert old.view(HALVES[name]).astype(np.float64)[part :: 1 + packed].tolist() == found
        assert float(cell.view(HALVES[name])[part]) == last


@pytest.mark.parametrize("space", ["global", "generic global"])
@pytest.mark.parametrize("count", [2, 4])
def test_vectors_of_f32(card, count, space):
    values = np.random.default_rng(1).standard_normal((LANES, count)).astype(np.float32)
    values[3, 0] = 2.0**-140
    code = f"atomSPACE.add.v{count}.f32 %d, [%cell], %v;"
    old, cell = run(card, code, "f32", values, np.zeros(count), space)
    for index in range(count):
        found, last = in_lane_order(
            lambda a, b: single(a + flushed(b)), values[:, index].tolist(), 0.0
        )
        assert old[:, index].tolist() == found
        assert cell[index] == last
    _, cell = run(
        card, f"redSPACE.add.v{count}.f32 [%cell], %v; //%d", "f32", values, np.zeros(count), space
    )
    assert (cell == old[-1] + values[-1]).all()


@pytest.mark.parametrize("op", ["add", "min", "max"])
@pytest.mark.parametrize(
    ("name", "packed", "count"),
    [("f16", 1, 2), ("f16", 1, 4), ("f16", 1, 8), ("bf16", 1, 8), ("f16", 2, 2), ("bf16", 2, 4)],
)
def test_vectors_of_halves(card, op, name, packed, count):
    numbers = half_values(name, LANES * count * packed)
    if op != "add":
        numbers[20] = np.nan
    words = numbers.view(np.uint16 if packed == 1 else np.uint32).reshape(LANES, count)
    kind = name + "x2" * (packed == 2)
    code = f"atomSPACE.{op}.noftz.v{count}.{kind} %d, [%cell], %v;"
    old, cell = run(card, code, kind, words, np.zeros(count))
    step = {"add": half_sum(name), "min": least(min), "max": least(max)}[op]
    mine = words.view(HALVES[name]).astype(np.float64)
    for index in range(count * packed):
        found, last = in_lane_order(step, mine[:, index].tolist(), 0.0)
        assert old.view(HALVES[name]).astype(np.float64)[:, index].tolist() == found
        assert float(cell.view(HALVES[name])[index]) == last


def test_modifiers_and_unwanted_results(card):
    values = np.ones(LANES, dtype=np.uint32)
    for code in (
        "atom.acq_rel.gpuSPACE.add.u32 %d, [%cell], %v;",
        "atom.relaxed.sysSPACE.add.u32 %d, [%cell], %v;",
        "atomSPACE.add.u32 _, [%cell], %v; //%d",
        "{ .reg .b64 p; createpolicy.fractional.L2::evict_last.b64 p, 1.0;"
        " atomSPACE.add.L2::cache_hint.u32 %d, [%cell], %v, p; }",
        "red.release.ctaSPACE.add.u32 [%cell], %v; //%d",
    ):
        _, cell = run(card, code, "u32", values, 5)
        assert cell[0] == 5 + LANES


def test_only_active_lanes_take_part(card):
    values = np.arange(LANES, dtype=np.uint32)
    code = "{ .reg .pred p; setp.lt.u32 p, %v, 10; @p atomSPACE.add.u32 %d, [%cell], %v; }"
    old, cell = run(card, code, "u32", values, 100)
    assert cell[0] == 100 + 45
    assert old[:10].tolist() == [100 + i * (i - 1) // 2 for i in range(10)]


def test_bits_of_a_half_are_swapped_alone(card):
    """``cas.b16`` leaves its neighbour in the word as it is."""
    pair = struct.unpack("<I", struct.pack("<HH", 3, 0xBEEF))[0]
    code = """.version 8.5
.target sm_90
.address_size 64
.visible .entry k(.param .u64 cell) {
  .reg .b64 %c; .reg .b16 %a, %b, %d;
  ld.param.u64 %c, [cell]; mov.b16 %a, 3; mov.b16 %b, 4;
  atom.global.cas.b16 %d, [%c], %a, %b; ret; }"""
    cell = np.array([pair], dtype=np.uint32)
    card.run(code, "k", 1, 1, cell)
    assert cell.view(np.uint16).tolist() == [4, 0xBEEF]
