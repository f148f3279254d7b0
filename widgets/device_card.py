"""What a device is and what it can do at best."""

from __future__ import annotations

from html import escape

from kernels.runtime import Device
from widgets.live import Html
from widgets.look import BLUE, GREEN, TEXT, significant, table


def device_card(device: Device) -> Html:
    """The device's name, whether it is real, and its ceilings from the chip's table."""
    arch = device.arch
    real = device.kind == "cuda"
    what = (
        "a GPU: times are measured"
        if real
        else f"a software GPU on this machine's CPU: counters as an {arch.name} would count, "
        "times modelled"
    )
    ceilings = [
        ("Streaming multiprocessors (SMs)", significant(arch.sm_count), "", "do the work"),
        ("DRAM bandwidth", significant(arch.dram_bytes_per_s / 1e9, 4), "GB/s", "feeds it"),
        ("FP32 rate", significant(arch.fp32_flops / 1e12), "TFLOP/s", "multiply-adds, as two each"),
        ("Clock", significant(arch.clock_hz / 1e9), "GHz", "at boost"),
        ("L2 cache", significant(arch.l2_bytes / 2**20), "MiB", "between DRAM and all SMs"),
        ("Threads an SM", f"{arch.max_threads_per_sm:,}", "", "in flight at once"),
        ("Registers an SM", f"{arch.registers_per_sm:,}", "of 4 B", "shared out to its threads"),
        (
            "Shared memory an SM",
            significant(arch.max_shared_per_sm / 2**10),
            "KiB",
            "a block's own memory",
        ),
    ]
    edge = GREEN if real else BLUE
    rows = [
        [escape(name), number, unit, escape(meaning)] for name, number, unit, meaning in ceilings
    ]
    html = (
        f'<div style="border-left: 4px solid {edge}; padding: 4px 14px; color: {TEXT}">'
        f'<div style="font-size: 120%"><b>{escape(device.name)}</b></div>'
        f"<div>{escape(what)}</div>"
        f"{table(['At most', '', '', ''], rows, numbers=(1,))}</div>"
    )
    text = "\n".join(
        [f"{device.name}: {what}"]
        + [f"  {name}: {number} {unit}".rstrip() for name, number, unit, _ in ceilings]
    )
    return Html(html, text)
