"""Whole programs to kernels: what NVRTC, which knows the device only, cannot take is left out.

First what is known to be for the host (:mod:`emulator.host_code`); then, error by error, headers
that are not there and declarations that are not for the device. Where kernels do need one, the
compiler says so, and the error says what was left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from emulator.errors import CompileError
from emulator.host_code import device_part, without_lines
from emulator.nvrtc import Compiled, Recipe, include_folders

ATTEMPTS = 40
ERROR = re.compile(r"^(.+?)\((\d+)\): (?:catastrophic )?error", re.MULTILINE)
MISSING = re.compile(r'cannot open source file "([^"]+)"')
NICKNAMES = re.compile(r"\b(uint|ushort|ulong)\b")
# glibc's names, which nvcc's programs use without including anything
NAMED = "typedef unsigned int uint; typedef unsigned short ushort; typedef unsigned long ulong;\n"
NAMED_HEADER = "glibc_names.h"
EMPTY = "namespace std {}\n"
MOST_PARTS = 3  # of a header's path, as it may be included


class Program:
    """The texts that are compiled: the file's, and those of headers that were changed."""

    def __init__(self, text: str, path: Path) -> None:
        self.path = path
        self.text = device_part(text)
        self.headers: dict[str, str] = {}
        self.names: dict[str, tuple[str, ...]] = {}  # under which a header may be included
        self.absent: list[str] = []  # headers that were not found
        self.lines: list[int] = []  # of the file, where declarations were left out

    def leave_out(self, log: str) -> bool:
        """Take out what the compiler complains of; whether there was anything to take out."""
        missing = MISSING.search(log)
        if missing is not None:
            if missing[1] in self.headers:
                return False
            self.headers[missing[1]] = EMPTY
            self.absent.append(missing[1])
            return True
        lines: dict[str, set[int]] = {}
        for file, line in ERROR.findall(log):
            lines.setdefault(file, set()).add(int(line))
        done = [self._leave_out_of(file, numbers) for file, numbers in lines.items()]
        return any(done)

    def _leave_out_of(self, file: str, lines: set[int]) -> bool:
        if Path(file).name == self.path.name:
            before, self.text = self.text, without_lines(self.text, lines)
            if self.text != before:
                self.lines += sorted(lines)
            return self.text != before
        if any(Path(file).is_relative_to(folder) for folder in include_folders()):
            return False
        before = self.headers.get(file, "")
        if file not in self.headers:
            path = Path(file)
            if not path.is_file():
                return False
            before = path.read_text(errors="replace")
            parts = path.parts
            names = ["/".join(parts[-n:]) for n in range(1, MOST_PARTS + 1)]
            self.names |= dict.fromkeys(names, tuple(names))
            file = names[0]
        after = without_lines(device_part(before), lines)
        self.headers |= dict.fromkeys(self.names.get(file, (file,)), after)
        return after != before

    def note(self) -> str:
        """What was left out, for an error: it may be what is missed."""
        told = ""
        if self.absent:
            told += f"\n\nnot found, and left empty: {', '.join(self.absent)}"
        if self.lines:
            told += f"\n\nleft out, as code for the host: what stands at line {_some(self.lines)}"
        return told

    def recipe(self, options: Sequence[str], instances: tuple[str, ...]) -> Recipe:
        """What to compile now."""
        headers = dict(self.headers)
        if any(map(NICKNAMES.search, (self.text, *headers.values()))):
            headers[NAMED_HEADER] = NAMED
            options = (*options, f"--pre-include={NAMED_HEADER}")
        folder = self.path.resolve().parent
        return Recipe(
            self.text, str(self.path), tuple(options), folder, instances,
            tuple(sorted(headers.items())),
        )  # fmt: skip


def compile_program(
    text: str, path: Path, options: Sequence[str], instances: tuple[str, ...], arch: str
) -> Compiled:
    """Compile the kernels of a program for ``arch`` ("sm_90").

    Raises :class:`CompileError` with the compiler's log, and what was left out before.
    """
    program = Program(text, path)
    for _ in range(ATTEMPTS):
        try:
            return program.recipe(options, instances).compile(arch)
        except CompileError as error:
            last = error
            if not program.leave_out(str(error)):
                break
    raise CompileError(f"{last}{program.note()}")


def _some(lines: Sequence[int]) -> str:
    shown = [str(line) for line in sorted(set(lines))]
    return ", ".join(shown[:8]) + (f" and {len(shown) - 8} more" if len(shown) > 8 else "")
