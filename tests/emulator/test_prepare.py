"""The software GPU's own routines, compiled before anybody waits for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulator import prepare
from emulator.native import compiled

SOME = ("coalesce_draw_rank", "coalesce_meet_after_exit")


def test_routines_are_compiled_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COALESCE_CACHE", str(tmp_path))
    monkeypatch.setattr(prepare, "entries", lambda: {n: compiled.entries()[n] for n in SOME})
    assert prepare.main() == 0
    assert capsys.readouterr().out.endswith("for this processor: 2\n")
    assert all(map(compiled.is_compiled, SOME))
    assert prepare.main() == 0
    assert capsys.readouterr().out == "", "nothing was left to do"
