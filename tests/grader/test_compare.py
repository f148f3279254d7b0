"""Numbers against a reference, and where they are wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from grader.compare import compare, near
from grader.lab import Array, Expected
from grader.patterns import pattern_of

RNG = np.random.default_rng(1)
VALUES = RNG.uniform(1.0, 2.0, 1000)


def expected(values: Array = VALUES, tolerance: float = 1e-6) -> Expected:
    return Expected(values.astype(np.float64), "float32", tolerance)


def kind(got: Array, values: Array = VALUES) -> str:
    mismatch = compare(expected(values), got)
    assert mismatch is not None and mismatch.pattern is not None
    return mismatch.pattern.kind


def poisoned(*where: object) -> Array:
    got = VALUES.astype(np.float32)
    for part in where:
        got[part] = np.frombuffer(b"\xff" * 4, np.float32)[0]  # type: ignore[call-overload]
    return got


def test_what_is_within_tolerance_passes() -> None:
    assert compare(expected(), VALUES.astype(np.float32)) is None


@given(
    arrays.arrays(np.float32, 40, elements=st.floats(width=32, allow_nan=True)),
    st.sampled_from([0.0, 1.0, 1e30]),
)
def test_nan_and_infinity_never_pass_for_numbers(got: Array, tolerance: float) -> None:
    ok = near(expected(np.zeros(40), tolerance), got)
    assert not ok[~np.isfinite(got)].any()
    assert (ok[np.isfinite(got)] == (np.abs(got[np.isfinite(got)]) <= tolerance)).all()


@given(st.integers(0, 999), st.floats(2e-6, 1e6))
def test_a_single_wrong_element_is_found_anywhere(place: int, off: float) -> None:
    got = VALUES.astype(np.float32)
    got[place] += np.float32(max(off, 1e-5))
    mismatch = compare(expected(), got)
    assert mismatch is not None
    assert f"[{place}]" in mismatch.examples


def test_integers_must_be_equal() -> None:
    want = Expected(np.array([1, 2**62 + 1]), "int64", 0.0)
    assert compare(want, np.array([1, 2**62 + 1])) is None
    assert compare(want, np.array([1, 2**62])) is not None


@pytest.mark.parametrize(
    ("got", "code"),
    [
        (np.zeros((1000, 1), np.float32), "wrong-shape"),
        (np.zeros(0, np.float32), "wrong-shape"),
        (VALUES, "wrong-dtype"),
        (VALUES.astype(np.float16), "wrong-dtype"),
        (np.full(1000, np.nan, np.float32), "not-finite"),
        (np.zeros(1000, np.float32), "wrong-values"),
        (poisoned(slice(5, None)), "not-written"),
    ],
)
def test_codes(got: Array, code: str) -> None:
    mismatch = compare(expected(), got)
    assert mismatch is not None and mismatch.code == code


@pytest.mark.parametrize(
    ("got", "found"),
    [
        (poisoned(slice(768, None)), "tail"),
        (poisoned(slice(0, 3)), "head"),
        (poisoned(slice(3, None, 8)), "periodic"),
        (poisoned(slice(None)), "everything"),
        (poisoned(999), "single"),
        (poisoned([1, 7, 50, 51, 400]), "scattered"),
        (np.roll(VALUES, 1).astype(np.float32), "shifted"),
        (np.roll(VALUES, -3).astype(np.float32), "shifted"),
        (VALUES[::-1].astype(np.float32), "permuted"),
        ((VALUES * 3).astype(np.float32), "scaled"),
        (VALUES.astype(np.float16).astype(np.float32), "imprecise"),
        (np.zeros(1000, np.float32), "zeros"),
        (np.full(1000, 1.5, np.float32), "constant"),
    ],
)
def test_patterns(got: Array, found: str) -> None:
    assert kind(got) == found


def test_a_tail_that_begins_at_a_blocks_end_is_called_so() -> None:
    mismatch = compare(expected(), poisoned(slice(768, None)))
    assert mismatch is not None and mismatch.pattern is not None
    assert "only elements 768 to 999, the last 232 of 1,000" in mismatch.pattern.where
    assert "a multiple of 256" in mismatch.pattern.meaning


@pytest.mark.parametrize(
    ("part", "found", "where"),
    [
        ((slice(None), slice(32, None)), "columns-tail", "only columns 32 to 39"),
        ((slice(8, None), slice(None)), "rows-tail", "only rows 8 to 24"),
        ((slice(None), slice(0, 1)), "columns-single", "only column 0"),
    ],
)
def test_whole_rows_and_columns(part: tuple[slice, slice], found: str, where: str) -> None:
    values = VALUES.reshape(25, 40)
    got = values.astype(np.float32)
    got[part] = np.frombuffer(b"\xff" * 4, np.float32)[0]
    mismatch = compare(expected(values), got)
    assert mismatch is not None and mismatch.pattern is not None
    assert mismatch.pattern.kind == found
    assert where in mismatch.pattern.where


def test_the_answer_to_earlier_inputs_is_recognised() -> None:
    other = expected(RNG.uniform(1.0, 2.0, 1000))
    mismatch = compare(expected(), other.values.astype(np.float32), earlier=[other])
    assert mismatch is not None and mismatch.code == "not-repeatable"


@given(arrays.arrays(np.bool_, st.integers(1, 300)))
def test_every_mask_has_a_pattern(bad: Array) -> None:
    if bad.any():
        values = np.arange(1.0, bad.size + 1)
        pattern = pattern_of(bad, values, np.where(bad, -(values**2), values), np.zeros_like(bad))
        assert pattern.where and pattern.meaning
