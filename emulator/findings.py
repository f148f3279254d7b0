"""What the checkers found, in words: both sides, where, what, and the value that was lost."""

from __future__ import annotations

import ctypes
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace

from emulator.facts import MemoryInstructions, flags_of
from emulator.native.layout import GLOBAL, LOCAL, SHARED
from emulator.ptx import Instruction
from emulator.report import Dim3, Finding, Side
from emulator.running import Launch
from emulator.watch.shadow import (
    BEING_READ,
    IN_PRODUCT,
    LEFT_IN_FLIGHT,
    NO_PROXY_FENCE,
    NOT_STARTED,
    NOT_STAYED,
    READ_WRITE,
    SWIZZLE_DIFFERS,
    TWO_LANES,
    UNINITIALISED_READ,
    WRITE_READ,
    WRITE_WRITE,
    WRITES,
    Found,
)

HAZARDS = {
    WRITE_WRITE: "write-after-write hazard",
    READ_WRITE: "write-after-read hazard",
    WRITE_READ: "read-after-write hazard",
}
SPACES = {GLOBAL: "global", SHARED: "shared", LOCAL: "local"}


def findings(
    launch: Launch, instructions: MemoryInstructions, table: ctypes.Array[Found], missed: int
) -> tuple[Finding, ...]:
    """Every entry of the table as a finding, one for each pair of lines, most frequent first."""
    words = _Words(launch, instructions)
    merged: dict[tuple[object, ...], Finding] = {}
    for entry in table:
        if not entry.kind:
            continue
        say = {
            UNINITIALISED_READ: words.uninitialised,
            NOT_STARTED: words.visit,
            NOT_STAYED: words.visit,
            SWIZZLE_DIFFERS: words.swizzle,
            NO_PROXY_FENCE: words.unfenced,
            LEFT_IN_FLIGHT: words.left_in_flight,
        }.get(entry.kind, words.race)
        finding = say(entry)
        key = (finding.check, finding.kind, finding.severity, finding.file, finding.line,
               *((side.file, side.line) for side in finding.sides))  # fmt: skip
        known = merged.get(key)
        merged[key] = replace(known, count=known.count + finding.count) if known else finding
    found = [replace(f, message=f.message + _times(f)) for f in merged.values()]
    found.sort(key=lambda f: (f.severity != "error", -f.count, f.check, f.line))
    return tuple(found)


def _times(finding: Finding) -> str:
    return f"\n    {finding.count:,} times in this launch" if finding.count > 1 else ""


@dataclass
class _Words:
    launch: Launch
    instructions: MemoryInstructions

    def uninitialised(self, entry: Found) -> Finding:
        """A read before any write."""
        side = self._side(entry.later, entry.later_block, entry.later_thread, "read")
        space = SPACES[entry.space]
        what = self._name(entry, self.instructions.instruction(entry.later))
        who = f"kernel {self.launch.kernel.name!r}, block {side.block}, thread {side.thread}"
        never = {
            GLOBAL: "which nothing has written since it was allocated",
            SHARED: "which no thread of the block has written",
            LOCAL: "which the thread has not written",
        }[entry.space]
        return self._finding(
            "initcheck", f"uninitialised read of {space} memory", entry, side, (),
            f"uninitialised read of {space} memory in {who}: {entry.nbytes} bytes of {what}, "
            f"{never}{_line(side)}",
        )  # fmt: skip

    def race(self, entry: Found) -> Finding:
        """Two accesses that nothing orders."""
        earlier_inst = self.instructions.instruction(entry.earlier)
        later_inst = self.instructions.instruction(entry.later)
        does = {"earlier": "read" if entry.kind == READ_WRITE else "write",
                "later": "read" if entry.kind == WRITE_READ else "write"}  # fmt: skip
        for which, inst in (("earlier", earlier_inst), ("later", later_inst)):
            if inst is not None and inst.opcode in ("atom", "red"):
                does[which] = "atomic"
        first = self._side(
            entry.earlier, entry.earlier_block, entry.earlier_thread, does["earlier"]
        )
        second = self._side(entry.later, entry.later_block, entry.later_thread, does["later"])
        same = entry.harmless == entry.count
        kind = HAZARDS[entry.kind] + (" of equal values" if same else "")
        name = self._name(entry, later_inst)
        value = self._values(entry, earlier_inst, later_inst, same)
        apart = "block" if first.block != second.block else "thread"
        missing = (
            "in one instruction" if entry.at_once == TWO_LANES else
            "while the product may still read it: let wgmma.wait_group come first, then a barrier "
            "or an mbarrier" if entry.at_once == IN_PRODUCT else
            "while the copy may still read it: cp.async.bulk.wait_group.read by the thread that "
            "issued it comes first, then a barrier" if entry.at_once == BEING_READ else
            "while the copy is in flight: wait until the mbarrier that counts its bytes has "
            "completed the phase" if entry.at_once and _is_bulk(earlier_inst) else
            "while the copy is in flight: wait for it, then at a barrier" if entry.at_once else
            "and no barrier of the cluster and no mbarrier orders the two"
            if apart == "block" and entry.space == SHARED else
            "blocks run at the same time, and no fence with an atomic or volatile access orders "
            "the two" if apart == "block" else
            "with no barrier between them" if first.thread != second.thread else "unordered"
        )  # fmt: skip
        message = (
            f"{kind} on {name} in kernel {self.launch.kernel.name!r}: {_who(first, second)} "
            f"and {_who(second, first)}, {missing}; {value}"
            f"{_line(first)}{_line(second) if second.line != first.line else ''}"
        )
        return self._finding(
            "racecheck", kind, entry, second, (first, second), message,
            severity="info" if same else "error",
        )  # fmt: skip

    def swizzle(self, entry: Found) -> Finding:
        """A descriptor that swizzles otherwise than the copy that brought the matrix."""
        copy = self._side(entry.earlier, entry.earlier_block, entry.earlier_thread, "write")
        side = self._side(entry.later, entry.later_block, entry.later_thread, "read")
        said = [f"a swizzle of {n} bytes" if n else "no swizzle" for n in (entry.old, entry.new)]
        kind = "matrix descriptor and tensor map swizzle differently"
        return self._finding(
            "racecheck", kind, entry, side, (copy, side),
            f"{kind} in kernel {self.launch.kernel.name!r}: block {side.block}, thread "
            f"{side.thread} multiplies what lies at shared offset {entry.address:,}, where a copy "
            f"({copy.file}:{copy.line}) put a box with {said[0]}; the descriptor says {said[1]}. "
            f"Bits 62-63 of the descriptor and the tensor map must agree{_line(side)}",
        )  # fmt: skip

    def unfenced(self, entry: Found) -> Finding:
        """What threads wrote, read by the async proxy without a fence."""
        inst = self.instructions.instruction(entry.later)
        first = self._side(entry.earlier, entry.earlier_block, entry.earlier_thread, "write")
        second = self._side(entry.later, entry.later_block, entry.later_thread, "read")
        reader = "a wgmma" if inst is not None and inst.opcode == "wgmma" else "a bulk copy"
        kind = "missing fence.proxy.async"
        return self._finding(
            "racecheck", kind, entry, second, (first, second),
            f"{kind} in kernel {self.launch.kernel.name!r}: {_who(first, second)}, then {reader} "
            f"of thread {second.thread} reads {self._name(entry, None)} ({_place(second)}) by the "
            "async proxy, which may see what was there before. After its writes, and before the "
            "barrier, each thread that wrote needs a fence.proxy.async"
            f"{_line(first)}{_line(second) if second.line != first.line else ''}",
        )  # fmt: skip

    def left_in_flight(self, entry: Found) -> Finding:
        """A copy to a block that exits before it is there."""
        copy = self._side(entry.later, entry.later_block, entry.later_thread, "write")
        owner = _unravel(entry.earlier_block, self.launch.grid)
        kind = "block exits with a copy in flight"
        return self._finding(
            "racecheck", kind, entry, copy, (copy,),
            f"{kind} in kernel {self.launch.kernel.name!r}: thread {copy.thread} of block "
            f"{copy.block} copies {entry.nbytes:,} bytes to {self._name(entry, None)} of block "
            f"{owner}, all of whose threads exit before the mbarrier that counts them was found "
            f"complete; the next block may have that memory by then. Wait for it{_line(copy)}",
        )  # fmt: skip

    def visit(self, entry: Found) -> Finding:
        """A block in the shared memory of another one that may not be there."""
        inst = self.instructions.instruction(entry.later)
        writes = inst is not None and bool(flags_of(inst) & WRITES)
        side = self._side(entry.later, entry.later_block, entry.later_thread,
                          "write" if writes else "read")  # fmt: skip
        owner = _unravel(entry.earlier_block, self.launch.grid)
        early = entry.kind == NOT_STARTED
        kind = (
            "access to the shared memory of a block that may not have started" if early
            else "block may exit while its shared memory is in use"
        )  # fmt: skip
        why = (
            f"nothing says that block {owner} has started: let all blocks meet first "
            "(cluster.sync())" if early
            else f"nothing keeps block {owner} until then: let all blocks meet (cluster.sync()) "
            "before they exit"
        )  # fmt: skip
        place = self._name(entry, inst)
        return self._finding(
            "racecheck", kind, entry, side, (side,),
            f"{kind} in kernel {self.launch.kernel.name!r}: thread {side.thread} of block "
            f"{side.block} {side.kind}s {place} of block {owner}, and {why}{_line(side)}",
        )  # fmt: skip

    def _finding(
        self,
        check: str,
        kind: str,
        entry: Found,
        side: Side,
        sides: Sequence[Side],
        message: str,
        severity: str = "error",
    ) -> Finding:
        return Finding(
            check, kind, self.launch.kernel.name, side.file, side.line, side.source_text,
            side.block, side.thread, entry.address, entry.nbytes, message,
            count=entry.count, severity=severity, sides=tuple(sides),
        )  # fmt: skip

    def _side(self, number: int, block: int, thread: int, kind: str) -> Side:
        inst = self.instructions.instruction(number)
        source = self.launch.kernel.module.source_line(inst) if inst is not None else None
        return Side(
            kind,
            source.file if source else "",
            source.line if source else 0,
            source.text.strip() if source else "",
            _unravel(block, self.launch.grid),
            _unravel(thread, self.launch.block),
        )

    def _name(self, entry: Found, inst: Instruction | None) -> str:
        """The array and the element, as the kernel's author would call them."""
        element = max(entry.nbytes, 1)
        if entry.space == GLOBAL:
            allocation = self.launch.memory.nearest(entry.address)
            if allocation is None or not allocation.address <= entry.address < allocation.end:
                return f"global memory at {entry.address:#x}"
            name = allocation.name or f"an array at {allocation.address:#x}, element "
            return _element(name, entry.address - allocation.address, element)
        if entry.space == SHARED:
            placed = [(at, n) for n, at in self.launch.kernel.shared_offsets.items()]
            before = [(at, n) for at, n in sorted(placed) if at <= entry.address]
            if not before:
                return f"shared memory at offset {entry.address}"
            start, symbol = before[-1]
            return _element(_plain(symbol), entry.address - start, element) + " (shared)"
        return f"local memory at offset {entry.address}"

    def _values(
        self, entry: Found, earlier: Instruction | None, later: Instruction | None, same: bool
    ) -> str:
        kind = later.type if later is not None else ""
        old, new = _value(entry.old, entry.nbytes, kind), _value(entry.new, entry.nbytes, kind)
        if entry.at_once == IN_PRODUCT:
            return "the product gets what was there, or what is written, as it happens"
        if entry.kind == WRITE_READ:
            return f"the read gets {old}, or what was there before, as it happens"
        if not entry.has_values & 2:
            return f"{old} is there now; the other order may leave something else"
        if entry.kind == READ_WRITE:
            return f"the read gets {old}, or {new}, which the other writes, as it happens"
        if same:
            return f"both write {new}, so the result is the same"
        return f"{new} overwrites {old}; which of the two is lost is left to chance"


def _who(side: Side, other: Side) -> str:
    verb = {"read": "reads", "write": "writes", "atomic": "updates atomically"}[side.kind]
    return f"thread {side.thread} of block {side.block} {verb} it ({_place(side)})"


def _is_bulk(inst: Instruction | None) -> bool:
    return inst is not None and inst.opcode == "cp" and inst.has("bulk")


def _place(side: Side) -> str:
    return f"{side.file}:{side.line}" if side.line else "an unknown line"


def _line(side: Side) -> str:
    return f"\n    {side.line}: {side.source_text}" if side.source_text else ""


def _element(name: str, offset: int, nbytes: int) -> str:
    index, rest = divmod(offset, nbytes)
    return f"{name}[{index}]" if not rest else f"{name} at byte {offset}"


def _plain(symbol: str) -> str:
    """``tile`` of ``_ZZ6kernelPfE4tile``: a variable's own name without its function's."""
    found = re.search(r"E(\d+)(\w+)$", symbol) if symbol.startswith("_Z") else None
    return found.group(2)[: int(found.group(1))] if found else symbol


def _unravel(index: int, shape: Dim3) -> Dim3:
    x, y, z = shape
    return index % x, index // x % y, index // (x * y) % z


FORMATS = {("f", 2): "<e", ("f", 4): "<f", ("f", 8): "<d"}


def _value(raw: int, nbytes: int, kind: str) -> str:
    """A value as its type has it; untyped bits in hexadecimal."""
    bits = raw & ((1 << 8 * nbytes) - 1)
    layout = FORMATS.get((kind[:1], nbytes))
    if layout:
        return f"{struct.unpack(layout, bits.to_bytes(nbytes, 'little'))[0]:g}"
    if kind.startswith("s") and bits >> (8 * nbytes - 1):
        return str(bits - (1 << 8 * nbytes))
    if kind.startswith(("s", "u")) and not (kind == "u32" and bits >> 31):
        return str(bits)
    # PTX has no sign on loads and stores of int
    return str(bits - (1 << 32)) if bits >= (1 << 32) - (1 << 16) and nbytes == 4 else f"{bits:#x}"
