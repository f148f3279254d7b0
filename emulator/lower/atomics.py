"""``atom`` and ``red``: each active lane in turn, lowest first, one host atomic each.

Sums of floating-point numbers therefore come in a fixed order. Orderings, scopes and cache hints
are accepted and change nothing: memory is sequentially consistent, one step a lane.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llvmlite import ir

from emulator.lower.halves import FORMATS, NAN, SIGN, Format
from emulator.lower.memory import access, components, declare, space_of
from emulator.lower.registry import NotLowered, instruction
from emulator.lower.types import bits, integers, is_signed
from emulator.lower.warp import WarpLowering
from emulator.native.checks import CLUSTER_SHARED, cluster_shared_type
from emulator.native.lanes import set_bits
from emulator.native.layout import LANES, Context, Warp, at, field, i1, i16, i32, i64, load, pointer
from emulator.native.narrow import round_bfloat, widen_bfloat
from emulator.native.vectors import everywhere, half, overloaded, resized, single
from emulator.ptx import Address, Instruction

ORDER = "seq_cst"
PLAIN = {"add": "add", "and": "and", "or": "or", "xor": "xor", "exch": "xchg",
         "inc": "uinc_wrap", "dec": "udec_wrap"}  # fmt: skip
OPERATIONS = {*PLAIN, "min", "max", "cas"}

# which types each operation takes (PTX ISA, "atom"); vectors are in VECTORS
WORDS = {"u32", "s32", "u64", "s64"}
TYPES = {
    "add": WORDS | {"f32", "f64", "f16", "bf16", "f16x2", "bf16x2"},
    "min": WORDS, "max": WORDS, "inc": {"u32"}, "dec": {"u32"},
    "and": {"b32", "b64"}, "or": {"b32", "b64"}, "xor": {"b32", "b64"},
    "exch": {"b32", "b64", "b128"}, "cas": {"b16", "b32", "b64", "b128"},
}  # fmt: skip
HALF_VECTORS = {"f16": (2, 4, 8), "bf16": (2, 4, 8), "f16x2": (2, 4), "bf16x2": (2, 4)}
VECTORS = {"add": {"f32": (2, 4), **HALF_VECTORS}, "min": HALF_VECTORS, "max": HALF_VECTORS}
# The ISA: "atom.add.f32 on global memory flushes subnormal inputs and results to sign-preserving
# zero; whereas atom.add.f32 on shared memory supports subnormal inputs and results".
LEAST_NORMAL, SIGN_32 = 0x00800000, 0x80000000

Combine = Callable[[ir.IRBuilder, ir.Value, ir.Value], ir.Value]


@dataclass(frozen=True)
class Atomic:
    """What each lane does to each element."""

    op: str
    kind: str
    count: int  # elements of a vector; 1 without
    is_red: bool

    @property
    def size(self) -> int:
        return bits(self.kind) // 8


@instruction("atom", "red")
def atom(lower: WarpLowering, inst: Instruction) -> None:
    """``atom{.sem}{.scope}{.space}.op.type d, [a], b{, c}``; ``red`` returns nothing."""
    if inst.opcode == "red" and inst.has("async"):
        from emulator.lower.remote import reduce_async

        reduce_async(lower, inst)
        return
    is_red = inst.opcode == "red"
    address, *sources = inst.operands if is_red else inst.operands[1:]
    op = next((m for m in inst.modifiers if m in OPERATIONS), None)
    if op is None or not isinstance(address, Address) or inst.has("async"):
        raise NotLowered(inst.text)
    items = [components(source) for source in sources[: 2 if op == "cas" else 1]]
    atomic = Atomic(op, inst.type, len(items[0]), is_red)
    space = space_of(inst)
    _check(inst, atomic, space)
    builder = lower.builder
    size = atomic.size
    # [operand, then element][lane], beside the addresses that the access leaves in the warp
    operands = [[lower.read(item, f"b{8 * size}") for item in each] for each in items]
    slots = [[_slot(lower, value) for value in each] for each in operands]
    with access(lower, inst, space, address, size, atomic.count, store=True) as entered:
        _each(lower, entered.mask, atomic, space, slots)
    if not is_red:
        data = field(builder, lower.warp, Warp, "data")
        for index, target in enumerate(components(inst.operands[0])):
            where = at(builder, data, size * LANES * index)
            lower.write(target, load(builder, where, integers(8 * size), size), inst)


def _check(inst: Instruction, atomic: Atomic, space: str) -> None:
    """Refuse what the ISA does not have."""
    if any(m in ("v2", "v4", "v8") for m in inst.modifiers):
        fits = atomic.count in VECTORS.get(atomic.op, {}).get(atomic.kind, ())
        fits = fits and inst.has(f"v{atomic.count}") and space in ("global", "generic")
    else:
        fits = atomic.count == 1 and atomic.kind in TYPES[atomic.op]
    if not fits or space in ("const", "param"):
        raise NotLowered(inst.text)


def _slot(lower: WarpLowering, value: ir.Value) -> ir.Value:
    """An operand on the stack, so that a lane that varies can take its own."""
    builder = lower.builder
    with builder.goto_entry_block():
        slot = builder.alloca(value.type)
        slot.align = 64
    builder.store(value, slot, align=64)
    return slot


def _each(
    lower: WarpLowering,
    mask: ir.Value,
    atomic: Atomic,
    space: str,
    slots: Sequence[Sequence[ir.Value]],
) -> None:
    """Lane by lane, element by element: the old values to scratch."""
    builder = lower.builder
    size = atomic.size
    data = field(builder, lower.warp, Warp, "data")
    addresses = field(builder, lower.warp, Warp, "addresses")
    whole = ir.IntType(8 * size)
    with set_bits(builder, mask) as lane32:
        lane = builder.zext(lane32, i64)
        byte = builder.mul(lane, ir.Constant(i64, size))
        address = load(builder, at(builder, addresses, builder.mul(lane, ir.Constant(i64, 8))), i64)
        for index in range(atomic.count):
            part = builder.add(address, ir.Constant(i64, size * index))
            where = builder.inttoptr(part, pointer)
            operands = [load(builder, at(builder, s[index], byte), whole, size) for s in slots]
            old = _one(lower, where, atomic, space, operands)
            place = at(builder, data, builder.add(byte, ir.Constant(i64, size * LANES * index)))
            builder.store(old, place, align=size)


def _one(
    lower: WarpLowering, where: ir.Value, atomic: Atomic, space: str, operands: list[ir.Value]
) -> ir.Value:
    """One lane's step on one element; the value it found."""
    builder = lower.builder
    op, kind = atomic.op, atomic.kind
    if op == "cas":
        pair = builder.cmpxchg(where, operands[0], operands[1], ORDER, ORDER)
        return builder.extract_value(pair, 0)
    if kind == "f64":
        value = builder.bitcast(operands[0], ir.DoubleType())
        old = builder.atomic_rmw("fadd", where, value, ORDER)
        return builder.bitcast(old, i64)
    if kind == "f32":
        flushes = _flushes(lower, where, space)

        def add(b: ir.IRBuilder, old: ir.Value, new: ir.Value) -> ir.Value:
            return _add_single(b, old, new, flushes)

        return _exchange(builder, where, operands[0], add)
    if kind in FORMATS:
        form = FORMATS[kind]
        return _exchange(builder, where, operands[0], _on_halves(op, form))
    name = PLAIN.get(op) or (op if is_signed(kind) else f"u{op}")
    return builder.atomic_rmw(name, where, operands[0], ORDER)


def _exchange(
    builder: ir.IRBuilder, where: ir.Value, operand: ir.Value, combine: Combine
) -> ir.Value:
    """Put ``combine(old, operand)`` where ``old`` is, again until nobody came between."""
    first = builder.load(where, typ=operand.type, align=operand.type.width // 8)
    before = builder.block
    again = builder.append_basic_block("exchange")
    done = builder.append_basic_block("exchanged")
    builder.branch(again)
    builder.position_at_end(again)
    old = builder.phi(operand.type)
    old.add_incoming(first, before)
    pair = builder.cmpxchg(where, old, combine(builder, old, operand), ORDER, ORDER)
    found = builder.extract_value(pair, 0)
    old.add_incoming(found, builder.block)
    builder.cbranch(builder.extract_value(pair, 1), done, again)
    builder.position_at_end(done)
    return found


def _flushes(lower: WarpLowering, where: ir.Value, space: str) -> ir.Value:
    """Whether a sum of f32 flushes subnormals here: everywhere but in shared memory."""
    if space != "generic":
        return ir.Constant(i1, int(space == "global"))
    builder = lower.builder
    if lower.reaches_peers:
        routine = declare(lower.module, cluster_shared_type, CLUSTER_SHARED)
        numbers = [builder.ptrtoint(p, i64) for p in (lower.context, lower.block_state, where)]
        return builder.icmp_unsigned("==", builder.call(routine, numbers), ir.Constant(i64, 0))
    inside = builder.sub(builder.ptrtoint(where, i64), lower.shared_base())
    nbytes = load(builder, field(builder, lower.context, Context, "shared_bytes"), i64)
    return builder.icmp_unsigned(">=", inside, nbytes)


def _add_single(builder: ir.IRBuilder, old: ir.Value, new: ir.Value, flushes: ir.Value) -> ir.Value:
    def flush(pattern: ir.Value) -> ir.Value:
        size = builder.and_(pattern, ir.Constant(i32, SIGN_32 - 1))
        small = builder.icmp_unsigned("<", size, ir.Constant(i32, LEAST_NORMAL))
        zero = builder.and_(pattern, ir.Constant(i32, SIGN_32))
        return builder.select(builder.and_(small, flushes), zero, pattern)

    a, b = (builder.bitcast(flush(v), single) for v in (old, new))
    return flush(builder.bitcast(builder.fadd(a, b), i32))


def _on_halves(op: str, form: Format) -> Combine:
    """``add.noftz``, ``min`` or ``max`` of f16 or bf16, alone or in pairs, as integers."""
    kind = ir.VectorType(i16, form.count)

    def combine(builder: ir.IRBuilder, old: ir.Value, new: ir.Value) -> ir.Value:
        a, b = (builder.bitcast(v, kind) for v in (old, new))
        wide_a, wide_b = _widened(builder, a, form), _widened(builder, b, form)
        if op == "add":
            value = _narrowed(builder, builder.fadd(wide_a, wide_b), form)
            nan = _is_nan(builder, value, form)
            value = builder.select(nan, everywhere(kind, NAN), value)
        else:
            wide = overloaded(builder, f"{op}imumnum", wide_a, wide_b)
            value = _narrowed(builder, wide, form)
            neither = builder.and_(_is_nan(builder, a, form), _is_nan(builder, b, form))
            value = builder.select(neither, everywhere(kind, NAN), value)
        return builder.bitcast(value, old.type)

    return combine


def _widened(builder: ir.IRBuilder, value: ir.Value, form: Format) -> ir.Value:
    if form.name == "bf16":
        return widen_bfloat(builder, value)
    halves = builder.bitcast(value, resized(value.type, half))
    return builder.fpext(halves, resized(value.type, single))


def _narrowed(builder: ir.IRBuilder, value: ir.Value, form: Format) -> ir.Value:
    if form.name == "bf16":
        return round_bfloat(builder, value)
    halves = builder.fptrunc(value, resized(value.type, half))
    return builder.bitcast(halves, resized(value.type, i16))


def _is_nan(builder: ir.IRBuilder, value: ir.Value, form: Format) -> ir.Value:
    size = builder.and_(value, everywhere(value.type, SIGN - 1))
    return builder.icmp_unsigned(">", size, everywhere(value.type, form.infinity))
