"""The clocks that a kernel can read, and ``nanosleep``.

One clock serves the whole chip, in cycles. A warp's time comes from the turns of its loops, since
those are what a slice counts: cheap, always rising, the same in every run, and no measurement.
"""

from __future__ import annotations

from llvmlite import ir

from emulator.lower.registry import instruction
from emulator.lower.types import integers
from emulator.lower.warp import WarpLowering
from emulator.native.lanes import lanes_of, splat
from emulator.native.layout import LANES, Context, field, i32, i64, load
from emulator.ptx import Instruction

CYCLES_A_TURN = 16  # of a loop
CYCLES_A_READING = 32
CYCLES_A_NS = 2


def clock(lower: WarpLowering, name: str) -> ir.Value:
    """``%clock``, ``%clock64``, ``%globaltimer`` and their halves."""
    builder = lower.builder
    where = field(builder, lower.context, Context, "clock")
    now = builder.add(load(builder, where, i64), ir.Constant(i64, CYCLES_A_READING))
    builder.store(now, where)
    now = builder.add(now, _since_start(lower))
    readings = field(builder, lower.context, Context, "clock_readings")
    builder.store(builder.add(load(builder, readings, i64), ir.Constant(i64, 1)), readings)
    if name.startswith("%globaltimer"):
        now = builder.udiv(now, ir.Constant(i64, CYCLES_A_NS))
    if name in ("%clock_hi", "%globaltimer_hi"):
        now = builder.lshr(now, ir.Constant(i64, 32))
    if name in ("%clock64", "%globaltimer"):
        return splat(builder, now)
    return splat(builder, builder.trunc(now, i32))


def advance_clock(lower: WarpLowering) -> None:
    """The warp stops: the time it took has passed for all."""
    builder = lower.builder
    where = field(builder, lower.context, Context, "clock")
    builder.store(builder.add(load(builder, where, i64), _since_start(lower)), where)


def _since_start(lower: WarpLowering) -> ir.Value:
    """Cycles of this warp's slice so far."""
    builder = lower.builder
    slice_ = load(builder, field(builder, lower.context, Context, "slice"), i32)
    turns = builder.sext(builder.sub(slice_, load(builder, lower.fuel_at, i32)), i64)
    return builder.mul(turns, ir.Constant(i64, CYCLES_A_TURN))


@instruction("nanosleep")
def nanosleep(lower: WarpLowering, inst: Instruction) -> None:
    """``nanosleep.u32 t``: time passes, and at the loop's next turn others go first."""
    builder = lower.builder
    lanes = lanes_of(builder, lower.active(inst))
    wanted = lower.read(inst.operands[0], "u32")
    zeros = ir.Constant(integers(32), [0] * LANES)
    most = lower.intrinsic("llvm.vector.reduce.umax.v32i32", i32, [integers(32)])
    ns = builder.zext(builder.call(most, [builder.select(lanes, wanted, zeros)]), i64)
    where = field(builder, lower.context, Context, "clock")
    cycles = builder.add(builder.mul(ns, ir.Constant(i64, CYCLES_A_NS)), _since_start(lower))
    builder.store(ir.Constant(i32, 0), lower.fuel_at)
    cycles = builder.sub(cycles, _since_start(lower))  # the rest of the slice takes no time
    builder.store(builder.add(load(builder, where, i64), cycles), where)
