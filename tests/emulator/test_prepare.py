"""The software GPU's own routines, compiled before anybody waits for them."""

from __future__ import annotations

import subprocess
import sys
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


LAUNCH = """
import sys
from kernels.runtime import EmulatedDevice, cuda_program

device = EmulatedDevice()
fill = cuda_program('extern "C" __global__ void fill(float* x) { x[threadIdx.x] = 1; }')["fill"]
x = device.empty((32,), "float32")
device.launch(fill, 1, 32, (x,))
print(device.to_host(x).sum(), "numba" in sys.modules)
"""


def test_nobody_loads_the_compiler_of_routines_who_needs_none_compiled(repository: Path) -> None:
    def launch() -> str:
        command = [sys.executable, "-c", LAUNCH]
        return subprocess.run(command, cwd=repository, capture_output=True, text=True).stdout

    launch()  # what it needs is in the cache now
    assert launch().split() == ["32.0", "False"]
