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
    if nbytes == 4:
        write_i32(to, read_i32(source))
        return
    done = 0
    while done + 8 <= nbytes:
        write_i64(to + done, read_i64(source + done))
        done += 8
    while done < nbytes:
        write_u8(to + done, read_u8(source + done))
        done += 1


@inner
def copy_list(table: int, source: int, to: int, warp: int, lanes: int) -> None:
    """Copy values of ``lanes`` from the places of one list to those of another."""
    for item in range(word(table, source)):
        a, b = source + 1 + ITEM * item, to + 1 + ITEM * item
        from_place, from_stride = warp + word(table, a), word(table, a + 2)
        to_place, to_stride = warp + word(table, b), word(table, b + 2)
        nbytes = word(table, a + 1)
        for lane in range(LANES):
            if lanes >> lane & 1:
                copy(to_place + lane * to_stride, from_place + lane * from_stride, nbytes)


@inner
def kept_place(context: int, warp: int, lane: int) -> int:
    """Where a lane's top of the stack is."""
    start = read_i64(warp + KEPT_AT) + lane * read_i64(context + STACK_BYTES_AT)
    return int(start + read_i32(warp + KEPT_TOP_AT + 4 * lane))


@inner
def push(context: int, table: int, places: int, warp: int, lanes: int) -> None:
    """Copy values of ``lanes`` at the places of a list to where each lane's stack ends."""
    done = 0
    for item in range(word(table, places)):
        at = places + 1 + ITEM * item
        where, nbytes, stride = warp + word(table, at), word(table, at + 1), word(table, at + 2)
        for lane in range(LANES):
            if lanes >> lane & 1:
                to = kept_place(context, warp, lane) + done
                if stride == 0:
                    write_i64(to, read_i32(where) >> lane & 1)
                else:
                    copy(to, where + lane * stride, nbytes)
        done += (nbytes + 7) // 8 * 8


@inner
def pop(context: int, table: int, places: int, warp: int, lanes: int) -> None:
    """Copy them back, from where each lane's stack ends now."""
    done = 0
    for item in range(word(table, places)):
        at = places + 1 + ITEM * item
        where, nbytes, stride = warp + word(table, at), word(table, at + 1), word(table, at + 2)
        for lane in range(LANES):
            if lanes >> lane & 1:
                source = kept_place(context, warp, lane) + done
                if stride == 0:
                    others = read_i32(where) & ~(1 << lane)
                    write_i32(where, others | read_i64(source) << lane)
                else:
                    copy(where + lane * stride, source, nbytes)
        done += (nbytes + 7) // 8 * 8


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


@inner
def same_callee(warp: int, lanes: int) -> tuple[int, int]:
    """What the first of ``lanes`` calls, and those of them that call it, too."""
    callee, same = 0, 0
    for lane in range(LANES):
        if lanes >> lane & 1:
            its = read_i64(warp + ADDRESSES_AT + 8 * lane)
            if same == 0:
                callee = its
            if its == callee:
                same |= 1 << lane
    return callee, same


@inner
def enter(context: int, table: int, call: int, callee: int, warp: int, lanes: int) -> None:
    """Lanes whose stack has room enter one function."""
    copy_list(table, call + ARGUMENTS, callee + PARAMETERS, warp, lanes)
    base = warp + word(table, callee + BASE)
    takes, size = word(table, call + TAKES), word(table, callee + LOCALS)
    for lane in range(LANES):
        if lanes >> lane & 1:
            step = 4 * lane
            local_top = int(read_i32(warp + LOCAL_TOP_AT + step))
            write_i32(base + step, local_top)
            write_i32(warp + LOCAL_TOP_AT + step, local_top + size)
            write_i32(warp + KEPT_TOP_AT + step, read_i32(warp + KEPT_TOP_AT + step) + takes)
            write_i64(kept_place(context, warp, lane) - 8, call)
            write_i32(warp + PCS_AT + step, word(table, callee + ENTRY))


@inner
def same_call(context: int, warp: int, lanes: int) -> tuple[int, int]:
    """The call that the first of ``lanes`` returns from, and those of them that do, too."""
    call, same = 0, 0
    for lane in range(LANES):
        if lanes >> lane & 1:
            its = read_i64(kept_place(context, warp, lane) - 8)
            if same == 0:
                call = its
            if its == call:
                same |= 1 << lane
    return call, same


@routine("int32", *["int64"] * 6)
def enter_function(context: int, warp: int, mask: int, site: int, call: int, function: int) -> int:
    """The lanes of ``mask`` make a call; 0, or -1 when one of them cannot.

    ``call`` and ``function`` are records in the table; with ``function`` 0 each lane calls what its
    word of ``Warp.addresses`` points at. ``site`` is the instruction's number, for faults.
    """
    table = read_i64(context + CALLS_AT)
    limit = read_i64(context + STACK_BYTES_AT)
    takes = word(table, call + TAKES)
    for lane in range(LANES):
        if mask >> lane & 1:
            callee = function
            if callee == 0:
                address = read_i64(warp + ADDRESSES_AT + 8 * lane)
                callee = pointed_at(table, address)
                if callee <= 0:
                    return fault(context, warp, lane, site, NO_FUNCTION, address)
                if word(table, callee + SIGNATURE) != word(table, call + SIGNATURE):
                    return fault(context, warp, lane, site, OTHER_FUNCTION, address)
                write_i64(warp + ADDRESSES_AT + 8 * lane, callee)
            used = int(read_i32(warp + LOCAL_TOP_AT + 4 * lane)) + word(table, callee + LOCALS)
            used += int(read_i32(warp + KEPT_TOP_AT + 4 * lane)) + takes
            if used > limit:
                return fault(context, warp, lane, site, STACK_OVERFLOW, used)
    push(context, table, after(table, after(table, call + ARGUMENTS)), warp, mask)
    left = mask
    while left:
        callee, lanes = function, left
        if callee == 0:
            callee, lanes = same_callee(warp, left)
        enter(context, table, call, callee, warp, lanes)
        left &= ~lanes
    return 0


@routine("void", *["int64"] * 4)
def leave_function(context: int, warp: int, mask: int, function: int) -> None:
    """The lanes of ``mask`` return from a function to where each was called."""
    table = read_i64(context + CALLS_AT)
    base = warp + word(table, function + BASE)
    left = mask
    while left:
        call, lanes = same_call(context, warp, left)
        takes, resume = word(table, call + TAKES), word(table, call + RESUME)
        for lane in range(LANES):
            if lanes >> lane & 1:
                step = 4 * lane
                write_i32(warp + LOCAL_TOP_AT + step, read_i32(base + step))
                write_i32(warp + KEPT_TOP_AT + step, read_i32(warp + KEPT_TOP_AT + step) - takes)
                write_i32(warp + PCS_AT + step, resume)
        results = after(table, call + ARGUMENTS)
        pop(context, table, after(table, results), warp, lanes)
        copy_list(table, after(table, function + PARAMETERS), results, warp, lanes)
        left &= ~lanes
