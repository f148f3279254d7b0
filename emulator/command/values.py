"""Arguments of a kernel as text: ``a=f32[64,64]=random``, ``i32=1024``, ``file.npy``.

The grammar, of which README.md has the examples::

    argument = [NAME "="] value
    value    = ["out:"] TYPE "[" EXTENT {"," EXTENT} "]" ["=" fill]     an array
             | ["out:"] TYPE "=" NUMBER                                 a scalar of a stated type
             | NUMBER | "true" | "false" | "null"                       a scalar of the parameter's
             | PATH ".npy"                                              an array from a file
    fill     = "random" [range] | "normal" | "arange" | PATH ".npy" | NUMBER {"," NUMBER}
    range    = "(" NUMBER "," NUMBER ")"

An array without a fill is what ``cudaMalloc`` gives: never written, and poisoned with 0xFF.
"""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

from emulator.command.usage import UsageError

TYPES: dict[str, np.dtype[Any]] = {
    name: np.dtype(kind)
    for name, kind in {
        "bool": np.bool_,
        "i8": np.int8, "i16": np.int16, "i32": np.int32, "i64": np.int64,
        "u8": np.uint8, "u16": np.uint16, "u32": np.uint32, "u64": np.uint64,
        "f16": np.float16, "f32": np.float32, "f64": np.float64, "bf16": ml_dtypes.bfloat16,
        "e4m3": ml_dtypes.float8_e4m3fn, "e5m2": ml_dtypes.float8_e5m2,
    }.items()
}  # fmt: skip
ALIASES = {
    "s8": "i8", "s16": "i16", "s32": "i32", "s64": "i64", "int": "i32", "uint": "u32",
    "float": "f32", "double": "f64", "half": "f16", "char": "i8", "int8": "i8", "int16": "i16",
    "int32": "i32", "int64": "i64", "uint8": "u8", "uint16": "u16", "uint32": "u32",
    "uint64": "u64", "float16": "f16", "float32": "f32", "float64": "f64", "bfloat16": "bf16",
}  # fmt: skip
MAX_BYTES = 16 << 30

_NAME = re.compile(r"([A-Za-z_]\w*)=(.+)", re.DOTALL)
_ARRAY = re.compile(r"(out:)?(\w+)\[([^\]]*)\](?:=(.*))?", re.DOTALL)
_SCALAR = re.compile(r"(\w+)=(.+)", re.DOTALL)
_RANGE = re.compile(r"random\(([^,]+),([^,]+)\)")


@dataclass(frozen=True)
class ArraySpec:
    """An array to make on the device. ``fill`` None leaves it as ``cudaMalloc`` would."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fill: str | None
    is_output: bool

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class FileSpec:
    """An array from a ``.npy`` file."""

    path: Path


@dataclass(frozen=True)
class ScalarSpec:
    """One number; ``dtype`` None takes the parameter's type."""

    dtype: np.dtype[Any] | None
    text: str


@dataclass(frozen=True)
class Argument:
    """One argument as the command line has it."""

    text: str
    name: str | None
    value: ArraySpec | FileSpec | ScalarSpec


def parse_argument(text: str) -> Argument:
    """Read one argument. Raises :class:`UsageError`, which shows what was expected."""
    name, rest = None, text
    match = _NAME.fullmatch(text)
    if match is not None and _type(match.group(1)) is None:
        name, rest = match.group(1), match.group(2)
        if _NUMBER.fullmatch(rest) is None and not _known_value(rest):
            _type_or_complain(name, text)
    return Argument(text, name, _value(rest, text))


_NUMBER = re.compile(
    r"[+-]?(0[xX][0-9a-fA-F]+|0[bB][01]+|(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|inf|nan)|true|false|null"
)


def _known_value(text: str) -> bool:
    return text.endswith(".npy") or any(p.fullmatch(text) for p in (_ARRAY, _SCALAR))


def _value(text: str, whole: str) -> ArraySpec | FileSpec | ScalarSpec:
    array = _ARRAY.fullmatch(text)
    if array is not None:
        return _array(array, whole)
    if _NUMBER.fullmatch(text):
        return ScalarSpec(None, text)
    scalar = _SCALAR.fullmatch(text)
    if scalar is not None:
        dtype = _type_or_complain(scalar.group(1), whole)
        if _NUMBER.fullmatch(scalar.group(2)) is None:
            raise UsageError(
                f"argument {whole!r}: {scalar.group(2)!r} is not a number; an array needs its "
                f"extents, such as {scalar.group(1)}[1024]={scalar.group(2)}"
            )
        return ScalarSpec(dtype, scalar.group(2))
    if text.endswith(".npy"):
        return FileSpec(Path(text))
    kind = _type(text)
    if kind is not None:
        raise UsageError(
            f"argument {whole!r}: a {text} of what? {text}=1 is a scalar, {text}[1024]=random an "
            "array"
        )
    raise UsageError(
        f"argument {whole!r} is none of: a number; TYPE=NUMBER (i32=1024); TYPE[EXTENTS] or "
        "TYPE[EXTENTS]=FILL (f32[64,64]=random); a .npy file"
    )


def _array(match: re.Match[str], whole: str) -> ArraySpec:
    dtype = _type_or_complain(match.group(2), whole)
    try:
        shape = tuple(_extent(axis) for axis in match.group(3).split(","))
    except ValueError:
        raise UsageError(
            f"argument {whole!r}: [{match.group(3)}] must be whole numbers, such as [1024] or "
            "[64,64]"
        ) from None
    fill = match.group(4)
    if match.group(1) and fill is not None:
        raise UsageError(
            f"argument {whole!r}: an output (out:) starts as memory that was never written; leave "
            f"out either out: or ={fill}"
        )
    if fill == "":
        raise UsageError(f"argument {whole!r} ends in '='; say what to fill the array with")
    spec = ArraySpec(dtype, shape, fill, is_output=bool(match.group(1)))
    if spec.nbytes > MAX_BYTES:
        raise UsageError(
            f"argument {whole!r} is {spec.nbytes:,} bytes; at most {MAX_BYTES:,} are possible here"
        )
    return spec


def _extent(text: str) -> int:
    if not re.fullmatch(r"\s*\d{1,15}\s*", text):
        raise ValueError(text)
    return int(text)


def _type(name: str) -> np.dtype[Any] | None:
    return TYPES.get(ALIASES.get(name, name))


def _type_or_complain(name: str, whole: str) -> np.dtype[Any]:
    dtype = _type(name)
    if dtype is None:
        close = difflib.get_close_matches(name, [*TYPES, *ALIASES], n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise UsageError(
            f"argument {whole!r}: {name!r} is not a type. Types are {', '.join(TYPES)}.{hint}"
        )
    return dtype


def type_name(dtype: np.dtype[Any]) -> str:
    """``f32`` for float32: a type as the command line calls it."""
    return next((name for name, kind in TYPES.items() if kind == dtype), dtype.name)


def make_array(
    spec: ArraySpec | FileSpec, whole: str, random: np.random.Generator
) -> npt.NDArray[Any] | None:
    """The array's values, or None for memory that is never written."""
    if isinstance(spec, FileSpec):
        return load(spec.path, whole)
    if spec.fill is None:
        return None
    try:
        return _filled(spec, spec.fill, whole, random)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"argument {whole!r}: {error}") from None
    except MemoryError:
        raise UsageError(
            f"argument {whole!r}: this machine has no memory for {spec.nbytes:,} bytes"
        ) from None


def load(path: Path, whole: str) -> npt.NDArray[Any]:
    """A ``.npy`` file's array, contiguous and little-endian."""
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        what = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"argument {whole!r}: cannot read {path}: {what}") from None
    if not isinstance(array, np.ndarray):
        raise UsageError(f"argument {whole!r}: {path} holds several arrays; a .npy has one")
    if array.dtype.kind == "V" and array.dtype.itemsize in (1, 2):
        array = array.view(TYPES["bf16"] if array.dtype.itemsize == 2 else TYPES["e4m3"])
    if array.dtype.newbyteorder("=") not in TYPES.values():
        raise UsageError(
            f"argument {whole!r}: {path} holds {array.dtype}, which is no type of a GPU; it takes "
            f"{', '.join(TYPES)}"
        )
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))


def _filled(
    spec: ArraySpec, fill: str, whole: str, random: np.random.Generator
) -> npt.NDArray[Any]:
    dtype, shape = spec.dtype, spec.shape
    if fill.endswith(".npy"):
        array = load(Path(fill), whole)
        if array.size != math.prod(shape):
            raise ValueError(f"{fill} has {array.size:,} elements, not {math.prod(shape):,}")
        return array.astype(dtype).reshape(shape)
    if fill == "arange":
        count = math.prod(shape)
        if _whole(dtype) and dtype.kind != "b" and count - 1 > np.iinfo(dtype).max:
            raise ValueError(f"arange to {count - 1:,} does not fit {type_name(dtype)}")
        return np.arange(count).astype(dtype).reshape(shape)
    if fill == "normal":
        if _whole(dtype):
            raise ValueError(f"normal makes fractions; {type_name(dtype)} takes random")
        return random.standard_normal(shape, dtype=np.float32).astype(dtype)
    bounds = _RANGE.fullmatch(fill)
    if fill == "random" or bounds is not None:
        return _random(dtype, shape, bounds, random)
    words = fill.split(",")
    for word in words:
        if _NUMBER.fullmatch(word.strip()) is None or word.strip() == "null":
            raise ValueError(
                f"{word!r} is not a number; fill with random, random(LOW,HIGH), normal, arange, a "
                "number, as many numbers as there are elements, or a .npy file"
            )
    values = np.array([number(word.strip(), dtype) for word in words], dtype=dtype)
    count = math.prod(shape)
    if len(values) not in (1, count):
        raise ValueError(f"{len(values)} values for {count:,} elements; give one or all")
    return np.full(shape, values[0]) if len(values) == 1 else values.reshape(shape)


def _random(
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    bounds: re.Match[str] | None,
    random: np.random.Generator,
) -> npt.NDArray[Any]:
    """Fractions in [0, 1), whole numbers from 0 to 99, or what ``random(LOW,HIGH)`` says."""
    if dtype.kind == "b":
        return random.integers(0, 2, shape).astype(dtype)
    if _whole(dtype):
        low, high = 0, 100
        if bounds is not None:
            low, high = (int(number(b.strip(), dtype)) for b in bounds.groups())
        if high <= low:
            raise ValueError(f"random({low},{high}) needs a HIGH above LOW")
        return random.integers(low, high, shape, dtype=dtype)
    start, end = 0.0, 1.0
    if bounds is not None:
        start, end = (float(b) for b in bounds.groups())
    if not (math.isfinite(start) and math.isfinite(end) and end > start):
        raise ValueError(f"random({start:g},{end:g}) needs a finite HIGH above LOW")
    unit: npt.NDArray[Any] = random.random(shape, dtype=np.float32)
    return (unit * np.float32(end - start) + np.float32(start)).astype(dtype)


def _whole(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "iub"


def number(text: str, dtype: np.dtype[Any]) -> Any:
    """One number as ``dtype`` has it. Raises ValueError where it would not fit."""
    value = _number(text)
    if dtype.kind == "b":
        if value not in (0, 1):
            raise ValueError(f"{text} is neither true nor false")
        return dtype.type(value)
    if not _whole(dtype):
        return np.array(value, dtype=np.float64).astype(dtype)[()]
    if isinstance(value, float):
        if not value.is_integer():
            raise ValueError(f"{text} is not a whole number, which {type_name(dtype)} needs")
        value = int(value)
    limits = np.iinfo(dtype)
    if not limits.min <= value <= limits.max:
        raise ValueError(f"{text} does not fit {type_name(dtype)} ({limits.min} to {limits.max})")
    return dtype.type(value)


def _number(text: str) -> int | float:
    lower = text.lower()
    if lower in ("true", "false", "null"):
        return int(lower == "true")
    sign, digits = (-1, lower[1:]) if lower.startswith("-") else (1, lower.removeprefix("+"))
    if digits.startswith(("0x", "0b")):
        return sign * int(digits, 0)
    if digits.isdecimal():
        return sign * int(digits)
    return sign * float(digits)
