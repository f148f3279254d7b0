"""``cvt`` between every pair of types, in every form that ptxas takes for an H100, rounded exactly.

Each source type is one kernel that runs all forms on every corner of the type.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest

from tests.emulator.oracle import apply

INTEGERS = [f"{sign}{bits}" for bits in (8, 16, 32, 64) for sign in "us"]
# digits after the point, exponent of the least number, type in memory
FLOATS = {
    "f16": (10, -24, np.float16),
    "bf16": (7, -133, ml_dtypes.bfloat16),
    "f32": (23, -149, np.float32),
    "f64": (52, -1074, np.float64),
}
WIDTH = {"f16": 16, "bf16": 16, "f32": 32, "f64": 64, **{k: int(k[1:]) for k in INTEGERS}}
MODES = ["rn", "rz", "rm", "rp"]
WHOLE = {"rni": round, "rzi": math.trunc, "rmi": math.floor, "rpi": math.ceil}


@dataclass(frozen=True)
class Form:
    target: str
    source: str
    mode: str = ""  # one of MODES, of WHOLE, or none
    ftz: bool = False
    sat: bool = False
    relu: bool = False
    satfinite: bool = False

    def __str__(self) -> str:
        flags = [n for n in ("relu", "satfinite", "ftz", "sat") if getattr(self, n)]
        return ".".join(["cvt", *filter(None, [self.mode]), *flags, self.target, self.source])


def forms_of(source: str) -> list[Form]:
    """What the ISA has for a source type."""
    found = []
    for target in (*INTEGERS, *FLOATS):
        both_float = target in FLOATS and source in FLOATS
        narrows = both_float and FLOATS[target][0] < FLOATS[source][0]
        between_halves = {target, source} == {"f16", "bf16"}
        if target in INTEGERS:
            modes = [*WHOLE] if source in FLOATS else [""]
        elif not both_float or narrows or between_halves:
            modes = MODES
        else:
            modes = ["", *WHOLE] if target == source else [""]
        saturates = [False] if "bf16" in (target, source) else [False, True]
        single = source == "f32" or (target == "f32" and source != "bf16")
        flushes = [False, True] if single else [False]
        for mode, sat, ftz in itertools.product(modes, saturates, flushes):
            found.append(Form(target, source, mode, ftz, sat))
        if source == "f32" and target in ("f16", "bf16"):
            for mode, relu, finite in itertools.product(("rn", "rz"), *[(False, True)] * 2):
                if relu or finite:
                    found.append(Form(target, source, mode, relu=relu, satfinite=finite))
    return found


def values_of(kind: str) -> np.ndarray:
    """Corners of a type as it is stored: all of it for 8 bits, and much of it for 16."""
    if WIDTH[kind] == 8:
        return np.arange(1 << 8, dtype=np.uint8)
    if WIDTH[kind] == 16:
        ends = [e + d & 0xFFFF for e in (0, 0x0400, 0x3C00, 0x7C00, 0x8000) for d in range(-9, 9)]
        return np.array([*ends, *range(0, 1 << 16, 101), *(e ^ 0x8000 for e in ends)], np.uint16)
    random = np.random.default_rng(WIDTH[kind])
    if kind in INTEGERS:
        info = np.iinfo(f"{'i' if kind[0] == 's' else 'u'}{WIDTH[kind] // 8}")
        near = {
            b + d for p in range(0, WIDTH[kind], 3) for b in (1 << p, -(1 << p)) for d in (-1, 0, 1)
        }
        ties = {(1 << p) + (1 << q) for p in (25, 31, 53, 62) for q in range(0, 45, 4)}
        ties |= {v + 1 for v in ties} | {v - 1 for v in ties} | {-v for v in ties}
        chosen = sorted(v for v in near | ties if info.min <= v <= info.max)
        return np.array(chosen, dtype=info.dtype).view(f"u{WIDTH[kind] // 8}")
    _, least, dtype = FLOATS[kind]
    numbers = [0.0, math.inf, math.nan, float(np.finfo(dtype).max), 0.3, 0.5, 1.0, 1.5, 2.5]
    for _, other_least, other in FLOATS.values():  # ties and ends of the narrower formats
        top = float(ml_dtypes.finfo(other).max)
        with np.errstate(over="ignore"):
            above = np.nextafter(dtype(top), dtype(math.inf))
        numbers += [top, above, 2.0 ** max(other_least, least)]
        for exponent in (other_least, other_least + 3, 0, 5):
            tails = (1, 1 + 2**-9, 1 + 2**-8, 1 + 2**-11, 1 + 2**-10, 0.5, 1.5, 0.75, 1 + 2**-20)
            numbers += [math.ldexp(tail, exponent) for tail in tails]
    for edge in (7, 8, 15, 16, 31, 32, 63, 64):
        numbers += [2.0**edge, 2.0**edge - 1, 2.0**edge + 1, 2.0**edge - 0.5]
    spread = random.standard_normal(60) * 2.0 ** random.integers(-40, 40, 60)
    with np.errstate(over="ignore"):
        both = np.array([*numbers, *spread]).astype(dtype)
    return np.concatenate([both, -both]).view(f"u{WIDTH[kind] // 8}")


def decoded(raw: np.ndarray, kind: str) -> list[int | float]:
    if kind in FLOATS:
        return raw.view(FLOATS[kind][2]).astype(np.float64).tolist()
    return raw.view(f"{'i' if kind[0] == 's' else 'u'}{WIDTH[kind] // 8}").tolist()


def rounded(value: Fraction, kind: str, mode: str, negative: bool) -> float:
    """In a format; ``negative`` is the sign of zero."""
    digits, least, dtype = FLOATS[kind]
    if value == 0:
        return -0.0 if negative else 0.0
    size = abs(value)
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    exponent -= size < Fraction(2) ** exponent
    unit = Fraction(2) ** max(exponent - digits, least)
    whole, rest = divmod(size, unit)
    outward = {"rz": False, "rm": value < 0, "rp": value > 0}
    up = rest * 2 > unit or (rest * 2 == unit and whole % 2) if mode == "rn" else (
        rest > 0 and outward[mode]
    )  # fmt: skip
    result = (whole + bool(up)) * unit
    largest = Fraction(float(ml_dtypes.finfo(dtype).max))
    if result > largest:
        result = math.inf if mode == "rn" or outward[mode] else largest
    return math.copysign(float(result), -1 if value < 0 else 1)


def flushed(value: float) -> float:
    return math.copysign(0.0, value) if abs(value) < 2.0**-126 else value


def oracle(form: Form, value: int | float) -> int | float | None:
    """The result, as a number; None where the ISA leaves it open."""
    target, source = form.target, form.source
    if form.ftz and source == "f32":
        value = flushed(value)
    if target in INTEGERS:
        return to_integer(form, value)
    finite = not isinstance(value, float) or math.isfinite(value)
    if finite and form.mode in WHOLE:
        value = math.copysign(float(WHOLE[form.mode](value)), value)
    mode = form.mode if form.mode in MODES else "rn"
    if finite:
        negative = isinstance(value, float) and math.copysign(1, value) < 0
        value = rounded(Fraction(value), target, mode, negative)
    if form.ftz and target == "f32":
        value = flushed(value)
    if form.sat:
        return 0.0 if math.isnan(value) or value <= 0 else min(value, 1.0)
    if form.satfinite and math.isinf(value):
        value = math.copysign(float(ml_dtypes.finfo(FLOATS[target][2]).max), value)
    return 0.0 if form.relu and value <= 0 else value


def to_integer(form: Form, value: int | float) -> int | None:
    bits, signed = WIDTH[form.target], form.target[0] == "s"
    low = -(1 << (bits - 1)) if signed else 0
    high = low + (1 << bits) - 1
    if isinstance(value, float):
        if math.isnan(value):
            return None
        whole = WHOLE[form.mode](value) if math.isfinite(value) else value
        return int(min(max(whole, low), high))
    if form.sat:
        return min(max(value, low), high)
    return (value - low) % (1 << bits) + low


REGISTER = {8: "b32", 16: "b16", 32: "b32", 64: "b64"}


def run(card, forms: list[Form], raw: np.ndarray) -> list[np.ndarray]:
    """All forms on all values, by one kernel: a row of results each."""
    source = forms[0].source
    width = WIDTH[source]
    loads = f"ld.global.u{width} %x, [%a];" if width == 8 else f"ld.global.b{width} %x, [%a];"
    lines = []
    for form in forms:
        bits = WIDTH[form.target]
        lines.append(f"  {{ .reg .{REGISTER[bits]} d; {form} d, %x;")
        lines.append(f"    st.global.{'u' if bits == 8 else 'b'}{bits} [%y], d; }}")
        lines.append("  add.u64 %y, %y, %step;")
    code = f""".version 8.5
.target sm_90
.address_size 64
.visible .entry k(.param .u64 x, .param .u64 y, .param .u32 n) {{
  .reg .b64 %a, %y, %step; .reg .b32 %i, %t, %n; .reg .pred %p; .reg .{REGISTER[width]} %x;
  mov.u32 %t, %tid.x; mov.u32 %i, %ctaid.x; mad.lo.u32 %i, %i, 128, %t;
  ld.param.u32 %n, [n]; setp.ge.u32 %p, %i, %n; @%p ret;
  ld.param.u64 %a, [x]; mad.wide.u32 %a, %i, {width // 8}, %a; {loads}
  ld.param.u64 %y, [y]; mad.wide.u32 %y, %i, 8, %y; mul.wide.u32 %step, %n, 8;
{chr(10).join(lines)}
  ret; }}"""
    out = np.zeros((len(forms), len(raw)), dtype=np.uint64)
    card.run(code, "k", -(-len(raw) // 128), 128, raw.copy(), out, np.uint32(len(raw)))
    return [out[row].astype(f"u{WIDTH[form.target] // 8}") for row, form in enumerate(forms)]


@pytest.mark.parametrize("source", [*INTEGERS, *FLOATS])
def test_every_conversion(card, source):
    forms, raw = forms_of(source), values_of(source)
    values = decoded(raw, source)
    for form, row in zip(forms, run(card, forms, raw), strict=True):
        for value, got in zip(values, decoded(row, form.target), strict=True):
            wanted = oracle(form, value)
            if wanted is None:
                continue
            alike = got == wanted and math.copysign(1, got) == math.copysign(1, wanted)
            assert alike or (got != got and wanted != wanted), (str(form), value, got, wanted)


def test_tf32(card):
    raw = values_of("f32")
    values = decoded(raw, "f32")
    for mode, relu, finite in (("rn", 0, 0), ("rz", 0, 0), ("rna", 0, 0), ("rn", 1, 0),
                               ("rz", 1, 0), ("rna", 0, 1)):  # fmt: skip
        code = f"cvt.{mode}{'.relu' * relu}{'.satfinite' * finite}.tf32.f32 %d, %0;"
        got = apply(card, code, "b32", ("b32", raw))
        assert (got[np.isfinite(values)] & 0x1FFF == 0).all()
        for value, result in zip(values, got.view(np.float32).tolist(), strict=True):
            if math.isnan(value):
                assert math.isnan(result)
                continue
            wanted = tf32(value, mode, finite)
            wanted = 0.0 if relu and wanted <= 0 else wanted
            assert result == wanted, (code, value)


def tf32(value: float, mode: str, finite: int) -> float:
    """10 digits in f32's range; ``rna``: ties away from zero."""
    if math.isfinite(value) and value:
        _, exponent = math.frexp(abs(value))
        unit = Fraction(2) ** max(exponent - 11, -136)
        whole, rest = divmod(abs(Fraction(value)), unit)
        up = {"rz": False, "rna": rest * 2 >= unit,
              "rn": rest * 2 > unit or (rest * 2 == unit and whole % 2 == 1)}[mode]  # fmt: skip
        size = (whole + up) * unit
        value = math.copysign(math.inf if size >= 2**128 else float(size), value)
    largest = float.fromhex("0x1.ffcp127")
    return math.copysign(min(abs(value), largest), value) if finite else value


FLOAT8 = {"e4m3x2": (3, -9, 448.0), "e5m2x2": (2, -16, 57344.0)}


def float8(value: float, kind: str, relu: bool) -> float:
    """To nearest even, clamped to the largest."""
    digits, least, top = FLOAT8[kind]
    if math.isnan(value):
        return value
    if relu and value <= 0:
        return 0.0
    size = abs(value)
    if size and not math.isinf(size):
        _, exponent = math.frexp(size)
        unit = 2.0 ** max(exponent - 1 - digits, least)
        size = float(round(Fraction(size) / Fraction(unit)) * Fraction(unit))
    return math.copysign(min(size, top), value)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("kind", FLOAT8)
def test_eight_bit_floats_in_pairs(card, kind, relu):
    stored = {"e4m3x2": ml_dtypes.float8_e4m3fn, "e5m2x2": ml_dtypes.float8_e5m2}[kind]
    suffix = ".relu" * relu
    every_half = np.arange(0, 1 << 16, 3, dtype=np.uint16)[:21844]
    sources = {
        "f16x2": ([("b32", every_half.view(np.uint32))], every_half.view(np.float16)),
        "f32": ([("b32", values_of("f32")[1::2]), ("b32", values_of("f32")[::2])],
                values_of("f32").view(np.float32)),
    }  # fmt: skip
    for source, (operands, numbers) in sources.items():
        names = ", ".join(f"%{i}" for i in range(len(operands)))
        code = f"cvt.rn.satfinite{suffix}.{kind}.{source} %d, {names};"
        got = apply(card, code, "b16", *operands).view(stored).astype(np.float64).tolist()
        for value, result in zip(numbers.astype(np.float64).tolist(), got, strict=True):
            wanted = float8(value, kind, relu)
            alike = result == wanted and math.copysign(1, result) == math.copysign(1, wanted)
            assert alike or (result != result and wanted != wanted), (code, value, result)
    every_pair = np.arange(1 << 16, dtype=np.uint16)
    back = apply(card, f"cvt.rn{suffix}.f16x2.{kind} %d, %0;", "b32", ("b16", every_pair))
    wanted = every_pair.view(stored).astype(np.float16).astype(np.float64)
    wanted = np.where(wanted <= 0, 0.0, wanted) if relu else wanted
    got = back.view(np.float16).astype(np.float64)
    alike = (got == wanted) & (np.signbit(got) == np.signbit(wanted))
    assert (alike | (np.isnan(got) & np.isnan(wanted))).all()


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("finite", [False, True])
@pytest.mark.parametrize("mode", ["rn", "rz"])
@pytest.mark.parametrize("kind", ["f16", "bf16"])
def test_pairs_of_halves(card, kind, mode, finite, relu):
    raw = values_of("f32")
    high, low = raw, np.roll(raw, 1)
    code = f"cvt.{mode}{'.relu' * relu}{'.satfinite' * finite}.{kind}x2.f32 %d, %0, %1;"
    got = apply(card, code, "b32", ("b32", high), ("b32", low)).view(FLOATS[kind][2])
    form = Form(kind, "f32", mode, relu=relu, satfinite=finite)
    for part, numbers in ((1, high), (0, low)):
        for value, result in zip(
            decoded(numbers, "f32"), got[part::2].astype(np.float64).tolist(), strict=True
        ):
            wanted = oracle(form, value)
            assert result == wanted or (result != result and wanted != wanted), (code, value)


@pytest.mark.parametrize("kind", ["u16", "s16", "u8", "s8", "u4", "s4", "u2", "s2"])
def test_packing(card, kind):
    raw = values_of("s32")
    a, b, c = raw, np.roll(raw, 5), np.roll(raw, 9)
    bits = int(kind[1:])
    rest = bits < 16
    code = f"cvt.pack.sat.{kind}.s32{'.b32' * rest} %d, %0, %1{', %2' * rest};"
    got = apply(card, code, "u32", ("u32", a), ("u32", b), ("u32", c))
    low = -(1 << (bits - 1)) if kind[0] == "s" else 0

    def clamped(value: int) -> int:
        return min(max(value, low), low + (1 << bits) - 1) & ((1 << bits) - 1)

    triples = zip(*(decoded(v, "s32") for v in (a, b, c)), strict=True)
    wanted = [
        (clamped(x) << bits | clamped(y) | (z << 2 * bits if rest else 0)) & 0xFFFFFFFF
        for x, y, z in triples
    ]
    assert got.tolist() == wanted
