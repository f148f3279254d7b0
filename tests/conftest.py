"""What all tests share: hypothesis profiles and a cache of compiled kernels of their own."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import hypothesis
import pytest

from emulator.cache import directory
from emulator.native import compiled

# Deadlines are off because the first example of a test may compile a kernel.
hypothesis.settings.register_profile("local", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")

CACHE = "COALESCE_CACHE"
OWN_CACHE = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Send the compile cache to a fresh folder, one for all worker processes of this run.

    Only the software GPU's own routines are taken along, as ``make routines`` left them: each is
    known by a hash of all that it is made from.
    """
    if hasattr(config, "workerinput"):
        return  # a worker has inherited the folder
    folder = tempfile.mkdtemp(prefix="coalesce-tests-")
    take_routines(Path(folder))
    os.environ[CACHE] = folder
    config.stash[OWN_CACHE] = folder


def take_routines(to: Path) -> None:
    """Copy the software GPU's own routines into another cache, those that are compiled."""
    (to / compiled.SHELF).mkdir(parents=True)
    for code in map(compiled.key_of, compiled.entries()):
        if (kept := directory() / compiled.SHELF / code).exists():
            shutil.copy(kept, to / compiled.SHELF)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the folder."""
    if folder := config.stash.get(OWN_CACHE, None):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The repository's root folder."""
    return Path(__file__).resolve().parent.parent
