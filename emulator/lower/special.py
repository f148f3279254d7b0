"""Special registers: who a thread is, and what time it is."""

from __future__ import annotations

from llvmlite import ir

from emulator.lower import clusters
from emulator.lower.registry import NotLowered
from emulator.lower.time import clock
from emulator.lower.types import integers
from emulator.lower.warp import WarpLowering
from emulator.native.lanes import splat
from emulator.native.layout import LANES, BlockState, Context, Warp, field, i32, i64, load

AXES = {"x": 0, "y": 1, "z": 2}
RESERVED_SHARED = 1024  # bytes that the system keeps of a block's shared memory
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
    if stem.startswith("%envreg"):
        return _environment(lower, stem)
    if name.startswith("%reserved_smem_offset_"):
        return _reserved(lower, name.removeprefix("%reserved_smem_offset_"))
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
    of_cluster = clusters.special_register(lower, name)
    if of_cluster is not None:
        return of_cluster
    raise NotLowered(f"special register {name}")


def _reserved(lower: WarpLowering, name: str) -> ir.Value:
    """Shared memory that the system keeps for itself, here behind the kernel's own.

    Cooperative groups use what starts at ``offset_1`` for tiles of several warps.
    """
    if name == "cap":
        return ir.Constant(integers(32), [RESERVED_SHARED] * LANES)
    back = {"begin": RESERVED_SHARED, "0": RESERVED_SHARED, "1": RESERVED_SHARED // 2, "end": 0}
    if name not in back:
        raise NotLowered(f"special register %reserved_smem_offset_{name}")
    builder = lower.builder
    total = load(builder, field(builder, lower.context, Context, "shared_bytes"), i64)
    return splat(builder, builder.trunc(builder.sub(total, ir.Constant(i64, back[name])), i32))


def _environment(lower: WarpLowering, name: str) -> ir.Value:
    """What the driver tells kernels: cooperative groups read a grid's workspace from 1 and 2."""
    builder = lower.builder
    if name not in ("%envreg1", "%envreg2"):
        return ir.Constant(integers(32), [0] * LANES)
    workspace = load(builder, field(builder, lower.context, Context, "workspace"), i64)
    if name == "%envreg1":
        workspace = builder.lshr(workspace, ir.Constant(i64, 32))
    return splat(builder, builder.trunc(workspace, i32))


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
