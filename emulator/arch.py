"""The chips the software GPU stands in for, one table.

Sources: NVIDIA H100 and A100 datasheets and architecture whitepapers, and the CUDA C++
Programming Guide's table of technical specifications (compute capability 8.0 and 9.0); the sizes
and carve-outs of L1 are in NVIDIA's Hopper and Ampere tuning guides.
``dram_efficiency`` and the latencies are what microbenchmarks reach on such chips, not promises of
a datasheet.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Arch:
    """One chip. Bytes and hertz, per device unless the name says otherwise."""

    name: str
    compute_capability: tuple[int, int]
    sm_count: int
    clock_hz: float
    dram_bytes_per_s: float
    dram_efficiency: float  # share of the datasheet's bandwidth that a copy reaches
    dram_latency_cycles: int
    l2_bytes: int
    l2_bytes_per_clock: int  # all slices together
    store_lines_per_s: float  # that all SMs together send to L2
    l2_atomic_s: float  # a slice of L2, for atomics on different words of one sector
    fp32_lanes_per_sm: int
    schedulers_per_sm: int
    max_threads_per_block: int
    max_threads_per_sm: int
    max_blocks_per_sm: int
    max_shared_per_block: int  # opt-in maximum, dynamic and static together
    max_shared_per_sm: int
    registers_per_sm: int
    unified_per_sm: int  # L1 and shared memory together
    carveouts: tuple[int, ...]  # what of that may be set aside as shared memory
    l1_bytes_per_clock: int  # an SM's, from L1 or shared memory
    fp64_lanes_per_sm: int
    tensor_flops_per_clock: int  # an SM's, dense FP16, a multiply-add as two
    block_us: float  # from a block's end to the next one's first instructions
    block_warp_us: float  # the same by each of its warps: they start and end one after another
    launch_us: float  # an empty kernel, start to end

    shared_reserved_per_block: int = 1024
    fp32_latency_cycles: int = 4  # until a dependent FP32 instruction issues: Ampere's and Hopper's

    @property
    def fp32_flops(self) -> float:
        """Peak FP32 rate, counting an FMA as two."""
        return 2.0 * self.fp32_lanes_per_sm * self.sm_count * self.clock_hz


H100 = Arch(
    name="H100 SXM5",
    compute_capability=(9, 0),
    sm_count=132,
    clock_hz=1.98e9,
    dram_bytes_per_s=3.352e12,
    dram_efficiency=0.90,
    dram_latency_cycles=650,
    l2_bytes=50 << 20,
    l2_bytes_per_clock=5120,
    # transpose_naive in benchmarks/results/bank_conflicts_h100.json, alike at all sizes
    store_lines_per_s=58e9,
    l2_atomic_s=0.735e-9,  # as benchmarks/results/atomic_rates_h100.json records
    fp32_lanes_per_sm=128,
    schedulers_per_sm=4,
    max_threads_per_block=1024,
    max_threads_per_sm=2048,
    max_blocks_per_sm=32,
    max_shared_per_block=227 << 10,
    max_shared_per_sm=228 << 10,
    registers_per_sm=65536,
    unified_per_sm=256 << 10,
    carveouts=tuple(kib << 10 for kib in (0, 8, 16, 32, 64, 100, 132, 164, 196, 228)),
    l1_bytes_per_clock=128,
    fp64_lanes_per_sm=64,
    tensor_flops_per_clock=4096,
    block_us=0.25,  # both fitted to benchmarks/results/coalescing_h100.json
    block_warp_us=0.016,
    launch_us=3.1,  # as benchmarks/results/coalescing_h100.json records
)

A100 = Arch(
    name="A100 SXM4 80GB",
    compute_capability=(8, 0),
    sm_count=108,
    clock_hz=1.41e9,
    dram_bytes_per_s=2.039e12,
    dram_efficiency=0.88,
    dram_latency_cycles=500,
    l2_bytes=40 << 20,
    l2_bytes_per_clock=5120,
    store_lines_per_s=34e9,  # an H100's, by SMs and clock
    l2_atomic_s=1.03e-9,  # an H100's, by the clock
    fp32_lanes_per_sm=64,
    schedulers_per_sm=4,
    max_threads_per_block=1024,
    max_threads_per_sm=2048,
    max_blocks_per_sm=32,
    max_shared_per_block=163 << 10,
    max_shared_per_sm=164 << 10,
    registers_per_sm=65536,
    unified_per_sm=192 << 10,
    carveouts=tuple(kib << 10 for kib in (0, 8, 16, 32, 64, 100, 132, 164)),
    l1_bytes_per_clock=128,
    fp64_lanes_per_sm=32,
    tensor_flops_per_clock=2048,
    block_us=0.25,  # an H100's
    block_warp_us=0.016,
    launch_us=2.5,
)
