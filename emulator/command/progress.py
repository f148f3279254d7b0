"""Blocks done, on a terminal, for launches that take longer than a moment."""

from __future__ import annotations

import sys
import time
from types import TracebackType

PATIENCE = 1.0  # seconds before the first line
PAUSE = 0.2  # between two


class Progress:
    """Call it with blocks done and blocks in all. It writes to stderr when that is a terminal."""

    def __init__(self, name: str, quiet: bool = False) -> None:
        self.name = name
        self.is_shown = not quiet and sys.stderr.isatty()
        self.started = time.monotonic()
        self.last = self.started + PATIENCE - PAUSE
        self.width = 0

    def __enter__(self) -> Progress:
        return self

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if not self.is_shown or now - self.last < PAUSE:
            return
        self.last = now
        text = f"{self.name}: {done:,} of {total:,} blocks, {100 * done / total:.0f} %"
        if 0 < done < total:
            text += f", {(now - self.started) * (total - done) / done:.0f} s to go"
        self._write(text)

    def _write(self, text: str) -> None:
        sys.stderr.write("\r" + text.ljust(self.width))
        sys.stderr.flush()
        self.width = len(text)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.width:
            self._write("")
            sys.stderr.write("\r")
