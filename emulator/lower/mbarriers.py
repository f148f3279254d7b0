"""``mbarrier``: barriers that live in shared memory, whose phases threads arrive at and wait for.

What they do is in :mod:`emulator.units.mbarrier`. Orderings and scopes change nothing here: memory
is sequentially consistent. Another block of the cluster may arrive and count bytes; only a block
itself may wait.
"""

from __future__ import annotations

from llvmlite import ir

from emulator.lower.copies import call_unit
from emulator.lower.memory import access, effective_address, space_of
from emulator.lower.registry import NotLowered, instruction, one_of
from emulator.lower.types import integers
from emulator.lower.warp import WarpLowering
from emulator.native.lanes import lanes_of
from emulator.native.layout import LANES, Warp, at, field, i32, load
from emulator.ptx import Address, Instruction, Operand, Register, Symbol

OPERATIONS = ("init", "inval", "arrive", "arrive_drop", "expect_tx", "complete_tx", "test_wait",
              "try_wait", "pending_count")  # fmt: skip
NBYTES = 8
NO_COMPLETE, DROP, EXPECT_TX = 1, 2, 4  # as emulator.units.mbarrier has them
BYTES_AT, STATES_AT = 4 * LANES, 8 * LANES


@instruction("mbarrier")
def mbarrier(lower: WarpLowering, inst: Instruction) -> None:
    """Every ``mbarrier`` instruction."""
    what = one_of(inst, OPERATIONS)
    if inst.has("multicast") or inst.type != "b64":
        raise NotLowered(inst.text)
    operands = inst.operands
    if what == "pending_count":
        low = lower.builder.and_(
            lower.read(operands[1], "u64"), ir.Constant(integers(64), [(1 << 20) - 1] * LANES)
        )
        lower.write(operands[0], lower.builder.trunc(low, integers(32)), inst)
    elif what == "init":
        _call(lower, inst, "mbarrier_init", operands[0], counts=operands[1], local=True)
    elif what == "inval":
        _call(lower, inst, "mbarrier_inval", operands[0], local=True)
    elif what in ("expect_tx", "complete_tx"):
        sign = 1 if what == "expect_tx" else -1
        _call(lower, inst, "mbarrier_tx", operands[0], sign, nbytes=operands[1])
    elif what in ("arrive", "arrive_drop"):
        _arrive(lower, inst, what)
    else:
        _test(lower, inst)


def _arrive(lower: WarpLowering, inst: Instruction, what: str) -> None:
    """``mbarrier.arrive{_drop}{.expect_tx}{.noComplete} {state|_}, [addr]{, count}``."""
    target, address, *rest = inst.operands
    expects = inst.has("expect_tx")
    how = NO_COMPLETE * inst.has("noComplete") + DROP * (what == "arrive_drop")
    how += EXPECT_TX * expects
    if len(rest) > 1 or (len(rest) < 1 and (expects or inst.has("noComplete"))):
        raise NotLowered(inst.text)
    operand = rest[0] if rest else None
    if expects:
        _call(lower, inst, "mbarrier_arrive", address, how, nbytes=operand)
    else:
        _call(lower, inst, "mbarrier_arrive", address, how, counts=operand)
    if not _is_sink(target):
        where = at(lower.builder, field(lower.builder, lower.warp, Warp, "data"), STATES_AT)
        lower.write(target, load(lower.builder, where, integers(64), 64), inst)


def _is_sink(operand: Operand) -> bool:
    return isinstance(operand, Register | Symbol) and operand.name == "_"


def _test(lower: WarpLowering, inst: Instruction) -> None:
    """``mbarrier.{test,try}_wait{.parity} p, [addr], state|parity{, hint}``.

    Where no lane may go on, the warp gives up its turn: whom it waits for has to run.
    """
    builder = lower.builder
    target, address, goal, *hint = inst.operands
    if len(hint) > inst.has("try_wait"):
        raise NotLowered(inst.text)
    parity = inst.has("parity")
    given = {"counts": goal} if parity else {"states": goal}
    _call(lower, inst, "mbarrier_test", address, int(parity), local=True, **given)
    ready = load(builder, field(builder, lower.warp, Warp, "data"), i32)
    nobody = builder.icmp_unsigned("==", ready, ir.Constant(i32, 0))
    fuel = load(builder, lower.fuel_at, i32)
    builder.store(builder.select(nobody, ir.Constant(i32, 0), fuel), lower.fuel_at)
    lower.write(target, lanes_of(builder, ready), inst)


def _call(
    lower: WarpLowering,
    inst: Instruction,
    routine: str,
    address: Operand,
    *numbers: int,
    counts: Operand | None = None,
    nbytes: Operand | None = None,
    states: Operand | None = None,
    local: bool = False,
) -> None:
    """Check the addresses and run a routine for the active lanes. A count not given is 1.

    ``local``: the mbarrier cannot be another block's.

    What the routine returns to the lanes it leaves in the scratch.
    """
    if not isinstance(address, Address):
        raise NotLowered(inst.text)
    builder = lower.builder
    space = space_of(inst)
    if space not in ("shared", "cluster", "generic") or (space == "cluster" and local):
        raise NotLowered(inst.text)
    # read before the first branch, so that later code may use what was read
    given = [
        (0, lower.read(counts, "u32") if counts else ir.Constant(integers(32), [1] * LANES)),
        (BYTES_AT, lower.read(nbytes, "u32") if nbytes else None),
        (STATES_AT, lower.read(states, "b64") if states else None),
    ]
    effective_address(lower, address, space)
    with access(lower, inst, space, address, NBYTES, 1, store=True) as checked:
        data = field(builder, lower.warp, Warp, "data")
        for offset, value in given:
            if value is not None:
                builder.store(value, at(builder, data, offset), align=64)
        call_unit(lower, routine, checked.mask, *numbers, at_site=True)
