"""What a warp's instructions cost it, in modelled cycles, when nothing but itself is in its way.

A scheduler issues the instructions of a basic block one after the other, one a cycle at most, when
the registers that each reads are there: arithmetic takes four cycles, shared memory thirty, global
memory the chip's latency. ``mma`` also takes its time on the tensor cores, which the warps of one
scheduler share. What a block leaves in flight when it ends is not waited for. What waiting for
other threads and for hardware beside the threads costs is in :mod:`emulator.timeline.replay`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from emulator.arch import Arch
from emulator.cfg import Block, comes_again, read_registers, written_registers
from emulator.lower.tensor import ELEMENT_BITS, element_types, shape_of
from emulator.module import Kernel
from emulator.ptx import Instruction

ARITHMETIC_CYCLES = 4
SHARED_CYCLES = 30  # of a load
MMA_CYCLES = 32  # until its sums can be read, as microbenchmarks of Hopper find
SPECIAL_CYCLES = 20  # of functions like ex2
NEAR = {"param", "const", "local"}
SPECIAL = {"ex2", "lg2", "sin", "cos", "rcp", "rsqrt", "sqrt", "tanh", "div"}


@dataclass(frozen=True)
class Costs:
    """Of a kernel: cycles of each basic block, and where in a block each instruction stands.

    ``after[site]`` is what has to be added to a warp's count at an instruction: a block is counted
    as a whole before its first instruction, or, where it ends with a wait, behind the last one.
    """

    blocks: npt.NDArray[np.int64]
    after: npt.NDArray[np.int64]


def costs_of(kernel: Kernel, arch: Arch, warps: int) -> Costs:
    """Costs of a kernel whose blocks have ``warps`` warps."""
    share = max(-(-warps // arch.schedulers_per_sm), 1)
    blocks = np.zeros(max(len(kernel.graph.blocks), 1), np.int64)
    after = np.zeros(len(kernel.instructions) + 1, np.int64)
    for block in kernel.graph.blocks:
        issued = issue_times(block, arch, share)
        total = issued[-1] if issued else 0
        blocks[block.number] = total
        last = block.terminator
        counted_late = last is not None and comes_again(last)
        for offset, cycles in enumerate(issued):
            site = kernel.sites[block.function.name, block.first + offset]
            after[site] = cycles if counted_late else cycles - total
    return Costs(blocks, after)


def issue_times(block: Block, arch: Arch, share: int) -> list[int]:
    """Cycles from the start of a block to behind the issue of each instruction."""
    now, tensor_free = 0, 0
    ready: dict[str, int] = {}
    times = []
    for inst in block.body:
        now = max([now, *(ready.get(register, 0) for register in read_registers(inst))])
        if inst.opcode == "mma":
            now = max(now, tensor_free)
            tensor_free = now + share * tensor_cycles(inst, arch)
        now += 1
        for register in written_registers(inst):
            ready[register] = now + latency(inst, arch)
        times.append(now)
    return times


def latency(inst: Instruction, arch: Arch) -> int:
    """Cycles from an instruction's issue until another may read what it wrote."""
    if inst.opcode in ("ldmatrix",) or (inst.opcode == "ld" and inst.has("shared")):
        return SHARED_CYCLES
    if inst.opcode == "mma":
        return MMA_CYCLES
    if inst.opcode in ("ld", "ldu", "atom") and not NEAR & set(inst.modifiers):
        return SHARED_CYCLES if "shared" in inst.text.split()[0] else arch.dram_latency_cycles
    if inst.opcode in ("wgmma", "mbarrier"):
        return 1
    return SPECIAL_CYCLES if inst.opcode in SPECIAL else ARITHMETIC_CYCLES


def tensor_cycles(inst: Instruction, arch: Arch) -> int:
    """Cycles of a scheduler's tensor cores for a warp's part of a product, dense.

    FP16's rate is the chip's; wider elements are slower and narrower ones faster as they are wider
    and narrower.
    """
    m, n, k = shape_of(inst)
    rows = m // 4 if inst.opcode == "wgmma" else m
    bits = max(ELEMENT_BITS.get(kind, 16) for kind in element_types(inst)[1:3] or ("f16",))
    rate = arch.tensor_flops_per_clock / arch.schedulers_per_sm * 16 / bits
    return max(round(2 * rows * n * k / rate), 1)
