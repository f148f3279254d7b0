"""Sums longer than a register: ``add.cc``, ``addc``, ``sub.cc``, ``subc``, ``mad.cc``, ``madc``.

The carry is a predicate of its own, kept like a register within a basic block. Compilers never let
it live longer; code that would is refused.
"""

from __future__ import annotations

from llvmlite import ir

from emulator.lower.integer import no_floats, product
from emulator.lower.registry import NotLowered, instruction
from emulator.lower.types import bits
from emulator.lower.warp import WarpLowering
from emulator.native.layout import LANES, mask_type
from emulator.ptx import Instruction

CARRY = "CC.CF"  # no PTX name has a dot


def add(
    lower: WarpLowering, a: ir.Value, b: ir.Value, carry: ir.Value | None
) -> tuple[ir.Value, ir.Value]:
    """``a + b + carry`` and the carry out of it."""
    builder = lower.builder
    total = builder.add(a, b)
    out = builder.icmp_unsigned("<", total, a)
    if carry is None:
        return total, out
    whole = builder.add(total, builder.zext(carry, total.type))
    return whole, builder.or_(out, builder.icmp_unsigned("<", whole, total))


def subtract(
    lower: WarpLowering, a: ir.Value, b: ir.Value, borrow: ir.Value | None
) -> tuple[ir.Value, ir.Value]:
    """``a - (b + borrow)`` and the borrow out of it."""
    builder = lower.builder
    apart = builder.sub(a, b)
    out = builder.icmp_unsigned("<", a, b)
    if borrow is None:
        return apart, out
    whole = builder.sub(apart, builder.zext(borrow, apart.type))
    return whole, builder.or_(out, builder.icmp_unsigned(">", whole, apart))


@instruction("addc", "subc", "madc")
def chained(lower: WarpLowering, inst: Instruction) -> None:
    """A link of a chain. ``add.cc`` and its like, which begin one, come here as well."""
    kind = no_floats(inst)
    if bits(kind) < 32:
        raise NotLowered(inst.text)
    carry = None
    if inst.opcode in ("addc", "subc", "madc"):
        carry = lower.values.get(CARRY)
        if carry is None:
            raise NotLowered(f"{inst.text} (its carry comes from before a branch or a label)")
    if inst.opcode.startswith("mad"):
        value, width = product(lower, inst, kind)
        if width != bits(kind):
            raise NotLowered(inst.text)
        value, out = add(lower, lower.read(inst.operands[3], kind), value, carry)
    else:
        a, b = (lower.read(o, kind) for o in inst.operands[1:3])
        operation = subtract if inst.opcode.startswith("sub") else add
        value, out = operation(lower, a, b, carry)
    if inst.has("cc"):
        _set_carry(lower, inst, out)
    lower.result(inst, value)


def _set_carry(lower: WarpLowering, inst: Instruction, carry: ir.Value) -> None:
    if inst.predicate is not None:
        old = lower.values.get(CARRY, ir.Constant(mask_type, [0] * LANES))
        carry = lower.builder.select(lower.predicate(inst.predicate), carry, old)
    lower.values[CARRY] = carry
