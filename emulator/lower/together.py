"""Operations of a warp's lanes on one another: shuffles, votes, matches, reductions.

Before the first of them lanes meet (:mod:`emulator.lower.meetings`), so the lanes that take part
are those running.
"""

from __future__ import annotations

from llvmlite import ir

from emulator.lower.registry import NotLowered, instruction, one_of
from emulator.lower.types import integers, is_signed
from emulator.lower.warp import WarpLowering
from emulator.native.lanes import bits_of, lanes_of, splat
from emulator.native.layout import LANES, Warp, field, i32, mask_type, pointer
from emulator.ptx import Immediate, Instruction, Operand, Pair

vector32 = integers(32)
LANE = list(range(LANES))


def _constant(values: list[int]) -> ir.Constant:
    return ir.Constant(vector32, [v & 0xFFFFFFFF for v in values])


def _destinations(operand: Operand) -> tuple[Operand, Operand | None]:
    return (operand.first, operand.second) if isinstance(operand, Pair) else (operand, None)


@instruction("shfl")
def shfl(lower: WarpLowering, inst: Instruction) -> None:
    """``shfl.sync.mode.b32 d{|p}, a, b, c, membermask``."""
    if inst.type != "b32":
        raise NotLowered(inst.text)
    target, in_range = _destinations(inst.operands[0])
    source, b, c = inst.operands[1:4]
    value = lower.read(source, "b32")
    mode = one_of(inst, ("up", "down", "bfly", "idx"))
    if isinstance(b, Immediate) and isinstance(c, Immediate):
        pairs = [shuffle_source(mode, lane, int(b.value), int(c.value)) for lane in LANE]
        picks = _constant([j for j, _ in pairs])
        result = lower.builder.shuffle_vector(value, ir.Constant(vector32, ir.Undefined), picks)
        valid: ir.Value = ir.Constant(mask_type, [int(ok) for _, ok in pairs])
    else:
        from_lane, valid = _shuffle_lanes(lower, mode, lower.read(b, "u32"), lower.read(c, "u32"))
        result = permute(lower, value, from_lane)
    lower.write(target, result, inst)
    if in_range is not None:
        lower.write(in_range, valid, inst)


def shuffle_source(mode: str, lane: int, b: int, c: int) -> tuple[int, bool]:
    """The lane a lane reads from, and whether that was in range (the ISA's pseudocode)."""
    b, clamp, segment = b & 31, c & 31, (c >> 8) & 31
    last = (lane & segment) | (clamp & ~segment)
    if mode == "up":
        j, valid = lane - b, lane - b >= last
    elif mode == "down":
        j, valid = lane + b, lane + b <= last
    elif mode == "bfly":
        j, valid = lane ^ b, lane ^ b <= last
    else:
        j = (lane & segment) | (b & ~segment)
        valid = j <= last
    return (j if valid else lane) & 31, valid


def _shuffle_lanes(
    lower: WarpLowering, mode: str, b: ir.Value, c: ir.Value
) -> tuple[ir.Value, ir.Value]:
    """:func:`shuffle_source` for operands that are not constants."""
    builder = lower.builder
    lane = _constant(LANE)
    low5 = _constant([31] * LANES)
    b, clamp = builder.and_(b, low5), builder.and_(c, low5)
    segment = builder.and_(builder.lshr(c, _constant([8] * LANES)), low5)
    outside = builder.not_(segment)
    last = builder.or_(builder.and_(lane, segment), builder.and_(clamp, outside))
    if mode == "up":
        j = builder.sub(lane, b)
        valid = builder.icmp_signed(">=", j, last)
    else:
        if mode == "down":
            j = builder.add(lane, b)
        elif mode == "bfly":
            j = builder.xor(lane, b)
        else:
            j = builder.or_(builder.and_(lane, segment), builder.and_(b, outside))
        valid = builder.icmp_signed("<=", j, last)
    return builder.and_(builder.select(valid, j, lane), low5), valid


def permute(lower: WarpLowering, value: ir.Value, from_lane: ir.Value) -> ir.Value:
    """``value[from_lane]``, through the warp's scratch."""
    builder = lower.builder
    scratch = field(builder, lower.warp, Warp, "data")
    builder.store(value, scratch, align=64)
    pointers = ir.VectorType(pointer, LANES)
    base = splat(builder, builder.ptrtoint(scratch, ir.IntType(64)))
    byte = builder.zext(builder.shl(from_lane, _constant([2] * LANES)), integers(64))
    gather = lower.intrinsic(
        "llvm.masked.gather.v32i32.v32p0", vector32, [pointers, i32, mask_type, vector32]
    )
    where = builder.inttoptr(builder.add(base, byte), pointers)
    everybody = ir.Constant(mask_type, [1] * LANES)
    return builder.call(gather, [where, ir.Constant(i32, 4), everybody, _constant([0] * LANES)])


@instruction("vote")
def vote(lower: WarpLowering, inst: Instruction) -> None:
    """``vote.sync.{all,any,uni}.pred`` and ``vote.sync.ballot.b32``."""
    builder = lower.builder
    said = bits_of(builder, lower.read(inst.operands[1], "pred"))
    active = lower.active(inst)
    yes = builder.and_(said, active)
    if inst.has("ballot"):
        lower.result(inst, splat(builder, yes))
        return
    none = builder.icmp_unsigned("==", yes, ir.Constant(i32, 0))
    every = builder.icmp_unsigned("==", yes, active)
    answers = {"all": every, "any": builder.not_(none), "uni": builder.or_(none, every)}
    answer = answers[one_of(inst, answers)]
    lower.result(inst, splat(builder, answer))


@instruction("activemask")
def activemask(lower: WarpLowering, inst: Instruction) -> None:
    """The lanes running together here."""
    lower.result(inst, splat(lower.builder, lower.active(inst)))


@instruction("elect")
def elect(lower: WarpLowering, inst: Instruction) -> None:
    """``elect.sync d|p, membermask``: the lowest member is the leader."""
    from emulator.native.lanes import first_lane

    builder = lower.builder
    target, leads = _destinations(inst.operands[0])
    leader = splat(builder, first_lane(builder, lower.active(inst)))
    lower.write(target, leader, inst)
    if leads is not None:
        lower.write(leads, builder.icmp_unsigned("==", leader, _constant(LANE)), inst)


@instruction("match")
def match(lower: WarpLowering, inst: Instruction) -> None:
    """``match.{any,all}.sync``: which lanes hold the same value."""
    builder = lower.builder
    kind = inst.type
    value = lower.read(inst.operands[1], kind)
    active = lower.active(inst)
    result: ir.Value = ir.Constant(vector32, ir.Undefined)
    for lane in LANE:
        one = splat(builder, builder.extract_element(value, ir.Constant(i32, lane)))
        same = bits_of(builder, builder.icmp_unsigned("==", value, one))
        mine = builder.and_(same, active)
        result = builder.insert_element(result, mine, ir.Constant(i32, lane))
    target, agreed = _destinations(inst.operands[0])
    if inst.has("all"):
        alike = builder.icmp_unsigned("==", result, splat(builder, active))
        result = builder.select(alike, result, _constant([0] * LANES))
        if agreed is not None:
            lower.write(agreed, alike, inst)
    lower.write(target, result, inst)


REDUCTIONS = {"add": "add", "and": "and", "or": "or", "xor": "xor", "min": "min", "max": "max"}


@instruction("redux")
def redux(lower: WarpLowering, inst: Instruction) -> None:
    """``redux.sync.op.type``: one result for all lanes."""
    builder = lower.builder
    kind = inst.type
    if kind not in ("u32", "s32", "b32"):
        raise NotLowered(inst.text)
    op = one_of(inst, REDUCTIONS)
    name = op
    neutral = {"and": -1, "min": 0xFFFFFFFF, "max": 0}.get(op, 0)
    if op in ("min", "max"):
        name = ("s" if is_signed(kind) else "u") + op
        if is_signed(kind):
            neutral = 0x7FFFFFFF if op == "min" else -0x80000000
    reduce = lower.intrinsic(f"llvm.vector.reduce.{name}.v32i32", i32, [vector32])
    value = lower.read(inst.operands[1], kind)
    chosen = builder.select(
        lanes_of(builder, lower.active(inst)), value, _constant([neutral] * LANES)
    )
    lower.result(inst, splat(builder, builder.call(reduce, [chosen])))
