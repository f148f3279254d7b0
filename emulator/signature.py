"""A kernel's parameters: names and types from its declaration, sizes from its PTX."""

from __future__ import annotations

import re
from dataclasses import dataclass

import ml_dtypes
import numpy as np
import numpy.typing as npt

from emulator import module
from emulator.demangle import demangle, function_name, last_name, parameter_types

SCALARS: dict[str, npt.DTypeLike] = {
    "bool": np.bool_,
    "char": np.int8, "signed char": np.int8, "unsigned char": np.uint8,
    "short": np.int16, "unsigned short": np.uint16,
    "int": np.int32, "unsigned": np.uint32, "unsigned int": np.uint32,
    "long": np.int64, "unsigned long": np.uint64,
    "long long": np.int64, "unsigned long long": np.uint64,
    "float": np.float32, "double": np.float64,
    "size_t": np.uint64, "ptrdiff_t": np.int64, "uintptr_t": np.uint64, "intptr_t": np.int64,
    "int8_t": np.int8, "uint8_t": np.uint8, "int16_t": np.int16, "uint16_t": np.uint16,
    "int32_t": np.int32, "uint32_t": np.uint32, "int64_t": np.int64, "uint64_t": np.uint64,
    "half": np.float16, "__half": np.float16,
    "__nv_bfloat16": ml_dtypes.bfloat16, "nv_bfloat16": ml_dtypes.bfloat16,
    "__nv_fp8_e4m3": ml_dtypes.float8_e4m3fn, "__nv_fp8_e5m2": ml_dtypes.float8_e5m2,
    "half2": np.float16, "__half2": np.float16, "__nv_bfloat162": ml_dtypes.bfloat16,
}  # fmt: skip
VECTORS: dict[str, npt.DTypeLike] = {
    "char": np.int8, "uchar": np.uint8, "short": np.int16, "ushort": np.uint16,
    "int": np.int32, "uint": np.uint32, "long": np.int64, "ulong": np.uint64,
    "longlong": np.int64, "ulonglong": np.uint64, "float": np.float32, "double": np.float64,
}  # fmt: skip
QUALIFIERS = re.compile(r"\b(const|volatile|__restrict__|__restrict|restrict|__grid_constant__)\b")


@dataclass(frozen=True)
class Parameter:
    """One parameter of a kernel.

    ``dtype`` is an element's for an array, and ``alignment`` what its address must be a multiple
    of (16 for ``float4*``). A type that the declaration does not tell has ``dtype`` None: only
    sizes are checked then.
    """

    name: str
    ctype: str
    dtype: np.dtype[np.generic] | None
    is_array: bool | None  # None: not known; an 8-byte number or an address
    alignment: int
    offset: int
    nbytes: int
    numba_ndim: int | None = None  # axes of an array that Numba passes as its fields


def parameters_of(kernel: module.Kernel, source: str) -> tuple[Parameter, ...]:
    """The parameters of a kernel as ``source`` declares it, laid out as its PTX says."""
    count = len(kernel.parameters)
    demangled = demangle(kernel.name)
    own_name = last_name(function_name(demangled)) if demangled != kernel.name else ""
    declared = _declaration(source, own_name or plain_name(kernel.name))
    if declared is None or len(declared) != count:
        declared = [""] * count
    mangled = parameter_types(demangled)
    types = mangled if mangled is not None and len(mangled) == count else [""] * count
    return tuple(
        _parameter(*_declared_type(text, kind), raw, number)
        for number, (text, kind, raw) in enumerate(
            zip(declared, types, kernel.parameters, strict=True)
        )
    )


def plain_name(mangled: str) -> str:
    """``scale`` for ``_Z5scalePfi``; other names as they are."""
    match = re.match(r"_ZN?\d*?(\d+)([A-Za-z_]\w*)", mangled)
    if match is None:
        return mangled
    length, rest = int(match.group(1)), match.group(2)
    return rest[:length] if len(rest) >= length else mangled


def _declared_type(declared: str, mangled: str) -> tuple[str, str]:
    """Type and name. A template's own types (``T*``) are known from the mangled name alone."""
    ctype, name = _split(declared)
    if not mangled:
        return ctype, name
    return (ctype if _type(ctype)[0] is not None else mangled), name


def _parameter(ctype: str, name: str, raw: module.Parameter, number: int) -> Parameter:
    dtype, is_array, alignment = _type(ctype)
    scalar_fits = is_array or dtype is None or dtype.itemsize == raw.nbytes
    if (is_array and raw.nbytes != 8) or not scalar_fits:
        dtype, is_array = None, None  # a name of our table that this program gave another meaning
    if dtype is None and (raw.nbytes != 8 or raw.type == "b8"):  # b8: a struct by value
        is_array = False
    return Parameter(
        name or f"argument {number + 1}", ctype or raw.type, dtype, is_array,
        alignment, raw.offset, raw.nbytes,
    )  # fmt: skip


def _declaration(source: str, kernel: str) -> list[str] | None:
    """The texts of a kernel's parameters, or None when no declaration is found."""
    plain = re.sub(r"//[^\n]*|/\*.*?\*/", " ", source, flags=re.DOTALL)
    pattern = rf"__global__\b[^;{{}}]*?\b{re.escape(kernel)}\s*\("
    match = re.search(pattern, plain)
    if match is None:
        return None
    depth, start, parts = 1, match.end(), []
    for at in range(match.end(), len(plain)):
        character = plain[at]
        depth += (character in "([<") - (character in ")]>")
        if depth == 0 or (depth == 1 and character == ","):
            parts.append(plain[start:at].strip())
            start = at + 1
        if depth == 0:
            break
    return [part for part in parts if part and part != "void"]


def _split(text: str) -> tuple[str, str]:
    """``const float* __restrict__ x`` to ``("const float*", "x")``."""
    without_default = text.split("=")[0].strip()
    match = re.fullmatch(r"(.*?[\s*&>])([A-Za-z_]\w*)\s*(\[\d*\])?", without_default, re.DOTALL)
    if match is None:
        return " ".join(without_default.split()), ""
    ctype = match.group(1) + ("*" if match.group(3) else "")
    return " ".join(ctype.split()), match.group(2)


def _type(ctype: str) -> tuple[np.dtype[np.generic] | None, bool | None, int]:
    """dtype of an element, whether it is an array, alignment of the address."""
    if not ctype:
        return None, None, 1
    bare = " ".join(QUALIFIERS.sub(" ", ctype).replace("*", " * ").split())
    pointers = bare.count("*")
    base = bare.replace("*", "").strip().removeprefix("std::").removeprefix("cuda::std::")
    dtype, size = _element(base)
    if pointers > 1:
        return np.dtype(np.uint64), True, 8
    if pointers:
        return dtype, True, size
    is_vector = dtype is not None and size != dtype.itemsize
    return (None if is_vector else dtype), (False if dtype is not None else None), 1


def _element(base: str) -> tuple[np.dtype[np.generic] | None, int]:
    """dtype of one component and bytes of the whole element."""
    if base in SCALARS:
        dtype = np.dtype(SCALARS[base])
        return dtype, dtype.itemsize * (2 if base.endswith(("half2", "162")) else 1)
    match = re.fullmatch(r"([a-z]+)([1234])", base)
    if match and match.group(1) in VECTORS:
        dtype = np.dtype(VECTORS[match.group(1)])
        lanes = int(match.group(2))
        # three components are aligned as one; two and four as a whole, 16 bytes at most
        return dtype, dtype.itemsize * (1 if lanes == 3 else lanes)
    return None, 1
