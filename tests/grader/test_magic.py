"""The notebook magic saves first, keeps what was there, and shows a verdict."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

import grader
from grader.catalogue import Course, course
from grader.history import FOLDER, keep, write_whole
from grader.magic import MagicError, run_magic
from grader.starters import make


@pytest.fixture
def copy(tmp_path: Path) -> Course:
    """A course whose labs nobody needs."""
    real = course()
    shutil.copytree(real.solutions, tmp_path / "solutions")
    for name in ("grader", "kernels", "emulator"):
        (tmp_path / name).symlink_to(real.root / name)
    make(Course(tmp_path))
    return Course(tmp_path)


def saved(copy: Course, name: str) -> str:
    return (copy.labs / "01_coalescing" / name).read_text()


def earlier(copy: Course) -> list[str]:
    folder = copy.labs / "01_coalescing" / FOLDER
    return [path.read_text() for path in sorted(folder.iterdir())] if folder.exists() else []


def test_a_cell_is_saved_and_judged(copy: Course) -> None:
    before = saved(copy, "gather_rows.cu")
    cell = (copy.solutions / "01_coalescing" / "gather_rows.cu").read_text()
    shown = run_magic("01_coalescing/gather_rows.cu --device emulated", cell, copy)
    assert shown is not None
    assert saved(copy, "gather_rows.cu") == cell
    assert earlier(copy) == [before]
    assert [task.task for task in shown.verdict.tasks] == ["gather_rows"]
    assert "Not yet" in shown._repr_html_()  # the .py beside it still has the starter's grid
    assert "rows_a_block" in repr(shown)
    assert "Saved to labs/01_coalescing/gather_rows.cu" in shown._repr_html_()


def test_a_cell_that_python_cannot_read_is_saved_all_the_same(copy: Course) -> None:
    shown = run_magic("1/aos_scan.py", "def solve(device,\n    oops", copy)
    assert shown is not None
    assert shown.verdict.tasks[0].code == "syntax-error"
    assert saved(copy, "aos_scan.py") == "def solve(device,\n    oops\n"


def test_nothing_is_kept_twice(copy: Course) -> None:
    for cell in ("one", "one", "two"):
        run_magic("01/aos_scan.cu --save-only", cell, copy)
    assert len(earlier(copy)) == 2
    assert saved(copy, "aos_scan.cu") == "two\n"


def test_the_line_magic_judges_what_is_there(copy: Course) -> None:
    shown = run_magic("01_coalescing/aos_scan", None, copy)
    assert shown is not None
    assert shown.verdict.tasks[0].code == "too-costly"
    assert earlier(copy) == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "which lab's file"),
        ("aos_scan.py", "which lab's file"),
        ("02_other/aos_scan.py", "no lab '02_other'"),
        ("01/aos_scam.py", "Did you mean aos_scan"),
        ("01/aos_scan.txt", "must end in .py or .cu"),
        ("01/aos_scan.py --fast", "unknown option --fast"),
        ("01/aos_scan.py --device tpu", "invalid choice"),
        ("01/'aos_scan.py", "quotation"),
        ("01/../../aos_scan.py", "no lab"),
    ],
)
def test_a_first_line_that_does_not_fit_says_what_does(copy: Course, line: str, words: str) -> None:
    with pytest.raises(MagicError, match=words):
        run_magic(line, "cell", copy)
    assert earlier(copy) == []


def test_a_folder_that_cannot_be_written_loses_nothing(
    copy: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("grader.magic.write_whole", refuse)
    before = saved(copy, "aos_scan.py")
    with pytest.raises(MagicError, match=r"cannot write labs/01_coalescing/aos_scan\.py"):
        run_magic("01/aos_scan.py", "mine", copy)
    assert saved(copy, "aos_scan.py") == before


def test_a_notebook_knows_the_magic() -> None:
    shell = InteractiveShell()
    grader.load_ipython_extension(shell)
    assert {"lab"} <= set(shell.magics_manager.magics["cell"])
    assert {"lab"} <= set(shell.magics_manager.magics["line"])


def test_versions_of_the_same_second_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.cu"
    for text in ("one", "two", "three"):
        path.write_text(text)
        keep(path)
    assert sorted(p.read_text() for p in (tmp_path / FOLDER).iterdir()) == ["one", "three", "two"]


def test_a_file_is_replaced_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.cu"
    path.write_text("old")

    def fail(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["a.cu"]
