"""What a learner hands in: the files of one task, read once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

SUFFIXES = (".py", ".cu", ".cuh", ".h", ".hpp")
MAX_FILE_BYTES = 1 << 20
MAX_FILES = 64


class SubmissionError(Exception):
    """The files are not there or cannot be read; the message says which, and what to do."""


@dataclass(frozen=True)
class Submission:
    """The files that lie beside a task's file, by name, as they were when it was handed in."""

    task: str
    path: Path  # of the task's Python file
    files: tuple[tuple[str, bytes], ...]

    @property
    def main(self) -> str:
        """The name of the file with ``solve``."""
        return f"{self.task}.py"

    @property
    def sha256(self) -> str:
        """One hash of the task's own files."""
        total = hashlib.sha256()
        for name, data in self.files:
            if Path(name).stem == self.task:
                total.update(f"{name} {len(data)}\n".encode() + data)
        return total.hexdigest()


def read_submission(folder: Path, task: str) -> Submission:
    """The files of ``task`` in ``folder``. Raises :class:`SubmissionError`."""
    path = folder / f"{task}.py"
    if not folder.is_dir():
        raise SubmissionError(f"there is no folder {folder}")
    if not path.is_file():
        have = ", ".join(sorted(p.name for p in folder.glob("*.py"))) or "no Python files"
        raise SubmissionError(f"there is no {path.name} in {folder} (there is: {have})")
    files: list[tuple[str, bytes]] = []
    for entry in sorted(folder.iterdir()):
        if entry.suffix not in SUFFIXES or not entry.is_file():
            continue
        if entry.stat().st_size > MAX_FILE_BYTES:
            if entry.stem != task:
                continue
            raise SubmissionError(
                f"{entry.name} has {entry.stat().st_size:,} bytes; {MAX_FILE_BYTES:,} are allowed"
            )
        try:
            files.append((entry.name, entry.read_bytes()))
        except OSError as error:
            raise SubmissionError(f"cannot read {entry}: {error.strerror}") from error
    own = [one for one in files if Path(one[0]).stem == task]
    others = [one for one in files if Path(one[0]).stem != task]
    return Submission(task, path, tuple(own + others[: MAX_FILES - len(own)]))
