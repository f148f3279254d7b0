"""``ldmatrix``, ``stmatrix`` and ``movmatrix``: 8 x 8 matrices of 16-bit elements.

Lanes 0-7 give the addresses of the rows of the first matrix, 8-15 of the second, and so on; each
row is 16 bytes. After a load, lane 4 r + t holds elements 2 t and 2 t + 1 of row r (of column r,
with ``.trans``). (PTX ISA, "Warp-level matrix load instruction: ldmatrix".)
"""

from __future__ import annotations

from collections.abc import Sequence

from llvmlite import ir

from emulator.lower.memory import (
    access_at,
    components,
    declare,
    effective_address,
    space_of,
)
from emulator.lower.registry import NotLowered, instruction, one_of
from emulator.lower.tensor import require_whole_warp
from emulator.lower.types import integers
from emulator.lower.warp import WarpLowering
from emulator.native.lanes import splat
from emulator.native.layout import LANES, Warp, at, field, i16, i32, load
from emulator.native.rows import LOAD_ROWS, STORE_ROWS, row_type
from emulator.ptx import Address, Instruction, Operand

COUNTS = {"x1": 1, "x2": 2, "x4": 4}
REGISTER_BYTES = 4 * LANES
ROW_LANES = 8  # lanes that give one matrix's addresses


def _plan(inst: Instruction, address: Operand, items: Sequence[Operand]) -> tuple[str, int]:
    """The state space and the number of matrices."""
    known = {"sync", "aligned", "m8n8", "trans", "b16", *COUNTS}
    others = {m for m in inst.modifiers if m.split("::")[0] != "shared"} - known
    space = space_of(inst)
    count = COUNTS[one_of(inst, COUNTS)]
    if others or not isinstance(address, Address) or space not in ("shared", "generic"):
        raise NotLowered(inst.text)
    if len(items) != count:
        raise ValueError(f"{len(items)} registers for {count} matrices")
    return space, count


@instruction("ldmatrix")
def ldmatrix(lower: WarpLowering, inst: Instruction) -> None:
    """``ldmatrix.sync.aligned.m8n8.num{.trans}{.shared}.b16 r, [p]``."""
    target, address = inst.operands[:2]
    items = components(target)
    space, count = _plan(inst, address, items)
    assert isinstance(address, Address)
    require_whole_warp(lower, inst)
    rows = _shared_offsets(lower, address, space)
    for item, value in zip(items, load_matrices(lower, inst, "shared", rows, count), strict=True):
        lower.write(item, transposed(lower, value) if inst.has("trans") else value, inst)


@instruction("stmatrix")
def stmatrix(lower: WarpLowering, inst: Instruction) -> None:
    """``stmatrix.sync.aligned.m8n8.num{.trans}{.shared}.b16 [p], r``."""
    address, source = inst.operands[:2]
    items = components(source)
    space, count = _plan(inst, address, items)
    assert isinstance(address, Address)
    require_whole_warp(lower, inst)
    values = [lower.read(item, "b32") for item in items]
    if inst.has("trans"):
        values = [transposed(lower, value) for value in values]
    rows = _shared_offsets(lower, address, space)
    data = field(lower.builder, lower.warp, Warp, "data")
    for word in range(4):  # of a row, which one lane stores
        for index, value in enumerate(values):
            part = _rows_word(lower, value, word)
            where = at(lower.builder, data, word * REGISTER_BYTES + 4 * ROW_LANES * index)
            lower.builder.store(part, where, align=4 * ROW_LANES)
    with access_at(lower, inst, "shared", rows, 4, 4, store=True, lanes=_lanes(count)):
        routine = declare(lower.module, row_type, STORE_ROWS)
        lower.builder.call(routine, [lower.warp, ir.Constant(i32, ROW_LANES * count)])


def _rows_word(lower: WarpLowering, register: ir.Value, word: int) -> ir.Value:
    """Word ``word`` of each of the eight rows that a register holds."""
    picks = ir.Constant(ir.VectorType(i32, ROW_LANES), [4 * row + word for row in range(ROW_LANES)])
    return lower.builder.shuffle_vector(register, ir.Constant(register.type, ir.Undefined), picks)


def _shared_offsets(lower: WarpLowering, address: Address, space: str) -> ir.Value:
    """Where the rows start in shared memory: generic addresses have to be there too."""
    builder = lower.builder
    values = effective_address(lower, address, space)
    if space == "generic":
        values = builder.sub(values, splat(builder, lower.shared_base()))
    return values


@instruction("movmatrix")
def movmatrix(lower: WarpLowering, inst: Instruction) -> None:
    """``movmatrix.sync.aligned.m8n8.trans.b16 d, a``: a matrix in registers, transposed."""
    if inst.modifiers != ("sync", "aligned", "m8n8", "trans", "b16"):
        raise NotLowered(inst.text)
    require_whole_warp(lower, inst)
    value = lower.read(inst.operands[1], "b32")
    lower.write(inst.operands[0], transposed(lower, value), inst)


def load_matrices(
    lower: WarpLowering, inst: Instruction, space: str, rows: ir.Value, count: int
) -> list[ir.Value]:
    """Registers of ``count`` matrices, up to 4; lane 8 j + r has the address of row r of the j-th.

    Checked, and shown to what watches, as one access of 16 bytes by each lane whose address counts.
    """
    builder = lower.builder
    with access_at(lower, inst, space, rows, 4, 4, store=False, lanes=_lanes(count)):
        routine = declare(lower.module, row_type, LOAD_ROWS)
        builder.call(routine, [lower.warp, ir.Constant(i32, ROW_LANES * count)])
    data = field(builder, lower.warp, Warp, "data")
    places = [at(builder, data, index * REGISTER_BYTES) for index in range(count)]
    return [load(builder, place, integers(32), 64) for place in places]


def _lanes(count: int) -> int:
    return (1 << ROW_LANES * count) - 1


def transposed(lower: WarpLowering, register: ir.Value) -> ir.Value:
    """Rows for columns in a matrix that a register holds."""
    builder = lower.builder
    halves = ir.VectorType(i16, 2 * LANES)
    order = [8 * (place % 8) + place // 8 for place in range(2 * LANES)]
    picks = ir.Constant(ir.VectorType(i32, 2 * LANES), order)
    value = builder.bitcast(register, halves)
    turned = builder.shuffle_vector(value, ir.Constant(halves, ir.Undefined), picks)
    return builder.bitcast(turned, integers(32))
