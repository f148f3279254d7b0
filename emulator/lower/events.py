"""What lowered code itself tells the timeline of a block (:mod:`emulator.watch.events`)."""

from __future__ import annotations

from llvmlite import ir

from emulator.lower.memory import declare
from emulator.lower.warp import WarpLowering
from emulator.native.compiled import routine_type
from emulator.native.layout import Context, field, i32, i64, load, pointer
from emulator.ptx import Instruction
from emulator.watch.events import EXITS, NAMED_ARRIVE, NAMED_SYNC, Recording

TURN, turn_type = "coalesce_note_turn", routine_type("void", "int64", "int64")
RECORD, record_type = "coalesce_record_event", routine_type("void", *["int64"] * 8)


def turn(lower: WarpLowering) -> None:
    """The warp gets its turn."""
    builder = lower.builder
    with builder.if_then(_is_watched(lower), likely=False):
        builder.call(declare(lower.module, turn_type, TURN), _who(lower))


def under_way(lower: WarpLowering, inst: Instruction) -> None:
    """Say where units are not told which instruction they act for."""
    if inst.opcode not in ("cp", "wgmma", "setmaxnreg"):
        return
    builder = lower.builder
    with builder.if_then(_is_watched(lower), likely=False):
        recording = load(builder, field(builder, lower.context, Context, "timeline"), i64)
        where = field(builder, builder.inttoptr(recording, pointer), Recording, "site")
        builder.store(builder.ptrtoint(lower.site(), i64), where)


def exits(lower: WarpLowering, lanes: ir.Value) -> None:
    """Lanes end."""
    _record(lower, EXITS, ir.Constant(i64, 0), lanes)


def comes(lower: WarpLowering, numbers: ir.Value, lanes: ir.Value, *, waits: bool) -> None:
    """Lanes come to a barrier of the block, all to that of the first."""
    builder = lower.builder
    first = builder.extract_element(numbers, ir.Constant(i32, 0))
    _record(lower, NAMED_SYNC if waits else NAMED_ARRIVE, builder.zext(first, i64), lanes)


def _is_watched(lower: WarpLowering) -> ir.Value:
    builder = lower.builder
    recording = load(builder, field(builder, lower.context, Context, "timeline"), i64)
    return builder.icmp_unsigned("!=", recording, ir.Constant(i64, 0))


def _who(lower: WarpLowering) -> list[ir.Value]:
    return [lower.builder.ptrtoint(p, i64) for p in (lower.context, lower.warp)]


def _record(lower: WarpLowering, kind: int, number: ir.Value, lanes: ir.Value) -> None:
    builder = lower.builder
    with builder.if_then(_is_watched(lower), likely=False):
        site = builder.ptrtoint(lower.site(), i64)
        zero = ir.Constant(i64, 0)
        builder.call(
            declare(lower.module, record_type, RECORD),
            [*_who(lower), zero, site, ir.Constant(i64, kind), zero, number,
             builder.zext(lanes, i64)],
        )  # fmt: skip
