"""``alloca``, ``stacksave``, ``stackrestore``: local memory by need (PTX ISA 9.7.16)."""

from __future__ import annotations

from llvmlite import ir

from emulator.lower.registry import NotLowered, instruction
from emulator.lower.types import bits, integers
from emulator.lower.warp import WarpLowering
from emulator.native.lanes import bits_of, lanes_of, splat
from emulator.native.layout import (
    KEPT_TOP_AT,
    LANES,
    LOCAL_TOP_AT,
    STACK_OVERFLOW,
    Context,
    at,
    field,
    i64,
    load,
)
from emulator.ptx import Immediate, Instruction

lanes32, lanes64 = integers(32), integers(64)
DEFAULT_ALIGNMENT = 8


def _top(lower: WarpLowering, where: int) -> ir.Value:
    value = load(lower.builder, at(lower.builder, lower.warp, where), lanes32, 64)
    return lower.builder.zext(value, lanes64)


def _set_top(lower: WarpLowering, inst: Instruction, value: ir.Value) -> None:
    builder = lower.builder
    where = at(builder, lower.warp, LOCAL_TOP_AT)
    old = load(builder, where, lanes32, 64)
    lanes = lanes_of(builder, lower.active(inst))
    builder.store(builder.select(lanes, builder.trunc(value, lanes32), old), where, align=64)


def _constant(value: int) -> ir.Constant:
    return ir.Constant(lanes64, [value & (1 << 64) - 1] * LANES)


@instruction("alloca")
def alloca(lower: WarpLowering, inst: Instruction) -> None:
    """``alloca.type d, size{, align}``: an offset into local memory, until the function returns."""
    builder = lower.builder
    kind = inst.type
    align = DEFAULT_ALIGNMENT
    if len(inst.operands) > 2:
        if not isinstance(inst.operands[2], Immediate):
            raise NotLowered(inst.text)
        align = int(inst.operands[2].value)
    if bits(kind) not in (32, 64) or align <= 0 or align & (align - 1):
        raise NotLowered(inst.text)
    size = lower.read(inst.operands[1], kind)
    size = size if bits(kind) == 64 else builder.zext(size, lanes64)
    static = _constant(lower.frame.local_bytes)
    start = builder.add(_top(lower, LOCAL_TOP_AT), static)
    start = builder.and_(builder.add(start, _constant(align - 1)), _constant(-align))
    start = builder.sub(start, static)
    limit = splat(
        builder, load(builder, field(builder, lower.context, Context, "stack_bytes"), i64)
    )
    used = builder.add(start, _top(lower, KEPT_TOP_AT))
    full = builder.icmp_unsigned(">", used, limit)
    room = builder.select(full, _constant(0), builder.sub(limit, used))
    full = builder.or_(full, builder.icmp_unsigned(">", size, room))
    wrong = builder.and_(lower.active(inst), bits_of(builder, full))
    lower.fault(STACK_OVERFLOW, wrong, address=builder.add(used, size))
    _set_top(lower, inst, builder.add(start, size))
    address = builder.add(start, static)
    lower.write(inst.operands[0], lower.cast(address, kind), inst)


@instruction("stacksave")
def stacksave(lower: WarpLowering, inst: Instruction) -> None:
    """``stacksave.type d``: how much local memory is in use."""
    top = lower.builder.add(_top(lower, LOCAL_TOP_AT), _constant(lower.frame.local_bytes))
    lower.write(inst.operands[0], lower.cast(top, inst.type), inst)


@instruction("stackrestore")
def stackrestore(lower: WarpLowering, inst: Instruction) -> None:
    """``stackrestore.type a``: give back what was allocated since ``stacksave``."""
    builder = lower.builder
    value = lower.read(inst.operands[0], inst.type)
    value = value if bits(inst.type) == 64 else builder.zext(value, lanes64)
    top = builder.sub(value, _constant(lower.frame.local_bytes))
    now = _top(lower, LOCAL_TOP_AT)
    grows = builder.icmp_unsigned(">", top, now)  # nothing that stacksave gave
    _set_top(lower, inst, builder.select(grows, now, top))
