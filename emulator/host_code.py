"""The device's part of a whole ``.cu`` program: what NVRTC, which compiles no host code, can take.

``main``, functions that launch kernels or call the runtime, and variables of host types are
blanked; lines keep their numbers, so messages and counters still fit the file. Standard headers
that kernels do not need are empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

DEVICE = re.compile(r"\b__(global|device|constant|shared|managed)__\b")
HOST = re.compile(
    r"<<<|\bcu(da|blas|rand|fft|dnn)[A-Z]\w*\s*\(|\bstd\s*::\s*(?!(is_|enable_if|conditional|decay))"
    r"|\b(cout|cerr|fopen|exit|getenv|rand|srand|clock_gettime|gettimeofday)\b|\b__host__\b"
)
TYPE = re.compile(r"\s*(template\s*<.*>\s*)?(typedef\s+)?(struct|class|union|enum|concept)\b", re.S)
TRANSPARENT = re.compile(r"\s*((inline\s+)?namespace\b[\w:\s]*|extern\s*)$")
MAIN = re.compile(r"\bmain\s*\(")
# a comment, a preprocessor line with its continuations, a string, a character
SKIPPED = re.compile(
    r"//[^\n]*|/\*.*?\*/|^[ \t]*#(?:\\\n|[^\n])*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])+'",
    re.S | re.M,
)

LINE = re.compile(r"(?:\\\n|[^\n])*\n?")  # with its continuations

_STD = "namespace std {}\n"
_NAMED = "".join(
    f"using cuda::std::{name};"
    for name in (
        *(f"{sign}int{bits}_t" for sign in ("", "u") for bits in (8, 16, 32, 64)),
        *("intptr_t", "uintptr_t", "intmax_t", "uintmax_t", "size_t", "ptrdiff_t"),
    )
)
_INTEGERS = (
    "#include <cuda/std/cstdint>\n#include <cuda/std/cstddef>\n"
    f"{_NAMED}\nnamespace std {{{_NAMED}}}\n"
)
_LIMITS = "#include <cuda/std/climits>\n#include <cuda/std/cfloat>\n"
HEADERS: dict[str, str] = {
    **dict.fromkeys(
        ("algorithm", "array", "cassert", "assert.h", "chrono", "cmath", "math.h", "cstdio",
         "stdio.h", "cstdlib", "stdlib.h", "cstring", "string.h", "ctime", "time.h", "fstream",
         "functional", "iomanip", "iostream", "map", "memory", "numeric", "random", "set",
         "sstream", "stdexcept", "string", "sys/time.h", "thread", "tuple", "type_traits",
         "unistd.h", "unordered_map", "utility", "vector"), _STD),
    **dict.fromkeys(("cstdint", "stdint.h", "cstddef", "stddef.h"), _STD + _INTEGERS),
    **dict.fromkeys(("climits", "limits.h", "cfloat", "float.h", "limits"), _STD + _LIMITS),
}  # fmt: skip


@dataclass(frozen=True)
class Declaration:
    """Something at namespace level: where it begins and ends, and its text without comments."""

    start: int
    end: int
    text: str
    has_body: bool


def device_part(source: str) -> str:
    """``source`` with host functions and host variables blanked. PTX and plain kernels stay."""
    return _without(source, [d for d in _declarations(source) if _is_host(d)])


def without_lines(source: str, lines: Set[int]) -> str:
    """``source`` less the declarations on some lines, from 1, that are not for the device."""
    found = []
    for declaration in _declarations(source):
        leading = len(declaration.text) - len(declaration.text.lstrip())
        first = source.count("\n", 0, declaration.start + leading) + 1
        last = source.count("\n", 0, declaration.end) + 1
        if not DEVICE.search(declaration.text) and not lines.isdisjoint(range(first, last + 1)):
            found.append(declaration)
    return _without(source, found)


def _without(source: str, declarations: Sequence[Declaration]) -> str:
    """Blank declarations, but for the preprocessor's lines, which pair up with others outside."""
    kept = list(source)
    for declaration in declarations:
        for line in LINE.finditer(source, declaration.start, declaration.end):
            if not line[0].lstrip().startswith("#"):
                kept[line.start() : line.end()] = re.sub(r"[^\n]", " ", line[0])
    return "".join(kept)


def _is_host(declaration: Declaration) -> bool:
    text = declaration.text
    if not text.strip() or DEVICE.search(text) or TYPE.match(text):
        return False
    if declaration.has_body and MAIN.search(text.partition("{")[0]):
        return True
    return HOST.search(text) is not None and not text.lstrip().startswith("using")


def _declarations(source: str) -> Iterator[Declaration]:
    """What stands at namespace level, in order."""
    bare = SKIPPED.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), source)
    start, depth = 0, 0
    for match in re.finditer(r"[{};]", bare):
        at, sign = match.start(), match[0]
        if sign == "{":
            head = bare[start:at]
            if depth == 0 and TRANSPARENT.match(head):
                start = at + 1  # a namespace: what is inside is at namespace level, too
            else:
                depth += 1
        elif sign == "}":
            if depth == 0:
                start = at + 1  # a namespace's end
                continue
            depth -= 1
            if depth == 0 and not TYPE.match(bare[start:at]) and not _is_initialiser(bare, start):
                yield Declaration(start, at + 1, bare[start : at + 1], True)
                start = at + 1
        elif sign == ";" and depth == 0:
            yield Declaration(start, at + 1, bare[start : at + 1], False)
            start = at + 1


def _is_initialiser(bare: str, start: int) -> bool:
    """Whether the braces that began after ``start`` hold values: the statement goes on."""
    head = bare[start : bare.index("{", start)]
    return head.rstrip().endswith(("=", "]")) or ("(" not in head and "operator" not in head)
