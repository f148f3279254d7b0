"""Matrices in shared memory as ``wgmma``'s descriptors say where they lie.

A matrix is made of cores: eight lines of 16 bytes. Its lines run along K ("K-major"), or along M or
N, and then eight lines are eight steps of K. A descriptor has, in units of 16 bytes, where the
matrix starts (bits 0-13) and two strides (leading 16-29, stride 32-45); in bits 49-51 the row of
the swizzle's pattern at which a pattern of 1024, 512 or 256 bytes starts that is not aligned to its
size, and in bits 62-63 the swizzle: 0 none, 1 of 128 bytes, 2 of 64, 3 of 32.

With W bytes of swizzle, a line of W bytes holds W / 16 cores' lines side by side:

==========  =====================  ==========================================
lines run   from core to core      along K              along M or N
==========  =====================  ==========================================
along K     no swizzle             leading              stride
along K     W                      16 bytes             stride
along MN    no swizzle             leading              stride
along MN    W                      stride               16 bytes, and leading every W
==========  =====================  ==========================================

The swizzle changes bits of the whole address: bits 4-6 are XORed with bits 7-9 (W = 128), 4-5 with
7-8 (W = 64), 4 with 7 (W = 32). So a descriptor may start within a line.
(PTX ISA, "Asynchronous Warpgroup Level Matrix Shared Memory Layout"; the strides' roles as in
CUTLASS's canonical layouts of GMMA.)
"""

from __future__ import annotations

from emulator.native.compiled import accessors, inner, routine
from emulator.native.layout import (
    BEYOND_SHARED,
    WARPGROUP_MISUSE,
    BlockState,
    Context,
    Warp,
    offset,
)
from emulator.units.fault import report

read_i64, write_i64 = accessors("int64")

BLOCK_AT, SHARED_AT = offset(Warp, "block"), offset(BlockState, "shared")
SHARED_BYTES_AT = offset(Context, "shared_bytes")

LINES = 8  # of a core
LINE_BYTES = 16
SPACE = (1 << 18) - 1  # addresses that a descriptor can say


@inner
def start_of(descriptor: int) -> int:
    """Byte at which the matrix starts."""
    return (descriptor & 0x3FFF) << 4


@inner
def leading_of(descriptor: int) -> int:
    """The leading stride in bytes."""
    return (descriptor >> 16 & 0x3FFF) << 4


@inner
def stride_of(descriptor: int) -> int:
    """The other stride in bytes."""
    return (descriptor >> 32 & 0x3FFF) << 4


@inner
def swizzle_of(descriptor: int) -> int:
    """Bytes of the swizzle; 0: none."""
    mode = descriptor >> 62 & 3
    return 0 if mode == 0 else 256 >> mode


@inner
def swizzled(address: int, swizzle: int, base: int) -> int:
    """Where the byte of an address lies whose pattern starts in row ``base`` of eight."""
    if swizzle == 0:
        return address
    row = (address >> 7) - base
    return address ^ (row & (swizzle // LINE_BYTES - 1)) << 4


@inner
def line_at(descriptor: int, along_k: int, outer: int, inner_: int, line: int) -> int:
    """The offset in shared memory of a line of a core.

    ``outer`` counts cores along M or N, ``inner_`` along K; ``along_k``: so do lines run.
    """
    swizzle = swizzle_of(descriptor)
    leading, stride = leading_of(descriptor), stride_of(descriptor)
    if swizzle == 0:
        place = outer * stride + inner_ * leading + line * LINE_BYTES
    else:
        beside = swizzle // LINE_BYTES
        if along_k:
            place = outer * stride + inner_ // beside * leading + inner_ % beside * LINE_BYTES
        else:
            place = outer // beside * leading + outer % beside * LINE_BYTES + inner_ * stride
        place += line * swizzle
    return swizzled((start_of(descriptor) + place) & SPACE, swizzle, descriptor >> 49 & 7)


@routine("int64", *["int64"] * 9)
def gather_operand(
    context: int,
    warp: int,
    site: int,
    descriptor: int,
    out: int,
    first: int,
    outers: int,
    inners: int,
    along_k: int,
) -> int:
    """Cores ``first`` to ``first + outers`` (along M or N) of a matrix ``inners`` cores deep.

    ``out`` gets them line by line, as [outer][inner][8][16 bytes]: just the bytes of registers that
    fragments of ``mma`` would have. -1 where a line is not in the block's shared memory.
    """
    shared = read_i64(read_i64(warp + BLOCK_AT) + SHARED_AT)
    limit = read_i64(context + SHARED_BYTES_AT)
    for outer in range(outers):
        for inner_ in range(inners):
            for line in range(LINES):
                place = line_at(descriptor, along_k, first + outer, inner_, line)
                if place + LINE_BYTES > limit:
                    return report(
                        context, warp, site, WARPGROUP_MISUSE, 0, LINE_BYTES, BEYOND_SHARED, place
                    )
                write_i64(out, read_i64(shared + place))
                write_i64(out + 8, read_i64(shared + place + 8))
                out += LINE_BYTES
    return 0
