"""What lowering and routines say about 32 lanes in LLVM: masks, splats, loops over lanes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from llvmlite import ir

from emulator.native.layout import LANES, Warp, at, field, i1, i32, i64, load, mask_type

addresses_type = ir.VectorType(i64, LANES)
words_type = ir.VectorType(i32, LANES)


def splat(builder: ir.IRBuilder, value: ir.Value, lanes: int = LANES) -> ir.Value:
    """One value in every lane."""
    vector = ir.VectorType(value.type, lanes)
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(i32, 0))
    zeros = ir.Constant(ir.VectorType(i32, lanes), [0] * lanes)
    return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), zeros)


def intrinsic(
    module: ir.Module, name: str, result: ir.Type, arguments: list[ir.Type]
) -> ir.Function:
    """An LLVM intrinsic, declared once a module."""
    existing = module.globals.get(name)
    if isinstance(existing, ir.Function):
        return existing
    return ir.Function(module, ir.FunctionType(result, arguments), name=name)


def lanes_of(builder: ir.IRBuilder, mask: ir.Value) -> ir.Value:
    """An i32 mask as ``<32 x i1>``."""
    return builder.bitcast(mask, mask_type)


def bits_of(builder: ir.IRBuilder, lanes: ir.Value) -> ir.Value:
    """``<32 x i1>`` as an i32 mask."""
    return builder.bitcast(lanes, i32)


def first_lane(builder: ir.IRBuilder, mask: ir.Value) -> ir.Value:
    """Number of the lowest lane set."""
    cttz = intrinsic(builder.module, "llvm.cttz.i32", i32, [i32, i1])
    return builder.call(cttz, [mask, ir.Constant(i1, 0)])


def last_lane(builder: ir.IRBuilder, mask: ir.Value) -> ir.Value:
    """Number of the highest lane set."""
    ctlz = intrinsic(builder.module, "llvm.ctlz.i32", i32, [i32, i1])
    return builder.sub(ir.Constant(i32, 31), builder.call(ctlz, [mask, ir.Constant(i1, 0)]))


def count_lanes(builder: ir.IRBuilder, mask: ir.Value) -> ir.Value:
    """How many lanes are set."""
    ctpop = intrinsic(builder.module, "llvm.ctpop.i32", i32, [i32])
    return builder.call(ctpop, [mask])


def lane_address(builder: ir.IRBuilder, warp: ir.Value, lane: ir.Value) -> ir.Value:
    """One lane's address, from scratch: cheaper than from a vector, for a lane that varies."""
    byte = builder.mul(builder.zext(lane, i64), ir.Constant(i64, 8))
    return load(builder, at(builder, field(builder, warp, Warp, "addresses"), byte), i64)


@contextmanager
def loop(builder: ir.IRBuilder, start: ir.Value, stop: ir.Value) -> Iterator[ir.Value]:
    """``for i in range(start, stop)`` over an integer type."""
    before = builder.block
    head = builder.append_basic_block("loop")
    body = builder.append_basic_block("body")
    after = builder.append_basic_block("after")
    builder.branch(head)
    builder.position_at_end(head)
    index = builder.phi(start.type)
    index.add_incoming(start, before)
    builder.cbranch(builder.icmp_unsigned("<", index, stop), body, after)
    builder.position_at_end(body)
    yield index
    following = builder.add(index, ir.Constant(start.type, 1))
    index.add_incoming(following, builder.block)
    builder.branch(head)
    builder.position_at_end(after)


@contextmanager
def set_bits(builder: ir.IRBuilder, mask: ir.Value) -> Iterator[ir.Value]:
    """``for lane in`` the set bits of an i32, lowest first."""
    before = builder.block
    head = builder.append_basic_block("bits")
    body = builder.append_basic_block("bit")
    after = builder.append_basic_block("no_more_bits")
    builder.branch(head)
    builder.position_at_end(head)
    left = builder.phi(i32)
    left.add_incoming(mask, before)
    builder.cbranch(builder.icmp_unsigned("!=", left, ir.Constant(i32, 0)), body, after)
    builder.position_at_end(body)
    yield first_lane(builder, left)
    rest = builder.and_(left, builder.sub(left, ir.Constant(i32, 1)))
    left.add_incoming(rest, builder.block)
    builder.branch(head)
    builder.position_at_end(after)


def routine(module: ir.Module, kind: ir.FunctionType, name: str) -> ir.IRBuilder:
    """A builder at the start of a new function."""
    function = ir.Function(module, kind, name=name)
    function.attributes.add("nounwind")
    return ir.IRBuilder(function.append_basic_block("entry"))
