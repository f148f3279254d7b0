"""The first lesson as a user sees it: JupyterLab in a browser, widgets live."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.notebooks.browser import Page, open_page
from tests.notebooks.lab_page import errors, open_notebook, run_all
from tests.notebooks.lab_server import serve

NUMBERS = "document.querySelector('.coalesce-access-pattern')?.innerText"
SLIDERS = "document.querySelectorAll('.widget-slider .noUi-handle')"
ARROW_RIGHT = 39
TALL = 9000  # pixels: JupyterLab draws only the cells in view


@pytest.fixture(scope="module")
def lesson(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A copy of 01_coalescing, run from top to bottom."""
    scratch = tmp_path_factory.mktemp("jupyterlab")
    root = scratch / "course"
    shutil.copytree(
        repository / "notebooks", root / "notebooks",
        ignore=shutil.ignore_patterns(".ipynb_checkpoints"),
    )  # fmt: skip
    with serve(root, scratch) as server, open_page(scratch, height=TALL) as page:
        assert {f["name"] for f in server.get("api/contents/notebooks")["content"]} >= {
            "00_start_here.ipynb",
            "01_coalescing.ipynb",
        }
        open_notebook(page, server, "notebooks/01_coalescing.ipynb")
        run_all(page)
        yield page


def test_all_cells_run(lesson: Page) -> None:
    assert errors(lesson) == []


def test_the_picture_and_its_numbers_are_there(lesson: Page) -> None:
    lesson.wait_for("document.querySelector('.js-plotly-plot .barlayer .bar') !== null")
    text = lesson.wait_for(NUMBERS)
    assert "in[lane]" in text and "100 %" in text


def test_moving_a_slider_runs_the_kernel_again(lesson: Page) -> None:
    lesson.wait_for(f"{SLIDERS}.length === 2")
    before = lesson.evaluate(NUMBERS)
    lesson.evaluate(f"{SLIDERS}[1].focus()")
    lesson.press("ArrowRight", ARROW_RIGHT)
    lesson.wait_for(f"{NUMBERS} !== {before!r} && {NUMBERS}.includes('in[2 * lane]')", 20)
    assert "50 %" in lesson.evaluate(NUMBERS)


def test_a_prediction_shows_the_answer_once_it_is_committed(lesson: Page) -> None:
    first = "document.querySelector('.coalesce-prediction input')"
    shown = f"{first}.closest('.widget-vbox').innerText"
    assert "You said" not in lesson.evaluate(shown)
    lesson.evaluate(f"{first}.scrollIntoView(), {first}.focus()")
    lesson.call("Input.insertText", text="4")
    lesson.evaluate(f"{first}.closest('.widget-vbox').querySelector('button').click()")
    assert "You said 4" in lesson.wait_for(f"{shown}.includes('You said') && {shown}", 20)
