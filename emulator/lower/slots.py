"""Where values wait while a compiled routine runs.

A call keeps no vector register, so a value that is needed after one has to wait in memory. Left to
LLVM's register allocator, the long blocks of unrolled kernels take it ten times as long as all the
rest of compilation; written out here, each value lives only between two calls.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from llvmlite import ir

from emulator.cfg import Block, read_registers
from emulator.native.layout import i8, i64, pointer

ALIGN = 64


class Slots:
    """Stack memory of a compiled kernel, given out within a block and taken back after last use."""

    def __init__(
        self, builder: ir.IRBuilder, pointer_to: Callable[[ir.Value, int], ir.Value]
    ) -> None:
        self.pointer_to = pointer_to
        self.area = builder.alloca(i8, size=ir.Constant(i64, 0), name="slots")
        self.area.align = ALIGN
        self.base = builder.inttoptr(builder.ptrtoint(self.area, i64), pointer)
        self.nbytes = 0
        self.offsets: dict[str, int] = {}
        self.kinds: dict[str, ir.VectorType] = {}
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

    def keep(self, name: str, kind: ir.VectorType) -> ir.Value:
        """Memory for a value that will wait here."""
        size = max(kind.count * _bits(kind.element) // 8, ALIGN)
        if self._free[size]:
            self.offsets[name] = self._free[size].pop()
        else:
            self.offsets[name] = self._end
            self._end += size
            self.nbytes = max(self.nbytes, self._end)
            self.area.operands[0] = ir.Constant(i64, self.nbytes)
        self._sizes[name] = size
        self.kinds[name] = kind
        return self.place(name)

    def place(self, name: str) -> ir.Value:
        """Where a value waits."""
        return self.pointer_to(self.base, self.offsets[name])

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


def _bits(element: ir.Type) -> int:
    if isinstance(element, ir.IntType):
        return int(element.width)
    return {ir.HalfType(): 16, ir.FloatType(): 32, ir.DoubleType(): 64}[element]
