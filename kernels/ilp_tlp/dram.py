"""The talk's DRAM experiment: copies with n warps a block and n loads in flight (``dram.cu``).

Source: the talk, on an A100: 16384 x 800 floats copied by 216 blocks, two an SM, of 4 to 32 warps;
each thread copies 1 to 32 floats, or float4s, at a time.
"""

from __future__ import annotations

from typing import Any

from kernels.ilp_tlp.launches import check_choice, check_room, instance, warps_of
from kernels.runtime import Device, KernelFunction

LOADS = (1, 2, 4, 8, 16, 32)  # in flight in a thread
WIDTHS = (4, 16)  # bytes a load: float, float4
BLOCKS_PER_SM = 2  # as in the talk: 216 blocks on 108 SMs
TALK_FLOATS = 16_384 * 800


def copy_in_flight(
    device: Device,
    x: Any,
    y: Any,
    loads: int,
    width: int = 4,
    *,
    warps: int = 4,
    blocks: int | None = None,
) -> None:
    """``y = x`` by a grid that walks the array, ``loads`` loads of ``width`` bytes in flight.

    ``x`` (at least n,), ``y`` (n,): float32 on the device, starting at multiples of ``width``
    bytes, not overlapping. ``loads`` is 1, 2, 4, 8, 16 or 32 a thread; ``width`` 4 or 16.
    ``blocks`` of ``warps``: 2 an SM unless given. Raises ValueError for other numbers or an ``x``
    that is too short, ArgumentError for arrays of another kind, and what the device raises
    where a block needs more registers than an SM has: 32 loads of 16 bytes take 128 a thread.
    """
    check_room("copy_in_flight", "x", x.size, y.size)
    kernel = copy_in_flight_kernel(loads, width)
    grid = BLOCKS_PER_SM * device.arch.sm_count if blocks is None else blocks
    threads = warps_of("copy_in_flight", warps, grid)
    device.launch(kernel, grid, threads, (x, y, y.size))


def copy_in_flight_kernel(loads: int, width: int) -> KernelFunction:
    """The kernel ``(in, out, n)`` with ``loads`` loads of ``width`` bytes in flight."""
    check_choice("copy_in_flight", "loads", loads, LOADS)
    check_choice("copy_in_flight", "width", width, WIDTHS)
    vector = {4: "float", 16: "float4"}[width]
    name = f"copy_{vector}_ilp{loads}"
    return instance(
        "dram",
        name,
        f'extern "C" __global__ void {name}(const {vector}* in, {vector}* out, int n) {{\n'
        f"  copy_in_flight<{vector}, {loads}>(in, out, n);\n}}\n",
    )
