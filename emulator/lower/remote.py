"""``st.async`` and ``red.async``: to a block's shared memory, and a word to its mbarrier.

How the bytes travel is in :mod:`emulator.units.postbox`.
"""

from __future__ import annotations

from llvmlite import ir

from emulator.lower.copies import call_unit
from emulator.lower.memory import access_at, components, effective_address
from emulator.lower.registry import NotLowered, one_of
from emulator.lower.types import bits, integers
from emulator.lower.warp import WarpLowering
from emulator.native.layout import LANES, Warp, at, field
from emulator.ptx import Address, Instruction
from emulator.units.postbox import SIGNED, STORE
from emulator.units.reduction import OPERATIONS

TYPES = {
    "add": {"u32", "s32", "u64"}, "min": {"u32", "s32"}, "max": {"u32", "s32"},
    "inc": {"u32"}, "dec": {"u32"}, "and": {"b32"}, "or": {"b32"}, "xor": {"b32"},
}  # fmt: skip
COUNTED = "mbarrier::complete_tx::bytes"
WORD = 4


def store_async(lower: WarpLowering, inst: Instruction) -> None:
    """``st.async.shared::cluster.mbarrier::complete_tx::bytes{.vec}.type [a], b, [mbar]``."""
    if bits(inst.type) not in (32, 64):
        raise NotLowered(inst.text)
    _send(lower, inst, STORE)


def reduce_async(lower: WarpLowering, inst: Instruction) -> None:
    """``red.async.relaxed.cluster.shared::cluster.mbarrier::complete_tx::bytes.op.type``."""
    op = one_of(inst, OPERATIONS)
    if inst.type not in TYPES[op]:
        raise NotLowered(inst.text)
    _send(lower, inst, OPERATIONS[op] | (SIGNED if inst.type[0] == "s" else 0))


def _send(lower: WarpLowering, inst: Instruction, what: int) -> None:
    address, source, barrier = inst.operands
    named = {m for m in inst.modifiers if m.startswith(("shared", "global"))}
    if not isinstance(address, Address) or not isinstance(barrier, Address):
        raise NotLowered(inst.text)
    if not inst.has(COUNTED) or named - {"shared::cluster"}:
        raise NotLowered(inst.text)
    space = "cluster" if named else "generic"
    items = components(source, inst)
    width = bits(inst.type)
    nbytes = width // 8 * len(items)
    if nbytes > 16:
        raise NotLowered(inst.text)
    builder = lower.builder
    words = [part for item in items for part in _words(lower, lower.read(item, f"b{width}"), width)]
    barriers = effective_address(lower, barrier, space)
    targets = effective_address(lower, address, space)
    with access_at(lower, inst, space, targets, nbytes, 1, store=True) as checked:
        data = field(builder, lower.warp, Warp, "data")
        for index, word in enumerate(words):
            builder.store(word, at(builder, data, WORD * LANES * index), align=64)
        builder.store(barriers, at(builder, data, 4 * WORD * LANES), align=64)
        call_unit(lower, "send_async", checked.mask, nbytes, what, at_site=True)


def _words(lower: WarpLowering, value: ir.Value, width: int) -> list[ir.Value]:
    """A value as 32-bit words, low ones first."""
    if width == 32:
        return [value]
    builder = lower.builder
    high = builder.lshr(value, ir.Constant(integers(64), [32] * LANES))
    return [builder.trunc(part, integers(32)) for part in (value, high)]
