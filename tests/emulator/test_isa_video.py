"""Video instructions against the ISA's pseudocode in whole numbers."""

from __future__ import annotations

import itertools
import operator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.emulator.oracle import apply

WIDTH = {"b": 8, "h": 16, "": 32}
COMPARE = {name: getattr(operator, name) for name in ("eq", "ne", "lt", "le", "gt", "ge")}
OPERATIONS = {
    "vadd": lambda a, b: a + b,
    "vsub": lambda a, b: a - b,
    "vabsdiff": lambda a, b: abs(a - b),
    "vmin": min,
    "vmax": max,
    "vavrg": lambda a, b: (a + b + (a + b >= 0)) >> 1,
}
JOIN = {"add": lambda a, b: a + b, "min": min, "max": max}
CORNERS = [0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x00FF80FF, 0x8000FF7F, 0x12345678]
SIGNS = ["u32", "s32"]


def extended(value: int, width: int, kind: str) -> int:
    value &= (1 << width) - 1
    return value - (1 << width) if kind[0] == "s" and value >> (width - 1) else value


def taken(value: int, part: str, kind: str) -> int:
    width = WIDTH[part[:1]]
    return extended(value >> int(part[1:] or 0) * width, width, kind)


def clamped(value: int, width: int, kind: str) -> int:
    low = -(1 << (width - 1)) if kind[0] == "s" else 0
    return min(max(value, low), low + (1 << width) - 1)


def finished(value: int, c: int, kind: str, part: str, sat: bool, join: str) -> int:
    width = WIDTH[part[:1]]
    if sat:
        value = clamped(value, width, kind)
    if join:
        return JOIN[join](value, extended(c, 32, kind)) & 0xFFFFFFFF
    if part:
        mask = ((1 << width) - 1) << int(part[1:]) * width
        return (c & ~mask) | (value << int(part[1:]) * width & mask)
    return value & 0xFFFFFFFF


def operands(seed: int, count: int = 24) -> tuple[list[int], list[int], list[int]]:
    random = np.random.default_rng(seed)
    some = random.integers(0, 2**32, (3, count), dtype=np.uint32).tolist()
    near = list(zip(*itertools.product(CORNERS, CORNERS), strict=True))
    thirds = [*near[1][::-1]]
    return tuple([*x, *y] for x, y in zip(some, (*near, thirds), strict=True))


def check(card, code: str, oracle, a, b, c) -> None:
    arrays = [("u32", np.array(v, dtype=np.uint32)) for v in (a, b, c)]
    got = apply(card, code, "u32", *arrays)
    expected = [oracle(*row) for row in zip(a, b, c, strict=True)]
    assert [hex(v) for v in got.tolist()] == [hex(v) for v in expected], code


def dotted(part: str) -> str:
    return "." + part if part else ""


@pytest.mark.parametrize("op", ["vadd", "vsub", "vabsdiff", "vmin", "vmax"])
def test_scalars(card, op):
    a, b, c = operands(1)
    choices = [
        ("", "", "", ""), ("b1", "h0", "b3", ""), ("", "h1", "", "add"),
        ("", "b0", "b2", "min"), ("", "", "h1", "max"), ("h1", "", "b1", ""),
    ]  # fmt: skip
    for kinds, sat, (d_part, a_part, b_part, join) in zip(
        itertools.cycle(itertools.product(SIGNS, repeat=3)),
        itertools.cycle([False, True, True]),
        choices * 4,
        strict=False,
    ):
        target, left, right = kinds
        code = f"{op}.{'.'.join(kinds)}{'.sat' * sat}{dotted(join)} %d{dotted(d_part)}, "
        code += f"%0{dotted(a_part)}, %1{dotted(b_part)}"
        code += ", %2;" if join or d_part else ";"

        def oracle(x, y, z, left=left, right=right, a_part=a_part, b_part=b_part, target=target,
                   d_part=d_part, sat=sat, join=join):  # fmt: skip
            value = OPERATIONS[op](taken(x, a_part, left), taken(y, b_part, right))
            return finished(value, z, target, d_part, sat, join)

        check(card, code, oracle, a, b, c)


@pytest.mark.parametrize("op", ["vshl", "vshr"])
@pytest.mark.parametrize("mode", ["clamp", "wrap"])
def test_shifts(card, op, mode):
    a, b, c = operands(2)
    b = [v % 40 for v in b]
    for kind, sat, part in itertools.product(SIGNS, [False, True], ["", "h1"]):
        code = f"{op}.{kind}.{kind}.u32{'.sat' * sat}.{mode} %d{dotted(part)}, %0.h0, %1"
        code += ", %2;" if part else ";"

        def oracle(x, y, z, kind=kind, sat=sat, part=part):
            by = min(y, 32) if mode == "clamp" else y & 31
            value = taken(x, "h0", kind)
            value = value << by if op == "vshl" else value >> by
            return finished(value, z, kind, part, sat, "")

        check(card, code, oracle, a, b, c)


def test_multiply_add(card):
    a, b, c = operands(3)
    forms = itertools.product(["u32", "s32"], SIGNS, ["", ".shr7", ".shr15"], ["", "a", "c", "po"])
    for left, right, scale, minus in forms:
        if minus == "a" and "s32" not in (left, right):
            continue  # ptxas wants a signed product to negate
        po = ".po" if minus == "po" else ""
        signs = ["-" if minus == name else "" for name in "abc"]
        code = f"vmad.s32.{left}.{right}{po}.sat{scale} %d, {signs[0]}%0, {signs[1]}%1, "
        code += f"{signs[2]}%2;"
        signed = "s32" in (left, right) or minus in ("a", "c")

        def oracle(x, y, z, left=left, right=right, minus=minus, scale=scale, signed=signed):
            value = taken(x, "", left) * taken(y, "", right)
            third = extended(z, 32, "s32" if signed else "u32")
            value = -value if minus == "a" else value
            third = -third if minus == "c" else third
            value = (value + third + (minus == "po")) >> int(scale[4:] or 0)
            return clamped(value, 32, "s32" if signed else "u32") & 0xFFFFFFFF

        check(card, code, oracle, a, b, c)


@pytest.mark.parametrize("name", COMPARE)
def test_comparisons(card, name):
    a, b, c = operands(4)
    for left, right in itertools.product(SIGNS, repeat=2):
        for part, join in (("", ""), ("b2", ""), ("", "add"), ("", "max")):
            code = f"vset.{left}.{right}.{name}{dotted(join)} %d{dotted(part)}, %0.h1, %1"
            code += ", %2;" if part or join else ";"

            def oracle(x, y, z, left=left, right=right, part=part, join=join):
                holds = COMPARE[name](taken(x, "h1", left), taken(y, "", right))
                return finished(int(holds), z, "u32", part, False, join)

            check(card, code, oracle, a, b, c)


@st.composite
def packed_forms(draw):
    count = draw(st.sampled_from([2, 4]))
    op = draw(st.sampled_from([*OPERATIONS, "vset"]))
    kinds = draw(st.tuples(*[st.sampled_from(SIGNS)] * 3))
    selectors = [
        draw(st.none() | st.lists(st.integers(0, 2 * count - 1), min_size=count, max_size=count))
        for _ in "ab"
    ]
    written = draw(st.none() | st.sets(st.integers(0, count - 1), min_size=1))
    add = draw(st.booleans())
    sat = draw(st.booleans()) and op != "vset"
    return count, op, kinds, selectors, written, add, sat, draw(st.sampled_from([*COMPARE]))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow],
          derandomize=True)  # fmt: skip
@given(packed_forms())
def test_packed(card, form):
    count, op, kinds, selectors, written, add, sat, name = form
    width, letter = 32 // count, "h" if count == 2 else "b"
    picks = [s or list(range(i * count, (i + 1) * count)) for i, s in enumerate(selectors)]
    parts = ["" if s is None else f".{letter}" + "".join(map(str, reversed(s))) for s in selectors]
    mask = "" if written is None else f".{letter}" + "".join(map(str, sorted(written)[::-1]))
    types = kinds[1:] if op == "vset" else kinds
    code = f"{op}{count}.{'.'.join(types)}{f'.{name}' * (op == 'vset')}{'.sat' * sat}"
    code += f"{'.add' * add} %d{mask}, %0{parts[0]}, %1{parts[1]}, %2;"
    a, b, c = operands(5)

    def oracle(x, y, z):
        total = z
        for index in range(count) if written is None else written:
            fields = [extended((y << 32 | x) >> p[index] * width, width, k)
                      for p, k in zip(picks, kinds[1:], strict=True)]  # fmt: skip
            value = int(COMPARE[name](*fields)) if op == "vset" else OPERATIONS[op](*fields)
            value = clamped(value, width, kinds[0]) if sat else value
            field = ((1 << width) - 1) << index * width
            total = total + value if add else (total & ~field) | (value << index * width & field)
        return total & 0xFFFFFFFF

    check(card, code, oracle, a, b, c)
