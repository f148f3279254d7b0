"""Control flow of a kernel: basic blocks of every function it can reach, in scheduling order.

All reachable functions share one numbering of blocks. A lane's program counter is a block number,
and a warp always runs its lanes of lowest number first, so the numbering decides where lanes that
parted meet again. Blocks of a function are in Bourdoncle's weak topological order: every block
stands before its successors but for back edges, and a loop's blocks are contiguous, so that lanes
that left a loop wait for those still in it. Called functions stand before their callers, so that
lanes meet again when a call returns.
(F. Bourdoncle, "Efficient chaotic iteration strategies with widenings", 1993.)
"""

from __future__ import annotations

import itertools
import sys
from dataclasses import dataclass, field

from emulator.callgraph import CallGraph, call_graph
from emulator.errors import PtxError
from emulator.ptx import Function, Immediate, Instruction, PtxModule, Register, Symbol
from emulator.ptx.syntax import Address, Operand, Pair, TensorPlace, Vector

# What a warp may have to wait at is a block of its own: it comes to it again. setmaxnreg is one.
ENDS = {"bra", "ret", "exit", "trap", "call", "brx", "setmaxnreg"}
WAITS = {"bar", "barrier"}  # a block ends after them: the warp resumes at the next one
# Operations of lanes on one another, and which operand is the mask of lanes that take part. Lanes
# meet in an empty block before them.
TOGETHER = {"shfl": 4, "vote": 2, "match": 2, "redux": 2, "elect": 1, "bar": 0, "barrier": 0}
WHOLE_WARP = {"mma", "wmma", "wgmma", "ldmatrix", "stmatrix", "movmatrix"}  # all 32 lanes take part
READS_ITS_FIRST = {
    "bar", "barrier", "nanosleep", "brx", "call", "red", "stackrestore", "wgmma",
}  # fmt: skip
MAYBE_SPINS = {"atom", "nanosleep", "red"}  # a loop that holds one may wait for another lane


# Beyond what any compiler makes of a kernel that runs: compiling it would take minutes, or its code
# more stack than a thread has.
MAX_BLOCKS = 1 << 13
MAX_INSTRUCTIONS = 1 << 17
MAX_WRITTEN = 1 << 14  # registers that one block sets
MAX_VISITS = 400_000  # of blocks, to order those of one function


@dataclass
class Block:
    """A run of instructions with one entry and, at its end, one transfer of control."""

    function: Function
    first: int  # index of its first instruction in the function
    body: list[Instruction]
    successors: list[int] = field(default_factory=list)  # local indices, fall-through last
    number: int = -1  # place in the scheduling order
    falls_to: Block | None = None
    jumps_to: Block | None = None
    targets: list[Block] = field(default_factory=list)  # of a brx, by index
    meets: Instruction | None = None  # lanes wait here, in an empty block, for its mask's lanes
    members: Operand | None = None  # that mask

    @property
    def terminator(self) -> Instruction | None:
        last = self.body[-1] if self.body else None
        return last if last is not None and (ends(last) or waits(last)) else None

    @property
    def may_spin(self) -> bool:
        return any(may_wait(i) for i in self.body)


@dataclass(frozen=True)
class Graph:
    """The blocks a kernel can reach, by number, and where each function starts."""

    blocks: tuple[Block, ...]
    entries: dict[str, Block]
    registers: dict[tuple[str, str], int]  # (function, register) kept between blocks, to its slot
    calls: CallGraph


def may_wait(instruction: Instruction) -> bool:
    """Whether a loop round the instruction may be waiting for another thread."""
    opcode, modifiers = instruction.opcode, set(instruction.modifiers)
    ordered = opcode == "ld" and modifiers & {"volatile", "acquire", "relaxed", "cv"}
    tests = opcode == "mbarrier" and modifiers & {"test_wait", "try_wait"}
    return opcode in MAYBE_SPINS or bool(ordered or tests)


def ends(instruction: Instruction) -> bool:
    """Whether control may go elsewhere after the instruction."""
    return instruction.opcode in ENDS or comes_again(instruction)


def comes_again(instruction: Instruction) -> bool:
    """Whether a warp that cannot go on yet executes the instruction again, later."""
    return instruction.opcode == "setmaxnreg" or (
        instruction.opcode == "wgmma" and "wait_group" in instruction.modifiers
    )


def waits(instruction: Instruction) -> bool:
    """Whether a warp stops here until others of its block come."""
    elsewhere = {"arrive", "warp"} & set(instruction.modifiers)
    return instruction.opcode in WAITS and not elsewhere


def members(instruction: Instruction) -> Operand | None:
    """The mask of lanes that a ``.sync`` operation waits for; None for what waits for none."""
    if instruction.opcode in WHOLE_WARP:
        return Immediate(0xFFFFFFFF)
    at = TOGETHER.get(instruction.opcode)
    is_barrier = instruction.opcode in WAITS
    if at is None or "sync" not in instruction.modifiers or len(instruction.operands) <= at:
        return None
    if is_barrier and "warp" not in instruction.modifiers:
        return None
    return instruction.operands[at]


def build(module: PtxModule, kernel: Function) -> Graph:
    """Blocks of ``kernel`` and all it calls, numbered, with the registers that live across them."""
    calls = call_graph(module, kernel)
    blocks: list[Block] = []
    entries: dict[str, Block] = {}
    for function in calls.order:
        local = _split(function)
        for index in _weak_topological_order(local):
            local[index].number = len(blocks)
            blocks.append(local[index])
        entries[function.name] = local[0]
    _check_size(kernel, blocks)
    return Graph(tuple(blocks), entries, _kept_registers(blocks), calls)


def _check_size(kernel: Function, blocks: list[Block]) -> None:
    """Refuse kernels that could not be compiled in reasonable time and memory."""
    instructions = sum(len(block.body) for block in blocks)
    if len(blocks) > MAX_BLOCKS or instructions > MAX_INSTRUCTIONS:
        raise PtxError(
            f"kernel {kernel.name!r} has {instructions:,} instructions in {len(blocks):,} basic "
            f"blocks; at most {MAX_INSTRUCTIONS:,} in {MAX_BLOCKS:,} can be compiled"
        )
    for block in blocks:
        if len(block.body) > MAX_WRITTEN:
            written = {name for inst in block.body for name in written_registers(inst)}
            if len(written) > MAX_WRITTEN:
                raise PtxError(
                    f"PTX line {block.body[0].ptx_line}: {len(written):,} registers are set "
                    f"without a branch between; at most {MAX_WRITTEN:,} are possible"
                )


def _split(function: Function) -> list[Block]:
    instructions = function.instructions
    starts = {0} | set(function.labels.values())
    meetings: dict[int, Operand] = {}
    met: Operand | None = None  # the mask of the lanes that have met and run together since
    constants = _constants(function)
    for index, instruction in enumerate(instructions):
        if index in starts:
            met = None
        mask = members(instruction)
        if isinstance(mask, Register):
            mask = constants.get(mask.name, mask)
        if isinstance(met, Register) and waits(instruction):
            starts.add(index)  # groups of different masks came one by one; here they meet again
        if mask is not None and (mask != met or instruction.predicate is not None):
            starts.add(index)
            meetings[index] = mask
            met = mask if instruction.predicate is None else None
            if instruction.predicate is not None:
                starts.add(index + 1)
        if comes_again(instruction):
            starts.add(index)
        if ends(instruction) or waits(instruction):
            starts.add(index + 1)
            met = None
        if isinstance(met, Register) and met.name in written_registers(instruction):
            met = None
    bounds = [*sorted(s for s in starts if s < len(instructions)), len(instructions)]
    blocks = []
    for first, end in itertools.pairwise(bounds):
        if first in meetings:
            meeting = Block(function, first, [], meets=instructions[first])
            meeting.members = meetings[first]
            blocks.append(meeting)
        blocks.append(Block(function, first, instructions[first:end]))
    if not blocks:
        blocks = [Block(function, 0, [])]
    at: dict[int, int] = {}
    for index, block in enumerate(blocks):
        at.setdefault(block.first, index)
    # control that runs off the end of a function returns: an empty block stands for that
    if any(label >= len(instructions) for label in function.labels.values()) or not _ends(blocks):
        at[len(instructions)] = len(blocks)
        blocks.append(Block(function, len(instructions), []))
    for index, block in enumerate(blocks):
        last = block.terminator
        following = index + 1 if index + 1 < len(blocks) else None
        if last is not None and last.opcode == "bra":
            target = _label(function, last)
            block.jumps_to = blocks[at[target]]
            block.successors.append(at[target])
            if last.predicate is None:
                following = None
        elif last is not None and last.opcode == "brx":
            indices = [at[index] for index in _table(function, last)]
            block.targets = [blocks[index] for index in indices]
            block.successors += dict.fromkeys(indices)
            following = following if last.predicate is not None else None
        elif last is not None and last.opcode in ("ret", "exit", "trap"):
            following = following if last.predicate is not None else None
        if not block.body and block.first >= len(instructions):
            following = None
        if following is not None:
            block.falls_to = blocks[following]
            block.successors.append(following)
    return blocks


def _constants(function: Function) -> dict[str, Operand]:
    """Registers that are set once, to a number: compilers put the masks of lanes there."""
    values: dict[str, Operand] = {}
    several: set[str] = set()
    for inst in function.instructions:
        for name in written_registers(inst):
            if name in values:
                several.add(name)
            is_number = inst.opcode == "mov" and isinstance(inst.operands[-1], Immediate)
            known = is_number and inst.predicate is None and len(inst.operands) == 2
            values[name] = inst.operands[1] if known else Register(name)
    return {
        name: value for name, value in values.items()
        if name not in several and isinstance(value, Immediate)
    }  # fmt: skip


def _ends(blocks: list[Block]) -> bool:
    last = blocks[-1].terminator
    return (
        last is not None
        and last.predicate is None
        and last.opcode in ("ret", "exit", "trap", "bra", "brx")
    )


def _label(function: Function, branch: Instruction) -> int:
    target = branch.operands[0] if branch.operands else None
    if not isinstance(target, Symbol) or target.name not in function.labels:
        raise PtxError(f"PTX line {branch.ptx_line}: no such label in: {branch.text}")
    return function.labels[target.name]


def _table(function: Function, branch: Instruction) -> list[int]:
    """Where the labels of a brx's table stand."""
    name = branch.operands[1] if len(branch.operands) > 1 else None
    labels = function.tables.get(name.name) if isinstance(name, Symbol) else None
    if labels is None or any(label not in function.labels for label in labels):
        raise PtxError(f"PTX line {branch.ptx_line}: no such branch targets in: {branch.text}")
    return [function.labels[label] for label in labels]


def _weak_topological_order(blocks: list[Block]) -> list[int]:
    depth = [0] * len(blocks)
    stack: list[int] = []
    count = 0
    done = sys.maxsize

    def visit(vertex: int, partition: list[int]) -> int:
        nonlocal count
        stack.append(vertex)
        count += 1
        if count > MAX_VISITS:
            function = blocks[0].function
            raise PtxError(
                f"PTX line {function.ptx_line}: the branches of {function.name!r} are too tangled"
            )
        depth[vertex] = head = count
        loop = False
        for successor in blocks[vertex].successors:
            low = visit(successor, partition) if depth[successor] == 0 else depth[successor]
            if low <= head:
                head, loop = low, True
        if head == depth[vertex]:
            depth[vertex] = done
            element = stack.pop()
            if loop:
                while element != vertex:
                    depth[element] = 0
                    element = stack.pop()
                inner: list[int] = []
                for successor in blocks[vertex].successors:
                    if depth[successor] == 0:
                        visit(successor, inner)
                partition[:0] = [vertex, *inner]
            else:
                partition.insert(0, vertex)
        return head

    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, 4 * len(blocks) + 1000))
    try:
        order: list[int] = []
        visit(0, order)
    finally:
        sys.setrecursionlimit(limit)
    return order


def read_registers(instruction: Instruction) -> list[str]:
    """Registers an instruction reads, its old destination too when it is predicated."""
    found: list[str] = []

    def add(operand: Operand) -> None:
        if isinstance(operand, Register):
            found.append(operand.name)
        elif isinstance(operand, Address) and isinstance(operand.base, Register):
            found.append(operand.base.name)
        elif isinstance(operand, Vector):
            for item in operand.items:
                add(item)
        elif isinstance(operand, TensorPlace):
            add(operand.map)
            add(operand.coordinates)
        elif isinstance(operand, Pair):
            add(operand.first)
            add(operand.second)

    if instruction.predicate is not None:
        found.append(instruction.predicate.register)
    for index, operand in enumerate((*instruction.operands, *instruction.arguments)):
        is_destination = (
            index == 0
            and not isinstance(operand, Address | TensorPlace)
            and instruction.opcode not in READS_ITS_FIRST
        )
        if not is_destination or instruction.predicate is not None:
            add(operand)
    return found


def written_registers(instruction: Instruction) -> list[str]:
    """Registers an instruction sets."""
    if not instruction.operands:
        return []
    first = instruction.operands[0]
    items: tuple[Operand, ...] = (first,)
    if isinstance(first, Vector):
        items = first.items
    elif isinstance(first, Pair):
        items = (first.first, first.second)
    return [item.name for item in items if isinstance(item, Register)]


def _kept_registers(blocks: list[Block]) -> dict[tuple[str, str], int]:
    """Registers that some block reads before writing: they live in the warp's frame."""
    kept: dict[tuple[str, str], int] = {}
    for block in blocks:
        written: set[str] = set()
        for instruction in [block.meets] if block.meets else block.body:
            for name in read_registers(instruction):
                if name not in written and name in block.function.registers:
                    kept.setdefault((block.function.name, name), len(kept))
            written.update(written_registers(instruction))
    return kept
