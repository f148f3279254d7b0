"""The command line: what it prints, and its exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from grader.catalogue import course
from grader.cli import main
from grader.starters import starters
from grader.verdict import CODES, SCHEMA_FILE, Verdict
from tests.conftest import take_routines

SOLUTIONS = str(course().solutions / "01_coalescing")
QUICK = ("--task", "gather_rows", "--device", "emulated")


def conforms(text: str) -> Verdict:
    """The verdict that a text holds, which must be one of the schema."""
    jsonschema.validate(json.loads(text), json.loads(SCHEMA_FILE.read_text()))
    verdict = Verdict.from_json(text)
    assert json.loads(verdict.to_json()) == json.loads(text)
    return verdict


def test_check_and_grade_have_one_schema(capsys: pytest.CaptureFixture[str]) -> None:
    for mode in ("check", "grade"):
        assert main([mode, "01", *QUICK, "--path", SOLUTIONS, "--json", "--quiet"]) == 0
        verdict = conforms(capsys.readouterr().out)
        assert (verdict.mode, verdict.passed, verdict.device_kind) == (mode, True, "emulated")
        kinds = {case.kind for case in verdict.tasks[0].cases}
        assert kinds == ({"public"} if mode == "check" else {"public", "hidden"})


def test_a_grading_can_be_repeated_from_its_seed(capsys: pytest.CaptureFixture[str]) -> None:
    grade = ["grade", "01", *QUICK, "--path", SOLUTIONS, "--json", "--quiet"]
    found = []
    for extra in ([], ["--seed", "?"], []):
        seed = [str(found[0].seed) if part == "?" else part for part in extra]
        main([*grade, *seed])
        found.append(Verdict.from_json(capsys.readouterr().out))
    cases = [[case.case for case in verdict.tasks[0].cases] for verdict in found]
    assert cases[0] == cases[1] != cases[2]


def test_a_failing_lab_is_one_and_says_why(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "gather_rows.py").write_text("print('passed')\n")
    assert main(["check", "01", *QUICK, "--path", str(tmp_path), "--json"]) == 1
    shown = capsys.readouterr()
    verdict = conforms(shown.out)
    assert verdict.tasks[0].code == "no-solve"
    assert verdict.tasks[0].printed == "passed\n"
    assert verdict.tasks[0].hint == ""  # it does not run yet
    assert "compiling and recording gather_rows.py" in shown.err


def test_a_kernel_that_runs_and_fails_gets_the_first_hint(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    where = course()
    for one in starters(where):
        (tmp_path / one.path.name).write_text(one.text)
    starter = str(tmp_path)
    (task,) = (task for task in where.lab("01").tasks if task.name == "gather_rows")
    texts = []
    for _ in range(2):  # asking again does not give the next one away
        main(["check", "01", *QUICK, "--path", starter, "--json", "--quiet"])
        verdict = conforms(capsys.readouterr().out)
        texts.append((verdict.tasks[0].hint, verdict.tasks[0].hints_left))
    assert texts == [(task.hints[0], 2)] * 2


def test_one_file_can_be_judged(capsys: pytest.CaptureFixture[str]) -> None:
    file = f"{SOLUTIONS}/gather_rows.cu"
    assert main(["check", "01", "--path", file, "--device", "emulated", "--quiet"]) == 0
    assert "1 of 1 tasks passed" in capsys.readouterr().out


def test_a_missing_file_is_named_with_what_there_is(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "gather.py").touch()
    assert main(["check", "01", *QUICK, "--path", str(tmp_path)]) == 1
    assert "there is no gather_rows.py in" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["check", "coalesing"], "Did you mean 01_coalescing"),
        (["check", "01", "--task", "gather_columns"], "Did you mean gather_rows"),
        (["check", "01", "--path", "no/such/folder"], "no folder no/such/folder"),
        (["hint", "01", "nothing"], "no task 'nothing'"),
    ],
)
def test_what_cannot_be_judged_is_two(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["chek", "01"], ["check", "01", "--seed", "-1"]])
def test_usage_errors_are_two(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_hints_come_one_at_a_time(capsys: pytest.CaptureFixture[str]) -> None:
    total = len(course().lab("01").task("aos_scan").hints)  # type: ignore[union-attr]
    for number in range(1, total + 1):
        assert main(["hint", "01", "aos"]) == 0
        assert (
            len([li for li in capsys.readouterr().out.splitlines() if " of " in li[:7]]) == number
        )
    main(["hint", "01", "aos", "--again"])
    assert "solutions/01_coalescing/aos_scan.py" in capsys.readouterr().out
    main(["hint", "01", "aos", "--reset"])
    capsys.readouterr()
    main(["hint", "01", "aos", "--again"])
    assert capsys.readouterr().out == ""


def test_hints_work_where_nothing_can_be_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("COALESCE_STATE", str(tmp_path / "file" / "state"))
    assert main(["hint", "01", "aos_scan"]) == 0
    assert capsys.readouterr().out.startswith("1 of ")


def test_list_names_every_task(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    shown = capsys.readouterr().out
    for task in course().lab("01").tasks:
        assert task.name in shown and task.goal in shown


def test_doctor_finds_this_machine_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    found = {one["what"]: one for one in json.loads(capsys.readouterr().out)}
    assert {"Python", "import kernels", "compiler", "emulated", "learners' programs"} <= set(found)


def test_another_package_called_kernels_is_named(tmp_path: Path, repository: Path) -> None:
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels" / "__init__.py").touch()
    paths = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(repository)!r}]\n"
    for call in (
        "from grader.__main__ import run; run()",
        "import grader; grader.load_ipython_extension(None)",
    ):
        done = subprocess.run(
            [sys.executable, "-c", paths + call], capture_output=True, text=True, check=False
        )
        assert "another package called kernels wins" in done.stderr, done.stdout
        assert str(tmp_path / "kernels") in done.stderr


def test_a_cache_that_cannot_be_written_does_not_stop_a_check(
    tmp_path: Path, repository: Path
) -> None:
    cache = tmp_path / "cache"
    take_routines(cache)  # compiling these as well would take a minute
    (cache / "programs").touch()  # no folder for what the check compiles
    done = subprocess.run(
        [sys.executable, "-m", "grader", "check", "01", *QUICK, "--path", SOLUTIONS, "--quiet"],
        env={"PATH": "/usr/bin", "HOME": str(tmp_path), "COALESCE_CACHE": str(cache)},
        cwd=repository, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "COALESCE_CACHE" in done.stderr


def test_the_schema_knows_every_code() -> None:
    schema = json.loads(SCHEMA_FILE.read_text())
    assert schema["$defs"]["code"]["enum"] == list(CODES)
