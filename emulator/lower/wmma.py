"""``wmma``: loads, products and stores of whole matrices, in fragments of the hardware's choice.

The ISA leaves open what a fragment holds. These are the fragments of sm_80 to sm_90, as ptxas's
machine code for them shows: those of the ``mma`` instructions that a ``wmma`` becomes.

- m16n16k16, and m16n16k8 of tf32: A is that of one m16n8, B and C those of two, side by side.
- m32n8k16: two m16n8 above one another.
- m8n32k16: the transposed product, D' = B' A', as two m16n8: B has A's layout, A has B's.
- m8n8k4, m8n8k32, m8n8k128: one ``mma`` of that shape.

A fragment does not depend on the memory layout. f16 fragments of A and B are of 8 registers
always: those that a shape does not need repeat the first ones. Accesses are those of the machine
code too: 32 bits a lane where a register's elements lie side by side in memory, the two f32 of a
row as 64 bits, ``ldmatrix`` for A and B of 16 bits or less in shared memory, bytes that lie apart
one by one (:func:`machine_accesses`).
(PTX ISA, "Warp-level Matrix Instructions: wmma".)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from llvmlite import ir

from emulator.lower.matrices import load_matrices, transposed
from emulator.lower.memory import components, effective_address, space_of, transfer_at
from emulator.lower.registry import NotLowered, instruction
from emulator.lower.tensor import (
    ELEMENT_BITS,
    Form,
    element_types,
    multiply,
    registers,
    require_whole_warp,
    shape_of,
)
from emulator.lower.types import integers
from emulator.lower.warp import WarpLowering
from emulator.native.layout import LANES, Warp, at, field, load
from emulator.ptx import Address, Instruction

SHAPES = {
    "f16": {(16, 16, 16), (32, 8, 16), (8, 32, 16)},
    "bf16": {(16, 16, 16), (32, 8, 16), (8, 32, 16)},
    "s8": {(16, 16, 16), (32, 8, 16), (8, 32, 16)},
    "u8": {(16, 16, 16), (32, 8, 16), (8, 32, 16)},
    "tf32": {(16, 16, 8)},
    "f64": {(8, 8, 4)},
    "s4": {(8, 8, 32)},
    "u4": {(8, 8, 32)},
    "b1": {(8, 8, 128)},
}
SUMS = {"f16": ("f16", "f32"), "bf16": ("f32",), "tf32": ("f32",), "f64": ("f64",)}
HALF_REGISTERS = 8  # of an f16 fragment of A or B
GROUP = [lane >> 2 for lane in range(LANES)]
THREAD = [lane & 3 for lane in range(LANES)]
SUM_BITS = {"f16": 16, "f32": 32, "s32": 32, "f64": 64}


@dataclass(frozen=True)
class Matrix:
    """A fragment's matrix, seen so that a register has ``v`` side by side: k, or C's columns."""

    bits: int  # of an element
    tiles: tuple[tuple[int, int], ...]  # where each register's 8 rows of it start: u, v
    along: bool  # whether memory has v side by side too
    narrow: int  # the least leading dimension
    sums: bool = False  # two registers a tile, unless they are halves

    @property
    def as_rows(self) -> bool:
        """Whether shared memory gives it by ``ldmatrix``."""
        return not self.sums and (self.bits == 16 or (self.bits < 16 and self.along))

    @property
    def per(self) -> int:
        """Elements in a register."""
        return max(32 // self.bits, 1)


@instruction("wmma")
def wmma(lower: WarpLowering, inst: Instruction) -> None:
    """``wmma.load``, ``wmma.store`` and ``wmma.mma``."""
    what = inst.modifiers[0]
    if what == "load":
        _load(lower, inst)
    elif what == "store":
        _store(lower, inst)
    elif what == "mma":
        _mma(lower, inst)
    else:
        raise NotLowered(inst.text)


def _matrix(inst: Instruction) -> Matrix:
    """The matrix that a load or a store moves."""
    m, n, k = shape = shape_of(inst)
    role, kind = inst.modifiers[1], inst.modifiers[-1]
    is_row = inst.has("row")
    if is_row == inst.has("col"):
        raise NotLowered(inst.text)
    swapped = m == 8 and n == 32
    if role in ("c", "d"):
        families = [f for f, found in SHAPES.items() if shape in found]
        if not any(kind in SUMS.get(family, ("s32",)) for family in families):
            raise NotLowered(inst.text)
        rows, columns = (n, m) if swapped else (m, n)
        halves = range(0, min(rows, 16), 8)
        tiles = [(tall + half, flat) for tall in range(0, rows, 16)
                 for flat in range(0, columns, 8) for half in halves]  # fmt: skip
        bits = SUM_BITS[kind]
        return Matrix(bits, tuple(tiles), is_row != swapped, n if is_row else m, sums=True)
    if role not in ("a", "b") or shape not in SHAPES.get(kind, ()):
        raise NotLowered(inst.text)
    bits = ELEMENT_BITS[kind]
    outer = m if role == "a" else n
    step = 4 * max(32 // bits, 1)  # of k, a register
    if (role == "b") == swapped:  # the one that mma has as A: 16 rows at a time
        tiles = [(tall + half, v) for tall in range(0, outer, 16) for v in range(0, k, step)
                 for half in range(0, min(outer, 16), 8)]  # fmt: skip
    else:
        tiles = [(flat, v) for flat in range(0, outer, 8) for v in range(0, k, step)]
    along = is_row == (role == "a")
    return Matrix(bits, tuple(tiles), along, k if along else outer)


def machine_accesses(inst: Instruction) -> tuple[str, int]:
    """The machine's accesses that a load or store becomes: "ld", "st" or "ldsm", and how many.

    ("", 0) for what is no access, or a form that there is not.
    """
    if inst.modifiers[0] not in ("load", "store"):
        return "", 0
    try:
        matrix = _matrix(inst)
    except NotLowered:
        return "", 0
    count = len(matrix.tiles)
    if matrix.as_rows and space_of(inst) == "shared":
        return "ldsm", -(-count // 4)
    if not matrix.along and matrix.bits != 16:
        count *= 2 if matrix.sums else matrix.per
    return "st" if inst.modifiers[0] == "store" else "ld", count


class _Memory:
    """Addresses of a matrix's elements, over the warp."""

    def __init__(self, lower: WarpLowering, inst: Instruction, at_operand: int) -> None:
        self.lower, self.inst, self.matrix = lower, inst, _matrix(inst)
        address = inst.operands[at_operand]
        if not isinstance(address, Address):
            raise NotLowered(inst.text)
        self.space = space_of(inst)
        if self.space not in ("global", "shared", "generic"):
            raise NotLowered(inst.text)
        self.base = effective_address(lower, address, self.space)
        if len(inst.operands) > 2:
            stride = lower.read(inst.operands[2], "u32")
            self.stride = lower.builder.zext(stride, integers(64))
        else:
            self.stride = ir.Constant(integers(64), [self.matrix.narrow] * LANES)

    def addresses(self, u: Sequence[int], v: Sequence[int]) -> ir.Value:
        """Of the element (u, v) of each lane."""
        builder = self.lower.builder
        far, near = (u, v) if self.matrix.along else (v, u)
        index = builder.mul(self.stride, ir.Constant(integers(64), list(far)))
        index = builder.add(index, ir.Constant(integers(64), list(near)))
        bits = builder.mul(index, ir.Constant(integers(64), [self.matrix.bits] * LANES))
        return builder.add(self.base, builder.lshr(bits, ir.Constant(integers(64), [3] * LANES)))

    def load(self, u: Sequence[int], v: Sequence[int], nbytes: int, count: int) -> list[ir.Value]:
        """``count`` numbers of ``nbytes`` at each lane's address."""
        builder = self.lower.builder
        values = self.addresses(u, v)
        place = "shared" if self.space == "shared" else "global"
        transfer_at(self.lower, self.inst, place, values, nbytes, count, "load")
        data = field(builder, self.lower.warp, Warp, "data")
        places = [at(builder, data, i * nbytes * LANES) for i in range(count)]
        return [load(builder, p, integers(8 * nbytes), min(nbytes * LANES, 64)) for p in places]

    def store(self, u: Sequence[int], v: Sequence[int], values: Sequence[ir.Value]) -> None:
        """The values side by side at each lane's address."""
        builder = self.lower.builder
        nbytes = values[0].type.element.width // 8
        where = self.addresses(u, v)
        data = field(builder, self.lower.warp, Warp, "data")
        for i, value in enumerate(values):
            builder.store(value, at(builder, data, i * nbytes * LANES), align=64)
        place = "shared" if self.space == "shared" else "global"
        transfer_at(self.lower, self.inst, place, where, nbytes, len(values), "store")


def _plus(start: int, lanes: Sequence[int], factor: int = 1) -> list[int]:
    return [start + factor * lane for lane in lanes]


def _load(lower: WarpLowering, inst: Instruction) -> None:
    """``wmma.load.{a,b,c}.sync.aligned.layout.shape{.ss}.type r, [p] {, stride}``."""
    memory = _Memory(lower, inst, 1)
    matrix = memory.matrix
    if matrix.bits < 8 and not matrix.along:
        raise NotLowered(inst.text)
    require_whole_warp(lower, inst)
    if matrix.sums:
        values = [value for tile in matrix.tiles for value in _load_sums(memory, tile)]
    elif memory.space == "shared" and matrix.as_rows:
        values = _load_matrices(memory)
    else:
        values = [_load_register(memory, tile) for tile in matrix.tiles]
    items = components(inst.operands[0])
    if matrix.bits == 16 and inst.modifiers[-1] == "f16" and not matrix.sums:
        values = [values[i % len(values)] for i in range(HALF_REGISTERS)]
    for item, value in zip(items, values, strict=True):
        lower.write(item, value, inst)


def _load_register(memory: _Memory, tile: tuple[int, int]) -> ir.Value:
    """One register of A or B."""
    matrix, lower = memory.matrix, memory.lower
    builder = lower.builder
    u, v = tile
    if matrix.along or matrix.per == 1:
        place = _plus(u, GROUP), _plus(v, THREAD, matrix.per)
        return memory.load(*place, 8 if matrix.bits == 64 else 4, 1)[0]
    if matrix.bits == 16:
        value = memory.load(_plus(u, THREAD, 2), _plus(v, GROUP), 4, 1)[0]
        return transposed(lower, value)
    whole: ir.Value = ir.Constant(integers(32), [0] * LANES)
    for byte in range(4):
        part = memory.load(_plus(u, GROUP), _plus(v + byte, THREAD, 4), 1, 1)[0]
        part = builder.zext(part, integers(32))
        part = builder.shl(part, ir.Constant(integers(32), [8 * byte] * LANES))
        whole = builder.or_(whole, part)
    return whole


def _load_matrices(memory: _Memory) -> list[ir.Value]:
    """All registers of A or B, four at a time."""
    matrix = memory.matrix
    values: list[ir.Value] = []
    for first in range(0, len(matrix.tiles), 4):
        tiles = matrix.tiles[first : first + 4]
        lanes = [(tiles[lane // 8 % len(tiles)], lane % 8) for lane in range(LANES)]
        if matrix.along:
            rows = memory.addresses([u + r for (u, _), r in lanes], [v for (_, v), _ in lanes])
        else:
            rows = memory.addresses([u for (u, _), _ in lanes], [v + r for (_, v), r in lanes])
        found = load_matrices(memory.lower, memory.inst, memory.space, rows, len(tiles))
        values += found if matrix.along else [transposed(memory.lower, value) for value in found]
    return values


def _load_sums(memory: _Memory, tile: tuple[int, int]) -> list[ir.Value]:
    """The registers of 8 x 8 elements of C."""
    matrix = memory.matrix
    u, v = tile
    nbytes = matrix.bits // 8
    if matrix.bits == 16 and matrix.along:
        return memory.load(_plus(u, GROUP), _plus(v, THREAD, 2), 4, 1)
    if matrix.bits == 16:
        value = memory.load(_plus(u, THREAD, 2), _plus(v, GROUP), 4, 1)[0]
        return [transposed(memory.lower, value)]
    if matrix.along:
        return memory.load(_plus(u, GROUP), _plus(v, THREAD, 2), nbytes, 2)
    return [memory.load(_plus(u, GROUP), _plus(v + j, THREAD, 2), nbytes, 1)[0] for j in range(2)]


def _store(lower: WarpLowering, inst: Instruction) -> None:
    """``wmma.store.d.sync.aligned.layout.shape{.ss}.type [p], r {, stride}``."""
    memory = _Memory(lower, inst, 0)
    matrix = memory.matrix
    require_whole_warp(lower, inst)
    kind = "f64" if matrix.bits == 64 else "b32"
    values = registers(lower, components(inst.operands[1]), kind)
    per_tile = 1 if matrix.bits == 16 else 2
    if not matrix.sums or len(values) != per_tile * len(matrix.tiles):
        raise ValueError("registers of wmma.store")
    for index, (u, v) in enumerate(matrix.tiles):
        mine = values[index * per_tile : (index + 1) * per_tile]
        if matrix.bits == 16 and not matrix.along:
            memory.store(_plus(u, THREAD, 2), _plus(v, GROUP), [transposed(lower, mine[0])])
        elif matrix.along:
            memory.store(_plus(u, GROUP), _plus(v, THREAD, 2), mine)
        else:
            for j, value in enumerate(mine):
                memory.store(_plus(u, GROUP), _plus(v + j, THREAD, 2), [value])


def _mma(lower: WarpLowering, inst: Instruction) -> None:
    """``wmma.mma{.op.popc}.sync.aligned.alayout.blayout.shape.types{.satfinite} d, a, b, c``."""
    m, n, k = shape = shape_of(inst)
    kinds = element_types(inst)
    if len(kinds) == 2:
        kinds = [kinds[0], "f16", "f16", kinds[1]]
    known = {"mma", "sync", "aligned", "row", "col", "satfinite", "xor", "and", "popc", "rn",
             f"m{m}n{n}k{k}"}  # fmt: skip
    if len(kinds) != 4 or set(inst.modifiers) - known - set(kinds):
        raise NotLowered(inst.text)
    d, a, b, c = kinds
    sums = SUMS.get(a, ("s32",))
    if a != b or shape not in SHAPES.get(a, ()) or not {c, d} <= set(sums):
        raise NotLowered(inst.text)
    if inst.has("satfinite") and sums != ("s32",):
        raise NotLowered(inst.text)
    operation = next((o for o in ("xor", "and") if inst.has(o)), "")
    if bool(operation) != (a == "b1"):
        raise NotLowered(inst.text)
    require_whole_warp(lower, inst)
    form = Form(16, k, d, a, b, c, inst.has("satfinite"), operation)
    if m == n == 8:
        form = replace(form, m=8)
    swapped = (m, n) == (8, 32)
    tall = registers(lower, components(inst.operands[2 if swapped else 1]), a)
    flat = registers(lower, components(inst.operands[1 if swapped else 2]), a)
    start = registers(lower, components(inst.operands[3]), c)
    height, width = (n, m) if swapped else (m, n)
    tall_step, flat_step = form.halves * form.chunks, form.chunks
    start_step = len(start) // (max(height // 16, 1) * (width // 8))
    results: list[ir.Value] = []
    for i in range(max(height // 16, 1)):
        for j in range(width // 8):
            place = (i * (width // 8) + j) * start_step
            results += multiply(
                lower, form, tall[i * tall_step : (i + 1) * tall_step],
                flat[j * flat_step : (j + 1) * flat_step], start[place : place + start_step],
            )  # fmt: skip
    for item, value in zip(components(inst.operands[0]), results, strict=True):
        lower.write(item, value, inst)
