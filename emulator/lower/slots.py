"""Where values wait while a compiled routine runs.

A call keeps no vector register, so a value that is needed after one has to wait in memory. Left to
LLVM's register allocator, the long blocks of unrolled kernels take it ten times as long as all the
rest of compilation; written out here, each value lives only between two calls.
"""

from __future__ import annotations

from collections import defaultdict

from llvmlite import ir

from emulator.cfg import Block, read_registers
from emulator.native.layout import LANES, at, i8, i64, pointer

ALIGN = 64


class Slots:
    """Stack memory of a compiled kernel, given out within a block and taken back after last use."""

    def __init__(self, builder: ir.IRBuilder) -> None:
        self.builder = builder
        self.area = builder.alloca(i8, size=ir.Constant(i64, 0), name="slots")
        self.area.align = ALIGN
        self.base = builder.inttoptr(builder.ptrtoint(self.area, i64), pointer)
        self.nbytes = 0
        self.offsets: dict[str, int] = {}
        self.last_uses: dict[str, int] = {}
        self._free: dict[int, list[int]] = defaultdict(list)
        self._sizes: dict[str, int] = {}
        self._end = 0

    def start_block(self, block: Block) -> None:
        """Forget the last block's values; learn when this one's are last read."""
        self.offsets.clear()
        self._sizes.clear()
        self._free.clear()
        self._end = 0
        self.last_uses = {
            name: position
            for position, inst in enumerate(block.body)
            for name in read_registers(inst)
        }

    def place(self, name: str, width: int) -> ir.Value:
        """Memory for a value of ``width`` bits a lane."""
        if name not in self.offsets:
            size = max(width // 8 * LANES, ALIGN)
            if self._free[size]:
                self.offsets[name] = self._free[size].pop()
            else:
                self.offsets[name] = self._end
                self._end += size
                self.nbytes = max(self.nbytes, self._end)
                self.area.operands[0] = ir.Constant(i64, self.nbytes)
            self._sizes[name] = size
        return at(self.builder, self.base, self.offsets[name])

    def holds(self, name: str) -> bool:
        """Whether the value waits here."""
        return name in self.offsets

    def drop(self, name: str) -> None:
        """The value here is not wanted any more: it was overwritten, or read for the last time."""
        if name in self.offsets:
            self._free[self._sizes.pop(name)].append(self.offsets.pop(name))

    def drop_unread(self, position: int) -> None:
        """Take back the memory of what no instruction from ``position`` on reads."""
        for name in [n for n in self.offsets if self.last_uses.get(n, -1) < position]:
            self.drop(name)
