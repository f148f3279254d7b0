"""``cp.async.bulk``, ``cp.async.bulk.tensor``, ``cp.reduce.async.bulk``: copies by the TMA unit.

What they do is in :mod:`emulator.units.tma`. L2 prefetches and cache policies have no effect. (PTX
ISA, "Data Movement and Conversion Instructions: Bulk copy", "Tensor copy")
"""

from __future__ import annotations

from llvmlite import ir

from emulator.lower.copies import call_unit
from emulator.lower.memory import effective_address
from emulator.lower.registry import NotLowered
from emulator.lower.types import integers
from emulator.lower.warp import WarpLowering
from emulator.native.layout import LANES, Warp, at, field
from emulator.ptx import Address, Immediate, Instruction, Operand, TensorPlace, Vector
from emulator.tensor_map import KINDS
from emulator.units.reduction import OPERATIONS
from emulator.units.tma import (
    BOX_WORDS,
    FIRST_OFFSET,
    KIND_SHIFT,
    MULTICAST,
    OP_SHIFT,
    RANK_SHIFT,
    TENSOR,
    TO_GLOBAL,
    TO_PEER,
    TO_SHARED,
)

COUNTED = "mbarrier::complete_tx::bytes"
DIRECTIONS = {
    ("shared::cluster", "global"): TO_SHARED, ("shared::cta", "global"): TO_SHARED,
    ("global", "shared::cta"): TO_GLOBAL, ("shared::cluster", "shared::cta"): TO_PEER,
}  # fmt: skip
TYPES = {
    "u32": "uint32", "s32": "int32", "u64": "uint64", "s64": "int64", "b32": "uint32",
    "b64": "uint64", "f16": "float16", "bf16": "bfloat16", "f32": "float32", "f64": "float64",
}  # fmt: skip
# Which types an operation takes, to shared and to global memory.
IN_SHARED = {
    "add": {"u32", "s32", "u64"}, "min": {"u32", "s32"}, "max": {"u32", "s32"}, "inc": {"u32"},
    "dec": {"u32"}, "and": {"b32"}, "or": {"b32"}, "xor": {"b32"},
}  # fmt: skip
IN_GLOBAL = {
    "add": {"u32", "s32", "u64", "f16", "bf16", "f32", "f64"},
    "min": {"u32", "s32", "u64", "s64", "f16", "bf16"},
    "max": {"u32", "s32", "u64", "s64", "f16", "bf16"}, "inc": {"u32"}, "dec": {"u32"},
    "and": {"b32", "b64"}, "or": {"b32", "b64"}, "xor": {"b32", "b64"},
}  # fmt: skip
AXES = {f"{n}d": n for n in range(1, 6)}


def bulk(lower: WarpLowering, inst: Instruction) -> None:
    """Every instruction of bulk copies."""
    if inst.has("prefetch"):
        return
    if inst.has("commit_group"):
        call_unit(lower, "commit_bulk", lower.active(inst))
    elif inst.has("wait_group"):
        (groups,) = inst.operands
        if not isinstance(groups, Immediate) or groups.value < 0:
            raise NotLowered(inst.text)
        call_unit(lower, "carry_out", lower.active(inst), int(groups.value))
    else:
        _copy(lower, inst)


def _copy(lower: WarpLowering, inst: Instruction) -> None:
    named = tuple(m for m in inst.modifiers if m.split("::")[0] in ("shared", "global"))
    if named not in DIRECTIONS or inst.has("cp_mask"):
        raise NotLowered(inst.text)
    direction = DIRECTIONS[named]
    how = direction | TENSOR * inst.has("tensor") | MULTICAST * inst.has("multicast::cluster")
    how |= _reduction(inst, direction)
    operands = list(inst.operands)
    if inst.has("L2::cache_hint"):
        operands.pop()
    completes = COUNTED if direction != TO_GLOBAL else "bulk_group"
    tiled = not {"im2col", "tile"} & set(inst.modifiers) or inst.has("tile")
    if not inst.has(completes) or (inst.has("tensor") and direction == TO_PEER):
        raise NotLowered(inst.text)
    if any(m.startswith(("im2col::", "tile::", "cta_group")) for m in inst.modifiers):
        raise NotLowered(inst.text)
    target, source = operands[:2]
    shared, other = (target, source) if direction != TO_GLOBAL else (source, target)
    rest = operands[2:]
    size: Operand | None = None if inst.has("tensor") else rest.pop(0)
    barrier = rest.pop(0) if direction != TO_GLOBAL else None
    offsets = rest.pop(0) if not tiled and direction != TO_GLOBAL else None
    blocks = rest.pop(0) if how & MULTICAST else None
    if rest or not isinstance(shared, Address) or not isinstance(barrier, Address | None):
        raise NotLowered(inst.text)
    builder = lower.builder
    given: list[tuple[int, ir.Value]] = []
    boxes: list[ir.Value] = []
    if isinstance(other, TensorPlace):
        axes = next((n for name, n in AXES.items() if inst.has(name)), 0)
        if axes != len(other.coordinates.items):
            raise NotLowered(inst.text)
        how |= axes << RANK_SHIFT
        boxes = _box(lower, inst, other, offsets)
        given.append((0, effective_address(lower, other.map, "generic")))
    elif isinstance(other, Address) and not inst.has("tensor"):
        space = "cluster" if direction == TO_PEER else "global"
        given.append((0, effective_address(lower, other, space)))
    else:
        raise NotLowered(inst.text)
    if barrier is not None:
        given.append((8 * LANES, effective_address(lower, barrier, "cluster")))
    if size is not None:
        given.append((16 * LANES, lower.read(size, "u32")))
    if blocks is not None:
        wide = builder.zext(lower.read(blocks, "u16"), integers(32))
        given.append((20 * LANES, wide))
    targets = effective_address(lower, shared, "cluster")
    mask = lower.active(inst)
    lower.spill()
    data = field(builder, lower.warp, Warp, "data")
    for place, value in given:
        builder.store(value, at(builder, data, place), align=64)
    for word, values in enumerate(boxes):
        for lane in range(LANES):
            one = builder.extract_element(values, ir.Constant(ir.IntType(32), lane))
            where = at(builder, field(builder, lower.warp, Warp, "box"),
                       4 * (BOX_WORDS * lane + word))  # fmt: skip
            builder.store(one, where, align=4)
    builder.store(targets, field(builder, lower.warp, Warp, "addresses"), align=64)
    call_unit(lower, "issue_bulk", mask, how, at_site=True)


def _reduction(inst: Instruction, direction: int) -> int:
    """What a reduction does, and of which kind of element; 0 for a copy."""
    if not inst.has("reduce"):
        return 0
    op = next((name for name in OPERATIONS if inst.has(name)), None)
    allowed = IN_GLOBAL if direction == TO_GLOBAL else IN_SHARED
    if op is None or direction == TO_SHARED:
        raise NotLowered(inst.text)
    code = 1 + OPERATIONS[op] << OP_SHIFT
    if inst.has("tensor"):  # the map says the type
        return code
    if inst.type not in allowed[op]:
        raise NotLowered(inst.text)
    return code | KINDS[TYPES[inst.type]] << KIND_SHIFT


def _box(
    lower: WarpLowering, inst: Instruction, place: TensorPlace, offsets: Operand | None
) -> list[ir.Value]:
    """Coordinates and offsets of each lane's box, a word each."""
    zero = ir.Constant(integers(32), [0] * LANES)
    words = [zero] * BOX_WORDS
    for axis, coordinate in enumerate(place.coordinates.items):
        words[axis] = lower.read(coordinate, "s32")
    if offsets is not None:
        if not isinstance(offsets, Vector) or len(offsets.items) > 3:
            raise NotLowered(inst.text)
        for axis, offset in enumerate(offsets.items):
            narrow = lower.read(offset, "u16")
            words[FIRST_OFFSET + axis] = lower.builder.zext(narrow, integers(32))
    return words
