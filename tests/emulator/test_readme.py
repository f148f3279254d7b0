"""The library's README does what it says."""

from __future__ import annotations

import inspect
import re
import shlex
from pathlib import Path

import pytest

from emulator import launch
from emulator.checks import CHECKS
from emulator.command import main

README = (Path(__file__).parents[2] / "emulator/README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
VARYING = [(r"[\d.]+ (ms|s|min) on this machine", "TIME"), (r"0x[0-9a-f]+", "ADDRESS")]


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (source,) = [text for kind, text in BLOCKS if kind == "cuda"]
    Path("scale.cu").write_text(source)
    return tmp_path


def without_what_varies(text: str) -> list[str]:
    for pattern, instead in VARYING:
        text = re.sub(pattern, instead, text)
    return [line.rstrip() for line in text.strip().split("\n")]


def test_commands_print_what_the_readme_shows(folder, capsys):
    shown = 0
    for at, (kind, text) in enumerate(BLOCKS):
        if kind != "sh":
            continue
        for line in text.strip().split("\n"):
            words = shlex.split(line)
            assert words[:3] == ["python", "-m", "emulator"]
            assert main(words[3:]) == (words[3] == "check")
        out = capsys.readouterr().out
        following, expected = BLOCKS[at + 1]
        if following == "text":
            assert without_what_varies(out) == without_what_varies(expected)
            shown += 1
    assert shown == 2
    assert Path("scale.html").stat().st_size > 1000


def test_the_library_s_examples_run(folder, capsys):
    names: dict[str, object] = {}
    for kind, text in BLOCKS:
        if kind == "python":
            exec(compile(text, "README.md", "exec"), names)
    out = capsys.readouterr().out
    assert out.startswith("125.0\n")
    assert "inside 'y', which was freed before this launch" in out


def test_every_setting_and_check_is_there():
    settings = inspect.signature(launch).parameters
    table = README.split("### Settings of a launch")[1].split("###")[0]
    named = set(re.findall(r"^\| `(\w+)=", table, re.MULTILINE))
    assert named <= set(settings)
    keywords = {n for n, p in settings.items() if p.kind is p.KEYWORD_ONLY}
    assert keywords - named == {"shared_bytes", "argument_names"}
    assert set(re.findall(r"^\| (\w+check) \|", README, re.MULTILINE)) == set(CHECKS)


def test_files_that_it_points_at_exist():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (Path(__file__).parents[2] / "emulator" / target).exists(), target
