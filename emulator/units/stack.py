"""The stack of calls: entering and leaving functions that may be active more than once.

:mod:`emulator.lower.stackplan` makes the table that these routines read. A call pushes what its
caller must keep and, above that, where the call's own record lies; it copies the arguments into the
callee's parameters and gives it a base for its local variables. All is done lane by lane, for lanes
may be at different depths and may call different functions.
"""

from __future__ import annotations

from emulator.native.compiled import accessors, inner, routine
from emulator.native.layout import (
    KEPT_TOP_AT,
    LANES,
    LOCAL_TOP_AT,
    NO_FUNCTION,
    OTHER_FUNCTION,
    STACK_OVERFLOW,
    Context,
    Warp,
    offset,
)
from emulator.ptx.syntax import FUNCTION_BYTES

read_u8, write_u8 = accessors("uint8")
read_i32, write_i32 = accessors("int32")
read_i64, write_i64 = accessors("int64")

CALLS_AT = offset(Context, "calls")
STACK_BYTES_AT = offset(Context, "stack_bytes")
FAULT_KIND_AT = offset(Context, "fault_kind")
FAULT_SITE_AT = offset(Context, "fault_site")
FAULT_LANE_AT = offset(Context, "fault_lane")
FAULT_BYTES_AT = offset(Context, "fault_bytes")
FAULT_ADDRESS_AT = offset(Context, "fault_address")
FAULT_WARP_AT = offset(Context, "fault_warp")
PCS_AT = offset(Warp, "pcs")
ADDRESSES_AT = offset(Warp, "addresses")
KEPT_AT = offset(Warp, "kept")

# Words of a call's record, and of a function's.
RESUME, SIGNATURE, TAKES, ARGUMENTS = 0, 1, 2, 3
ENTRY, LOCALS, BASE, PARAMETERS = 0, 2, 3, 4
ITEM = 3  # words of a list's item: offset, bytes, stride


@inner
def word(table: int, index: int) -> int:
    """A word of the table."""
    return int(read_i64(table + 8 * index))


@inner
def copy(to: int, source: int, nbytes: int) -> None:
    """Copy a value."""
    done = 0
    while done + 8 <= nbytes:
        write_i64(to + done, read_i64(source + done))
        done += 8
    while done < nbytes:
        write_u8(to + done, read_u8(source + done))
        done += 1


@inner
def copy_list(table: int, source: int, to: int, warp: int, lane: int) -> None:
    """Copy a lane's values from the places of one list to those of another."""
    for item in range(word(table, source)):
        a, b = source + 1 + ITEM * item, to + 1 + ITEM * item
        from_place = warp + word(table, a) + lane * word(table, a + 2)
        to_place = warp + word(table, b) + lane * word(table, b + 2)
        copy(to_place, from_place, word(table, a + 1))


@inner
def push(table: int, places: int, warp: int, lane: int, to: int) -> None:
    """Copy a lane's values at the places of a list to the stack."""
    for item in range(word(table, places)):
        at = places + 1 + ITEM * item
        where, nbytes, stride = word(table, at), word(table, at + 1), word(table, at + 2)
        if stride:
            copy(to, warp + where + lane * stride, nbytes)
        else:
            write_i64(to, read_i32(warp + where) >> lane & 1)
        to += (nbytes + 7) // 8 * 8


@inner
def pop(table: int, places: int, warp: int, lane: int, source: int) -> None:
    """Copy them back."""
    for item in range(word(table, places)):
        at = places + 1 + ITEM * item
        where, nbytes, stride = word(table, at), word(table, at + 1), word(table, at + 2)
        if stride:
            copy(warp + where + lane * stride, source, nbytes)
        else:
            others = read_i32(warp + where) & ~(1 << lane)
            write_i32(warp + where, others | read_i64(source) << lane)
        source += (nbytes + 7) // 8 * 8


@inner
def after(table: int, places: int) -> int:
    """Where the list behind a list starts."""
    return places + 1 + ITEM * word(table, places)


@inner
def fault(context: int, warp: int, lane: int, site: int, kind: int, address: int) -> int:
    """Say in the context what stops the launch."""
    write_i32(context + FAULT_KIND_AT, kind)
    write_i32(context + FAULT_SITE_AT, site)
    write_i32(context + FAULT_LANE_AT, lane)
    write_i32(context + FAULT_BYTES_AT, 0)
    write_i64(context + FAULT_ADDRESS_AT, address)
    write_i64(context + FAULT_WARP_AT, warp)
    return -1


@inner
def pointed_at(table: int, address: int) -> int:
    """The record of the function at an address; 0 without one, -1 when it is no function's."""
    distance = address - word(table, 0)
    index = distance // FUNCTION_BYTES
    if distance < 0 or distance % FUNCTION_BYTES or index >= word(table, 1):
        return -1
    return word(table, 2 + index)


@routine("int32", *["int64"] * 6)
def enter_function(context: int, warp: int, mask: int, site: int, call: int, function: int) -> int:
    """The lanes of ``mask`` make a call; 0, or -1 when one of them cannot.

    ``call`` and ``function`` are records in the table; with ``function`` 0 each lane calls what its
    word of ``Warp.addresses`` points at. ``site`` is the instruction's number, for faults.
    """
    table = read_i64(context + CALLS_AT)
    limit = read_i64(context + STACK_BYTES_AT)
    results = after(table, call + ARGUMENTS)
    keeps = after(table, results)
    takes = word(table, call + TAKES)
    for lane in range(LANES):
        if not mask >> lane & 1:
            continue
        callee = function
        if callee == 0:
            address = read_i64(warp + ADDRESSES_AT + 8 * lane)
            callee = pointed_at(table, address)
            if callee <= 0:
                return fault(context, warp, lane, site, NO_FUNCTION, address)
            if word(table, callee + SIGNATURE) != word(table, call + SIGNATURE):
                return fault(context, warp, lane, site, OTHER_FUNCTION, address)
        local_top = int(read_i32(warp + LOCAL_TOP_AT + 4 * lane))
        kept_top = int(read_i32(warp + KEPT_TOP_AT + 4 * lane))
        locals_end = local_top + word(table, callee + LOCALS)
        kept_end = kept_top + takes
        if locals_end + kept_end > limit:
            return fault(context, warp, lane, site, STACK_OVERFLOW, locals_end + kept_end)
        kept = read_i64(warp + KEPT_AT) + lane * limit
        push(table, keeps, warp, lane, kept + kept_top)
        write_i64(kept + kept_end - 8, call)
        write_i32(warp + KEPT_TOP_AT + 4 * lane, kept_end)
        copy_list(table, call + ARGUMENTS, callee + PARAMETERS, warp, lane)
        write_i32(warp + word(table, callee + BASE) + 4 * lane, local_top)
        write_i32(warp + LOCAL_TOP_AT + 4 * lane, locals_end)
        write_i32(warp + PCS_AT + 4 * lane, word(table, callee + ENTRY))
    return 0


@routine("void", *["int64"] * 4)
def leave_function(context: int, warp: int, mask: int, function: int) -> None:
    """The lanes of ``mask`` return from a function to where each was called."""
    table = read_i64(context + CALLS_AT)
    limit = read_i64(context + STACK_BYTES_AT)
    base = warp + word(table, function + BASE)
    own_results = after(table, function + PARAMETERS)
    for lane in range(LANES):
        if not mask >> lane & 1:
            continue
        kept = read_i64(warp + KEPT_AT) + lane * limit
        kept_end = int(read_i32(warp + KEPT_TOP_AT + 4 * lane))
        call = read_i64(kept + kept_end - 8)
        kept_top = kept_end - word(table, call + TAKES)
        results = after(table, call + ARGUMENTS)
        write_i32(warp + LOCAL_TOP_AT + 4 * lane, read_i32(base + 4 * lane))
        pop(table, after(table, results), warp, lane, kept + kept_top)
        copy_list(table, own_results, results, warp, lane)
        write_i32(warp + KEPT_TOP_AT + 4 * lane, kept_top)
        write_i32(warp + PCS_AT + 4 * lane, word(table, call + RESUME))
