"""The heap of device-side ``malloc`` and ``free``, which outlives launches (CUDA guide, 7.34)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulator.errors import EmulatorError

if TYPE_CHECKING:
    from emulator.memory import Allocation, DeviceMemory

HEAP_BYTES = 8 << 20  # cudaLimitMallocHeapSize as it is unless set
ALIGNMENT = 16
GAP = 128  # bytes between two blocks: small, for a kernel may allocate thousands
REMEMBERED = 4096  # freed blocks, for messages
OVERHEAD = 16  # bytes a block costs besides its own, so that empty ones run out, too


class BadFree(EmulatorError):
    """What was freed is no block of the heap; ``kind`` is "double free" or "invalid free"."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Heap:
    """Blocks that kernels allocated in one :class:`DeviceMemory` and did not free yet."""

    def __init__(self, memory: DeviceMemory, limit: int = HEAP_BYTES) -> None:
        self.memory = memory
        self.limit = limit
        self.used = 0
        self.blocks: dict[int, Allocation] = {}
        self.freed: dict[int, Allocation] = {}  # by address, until that is handed out again

    def malloc(self, nbytes: int, name: str, align: int = ALIGNMENT) -> int:
        """Address of a new block, or 0 when the heap has no room for it."""
        cost = _cost(nbytes)
        if self.used + cost > self.limit:
            return 0
        block = self.memory.allocate(nbytes, name, align, gap=GAP)
        self.used += cost
        self.blocks[block.address] = block
        self.freed.pop(block.address, None)
        return block.address

    def free(self, address: int) -> None:
        """Give a block back; a null pointer is none. Raises :class:`BadFree`."""
        if address == 0:
            return
        block = self.blocks.pop(address, None)
        if block is None:
            raise self._bad(address)
        self.used -= _cost(block.nbytes)
        self.freed[address] = block
        if len(self.freed) > REMEMBERED:
            del self.freed[next(iter(self.freed))]
        self.memory.free(block)

    def _bad(self, address: int) -> BadFree:
        earlier = self.freed.get(address)
        if earlier is not None:
            return BadFree("double free", f"{earlier.name!r} at {address:#x} was freed before")
        around = self.memory.nearest(address)
        if around is None or not around.address <= address < around.end:
            what = "where nothing is allocated"
        elif around.address in self.blocks:
            what = f"{address - around.address} bytes into {around.name!r}: not what malloc gave"
        else:
            what = f"inside {around.name or 'an array'!r}, which did not come from malloc"
        return BadFree("invalid free", f"{address:#x} is {what}")


def _cost(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT + OVERHEAD
