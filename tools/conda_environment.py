"""Write environment.yml from pyproject.toml: `make generate`. With --check, only compare.

conda provides Python; everything else comes from PyPI at the versions in constraints.txt, as in
.venv. The file lists pyproject.toml's dependencies one by one so that a reader sees what comes;
those that constraints.txt pins for each CUDA version apart, which pip does not read, at their pin.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = ("cuda13", "course", "test")  # a machine without a GPU, or with a driver for CUDA 13

HEADER = """\
# Generated from pyproject.toml by `make generate`; do not edit.
#
#   conda env create -f environment.yml && conda activate coalesce
#   jupyter lab notebooks/00_start_here.ipynb
#
# To run on a GPU, add:  pip install -c constraints.txt -e '.[gpu13]'
# With a driver older than CUDA 13, use `make start` instead: it picks CUDA 12 packages.
"""


def environment(pyproject: dict[str, object], constraints: str) -> str:
    """Text of environment.yml, from a parsed pyproject.toml and the text of constraints.txt."""
    project = pyproject["project"]
    assert isinstance(project, dict)
    extras = project["optional-dependencies"]
    requirements = list(project["dependencies"])
    for extra in EXTRAS:
        requirements += extras[extra]
    names = {line.split(">")[0]: line for line in requirements}  # an extra's bound is the narrower
    for name, version in re.findall(rf"^(\S+)==(\S+) ; extra == '{EXTRAS[0]}'$", constraints, re.M):
        names[name] = f"{name}=={version}"
    lines = [
        "name: coalesce",
        "channels:",
        "  - conda-forge",
        "dependencies:",
        f'  - "python{project["requires-python"]}"',
        "  - pip",
        "  - pip:",
        "      - --constraint constraints.txt",
        "      - --only-binary :all:",
        *(f'      - "{line}"' for _, line in sorted(names.items())),
        "      - --editable .",
    ]
    return HEADER + "\n".join(lines) + "\n"


def main() -> int:
    """Write the file, or with --check say whether it is current."""
    wanted = environment(
        tomllib.loads((ROOT / "pyproject.toml").read_text()),
        (ROOT / "constraints.txt").read_text(),
    )
    path = ROOT / "environment.yml"
    if sys.argv[1:] == ["--check"]:
        if path.exists() and path.read_text() == wanted:
            return 0
        print("environment.yml is not what pyproject.toml says: run `make generate`")
        return 1
    path.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
