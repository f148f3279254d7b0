"""Ways of being told "passed" without having done the work, each refused.

A cheat is a learner's file. The comments at its top say which task it is for and what the verdict
of a grading must be: ``# refused:`` its code, ``# says:`` words of it. Where the system has no
Landlock, a few get further, which the verdict's ``sandbox`` says, and are refused as
``# unfenced:``.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from grader.bench import Bench
from grader.catalogue import course
from grader.judge import judge
from grader.submission import read_submission
from grader.verdict import TaskVerdict
from kernels.runtime import open_device

CHEATS = sorted(Path(__file__).parent.glob("*/*.py"))


def field(text: str, name: str) -> str:
    found = re.search(rf"(?m)^# {name}: (.+)$", text)
    return found[1] if found else ""


def judged(cheat: Path, folder: Path) -> TaskVerdict:
    where = course()
    lab = where.lab(cheat.parent.name)
    task = lab.task(field(cheat.read_text(), "task"))
    assert task is not None
    kernel = f"{task.name}.cu"
    (folder / kernel).write_bytes((where.solutions / lab.name / kernel).read_bytes())
    (folder / f"{task.name}.py").write_bytes(cheat.read_bytes())
    bench = Bench(where.root, where.solutions / lab.name, open_device("emulated"), 11, hidden=True)
    return judge(task, read_submission(folder, task.name), bench, lambda _: None)


@pytest.mark.parametrize("cheat", CHEATS, ids=[path.stem for path in CHEATS])
def test_a_cheat_is_refused(cheat: Path, tmp_path: Path) -> None:
    text = cheat.read_text()
    verdict = judged(cheat, tmp_path)
    words = f"{verdict.message}\n{verdict.meaning}"
    fenced = not verdict.sandbox["files"].startswith("not fenced")
    code = field(text, "refused" if fenced else "unfenced") or field(text, "refused")
    assert (verdict.passed, verdict.code) == (False, code), words
    assert field(text, "says").lower() in words.lower()
    assert not (tmp_path / "unpickled").exists()
    (course().root / "kernels" / "cheated").unlink(missing_ok=True)


def test_what_a_program_prints_is_shown_and_not_believed(tmp_path: Path) -> None:
    verdict = judged(next(c for c in CHEATS if c.stem == "printed_verdict"), tmp_path)
    assert '"passed": true' in verdict.printed
    assert not verdict.passed


def test_nothing_goes_on_after_the_verdict(tmp_path: Path) -> None:
    before = {entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    judged(next(c for c in CHEATS if c.stem == "later_thread"), tmp_path)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and entry.name not in before and entry.name != str(os.getpid()):
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            assert str(tmp_path).encode() not in command
            assert b"child.py" not in command or _of_another_test(entry)


def _of_another_test(process: Path) -> bool:
    """Tests that run beside this one have children, too; those are not orphans."""
    status = (process / "status").read_text()
    return int(re.search(r"PPid:\s+(\d+)", status)[1]) > 1  # type: ignore[index]


def test_a_cheat_that_knows_the_public_sizes_passes_a_check_at_most(tmp_path: Path) -> None:
    """Why grading draws sizes that nobody has seen."""
    verdict = judged(next(c for c in CHEATS if c.stem == "known_sizes"), tmp_path)
    wrong = {case.kind for case in verdict.cases if not case.passed}
    assert wrong == {"hidden"}
