"""Modelled time: what bounds a launch, by the chip's table. A model, never a measurement.

A launch takes as long as its tightest bound, plus what starting a grid costs:

- *dram*: what it must move at least once: sectors touched, but no more than the arrays hold, over
  the bandwidth that a copy reaches, less where too few bytes are in flight (Little's law);
- *l2*: every sector that a request touches, over the L2's bandwidth (L1 is taken to miss);
- *issue*: warp instructions over what the schedulers can issue.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from emulator import counters
from emulator.native.layout import GLOBAL
from emulator.report import Report
from emulator.running import Launch, blocks_per_sm

SECTOR_BYTES = 32


def modelled_time(report: Report, launch: Launch, registers: int | None) -> Report:
    """The report with its time and bounds, in microseconds."""
    arch = launch.arch
    x, y, z = launch.grid
    resident, _ = blocks_per_sm(launch, registers)
    busy_sms = min(x * y * z, arch.sm_count)
    moved = sum(report.counters[counters.sectors(d)] for d in ("ld", "st")) * SECTOR_BYTES
    bandwidth = arch.dram_bytes_per_s * arch.dram_efficiency
    in_flight = _bytes_in_flight(report, launch, resident, busy_sms)
    latency_s = arch.dram_latency_cycles / arch.clock_hz
    reachable = min(bandwidth, in_flight / latency_s) if in_flight else bandwidth
    bounds = {
        "dram": _compulsory_bytes(launch) / reachable * 1e6,
        "l2": moved / (arch.l2_bytes_per_clock * arch.clock_hz) * 1e6,
        "issue": report.counters[counters.INSTRUCTIONS]
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
            direction = "ld" if inst.opcode in ("ld", "ldu") else "st"
            touched[direction, site.low] += site.sectors * SECTOR_BYTES
            sizes[site.low] = site.high - site.low
    return sum(min(moved, sizes[low] + SECTOR_BYTES) for (_, low), moved in touched.items())


def _bytes_in_flight(report: Report, launch: Launch, resident: int, busy_sms: int) -> float:
    """Bytes asked for at once: every resident warp has its independent loads outstanding.

    Loads that follow one another on one source line (an unrolled loop, a vector) are in flight
    together; a warp has at least one request of its mean size.
    """
    asked = (
        report.counters[counters.bytes_asked("ld")] + report.counters[counters.bytes_asked("st")]
    )
    requests = report.counters[counters.requests("ld")] + report.counters[counters.requests("st")]
    if not requests:
        return 0.0
    x, y, z = launch.grid
    blocks = min(x * y * z, resident * busy_sms)
    return float(blocks * launch.context.warps) * asked / requests
