"""Reductions of the asynchronous proxy, element by element: ``cp.reduce.async.bulk``.

Kinds of elements are those of :data:`emulator.tensor_map.KINDS`. Sums of f16 and bf16 are exact in
float32 before they are rounded once, to nearest even. (PTX ISA, "cp.reduce.async.bulk")
"""

from __future__ import annotations

from emulator.native.compiled import accessors, inner, stack
from emulator.tensor_map import FIRST_FLOAT
from emulator.units.numbers import byte_at, half_at, word_at

_, write_u8 = accessors("uint8")
_, write_u16 = accessors("uint16")
_, write_u32 = accessors("uint32")
read_i32, _ = accessors("int32")
read_i64, write_i64 = accessors("int64")
read_u64, _ = accessors("uint64")
read_f32, write_f32 = accessors("float32")
read_f64, write_f64 = accessors("float64")
scratch = stack(8)

ADD, MIN, MAX, INC, DEC, AND, OR, XOR = range(8)
OPERATIONS = {"add": ADD, "min": MIN, "max": MAX, "inc": INC, "dec": DEC, "and": AND, "or": OR,
              "xor": XOR}  # fmt: skip
UINT8, UINT16, UINT32, INT32, UINT64, INT64, F16, BF16, F32, F64 = range(10)
assert FIRST_FLOAT == F16
QUIET = 0x7FFFFFFF


@inner
def itemsize_of(kind: int) -> int:
    """Bytes of an element."""
    if kind == UINT8:
        return 1
    if kind in (UINT16, F16, BF16):
        return 2
    return 4 if kind in (UINT32, INT32, F32) else 8


@inner
def as_float(bits: int) -> float:
    """A float32 from its bits."""
    place = scratch()
    write_u32(place, bits)
    return float(read_f32(place))


@inner
def bits_of(value: float) -> int:
    """A float32's bits, of the nearest one."""
    place = scratch()
    write_f32(place, value)
    return word_at(place)


@inner
def widened(kind: int, bits: int) -> float:
    """An f16's or bf16's value."""
    if kind == BF16:
        return as_float(bits << 16)
    sign, exponent, fraction = bits >> 15, bits >> 10 & 31, bits & 1023
    if exponent == 31:
        return as_float(sign << 31 | 0xFF << 23 | fraction << 13)
    if exponent == 0:
        value = fraction * 2.0**-24
        return -value if sign else value
    return as_float(sign << 31 | (exponent + 112) << 23 | fraction << 13)


@inner
def narrowed(kind: int, value: float) -> int:
    """The nearest f16 or bf16 of a float32, ties to even."""
    bits = bits_of(value)
    sign, rest = bits >> 31, bits & QUIET
    if rest > 0xFF << 23:
        return 0x7FFF
    if kind == BF16:
        return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16 & 0xFFFF
    if rest >= 0x477FF000:  # 65520 and more
        return sign << 15 | 31 << 10
    if rest < 0x38800000:  # below the smallest normal: in units of 2**-24
        scaled = as_float(rest) * 2.0**24
        whole = int(scaled)
        left = scaled - whole
        whole += int(left > 0.5 or (left == 0.5 and whole & 1))
        return sign << 15 | whole
    rest += 0xFFF + (rest >> 13 & 1)
    return sign << 15 | ((rest >> 13) - (112 << 10))


@inner
def of_floats(op: int, old: float, new: float) -> float:
    """What a reduction of numbers leaves; in a minimum or maximum a NaN gives way to a number."""
    if op == ADD:
        return old + new
    if old != old:
        return new
    if new != new:
        return old
    if op == MIN:
        return new if new < old else old
    return new if new > old else old


@inner
def of_integers(op: int, old: int, new: int) -> int:
    """What a reduction of integers leaves, beyond their width included."""
    if op == ADD:
        return old + new
    if op == MIN:
        return min(old, new)
    if op == MAX:
        return max(old, new)
    if op == INC:
        return 0 if old >= new else old + 1
    if op == DEC:
        return new if old == 0 or old > new else old - 1
    if op == AND:
        return old & new
    if op == OR:
        return old | new
    return old ^ new


@inner
def combine(op: int, kind: int, target: int, source: int) -> None:
    """Reduce one element into the one at ``target``."""
    if kind in (F16, BF16):
        old, new = widened(kind, half_at(target)), widened(kind, half_at(source))
        write_u16(target, narrowed(kind, of_floats(op, old, new)))
    elif kind == F32:
        write_f32(target, of_floats(op, float(read_f32(target)), float(read_f32(source))))
    elif kind == F64:
        write_f64(target, of_floats(op, read_f64(target), read_f64(source)))
    elif kind == UINT8:
        value = of_integers(op, byte_at(target), byte_at(source))
        write_u8(target, value & 0xFF)
    elif kind == UINT16:
        value = of_integers(op, half_at(target), half_at(source))
        write_u16(target, value & 0xFFFF)
    elif kind == UINT32:
        value = of_integers(op, word_at(target), word_at(source))
        write_u32(target, value & 0xFFFFFFFF)
    elif kind == INT32:
        value = of_integers(op, int(read_i32(target)), int(read_i32(source)))
        write_u32(target, value & 0xFFFFFFFF)
    elif kind == UINT64 and op in (MIN, MAX):
        least = (read_u64(source) < read_u64(target)) == (op == MIN)
        if least:
            write_i64(target, read_i64(source))
    else:
        write_i64(target, of_integers(op, read_i64(target), read_i64(source)))
