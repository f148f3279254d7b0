"""Modelled time: what bounds a launch, by the chip's table. A model, never a measurement.

A launch takes as long as its tightest bound, plus what starting a grid costs and the first blocks'
way to memory. Waiting and moving data overlap where many warps are there to do either; the fewer
there are, of those that the chip can hold, the more of the two adds up:

- *dram*: bytes read and bytes made to differ from DRAM, which must be written some time, as the
  modelled caches have them, over the bandwidth that a copy reaches;
- *l2*: sectors that reach L2, over its bandwidth;
- *stores*: lines that stores send to L2, each access its own, however little of a line it writes;
- *atomics*: passes of atomics and reductions over a sector, which its slice of L2 makes one after
  another: lanes, warps and blocks that add to one word take turns;
- *l1*: sectors that loads ask for and wavefronts of shared memory, a line a clock an SM;
- *latency*: the times that its warps wait for memory, each a round trip, as many warps at once as
  the chip holds (Little's law: what is in flight decides), and the turnover of blocks, which come
  in waves;
- *dependence*: chains of FP32 arithmetic, each instruction of which waits for the one before, over
  the warps that are there at once (:mod:`emulator.dependence`);
- *issue*, *fp32*, *fp64*, *tensor*: instructions over what the schedulers issue and pipes execute.
"""

from __future__ import annotations

from dataclasses import replace

from emulator.cfg import read_registers, written_registers
from emulator.counting import metrics
from emulator.dependence import waits_for_arithmetic
from emulator.report import Report
from emulator.running import Launch

SECTOR_BYTES = 32
# Tensor-core operations a clock over those of FP16, by path (H100's and A100's whitepapers). Those
# of 4 and 1 bits are taken to run as those of 8, which H100's does not say.
TENSOR_RATES = {"fp16": 1.0, "bf16_dst_fp32": 1.0, "tf32_dst_fp32": 0.5, "fp64": 0.0625,
                "fp8": 2.0, "int8": 2.0, "int4": 2.0, "int1": 2.0}  # fmt: skip
NEAR = {"param", "shared", "shared::cta", "local", "const"}  # spaces whose loads are short


def modelled_time(report: Report, launch: Launch) -> Report:
    """The report with its time and bounds, in microseconds."""
    arch, found = launch.arch, report.counters
    x, y, z = launch.grid
    blocks = x * y * z
    busy_sms = min(blocks, arch.sm_count)
    clocks = busy_sms * arch.clock_hz  # of all SMs, a second
    bandwidth = arch.dram_bytes_per_s * arch.dram_efficiency
    tensor = sum(found.get(metrics.tensor_operations(path), 0.0) / rate
                 for path, rate in TENSOR_RATES.items())  # fmt: skip
    seconds = {
        "dram": dram_bytes(launch) / bandwidth,
        "l2": found[metrics.L2_SECTORS] * SECTOR_BYTES / (arch.l2_bytes_per_clock * arch.clock_hz),
        "stores": launch.caches.state.store_lines / arch.store_lines_per_s
        if launch.caches
        else 0.0,
        "atomics": launch.caches.most_turns() * arch.l2_atomic_s if launch.caches else 0.0,
        "l1": l1_clocks(report, arch.l1_bytes_per_clock) / clocks,
        "latency": _latency(launch, blocks),
        "dependence": waits_for_arithmetic(launch),
        "issue": found[metrics.INSTRUCTIONS] / (clocks * arch.schedulers_per_sm),
        "fp32": _operations(report, "fadd", "fmul", "ffma") / (clocks * arch.fp32_lanes_per_sm),
        "fp64": _operations(report, "dadd", "dmul", "dfma") / (clocks * arch.fp64_lanes_per_sm),
        "tensor": tensor / (clocks * arch.tensor_flops_per_clock),
    }
    start = arch.block_us + 1e6 * arch.dram_latency_cycles / arch.clock_hz
    bounds = {name: 1e6 * s for name, s in seconds.items() if s or name in ("dram", "latency")}
    return replace(
        report,
        time_us=arch.launch_us + start + _together(launch, bounds),
        time_kind="modelled",
        bounds=bounds,
    )


def _one_by_one(launch: Launch) -> dict[str, float]:
    """Seconds that L2 takes for what it takes one at a time."""
    if launch.caches is None:
        return {}
    return {
        "stores": launch.caches.state.store_lines / launch.arch.store_lines_per_s,
        "atomics": launch.caches.most_turns() * launch.arch.l2_atomic_s,
    }


def _together(launch: Launch, bounds: dict[str, float]) -> float:
    """Microseconds of waiting and of working, overlapped as far as there are warps for both."""
    x, y, z = launch.grid
    waiting = bounds["latency"]
    working = max(us for name, us in bounds.items() if name != "latency")
    full = launch.fits.blocks_per_sm * launch.arch.sm_count
    share = launch.fits.theoretical * min(x * y * z / full, 1.0)
    return max(waiting, working) + (1.0 - share) * min(waiting, working)


def dram_bytes(launch: Launch) -> float:
    """Bytes that cross the DRAM interface for this launch, be it after its end."""
    if launch.caches is None:
        return 0.0
    state = launch.caches.state
    moved: float = SECTOR_BYTES * (float(state.dram_read) + float(state.dirtied))
    return moved


def l1_clocks(report: Report, bytes_per_clock: int) -> float:
    """Clocks that SMs spend on moving data out of L1 and shared memory, over all SMs."""
    found = report.counters
    names = [metrics.sectors(d) for d in ("ld", "st")]
    names += [metrics.sectors(d, "local") for d in metrics.LOCAL_DIRECTIONS]
    moved = SECTOR_BYTES * sum(found.get(name, 0.0) for name in names)
    passes = sum(
        found.get(name, 0.0) for name in (metrics.SHARED_WAVEFRONTS, metrics.BULK_WAVEFRONTS)
    )
    return moved / bytes_per_clock + passes


def _operations(report: Report, *kinds: str) -> float:
    return sum(report.counters.get(metrics.thread_operations(kind), 0.0) for kind in kinds)


def _latency(launch: Launch, blocks: int) -> float:
    """Seconds that warps wait, over those that wait at the same time, and between waves."""
    arch = launch.arch
    resident = launch.fits.blocks_per_sm * arch.sm_count
    warps: int = launch.context.warps
    warps_at_once = min(blocks, resident) * warps
    waiting = _waits_for_memory(launch) * arch.dram_latency_cycles / arch.clock_hz / warps_at_once
    turnover = 1e-6 * (arch.block_us + arch.block_warp_us * warps)
    return waiting + max(launch.fits.waves - 1.0, 0.0) * turnover


def _waits_for_memory(launch: Launch) -> float:
    """How often, over all warps, a warp had to wait for loads that it had sent off.

    A warp goes on after a load until an instruction needs what was loaded; by then the loads before
    that one have arrived, too. So loads that come before the first use of any of them are in flight
    together and cost one wait. Blocks are taken in the order in which a warp runs them.
    """
    waits = 0.0
    outstanding: set[tuple[str, str]] = set()
    for block, (warps, _) in zip(launch.kernel.graph.blocks, launch.block_counts, strict=False):
        name = block.function.name
        for inst in block.body:
            if any((name, register) in outstanding for register in read_registers(inst)):
                waits += float(warps)
                outstanding.clear()
            if inst.opcode in ("ld", "ldu") and not NEAR & set(inst.modifiers):
                outstanding.update((name, register) for register in written_registers(inst))
    return waits
