"""What orders memory, shown to the checkers: collectives, fences, barriers that do not wait."""

from __future__ import annotations

from collections.abc import Sequence

from llvmlite import ir

from emulator.lower.warp import WarpLowering
from emulator.native.compiled import routine_type
from emulator.native.layout import RACES, Context, Warp, field, i32, i64, load
from emulator.ptx import Immediate, Instruction, Operand

# Operand that holds the mask of lanes, by opcode of the ``.sync`` collectives.
MEMBERS = {"shfl": 4, "vote": 2, "match": 2, "redux": 2, "elect": 1}


def watch_order(lower: WarpLowering, inst: Instruction) -> None:
    """Before an instruction that orders memory: tell racecheck, if it is on."""
    if inst.opcode in MEMBERS and (inst.has("sync") or inst.opcode == "elect"):
        _warp_sync(lower, inst, inst.operands[MEMBERS[inst.opcode]])
    elif inst.opcode in ("bar", "barrier") and "warp" in inst.modifiers:
        _warp_sync(lower, inst, inst.operands[0])
    elif inst.opcode in ("bar", "barrier") and inst.has("arrive") and not inst.has("cluster"):
        number = lower.read(inst.operands[0], "u32")
        first = lower.builder.extract_element(number, ir.Constant(i32, 0))
        tell(lower, inst, "observe_arrive", [first])
    elif inst.opcode == "barrier" and inst.has("arrive"):
        releases = ir.Constant(i64, int(not inst.has("relaxed")))
        tell(lower, inst, "observe_cluster_arrive", [releases])
    elif inst.opcode == "cp" and inst.has("mbarrier"):
        releases, acquires = ir.Constant(i64, 1), ir.Constant(i64, 0)
        tell(lower, inst, "observe_order", [releases, acquires])
    elif inst.opcode in ("membar", "fence") and "proxy" not in inst.text.split()[0]:
        block_only = int("cta" in inst.modifiers)
        tell(lower, inst, "observe_fence", [ir.Constant(i64, block_only)])
    elif inst.opcode == "fence" and any(m.startswith("async") for m in inst.modifiers):
        tell(lower, inst, "observe_proxy_fence", [])


def _warp_sync(lower: WarpLowering, inst: Instruction, members: Operand) -> None:
    builder = lower.builder
    active = lower.active(inst)
    if isinstance(members, Immediate):
        mask = ir.Constant(i64, int(members.value) & 0xFFFFFFFF)
        tell(lower, inst, "observe_warp_sync", [active, mask])
        return
    groups = lower.read(members, "u32")
    builder.store(groups, field(builder, lower.warp, Warp, "data"), align=64)
    tell(lower, inst, "observe_warp_sync", [active, ir.Constant(i64, -1)])


def tell(lower: WarpLowering, inst: Instruction, routine: str, numbers: Sequence[ir.Value]) -> None:
    """Call a routine with the launch, the warp and numbers, when some lane is here to do it."""
    from emulator.lower.memory import declare

    builder = lower.builder
    here = builder.icmp_unsigned("!=", lower.active(inst), ir.Constant(i32, 0))
    watching = load(builder, field(builder, lower.context, Context, "observe"), i32)
    races = builder.and_(watching, ir.Constant(i32, RACES))
    on = builder.and_(here, builder.icmp_unsigned("!=", races, ir.Constant(i32, 0)))
    with builder.if_then(on, likely=False):
        wide = [n if n.type == i64 else builder.zext(n, i64) for n in numbers]
        places = [builder.ptrtoint(p, i64) for p in (lower.context, lower.warp)]
        kind = routine_type("void", *["int64"] * (2 + len(wide)))
        builder.call(declare(lower.module, kind, f"coalesce_{routine}"), [*places, *wide])


__all__ = ["tell", "watch_order"]
