"""One PTX instruction over many operands, and what exact arithmetic says of it."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

INTEGER = {"u16": np.uint16, "s16": np.int16, "u32": np.uint32, "s32": np.int32,
           "u64": np.uint64, "s64": np.int64}  # fmt: skip
FLOAT = {"f16": np.float16, "f32": np.float32, "f64": np.float64}
STORED = {**INTEGER, **FLOAT, "b16": np.uint16, "b32": np.uint32, "b64": np.uint64,
          "u8": np.uint8, "s8": np.int8, "bf16": np.uint16, "tf32": np.uint32}  # fmt: skip
MANTISSA = {"f16": 10, "f32": 23, "f64": 52}


def apply(card, instruction: str, result: str, *operands: tuple[str, np.ndarray]) -> np.ndarray:
    """Run ``instruction`` with ``%d`` as its result and ``%0``, ``%1``... as operands."""
    n = len(operands[0][1])
    lines, names = [], []
    for number, (kind, _) in enumerate(operands):
        size = np.dtype(STORED[kind]).itemsize
        names.append(f".param .u64 p{number}")
        register = {1: "b16", 2: "b16", 4: "b32", 8: "b64"}[size]
        lines += [
            f"  .reg .{register} %x{number};",
            f"  ld.param.u64 %a, [p{number}];",
            f"  mad.wide.u32 %a, %i, {size}, %a;",
            f"  ld.global.{kind if size == 1 else f'b{8 * size}'} %x{number}, [%a];",
        ]
        instruction = instruction.replace(f"%{number}", f"%x{number}")
    out = np.dtype(STORED[result]).itemsize
    out_register = {1: "b16", 2: "b16", 4: "b32", 8: "b64"}[out]
    ptx = "\n".join(
        [
            ".version 8.5", ".target sm_90", ".address_size 64",
            f".visible .entry k({', '.join(names)}, .param .u64 y, .param .u32 n)", "{",
            "  .reg .b64 %a; .reg .b32 %i, %t, %b, %n; .reg .pred %p, %q;",
            "  mov.u32 %t, %tid.x; mov.u32 %b, %ctaid.x; mad.lo.u32 %i, %b, 128, %t;",
            "  ld.param.u32 %n, [n]; setp.ge.u32 %p, %i, %n; @%p ret;",
            *lines, f"  .reg .{out_register} %d;", f"  {instruction}",
            f"  ld.param.u64 %a, [y]; mad.wide.u32 %a, %i, {out}, %a;",
            f"  st.global.b{8 * out} [%a], %d;", "  ret;", "}",
        ]
    )  # fmt: skip
    y = np.full(n, 0x5A, dtype=STORED[result])
    arrays = [np.ascontiguousarray(values).astype(STORED[kind]) for kind, values in operands]
    card.run(ptx, "k", -(-n // 128), 128, *arrays, y, np.uint32(n))
    return y


def floats(kind: str, count: int = 12) -> np.ndarray:
    """Zeros, infinities, NaN, subnormals, the ends of the range, ties, and random numbers."""
    info = np.finfo(FLOAT[kind])
    special = [0.0, -0.0, 1.0, -1.0, 1.5, math.inf, -math.inf, math.nan, float(info.max),
               -float(info.max), float(info.tiny), -float(info.tiny),
               float(info.smallest_subnormal), -float(info.smallest_subnormal),
               float(info.tiny) - float(info.smallest_subnormal), 1 + float(info.eps),
               1 - float(info.eps) / 2, 3.0, 0.1]  # fmt: skip
    random = np.random.default_rng(11)
    spread = random.standard_normal(count) * 10.0 ** random.integers(-4, 4, count)
    return np.array([*special, *spread], dtype=FLOAT[kind])


def all_pairs(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.meshgrid(values, values)
    return a.reshape(-1).copy(), b.reshape(-1).copy()


def rounded(value: Fraction, kind: str, mode: str, zero_sign: int) -> float:
    """An exact value in a format. ``zero_sign``: of an exact zero."""
    bits = MANTISSA[kind]
    smallest = {"f16": -24, "f32": -149, "f64": -1074}[kind]
    if value == 0:
        return math.copysign(0.0, zero_sign)
    magnitude = abs(value)
    exponent = magnitude.numerator.bit_length() - magnitude.denominator.bit_length()
    exponent += 0 if magnitude >= Fraction(2) ** exponent else -1
    unit = Fraction(2) ** max(exponent - bits, smallest)
    whole, rest = divmod(magnitude, unit)
    up = {
        "rn": rest * 2 > unit or (rest * 2 == unit and whole % 2 == 1),
        "rz": False,
        "rm": value < 0 and rest > 0,
        "rp": value > 0 and rest > 0,
    }[mode]
    result = (whole + up) * unit
    largest = Fraction(float(np.finfo(FLOAT[kind]).max))
    if result > largest:
        outward = mode == "rn" or (mode == "rm" and value < 0) or (mode == "rp" and value > 0)
        result = math.inf if outward else largest
    return math.copysign(float(result), -1 if value < 0 else 1)


def exact(name: str, kind: str, mode: str, *operands: float) -> float:
    """An operation on finite or special operands, rounded once from the exact value."""
    special = {
        "add": lambda a, b: a + b,
        "sub": lambda a, b: a - b,
        "mul": lambda a, b: a * b,
        "div": lambda a, b: float(np.float64(a) / np.float64(b)),
        # in steps a product may overflow where the sum with infinity would not
        "fma": lambda a, b, c: c if math.isinf(c) and math.isfinite(a * 0 + b * 0) else a * b + c,
    }[name]
    with np.errstate(all="ignore"):
        if not all(map(math.isfinite, operands)) or (name == "div" and operands[1] == 0):
            return special(*operands)
    f = [Fraction(v) for v in operands]
    value = {
        "add": lambda: f[0] + f[1], "sub": lambda: f[0] - f[1], "mul": lambda: f[0] * f[1],
        "div": lambda: f[0] / f[1], "fma": lambda: f[0] * f[1] + f[2],
    }[name]()  # fmt: skip
    sign = 1
    if value == 0:
        signs = [math.copysign(1, v) for v in operands]
        if name in ("mul", "div"):
            sign = int(signs[0] * signs[1])
        else:
            left = signs[0] * signs[1] if name == "fma" else signs[0]
            right = signs[-1] * (-1 if name == "sub" else 1)
            cancels = left != right
            sign = (-1 if mode == "rm" else 1) if cancels else int(left)
    return rounded(value, kind, mode, sign)


def same(got: np.ndarray, expected: list[float]) -> None:
    """Equal to the bit; any NaN equals any other."""
    with np.errstate(invalid="ignore"):  # a NaN's conversion
        wanted = np.array(expected).astype(got.dtype)
    nan = np.isnan(wanted)
    assert (np.isnan(got) == nan).all()
    whole = {2: np.uint16, 4: np.uint32, 8: np.uint64}[got.dtype.itemsize]
    wrong = np.flatnonzero((got.view(whole) != wanted.view(whole)) & ~nan)
    assert not wrong.size, [(i, got[i], wanted[i]) for i in wrong[:5]]
