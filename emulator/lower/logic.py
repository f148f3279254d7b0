"""Bits: logic, shifts, permutations of bytes."""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir

from emulator.lower.integer import call, constant, no_floats
from emulator.lower.registry import NotLowered, instruction
from emulator.lower.routines import call_routine
from emulator.lower.types import bits, integers, is_signed
from emulator.lower.warp import WarpLowering
from emulator.native.layout import LANES, i8, i32
from emulator.ptx import Immediate, Instruction, Pair


@instruction("and", "or", "xor")
def logic(lower: WarpLowering, inst: Instruction) -> None:
    """Bitwise, and on predicates."""
    a, b = (lower.read(o, inst.type) for o in inst.operands[1:3])
    operation = {"and": lower.builder.and_, "or": lower.builder.or_, "xor": lower.builder.xor}
    lower.result(inst, operation[inst.opcode](a, b))


@instruction("not")
def not_(lower: WarpLowering, inst: Instruction) -> None:
    """Bitwise complement."""
    lower.result(inst, lower.builder.not_(lower.read(inst.operands[1], inst.type)))


@instruction("cnot")
def cnot(lower: WarpLowering, inst: Instruction) -> None:
    """1 for zero, else 0."""
    kind = inst.type
    zero = constant(bits(kind), 0)
    is_zero = lower.builder.icmp_unsigned("==", lower.read(inst.operands[1], kind), zero)
    lower.result(inst, lower.builder.zext(is_zero, integers(bits(kind))))


@instruction("shl", "shr")
def shift(lower: WarpLowering, inst: Instruction) -> None:
    """Shifts by the width or more give zero, or copies of the sign."""
    kind = no_floats(inst)
    builder = lower.builder
    width = bits(kind)
    value = lower.read(inst.operands[1], kind)
    keeps_sign = inst.opcode == "shr" and is_signed(kind)
    move = builder.shl if inst.opcode == "shl" else builder.lshr
    by = inst.operands[2]
    if isinstance(by, Immediate):
        known = int(by.value) & 0xFFFFFFFF
        if keeps_sign:
            lower.result(inst, builder.ashr(value, constant(width, min(known, width - 1))))
        else:
            beyond_all = known >= width
            moved = constant(width, 0) if beyond_all else move(value, constant(width, known))
            lower.result(inst, moved)
        return
    amount = lower.read(by, "u32")
    most = constant(32, width - 1)
    clamped = resize(lower, call(lower, "umin", amount, most), width)
    if keeps_sign:
        lower.result(inst, builder.ashr(value, clamped))
        return
    beyond = builder.icmp_unsigned(">", amount, most)
    lower.result(inst, builder.select(beyond, constant(width, 0), move(value, clamped)))


def resize(lower: WarpLowering, amount: ir.Value, width: int) -> ir.Value:
    """A 32-bit amount, less than 2**16, in another width."""
    if width == 32:
        return amount
    change = lower.builder.zext if width > 32 else lower.builder.trunc
    return change(amount, integers(width))


@instruction("shf")
def funnel(lower: WarpLowering, inst: Instruction) -> None:
    """``shf.{l,r}.{wrap,clamp}.b32 d, low, high, by``: a shift of 64 bits."""
    builder = lower.builder
    low, high, by = (lower.read(o, "u32") for o in inst.operands[1:4])
    if inst.has("wrap"):
        by = builder.and_(by, constant(32, 31))
    else:
        beyond = builder.icmp_unsigned(">", by, constant(32, 32))
        by = builder.select(beyond, constant(32, 32), by)
    wide = builder.or_(
        builder.shl(builder.zext(high, integers(64)), constant(64, 32)),
        builder.zext(low, integers(64)),
    )
    far = builder.zext(by, integers(64))
    if inst.has("l"):
        moved = builder.lshr(builder.shl(wide, far), constant(64, 32))
    else:
        moved = builder.lshr(wide, far)
    lower.result(inst, builder.trunc(moved, integers(32)))


@instruction("lop3")
def lop3(lower: WarpLowering, inst: Instruction) -> None:
    """Any function of three bits, by its truth table; ``d|p``: whether any bit came out set."""
    table = inst.operands[4]
    if not isinstance(table, Immediate) or inst.type != "b32":
        raise NotLowered(inst.text)
    builder = lower.builder
    a, b, c = (lower.read(o, "b32") for o in inst.operands[1:4])
    rows = int(table.value)
    set_, clear = (_of_two_bits(lower, rows >> 4 * a_bit & 15, b, c) for a_bit in (1, 0))
    value = builder.or_(builder.and_(a, set_), builder.and_(builder.not_(a), clear))
    target = inst.operands[0]
    if not isinstance(target, Pair):
        lower.result(inst, value)
        return
    some = builder.icmp_unsigned("!=", value, constant(32, 0))
    join = builder.or_ if inst.has("or") else builder.and_
    lower.write(target.first, value, inst)
    lower.write(target.second, join(some, lower.read(inst.operands[5], "pred")), inst)


def _of_two_bits(lower: WarpLowering, rows: int, b: ir.Value, c: ir.Value) -> ir.Value:
    builder = lower.builder
    if rows >= 8:
        return builder.not_(_of_two_bits(lower, 15 - rows, b, c))
    makes: list[Callable[[], ir.Value]] = [
        lambda: constant(32, 0),
        lambda: builder.not_(builder.or_(b, c)),
        lambda: builder.and_(builder.not_(b), c),
        lambda: builder.not_(b),
        lambda: builder.and_(b, builder.not_(c)),
        lambda: builder.not_(c),
        lambda: builder.xor(b, c),
        lambda: builder.not_(builder.and_(b, c)),
    ]
    return makes[rows]()


@instruction("prmt")
def prmt(lower: WarpLowering, inst: Instruction) -> None:
    """Pick four of eight bytes, by a selector or by one of the modes."""
    builder = lower.builder
    mode = next((m for m in inst.modifiers if m in BYTES_OF_MODE), None)
    a, b = (lower.read(o, "b32") for o in inst.operands[1:3])
    last = inst.operands[3]
    if isinstance(last, Immediate):
        selector = int(last.value)
        nibbles = _of_mode(mode, selector) if mode else [selector >> 4 * i & 15 for i in range(4)]
        if max(nibbles) < 8:
            lower.result(inst, _picked(lower, a, b, nibbles))
            return
    chosen = lower.read(last, "b32")
    if mode:
        choices = [_packed(_of_mode(mode, c)) for c in range(4)]
        low, high = (
            builder.icmp_unsigned("!=", builder.and_(chosen, constant(32, bit)), constant(32, 0))
            for bit in (1, 2)
        )
        first, second = (
            builder.select(low, constant(32, choices[i + 1]), constant(32, choices[i]))
            for i in (0, 2)
        )
        chosen = builder.select(high, second, first)
    lower.result(inst, call_routine(lower, "prmt", a, b, chosen))


# which byte of b:a each byte of the result is, from the selector's low two bits
BYTES_OF_MODE: dict[str, Callable[[int, int], int]] = {
    "f4e": lambda c, i: c + i,
    "b4e": lambda c, i: (c - i) & 7,
    "rc8": lambda c, i: c,
    "ecl": lambda c, i: max(c, i),
    "ecr": lambda c, i: min(c, i),
    "rc16": lambda c, i: 2 * (c & 1) + (i & 1),
}


def _of_mode(mode: str, selector: int) -> list[int]:
    return [BYTES_OF_MODE[mode](selector & 3, i) for i in range(4)]


def _packed(nibbles: list[int]) -> int:
    return sum(nibble << 4 * i for i, nibble in enumerate(nibbles))


def _picked(lower: WarpLowering, a: ir.Value, b: ir.Value, nibbles: list[int]) -> ir.Value:
    """Bytes known now are one shuffle."""
    builder = lower.builder
    bytes_ = ir.VectorType(i8, 4 * LANES)
    order = [
        4 * lane + (nibble & 3) + (4 * LANES if nibble & 4 else 0)
        for lane in range(LANES)
        for nibble in nibbles
    ]
    picks = ir.Constant(ir.VectorType(i32, 4 * LANES), order)
    shuffled = builder.shuffle_vector(builder.bitcast(a, bytes_), builder.bitcast(b, bytes_), picks)
    return builder.bitcast(shuffled, integers(32))
