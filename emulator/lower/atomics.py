"""``atom`` and ``red``: each active lane in turn, one host atomic each."""

from __future__ import annotations

from llvmlite import ir

from emulator.lower.memory import access, space_of
from emulator.lower.registry import NotLowered, instruction
from emulator.lower.types import bits, element, integers, is_float, is_signed
from emulator.lower.warp import WarpLowering
from emulator.native.lanes import set_bits
from emulator.native.layout import LANES, Warp, at, field, i64, load, pointer
from emulator.ptx import Address, Instruction

ORDER = "seq_cst"
PLAIN = {"add": "add", "and": "and", "or": "or", "xor": "xor", "exch": "xchg",
         "inc": "uinc_wrap", "dec": "udec_wrap"}  # fmt: skip
OPERATIONS = {*PLAIN, "min", "max", "cas"}


@instruction("atom", "red")
def atom(lower: WarpLowering, inst: Instruction) -> None:
    """``atom{.space}.op.type d, [a], b{, c}``; ``red`` returns nothing."""
    is_red = inst.opcode == "red"
    address, *sources = inst.operands if is_red else inst.operands[1:]
    op = next((m for m in inst.modifiers if m in OPERATIONS), None)
    kind = inst.type
    width = bits(kind)
    known = kind in ("u32", "s32", "b32", "u64", "s64", "b64", "f32", "f64", "b16")
    packed = is_float(kind) and op != "add" and op != "exch"
    if op is None or not isinstance(address, Address) or not known or packed:
        raise NotLowered(inst.text)
    if kind == "b16" and op != "cas":
        raise NotLowered(inst.text)
    values = [lower.read(source, f"b{width}") for source in sources[: 2 if op == "cas" else 1]]
    space = space_of(inst)
    with access(lower, inst, space, address, width // 8, 1, store=True) as entered:
        _each(lower, entered.mask, op, kind, values)
    if not is_red:
        data = field(lower.builder, lower.warp, Warp, "data")
        lower.write(inst.operands[0], load(lower.builder, data, integers(width), 64), inst)


def _each(lower: WarpLowering, mask: ir.Value, op: str, kind: str, values: list[ir.Value]) -> None:
    """Lane by lane: the old value to scratch. Operands travel through scratch, too."""
    builder = lower.builder
    size = bits(kind) // 8
    data = field(builder, lower.warp, Warp, "data")
    addresses = field(builder, lower.warp, Warp, "addresses")
    slots = [at(builder, data, size * LANES * (index + 1)) for index in range(len(values))]
    for slot, value in zip(slots, values, strict=True):
        builder.store(value, slot, align=min(size * LANES, 64))
    whole = ir.IntType(bits(kind))
    with set_bits(builder, mask) as lane32:
        lane = builder.zext(lane32, i64)
        byte = builder.mul(lane, ir.Constant(i64, size))
        address = load(builder, at(builder, addresses, builder.mul(lane, ir.Constant(i64, 8))), i64)
        where = builder.inttoptr(address, pointer)
        operands = [load(builder, at(builder, slot, byte), whole, size) for slot in slots]
        old = _one(builder, where, op, kind, operands, size)
        builder.store(old, at(builder, data, byte), align=size)


def _one(
    builder: ir.IRBuilder,
    where: ir.Value,
    op: str,
    kind: str,
    operands: list[ir.Value],
    size: int,
) -> ir.Value:
    if op == "cas":
        pair = builder.cmpxchg(where, operands[0], operands[1], ORDER, ORDER)
        return builder.extract_value(pair, 0)
    if op == "exch":
        return builder.atomic_rmw("xchg", where, operands[0], ORDER)
    if is_float(kind):
        value = builder.bitcast(operands[0], element(kind))
        old = builder.atomic_rmw("fadd", where, value, ORDER)
        return builder.bitcast(old, ir.IntType(8 * size))
    name = PLAIN.get(op) or (op if is_signed(kind) else f"u{op}")
    return builder.atomic_rmw(name, where, operands[0], ORDER)
