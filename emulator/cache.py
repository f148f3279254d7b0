"""What compilers made, kept on disk by content: PTX and cubins of programs, code of kernels."""

from __future__ import annotations

import functools
import hashlib
import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path


def directory() -> Path:
    """``$COALESCE_CACHE``, or ``coalesce`` in the user's cache directory."""
    override = os.environ.get("COALESCE_CACHE")
    if override:
        return Path(override)
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "coalesce"


def digest(*parts: bytes) -> str:
    """One hash of several parts, none of which can pass for two."""
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "little") + part)
    return total.hexdigest()


def stored(shelf: str, key: str) -> bytes | None:
    """The entry ``key`` of a shelf; None when it is not there or is damaged.

    Its file starts with the hash of what follows.
    """
    try:
        kept = (directory() / shelf / key).read_bytes()
    except OSError:
        return None
    return kept[32:] if hashlib.sha256(kept[32:]).digest() == kept[:32] else None


def cached(shelf: str, key: str, make: Callable[[], bytes]) -> bytes:
    """The entry ``key`` of a shelf ("programs", "code"), made when it is not there or is damaged.

    Where the directory cannot be written, nothing is kept, and one warning says so.
    """
    kept = stored(shelf, key)
    if kept is not None:
        return kept
    path = directory() / shelf / key
    made = make()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(hashlib.sha256(made).digest() + made)
        Path(file.name).replace(path)
    except OSError as error:
        _warn_once(directory(), error.strerror or str(error))
    return made


@functools.cache
def _warn_once(where: Path, why: str) -> None:
    warnings.warn(
        f"compiled kernels are not kept: cannot write {where} ({why}). Everything works, each "
        "process compiles anew; set COALESCE_CACHE to a folder of yours",
        stacklevel=3,
    )
