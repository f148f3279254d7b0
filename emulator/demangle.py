"""C++ names as their author wrote them: ``scale<float>(float*, int)`` for ``_Z5scaleIfEvPT_i``.

The C++ library that is on every Linux machine does it; where it is not, names stay as they are.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable

MAX_NAME = 1024  # longer ones stay as they are: the library recurses, and its stack is ours


def demangle(name: str) -> str:
    """The declaration behind a mangled name, without its result; other names as they are."""
    if not name.startswith("_Z") or len(name) > MAX_NAME or not name.isascii():
        return name
    text = _cxa_demangle()(name)
    return name if text is None else _without_result(text)


def function_name(demangled: str) -> str:
    """``ns::scale<float>`` of ``ns::scale<float>(float*, int)``."""
    at = _parameters_start(demangled)
    return demangled if at is None else demangled[:at].strip()


def last_name(name: str) -> str:
    """``scale`` of ``ns::scale<ns::T>``."""
    plain, depth = "", 0
    for character in name:
        depth += character == "<"
        plain += character if depth == 0 else ""
        depth -= character == ">" and depth > 0
    return plain.rpartition("::")[2].strip()


def parameter_types(demangled: str) -> list[str] | None:
    """``["float*", "int"]`` of ``scale<float>(float*, int)``; None where there are none to see."""
    at = _parameters_start(demangled)
    if at is None:
        return None
    parts = split_arguments(demangled[at + 1 : demangled.rindex(")")])
    return [] if parts == ["void"] else parts


def split_arguments(text: str) -> list[str]:
    """Parts between the commas that stand in no brackets."""
    parts, depth, start = [], 0, 0
    for at, character in enumerate(text):
        depth += (character in "([{<") - (character in ")]}>")
        if character == "," and depth == 0:
            parts.append(text[start:at].strip())
            start = at + 1
    parts.append(text[start:].strip())
    return [part for part in parts if part]


def _parameters_start(text: str) -> int | None:
    """Where the parameter list's bracket stands: the one that the last bracket closes."""
    if not text.endswith(")"):
        return None
    depth = 0
    for at in range(len(text) - 1, -1, -1):
        depth += (text[at] == ")") - (text[at] == "(")
        if depth == 0:
            return at
    return None


def _without_result(text: str) -> str:
    """``void scale<float>(...)``: a template's name is mangled with its result."""
    depth = 0
    for at, character in enumerate(text):
        depth += (character in "(<") - (character in ")>")
        if depth == 0 and character == " ":
            return text[at + 1 :]
        if character == "(" and depth == 1:
            break
    return text


@functools.cache
def _cxa_demangle() -> Callable[[str], str | None]:
    try:
        library = ctypes.CDLL("libstdc++.so.6")
        function = library["__cxa_demangle"]
        free = ctypes.CDLL(None).free
    except (OSError, AttributeError):
        return lambda name: None
    function.restype = ctypes.c_void_p
    function.argtypes = [ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    free.argtypes = [ctypes.c_void_p]

    def call(name: str) -> str | None:
        status = ctypes.c_int()
        found = function(name.encode(), None, None, ctypes.byref(status))
        if not found:
            return None
        try:
            return ctypes.string_at(found).decode(errors="replace")
        finally:
            free(found)

    return call
