"""Earlier versions of a learner's files, kept beside them."""

from __future__ import annotations

import itertools
import os
import tempfile
from datetime import datetime
from pathlib import Path

FOLDER = ".history"


def keep(path: Path) -> Path | None:
    """Copy a file to ``.history`` beside it, under its name and the time; None if there is none."""
    if not path.is_file():
        return None
    folder = path.parent / FOLDER
    folder.mkdir(exist_ok=True)
    stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    data = path.read_bytes()
    for number in itertools.count(1):
        extra = "" if number == 1 else f"_{number}"
        kept = folder / f"{path.stem}.{stamp}{extra}{path.suffix}"
        try:
            with kept.open("xb") as file:
                file.write(data)
        except FileExistsError:
            continue
        return kept
    raise AssertionError("counting does not end")


def write_whole(path: Path, text: str) -> Path | None:
    """Replace a file in one step, after keeping what was there if it differs.

    Returns where the earlier version went. Raises :class:`OSError`; then the file is as it was.
    """
    data = text.encode()
    if path.is_file() and path.read_bytes() == data:
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = keep(path)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        temporary.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o644)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    return kept
