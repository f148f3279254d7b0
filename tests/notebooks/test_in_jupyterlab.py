"""The first lesson as a user sees it: JupyterLab in a browser, widgets live."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.notebooks.browser import Page, open_page
from tests.notebooks.lab_page import errors, open_notebook, run_all
from tests.notebooks.lab_server import serve

NUMBERS = "document.querySelector('.coalesce-access-pattern')?.innerText"
SECTORS_DRAWN = (
    "[...document.querySelectorAll('.js-plotly-plot .barlayer path')]"
    ".filter(p => p.style.fill === 'rgb(230, 159, 0)').length"
)
SLIDERS = "document.querySelectorAll('.widget-slider .noUi-handle')"
ARROW_RIGHT = 39
TALL = 9000  # pixels: JupyterLab draws only the cells in view


@pytest.mark.timeout(240)  # a server, a browser and a notebook, on a machine that does other things
def test_the_first_lesson_works_in_jupyterlab(repository: Path, tmp_path: Path) -> None:
    """One test, so that one server and one browser serve all of it."""
    root = tmp_path / "course"
    ignore = shutil.ignore_patterns(".ipynb_checkpoints")
    shutil.copytree(repository / "notebooks", root / "notebooks", ignore=ignore)
    with serve(root, tmp_path) as server, open_page(tmp_path, height=TALL) as page:
        served = {file["name"] for file in server.get("api/contents/notebooks")["content"]}
        assert served >= {"00_start_here.ipynb", "01_coalescing.ipynb"}
        open_notebook(page, server, "notebooks/01_coalescing.ipynb")
        run_all(page)
        assert errors(page) == []
        the_picture_and_its_numbers_are_there(page)
        moving_a_slider_runs_the_kernel_again(page)
        a_prediction_shows_the_answer_once_it_is_committed(page)


def the_picture_and_its_numbers_are_there(page: Page) -> None:
    page.wait_for("document.querySelector('.js-plotly-plot .barlayer .point') !== null")
    text = page.wait_for(NUMBERS)
    assert "in[lane]" in text and "100 %" in text


def moving_a_slider_runs_the_kernel_again(page: Page) -> None:
    page.wait_for(f"{SLIDERS}.length === 2")
    assert page.evaluate(SECTORS_DRAWN) == 4
    page.evaluate(f"{SLIDERS}[1].focus()")
    page.press("ArrowRight", ARROW_RIGHT)
    page.wait_for(f"{NUMBERS}.includes('in[2 * lane]')", 20)
    assert "50 %" in page.evaluate(NUMBERS)
    page.wait_for(f"{SECTORS_DRAWN} === 8", 20)


def a_prediction_shows_the_answer_once_it_is_committed(page: Page) -> None:
    first = "document.querySelector('.coalesce-prediction input')"
    shown = f"{first}.closest('.widget-vbox').innerText"
    assert "You said" not in page.evaluate(shown)
    page.evaluate(f"{first}.scrollIntoView(), {first}.focus()")
    page.call("Input.insertText", text="4")
    page.evaluate(f"{first}.closest('.widget-vbox').querySelector('button').click()")
    assert "You said 4" in page.wait_for(f"{shown}.includes('You said') && {shown}", 20)
