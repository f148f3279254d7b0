"""Labs and tasks by name, number or part of a name."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from grader.catalogue import Course, UnknownName, course, find_task


@pytest.mark.parametrize(
    "given", ["01_coalescing", "01", "1", "coal", "labs/01_coalescing/", "01_COALESCING", " 01 "]
)
def test_a_lab_is_found_by_what_only_it_is_called(given: str) -> None:
    assert course().find(given) == "01_coalescing"


@pytest.mark.parametrize("given", ["", "99", "zzz", "labs", "02_coalescing"])
def test_an_unknown_lab_is_refused_with_what_there_is(given: str) -> None:
    with pytest.raises(UnknownName, match="01_coalescing"):
        course().find(given)


def test_a_misspelt_lab_or_task_is_guessed() -> None:
    with pytest.raises(UnknownName, match="Did you mean 01_coalescing"):
        course().find("01_coalesing")
    with pytest.raises(UnknownName, match="Did you mean gather_rows"):
        find_task(course().lab("01"), "gather_row_s.py")


def test_two_labs_that_begin_alike_are_both_named(tmp_path: Path) -> None:
    for name in ("05_flash_attention", "05_flash_decoding"):
        folder = tmp_path / "solutions" / name
        folder.mkdir(parents=True)
        (folder / "lab.py").touch()
    with pytest.raises(UnknownName, match="05_flash_attention, 05_flash_decoding"):
        Course(tmp_path).find("05")


@pytest.mark.parametrize("given", ["gather_rows", "gather_rows.cu", "gather", "a/gather_rows.py"])
def test_a_task_is_found_by_its_name_or_file(given: str) -> None:
    assert find_task(course().lab("01"), given).name == "gather_rows"


def test_a_lab_has_the_name_of_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "solutions" / "02_other"
    folder.mkdir(parents=True)
    shutil.copy(course().solutions / "01_coalescing" / "lab.py", folder)
    with pytest.raises(AssertionError, match="01_coalescing"):
        Course(tmp_path).lab("02")
