"""Starters are made from solutions, and nobody's work is overwritten."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from grader.catalogue import DEFINITION, Course, course
from grader.starters import MarkError, is_untouched, make, starters, strip

SOLUTION = """before
    // BEGIN SOLUTION: add them up (about 2 lines)
    secret();
    // STARTER
    // y = 0;
    //     deeper = 1;
    // END SOLUTION
after
"""


@pytest.fixture
def copy(tmp_path: Path) -> Course:
    """The course's solutions in a folder of their own, with starters."""
    shutil.copytree(course().solutions, tmp_path / "solutions")
    made = Course(tmp_path)
    make(made)
    return made


def test_a_marked_region_becomes_a_note_and_the_starters_lines() -> None:
    assert strip(SOLUTION, "x.cu") == (
        "before\n    // FILL ME IN: add them up (about 2 lines)\n    y = 0;\n"
        "        deeper = 1;\nafter\n"
    )


def test_a_region_may_leave_nothing_but_the_note() -> None:
    text = "# BEGIN SOLUTION: do it (1 line)\nsecret()\n# END SOLUTION\n"
    assert strip(text, "x.py") == "# FILL ME IN: do it (1 line)\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("// BEGIN SOLUTION: a\n", "does not end"),
        ("// BEGIN SOLUTION: a\n// BEGIN SOLUTION: b\n", "x.cu:2: a region begins inside"),
        ("// END SOLUTION\n", "x.cu:1: END SOLUTION without"),
        ("// STARTER\n", "x.cu:1: STARTER outside"),
        ("// BEGIN SOLUTION: a\n// STARTER\ncode\n// END SOLUTION\n", "x.cu:3: a starter's line"),
    ],
)
def test_marks_that_do_not_pair_up_are_errors(text: str, words: str) -> None:
    with pytest.raises(MarkError, match=words):
        strip(text, "x.cu")


def test_the_committed_starters_are_current() -> None:
    fine = {"current"} if os.environ.get("CI") else {"current", "edited"}  # by who learns here
    assert {s.path.name for s in starters(course()) if s.state not in fine} == set()


def test_no_solution_hint_or_definition_is_in_the_labs(copy: Course) -> None:
    for lab in copy.names():
        assert not (copy.labs / lab / DEFINITION).exists()
        for path in (copy.labs / lab).iterdir():
            text = path.read_text()
            assert "FILL ME IN" in text or path.suffix == ".py"
            assert "SOLUTION" not in text and "STARTER" not in text
        definition = copy.lab(lab)
        everything = "".join(path.read_text() for path in (copy.labs / lab).iterdir())
        for task in definition.tasks:
            assert not [hint for hint in task.hints if hint in everything]
            assert (copy.labs / lab / f"{task.name}.py").exists()


def test_a_starter_says_where_it_is_from_and_how(copy: Course) -> None:
    for starter in starters(copy):
        last = starter.path.read_text().splitlines()[-1]
        assert f"Generated from {starter.source} by `make generate`" in last
        assert is_untouched(starter.path.read_text())


def test_a_changed_solution_makes_its_starter_stale_and_is_written_anew(copy: Course) -> None:
    solution = copy.solutions / "01_coalescing" / "aos_scan.py"
    solution.write_text(solution.read_text().replace("CHUNK = 256", "CHUNK = 512"))
    states = {s.path.name: s.state for s in starters(copy) if s.state != "current"}
    assert states == {"aos_scan.py": "stale"}
    make(copy)
    assert "CHUNK = 512" in (copy.labs / "01_coalescing" / "aos_scan.py").read_text()
    assert all(s.state == "current" for s in starters(copy))


def test_what_somebody_worked_on_is_left_alone(copy: Course) -> None:
    path = copy.labs / "01_coalescing" / "gather_rows.cu"
    path.write_text(path.read_text().replace("int row", "int my_row"))
    mine = path.read_text()
    make(copy)
    assert path.read_text() == mine
    assert {s.state for s in starters(copy) if s.path == path} == {"edited"}


def test_what_somebody_worked_on_is_kept_when_it_is_replaced(copy: Course) -> None:
    path = copy.labs / "01_coalescing" / "gather_rows.cu"
    path.write_text("mine\n")
    kept = [made.kept for made in make(copy, replace_edited=True) if made.kept]
    assert [k.read_text() for k in kept] == ["mine\n"]
    assert "FILL ME IN" in path.read_text()
