"""``tensormap.replace`` and ``tensormap.cp_fenceproxy``: kernels that change tensor maps.

They change the software GPU's own encoding (:mod:`emulator.tensor_map`), as a kernel changes the
driver's on a GPU, which it cannot look into either. (PTX ISA, "tensormap.replace")
"""

from __future__ import annotations

from llvmlite import ir

from emulator.lower.memory import effective_address, space_of, transfer, transfer_at
from emulator.lower.registry import NotLowered, instruction
from emulator.lower.types import integers
from emulator.lower.warp import WarpLowering
from emulator.native.layout import LANES
from emulator.ptx import Address, Immediate, Instruction
from emulator.tensor_map import INTERLEAVES, KINDS, NBYTES
from emulator.units.tile import (
    ADDRESS,
    BOX,
    FILL,
    ITEMSIZE,
    KIND,
    RANK,
    SIZES,
    SLICE,
    STEPS,
    STRIDES,
    SWIZZLE,
)

# By field: where it is, bytes of one, how many there are, and what is added to a value.
FIELDS = {
    "global_address": (ADDRESS, 8, 1, 0), "rank": (RANK, 1, 1, 1), "box_dim": (BOX, 2, 5, 0),
    "global_dim": (SIZES, 4, 5, 0), "global_stride": (STRIDES, 8, 4, 0),
    "element_stride": (STEPS, 1, 5, 0), "swizzle_mode": (SWIZZLE, 1, 1, 0),
    "fill_mode": (FILL, 1, 1, 0), "elemtype": (KIND, 1, 1, 0),
    "interleave_layout": (SLICE, 1, 1, 0),
}  # fmt: skip
AS_IMMEDIATES = ("swizzle_mode", "fill_mode", "elemtype", "interleave_layout")
# The instruction's numbers of element types: (kind, bytes).
ELEMENTS = {
    0: ("uint8", 1), 1: ("uint16", 2), 2: ("uint32", 4), 3: ("int32", 4), 4: ("uint64", 8),
    5: ("int64", 8), 6: ("float16", 2), 7: ("float32", 4), 9: ("float64", 8), 10: ("bfloat16", 2),
}  # fmt: skip


@instruction("tensormap")
def tensormap(lower: WarpLowering, inst: Instruction) -> None:
    """Both instructions."""
    if inst.has("cp_fenceproxy"):
        _copy(lower, inst)
        return
    name = next((m for m in inst.modifiers if m in FIELDS), None)
    address, *values = inst.operands
    if not inst.has("replace") or not inst.has("tile") or name is None:
        raise NotLowered(inst.text)
    place, nbytes, count, more = FIELDS[name]
    if not isinstance(address, Address) or len(values) != 1 + (count > 1):
        raise NotLowered(inst.text)
    if count > 1:
        number = values.pop(0)
        if not isinstance(number, Immediate) or not 0 <= int(number.value) < count:
            raise NotLowered(inst.text)
        place += nbytes * int(number.value)
    (value,) = values
    if name in AS_IMMEDIATES:
        if not isinstance(value, Immediate):
            raise NotLowered(inst.text)
        for where, known in _settings(inst, name, int(value.value)):
            _put(lower, inst, address, where, 1, ir.Constant(integers(8), [known] * LANES))
        return
    wide = lower.read(value, "b64" if nbytes == 8 else "b32")
    if more:
        wide = lower.builder.add(wide, ir.Constant(wide.type, [more] * LANES))
    if nbytes < 4:
        wide = lower.builder.trunc(wide, integers(8 * nbytes))
    _put(lower, inst, address, place, nbytes, wide)


def _settings(inst: Instruction, name: str, value: int) -> list[tuple[int, int]]:
    """Bytes of a map that a setting makes: where, and what."""
    if name == "interleave_layout":
        if not 0 <= value < len(INTERLEAVES):
            raise NotLowered(inst.text)
        return [(SLICE, [*INTERLEAVES.values()][value])]
    if name == "elemtype":
        if value not in ELEMENTS:
            raise NotLowered(inst.text)
        kind, size = ELEMENTS[value]
        return [(KIND, KINDS[kind]), (ITEMSIZE, size)]
    if not 0 <= value <= (3 if name == "swizzle_mode" else 1):
        raise NotLowered(inst.text)
    return [(FIELDS[name][0], value)]


def _put(
    lower: WarpLowering, inst: Instruction, address: Address, place: int, nbytes: int,
    values: ir.Value,
) -> None:  # fmt: skip
    """Store a field of each lane's map."""
    lower.builder.store(values, lower.of_warp("data"), align=64)
    there = Address(address.base, address.offset + place)
    transfer(lower, inst, space_of(inst), there, nbytes, 1, "store")


def _copy(lower: WarpLowering, inst: Instruction) -> None:
    """``tensormap.cp_fenceproxy.global.shared::cta... [to], [from], 128``: a word each lane."""
    target, source, size = inst.operands
    spaces = [m.split("::")[0] for m in inst.modifiers if m.split("::")[0] in ("global", "shared")]
    plain = isinstance(target, Address) and isinstance(source, Address)
    if spaces != ["global", "shared"] or size != Immediate(NBYTES) or not plain:
        raise NotLowered(inst.text)
    assert isinstance(target, Address)
    assert isinstance(source, Address)
    builder = lower.builder
    words = ir.Constant(integers(64), [4 * lane for lane in range(LANES)])
    here = builder.add(effective_address(lower, source, "shared"), words)
    there = builder.add(effective_address(lower, target, "global"), words)
    transfer_at(lower, inst, "shared", here, 4, 1, "load")
    transfer_at(lower, inst, "global", there, 4, 1, "store")
