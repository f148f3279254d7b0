"""What the checkers have to know of each memory instruction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emulator.ptx import Immediate, Instruction, Vector
from emulator.ptx.syntax import TYPE_BITS
from emulator.watch.shadow import (
    ACQUIRES,
    BLOCK_SCOPE,
    HAS_DATA,
    IS_ATOMIC,
    IS_BULK,
    IS_COPY,
    IS_FLOAT,
    IS_GENERIC,
    IS_MBARRIER,
    IS_STRONG,
    IS_VOLATILE,
    READS,
    RELEASES,
    SITE_MASK,
    WRITES,
    Facts,
)

ACCESS = {
    "ld": READS,
    "ldu": READS,
    "ldmatrix": READS,
    "st": WRITES | HAS_DATA,
    "stmatrix": WRITES,
    "atom": READS | WRITES | IS_ATOMIC | IS_STRONG | ACQUIRES,
    "red": READS | WRITES | IS_ATOMIC | IS_STRONG,
}
STRONG = {"volatile", "relaxed", "acquire", "release", "acq_rel", "mmio"}
SPACES = ("global", "shared", "local", "const", "param")
LARGEST_GRANULE = 16


class MemoryInstructions:
    """The memory instructions of a kernel, numbered from 1."""

    def __init__(self, instructions: Sequence[Instruction], clustered: bool = False) -> None:
        self.facts = (Facts * max(len(instructions), 1))()
        self.numbered: list[Instruction] = []
        self.releases = clustered  # whether anything could be released to other blocks
        self.copies = False  # whether there are asynchronous copies
        self.products = False  # whether warpgroups multiply matrices in shared memory
        flags_by_number = [0]
        for facts, inst in zip(self.facts, instructions, strict=False):
            flags = flags_of(inst)
            if not flags:
                continue
            if clustered and inst.opcode == "mbarrier":
                flags &= ~BLOCK_SCOPE  # others of the cluster arrive there, whatever scope is said
            self.numbered.append(inst)
            flags_by_number.append(flags)
            facts.number = min(len(self.numbered), SITE_MASK)
            facts.flags = flags
            width = 32 if inst.opcode == "cp" else TYPE_BITS.get(inst.type, 8)
            facts.element_bytes = min(max(width // 8, 1), 8)
            self.products |= inst.opcode == "wgmma"
            self.copies |= bool(flags & IS_COPY)
            self.releases |= bool(flags & IS_STRONG and flags & WRITES)
        self.flags_by_number = np.array(flags_by_number, dtype=np.int64)

    def instruction(self, number: int) -> Instruction | None:
        """A memory instruction by its number; None for those past the last that stamps can name."""
        return self.numbered[number - 1] if 0 < number < SITE_MASK else None

    def granule_shift(self, space: str) -> int:
        """log2 of the bytes of a cell: the smallest access that may touch a space."""
        smallest = LARGEST_GRANULE
        for inst in self.numbered:
            if space_of(inst) in (space, "generic") or inst.opcode == "cp":
                smallest = min(smallest, lane_bytes(inst))
        return smallest.bit_length() - 1


def space_of(inst: Instruction) -> str:
    """The state space that an instruction names, or "generic"."""
    if inst.opcode == "wgmma":
        return "shared"
    names = [m.split("::")[0] for m in inst.modifiers]
    return next((name for name in names if name in SPACES), "generic")


def flags_of(inst: Instruction) -> int:
    """What an instruction does to memory that others may see; 0: nothing."""
    space = space_of(inst)
    if inst.opcode == "cp":
        return _copy(inst)
    if inst.opcode == "wgmma":
        return READS if inst.has("mma_async") else 0
    if inst.opcode == "wmma":
        flags = READS if inst.has("load") else WRITES if inst.has("store") else 0
    elif inst.opcode == "mbarrier":
        flags = _mbarrier(inst)
    else:
        flags = ACCESS.get(inst.opcode, 0)
    # what st.async sends is ordered by the mbarrier that counts it
    if not flags or space in ("param", "const") or inst.has("async"):
        return 0
    if space == "generic" or inst.has("shared::cluster"):
        flags |= IS_GENERIC
    if STRONG & {*inst.modifiers}:
        flags |= IS_STRONG
        if flags & READS:
            flags |= ACQUIRES
    if inst.has("volatile"):
        flags |= IS_VOLATILE
    if inst.has("release") or inst.has("acq_rel"):
        flags |= RELEASES
    if inst.has("cta"):
        flags |= BLOCK_SCOPE
    if inst.opcode == "red":
        flags &= ~ACQUIRES
    if inst.type in ("f32", "f64", "f16", "bf16", "f16x2", "bf16x2"):
        flags |= IS_FLOAT
    return flags


def _copy(inst: Instruction) -> int:
    """Copies by threads, and by the async proxy."""
    names = {*inst.modifiers}
    if not inst.has("bulk"):
        return IS_COPY | READS | WRITES if {"async", "global"} <= names else 0
    if names & {"prefetch", "commit_group", "wait_group"}:
        return 0
    atomic = IS_ATOMIC | IS_STRONG if inst.has("reduce") else 0
    return IS_COPY | IS_BULK | READS | WRITES | atomic


def _mbarrier(inst: Instruction) -> int:
    """Arriving releases to the block, testing acquires, as their defaults have it."""
    if inst.has("init") or inst.has("inval"):
        return WRITES
    if inst.has("test_wait") or inst.has("try_wait"):
        return READS | IS_ATOMIC | IS_STRONG | ACQUIRES | BLOCK_SCOPE | IS_MBARRIER
    if inst.has("pending_count"):
        return 0
    return READS | WRITES | IS_ATOMIC | IS_STRONG | RELEASES | BLOCK_SCOPE | IS_MBARRIER


def lane_bytes(inst: Instruction) -> int:
    """Bytes that one lane accesses; the fewest it may where that is not known."""
    if inst.opcode == "cp" and inst.has("bulk"):
        return LARGEST_GRANULE
    if inst.opcode == "cp":
        sizes = [int(o.value) for o in inst.operands if isinstance(o, Immediate)]
        return sizes[0] if sizes and sizes[0] in (4, 8, 16) else 4
    if inst.opcode in ("ldmatrix", "stmatrix", "wgmma"):
        return 16
    if inst.opcode == "wmma":
        return 1
    if inst.opcode == "mbarrier":
        return 8
    items = next((len(o.items) for o in inst.operands if isinstance(o, Vector)), 1)
    width = max(TYPE_BITS.get(inst.type, 8) // 8, 1) * (items if inst.opcode in ("ld", "st") else 1)
    return min(width, LARGEST_GRANULE)


__all__ = ["MemoryInstructions", "flags_of", "lane_bytes", "space_of"]
