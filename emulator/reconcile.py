"""Which machine access stands for each PTX access, so that counters count what hardware does.

ptxas joins neighbours (sixteen ``ld.shared.f32`` become four ``LDS.128``) and drops loads that
nobody needs. A joined access is counted once, at the PTX instruction with the lowest address and
with the machine's width; the others count nothing. Unrolling copies an instruction, each copy
executed in its turn, so it changes no count. Where it cannot be told what happened, accesses are
counted as the PTX has them, and the lines are named.
"""

from __future__ import annotations

import ctypes
import functools
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from emulator.cfg import Block, read_registers, written_registers
from emulator.lower.memory import SPACES, components
from emulator.module import Kernel, SourceLine
from emulator.native.layout import MERGED, Site
from emulator.ptx import Address, Immediate, Instruction, Register, Symbol
from emulator.ptx.syntax import TYPE_BITS
from emulator.sass import MachineAccess, MachineCode, ptx_digest

READS = {"ld", "ldu"}
OPCODES = {"ld": {"load"}, "ldu": {"load"}, "st": {"store"}, "atom": {"atomic", "reduction"},
           "red": {"atomic", "reduction"}}  # fmt: skip
NOT_MEMORY = {"param", "const"}  # operands of machine instructions
# what may change memory, or order it: a load is not the same on both sides
FENCES = {"st", "atom", "red", "bar", "barrier", "membar", "fence", "call", "cp", "mbarrier",
          "stmatrix", "wmma"}  # fmt: skip
Root = tuple[str, int]  # a register or variable, and the bytes past it


@dataclass(frozen=True)
class Reconciled:
    """How a kernel's accesses are to be counted."""

    counted: Mapping[int, int]  # by site: bytes a lane, or MERGED; as the PTX has it if absent
    unmatched: tuple[SourceLine, ...]  # lines counted as the PTX has them, for want of a match
    spills: int  # machine accesses to local memory that no PTX instruction asks for

    def note(self) -> str | None:
        """What a report says of it; None when everything was matched."""
        if not self.unmatched:
            return None
        lines = ", ".join(f"{place.file}:{place.line}" for place in self.unmatched)
        return (
            "Approximate: these lines' accesses are counted as PTX has them, because it could not "
            f"be told what ptxas made of them: {lines}."
        )


@dataclass(frozen=True)
class _Access:
    """A PTX instruction that touches memory."""

    site: int
    inst: Instruction
    space: str
    nbytes: int
    root: Root | None
    index: int  # in its block


AS_PTX = (
    "Approximate: memory accesses are counted as PTX has them; ptxas may have joined some, and "
    "there was no machine code with line numbers, or no nvdisasm, to tell."
)


def apply(sites: ctypes.Array[Site], kernel: Kernel, code: MachineCode | None) -> str | None:
    """Have accesses counted as machine code has them, by ``Site.counted_bytes``.

    Returns what is approximate still; None when nothing is.
    """
    found = reconcile(kernel, code) if code is not None else None
    if found is None:
        return AS_PTX
    for site, nbytes in found.counted.items():
        sites[site].counted_bytes = nbytes
    return found.note()


@functools.lru_cache(maxsize=64)
def reconcile(kernel: Kernel, code: MachineCode) -> Reconciled | None:
    """Match a kernel's PTX with its machine code; None when that is of other PTX."""
    if code.ptx != ptx_digest(kernel.module.ptx):
        return None
    by_line: dict[int, list[MachineAccess]] = defaultdict(list)
    for access in code.accesses:
        by_line[access.ptx_line].append(access)
    matcher = _Matcher(kernel, by_line)
    for block in kernel.graph.blocks:
        matcher.block(block)
    local = {a.ptx_line for a in code.accesses if a.space == "local"} - matcher.local_lines
    spills = sum(a.space == "local" and a.ptx_line in local for a in code.accesses)
    places = [kernel.module.source_line(inst) for inst in matcher.unmatched]
    unmatched = sorted({p for p in places if p is not None}, key=lambda p: (p.file, p.line))
    return Reconciled(matcher.counted, tuple(unmatched), spills)


class _Matcher:
    """Goes through the blocks, keeping what has been decided."""

    def __init__(self, kernel: Kernel, by_line: Mapping[int, list[MachineAccess]]) -> None:
        self.kernel = kernel
        self.by_line = by_line
        self.has_local = any(m.space == "local" for found in by_line.values() for m in found)
        self.counted: dict[int, int] = {}
        self.unmatched: list[Instruction] = []
        self.local_lines: set[int] = set()
        self.definitions = _definitions(kernel)
        self.read = {
            (block.function.name, name)
            for block in kernel.graph.blocks
            for inst in block.body
            for name in read_registers(inst)
        }
        # text with two accesses a line cannot be told apart
        lines = [i.ptx_line for i in kernel.instructions if _space(i)]
        self.crowded = {line for line, count in Counter(lines).items() if count > 1}

    def block(self, block: Block) -> None:
        accesses = [
            self.access(block, index) for index, inst in enumerate(block.body) if _space(inst)
        ]
        present = {a.site: self.machine(a) for a in accesses}
        depth = _depth(self.kernel, block)
        for access in accesses:
            self.local_lines |= {access.inst.ptx_line} if access.space != "shared" else set()
            machine = present[access.site]
            if access.site in self.counted:
                continue
            if access.inst.ptx_line in self.crowded:
                self.unmatched.append(access.inst)
            elif machine and access.inst.opcode in ("atom", "red"):
                # its width is its type's; but where it is a loop of loads and exchanges, lanes
                # that meet go round again
                line = self.by_line[access.inst.ptx_line]
                if any(m.kind == "load" for m in line):
                    self.unmatched.append(access.inst)
            elif machine:
                self.judge(access, machine, accesses, present, depth)
        for access in accesses:
            if access.site not in self.counted and not present[access.site]:
                self.missing(access, accesses, block)

    def access(self, block: Block, index: int) -> _Access:
        inst = block.body[index]
        is_store = inst.opcode in ("st", "red")
        address = inst.operands[0 if is_store else 1]
        # an unpacked vector has as many values as registers
        values = inst.operands[1 if is_store else 0]
        count = len(components(values)) if inst.opcode in OPCODES else 1
        site = self.kernel.sites[block.function.name, block.first + index]
        root = self.root(block, index, address) if isinstance(address, Address) else None
        nbytes = TYPE_BITS.get(inst.type, 32) // 8 * count
        return _Access(site, inst, _space(inst), nbytes, root, index)

    def root(self, block: Block, index: int, address: Address) -> Root:
        """An address as a register that is computed somehow, or a variable, and an offset.

        A register that changes is another one after each change in the block.
        """
        base, offset = address.base, address.offset
        function = block.function.name
        while True:
            if isinstance(base, Symbol):
                place = self.kernel.shared_offsets.get(base.name)
                if place is not None:  # neighbouring variables may be joined, too
                    return "shared", place + base.offset + offset
                return base.name, base.offset + offset
            if isinstance(base, Immediate):
                return "", int(base.value) + offset
            step = self.definitions.get((function, base.name))
            if step is None:
                before = block.body[:index]
                times = sum(base.name in written_registers(inst) for inst in before)
                return f"{base.name} {times}", offset
            base, more = step
            offset += more

    def machine(self, access: _Access) -> list[MachineAccess]:
        kinds = OPCODES[access.inst.opcode]
        return [
            m
            for m in self.by_line.get(access.inst.ptx_line, [])
            if m.kind in kinds and ("generic" in (m.space, access.space) or m.space == access.space)
        ]

    def judge(
        self,
        access: _Access,
        machine: list[MachineAccess],
        accesses: list[_Access],
        present: Mapping[int, list[MachineAccess]],
        depth: int,
    ) -> None:
        """An access that machine code has."""
        widths = {m.nbytes for m in machine}
        hoisted = len(machine) == 1 and machine[0].depth < depth
        if widths == {access.nbytes} and not hoisted:
            return
        if len(widths) != 1 or hoisted:
            self.unmatched.append(access.inst)
            return
        (width,) = widths
        group = self.group(access, width, accesses, present)
        if width < access.nbytes or group is None:
            self.unmatched.append(access.inst)
            return
        carrier = min(group, key=lambda a: a.root[1] if a.root else 0)
        for member in group:
            self.counted[member.site] = width if member is carrier else MERGED

    def group(
        self,
        access: _Access,
        width: int,
        accesses: list[_Access],
        present: Mapping[int, list[MachineAccess]],
    ) -> list[_Access] | None:
        """Neighbours without code of their own that make up ``width`` bytes with ``access``."""
        if access.root is None:
            return None
        name, start = access.root
        alike = {
            other.root[1]: other
            for other in accesses
            if other.root is not None
            and other.root[0] == name
            and (other.nbytes, other.space) == (access.nbytes, access.space)
            and other.inst.opcode == access.inst.opcode
            and other.inst.predicate == access.inst.predicate
            and (other is access or (not present[other.site] and other.site not in self.counted))
        }
        steps = range(0, width, access.nbytes)
        for before in steps:  # the machine's line is usually the first one's
            places = [start - before + step for step in steps]
            if all(place in alike for place in places):
                return [alike[place] for place in places]
        return None

    def missing(self, access: _Access, accesses: list[_Access], block: Block) -> None:
        """An access without machine code: a load nobody needs is gone; more cannot be told."""
        gone = access.inst.opcode in READS and (
            self.is_dead(access, block) or _again(access, accesses, block)
        )
        if gone or (access.space == "local" and not self.has_local):  # arrays in registers
            self.counted[access.site] = MERGED
        else:
            self.unmatched.append(access.inst)

    def is_dead(self, access: _Access, block: Block) -> bool:
        names = written_registers(access.inst)
        return not any((block.function.name, name) in self.read for name in names)


def _again(access: _Access, accesses: list[_Access], block: Block) -> bool:
    """Whether the same bytes were loaded before, with nothing between that could change them."""
    for other in accesses:
        if other.index >= access.index:
            return False
        same = other.root is not None and (other.root, other.space) == (access.root, access.space)
        if same and other.inst.opcode in OPCODES and other.nbytes >= access.nbytes:
            between = block.body[other.index + 1 : access.index]
            if not any(inst.opcode in FENCES for inst in between):
                return True
    return False


def _space(inst: Instruction) -> str:
    """The state space of an access that machine code has an instruction for; "" for others."""
    if inst.opcode not in OPCODES:
        return ""
    names = [modifier.partition("::")[0] for modifier in inst.modifiers]
    space = next((name for name in names if name in SPACES), "generic")
    return "" if space in NOT_MEMORY else space


def _definitions(kernel: Kernel) -> dict[tuple[str, str], tuple[Register | Symbol, int]]:
    """Registers that are set once, to another plus a constant."""
    times: Counter[tuple[str, str]] = Counter()
    found: dict[tuple[str, str], tuple[Register | Symbol, int]] = {}
    for block in kernel.graph.blocks:
        function = block.function.name
        for inst in block.body:
            times.update((function, name) for name in written_registers(inst))
            source = inst.operands[1] if len(inst.operands) > 1 else None
            target = inst.operands[0] if inst.operands else None
            if not isinstance(target, Register) or not isinstance(source, Register | Symbol):
                continue
            more = inst.operands[2] if len(inst.operands) > 2 else Immediate(0)
            if inst.predicate is None and isinstance(more, Immediate):
                sign = {"mov": 1, "add": 1, "sub": -1}.get(inst.opcode)
                if sign is not None and not inst.has("cc"):
                    found[function, target.name] = source, sign * int(more.value)
    # what is computed from a register that changes later is not that register and a constant
    lasting = {
        (function, target): (source, more)
        for (function, target), (source, more) in found.items()
        if times[function, target] == 1
        and (
            isinstance(source, Symbol)
            or (source.name != target and times[function, source.name] < 2)
        )
    }
    return {key: step for key, step in lasting.items() if not _turns(key, lasting)}


def _turns(
    key: tuple[str, str], steps: Mapping[tuple[str, str], tuple[Register | Symbol, int]]
) -> bool:
    """Whether following definitions from a register comes back to it."""
    function, name = key
    seen = {name}
    while (function, name) in steps:
        source = steps[function, name][0]
        if not isinstance(source, Register):
            return False
        if source.name in seen:
            return True
        name = source.name
        seen.add(name)
    return False


def _depth(kernel: Kernel, block: Block) -> int:
    """How many loops of the PTX a block is in: blocks are numbered so that loops are intervals."""
    heads: dict[int, int] = {}
    for other in kernel.graph.blocks:
        target = other.jumps_to
        if target is not None and target.number <= other.number:
            heads[target.number] = max(heads.get(target.number, 0), other.number)
    return sum(head <= block.number <= last for head, last in heads.items())
