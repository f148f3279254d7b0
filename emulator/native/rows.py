"""Compiled moves of 8 x 8 matrices of 16-bit elements: one row, 16 bytes, at a lane's address.

Eight rows one after the other are the register that ``ldmatrix`` gives: lane 4 r + t has the t-th
word of row r.
"""

from __future__ import annotations

from llvmlite import ir

from emulator.native.lanes import lane_address, loop, routine
from emulator.native.layout import LANES, Warp, at, field, i32, i64, load, pointer

ROW_BYTES = 16
row_type = ir.FunctionType(ir.VoidType(), [pointer, i32])
LOAD_ROWS, STORE_ROWS = "coalesce_load_rows", "coalesce_store_rows"


def row_names() -> list[str]:
    """The symbol of every routine of this file."""
    return [LOAD_ROWS, STORE_ROWS]


def define_row_routines(module: ir.Module) -> None:
    """Define every routine of this file."""
    _define_load(module)
    _define_store(module)


def _define_load(module: ir.Module) -> None:
    """``load_rows(warp, count)``: the first ``count`` lanes' rows to the warp's scratch."""
    builder = routine(module, row_type, LOAD_ROWS)
    warp, count = builder.function.args
    row = ir.VectorType(i32, 4)
    with loop(builder, ir.Constant(i32, 0), count) as lane:
        memory = builder.inttoptr(lane_address(builder, warp, lane), pointer)
        byte = builder.mul(builder.zext(lane, i64), ir.Constant(i64, ROW_BYTES))
        scratch = at(builder, field(builder, warp, Warp, "data"), byte)
        builder.store(load(builder, memory, row, ROW_BYTES), scratch, align=ROW_BYTES)
    builder.ret_void()


def _define_store(module: ir.Module) -> None:
    """``store_rows(warp, count)``: back, from scratch as other stores have it, [word][lane].

    Of lanes that store to one row the lowest of a matrix wins, and of matrices the last: so does an
    H100, as recorded in ``benchmarks/results/access_counters_h100.json``.
    """
    builder = routine(module, row_type, STORE_ROWS)
    warp, count = builder.function.args
    with loop(builder, ir.Constant(i32, 0), count) as turn:
        lane = builder.xor(turn, ir.Constant(i32, 7))  # each eight of them from its last
        memory = builder.inttoptr(lane_address(builder, warp, lane), pointer)
        byte = builder.mul(builder.zext(lane, i64), ir.Constant(i64, 4))
        scratch = at(builder, field(builder, warp, Warp, "data"), byte)
        for word in range(4):
            value = load(builder, at(builder, scratch, word * 4 * LANES), i32)
            builder.store(value, at(builder, memory, 4 * word), align=4)
    builder.ret_void()
