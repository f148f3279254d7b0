"""``mov`` and address arithmetic between state spaces."""

from __future__ import annotations

from llvmlite import ir

from emulator.lower.registry import NotLowered, instruction
from emulator.lower.types import bits, integers
from emulator.lower.warp import WarpLowering
from emulator.lower.window import from_generic, to_generic, translate
from emulator.native.compiled import routine_type
from emulator.native.lanes import lanes_of, splat
from emulator.native.layout import LANES, Context, Warp, field, i32, i64, load
from emulator.ptx import Instruction, Symbol, Vector


@instruction("mov")
def mov(lower: WarpLowering, inst: Instruction) -> None:
    """Copy, take an address, pack ``{a, b}`` into one register or unpack it."""
    target, source = inst.operands
    kind = inst.type
    if isinstance(target, Vector):
        _unpack(lower, inst, target, lower.read(source, kind), bits(kind))
    elif isinstance(source, Vector):
        lower.write(target, _pack(lower, source, bits(kind)), inst)
    else:
        lower.write(target, lower.read(source, kind), inst)


def _unpack(
    lower: WarpLowering, inst: Instruction, target: Vector, value: ir.Value, width: int
) -> None:
    part = width // len(target.items)
    whole = lower.builder.bitcast(value, integers(width))
    for index, item in enumerate(target.items):
        shift = ir.Constant(integers(width), [index * part] * LANES)
        piece = lower.builder.trunc(lower.builder.lshr(whole, shift), integers(part))
        lower.write(item, piece, inst)


def _pack(lower: WarpLowering, source: Vector, width: int) -> ir.Value:
    part = width // len(source.items)
    whole: ir.Value = ir.Constant(integers(width), [0] * LANES)
    for index, item in enumerate(source.items):
        piece = lower.builder.zext(lower.read(item, f"b{part}"), integers(width))
        shift = ir.Constant(integers(width), [index * part] * LANES)
        whole = lower.builder.or_(whole, lower.builder.shl(piece, shift))
    return whole


@instruction("cvta")
def cvta(lower: WarpLowering, inst: Instruction) -> None:
    """Generic addresses are host addresses; shared and local ones are offsets from a base."""
    target, source = inst.operands
    builder = lower.builder
    kind = inst.type
    value = builder.bitcast(lower.read(source, kind), integers(bits(kind)))
    space = next(
        (m for m in inst.modifiers if m in ("shared", "local", "global", "const", "param")), None
    )
    if "shared::cta" in inst.modifiers:
        space = "shared"
    if "param::entry" in inst.modifiers:
        space = "param"
    if "shared::cluster" in inst.modifiers:
        space = "cluster"
    if space is None:
        raise NotLowered(inst.text)
    if space == "cluster" or (space == "shared" and inst.has("to") and lower.reaches_peers):
        # an address in a peer's shared memory stays one
        wide = value if bits(kind) == 64 else builder.zext(value, integers(64))
        value = (from_generic if inst.has("to") else to_generic)(lower, wide)
    elif space in ("shared", "local"):
        base = splat(builder, lower.shared_base()) if space == "shared" else lower.local_base()
        wide = value if bits(kind) == 64 else builder.zext(value, integers(64))
        value = builder.sub(wide, base) if inst.has("to") else builder.add(wide, base)
    if isinstance(source, Symbol) and inst.has("to"):
        raise NotLowered("cvta.to of a name")
    lower.write(target, value, inst)


@instruction("isspacep")
def isspacep(lower: WarpLowering, inst: Instruction) -> None:
    """Whether a generic address lies in a state space."""
    builder = lower.builder
    target, source = inst.operands
    address = lower.read(source, "u64")
    shared = builder.sub(address, splat(builder, lower.shared_base()))
    shared_bytes = load(builder, field(builder, lower.context, Context, "shared_bytes"), i64)
    in_shared = builder.icmp_unsigned("<", shared, splat(builder, shared_bytes))
    local = builder.sub(address, lower.local_base())
    local_bytes = load(builder, field(builder, lower.context, Context, "local_bytes"), i64)
    in_local = builder.icmp_unsigned("<", local, splat(builder, local_bytes))
    space = inst.modifiers[0].split("::")[0]
    if "shared::cluster" in inst.modifiers or (space == "global" and lower.reaches_peers):
        lanes = _in_cluster(lower, address)
        if space == "shared":
            lower.write(target, lanes, inst)
            return
        in_shared = builder.or_(in_shared, lanes)
    if space in ("const", "param"):
        lower.write(target, _in_read_only(lower, address, space), inst)
        return
    answers = {
        "shared": in_shared,
        "local": in_local,
        "global": builder.not_(builder.or_(in_shared, in_local)),
    }
    if space not in answers:
        raise NotLowered(inst.text)
    lower.write(target, answers[space], inst)


def _in_cluster(lower: WarpLowering, address: ir.Value) -> ir.Value:
    """Whether addresses are in the shared memory of a block of the cluster."""
    ranks = translate(lower, address, "lanes_in_cluster")
    return lower.builder.icmp_unsigned("!=", ranks, ir.Constant(integers(64), [0] * LANES))


def _in_read_only(lower: WarpLowering, address: ir.Value, space: str) -> ir.Value:
    """Whether addresses are of constants, or of the kernel's parameters."""
    from emulator.lower.memory import declare

    builder = lower.builder
    builder.store(address, field(builder, lower.warp, Warp, "addresses"), align=64)
    kind = routine_type("int64", "int64", "int64", "int64")
    routine = declare(lower.module, kind, "coalesce_lanes_in_read_only")
    numbers = [builder.ptrtoint(p, i64) for p in (lower.context, lower.warp)]
    lanes = builder.call(routine, [*numbers, ir.Constant(i64, int(space == "param"))])
    return lanes_of(builder, builder.trunc(lanes, i32))


@instruction("createpolicy")
def createpolicy(lower: WarpLowering, inst: Instruction) -> None:
    """A cache policy: an opaque number, which the accesses that take it do not look at."""
    lower.write(inst.operands[0], ir.Constant(integers(64), [0] * LANES), inst)
