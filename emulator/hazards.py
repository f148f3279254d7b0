"""Registers that a ``wgmma`` in flight still reads or writes: which instructions may touch them.

A forward dataflow over a function's blocks, with the products that may be in flight in a register.
Compilers put ``mov`` between one product and the next, which ptxas folds away: a ``mov`` hands on
what is in flight and touches nothing. What is found may happen; whether it does is looked at as
the kernel runs (:mod:`emulator.lower.hazards`): no product in flight, no finding.

Also: registers of a product that ordinary instructions touched without a ``wgmma.fence`` since.
(PTX ISA, "wgmma.mma_async": "accessing the registers ... is undefined", and "wgmma.fence".)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from emulator.cfg import Block, read_registers, written_registers
from emulator.ptx import Instruction, Register, Vector

Key = tuple[str, int]  # a function's name and the index of an instruction

SUMS_READ, SUMS_WRITTEN, A_WRITTEN, NOT_FENCED, NEVER_FENCED = range(1, 6)


@dataclass(frozen=True)
class Hazard:
    """An instruction may come too early after (or, unfenced, before) ``other``."""

    kind: int
    other: Key


@dataclass(frozen=True)
class Hazards:
    """What is to be looked at before each instruction, and whose last execution is to be noted."""

    checks: dict[Key, tuple[Hazard, ...]]
    marks: tuple[Key, ...]


@dataclass
class _State:
    """What may hold before an instruction; products and instructions are bits of numbers."""

    writing: dict[str, int] = field(default_factory=dict)  # products that write a register
    reading: dict[str, int] = field(default_factory=dict)
    touched: dict[str, int] = field(default_factory=dict)  # by instructions since a fence
    made: dict[str, int] = field(default_factory=dict)  # 1: a product's, complete or not
    open: int = 0  # products of no group yet

    def copy(self) -> _State:
        return _State(
            dict(self.writing), dict(self.reading), dict(self.touched), dict(self.made), self.open
        )

    def join(self, other: _State) -> bool:
        """Let what may hold in ``other`` hold here too; whether that was anything new."""
        changed = bool(other.open & ~self.open)
        self.open |= other.open
        for mine, theirs in (
            (self.writing, other.writing),
            (self.reading, other.reading),
            (self.touched, other.touched),
            (self.made, other.made),
        ):
            for name, bits in theirs.items():
                old = mine.get(name, 0)
                if bits & ~old:
                    mine[name] = old | bits
                    changed = True
        return changed


def find_hazards(blocks: Sequence[Block]) -> Hazards:
    """The hazards of all functions of a kernel; none where there is no ``wgmma``."""
    checks: dict[Key, tuple[Hazard, ...]] = {}
    functions = {block.function.name: block.function for block in blocks}
    for name, function in functions.items():
        if any(multiplies(inst) for inst in function.instructions):
            checks |= _Flow([b for b in blocks if b.function.name == name]).checks()
    marked = dict.fromkeys(hazard.other for found in checks.values() for hazard in found)
    return Hazards(checks, tuple(marked))


def multiplies(inst: Instruction) -> bool:
    """Whether an instruction is a product of a warpgroup."""
    return inst.opcode == "wgmma" and inst.has("mma_async")


def _names(inst: Instruction, index: int) -> list[str]:
    """Registers of a vector operand."""
    operand = inst.operands[index] if len(inst.operands) > index else None
    items = operand.items if isinstance(operand, Vector) else ()
    return [item.name for item in items if isinstance(item, Register)]


def _copied(inst: Instruction) -> tuple[str, str] | None:
    """Destination and source of a ``mov`` between whole registers; no source: of a constant."""
    if inst.opcode != "mov" or len(inst.operands) != 2 or inst.predicate is not None:
        return None
    target, source = inst.operands
    if not isinstance(target, Register) or isinstance(source, Vector):
        return None
    return target.name, source.name if isinstance(source, Register) else ""


class _Flow:
    """The dataflow of one function."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self.blocks = blocks
        self.keys: list[Key] = []  # by number
        self.numbers: dict[Key, int] = {}
        self.sums, self.fragments = self._operands()

    def _operands(self) -> tuple[set[str], set[str]]:
        """Registers that are, or are copied to, sums or fragments of A of a product."""
        sums: set[str] = set()
        fragments: set[str] = set()
        copies: list[tuple[str, str]] = []
        for block in self.blocks:
            for inst in block.body:
                if multiplies(inst):
                    sums.update(_names(inst, 0))
                    fragments.update(_names(inst, 1))
                elif copied := _copied(inst):
                    copies.append(copied)
        changed = True
        while changed:
            changed = False
            for found in (sums, fragments):
                for target, source in copies:
                    if target in found and source and source not in found:
                        found.add(source)
                        changed = True
        return sums, fragments

    def _bit(self, key: Key) -> int:
        if key not in self.numbers:
            self.numbers[key] = len(self.keys)
            self.keys.append(key)
        return 1 << self.numbers[key]

    def _keys(self, bits: int) -> Iterator[Key]:
        while bits:
            low = bits & -bits
            yield self.keys[low.bit_length() - 1]
            bits ^= low

    def checks(self) -> dict[Key, tuple[Hazard, ...]]:
        """Hazards by instruction, each product once in a block until it is issued again."""
        before = self._settle()
        found: dict[Key, tuple[Hazard, ...]] = {}
        for block in self.blocks:
            if id(block) not in before:
                continue
            state = before[id(block)].copy()
            known: set[Hazard] = set()
            for offset, inst in enumerate(block.body):
                key = (block.function.name, block.first + offset)
                hazards = dict.fromkeys(self._step(state, inst, key))
                fresh = tuple(hazard for hazard in hazards if hazard not in known)
                known.update(fresh)
                if multiplies(inst):
                    known = {hazard for hazard in known if hazard.other != key}
                if fresh:
                    found[key] = fresh
        return found

    def _settle(self) -> dict[int, _State]:
        """What may hold before each block."""
        before = {id(self.blocks[0]): _State()}
        local = {id(block): block for block in self.blocks}
        work = [self.blocks[0]]
        while work:
            block = work.pop()
            state = before[id(block)].copy()
            for offset, inst in enumerate(block.body):
                for _ in self._step(state, inst, (block.function.name, block.first + offset)):
                    pass
            following = [block.falls_to, block.jumps_to, *block.targets]
            for after in following:
                if after is None or id(after) not in local:
                    continue
                if id(after) not in before:
                    before[id(after)] = state.copy()
                    work.append(after)
                elif before[id(after)].join(state):
                    work.append(after)
        return before

    def _step(self, state: _State, inst: Instruction, key: Key) -> Iterable[Hazard]:
        """What an instruction may do too early; changes ``state`` to what holds after it."""
        if inst.opcode == "wgmma":
            return list(self._product(state, inst, key))
        if copied := _copied(inst):
            target, source = copied
            for found in (state.writing, state.touched, state.made):
                bits = found.get(source, 0)
                if bits:
                    found[target] = bits
                else:
                    found.pop(target, None)
            state.reading.pop(target, None)
            return []
        return list(self._ordinary(state, inst, key))

    def _product(self, state: _State, inst: Instruction, key: Key) -> Iterator[Hazard]:
        """``wgmma`` itself."""
        if inst.has("fence"):
            state.touched.clear()
        elif inst.has("commit_group"):
            state.open = 0
        elif inst.has("wait_group") and getattr(inst.operands[0], "value", 1) == 0:
            for found in (state.writing, state.reading):
                for name, bits in list(found.items()):
                    if bits & state.open:
                        found[name] = bits & state.open
                    else:
                        del found[name]
        elif inst.has("mma_async"):
            sums, fragments = _names(inst, 0), _names(inst, 1)
            for name in (*sums, *fragments):
                for other in self._keys(state.touched.pop(name, 0)):
                    yield Hazard(NOT_FENCED, other)
            for name in fragments:
                for other in self._keys(state.writing.get(name, 0)):
                    yield Hazard(SUMS_READ, other)
            mine = self._bit(key)
            for name in sums:
                state.writing[name] = mine
                state.made[name] = 1
            for name in fragments:
                state.reading[name] = state.reading.get(name, 0) | mine
            state.open |= mine

    def _ordinary(self, state: _State, inst: Instruction, key: Key) -> Iterator[Hazard]:
        """Any other instruction."""
        written = written_registers(inst)
        for name in read_registers(inst):
            for other in self._keys(state.writing.get(name, 0)):
                yield Hazard(SUMS_READ, other)
            if name in state.made:
                state.touched[name] = state.touched.get(name, 0) | self._bit(key)
        for name in written:
            for other in self._keys(state.writing.get(name, 0)):
                yield Hazard(SUMS_WRITTEN, other)
            for other in self._keys(state.reading.get(name, 0)):
                yield Hazard(A_WRITTEN, other)
            if inst.predicate is None:
                state.writing.pop(name, None)
                state.reading.pop(name, None)
                state.made.pop(name, None)
            if name in self.sums or name in self.fragments:
                state.touched[name] = self._bit(key)
