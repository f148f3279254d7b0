"""C's ``printf`` formats (C17, 7.21.6.1), for what kernels print."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable

# flags, width, precision, length, conversion
_SPEC = re.compile(rb"%([-+ #0]*)(\*|\d+)?(?:\.(\*|\d*))?(hh|h|ll|l|j|z|t|L)?([a-zA-Z%])")
_LONGEST = 1 << 16  # of a width or precision: a wild "*" must not take all memory
_INTEGERS = "diouxXc"
_FLOATS = "fFeEgGaA"

# Takes "int32", "int64", "double" or "string"; gives the next argument.
NextArgument = Callable[[str], "int | float | bytes"]


def format_c(text: bytes, argument: NextArgument) -> bytes:
    """``text`` with each conversion replaced by the next argument.

    ``argument(kind)`` is asked for one argument after the other, ``kind`` as C promotes it:
    "int32", "int64" (both signed), "double" or "string" (bytes). What is no conversion of C's stays
    as it stands.
    """
    out = bytearray()
    end = 0
    for match in _SPEC.finditer(text):
        out += text[end : match.start()]
        end = match.end()
        out += _convert(match, argument)
    return bytes(out + text[end:])


def _convert(match: re.Match[bytes], argument: NextArgument) -> bytes:
    flags = set((match[1] or b"").decode())
    conversion = match[5].decode()
    if conversion == "%":
        return b"%"
    if conversion not in _INTEGERS + _FLOATS + "ps":
        return match[0]
    width = _number(match[2], argument)
    if width is not None and width < 0:
        flags.add("-")
        width = -width
    precision = _number(match[3], argument)
    if precision is not None and precision < 0:
        precision = None
    width = min(width or 0, _LONGEST)
    precision = None if precision is None else min(precision, _LONGEST)
    length = (match[4] or b"").decode()
    if conversion == "s":
        raw = argument("string")
        assert isinstance(raw, bytes)
        return _pad("", raw[:precision], flags - {"0"}, width)
    if conversion == "p":
        value = argument("int64")
        assert isinstance(value, int)
        digits = f"{value & (1 << 64) - 1:#x}" if value else "(nil)"
        return _pad("", digits.encode(), flags - {"0"}, width)
    if conversion in _FLOATS:
        value = argument("double")
        return _float(float(value), conversion, flags, width, precision)
    wide = length in ("l", "ll", "j", "z", "t")
    value = argument("int64" if wide and conversion != "c" else "int32")
    assert isinstance(value, int)
    if conversion == "c":
        return _pad("", bytes([value & 255]), flags - {"0"}, width)
    bits = 64 if wide else {"hh": 8, "h": 16}.get(length, 32)
    return _integer(value, bits, conversion, flags, width, precision)


def _number(text: bytes | None, argument: NextArgument) -> int | None:
    if text is None:
        return None
    if text == b"*":
        return int(argument("int32"))
    return int(text or b"0")


def _pad(sign: str, body: bytes, flags: set[str], width: int) -> bytes:
    """``sign`` and ``0x`` stand before the zeros that fill a width."""
    missing = width - len(sign) - len(body)
    if missing <= 0:
        return sign.encode() + body
    if "-" in flags:
        return sign.encode() + body + b" " * missing
    if "0" in flags:
        return sign.encode() + b"0" * missing + body
    return b" " * missing + sign.encode() + body


def _sign(negative: bool, flags: set[str]) -> str:
    return "-" if negative else "+" if "+" in flags else " " if " " in flags else ""


def _integer(
    value: int, bits: int, conversion: str, flags: set[str], width: int, precision: int | None
) -> bytes:
    value &= (1 << bits) - 1
    sign = ""
    if conversion in "di":
        value -= (value >> bits - 1) << bits
        sign = _sign(value < 0, flags)
    digits = format(abs(value), {"o": "o", "x": "x", "X": "X"}.get(conversion, "d"))
    if precision is not None:
        flags = flags - {"0"}
        digits = digits.zfill(precision) if value or precision else ""
    if "#" in flags and conversion == "o" and not digits.startswith("0"):
        digits = "0" + digits
    if "#" in flags and conversion in "xX" and value:
        sign = "0" + conversion
    return _pad(sign, digits.encode(), flags, width)


def _float(
    value: float, conversion: str, flags: set[str], width: int, precision: int | None
) -> bytes:
    sign = _sign(math.copysign(1.0, value) < 0, flags)
    if not math.isfinite(value):
        word = "nan" if math.isnan(value) else "inf"
        word = word.upper() if conversion.isupper() else word
        return _pad(sign, word.encode(), flags - {"0"}, width)
    if conversion in "aA":
        body = _hexadecimal(abs(value), precision, "#" in flags)
        sign += "0x"
        if conversion == "A":
            sign, body = sign.upper(), body.upper()
    else:
        places = 6 if precision is None else precision
        body = f"%{'#' if '#' in flags else ''}.{places}{conversion}" % abs(value)
    return _pad(sign, body.encode(), flags, width)


def _hexadecimal(value: float, precision: int | None, point: bool) -> str:
    """``1.8p+0``: as few digits as are exact, or ``precision`` of them, ties to even."""
    (pattern,) = struct.unpack("<Q", struct.pack("<d", value))
    exponent, fraction = pattern >> 52, pattern & (1 << 52) - 1
    whole = fraction | (1 << 52 if exponent else 0)
    power = (exponent or 1) - 1023 if value else 0
    if precision is None:
        digits = f"{fraction:013x}".rstrip("0")
        lead = whole >> 52
    else:
        kept = min(precision, 13)
        drop = 52 - 4 * kept
        rounded = whole >> drop
        rest, half = whole & (1 << drop) - 1, 1 << drop >> 1
        if drop and (rest > half or (rest == half and rounded & 1)):
            rounded += 1
        lead = rounded >> 4 * kept
        digits = f"{rounded & (1 << 4 * kept) - 1:0{kept}x}" if kept else ""
        digits += "0" * (precision - kept)
    dot = "." if digits or point else ""
    return f"{lead:x}{dot}{digits}p{power:+d}"
