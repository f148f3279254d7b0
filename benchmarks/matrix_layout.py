"""Where matrices lie in shared memory for wgmma: the canonical layouts, element by element.

Written from CUTLASS's notation of them, not from the software GPU's routine; tests compare the two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

SWIZZLES = {0: 0, 32: 3, 64: 2, 128: 1}  # bytes to a descriptor's bits 62 and 63


@dataclass(frozen=True)
class Layout:
    """Where a matrix of lines (M or N) by K lies, from ``start`` on; strides in bytes."""

    swizzle: int
    along_k: bool
    start: int
    leading: int
    stride: int
    base: int = 0

    @property
    def descriptor(self) -> int:
        """The 64 bits that say so."""
        return (
            SWIZZLES[self.swizzle] << 62 | self.base << 49 | self.stride >> 4 << 32
            | self.leading >> 4 << 16 | self.start >> 4
        )  # fmt: skip

    def byte(self, outer: int, k: int, bits: int) -> int:
        """Where element (outer, k) starts: the canonical layouts of PTX ISA and CUTLASS."""
        per = 128 // bits  # elements in 16 bytes
        inner, other = (k, outer) if self.along_k else (outer, k)
        unit, within = divmod(inner, per)
        group, line = divmod(other, 8)
        if self.swizzle == 0:
            # K-major: ((8,m),(T,2)) : ((1T,SBO),(1,LBO)); MN-major: the same with LBO for k's
            first, second = self.leading, self.stride
            if not self.along_k:
                first, second = self.stride, self.leading
            place = unit * first + group * second + line * 16
        else:
            units = self.swizzle // 16
            place = unit // units * self.leading + unit % units * 16
            place += group * self.stride + line * self.swizzle
        address = self.start + place + within * bits // 8
        mask = {32: 1, 64: 3, 128: 7}.get(self.swizzle, 0)
        return address ^ ((address // 128 - self.base) & mask) * 16


def write(memory: npt.NDArray[np.uint8], raw: npt.NDArray[np.uint64], bits: int,
          layout: Layout) -> None:  # fmt: skip
    """Put a matrix of (M or N, K) elements, as bits in u64, into bytes of shared memory."""
    for outer in range(raw.shape[0]):
        for k in range(raw.shape[1]):
            start = layout.byte(outer, k, bits)
            value = int(raw[outer, k])
            if bits < 8:
                shift = k * bits % 8
                kept = int(memory[start]) & ~(((1 << bits) - 1) << shift)
                memory[start] = kept | value << shift
                continue
            for i in range(bits // 8):
                memory[start + i] = value >> 8 * i & 0xFF


def tight(swizzle: int, along_k: bool, start: int, outers: int, depth_bytes: int, base: int = 0,
          gap: int = 0) -> tuple[Layout, int]:  # fmt: skip
    """A layout of ``outers`` (M or N) with no more than ``gap`` bytes between parts, and its end.

    ``depth_bytes``: of K, in a K-major matrix; 16 bytes are 8 elements along M or N otherwise.
    """
    groups = -(-outers // 8)
    deep = depth_bytes // 16
    line = max(swizzle, 16)
    pattern = line * 8 + gap
    if along_k:
        if swizzle == 0:
            layout = Layout(0, True, start, pattern * groups, pattern, base)
            return layout, start + pattern * groups * deep
        across = -(-depth_bytes // swizzle)
        layout = Layout(swizzle, True, start, pattern * groups, pattern, base)
        return layout, start + pattern * groups * across
    if swizzle == 0:  # cores of 8 k by 8 elements along M or N
        layout = Layout(0, False, start, pattern * groups, pattern, base)
        return layout, start + pattern * groups * deep
    across = -(-outers * 2 // swizzle)
    layout = Layout(swizzle, False, start, pattern * deep, pattern, base)
    return layout, start + pattern * across * deep
