"""The talk's arithmetic experiment: chains of dependent FFMAs, and their operands (``ffma.cu``).

Source: the talk, on an A100: one block of n warps, n chains, many iterations; an SM ends at 180.5
GFLOPS. An FFMA's registers bring 768 B a clock, shared memory 128.
"""

from __future__ import annotations

from typing import Any

from kernels.ilp_tlp.launches import WARP, check_choice, check_stamps, instance, warps_of
from kernels.runtime import Device, KernelFunction

CHAINS = (1, 2, 3, 4, 6, 8, 16, 32)  # of a thread
UNROLLED = 256  # FFMAs of a round, at most; as in ffma.cu
WEIGHTS = 16
OPERAND_CHAINS = 8
USES = (1, 2, 4, 8)  # of a weight that was read


def ffma_chains(
    device: Device, factors: Any, stamps: Any, out: Any, chains: int, rounds: int, *, warps: int = 4
) -> None:
    """``chains`` chains of dependent FFMAs in every thread: ``x = x * a + b``.

    ``factors`` (2,): float32, a and b. ``out``: float32, one a thread, whole blocks of ``warps``:
    the sum of the thread's chains, which begin at its number in the block, that + 1, and so on;
    each is of ``steps(chains) * rounds`` FFMAs. ``stamps`` (warps, 2, 2), int64: each warp's begin
    and end, as the SM's clock and as nanoseconds. Raises ValueError for other shapes, or chains
    that there is no kernel for.
    """
    blocks = _blocks("ffma_chains", out, warps, rounds)
    if tuple(factors.shape) != (2,):
        raise ValueError(f"ffma_chains: factors must have shape (2,); it has {factors.shape}")
    check_stamps("ffma_chains", stamps, blocks, warps * WARP)
    kernel = ffma_chains_kernel(chains)
    device.launch(kernel, blocks, warps * WARP, (factors, stamps, out, rounds))


def steps(chains: int) -> int:
    """Dependent FFMAs of a chain in one round."""
    return UNROLLED // chains


def ffmas(chains: int, rounds: int) -> int:
    """FFMAs of a thread in all."""
    return steps(chains) * chains * rounds


def ffma_chains_kernel(chains: int) -> KernelFunction:
    """The kernel ``(factors, stamps, out, rounds)`` with ``chains`` chains a thread."""
    check_choice("ffma_chains", "chains", chains, CHAINS)
    return _stamped(f"ffma_chains_{chains}", f"ffma_chains<{chains}>", "factors")


def ffma_registers(
    device: Device, weights: Any, stamps: Any, out: Any, rounds: int, *, warps: int = 4
) -> None:
    """8 chains a thread, FFMA j of a round adding weight j of 16: from registers.

    ``weights`` (16, 32): float32, a column a lane. Chains are multiplied by -1 where the lane's
    first weight is negative, else by 1. ``stamps`` and ``out`` as for :func:`ffma_chains`.
    """
    blocks = _operands("ffma_registers", weights, stamps, out, warps, rounds)
    kernel = ffma_registers_kernel()
    device.launch(kernel, blocks, warps * WARP, (weights, stamps, out, rounds))


def ffma_registers_kernel() -> KernelFunction:
    """The kernel ``(weights, stamps, out, rounds)`` that holds its weights in registers."""
    return _stamped("ffma_registers", "ffma_from_registers", "weights")


def ffma_shared(
    device: Device, weights: Any, stamps: Any, out: Any, uses: int, rounds: int, *, warps: int = 4
) -> None:
    """:func:`ffma_registers` with weights in shared memory, each read serving ``uses`` chains.

    ``uses`` is 1, 2, 4 or 8.
    """
    check_choice("ffma_shared", "uses", uses, USES)
    blocks = _operands("ffma_shared", weights, stamps, out, warps, rounds)
    kernel = ffma_shared_kernel(uses)
    device.launch(kernel, blocks, warps * WARP, (weights, stamps, out, rounds))


def ffma_shared_kernel(uses: int) -> KernelFunction:
    """The kernel ``(weights, stamps, out, rounds)`` that reads a weight for ``uses`` chains."""
    return _stamped(f"ffma_shared_{uses}", f"ffma_shared<{uses}>", "weights")


def _stamped(name: str, template: str, values: str) -> KernelFunction:
    return instance(
        "ffma",
        name,
        f'extern "C" __global__ void {name}(const float* __restrict__ {values},\n'
        "    long long* __restrict__ stamps, float* __restrict__ out, int rounds) {\n"
        f"  {template}({values}, reinterpret_cast<Stamp*>(stamps), out, rounds);\n}}\n",
    )


def _operands(name: str, weights: Any, stamps: Any, out: Any, warps: int, rounds: int) -> int:
    blocks = _blocks(name, out, warps, rounds)
    if tuple(weights.shape) != (WEIGHTS, WARP):
        raise ValueError(f"{name}: weights must have shape (16, 32); it has {weights.shape}")
    check_stamps(name, stamps, blocks, warps * WARP)
    return blocks


def _blocks(name: str, out: Any, warps: int, rounds: int) -> int:
    if rounds < 0:
        raise ValueError(f"{name}: rounds is {rounds}; it must not be negative")
    if out.size == 0 or out.size % (warps * WARP):
        raise ValueError(
            f"{name}: out holds {out.size} elements; expected whole blocks of {warps * WARP}"
        )
    blocks: int = out.size // (warps * WARP)
    warps_of(name, warps, blocks)
    return blocks
