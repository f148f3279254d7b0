"""The compiled load of 8 x 8 matrices of 16-bit elements: one row, 16 bytes, at a lane's address.

Eight rows one after the other are the register that ``ldmatrix`` gives: lane 4 r + t has the t-th
word of row r.
"""

from __future__ import annotations

from llvmlite import ir

from emulator.native.lanes import lane_address, loop, routine
from emulator.native.layout import Warp, at, field, i32, i64, load, pointer

ROW_BYTES = 16
row_type = ir.FunctionType(ir.VoidType(), [pointer, i32])
LOAD_ROWS = "coalesce_load_rows"


def row_names() -> list[str]:
    """The symbol of every routine of this file."""
    return [LOAD_ROWS]


def define_row_routines(module: ir.Module) -> None:
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
