"""Compiled products of matrix fragments, in 8 x 8 blocks.

Over a warp, register ``i`` of a fragment of A is eight rows of four words (lane 4 r + t has word t
of row r): a row-major block of 8 rows and W elements, W = 4 for 32-bit elements to 32 for 4-bit
ones. B is the same with columns for rows. So every shape of ``mma`` is a few equal steps:

1. *unpack* each block of A to f32, s32 or f64, row by row, and of B column by column ("turned");
2. *gather* C's fragments into 8 x 8 blocks of sums;
3. *multiply*: each sum takes its products one by one, in rising k, each by one fused multiply-add
   (integers wrap);
4. *scatter* the sums to D's fragments, rounded once where D is narrower.

Blocks of A come as fragments have them: rows 0-7 and 8-15 of the first W columns, then of the
next. (PTX ISA, "Matrix Fragments for mma.m16n8k16" and its like.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llvmlite import ir

from emulator.native.lanes import loop, routine, splat
from emulator.native.layout import at, i8, i16, i32, i64, load, pointer
from emulator.native.narrow import widen_bfloat
from emulator.native.vectors import double, everywhere, half, overloaded, resized, single

ROWS = 8  # of a block
WORDS = 4  # 32-bit words in a row of a block
SUMS = ROWS * ROWS

unpack_type = ir.FunctionType(ir.VoidType(), [pointer, pointer, i64])
sums_type = ir.FunctionType(ir.VoidType(), [pointer, pointer, i64])
multiply_type = ir.FunctionType(ir.VoidType(), [pointer, pointer, pointer, i64, i64, i64])
multiply_columns_type = ir.FunctionType(ir.VoidType(), [pointer, pointer, pointer, *[i64] * 4])
multiply_kept_type = ir.FunctionType(
    ir.VoidType(), [pointer, pointer, pointer, i64, i64, i64, pointer]
)

multiply_kept_columns_type = ir.FunctionType(
    ir.VoidType(), [pointer, pointer, pointer, *[i64] * 3, pointer, i64]
)

Unpack = Callable[[ir.IRBuilder, ir.Value], ir.Value]


def _half(builder: ir.IRBuilder, words: ir.Value) -> ir.Value:
    halves = builder.bitcast(words, ir.VectorType(half, 2 * words.type.count))
    return builder.fpext(halves, resized(halves.type, single))


def _bfloat(builder: ir.IRBuilder, words: ir.Value) -> ir.Value:
    return widen_bfloat(builder, builder.bitcast(words, ir.VectorType(i16, 2 * words.type.count)))


def _tf32(builder: ir.IRBuilder, words: ir.Value) -> ir.Value:
    """The low 13 bits of a tf32 are ignored."""
    kept = builder.and_(words, everywhere(words.type, 0xFFFFE000))
    return builder.bitcast(kept, resized(words.type, single))


def _bytes(builder: ir.IRBuilder, words: ir.Value) -> ir.Value:
    return builder.bitcast(words, ir.VectorType(i8, 4 * words.type.count))


def _e5m2(builder: ir.IRBuilder, words: ir.Value) -> ir.Value:
    """An e5m2 is the upper half of an f16."""
    wide = builder.zext(_bytes(builder, words), ir.VectorType(i16, 4 * words.type.count))
    halves = builder.shl(wide, everywhere(wide.type, 8))
    halves = builder.bitcast(halves, resized(wide.type, half))
    return builder.fpext(halves, resized(wide.type, single))


def _e4m3(builder: ir.IRBuilder, words: ir.Value) -> ir.Value:
    """Exponent and mantissa put where f32 has them; a product then moves the bias, exactly."""
    wide = builder.zext(_bytes(builder, words), ir.VectorType(i32, 4 * words.type.count))
    kind = wide.type
    size = builder.and_(wide, everywhere(kind, 0x7F))
    small = builder.bitcast(builder.shl(size, everywhere(kind, 20)), resized(kind, single))
    magnitude = builder.fmul(small, everywhere(small.type, 2.0**120))
    nan = builder.icmp_unsigned("==", size, everywhere(kind, 0x7F))
    pattern = builder.bitcast(magnitude, kind)
    pattern = builder.select(nan, everywhere(kind, 0x7FFFFFFF), pattern)
    sign = builder.shl(builder.and_(wide, everywhere(kind, 0x80)), everywhere(kind, 24))
    return builder.bitcast(builder.or_(pattern, sign), small.type)


def _integer(bits: int, *, signed: bool) -> Unpack:
    def unpack(builder: ir.IRBuilder, words: ir.Value) -> ir.Value:
        values = _bytes(builder, words)
        if bits == 4:
            four = everywhere(values.type, 4)
            down = builder.ashr if signed else builder.lshr
            low = down(builder.shl(values, four), four)
            values = interleave(builder, low, down(values, four))
        return (builder.sext if signed else builder.zext)(values, resized(values.type, i32))

    return unpack


UNPACK: dict[str, Unpack] = {
    "f16": _half, "bf16": _bfloat, "tf32": _tf32, "e4m3": _e4m3, "e5m2": _e5m2,
    "s8": _integer(8, signed=True), "u8": _integer(8, signed=False),
    "s4": _integer(4, signed=True), "u4": _integer(4, signed=False),
}  # fmt: skip
"""A row's words to numbers, by element type. (b1 and f64 are used as they are.)"""

RAW = {"b1": i32, "f64": double}


def unpack_name(kind: str, *, turned: bool) -> str:
    """Name of the routine that unpacks blocks, by rows or, turned, by columns."""
    return f"coalesce_{'turn' if turned else 'unpack'}_{kind}"


def interleave(builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
    """``a[0], b[0], a[1], b[1], ...``"""
    count = a.type.count
    order = [place for pair in zip(range(count), range(count, 2 * count), strict=True)
             for place in pair]  # fmt: skip
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(i32, 2 * count), order))


def every_second(builder: ir.IRBuilder, value: ir.Value, first: int) -> ir.Value:
    """``value[first], value[first + 2], ...``"""
    order = list(range(first, value.type.count, 2))
    picks = ir.Constant(ir.VectorType(i32, len(order)), order)
    return builder.shuffle_vector(value, ir.Constant(value.type, ir.Undefined), picks)


def _turned(builder: ir.IRBuilder, rows: Sequence[ir.Value]) -> ir.Value:
    """Rows of a block, all of them column after column."""
    while len(rows) > 1:
        middle = len(rows) // 2
        rows = [interleave(builder, a, b)
                for a, b in zip(rows[:middle], rows[middle:], strict=True)]  # fmt: skip
    return rows[0]


def _part(builder: ir.IRBuilder, value: ir.Value, start: int, count: int) -> ir.Value:
    picks = ir.Constant(ir.VectorType(i32, count), list(range(start, start + count)))
    return builder.shuffle_vector(value, ir.Constant(value.type, ir.Undefined), picks)


def _define_unpack(module: ir.Module, kind: str, *, turned: bool) -> None:
    """``unpack(registers, out, count)``: blocks that follow one another in both places."""
    builder = routine(module, unpack_type, unpack_name(kind, turned=turned))
    registers, out, count = builder.function.args
    source = ir.VectorType(RAW.get(kind, i32), WORDS)
    row_bytes = WORDS * (8 if kind == "f64" else 4)
    with loop(builder, ir.Constant(i64, 0), count) as block:
        start = at(builder, registers, builder.mul(block, ir.Constant(i64, ROWS * row_bytes)))
        rows = []
        for row in range(ROWS):
            words = load(builder, at(builder, start, row * row_bytes), source, 16)
            rows.append(UNPACK[kind](builder, words) if kind in UNPACK else words)
        width = rows[0].type.count
        row_size = width * (8 if kind == "f64" else 4)
        to = at(builder, out, builder.mul(block, ir.Constant(i64, ROWS * row_size)))
        if not turned:
            for row, values in enumerate(rows):
                builder.store(values, at(builder, to, row * row_size), align=16)
        else:
            part = min(width, 8)
            for first in range(0, width, part):
                columns = _turned(builder, [_part(builder, r, first, part) for r in rows])
                builder.store(columns, at(builder, to, first * row_size // width * ROWS), align=64)
    builder.ret_void()


# --- sums -----------------------------------------------------------------------------------------


def gather_name(kind: str) -> str:
    """Name of the routine that makes blocks of sums from the fragments of C."""
    return f"coalesce_gather_{kind}"


def scatter_name(kind: str) -> str:
    """Name of the routine that makes fragments of D from blocks of sums."""
    return f"coalesce_scatter_{kind}"


SUM_TYPES = {"f32": single, "f16": single, "s32": i32, "f64": double}
NOT_NUMBERS = {"f32": 0x7FFFFFFF, "f16": 0x7FFF, "f64": 0x7FF8000000000000}


def sum_bytes(kind: str) -> int:
    """Bytes of a block of sums for an accumulator type."""
    return SUMS * (8 if kind == "f64" else 4)


def _define_gather(module: ir.Module, kind: str) -> None:
    """``gather(registers, sums, blocks)``: lane 4 r + t has columns 2 t and 2 t + 1 of row r."""
    builder = routine(module, sums_type, gather_name(kind))
    registers, sums, blocks = builder.function.args
    element = SUM_TYPES[kind]
    with loop(builder, ir.Constant(i64, 0), blocks) as block:
        to = at(builder, sums, builder.mul(block, ir.Constant(i64, sum_bytes(kind))))
        if kind == "f16":
            where = at(builder, registers, builder.mul(block, ir.Constant(i64, 2 * SUMS)))
            pairs = load(builder, where, ir.VectorType(half, SUMS), 64)
            whole = builder.fpext(pairs, ir.VectorType(single, SUMS))
        else:
            size = sum_bytes(kind)
            where = at(builder, registers, builder.mul(block, ir.Constant(i64, size)))
            lanes = ir.VectorType(element, SUMS // 2)
            even = load(builder, where, lanes, 64)
            odd = load(builder, at(builder, where, size // 2), lanes, 64)
            whole = interleave(builder, even, odd)
        builder.store(whole, to, align=64)
    builder.ret_void()


def _define_scatter(module: ir.Module, kind: str) -> None:
    """``scatter(registers, sums, blocks)``: NaN becomes the one that a GPU makes."""
    builder = routine(module, sums_type, scatter_name(kind))
    registers, sums, blocks = builder.function.args
    with loop(builder, ir.Constant(i64, 0), blocks) as block:
        source = at(builder, sums, builder.mul(block, ir.Constant(i64, sum_bytes(kind))))
        whole = load(builder, source, ir.VectorType(SUM_TYPES[kind], SUMS), 64)
        result = whole
        if kind in NOT_NUMBERS:
            if kind == "f16":
                result = builder.fptrunc(whole, ir.VectorType(half, SUMS))
            width = {"f16": i16, "f32": i32, "f64": i64}[kind]
            pattern = builder.bitcast(result, ir.VectorType(width, SUMS))
            nan = builder.fcmp_unordered("uno", whole, whole)
            result = builder.select(nan, everywhere(pattern.type, NOT_NUMBERS[kind]), pattern)
        size = 2 * SUMS if kind == "f16" else sum_bytes(kind)
        to = at(builder, registers, builder.mul(block, ir.Constant(i64, size)))
        if kind == "f16":
            builder.store(result, to, align=64)
        else:
            builder.store(every_second(builder, result, 0), to, align=64)
            builder.store(every_second(builder, result, 1), at(builder, to, size // 2), align=64)
    builder.ret_void()


# --- products -------------------------------------------------------------------------------------

Step = Callable[[ir.IRBuilder, ir.Value, ir.Value, ir.Value], ir.Value]


def _fused(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, total: ir.Value) -> ir.Value:
    return overloaded(builder, "fma", a, b, total)


def _whole(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, total: ir.Value) -> ir.Value:
    return builder.add(total, builder.mul(a, b))


def _counted(operation: str) -> Step:
    def step(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, total: ir.Value) -> ir.Value:
        both = (builder.xor if operation == "xor" else builder.and_)(a, b)
        return builder.add(total, overloaded(builder, "ctpop", both))

    return step


MULTIPLY: dict[str, tuple[ir.Type, Step]] = {
    "f32": (single, _fused), "f64": (double, _fused), "s32": (i32, _whole),
    "xor": (i32, _counted("xor")), "and": (i32, _counted("and")),
}  # fmt: skip
"""What is multiplied and how, by name; "xor" and "and" count bits of 32 products at a time."""


def multiply_name(kind: str) -> str:
    """Name of the routine that adds products to blocks of sums."""
    return f"coalesce_multiply_{kind}"


def _define_multiply(module: ir.Module, kind: str) -> None:
    """``multiply(a, b, sums, halves, chunks, width)``.

    ``halves`` blocks of 8 rows, ``chunks`` blocks of ``width`` columns in a row of A.
    """
    element, step = MULTIPLY[kind]
    size = 8 if element == double else 4
    builder = routine(module, multiply_type, multiply_name(kind))
    a, b, sums, halves, chunks, width = builder.function.args
    row = ir.VectorType(element, ROWS)
    totals = [builder.alloca(row) for _ in range(ROWS)]
    zero = ir.Constant(i64, 0)
    quads = builder.lshr(width, ir.Constant(i64, 2))
    row_bytes = builder.mul(width, ir.Constant(i64, size))
    block_bytes = builder.mul(row_bytes, ir.Constant(i64, ROWS))
    with loop(builder, zero, halves) as half_:
        mine = at(builder, sums, builder.mul(half_, ir.Constant(i64, SUMS * size)))
        for r, total in enumerate(totals):
            builder.store(load(builder, at(builder, mine, r * ROWS * size), row, 32), total)
        with loop(builder, zero, chunks) as chunk:
            number = builder.add(builder.mul(chunk, halves), half_)
            a_block = at(builder, a, builder.mul(number, block_bytes))
            b_block = at(builder, b, builder.mul(chunk, block_bytes))
            with loop(builder, zero, quads) as quad:
                a_at = at(builder, a_block, builder.mul(quad, ir.Constant(i64, 4 * size)))
                b_at = at(builder, b_block, builder.mul(quad, ir.Constant(i64, 4 * ROWS * size)))
                rows = [a_at]
                for _ in range(1, ROWS):
                    rows.append(at(builder, rows[-1], row_bytes))
                for k in range(4):
                    column = load(builder, at(builder, b_at, k * ROWS * size), row, 32)
                    for r, total in enumerate(totals):
                        one = load(builder, at(builder, rows[r], k * size), element, size)
                        many = splat(builder, one, ROWS)
                        builder.store(step(builder, many, column, builder.load(total)), total)
        for r, total in enumerate(totals):
            builder.store(builder.load(total), at(builder, mine, r * ROWS * size), align=32)
    builder.ret_void()


def multiply_columns_name(kind: str) -> str:
    """Name of the routine that does as the plain one, block column by block column of B."""
    return f"coalesce_multiply_columns_{kind}"


def _define_multiply_columns(module: ir.Module, kind: str) -> None:
    """``multiply(a, b, sums, halves, chunks, width, columns)``: that many times 8 columns.

    Blocks of B and of the sums follow one another, all of one block column before the next.
    """
    size = 8 if MULTIPLY[kind][0] == double else 4
    builder = routine(module, multiply_columns_type, multiply_columns_name(kind))
    a, b, sums, halves, chunks, width, columns = builder.function.args
    one = module.globals[multiply_name(kind)]
    b_bytes = builder.mul(builder.mul(chunks, width), ir.Constant(i64, ROWS * size))
    sums_bytes = builder.mul(halves, ir.Constant(i64, SUMS * size))
    with loop(builder, ir.Constant(i64, 0), columns) as column:
        here = [at(builder, base, builder.mul(column, step))
                for base, step in ((b, b_bytes), (sums, sums_bytes))]  # fmt: skip
        builder.call(one, [a, *here, halves, chunks, width])
    builder.ret_void()


KEPT = ("f32", "s32")  # what mma.sp multiplies


def multiply_kept_name(kind: str) -> str:
    """Name of the routine that adds the products of a sparse A."""
    return f"coalesce_multiply_kept_{kind}"


def _define_multiply_kept(module: ir.Module, kind: str) -> None:
    """``multiply(a, b, sums, halves, chunks, width, columns)``: A holds some of its elements.

    ``columns``: an i64 each of them, row by row, says in which column of A it stands.
    """
    element, step = MULTIPLY[kind]
    builder = routine(module, multiply_kept_type, multiply_kept_name(kind))
    a, b, sums, halves, chunks, width, columns = builder.function.args
    row_type = ir.VectorType(element, ROWS)
    total = builder.alloca(row_type)
    zero, four, eight = (ir.Constant(i64, number) for number in (0, 4, 8))
    rows = builder.mul(halves, eight)
    held = builder.mul(chunks, width)
    with loop(builder, zero, rows) as row:
        half_ = builder.lshr(row, ir.Constant(i64, 3))
        in_block = builder.and_(row, ir.Constant(i64, 7))
        mine = at(builder, sums, builder.mul(row, ir.Constant(i64, ROWS * 4)))
        builder.store(load(builder, mine, row_type, 32), total)
        with loop(builder, zero, chunks) as chunk:
            block = builder.add(builder.mul(chunk, halves), half_)
            line = builder.mul(builder.add(builder.mul(block, eight), in_block), width)
            first = builder.add(builder.mul(row, held), builder.mul(chunk, width))
            with loop(builder, zero, width) as place:
                one = load(builder, at(builder, a, builder.mul(builder.add(line, place), four)),
                           element, 4)  # fmt: skip
                which = builder.mul(builder.add(first, place), eight)
                column = load(builder, at(builder, columns, which), i64, 8)
                others = at(builder, b, builder.mul(column, ir.Constant(i64, ROWS * 4)))
                many = load(builder, others, row_type, 32)
                added = step(builder, splat(builder, one, ROWS), many, builder.load(total))
                builder.store(added, total)
        builder.store(builder.load(total), mine, align=32)
    builder.ret_void()


def multiply_kept_columns_name(kind: str) -> str:
    """Name of the routine that does so block column by block column of B."""
    return f"coalesce_multiply_kept_columns_{kind}"


def _define_multiply_kept_columns(module: ir.Module, kind: str) -> None:
    """``multiply(a, b, sums, halves, chunks, width, kept, columns)``: that many times 8 columns."""
    builder = routine(module, multiply_kept_columns_type, multiply_kept_columns_name(kind))
    a, b, sums, halves, chunks, width, kept, columns = builder.function.args
    one = module.globals[multiply_kept_name(kind)]
    b_bytes = builder.mul(builder.mul(chunks, width), ir.Constant(i64, 2 * ROWS * 4))
    sums_bytes = builder.mul(halves, ir.Constant(i64, SUMS * 4))
    with loop(builder, ir.Constant(i64, 0), columns) as column:
        here = [at(builder, base, builder.mul(column, step))
                for base, step in ((b, b_bytes), (sums, sums_bytes))]  # fmt: skip
        builder.call(one, [a, *here, halves, chunks, width, kept])
    builder.ret_void()


def product_names() -> list[str]:
    """The symbol of every routine of this file."""
    kinds = (*UNPACK, *RAW)
    names = [unpack_name(kind, turned=turned) for kind in kinds for turned in (False, True)]
    names += [name(kind) for kind in SUM_TYPES for name in (gather_name, scatter_name)]
    for name in (multiply_kept_name, multiply_kept_columns_name):
        names += [name(kind) for kind in KEPT]
    for name in (multiply_name, multiply_columns_name):
        names += [name(kind) for kind in MULTIPLY]
    return names


def define_product_routines(module: ir.Module) -> None:
    """Define every routine of this file."""
    for kind in (*UNPACK, *RAW):
        for turned in (False, True):
            _define_unpack(module, kind, turned=turned)
    for kind in SUM_TYPES:
        _define_gather(module, kind)
        _define_scatter(module, kind)
    for kind in MULTIPLY:
        _define_multiply(module, kind)
        _define_multiply_columns(module, kind)
    for kind in KEPT:
        _define_multiply_kept(module, kind)
        _define_multiply_kept_columns(module, kind)
