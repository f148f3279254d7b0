"""``wgmma``: products of a warpgroup's 64 rows with a matrix in shared memory.

Each of the four warps computes its 16 rows when it issues the product, and its registers have them
at once: what the program may not do before ``wgmma.wait_group`` is watched, not acted out. Each
warp's part is N / 8 times an ``mma`` of m16n8, whose blocks and sums it shares
(:mod:`emulator.lower.tensor`, :mod:`emulator.native.products`).
(PTX ISA, "Asynchronous Warpgroup Level Matrix Multiply-Accumulate Instructions".)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llvmlite import ir

from emulator.cfg import Block
from emulator.lower.copies import call_unit
from emulator.lower.memory import components, declare
from emulator.lower.registry import NotLowered, instruction
from emulator.lower.tensor import (
    ALIKE,
    ELEMENT_BITS,
    Form,
    element_types,
    kept_type,
    metadata_threads,
    put,
    require_whole_warp,
    shape_of,
    take,
)
from emulator.lower.types import integers
from emulator.lower.warp import WarpLowering
from emulator.lower.watch import tell
from emulator.native.layout import LANES, Warp, at, field, i1, i8, i32, i64, load, pointer
from emulator.native.products import (
    ROWS,
    SUMS,
    gather_name,
    multiply_columns_name,
    multiply_columns_type,
    multiply_kept_columns_name,
    multiply_kept_columns_type,
    scatter_name,
    sums_type,
    unpack_name,
    unpack_type,
)
from emulator.native.vectors import single
from emulator.ptx import Immediate, Instruction, Operand, Register, Vector

if TYPE_CHECKING:
    from emulator.lower.kernel import _KernelLowering

DEPTH_BITS = 256  # of a row of A that one instruction multiplies
SUMS_OF = {"f16": ("f16", "f32"), "bf16": ("f32",), "tf32": ("f32",), "e4m3": ("f16", "f32"),
           "s8": ("s32",), "b1": ("s32",)}  # fmt: skip
WHOLE = {"s8", "b1"}
HALVES, CHUNKS = 2, 2  # cores in a warp's rows of A, and along what it holds of K
MOST_CHUNKS = 4  # of B along K, where A is sparse
CORE_BYTES = 128

# Where things lie in the kernel's room for a product, in bytes.
A_CORES = 0
A_MATRIX = A_CORES + HALVES * CHUNKS * CORE_BYTES
B_CORES = A_MATRIX + HALVES * CHUNKS * 4 * CORE_BYTES
B_MATRIX = B_CORES + 32 * MOST_CHUNKS * CORE_BYTES
SUM_REGISTERS = B_MATRIX + 32 * MOST_CHUNKS * 4 * CORE_BYTES
SUM_BLOCKS = SUM_REGISTERS + 32 * HALVES * SUMS * 4
METADATA = SUM_BLOCKS + 32 * HALVES * SUMS * 4
KEPT_COLUMNS = METADATA + 4 * LANES
ROOM_BYTES = KEPT_COLUMNS + 16 * 32 * 8


@dataclass(frozen=True)
class Product:
    """One ``wgmma.mma_async``: its form, and what its operands say."""

    form: Form
    columns: int  # of B, in blocks of 8
    d: tuple[Operand, ...]
    a: Operand
    b: Operand
    adds: Operand  # whether D is added to
    negates: bool
    a_along_k: bool
    b_along_k: bool
    metadata: Operand | None = None  # which elements a sparse A holds
    selector: int = 0

    @property
    def chunks(self) -> int:
        """Cores of B along K."""
        return CHUNKS if self.metadata is None else MOST_CHUNKS


def _family(kind: str) -> str:
    return ALIKE.get(kind, kind)


def product_of(inst: Instruction) -> Product:
    """What a ``wgmma.mma_async`` says. Raises ``NotLowered`` for what the ISA does not have."""
    m, n, k = shape_of(inst)
    kinds = element_types(inst)
    known = {"mma_async", "sync", "aligned", "satfinite", "and", "popc", "sp", f"m{m}n{n}k{k}"}
    sparse = inst.has("sp")
    if len(kinds) != 3 or set(inst.modifiers) - known - set(kinds):
        raise NotLowered(inst.text)
    d, a, b = kinds
    family = _family(a)
    widths = {*range(8, 257, 8)}
    if family in WHOLE:
        widths = {8, 24, *range(16, 257, 16)}
    fits = m == 64 and n in widths and k == DEPTH_BITS // ELEMENT_BITS[a] * (1 + sparse)
    alike = a == b or (family == _family(b) and family in ("e4m3", "s8"))
    saturates = inst.has("satfinite")
    if not fits or not alike or d not in SUMS_OF[family] or (saturates and family != "s8"):
        raise NotLowered(inst.text)
    if sparse and family == "b1":
        raise NotLowered(inst.text)
    if (family == "b1") != inst.has("and") or inst.has("and") != inst.has("popc"):
        raise NotLowered(inst.text)
    target, a_at, b_at, *more = inst.operands
    metadata: Operand | None = None
    selector: Operand = Immediate(0)
    if sparse:
        metadata, selector, *more = more
    adds, *rest = more
    numbers = [int(item.value) for item in rest if isinstance(item, Immediate)]
    turnable = (1 if isinstance(a_at, Vector) else 2) if ELEMENT_BITS[a] == 16 else 0
    wanted = 0 if family in WHOLE else 2 + turnable
    if len(numbers) != len(rest) or len(rest) != wanted:
        raise ValueError(f"{wanted} numbers are to follow scale-d")
    scales, turns = numbers[:2], numbers[2:]
    if not set(scales) <= {1, -1} or not set(turns) <= {0, 1}:
        raise NotLowered(inst.text)
    turned_a = turnable == 2 and turns[0] == 1
    turned_b = turnable > 0 and turns[-1] == 1
    form = Form(16, k, d, a, b, d, saturates, "and" if family == "b1" else "", sparse)
    selectors = 4 // metadata_threads(form) if sparse else 1
    if not isinstance(selector, Immediate) or not 0 <= int(selector.value) < selectors:
        raise NotLowered(inst.text)
    return Product(form, n // 8, components(target), a_at, b_at, adds,
                   scales.count(-1) == 1, not turned_a, not turned_b,
                   metadata, int(selector.value))  # fmt: skip


@instruction("wgmma")
def wgmma(lower: WarpLowering, inst: Instruction) -> None:
    """``wgmma.mma_async``, ``.fence`` and ``.commit_group``."""
    if inst.has("mma_async"):
        _multiply(lower, inst)
    elif inst.has("fence"):
        require_whole_warp(lower, inst)
    elif inst.has("commit_group"):
        require_whole_warp(lower, inst)
        call_unit(lower, "commit_products", lower.active(inst))
    else:
        raise NotLowered(inst.text)


def wait(kernel: _KernelLowering, block: Block, inst: Instruction) -> None:
    """``wgmma.wait_group.sync.aligned n``."""
    (pending,) = inst.operands
    if block.falls_to is None or not isinstance(pending, Immediate):
        raise NotLowered(inst.text)
    lower = kernel.lower
    require_whole_warp(lower, inst)
    active = lower.active(inst)
    lower.store_registers()
    complete = call_unit(lower, "wait_for_products", active, int(pending.value))
    kernel.yield_unless(complete, block)
    tell(lower, inst, "observe_products_done", [])
    kernel.count_block(block)
    kernel.jump(block, block.falls_to)


def _multiply(lower: WarpLowering, inst: Instruction) -> None:
    product = product_of(inst)
    form, columns = product.form, product.columns
    per = 2 if form.d == "f16" else 4
    if len(product.d) != per * columns:
        raise ValueError(f"{len(product.d)} registers of D, not {per * columns}")
    require_whole_warp(lower, inst)
    builder = lower.builder
    in_frame = _place_in_frame(lower, inst, product)
    sums = [] if in_frame else [lower.read(item, "b32") for item in product.d]
    adds = builder.extract_element(lower.read(product.adds, "pred"), ir.Constant(i32, 0))
    a_items = components(product.a) if isinstance(product.a, Vector) else None
    if a_items is not None and len(a_items) != HALVES * CHUNKS:
        raise ValueError(f"{len(a_items)} registers of A, not {HALVES * CHUNKS}")
    a_values = [lower.read(item, "b32") for item in a_items or ()]
    metadata = lower.read(product.metadata, "b32") if product.metadata is not None else None
    descriptors = [] if a_items is not None else [lower.read(product.a, "b64")]
    descriptors.append(lower.read(product.b, "b64"))
    data = field(builder, lower.warp, Warp, "data")
    for index, values in enumerate(descriptors):
        builder.store(values, at(builder, data, 8 * LANES * index), align=64)
    descriptors = [builder.extract_element(d, ir.Constant(i32, 0)) for d in descriptors]

    def count(number: int) -> ir.Constant:
        return ir.Constant(i64, number)

    active = lower.active(inst)
    lower.spill()
    some = builder.icmp_unsigned("!=", active, ir.Constant(i32, 0))

    def if_any(number: int) -> ir.Value:
        """So many cores, unless no lane's predicate holds."""
        return builder.select(some, count(number), count(0))

    call_unit(lower, "begin_product", active, len(descriptors), at_site=True)
    room = lower.room("products", ROOM_BYTES)

    def place(offset: int) -> ir.Value:
        return at(builder, room, offset)

    def address(offset: int) -> ir.Value:
        return builder.ptrtoint(place(offset), i64)

    registers = lower.place(lower.warp, in_frame) if in_frame else place(SUM_REGISTERS)
    put(lower, sums, registers)
    if a_items is None:
        index = load(builder, field(builder, lower.warp, Warp, "index"), i32)
        first = builder.shl(builder.and_(index, ir.Constant(i32, 3)), ir.Constant(i32, 1))
        call_unit(lower, "gather_operand", descriptors[0], address(A_CORES), first,
                  if_any(HALVES), CHUNKS,
                  int(product.a_along_k), at_site=True)  # fmt: skip
    else:
        # registers 0 and 1 are two halves of one chunk; gathered cores go by halves
        put(lower, [a_values[i] for i in (0, 2, 1, 3)], place(A_CORES))
    call_unit(lower, "gather_operand", descriptors[-1], address(B_CORES), 0,
              if_any(columns), product.chunks,
              int(product.b_along_k), at_site=True)  # fmt: skip
    _show_operands(lower, inst, product, descriptors)
    _unpack(lower, product, room)
    halves = count(HALVES * columns)
    with builder.if_else(builder.and_(adds, ir.Constant(i1, int(not form.saturates)))) as (
        continues,
        begins,
    ):
        with continues:
            gather = declare(lower.module, sums_type, gather_name(form.c))
            builder.call(gather, [registers, place(SUM_BLOCKS), halves])
        with begins:
            arguments = [pointer, i8, i64, i1]
            clear = lower.intrinsic("llvm.memset.p0.i64", ir.VoidType(), arguments)
            nbytes = count(HALVES * columns * SUMS * 4)
            builder.call(clear, [place(SUM_BLOCKS), ir.Constant(i8, 0), nbytes, ir.Constant(i1, 0)])
    given = [place(A_MATRIX), place(B_MATRIX), place(SUM_BLOCKS), count(HALVES), count(CHUNKS),
             count(form.width)]  # fmt: skip
    if metadata is None:
        name = multiply_columns_name(form.bits or form.work)
        multiply = declare(lower.module, multiply_columns_type, name)
        builder.call(multiply, [*given, count(columns)])
    else:
        put(lower, [metadata], place(METADATA))
        numbers = (metadata_threads(form), product.selector, ELEMENT_BITS[form.a], form.k)
        find = declare(lower.module, kept_type, "coalesce_find_kept_columns")
        builder.call(find, [address(METADATA), address(KEPT_COLUMNS), *map(count, numbers)])
        name = multiply_kept_columns_name(form.work)
        multiply = declare(lower.module, multiply_kept_columns_type, name)
        builder.call(multiply, [*given, place(KEPT_COLUMNS), count(columns)])
    scatter = declare(lower.module, sums_type, scatter_name(form.d))
    builder.call(scatter, [registers, place(SUM_BLOCKS), halves])
    if in_frame:
        return
    results = take(lower, registers, len(sums), 32)
    if form.saturates:
        zero = ir.Constant(sums[0].type, [0] * LANES)
        sums = [builder.select(adds, value, zero) for value in sums]
        add = lower.intrinsic("llvm.sadd.sat.v32i32", integers(32), [integers(32)] * 2)
        results = [builder.call(add, [old, new]) for old, new in zip(sums, results, strict=True)]
    for item, value in zip(product.d, results, strict=True):
        lower.write(item, value, inst)


def _place_in_frame(lower: WarpLowering, inst: Instruction, product: Product) -> int | None:
    """Where D's registers lie one behind the other in the warp's frame, to be changed there.

    They do where other blocks use them, as in a loop. None: they do not, or not only they change.
    """
    frame, function = lower.frame, lower.ptx_function
    names = [item.name for item in product.d if isinstance(item, Register)]
    places = [frame.registers.get((function.name, name)) for name in names]
    first = places[0] if len(names) == len(product.d) else None
    if first is None or inst.predicate is not None or product.form.saturates:
        return None
    for index, found in enumerate(places):
        if found is None or found.nbytes != 4 or found.offset != first.offset + 4 * LANES * index:
            return None
    return first.offset


def _show_operands(
    lower: WarpLowering, inst: Instruction, product: Product, descriptors: Sequence[ir.Value]
) -> None:
    """Tell racecheck which parts of shared memory are read: A's rows by warp, B by the first."""
    builder = lower.builder
    place = builder.and_(
        load(builder, field(builder, lower.warp, Warp, "index"), i32), ir.Constant(i32, 3)
    )
    zero = ir.Constant(i32, 0)
    columns = builder.select(
        builder.icmp_unsigned("==", place, zero), ir.Constant(i32, product.columns), zero
    )
    parts = [(zero, columns, product.chunks, product.b_along_k)]
    if len(descriptors) > 1:
        first = builder.mul(place, ir.Constant(i32, HALVES))
        parts.insert(0, (first, ir.Constant(i32, HALVES), CHUNKS, product.a_along_k))
    site = builder.ptrtoint(lower.site(), i64)
    for descriptor, (first, outers, chunks, along_k) in zip(descriptors, parts, strict=True):
        rest = [ir.Constant(i64, chunks), ir.Constant(i64, int(along_k))]
        tell(lower, inst, "observe_operand", [site, descriptor, first, outers, *rest])


def _unpack(lower: WarpLowering, product: Product, room: ir.Value) -> None:
    """Cores to numbers: of A [chunk][half][row][k], of B [column][chunk][k][8]."""
    builder, form = lower.builder, product.form
    # A core of A has rows of A for its lines where they run along K, a core of B columns of B.
    unpack_a = unpack_name(form.a, turned=not product.a_along_k)
    routine = declare(lower.module, unpack_type, unpack_a)
    block_bytes = ROWS * form.width * 4
    for half in range(HALVES):
        for chunk in range(CHUNKS):
            core = at(builder, room, A_CORES + (half * CHUNKS + chunk) * CORE_BYTES)
            block = at(builder, room, A_MATRIX + (chunk * HALVES + half) * block_bytes)
            builder.call(routine, [core, block, ir.Constant(i64, 1)])
    if product.negates:
        part = ir.VectorType(single, ROWS * form.width)
        for index in range(HALVES * CHUNKS):
            block = at(builder, room, A_MATRIX + index * block_bytes)
            builder.store(builder.fneg(load(builder, block, part, 16)), block, align=16)
    unpack_b = unpack_name(form.b, turned=product.b_along_k)
    routine = declare(lower.module, unpack_type, unpack_b)
    cores = ir.Constant(i64, product.columns * product.chunks)
    builder.call(routine, [at(builder, room, B_CORES), at(builder, room, B_MATRIX), cores])
