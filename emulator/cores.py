"""Blocks on several host cores, for kernels whose blocks (or clusters) cannot tell.

A kernel qualifies by its instructions: nothing by which a block could wait for another one or see
in which order they ran. What blocks then write is the same on any number of cores, unless they
write different values to one place, which has no defined result on a GPU either.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from emulator.cfg import read_registers
from emulator.deadlock import Stillness
from emulator.errors import DeviceFault
from emulator.lower.calls import HOST_FUNCTIONS
from emulator.module import Kernel
from emulator.native.layout import DONE, FAULT, PAUSE, STUCK, YIELD, Context
from emulator.ptx import Instruction, Register, Symbol
from emulator.running import Launch, Slot, residents

CHUNK_SECONDS = 0.01  # of blocks that a core takes at a time
LOOK_SECONDS = 0.02  # between looks at the clock and for Ctrl-C
WAITING_LOADS = {"volatile", "acquire", "relaxed", "mmio", "cv"}
ORDERED_STORES = {"volatile", "release", "relaxed", "mmio"}
WIDE_FENCES = {"gl", "sys", "gpu"}  # a cluster's blocks are on one core, and take turns
WHOLE_NUMBERS = {"u32", "s32", "b32", "u64", "s64", "b64"}
COMMUTING = {"add", "and", "or", "xor", "min", "max"}
TIMES = ("%clock", "%globaltimer", "%envreg")

RunBlocks = Callable[[int, int, int, int, int], int]
StepBlock = Callable[[int, int], int]


def blocks_are_alone(kernel: Kernel) -> bool:
    """Whether no block of the kernel can tell when others run."""
    kinds: set[str] = set()
    return all(
        _is_alone(inst, kinds, read)
        for function in kernel.functions
        for read in [{name for inst in function.instructions for name in read_registers(inst)}]
        for inst in function.instructions
    )


def _is_alone(inst: Instruction, kinds: set[str], read: set[str]) -> bool:
    """``kinds`` collects the operations that blocks do to memory they share.

    ``read`` are the registers that something reads.
    """
    opcode, modifiers = inst.opcode, set(inst.modifiers)
    if any(word in inst.text for word in TIMES):
        return False
    if opcode == "call":
        target = inst.operands[0]
        return isinstance(target, Symbol) and target.name not in HOST_FUNCTIONS
    if opcode in ("membar", "fence"):
        return not modifiers & WIDE_FENCES
    if any(m.split("::")[0] in ("shared", "local") for m in modifiers):
        return True
    if opcode == "ld":
        return not modifiers & WAITING_LOADS
    if opcode == "st":
        return not modifiers & ORDERED_STORES
    if opcode in ("atom", "red"):
        old = inst.operands[0]
        unread = opcode == "red" or (isinstance(old, Register) and old.name not in read)
        kinds |= modifiers & COMMUTING
        # operations of one kind commute; of several kinds they may not
        return unread and inst.type in WHOLE_NUMBERS and bool(
            modifiers & COMMUTING
        ) and len(kinds) == 1  # fmt: skip
    return True


@dataclass
class _Failure:
    """What stopped a block."""

    block: int  # linear
    worker: _Worker
    status: int
    error: BaseException | None = None


class Crew:
    """The cores of one launch, and the blocks they share."""

    def __init__(
        self,
        launch: Launch,
        slots: list[Slot],
        first: int,
        total: int,
        run_blocks: RunBlocks,
        step_block: StepBlock,
    ) -> None:
        self.lock = threading.Lock()
        self.following = first
        self.limit = total  # no block from here on matters: an earlier one has failed
        self.stop = False
        self.finished = 0
        self.failures: list[_Failure] = []
        self.run_blocks, self.step_block = run_blocks, step_block
        self.workers = [_Worker(self, launch, slot) for slot in slots]

    def run(self, look: Callable[[int], None]) -> None:
        """Until all blocks are done or one has failed; ``look`` may raise to stop everything."""
        threads = [threading.Thread(target=w.run, daemon=True) for w in self.workers]
        try:
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                for thread in threads:
                    thread.join(LOOK_SECONDS / len(threads))
                look(self.finished)
        finally:
            self.stop = True
            for thread in threads:
                if thread.ident is not None:
                    thread.join()

    def first_failure(self) -> _Failure | None:
        """What the blocks in their order would have come to first."""
        return min(self.failures, key=lambda f: f.block, default=None)

    def take(self, count: int) -> range:
        """The next blocks for a core."""
        with self.lock:
            left = max(self.limit - self.following, 0)
            fair = max(left // (2 * len(self.workers)), 1)
            start = self.following
            self.following += min(count, fair, left)
            return range(start, self.following)

    def fail(self, failure: _Failure) -> None:
        with self.lock:
            self.failures.append(failure)
            self.limit = min(self.limit, failure.block)


class _Worker:
    """One core: its own context and slot, everything else shared."""

    def __init__(self, crew: Crew, launch: Launch, slot: Slot) -> None:
        self.crew = crew
        context = Context.from_buffer_copy(launch.context)
        sites = type(launch.sites).from_buffer_copy(launch.sites)
        raw = np.zeros(launch.block_counts.size + 2, dtype=np.uint64)
        start = raw.ctypes.data % 16 // 8  # compiled code adds to aligned pairs
        counts = raw[start : start + launch.block_counts.size].reshape(-1, 2)
        context.sites = ctypes.addressof(sites)
        context.block_counts = counts.ctypes.data
        self.launch = replace(
            launch,
            context=context,
            sites=sites,
            block_counts=counts,
            slots=residents([slot]),
        )
        self.slot = slot
        self.stillness = Stillness(self.launch)

    def run(self) -> None:
        count = 1
        while not self.crew.stop:
            blocks = self.crew.take(count)
            if not blocks:
                return
            before = time.perf_counter()
            self._run(blocks)
            took = time.perf_counter() - before
            count = count * 2 if took < CHUNK_SECONDS else max(count // 2, 1)

    def _run(self, blocks: range) -> None:
        crew = self.crew
        context = ctypes.addressof(self.launch.context)
        state = self.slot.address
        following = ctypes.c_uint64(blocks.start)
        where = ctypes.addressof(following)
        while following.value < min(blocks.stop, crew.limit) and not crew.stop:
            before = following.value
            status = crew.run_blocks(context, state, before, blocks.stop, where)
            while status in (PAUSE, YIELD) and not crew.stop:
                try:
                    self.stillness.look([self.slot], following.value, may_start=False)
                except DeviceFault as error:
                    crew.fail(_Failure(following.value - 1, self, STUCK, error))
                    return
                status = crew.step_block(context, state)
            if status in (FAULT, STUCK):
                crew.fail(_Failure(following.value - 1, self, status))
                return
            if status == DONE:
                with crew.lock:
                    crew.finished += following.value - before
