"""``mma``: products of matrices whose fragments a warp holds.

Products are exact and enter the sum one by one, in rising k, starting from C: f32 sums by fused
multiply-add (so each step rounds once, to nearest even), f64 sums by ``fma``, integers modulo 2^32
or, with ``.satfinite``, clamped once when C is added to the sum of products. f16 accumulators are
f32 inside and round once at the end. Tensor cores add several products at a time and cut bits off
on the way: they are free to, and their last bits differ from these.

Inputs keep their subnormals; the low 13 bits of a tf32 are ignored; a NaN result is the one NaN
that tensor cores write (0x7fffffff, or 0x7fff as f16).
(PTX ISA, "Matrix multiply-accumulate operation using mma instruction".)

``mma.sp`` multiplies only what a sparse A keeps: two of four elements of a row, one of two of tf32,
two pairs of four of s4. What is not kept meets no element of B, not even an infinite one. The
metadata's place in the warp follows the ISA's selectors and CUTLASS's reordering of metadata.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from llvmlite import ir

from emulator.lower.memory import components, declare
from emulator.lower.registry import NotLowered, instruction
from emulator.lower.types import integers
from emulator.lower.warp import WarpLowering
from emulator.native.compiled import routine_type
from emulator.native.layout import DIVERGENT, LANES, at, i16, i32, i64, load
from emulator.native.products import (
    SUMS,
    gather_name,
    interleave,
    multiply_kept_name,
    multiply_kept_type,
    multiply_name,
    multiply_type,
    scatter_name,
    sums_type,
    unpack_name,
    unpack_type,
)
from emulator.native.vectors import everywhere, half, single
from emulator.ptx import Immediate, Instruction, Operand

ELEMENT_BITS = {
    "f16": 16, "bf16": 16, "tf32": 32, "f64": 64, "e4m3": 8, "e5m2": 8,
    "s8": 8, "u8": 8, "s4": 4, "u4": 4, "b1": 1,
}  # fmt: skip

# Shapes (m, k) that an instruction has, by the type of its inputs; n is 8.
SHAPES = {
    "f16": {(16, 8), (16, 16)},
    "bf16": {(16, 8), (16, 16)},
    "tf32": {(16, 4), (16, 8)},
    "f64": {(8, 4), (16, 4), (16, 8), (16, 16)},
    "e4m3": {(16, 16), (16, 32)},
    "s8": {(8, 16), (16, 16), (16, 32)},
    "s4": {(8, 32), (16, 32), (16, 64)},
    "b1": {(8, 128), (16, 128), (16, 256)},
}
SPARSE_SHAPES = {
    "f16": {(16, 16), (16, 32)},
    "bf16": {(16, 16), (16, 32)},
    "tf32": {(16, 8), (16, 16)},
    "e4m3": {(16, 64)},
    "s8": {(16, 32), (16, 64)},
    "s4": {(16, 64), (16, 128)},
}
SPARSE = {"sp", "sp::ordered_metadata"}
ALIKE = {"e5m2": "e4m3", "u8": "s8", "u4": "s4"}  # types that may meet in one instruction
SUMS_OF = {"f16": {"f16", "f32"}, "bf16": {"f32"}, "tf32": {"f32"}, "e4m3": {"f16", "f32"},
           "f64": {"f64"}, "s8": {"s32"}, "s4": {"s32"}, "b1": {"s32"}}  # fmt: skip

# Where things lie in a kernel's room for matrices, in bytes.
A_REGISTERS, B_REGISTERS, C_REGISTERS, D_REGISTERS = 0, 2048, 3072, 4096
A_MATRIX, B_MATRIX, SUM_BLOCKS, KEPT_COLUMNS, METADATA = 5120, 13312, 17408, 18432, 26624
ROOM_BYTES = 26752


@dataclass(frozen=True)
class Form:
    """One kind of ``mma``: D = A B + C of ``m`` x 8 x ``k``, and the element types."""

    m: int
    k: int
    d: str
    a: str
    b: str
    c: str
    saturates: bool = False
    bits: str = ""  # "xor" or "and", for b1
    sparse: bool = False  # A's fragment holds half of its elements

    @property
    def width(self) -> int:
        """Columns of a block of A; 32-bit words of them for b1."""
        return 4 if self.a in ("b1", "f64") else 128 // ELEMENT_BITS[self.a]

    @property
    def chunks(self) -> int:
        """Blocks in a row of A."""
        return self.k // (128 if self.a == "b1" else self.width)

    @property
    def halves(self) -> int:
        """Blocks in a column of A."""
        return self.m // 8

    @property
    def chunks_held(self) -> int:
        """Blocks in a row of A's fragment."""
        return self.chunks // 2 if self.sparse else self.chunks

    @property
    def work(self) -> str:
        """The type of the sums."""
        return {"f16": "f32"}.get(self.d, self.d)


def shape_of(inst: Instruction) -> tuple[int, int, int]:
    """The (m, n, k) that an instruction names."""
    for modifier in inst.modifiers:
        found = re.fullmatch(r"m(\d+)n(\d+)k(\d+)", modifier)
        if found:
            m, n, k = (int(number) for number in found.groups())
            return m, n, k
    raise NotLowered(inst.text)


def element_types(inst: Instruction) -> list[str]:
    """The types of D, A, B and C (of those that are named)."""
    return [m for m in inst.modifiers if m in ELEMENT_BITS or m in ("f32", "s32")]


def _form(inst: Instruction) -> Form:
    m, n, k = shape_of(inst)
    kinds = element_types(inst)
    known = {"sync", "aligned", "row", "col", "satfinite", "xor", "and", "popc", f"m{m}n{n}k{k}"}
    known |= SPARSE
    if len(kinds) != 4 or set(inst.modifiers) - known - set(kinds):
        raise NotLowered(inst.text)
    d, a, b, c = kinds
    family = ALIKE.get(a, a)
    layouts = [modifier for modifier in inst.modifiers if modifier in ("row", "col")]
    sparse = bool(SPARSE & set(inst.modifiers))
    shapes = SPARSE_SHAPES if sparse else SHAPES
    fits = n == 8 and (m, k) in shapes.get(family, ()) and ALIKE.get(b, b) == family
    if not fits or {c, d} - SUMS_OF[family] or layouts != ["row", "col"]:
        raise NotLowered(inst.text)
    operation = next((o for o in ("xor", "and") if inst.has(o)), "")
    if bool(operation) != (a == "b1") or (inst.has("satfinite") and family not in ("s8", "s4")):
        raise NotLowered(inst.text)
    return Form(m, k, d, a, b, c, inst.has("satfinite"), operation, sparse)


def require_whole_warp(lower: WarpLowering, inst: Instruction) -> None:
    """Fault unless all 32 lanes execute the instruction (or, predicated, none)."""
    builder = lower.builder
    active = lower.active(inst)
    whole = builder.icmp_signed("==", active, ir.Constant(i32, -1))
    wrong = builder.select(whole, ir.Constant(i32, 0), active)
    lower.fault(DIVERGENT, wrong, detail=builder.zext(active, i64))


@instruction("mma")
def mma(lower: WarpLowering, inst: Instruction) -> None:
    """``mma.sync.aligned.shape.row.col{.satfinite}.dtype.atype.btype.ctype{.op.popc}``."""
    if shape_of(inst) == (8, 8, 4) and "f16" in element_types(inst):
        _quad_pairs(lower, inst)
        return
    form = _form(inst)
    require_whole_warp(lower, inst)
    d, a, b, c = (components(operand) for operand in inst.operands[:4])
    if form.sparse:
        find_kept(lower, form, inst)
    elif len(inst.operands) != 4:
        raise ValueError("operands of mma")
    results = multiply(lower, form, registers(lower, a, form.a), registers(lower, b, form.b),
                       registers(lower, c, form.c))  # fmt: skip
    for item, value in zip(d, results, strict=True):
        lower.write(item, value, inst)


def registers(lower: WarpLowering, items: Sequence[Operand], kind: str) -> list[ir.Value]:
    """A fragment's registers as plain bits over the warp."""
    return [lower.read(item, "b64" if kind == "f64" else "b32") for item in items]


def multiply(
    lower: WarpLowering,
    form: Form,
    a: Sequence[ir.Value],
    b: Sequence[ir.Value],
    c: Sequence[ir.Value],
) -> list[ir.Value]:
    """The registers of D. Raises ``ValueError`` if there are too few or many of A, B or C."""
    wanted = (form.halves * form.chunks_held, form.chunks, _sum_registers(form, form.c))
    if (len(a), len(b), len(c)) != wanted:
        raise ValueError(f"fragments of {len(a)}, {len(b)} and {len(c)} registers, not {wanted}")
    builder = lower.builder
    lower.spill()
    room = lower.room("matrices", ROOM_BYTES)

    def place(offset: int) -> ir.Value:
        return at(builder, room, offset)

    for values, start in ((a, A_REGISTERS), (b, B_REGISTERS), (c, C_REGISTERS)):
        put(lower, values, place(start))
    a_blocks, b_blocks = ir.Constant(i64, len(a)), ir.Constant(i64, len(b))
    halves = ir.Constant(i64, form.halves)
    unpack = declare(lower.module, unpack_type, unpack_name(form.a, turned=False))
    builder.call(unpack, [place(A_REGISTERS), place(A_MATRIX), a_blocks])
    turn = declare(lower.module, unpack_type, unpack_name(form.b, turned=True))
    builder.call(turn, [place(B_REGISTERS), place(B_MATRIX), b_blocks])
    if form.saturates:
        zero = ir.Constant(ir.VectorType(i32, SUMS * form.halves), [0] * (SUMS * form.halves))
        builder.store(zero, place(SUM_BLOCKS), align=64)
    else:
        gather = declare(lower.module, sums_type, gather_name(form.c))
        builder.call(gather, [place(C_REGISTERS), place(SUM_BLOCKS), halves])
    sizes = [halves, ir.Constant(i64, form.chunks_held), ir.Constant(i64, form.width)]
    matrices = [place(A_MATRIX), place(B_MATRIX), place(SUM_BLOCKS)]
    if form.sparse:
        product = declare(lower.module, multiply_kept_type, multiply_kept_name(form.work))
        builder.call(product, [*matrices, *sizes, place(KEPT_COLUMNS)])
    else:
        product = declare(lower.module, multiply_type, multiply_name(form.bits or form.work))
        builder.call(product, [*matrices, *sizes])
    scatter = declare(lower.module, sums_type, scatter_name(form.d))
    builder.call(scatter, [place(D_REGISTERS), place(SUM_BLOCKS), halves])
    count = _sum_registers(form, form.d)
    results = take(lower, place(D_REGISTERS), count, 64 if form.d == "f64" else 32)
    if form.saturates:
        add = lower.intrinsic("llvm.sadd.sat.v32i32", integers(32), [integers(32)] * 2)
        results = [builder.call(add, [old, new]) for old, new in zip(c, results, strict=True)]
    return results


kept_type = routine_type("void", *["int64"] * 6)


def find_kept(lower: WarpLowering, form: Form, inst: Instruction) -> None:
    """Put the columns of the elements that a sparse A keeps into the room for matrices."""
    metadata, selector = inst.operands[4:6]
    threads = metadata_threads(form)
    if not isinstance(selector, Immediate) or not 0 <= int(selector.value) < 4 // threads:
        raise NotLowered(inst.text)
    builder = lower.builder
    value = lower.read(metadata, "b32")
    lower.spill()
    room = lower.room("matrices", ROOM_BYTES)
    put(lower, [value], at(builder, room, METADATA))
    base = builder.ptrtoint(room, i64)
    numbers = (threads, int(selector.value), ELEMENT_BITS[form.a], form.k)
    routine = declare(lower.module, kept_type, "coalesce_find_kept_columns")
    places = [builder.add(base, ir.Constant(i64, start)) for start in (METADATA, KEPT_COLUMNS)]
    builder.call(routine, [*places, *(ir.Constant(i64, number) for number in numbers)])


def metadata_threads(form: Form) -> int:
    """Lanes of four whose metadata counts: four bits are for 4 columns, 2 of tf32 or 8 of s4."""
    columns = {32: 2, 16: 4, 8: 4, 4: 8}[ELEMENT_BITS[form.a]]
    return form.m * form.k // columns * 4 // 32 // 8


def _sum_registers(form: Form, kind: str) -> int:
    return form.halves * (1 if kind == "f16" else 2)


def put(lower: WarpLowering, values: Sequence[ir.Value], where: ir.Value) -> None:
    """Registers one after the other, lane by lane."""
    nbytes = 0
    for value in values:
        lower.builder.store(value, at(lower.builder, where, nbytes), align=64)
        nbytes += value.type.element.width // 8 * LANES


def take(lower: WarpLowering, where: ir.Value, count: int, width: int) -> list[ir.Value]:
    """As many registers of ``width`` bits from there."""
    builder = lower.builder
    step = width // 8 * LANES
    return [load(builder, at(builder, where, i * step), integers(width), 64) for i in range(count)]


# --- m8n8k4 of halves -----------------------------------------------------------------------------

quads_type = routine_type("void", *["int64"] * 8)


def _quad_pairs(lower: WarpLowering, inst: Instruction) -> None:
    """``mma.m8n8k4`` of f16: four products, of lanes 4 q to 4 q + 3 with those 16 further on."""
    kinds = element_types(inst)
    layouts = [m for m in inst.modifiers if m in ("row", "col")]
    if kinds[1:3] != ["f16", "f16"] or not {kinds[0], kinds[3]} <= {"f16", "f32"}:
        raise NotLowered(inst.text)
    require_whole_warp(lower, inst)
    builder = lower.builder
    d, a, b, c = (components(operand) for operand in inst.operands)
    room = lower.room("matrices", ROOM_BYTES)
    base = builder.ptrtoint(room, i64)
    unpack = declare(lower.module, unpack_type, unpack_name("f16", turned=False))

    def widened(items: Sequence[Operand], count: int, start: int, matrix: int) -> ir.Value:
        """f16 fragments as f32: register, lane, half."""
        put(lower, registers(lower, items[:count], "f16"), at(builder, room, start))
        builder.call(unpack, [at(builder, room, start), at(builder, room, matrix),
                              ir.Constant(i64, count)])  # fmt: skip
        return builder.add(base, ir.Constant(i64, matrix))

    sizes = {"f32": 8, "f16": 4}
    if [len(d), len(a), len(b), len(c)] != [sizes[kinds[0]], 2, 2, sizes[kinds[3]]]:
        raise ValueError("registers of mma.m8n8k4")
    a_at = widened(a, 2, A_REGISTERS, A_MATRIX)
    b_at = widened(b, 2, B_REGISTERS, B_MATRIX)
    if kinds[3] == "f16":
        c_at = widened(c, 4, C_REGISTERS, A_MATRIX + 1024)
    else:
        put(lower, registers(lower, c, "f32"), at(builder, room, C_REGISTERS))
        c_at = builder.add(base, ir.Constant(i64, C_REGISTERS))
    sums = builder.add(base, ir.Constant(i64, SUM_BLOCKS))
    flags = [layouts[0] == "col", layouts[1] == "row", kinds[3] == "f16", kinds[0] == "f16"]
    product = declare(lower.module, quads_type, "coalesce_multiply_quad_pairs")
    builder.call(
        product, [sums, a_at, b_at, c_at, *(ir.Constant(i64, int(flag)) for flag in flags)]
    )
    results = take(lower, at(builder, room, SUM_BLOCKS), 8, 32)
    if kinds[0] == "f16":
        results = [_pair(builder, *results[i : i + 2]) for i in range(0, 8, 2)]
    for item, value in zip(d, results, strict=True):
        lower.write(item, value, inst)


def _pair(builder: ir.IRBuilder, low: ir.Value, high: ir.Value) -> ir.Value:
    """Two f32 (as bits) rounded to the two f16 of a register."""
    values = builder.bitcast(interleave(builder, low, high), ir.VectorType(single, 2 * LANES))
    halves = builder.bitcast(
        builder.fptrunc(values, ir.VectorType(half, 2 * LANES)), ir.VectorType(i16, 2 * LANES)
    )
    nan = builder.fcmp_unordered("uno", values, values)
    halves = builder.select(nan, everywhere(halves.type, 0x7FFF), halves)
    return builder.bitcast(halves, integers(32))
