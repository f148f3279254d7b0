"""Special registers: who a thread is, and what time it is."""

from __future__ import annotations

from llvmlite import ir

from emulator.lower.registry import NotLowered
from emulator.lower.time import clock
from emulator.lower.types import integers
from emulator.lower.warp import WarpLowering
from emulator.native.lanes import splat
from emulator.native.layout import LANES, BlockState, Context, Warp, field, i32, i64, load

AXES = {"x": 0, "y": 1, "z": 2}
LANE_MASKS = {
    "%lanemask_eq": [1 << lane for lane in range(LANES)],
    "%lanemask_lt": [(1 << lane) - 1 for lane in range(LANES)],
    "%lanemask_le": [(2 << lane) - 1 for lane in range(LANES)],
    "%lanemask_gt": [0xFFFFFFFF & ~((2 << lane) - 1) for lane in range(LANES)],
    "%lanemask_ge": [0xFFFFFFFF & ~((1 << lane) - 1) for lane in range(LANES)],
}


def special_register(lower: WarpLowering, name: str) -> ir.Value:
    """The value of ``%tid.x`` and its like over the warp."""
    builder = lower.builder
    stem, _, axis = name.partition(".")
    if stem == "%tid" and axis in AXES:
        where = field(builder, lower.warp, Warp, f"tid_{axis}")
        return load(builder, where, integers(32), 64)
    if stem == "%ntid" and axis in AXES:
        return lower.uniform(Context, "block", lower.context, 4 * AXES[axis])
    if stem == "%ctaid" and axis in AXES:
        return lower.uniform(BlockState, "ctaid", lower.block_state, 4 * AXES[axis])
    if stem == "%nctaid" and axis in AXES:
        return lower.uniform(Context, "grid", lower.context, 4 * AXES[axis])
    if name == "%laneid":
        return ir.Constant(integers(32), list(range(LANES)))
    if name == "%warpid":
        return lower.uniform(Warp, "index", lower.warp)
    if name == "%nwarpid":
        return lower.uniform(Context, "warps", lower.context)
    if name == "WARP_SZ":
        return ir.Constant(integers(32), [LANES] * LANES)
    if name in LANE_MASKS:
        return ir.Constant(integers(32), LANE_MASKS[name])
    if name in ("%smid", "%nsmid", "%gridid"):
        return _placement(lower, name)
    if name in ("%dynamic_smem_size", "%total_smem_size"):
        where = field(
            builder, lower.context, Context, "shared_bytes" if "total" in name else "dynamic_bytes"
        )
        return splat(builder, builder.trunc(load(builder, where, i64), i32))
    if name in (
        "%clock",
        "%clock_hi",
        "%clock64",
        "%globaltimer",
        "%globaltimer_lo",
        "%globaltimer_hi",
    ):
        return clock(lower, name)
    raise NotLowered(f"special register {name}")


def _placement(lower: WarpLowering, name: str) -> ir.Value:
    """Blocks are dealt to SMs round-robin."""
    builder = lower.builder
    if name == "%gridid":
        return ir.Constant(integers(64), [1] * LANES)
    count = load(builder, field(builder, lower.context, Context, "sm_count"), i32)
    if name == "%nsmid":
        return splat(builder, count)
    index = load(builder, field(builder, lower.block_state, BlockState, "index"), i64)
    return splat(builder, builder.urem(builder.trunc(index, i32), count))
