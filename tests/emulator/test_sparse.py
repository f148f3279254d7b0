"""``mma.sp``: products with a matrix of which each row keeps two of four elements."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.sparse_layout import kept, metadata
from emulator.errors import UnsupportedInstruction
from tests.emulator.fragments import (
    A_PLACES,
    B_PLACES,
    BITS,
    C_PLACES,
    from_registers,
    to_registers,
)
from tests.emulator.test_tensor import bound, numbers

FORMS = [  # k, types of D and A and B, selectors
    (16, "f32", "f16", "f16", 4), (32, "f32", "f16", "f16", 2), (32, "f16", "f16", "f16", 2),
    (16, "f32", "bf16", "bf16", 4), (32, "f32", "bf16", "bf16", 2),
    (8, "f32", "tf32", "tf32", 4), (16, "f32", "tf32", "tf32", 2),
    (64, "f32", "e4m3", "e5m2", 1), (64, "f16", "e5m2", "e4m3", 1),
    (32, "s32", "s8", "u8", 2), (64, "s32", "u8", "s8", 1),
    (64, "s32", "s4", "s4", 2), (128, "s32", "u4", "s4", 1),
]  # fmt: skip


def reordered(words: np.ndarray) -> np.ndarray:
    """CUTLASS's ``reorder_meta``: metadata in the order in which a warp's lanes load it."""
    group, interweave = (32, 4) if words.dtype == np.uint16 else (16, 2)
    out = np.zeros_like(words)
    for row in range(words.shape[0]):
        for column in range(words.shape[1]):
            to = row // group * group + row % 8 * interweave + row % group // 8
            across = column
            if to % 2 == 0 and column % 2 == 1:
                to, across = to + 1, column - 1
            elif to % 2 == 1 and column % 2 == 0:
                to, across = to - 1, column + 1
            out[to, across] = words[row, column]
    return out


def test_metadata_lies_where_cutlass_puts_it():
    random = np.random.default_rng(0)
    _, codes = kept(random, "s8", 64)
    words = sum(codes[:, i::8] << np.uint64(4 * i) for i in range(8)).astype(np.uint32)
    assert np.array_equal(reordered(words).reshape(-1), metadata(codes, "s8", 0))
    tiles = [kept(random, "f16", 32)[1] for _ in range(2)]  # two instructions' worth, by selector
    both = np.concatenate(tiles)
    halves = sum(both[:, i::4] << np.uint64(4 * i) for i in range(4)).astype(np.uint16)
    loaded = np.ascontiguousarray(reordered(halves)).view(np.uint32).reshape(-1)
    for selector, codes in enumerate(tiles):
        register = metadata(codes, "f16", selector)
        mine = np.arange(32) % 4 // 2 == selector
        assert np.array_equal(register[mine], loaded[mine])


def kernel(instruction: str, counts: tuple[int, ...], selector: int) -> str:
    lines, vectors = [], {}
    for name, count in zip("abcde", counts, strict=True):
        names = [f"%{name}{i}" for i in range(count)]
        vectors[name] = "{" + ", ".join(names) + "}"
        lines.append(f"  .reg .b32 {', '.join(names)};")
        lines.append(
            f"  ld.param.u64 %{name}at, [{name}]; mad.wide.u32 %{name}at, %t, 4, %{name}at;"
        )
        if name != "d":
            lines += [f"  ld.global.b32 {x}, [%{name}at+{128 * i}];" for i, x in enumerate(names)]
    stores = [f"  st.global.b32 [%dat+{128 * i}], %d{i};" for i in range(counts[3])]
    operands = f"{vectors['d']}, {vectors['a']}, {vectors['b']}, {vectors['c']}, %e0, {selector}"
    return "\n".join([
        ".version 8.7", ".target sm_90", ".address_size 64",
        ".visible .entry k(.param .u64 a, .param .u64 b, .param .u64 c, .param .u64 d,",
        "  .param .u64 e)", "{", "  .reg .b64 %aat, %bat, %cat, %dat, %eat; .reg .b32 %t;",
        "  mov.u32 %t, %tid.x;", *lines, f"  {instruction} {operands};", *stores, "  ret;", "}",
    ])  # fmt: skip


def multiply(card, instruction, kinds, matrices, pattern, selector):
    d, a, b, c = kinds
    x, y, z = matrices
    mask, codes = pattern
    k = y.shape[0]
    held = x[mask].reshape(16, k // 2)
    fragments = [
        to_registers(held, a, A_PLACES[16, k // 2, BITS[a]]),
        np.concatenate([to_registers(part, b, B_PLACES[k // 2, BITS[b]])
                        for part in (y[: k // 2], y[k // 2 :])]),
        to_registers(z, c, C_PLACES[16]), to_registers(np.zeros((16, 8)), d, C_PLACES[16]),
        metadata(codes, a, selector).reshape(1, 32),
    ]  # fmt: skip
    counts = tuple(f.shape[0] for f in fragments)
    card.run(kernel(instruction, counts, selector), "k", 1, 32, *fragments)
    return from_registers(fragments[3], d, C_PLACES[16], (16, 8))


@pytest.mark.parametrize(("k", "d", "a", "b", "selectors"), FORMS)
def test_products_meet_only_what_is_kept(card, k, d, a, b, selectors):
    random = np.random.default_rng(k)
    for selector in (0, selectors - 1):
        mask, codes = kept(random, a, k)
        if d == "s32":
            low, high = ((0, 1 << BITS[kind]) if kind[0] == "u"
                         else (-(1 << BITS[kind] - 1), 1 << BITS[kind] - 1)
                         for kind in (a, b))  # fmt: skip
            x, y = random.integers(*low, (16, k)), random.integers(*high, (k, 8))
            z = random.integers(-1000, 1000, (16, 8))
        else:
            x, y = numbers(random, (16, k), a), numbers(random, (k, 8), b)
            z = numbers(random, (16, 8), d)
        ordered = "sp::ordered_metadata" if selector else "sp"
        instruction = f"mma.{ordered}.sync.aligned.m16n8k{k}.row.col.{d}.{a}.{b}.{d}"
        got = multiply(card, instruction, (d, a, b, d), (x, y, z), (mask, codes), selector)
        left = np.where(mask, np.asarray(x).astype(np.float64), 0)
        right, start = (np.asarray(v).astype(np.float64) for v in (y, z))
        expected = left @ right + start
        limit = 0 if d == "s32" else bound(left, right, start, expected, d)
        assert np.all(np.abs(got.astype(np.float64) - expected) <= limit), selector


def test_an_infinity_that_meets_nothing_changes_nothing(card):
    random = np.random.default_rng(3)
    mask, codes = kept(random, "f16", 32)
    mask[:] = np.tile([True, True, False, False], 8)
    codes[:] = 0b0100
    x, y, z = np.ones((16, 32)), np.ones((32, 8)), np.zeros((16, 8))
    y[2::4] = np.inf
    instruction = "mma.sp.sync.aligned.m16n8k32.row.col.f32.f16.f16.f32"
    got = multiply(card, instruction, ("f32", "f16", "f16", "f32"), (x, y, z), (mask, codes), 0)
    assert np.all(got == 16)


def test_a_selector_that_the_shape_does_not_have_is_refused(card):
    arrays = [np.zeros((n, 32), dtype=np.uint32) for n in (4, 4, 4, 4, 1)]
    instruction = "mma.sp.sync.aligned.m16n8k32.row.col.f32.f16.f16.f32"
    with pytest.raises(UnsupportedInstruction, match="m16n8k32"):
        card.run(kernel(instruction, (4, 4, 4, 4, 1), 2), "k", 1, 32, *arrays)
