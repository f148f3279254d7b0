"""Clusters of blocks: one another's shared memory, and the barrier of all their threads.

Addresses are as :mod:`emulator.units.window` has them, the barrier is
:mod:`emulator.units.cluster`. (PTX ISA, "mapa", "getctarank", "barrier.cluster")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llvmlite import ir

from emulator.cfg import Block
from emulator.lower.copies import call_unit
from emulator.lower.registry import NotLowered, instruction
from emulator.lower.types import bits, integers
from emulator.lower.warp import WarpLowering
from emulator.lower.window import translate
from emulator.native.lanes import splat
from emulator.native.layout import (
    BARRIER_BIT,
    LANES,
    BlockState,
    Context,
    at,
    field,
    i32,
    load,
)
from emulator.ptx import Instruction

if TYPE_CHECKING:
    from emulator.lower.kernel import _KernelLowering

AXES = {"x": 0, "y": 1, "z": 2}


@instruction("mapa")
def mapa(lower: WarpLowering, inst: Instruction) -> None:
    """``mapa{.shared::cluster}.type d, a, b``: ``a`` as it is in the block of rank ``b``."""
    target, source, rank = inst.operands
    width = bits(inst.type)
    if inst.type not in ("u32", "u64"):
        raise NotLowered(inst.text)
    builder = lower.builder
    in_window = inst.has("shared::cluster")
    value = lower.read(source, inst.type)
    wide = value if width == 64 else builder.zext(value, integers(64))
    ranks = lower.read(rank, "u32")
    builder.store(ranks, lower.of_warp("data"), align=64)
    mapped = translate(lower, wide, "map_rank", int(in_window))
    lower.write(target, mapped if width == 64 else builder.trunc(mapped, integers(32)), inst)


@instruction("getctarank")
def getctarank(lower: WarpLowering, inst: Instruction) -> None:
    """``getctarank{.shared::cluster}.type d, a``: the rank of the block that an address is in."""
    target, source = inst.operands
    builder = lower.builder
    value = lower.read(source, inst.type)
    wide = value if bits(inst.type) == 64 else builder.zext(value, integers(64))
    ranks = translate(lower, wide, "rank_at", int(inst.has("shared::cluster")))
    lower.write(target, builder.trunc(ranks, integers(32)), inst)


def arrive(lower: WarpLowering, inst: Instruction) -> None:
    """``barrier.cluster.arrive{.release,.relaxed}{.aligned}``."""
    aligned = int(inst.has("aligned"))
    call_unit(lower, "arrive_at_cluster", lower.active(inst), aligned, at_site=True)


def wait(kernel: _KernelLowering, block: Block, inst: Instruction) -> None:
    """``barrier.cluster.wait{.acquire}{.aligned}``: lanes wait here until all have arrived."""
    lower, builder = kernel.lower, kernel.builder
    if block.falls_to is None:
        raise NotLowered("a barrier at a function's end")
    active = lower.active(inst)
    lower.store_registers()
    aligned = int(inst.has("aligned"))
    status = call_unit(lower, "wait_at_cluster", active, aligned, at_site=True)
    waiting = builder.trunc(status, i32)
    resume = block.falls_to.number
    kernel.store_pcs(builder.and_(lower.mask(), builder.not_(waiting)), resume)
    kernel.store_pcs(waiting, resume | BARRIER_BIT)
    builder.branch(kernel.dispatch)


def special_register(lower: WarpLowering, name: str) -> ir.Value | None:
    """What of a cluster's special registers ``name`` is; None where it is none of them."""
    stem, _, axis = name.partition(".")
    builder = lower.builder
    if axis in AXES and stem in ("%clusterid", "%nclusterid", "%cluster_ctaid", "%cluster_nctaid"):
        place = 4 * AXES[axis]

        def number(structure: type, field_name: str, base: ir.Value) -> ir.Value:
            return load(builder, at(builder, field(builder, base, structure, field_name), place),
                        i32)  # fmt: skip

        wide = number(Context, "cluster", lower.context)
        if stem == "%cluster_nctaid":
            return splat(builder, wide)
        if stem == "%nclusterid":
            return splat(builder, builder.udiv(number(Context, "grid", lower.context), wide))
        index = number(BlockState, "ctaid", lower.block_state)
        divide = builder.udiv if stem == "%clusterid" else builder.urem
        return splat(builder, divide(index, wide))
    if name == "%cluster_ctarank":
        return lower.uniform(BlockState, "rank", lower.block_state)
    if name == "%cluster_nctarank":
        return lower.uniform(Context, "cluster_size", lower.context)
    if name == "%is_explicit_cluster":
        explicit = lower.uniform(Context, "explicit_cluster", lower.context)
        return builder.icmp_unsigned("!=", explicit, ir.Constant(integers(32), [0] * LANES))
    return None
