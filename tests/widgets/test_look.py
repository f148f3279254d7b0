from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from widgets.look import BLUE, GREEN, GREY, ORANGE, SKY, bar, significant, table

WHITE, DARK = "#ffffff", "#111111"  # JupyterLab's pages


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("page", [WHITE, DARK])
def test_a_figures_text_reads_on_both_pages(page: str) -> None:
    assert contrast(GREY, page) >= 4.0


def test_lane_numbers_read_on_their_squares() -> None:
    assert contrast(WHITE, BLUE) >= 4.5


@pytest.mark.parametrize(("one", "other"), [(BLUE, ORANGE), (BLUE, SKY)])
def test_neighbouring_colours_differ_in_lightness_too(one: str, other: str) -> None:
    assert contrast(one, other) >= 2.0


@pytest.mark.parametrize("page", [DARK, WHITE])
@pytest.mark.parametrize("colour", [BLUE, GREEN])
def test_edges_show_on_both_pages(colour: str, page: str) -> None:
    assert contrast(colour, page) >= 3.0


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (5.0, "5"), (16.27, "16.3"), (2998.4, "2,998"), (0.04371, "0.0437"), (132, "132"),
     (100.0, "100"), (-8.5, "-8.5"), (120000, "120,000")],
)  # fmt: skip
def test_numbers_have_three_digits_and_marked_thousands(value: float, text: str) -> None:
    assert significant(value) == text


@given(st.floats(1e-6, 1e12))
def test_a_shown_number_is_near_the_true_one(value: float) -> None:
    assert float(significant(value).replace(",", "")) == pytest.approx(value, rel=0.006)


@given(st.floats(-10, 10))
def test_a_bar_is_never_wider_than_its_frame(share: float) -> None:
    filled = float(bar(share, BLUE).rpartition("width: ")[2].partition("%")[0])
    assert 0 <= filled <= 100


def test_a_table_has_a_head_and_aligned_numbers() -> None:
    html = table(["name", "n"], [["a", "1"]], numbers=(1,))
    assert html.count("<th ") == 2 and html.count("<td ") == 2
    assert html.count("text-align: right") == 2
