"""Arrays of structures against structures of arrays (``structures.cu``).

A particle is 8 floats: x, y, z, charge, vx, vy, vz, mass. Its kinetic energy takes the last four.
"""

from __future__ import annotations

from typing import Any

from kernels.coalescing.launches import blocks_for, check_room, program
from kernels.runtime import Device

FIELDS = ("x", "y", "z", "charge", "vx", "vy", "vz", "mass")
THREADS = 256


def energy_aos(device: Device, particles: Any, energy: Any, *, threads: int = THREADS) -> None:
    """``energy = mass * (vx^2 + vy^2 + vz^2) / 2`` from an array of structures.

    ``particles`` (n, 8), fields as in :data:`FIELDS`; ``energy`` (n,): float32 on the device, not
    overlapping. 4 requests of 32 sectors a warp. Raises ValueError for shapes that do not fit,
    ArgumentError for arrays of another kind.
    """
    _launch_aos(device, "energy_aos", particles, energy, threads)


def energy_aos_float4(
    device: Device, particles: Any, energy: Any, *, threads: int = THREADS
) -> None:
    """:func:`energy_aos` with the four fields as one ``float4``: 1 request of 32 sectors a warp.

    ``particles`` must start at a multiple of 16 bytes (ArgumentError).
    """
    _launch_aos(device, "energy_aos_float4", particles, energy, threads)


def energy_soa(
    device: Device, mass: Any, vx: Any, vy: Any, vz: Any, energy: Any, *, threads: int = THREADS
) -> None:
    """``energy = mass * (vx^2 + vy^2 + vz^2) / 2`` from one array a field.

    All arrays (n,), float32 on the device, ``energy`` overlapping no other. 4 requests of 4
    sectors a warp. Raises as :func:`energy_aos`.
    """
    n = energy.size
    for which, array in (("mass", mass), ("vx", vx), ("vy", vy), ("vz", vz)):
        check_room("energy_soa", which, array.size, n)
    kernel = program("structures")["energy_soa"]
    device.launch(kernel, blocks_for(n, threads), threads, (mass, vx, vy, vz, energy, n))


def _launch_aos(device: Device, name: str, particles: Any, energy: Any, threads: int) -> None:
    n = energy.size
    if tuple(particles.shape) != (n, len(FIELDS)):
        raise ValueError(
            f"{name}: particles must have shape ({n}, {len(FIELDS)}), a row for each element of "
            f"energy; it has {tuple(particles.shape)}"
        )
    check_room(name, "particles", particles.size, 0)
    kernel = program("structures")[name]
    device.launch(kernel, blocks_for(n, threads), threads, (particles, energy, n))
