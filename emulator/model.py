"""Modelled time: what bounds a launch, by the chip's table. A model, never a measurement.

A launch takes as long as its tightest bound, plus what starting a grid costs:

- *dram*: what it must move at least once: sectors touched, but no more than the arrays hold, over
  the bandwidth that a copy reaches;
- *latency*: the times that its warps wait for memory, each a round trip, as many warps at once as
  the chip holds (Little's law: what is in flight decides);
- *l2*: every sector that a request touches, over the L2's bandwidth (L1 is taken to miss);
- *issue*: warp instructions over what the schedulers can issue.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from emulator.cfg import read_registers, written_registers
from emulator.counting import metrics
from emulator.native.layout import GLOBAL
from emulator.report import Report
from emulator.running import Launch, blocks_per_sm

SECTOR_BYTES = 32
NEAR = {"param", "shared", "shared::cta", "local", "const"}  # spaces whose loads are short


def modelled_time(report: Report, launch: Launch, registers: int | None) -> Report:
    """The report with its time and bounds, in microseconds."""
    arch = launch.arch
    x, y, z = launch.grid
    resident, _ = blocks_per_sm(launch, registers)
    busy_sms = min(x * y * z, arch.sm_count)
    moved = sum(report.counters[metrics.sectors(d)] for d in ("ld", "st")) * SECTOR_BYTES
    bandwidth = arch.dram_bytes_per_s * arch.dram_efficiency
    latency_s = arch.dram_latency_cycles / arch.clock_hz
    warps_at_once = min(x * y * z, resident * arch.sm_count) * launch.context.warps
    bounds = {
        "dram": _compulsory_bytes(launch) / bandwidth * 1e6,
        "latency": _waits_for_memory(launch) * latency_s / warps_at_once * 1e6,
        "l2": moved / (arch.l2_bytes_per_clock * arch.clock_hz) * 1e6,
        "issue": report.counters[metrics.INSTRUCTIONS]
        / (busy_sms * arch.schedulers_per_sm * arch.clock_hz)
        * 1e6,
    }
    return replace(
        report,
        time_us=arch.launch_us + max(bounds.values()),
        time_kind="modelled",
        bounds=bounds,
    )


def _compulsory_bytes(launch: Launch) -> float:
    """Bytes that cross the DRAM interface at least once, for reads and for writes."""
    touched: dict[tuple[str, int], float] = defaultdict(float)
    sizes: dict[int, int] = {}
    for site, inst in zip(launch.sites, launch.kernel.instructions, strict=False):
        if site.requests and site.kind == GLOBAL:
            direction = "ld" if inst.opcode in ("ld", "ldu", "cp") else "st"
            touched[direction, site.low] += site.sectors * SECTOR_BYTES
            sizes[site.low] = site.high - site.low
    return sum(min(moved, sizes[low] + SECTOR_BYTES) for (_, low), moved in touched.items())


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
