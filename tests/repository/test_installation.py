"""In .venv, the course's packages are found before another distribution's of the same name."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest
from build_hook import LINE, PATH_FILE

PACKAGES = ("emulator", "kernels", "widgets", "grader")


def folder_of(python: Path, package: str, cwd: Path) -> Path:
    """Folder that `import package` reads, for a Python started in another folder."""
    program = f"import importlib.util as u; print(u.find_spec({package!r}).origin)"
    done = subprocess.run(
        [python, "-c", program], cwd=cwd, capture_output=True, text=True, check=True
    )
    return Path(done.stdout.strip()).parent


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_come_from_the_repository(repository: Path, tmp_path: Path, package: str) -> None:
    assert folder_of(Path(sys.executable), package, tmp_path) == repository / package


def test_a_foreign_distribution_called_kernels_does_not_win(
    repository: Path, tmp_path: Path
) -> None:
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    python = tmp_path / "venv/bin/python"
    (site,) = (tmp_path / "venv/lib").glob("python3*/site-packages")
    foreign = site / "kernels"
    foreign.mkdir()
    (foreign / "__init__.py").touch()
    assert folder_of(python, "kernels", tmp_path) == foreign

    (site / PATH_FILE).write_text(LINE.format(root=str(repository)))
    assert folder_of(python, "kernels", tmp_path) == repository / "kernels"


def test_the_standard_library_still_comes_first(repository: Path, tmp_path: Path) -> None:
    program = "import sys; print(*sys.path, sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    paths = done.stdout.splitlines()
    assert paths.count(str(repository)) == 1
    libraries = [i for i, path in enumerate(paths) if path.endswith("lib-dynload")]
    assert paths.index(str(repository)) > max(libraries)
