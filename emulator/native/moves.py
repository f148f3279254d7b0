"""Compiled moves of one warp's memory access: memory to the warp's scratch, or back.

Scratch holds ``[component][lane]``; addresses have been checked (:mod:`emulator.native.checks`).
"""

from __future__ import annotations

import functools

import llvmlite.binding as llvm
from llvmlite import ir

from emulator.native.lanes import (
    addresses_type,
    bits_of,
    first_lane,
    intrinsic,
    lane_address,
    lanes_of,
    loop,
    routine,
    set_bits,
    splat,
    words_type,
)
from emulator.native.layout import (
    LANES,
    Warp,
    at,
    field,
    i1,
    i8,
    i16,
    i32,
    i64,
    load,
    mask_type,
    pointer,
)

MOVES = [(1, 1), (1, 2), (1, 4), (2, 1), (2, 2), (2, 4), (4, 1), (4, 2), (4, 4), (4, 8),
         (8, 1), (8, 2), (8, 4)]  # fmt: skip  # bytes of an element, elements a lane

move_type = ir.FunctionType(ir.VoidType(), [pointer, i32, i32])
window_type = ir.FunctionType(i32, [pointer, i32, i64, i64])
WINDOW_LOAD = "coalesce_load_shared_window"


def move_name(kind: str, nbytes: int, count: int) -> str:
    """Name of the routine that moves ``count`` elements a lane."""
    return f"coalesce_{kind}_{nbytes}x{count}"


def define_move_routines(module: ir.Module) -> None:
    """Define every routine of this file."""
    if has_permute():
        _define_window_load(module)
    for nbytes, components in MOVES:
        _define_load(module, nbytes, components)
        _define_store(module, nbytes, components)


@functools.cache
def has_permute() -> bool:
    """Whether this CPU picks 16 words out of 32 in one instruction (AVX-512)."""
    return bool(llvm.get_host_cpu_features().get("avx512f"))


def _element(nbytes: int) -> ir.Type:
    return {1: i8, 2: i16, 4: i32, 8: i64}[nbytes]


def _component(builder: ir.IRBuilder, warp: ir.Value, nbytes: int, index: int) -> ir.Value:
    return at(builder, field(builder, warp, Warp, "data"), index * nbytes * LANES)


def _origin(builder: ir.IRBuilder, warp: ir.Value, mask: ir.Value, nbytes: int) -> ir.Value:
    """Where lane 0 would be, given that active lanes are consecutive."""
    first = first_lane(builder, mask)
    back = builder.mul(builder.zext(first, i64), ir.Constant(i64, nbytes))
    return builder.inttoptr(builder.sub(lane_address(builder, warp, first), back), pointer)


def _define_load(module: ir.Module, nbytes: int, components: int) -> None:
    """Memory at the warp's addresses to its scratch; lanes outside the mask are left alone."""
    builder = routine(module, move_type, move_name("load", nbytes, components))
    warp, mask, consecutive = builder.function.args
    element = _element(nbytes)
    vector = ir.VectorType(element, LANES)
    whole = ir.VectorType(element, LANES * components)
    values = load(builder, field(builder, warp, Warp, "addresses"), addresses_type, 64)
    full = builder.icmp_signed("==", mask, ir.Constant(i32, -1))
    dense = builder.and_(full, builder.trunc(consecutive, i1))
    with builder.if_then(dense):
        source = builder.inttoptr(lane_address(builder, warp, ir.Constant(i32, 0)), pointer)
        everything = load(builder, source, whole, align=nbytes)
        for index in range(components):
            picks = ir.Constant(
                ir.VectorType(i32, LANES), [lane * components + index for lane in range(LANES)]
            )
            part = builder.shuffle_vector(everything, ir.Constant(whole, ir.Undefined), picks)
            builder.store(
                part, _component(builder, warp, nbytes, index), align=min(nbytes * LANES, 64)
            )
        builder.ret_void()
    lanes = lanes_of(builder, mask)
    if components == 1:
        with builder.if_then(builder.trunc(consecutive, i1)):
            name = f"llvm.masked.load.v32i{8 * nbytes}.p0"
            masked = intrinsic(module, name, vector, [pointer, i32, mask_type, vector])
            origin = _origin(builder, warp, mask, nbytes)
            zero = ir.Constant(vector, [0] * LANES)
            got = builder.call(masked, [origin, ir.Constant(i32, nbytes), lanes, zero])
            builder.store(got, _component(builder, warp, nbytes, 0), align=min(nbytes * LANES, 64))
            builder.ret_void()
    if (nbytes, components) == (4, 1) and has_permute():
        _load_from_window(builder, warp, mask, values)
    _each_lane(builder, warp, mask, nbytes, components, store=False)
    builder.ret_void()


def _define_window_load(module: ir.Module) -> None:
    """``i32 load(warp, mask, base, limit)``: the commonest load of shared memory, whole.

    32-bit offsets are in scratch. When all active lanes read aligned words of the same 128 bytes,
    those below ``limit``, the words go to scratch and the result is 1; else nothing happens.
    """
    builder = routine(module, window_type, WINDOW_LOAD)
    warp, mask, base, limit = builder.function.args
    offsets = load(builder, field(builder, warp, Warp, "addresses"), words_type, 64)
    byte = builder.mul(builder.zext(first_lane(builder, mask), i64), ir.Constant(i64, 4))
    first = load(builder, at(builder, field(builder, warp, Warp, "addresses"), byte), i32)
    start = builder.and_(first, ir.Constant(i32, -4 * LANES))
    away = builder.sub(offsets, splat(builder, start))
    # the bits that an aligned offset within 128 bytes does not have
    other = builder.and_(away, ir.Constant(words_type, [0xFFFFFFFF & ~0x7C] * LANES))
    stray = bits_of(
        builder, builder.icmp_unsigned("!=", other, ir.Constant(words_type, [0] * LANES))
    )
    end = builder.add(builder.zext(start, i64), ir.Constant(i64, 4 * LANES))
    fits = builder.and_(
        builder.icmp_unsigned("==", builder.and_(mask, stray), ir.Constant(i32, 0)),
        builder.icmp_unsigned("<=", end, limit),
    )
    with builder.if_then(fits):
        window = builder.inttoptr(builder.add(base, builder.zext(start, i64)), pointer)
        _pick_words(builder, warp, window, away)
        builder.ret(ir.Constant(i32, 1))
    builder.ret(ir.Constant(i32, 0))


def _pick_words(builder: ir.IRBuilder, warp: ir.Value, window: ir.Value, away: ir.Value) -> None:
    """Words of the 128 bytes at ``window``, by byte offsets of 32 bits, to scratch."""
    half = ir.VectorType(i32, 16)
    low, high = (load(builder, at(builder, window, 64 * k), half, 4) for k in range(2))
    words = builder.lshr(away, ir.Constant(words_type, [2] * LANES))
    pick = intrinsic(builder.module, "llvm.x86.avx512.vpermi2var.d.512", half, [half, half, half])
    for k in range(2):
        lanes = ir.Constant(half, list(range(16 * k, 16 * k + 16)))
        index = builder.shuffle_vector(words, words, lanes)
        chosen = builder.call(pick, [low, index, high])
        builder.store(chosen, at(builder, _component(builder, warp, 4, 0), 64 * k), align=64)


def _load_from_window(
    builder: ir.IRBuilder, warp: ir.Value, mask: ir.Value, values: ir.Value
) -> None:
    """Broadcasts and permutations: return when all lanes read from the same aligned 128 bytes.

    The bytes that no lane asked for are loaded, too; they may lie in the gap behind an allocation,
    which is mapped.
    """
    window_bytes = 4 * LANES
    start = builder.and_(
        lane_address(builder, warp, first_lane(builder, mask)), ir.Constant(i64, -window_bytes)
    )
    away = builder.sub(values, splat(builder, start))
    limit = ir.Constant(addresses_type, [window_bytes] * LANES)
    outside = bits_of(builder, builder.icmp_unsigned(">=", away, limit))
    stray = builder.and_(mask, outside)
    with builder.if_then(builder.icmp_unsigned("==", stray, ir.Constant(i32, 0))):
        narrow = builder.trunc(away, words_type)
        _pick_words(builder, warp, builder.inttoptr(start, pointer), narrow)
        builder.ret_void()


def _define_store(module: ir.Module, nbytes: int, components: int) -> None:
    """The warp's scratch to memory at its addresses, active lanes only, in lane order."""
    builder = routine(module, move_type, move_name("store", nbytes, components))
    warp, mask, consecutive = builder.function.args
    element = _element(nbytes)
    vector = ir.VectorType(element, LANES)
    parts = [
        load(
            builder, _component(builder, warp, nbytes, index), vector, align=min(nbytes * LANES, 64)
        )
        for index in range(components)
    ]
    full = builder.icmp_signed("==", mask, ir.Constant(i32, -1))
    dense = builder.and_(full, builder.trunc(consecutive, i1))
    with builder.if_then(dense):
        target = builder.inttoptr(lane_address(builder, warp, ir.Constant(i32, 0)), pointer)
        builder.store(_interleave(builder, parts), target, align=nbytes)
        builder.ret_void()
    lanes = lanes_of(builder, mask)
    if components == 1:
        with builder.if_then(builder.trunc(consecutive, i1)):
            name = f"llvm.masked.store.v32i{8 * nbytes}.p0"
            masked = intrinsic(module, name, ir.VoidType(), [vector, pointer, i32, mask_type])
            origin = _origin(builder, warp, mask, nbytes)
            builder.call(masked, [parts[0], origin, ir.Constant(i32, nbytes), lanes])
            builder.ret_void()
    _each_lane(builder, warp, mask, nbytes, components, store=True)
    builder.ret_void()


def _each_lane(
    builder: ir.IRBuilder,
    warp: ir.Value,
    mask: ir.Value,
    nbytes: int,
    components: int,
    *,
    store: bool,
) -> None:
    """Move scattered lanes one by one, lowest first: faster than most CPUs' gather and scatter."""
    element = _element(nbytes)
    addresses = field(builder, warp, Warp, "addresses")

    def move(lane: ir.Value) -> None:
        address_at = at(builder, addresses, builder.mul(lane, ir.Constant(i64, 8)))
        memory = builder.inttoptr(load(builder, address_at, i64), pointer)
        for index in range(components):
            scratch = at(
                builder,
                _component(builder, warp, nbytes, index),
                builder.mul(lane, ir.Constant(i64, nbytes)),
            )
            there = at(builder, memory, index * nbytes)
            source, target = (scratch, there) if store else (there, scratch)
            builder.store(load(builder, source, element, 1), target, align=1)

    full = builder.icmp_signed("==", mask, ir.Constant(i32, -1))
    with builder.if_else(full) as (everybody, some):
        with everybody:
            if components == 1:
                for lane in range(LANES):
                    move(ir.Constant(i64, lane))
            else:
                with loop(builder, ir.Constant(i64, 0), ir.Constant(i64, LANES)) as each:
                    move(each)
        with some, set_bits(builder, mask) as lane32:
            move(builder.zext(lane32, i64))


def _interleave(builder: ir.IRBuilder, parts: list[ir.Value]) -> ir.Value:
    """``[component][lane]`` to ``[lane][component]``, by doubling."""
    if len(parts) == 1:
        return parts[0]
    half = len(parts) // 2
    even = _interleave(builder, parts[0::2])
    odd = _interleave(builder, parts[1::2])
    width = LANES * half
    order = [i for pair in zip(range(width), range(width, 2 * width), strict=True) for i in pair]
    return builder.shuffle_vector(even, odd, ir.Constant(ir.VectorType(i32, 2 * width), order))
