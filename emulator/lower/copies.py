"""``cp.async``: copies from global to shared memory that a thread waits for later.

Both sides are checked when a copy is issued; when its bytes move is for
:mod:`emulator.units.copies` to say. Bulk copies are in :mod:`emulator.lower.bulk`.
"""

from __future__ import annotations

from llvmlite import ir

from emulator.lower.memory import access, declare, effective_address, space_of
from emulator.lower.registry import NotLowered, instruction
from emulator.lower.types import bits, integers
from emulator.lower.warp import WarpLowering
from emulator.native.checks import check_global_name, check_global_type
from emulator.native.compiled import routine_type
from emulator.native.layout import LANES, Warp, at, field, i32, i64
from emulator.ptx import Address, Immediate, Instruction, Operand, Register

SIZES = {"ca": (4, 8, 16), "cg": (16,)}


@instruction("cp")
def cp(lower: WarpLowering, inst: Instruction) -> None:
    """``cp.async`` and what waits for it."""
    if not inst.has("async"):
        raise NotLowered(inst.text)
    if inst.has("bulk"):
        from emulator.lower.bulk import bulk

        bulk(lower, inst)
    elif inst.has("mbarrier"):
        _track(lower, inst)
    elif inst.has("commit_group"):
        call_unit(lower, "commit_copies", lower.active(inst))
    elif inst.has("wait_all"):
        call_unit(lower, "wait_for_copies", lower.active(inst), -1)
    elif inst.has("wait_group"):
        (groups,) = inst.operands
        if not isinstance(groups, Immediate) or not 0 <= int(groups.value) < 1 << 31:
            raise NotLowered(inst.text)
        call_unit(lower, "wait_for_copies", lower.active(inst), int(groups.value))
    else:
        _copy(lower, inst)


def _track(lower: WarpLowering, inst: Instruction) -> None:
    """``cp.async.mbarrier.arrive{.noinc} [addr]``: the copies so far arrive there when done."""
    (address,) = inst.operands
    space = space_of(inst)
    if not isinstance(address, Address) or space not in ("shared", "generic"):
        raise NotLowered(inst.text)
    with access(lower, inst, space, address, 8, 1, store=True) as checked:
        no_increment = int(inst.has("noinc"))
        call_unit(lower, "track_copies", checked.mask, no_increment, at_site=True)


def call_unit(
    lower: WarpLowering, name: str, *arguments: ir.Value | int, at_site: bool = False
) -> ir.Value:
    """Call a unit's routine with the context, the warp, and numbers; a result below 0 is a fault.

    ``at_site`` passes the instruction's site behind the warp.
    """
    builder = lower.builder
    numbers = [builder.ptrtoint(p, i64) for p in (lower.context, lower.warp)]
    if at_site:
        numbers.append(builder.ptrtoint(lower.site(), i64))
    for argument in arguments:
        if isinstance(argument, int):
            numbers.append(ir.Constant(i64, argument))
        else:
            numbers.append(builder.zext(argument, i64) if argument.type != i64 else argument)
    kind = routine_type("int64", *["int64"] * len(numbers))
    result = builder.call(declare(lower.module, kind, f"coalesce_{name}"), numbers)
    stop_below_zero(lower, result)
    return result


def stop_below_zero(lower: WarpLowering, status: ir.Value) -> None:
    """A routine that returned less than zero has left a fault in the context."""
    builder = lower.builder
    fine = builder.append_basic_block("fine")
    assert lower.fault_block is not None
    failed = builder.icmp_signed("<", status, ir.Constant(status.type, 0))
    builder.cbranch(failed, lower.fault_block, fine)
    builder.position_at_end(fine)


def _copy(lower: WarpLowering, inst: Instruction) -> None:
    """``cp.async.{ca,cg}.shared.global [dst], [src], cp-size{, src-size}{, ignore-src}``."""
    target, source, size, *rest = inst.operands
    spaces = [m.split("::")[0] for m in inst.modifiers if m.split("::")[0] in ("shared", "global")]
    operator = next((m for m in inst.modifiers if m in SIZES), None)
    if (
        spaces != ["shared", "global"]
        or "shared::cluster" in inst.modifiers
        or operator is None
        or not isinstance(target, Address)
        or not isinstance(source, Address)
        or not isinstance(size, Immediate)
        or size.value not in SIZES[operator]
    ):
        raise NotLowered(inst.text)
    nbytes = int(size.value)
    # every operand is read before the first branch, so that later code may use what was read
    reads = _bytes_to_read(lower, inst, nbytes, rest)
    sources = effective_address(lower, source, "global")
    effective_address(lower, target, "shared")
    builder = lower.builder
    data = field(builder, lower.warp, Warp, "data")
    if reads is None:
        with access(lower, inst, "global", source, nbytes, 1, store=False):
            builder.store(sources, data, align=64)
            full = ir.Constant(integers(32), [nbytes] * LANES)
            builder.store(full, at(builder, data, 8 * LANES), align=64)
            _issue(lower, inst, target, nbytes)
        return
    builder.store(sources, data, align=64)
    builder.store(reads, at(builder, data, 8 * LANES), align=64)
    reading = call_unit(lower, "copy_sources", lower.active(inst), nbytes, at_site=True)
    lanes = builder.trunc(reading, i32)
    with builder.if_then(builder.icmp_unsigned("!=", lanes, ir.Constant(i32, 0))):
        check = declare(lower.module, check_global_type, check_global_name(1))
        no_store = ir.Constant(i32, 0)
        status = builder.call(check, [lower.context, lower.warp, lanes, lower.site(), no_store])
        stop_below_zero(lower, status)
    _issue(lower, inst, target, nbytes)


def _issue(lower: WarpLowering, inst: Instruction, target: Address, nbytes: int) -> None:
    with access(lower, inst, "shared", target, nbytes, 1, store=True) as checked:
        call_unit(lower, "issue_copies", checked.mask, nbytes, at_site=True)


def _bytes_to_read(
    lower: WarpLowering, inst: Instruction, nbytes: int, rest: list[Operand]
) -> ir.Value | None:
    """How many bytes each lane reads; None: all of them. The others are filled with zero."""
    builder = lower.builder
    if inst.has("L2::cache_hint"):
        rest = rest[:-1]
    if len(rest) > 2:
        raise NotLowered(inst.text)
    reads: ir.Value | None = None
    for operand in rest:
        declared = isinstance(operand, Register) and lower.ptx_function.registers.get(operand.name)
        if declared == "pred":
            ignored = lower.read(operand, "pred")
            before = reads or ir.Constant(integers(32), [nbytes] * LANES)
            zero = ir.Constant(integers(32), [0] * LANES)
            reads = builder.select(ignored, zero, before)
        elif isinstance(operand, Immediate) and operand.value == nbytes:
            pass  # as compilers write what is not partial
        elif isinstance(operand, Immediate) or (declared and bits(declared) == 32):
            reads = lower.read(operand, "u32")
        else:
            raise NotLowered(inst.text)
    return reads


def resume(lower: WarpLowering) -> None:
    """The warp goes on: time has passed for its copies."""
    if _has_copies(lower):
        call_unit(lower, "advance_copies")


def leave(lower: WarpLowering, lanes: ir.Value) -> None:
    """Threads exit: what they have in flight arrives."""
    if _has_copies(lower):
        call_unit(lower, "leave_copies", lanes)
    if _has_copies(lower, bulk=True):
        call_unit(lower, "leave_bulk", lanes)


def _has_copies(lower: WarpLowering, *, bulk: bool = False) -> bool:
    return any(
        inst.opcode == "cp" and inst.has("bulk") == bulk
        for block in lower.graph.blocks
        for inst in block.body
    )
