"""A block's barriers: ``bar`` and ``barrier``, which arrive, wait and reduce.

The lanes that wait note their barrier and stop; :mod:`emulator.native.scheduler` lets them go.
``bar.warp.sync`` is a meeting (:mod:`emulator.lower.meetings`): when it is executed, the lanes of
its mask have met.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llvmlite import ir

from emulator.cfg import Block
from emulator.lower import clusters, events
from emulator.lower.memory import declare
from emulator.lower.registry import NotLowered, instruction, one_of
from emulator.lower.warp import WarpLowering
from emulator.native.compiled import routine_type
from emulator.native.lanes import lanes_of
from emulator.native.layout import (
    BARRIER_BIT,
    LANES,
    MAX_BARRIERS,
    BlockState,
    Context,
    Warp,
    field,
    i32,
    i64,
    load,
)
from emulator.ptx import Immediate, Instruction, Operand, Register
from emulator.units.barrier import AND, HOLDS, OR, POPC
from emulator.watch.sync import ARRIVES, COUNTED

if TYPE_CHECKING:
    from emulator.lower.kernel import _KernelLowering

lanes32 = ir.VectorType(i32, LANES)
COME = "coalesce_come_to_barrier"
come_type = routine_type("void", *["int64"] * 5)
CHECK = "coalesce_check_barrier"
check_type = routine_type("void", *["int64"] * 6)
REDUCTIONS = {"popc": POPC, "and": AND, "or": OR}


@dataclass(frozen=True)
class _Operands:
    """``{d,} a{, b}{, c}``: result, number, threads, predicate."""

    number: Operand
    threads: Operand | None
    result: Operand | None = None
    predicate: Operand | None = None


def _operands(inst: Instruction) -> _Operands:
    given = inst.operands
    if not inst.has("red"):
        if len(given) not in (1, 2):
            raise NotLowered(inst.text)
        return _Operands(given[0], given[1] if len(given) == 2 else None)
    if len(given) not in (3, 4):
        raise NotLowered(inst.text)
    return _Operands(given[1], given[2] if len(given) == 4 else None, given[0], given[-1])


def barrier(kernel: _KernelLowering, block: Block, inst: Instruction) -> None:
    """``bar{.cta}.{sync,red}``, ``barrier{.cta}.{sync,red}{.aligned}``: lanes wait here."""
    lower, builder = kernel.lower, kernel.builder
    if inst.has("cluster"):
        clusters.wait(kernel, block, inst)
        return
    if block.falls_to is None:
        raise NotLowered("a barrier at a function's end")
    if not (inst.has("sync") or inst.has("red")):
        raise NotLowered(inst.text)
    operands = _operands(inst)
    active = lower.active(inst)
    numbers, threads = _read(lower, operands)
    if operands.predicate is not None:
        _say(lower, inst, operands, active)
    lower.store_registers()
    _note(lower, inst, operands, active, numbers, threads)
    resume = block.falls_to.number
    if inst.predicate is not None:
        stay = builder.and_(lower.mask(), builder.not_(active))
        kernel.store_pcs(stay, resume)
    kernel.store_pcs(active, resume | BARRIER_BIT)
    builder.branch(kernel.dispatch)


@instruction("bar", "barrier")
def arrive(lower: WarpLowering, inst: Instruction) -> None:
    """``bar.arrive a, b``: counts at the barrier without waiting; ``bar.warp.sync`` has met."""
    if inst.has("warp"):
        return
    if inst.has("cluster"):
        clusters.arrive(lower, inst)
        return
    operands = _operands(inst)
    if not inst.has("arrive") or operands.threads is None:
        raise NotLowered(inst.text)
    numbers, threads = _read(lower, operands)
    _note(lower, inst, operands, lower.active(inst), numbers, threads)


def _read(lower: WarpLowering, operands: _Operands) -> tuple[ir.Value, ir.Value | None]:
    numbers = lower.read(operands.number, "u32")
    return numbers, lower.read(operands.threads, "u32") if operands.threads is not None else None


def _note(
    lower: WarpLowering,
    inst: Instruction,
    operands: _Operands,
    active: ir.Value,
    given: ir.Value,
    threads: ir.Value | None,
) -> None:
    """Who comes to which barrier, and how many threads it is for."""
    builder = lower.builder
    waits = not inst.has("arrive")
    numbers = builder.and_(given, ir.Constant(lanes32, [MAX_BARRIERS - 1] * LANES))
    _keep(lower, "barrier", numbers, active)
    if threads is not None:
        _keep(lower, "members", threads, active)
    _check(lower, inst, active, given, threads)
    events.comes(lower, numbers, active, waits=waits)
    state = lower.block_state
    reduces = operands.predicate is not None
    if isinstance(operands.number, Immediate) and threads is None and waits and not reduces:
        used_at = field(builder, state, BlockState, "barriers_used")
        bit = ir.Constant(i32, 1 << (int(operands.number.value) & (MAX_BARRIERS - 1)))
        builder.store(builder.or_(load(builder, used_at, i32), bit), used_at)
        return
    routine = declare(lower.module, come_type, COME)
    flags = (threads is not None, waits, reduces)
    builder.call(routine, [
        builder.ptrtoint(lower.warp, i64), builder.zext(active, i64),
        *(ir.Constant(i64, int(flag)) for flag in flags),
    ])  # fmt: skip


def _check(
    lower: WarpLowering,
    inst: Instruction,
    active: ir.Value,
    given: ir.Value,
    threads: ir.Value | None,
) -> None:
    """Under synccheck, look at who comes."""
    builder = lower.builder
    complaints = load(builder, field(builder, lower.context, Context, "complaints"), i64)
    watched = builder.icmp_unsigned("!=", complaints, ir.Constant(i64, 0))
    with builder.if_then(watched, likely=False):
        most = lower.intrinsic("llvm.vector.reduce.umax.v32i32", i32, [lanes32])
        ours = builder.select(
            lanes_of(builder, active), given, ir.Constant(lanes32, [0] * LANES)
        )  # fmt: skip
        highest = builder.call(most, [ours])
        too_high = builder.icmp_unsigned(">=", highest, ir.Constant(i32, MAX_BARRIERS))
        number = builder.select(too_high, highest, ir.Constant(i32, 0))
        what = COUNTED * (threads is not None) | ARRIVES * inst.has("arrive")
        routine = declare(lower.module, check_type, CHECK)
        builder.call(routine, [
            builder.ptrtoint(lower.context, i64), builder.ptrtoint(lower.warp, i64),
            builder.zext(active, i64), ir.Constant(i64, lower.site_index), ir.Constant(i64, what),
            builder.zext(number, i64),
        ])  # fmt: skip


def _say(lower: WarpLowering, inst: Instruction, operands: _Operands, active: ir.Value) -> None:
    """A lane's part in a reduction, and the register that its result goes to."""
    builder = lower.builder
    kind = REDUCTIONS[one_of(inst, REDUCTIONS)]
    assert operands.predicate is not None and isinstance(operands.result, Register)
    holds = builder.zext(lower.read(operands.predicate, "pred"), lanes32)
    holds = builder.mul(holds, ir.Constant(lanes32, [HOLDS] * LANES))
    _keep(lower, "said", builder.or_(holds, ir.Constant(lanes32, [kind] * LANES)), active)
    name = lower.ptx_function.name, operands.result.name
    place = lower.frame.offsets.get(name, 0)
    _keep(lower, "answer_at", ir.Constant(lanes32, [place] * LANES), active)


def _keep(lower: WarpLowering, name: str, values: ir.Value, active: ir.Value) -> None:
    builder = lower.builder
    where = field(builder, lower.warp, Warp, name)
    old = load(builder, where, lanes32, 64)
    builder.store(builder.select(lanes_of(builder, active), values, old), where, align=64)
