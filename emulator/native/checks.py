"""Compiled checks of one warp's memory access: bounds, alignment, counters.

A kernel stores 32 addresses into its warp's scratch, calls a *check* routine (this file), then a
*move* routine (:mod:`emulator.native.moves`). Routines are compiled once for all kernels, so that
kernels stay small and compile fast.

A check returns 0 (addresses anywhere), 1 (active lanes' addresses are consecutive) or -1 (fault).
"""

from __future__ import annotations

from llvmlite import ir

from emulator.native.compiled import routine_type
from emulator.native.lanes import (
    addresses_type,
    bits_of,
    count_lanes,
    first_lane,
    intrinsic,
    lane_address,
    lanes_of,
    last_lane,
    loop,
    routine,
    splat,
    words_type,
)
from emulator.native.layout import (
    CACHES,
    COUNTERS,
    GLOBAL,
    LANES,
    LOCAL,
    MERGED,
    MISALIGNED,
    OUT_OF_BOUNDS,
    PAIRED,
    RACES,
    READ_ONLY,
    SHARED,
    SITE_BYTES,
    TIMELINE,
    UNINITIALISED,
    BlockState,
    Context,
    Region,
    Site,
    Warp,
    at,
    field,
    i1,
    i32,
    i64,
    load,
    pointer,
)

SECTOR_SHIFT = 5  # 32-byte sectors
CHECK_SIZES = (1, 2, 4, 8, 16, 32)  # bytes a lane

check_global_type = ir.FunctionType(i32, [pointer, pointer, i32, pointer, i32])
check_window_type = ir.FunctionType(i32, [pointer, pointer, i32, pointer, i64, i32, i32])
# What an access is shown to, and the bits of ``Context.observe`` that ask for it.
WATCHERS = {
    "coalesce_count_access": COUNTERS | CACHES,
    "coalesce_check_access": RACES | UNINITIALISED,
    "coalesce_note_access": TIMELINE,
}
CLUSTER_SHARED = "coalesce_is_cluster_shared"
cluster_shared_type = routine_type("int64", "int64", "int64", "int64")
observe_type = routine_type("void", *["int64"] * 7)


def check_global_name(nbytes: int) -> str:
    """Name of the check for ``nbytes`` a lane in global memory."""
    return f"coalesce_check_global_{nbytes}"


def check_window_name(nbytes: int) -> str:
    """Name of the check for ``nbytes`` a lane in shared or local memory."""
    return f"coalesce_check_window_{nbytes}"


def define_check_routines(module: ir.Module) -> None:
    """Define every routine of this file."""
    find = _define_find_regions(module)
    count = _define_count_sectors(module)
    for nbytes in CHECK_SIZES:
        _define_check_global(module, nbytes, find, count)
        _define_check_window(module, nbytes)


def _report(
    builder: ir.IRBuilder,
    context: ir.Value,
    warp: ir.Value,
    site: ir.Value,
    kind: int,
    lane: ir.Value,
    address: ir.Value,
    nbytes: int | ir.Value,
    store: ir.Value,
) -> None:
    """Write the fault into the context; the caller returns."""
    size = ir.Constant(i32, nbytes) if isinstance(nbytes, int) else nbytes
    sites = load(builder, field(builder, context, Context, "sites"), i64)
    from_start = builder.sub(builder.ptrtoint(site, i64), sites)
    index = builder.trunc(builder.udiv(from_start, ir.Constant(i64, SITE_BYTES)), i32)
    builder.store(ir.Constant(i32, kind), field(builder, context, Context, "fault_kind"))
    builder.store(index, field(builder, context, Context, "fault_site"))
    builder.store(lane, field(builder, context, Context, "fault_lane"))
    builder.store(size, field(builder, context, Context, "fault_bytes"))
    builder.store(store, field(builder, context, Context, "fault_store"))
    builder.store(address, field(builder, context, Context, "fault_address"))
    builder.store(builder.ptrtoint(warp, i64), field(builder, context, Context, "fault_warp"))


def _define_find_regions(module: ir.Module) -> ir.Function:
    """``i32 find(ctx, warp, mask, site, nbytes, store)``: check each lane against all regions.

    Leaves the last region found in the site, so that the next access there is one comparison.
    Returns 0, or -1 after reporting the first lane that is in no region.
    """
    kind = ir.FunctionType(i32, [pointer, pointer, i32, pointer, i32, i32])
    builder = routine(module, kind, "coalesce_find_regions")
    context, warp, mask, site, nbytes, store = builder.function.args
    addresses = field(builder, warp, Warp, "addresses")
    regions = builder.inttoptr(
        load(builder, field(builder, context, Context, "regions"), i64), pointer
    )
    count = load(builder, field(builder, context, Context, "region_count"), i64)
    size = builder.zext(nbytes, i64)
    with loop(builder, ir.Constant(i32, 0), ir.Constant(i32, LANES)) as lane:
        active = builder.and_(builder.lshr(mask, lane), ir.Constant(i32, 1))
        with builder.if_then(builder.icmp_unsigned("!=", active, ir.Constant(i32, 0))):
            where = at(
                builder, addresses, builder.mul(builder.zext(lane, i64), ir.Constant(i64, 8))
            )
            address = load(builder, where, i64)
            found = _search(builder, regions, count, address)
            low = load(builder, field(builder, found, Region, "low"), i64)
            high = load(builder, field(builder, found, Region, "high"), i64)
            writable = load(builder, field(builder, found, Region, "writable"), i64)
            room = builder.sub(high, address)
            inside = builder.and_(
                builder.icmp_unsigned(">=", address, low),
                builder.and_(
                    builder.icmp_unsigned("<", address, high),
                    builder.icmp_unsigned(">=", room, size),
                ),
            )
            with builder.if_then(builder.not_(inside), likely=False):
                _report(builder, context, warp, site, OUT_OF_BOUNDS, lane, address, nbytes, store)
                builder.ret(ir.Constant(i32, -1))
            region_kind = load(builder, field(builder, found, Region, "kind"), i64)
            foreign = _is_foreign(builder, context, warp, lane, address, low, region_kind)
            with builder.if_then(foreign, likely=False):
                _report(builder, context, warp, site, OUT_OF_BOUNDS, lane, address, nbytes, store)
                builder.ret(ir.Constant(i32, -1))
            refused = builder.and_(
                builder.icmp_unsigned("!=", store, ir.Constant(i32, 0)),
                builder.icmp_unsigned("==", writable, ir.Constant(i64, 0)),
            )
            with builder.if_then(refused, likely=False):
                _report(builder, context, warp, site, READ_ONLY, lane, address, nbytes, store)
                builder.ret(ir.Constant(i32, -1))
            builder.store(low, field(builder, site, Site, "low"))
            builder.store(high, field(builder, site, Site, "high"))
            builder.store(region_kind, field(builder, site, Site, "kind"))
    builder.ret(ir.Constant(i32, 0))
    return builder.function


def _is_foreign(
    builder: ir.IRBuilder,
    context: ir.Value,
    warp: ir.Value,
    lane: ir.Value,
    address: ir.Value,
    low: ir.Value,
    kind: ir.Value,
) -> ir.Value:
    """Whether an address is in the shared memory of a block of another cluster, or another
    thread's local.
    """
    state = builder.inttoptr(load(builder, field(builder, warp, Warp, "block"), i64), pointer)
    shared = load(builder, field(builder, state, BlockState, "shared"), i64)
    in_shared = builder.icmp_unsigned("==", kind, ir.Constant(i64, SHARED))
    not_ours = builder.and_(in_shared, builder.icmp_unsigned("!=", low, shared))
    cluster = load(builder, field(builder, state, BlockState, "cluster"), i64)
    in_cluster = builder.icmp_unsigned("!=", cluster, ir.Constant(i64, 0))
    with builder.goto_entry_block():
        asks = builder.alloca(i1)
    builder.store(not_ours, asks)
    with builder.if_then(builder.and_(not_ours, in_cluster)):
        known = builder.module.globals.get(CLUSTER_SHARED)
        routine = known or ir.Function(builder.module, cluster_shared_type, CLUSTER_SHARED)
        places = [builder.ptrtoint(p, i64) for p in (context, state)]
        peers = builder.call(routine, [*places, address])
        builder.store(builder.icmp_unsigned("==", peers, ir.Constant(i64, 0)), asks)
    not_ours = load(builder, asks, i1)
    lane_bytes = load(builder, field(builder, context, Context, "local_bytes"), i64)
    local = load(builder, field(builder, warp, Warp, "local"), i64)
    own = builder.add(local, builder.mul(builder.zext(lane, i64), lane_bytes))
    in_local = builder.icmp_unsigned("==", kind, ir.Constant(i64, LOCAL))
    away = builder.sub(address, own)
    not_mine = builder.and_(in_local, builder.icmp_unsigned(">=", away, lane_bytes))
    return builder.or_(not_ours, not_mine)


def _is_own_shared(
    builder: ir.IRBuilder,
    context: ir.Value,
    warp: ir.Value,
    site: ir.Value,
    low: ir.Value,
    high: ir.Value,
) -> ir.Value:
    """Whether all addresses are in the block's shared memory; if so, the site notes it."""
    state = builder.inttoptr(load(builder, field(builder, warp, Warp, "block"), i64), pointer)
    shared = load(builder, field(builder, state, BlockState, "shared"), i64)
    nbytes = load(builder, field(builder, context, Context, "shared_bytes"), i64)
    end = builder.add(shared, nbytes)
    own = builder.icmp_unsigned("<=", high, end)
    for first, then in ((shared, low), (low, builder.sub(high, ir.Constant(i64, 1)))):
        own = builder.and_(own, builder.icmp_unsigned("<=", first, then))
    with builder.if_then(own):
        for name, value in (("low", shared), ("high", end), ("kind", ir.Constant(i64, SHARED))):
            builder.store(value, field(builder, site, Site, name))
    return own


def _search(
    builder: ir.IRBuilder, regions: ir.Value, count: ir.Value, address: ir.Value
) -> ir.Value:
    """The last region whose ``low`` is at or below ``address`` (the first when there is none)."""
    before = builder.block
    head = builder.append_basic_block("search")
    body = builder.append_basic_block("halve")
    after = builder.append_basic_block("found")
    builder.branch(head)
    builder.position_at_end(head)
    low, high = builder.phi(i64), builder.phi(i64)
    low.add_incoming(ir.Constant(i64, 0), before)
    high.add_incoming(count, before)
    builder.cbranch(
        builder.icmp_unsigned(">", builder.sub(high, low), ir.Constant(i64, 1)), body, after
    )
    builder.position_at_end(body)
    middle = builder.lshr(builder.add(low, high), ir.Constant(i64, 1))
    region = at(builder, regions, builder.shl(middle, ir.Constant(i64, 5)))
    starts = load(builder, field(builder, region, Region, "low"), i64)
    right = builder.icmp_unsigned(">=", address, starts)
    low.add_incoming(builder.select(right, middle, low), body)
    high.add_incoming(builder.select(right, high, middle), body)
    builder.branch(head)
    builder.position_at_end(after)
    return at(builder, regions, builder.shl(low, ir.Constant(i64, 5)))


def _define_count_sectors(module: ir.Module) -> ir.Function:
    """``i64 count(warp, mask)``: distinct 32-byte sectors over the active lanes' addresses."""
    builder = routine(module, ir.FunctionType(i64, [pointer, i32]), "coalesce_count_sectors")
    warp, mask = builder.function.args
    addresses = load(builder, field(builder, warp, Warp, "addresses"), addresses_type, 64)
    shift = ir.Constant(addresses_type, [SECTOR_SHIFT] * LANES)
    sectors = builder.trunc(builder.lshr(addresses, shift), words_type)
    entry = builder.block
    head = builder.append_basic_block("head")
    body = builder.append_basic_block("body")
    after = builder.append_basic_block("after")
    builder.branch(head)
    builder.position_at_end(head)
    left, count = builder.phi(i32), builder.phi(i64)
    left.add_incoming(mask, entry)
    count.add_incoming(ir.Constant(i64, 0), entry)
    builder.cbranch(builder.icmp_unsigned("!=", left, ir.Constant(i32, 0)), body, after)
    builder.position_at_end(body)
    one = builder.extract_element(sectors, first_lane(builder, left))
    same = bits_of(builder, builder.icmp_unsigned("==", sectors, splat(builder, one)))
    left.add_incoming(builder.and_(left, builder.not_(same)), body)
    count.add_incoming(builder.add(count, ir.Constant(i64, 1)), body)
    builder.branch(head)
    builder.position_at_end(after)
    builder.ret(count)
    return builder.function


def _consecutive(
    builder: ir.IRBuilder, warp: ir.Value, values: ir.Value, mask: ir.Value, nbytes: int
) -> tuple[ir.Value, ir.Value, ir.Value]:
    """Whether active lanes hold ``first + lane * nbytes``; the lowest and one past the highest."""
    first = first_lane(builder, mask)
    origin = builder.sub(
        lane_address(builder, warp, first),
        builder.mul(builder.zext(first, i64), ir.Constant(i64, nbytes)),
    )
    steps = ir.Constant(addresses_type, [lane * nbytes for lane in range(LANES)])
    expected = builder.add(splat(builder, origin), steps)
    equal = bits_of(builder, builder.icmp_unsigned("==", values, expected))
    missing = builder.and_(mask, builder.not_(equal))
    consecutive = builder.icmp_unsigned("==", missing, ir.Constant(i32, 0))
    low = builder.add(origin, builder.mul(builder.zext(first, i64), ir.Constant(i64, nbytes)))
    last = builder.zext(last_lane(builder, mask), i64)
    after_last = builder.add(last, ir.Constant(i64, 1))
    high = builder.add(origin, builder.mul(after_last, ir.Constant(i64, nbytes)))
    return consecutive, low, high


def _extremes(
    builder: ir.IRBuilder, values: ir.Value, mask: ir.Value, nbytes: int
) -> tuple[ir.Value, ir.Value]:
    """Lowest active value, and one past the last byte of the highest."""
    lanes = lanes_of(builder, mask)
    ones = ir.Constant(addresses_type, [(1 << 64) - 1] * LANES)
    zeros = ir.Constant(addresses_type, [0] * LANES)
    least = intrinsic(builder.module, "llvm.vector.reduce.umin.v32i64", i64, [addresses_type])
    most = intrinsic(builder.module, "llvm.vector.reduce.umax.v32i64", i64, [addresses_type])
    low = builder.call(least, [builder.select(lanes, values, ones)])
    high = builder.call(most, [builder.select(lanes, values, zeros)])
    return low, builder.add(high, ir.Constant(i64, nbytes))


def _is_multiple(builder: ir.IRBuilder, value: ir.Value, nbytes: int) -> ir.Value:
    low_bits = builder.and_(value, ir.Constant(i64, nbytes - 1))
    return builder.icmp_unsigned("==", low_bits, ir.Constant(i64, 0))


def _check_alignment(
    builder: ir.IRBuilder,
    context: ir.Value,
    warp: ir.Value,
    site: ir.Value,
    mask: ir.Value,
    values: ir.Value,
    nbytes: int,
    store: ir.Value,
) -> None:
    if nbytes == 1:
        return
    low_bits = builder.and_(values, ir.Constant(addresses_type, [nbytes - 1] * LANES))
    crooked = builder.icmp_unsigned("!=", low_bits, ir.Constant(addresses_type, [0] * LANES))
    wrong = builder.and_(mask, bits_of(builder, crooked))
    with builder.if_then(builder.icmp_unsigned("!=", wrong, ir.Constant(i32, 0)), likely=False):
        lane = first_lane(builder, wrong)
        address = lane_address(builder, warp, lane)
        _report(builder, context, warp, site, MISALIGNED, lane, address, nbytes, store)
        builder.ret(ir.Constant(i32, -1))


def _define_check_global(
    module: ir.Module, nbytes: int, find: ir.Function, count: ir.Function
) -> None:
    """Addresses of global memory, or generic ones. ``mask`` is never empty."""
    builder = routine(module, check_global_type, check_global_name(nbytes))
    context, warp, mask, site, store = builder.function.args
    values = load(builder, field(builder, warp, Warp, "addresses"), addresses_type, 64)
    consecutive, near_low, near_high = _consecutive(builder, warp, values, mask, nbytes)
    scattered = builder.append_basic_block("scattered")
    bounds = builder.append_basic_block("bounds")
    aligned = _is_multiple(builder, near_low, nbytes)
    entry = builder.block
    builder.cbranch(builder.and_(consecutive, aligned), bounds, scattered)
    builder.position_at_end(scattered)
    _check_alignment(builder, context, warp, site, mask, values, nbytes, store)
    far_low, far_high = _extremes(builder, values, mask, nbytes)
    scattered_end = builder.block
    builder.branch(bounds)
    builder.position_at_end(bounds)
    low, high = builder.phi(i64), builder.phi(i64)
    low.add_incoming(near_low, entry)
    low.add_incoming(far_low, scattered_end)
    high.add_incoming(near_high, entry)
    high.add_incoming(far_high, scattered_end)
    known_low = load(builder, field(builder, site, Site, "low"), i64)
    known_high = load(builder, field(builder, site, Site, "high"), i64)
    known = builder.and_(
        builder.and_(
            builder.icmp_unsigned(">=", low, known_low),
            builder.icmp_unsigned("<=", high, known_high),
        ),
        builder.icmp_unsigned(">", high, low),  # an address near 2^64 wraps round
    )
    # Shared and local memory are another's in another block: what a site knows says nothing.
    known_kind = load(builder, field(builder, site, Site, "kind"), i64)
    for other in (SHARED, LOCAL):
        differs = builder.icmp_unsigned("!=", known_kind, ir.Constant(i64, other))
        known = builder.and_(known, differs)
    with builder.if_then(builder.not_(known), likely=False):
        own = _is_own_shared(builder, context, warp, site, low, high)
        with builder.if_then(builder.not_(own)):
            size = ir.Constant(i32, nbytes)
            status = builder.call(find, [context, warp, mask, site, size, store])
            failed = builder.icmp_signed("<", status, ir.Constant(i32, 0))
            with builder.if_then(failed, likely=False):
                builder.ret(status)
    watching = load(builder, field(builder, context, Context, "observe"), i32)
    with builder.if_then(builder.icmp_unsigned("!=", watching, ir.Constant(i32, 0))):
        kind = load(builder, field(builder, site, Site, "kind"), i64)
        in_global = builder.icmp_unsigned("==", kind, ir.Constant(i64, GLOBAL))
        rule = load(builder, field(builder, site, Site, "rule"), i64)
        ordinary = builder.icmp_unsigned("<=", rule, ir.Constant(i64, PAIRED))
        ordinary = builder.and_(in_global, ordinary)
        only = builder.icmp_unsigned("==", watching, ir.Constant(i32, COUNTERS))
        with builder.if_else(builder.and_(ordinary, only)) as (plain, other):
            with plain:
                _count(builder, warp, site, mask, nbytes, consecutive, values, low, high, count)
            with other:
                counts = builder.and_(watching, ir.Constant(i32, COUNTERS))
                counts = builder.icmp_unsigned("!=", counts, ir.Constant(i32, 0))
                with builder.if_then(builder.and_(ordinary, counts)):
                    _count(builder, warp, site, mask, nbytes, consecutive, values, low, high, count)
                base = load(builder, field(builder, site, Site, "low"), i64)
                _observe(builder, context, warp, site, mask, nbytes, kind, base)
    builder.ret(builder.zext(consecutive, i32))


def _count(
    builder: ir.IRBuilder,
    warp: ir.Value,
    site: ir.Value,
    mask: ir.Value,
    nbytes: int,
    consecutive: ir.Value,
    values: ir.Value,
    low: ir.Value,
    high: ir.Value,
    count: ir.Function,
) -> None:
    """Add one request, its sectors and the bytes it asked for to the site.

    What machine code has as part of another access adds nothing; see ``Site.counted_bytes``.
    """
    counted = load(builder, field(builder, site, Site, "counted_bytes"), i64)
    is_one = builder.icmp_unsigned("!=", counted, ir.Constant(i64, MERGED))
    as_here = builder.icmp_unsigned("==", counted, ir.Constant(i64, 0))
    width = builder.select(as_here, ir.Constant(i64, nbytes), counted)
    with builder.if_then(is_one):
        _count_access(builder, warp, site, mask, width, consecutive, values, low, high, count)


def _count_access(
    builder: ir.IRBuilder,
    warp: ir.Value,
    site: ir.Value,
    mask: ir.Value,
    width: ir.Value,
    consecutive: ir.Value,
    values: ir.Value,
    low: ir.Value,
    high: ir.Value,
    count: ir.Function,
) -> None:
    shift = ir.Constant(i64, SECTOR_SHIFT)
    one = ir.Constant(i64, 1)
    with builder.if_else(consecutive) as (dense, sparse):
        with dense:
            last = builder.lshr(builder.sub(high, one), shift)
            dense_sectors = builder.add(builder.sub(last, builder.lshr(low, shift)), one)
            dense_end = builder.block
        with sparse:
            # Rising addresses of a full warp, as strides give: count the changes of sector.
            wide = ir.Constant(addresses_type, [SECTOR_SHIFT] * LANES)
            sectors = builder.lshr(values, wide)
            shifted = builder.shuffle_vector(
                sectors,
                ir.Constant(addresses_type, ir.Undefined),
                ir.Constant(words_type, [0, *range(LANES - 1)]),
            )
            falls = bits_of(builder, builder.icmp_unsigned("<", sectors, shifted))
            changes = bits_of(builder, builder.icmp_unsigned("!=", sectors, shifted))
            rising = builder.and_(
                builder.icmp_unsigned("==", falls, ir.Constant(i32, 0)),
                builder.icmp_signed("==", mask, ir.Constant(i32, -1)),
            )
            with builder.if_else(rising) as (sorted_, unsorted):
                with sorted_:
                    rising_count = builder.add(
                        builder.zext(count_lanes(builder, changes), i64), one
                    )
                    sorted_end = builder.block
                with unsorted:
                    any_count = builder.call(count, [warp, mask])
                    unsorted_end = builder.block
            sparse_sectors = builder.phi(i64)
            sparse_sectors.add_incoming(rising_count, sorted_end)
            sparse_sectors.add_incoming(any_count, unsorted_end)
            sparse_end = builder.block
    total = builder.phi(i64)
    total.add_incoming(dense_sectors, dense_end)
    total.add_incoming(sparse_sectors, sparse_end)
    asked = builder.mul(builder.zext(count_lanes(builder, mask), i64), width)
    for name, amount in (("requests", one), ("sectors", total), ("bytes", asked)):
        where = field(builder, site, Site, name)
        builder.store(builder.add(load(builder, where, i64), amount), where)


def _observe(
    builder: ir.IRBuilder,
    context: ir.Value,
    warp: ir.Value,
    site: ir.Value,
    mask: ir.Value,
    nbytes: int,
    kind: ir.Value,
    base: ir.Value,
) -> None:
    """Show the access to what watches; ``base`` is what addresses in shared memory count from."""
    numbers = [builder.ptrtoint(p, i64) for p in (context, warp, site)]
    lanes = builder.zext(mask, i64)
    watching = load(builder, field(builder, context, Context, "observe"), i32)
    for name, bits in WATCHERS.items():
        known = builder.module.globals.get(name)
        watcher = known or ir.Function(builder.module, observe_type, name)
        asked = builder.and_(watching, ir.Constant(i32, bits))
        with builder.if_then(builder.icmp_unsigned("!=", asked, ir.Constant(i32, 0))):
            builder.call(watcher, [*numbers, lanes, ir.Constant(i64, nbytes), kind, base])


def _define_check_window(module: ir.Module, nbytes: int) -> None:
    """Offsets into shared or local memory of ``limit`` bytes. ``mask`` is never empty."""
    builder = routine(module, check_window_type, check_window_name(nbytes))
    context, warp, mask, site, limit, store, space = builder.function.args
    values = load(builder, field(builder, warp, Warp, "addresses"), addresses_type, 64)
    consecutive, low, high = _consecutive(builder, warp, values, mask, nbytes)
    inside = builder.and_(
        builder.icmp_unsigned("<=", high, limit), builder.icmp_unsigned("<", low, high)
    )
    easy = builder.and_(builder.and_(consecutive, inside), _is_multiple(builder, low, nbytes))
    with builder.if_then(easy):
        _observe_window(builder, context, warp, site, mask, nbytes, space)
        builder.ret(ir.Constant(i32, 1))
    _check_alignment(builder, context, warp, site, mask, values, nbytes, store)
    fits = builder.icmp_unsigned(">=", limit, ir.Constant(i64, nbytes))
    room = builder.select(fits, builder.sub(limit, ir.Constant(i64, nbytes)), ir.Constant(i64, 0))
    beyond = builder.icmp_unsigned(">", values, splat(builder, room))
    too_far = builder.select(fits, bits_of(builder, beyond), ir.Constant(i32, -1))
    wrong = builder.and_(mask, too_far)
    with builder.if_then(builder.icmp_unsigned("!=", wrong, ir.Constant(i32, 0)), likely=False):
        lane = first_lane(builder, wrong)
        address = lane_address(builder, warp, lane)
        _report(builder, context, warp, site, OUT_OF_BOUNDS, lane, address, nbytes, store)
        builder.ret(ir.Constant(i32, -1))
    _observe_window(builder, context, warp, site, mask, nbytes, space)
    builder.ret(builder.zext(consecutive, i32))


def _observe_window(
    builder: ir.IRBuilder,
    context: ir.Value,
    warp: ir.Value,
    site: ir.Value,
    mask: ir.Value,
    nbytes: int,
    space: ir.Value,
) -> None:
    watching = load(builder, field(builder, context, Context, "observe"), i32)
    with builder.if_then(builder.icmp_unsigned("!=", watching, ir.Constant(i32, 0)), likely=False):
        kind = builder.zext(space, i64)
        _observe(builder, context, warp, site, mask, nbytes, kind, ir.Constant(i64, 0))
