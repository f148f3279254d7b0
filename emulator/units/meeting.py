"""Lanes of a warp that wait to meet the other lanes of a mask.

A lane waits with :data:`MEETING_BIT` in its program counter, and its mask in ``Warp.members``. Its
group is complete when every lane of the mask has exited or waits with the same mask, at whatever
program point. Lanes of a complete group go on; those at one program point go on together.
"""

from __future__ import annotations

from emulator.native.compiled import accessors, inner, routine
from emulator.native.layout import BARRIER_BIT, EXITED, LANES, MEETING_BIT, Context, Warp, offset
from emulator.watch.sync import POINTS_DIFFER, check_members, complain

read_u32, write_u32 = accessors("uint32")
read_i64, _ = accessors("int64")

PCS_AT = offset(Warp, "pcs")
COMPLAINTS_AT = offset(Context, "complaints")
MEMBERS_AT = offset(Warp, "members")
HELD = MEETING_BIT | BARRIER_BIT


@inner
def pc_of(warp: int, lane: int) -> int:
    """A lane's program counter with its bits."""
    return int(read_u32(warp + PCS_AT + 4 * lane))


@inner
def members_of(warp: int, lane: int) -> int:
    """The mask a lane waits for."""
    return int(read_u32(warp + MEMBERS_AT + 4 * lane))


@inner
def group_of(warp: int, lane: int) -> int:
    """The lanes that wait with a waiting lane's mask, if they are all that live of it; else 0."""
    mask = members_of(warp, lane)
    group = 0
    for other in range(LANES):
        if mask >> other & 1:
            pc = pc_of(warp, other)
            if pc != EXITED:
                if pc & HELD != MEETING_BIT or members_of(warp, other) != mask:
                    return 0
                group |= 1 << other
    point = pc_of(warp, lane)
    for other in range(LANES):  # lanes that their own mask leaves out
        if (
            not mask >> other & 1
            and pc_of(warp, other) == point
            and members_of(warp, other) == mask
        ):
            group |= 1 << other
    return group


@inner
def let_go(warp: int, group: int) -> None:
    """A complete group of waiting lanes goes on.

    At one program point its lanes may find themselves complete again, one group after the other;
    lanes at different points go past it, since alone they would not be complete.
    """
    point, apart = 0, 0
    for lane in range(LANES):
        if group >> lane & 1:
            pc = pc_of(warp, lane)
            if point == 0:
                point = pc
            elif pc != point:
                apart = 1
    for lane in range(LANES):
        if group >> lane & 1:
            pc = pc_of(warp, lane) & ~MEETING_BIT
            write_u32(warp + PCS_AT + 4 * lane, pc + apart)


@routine("int64", *["int64"] * 6)
def meet(context: int, warp: int, active: int, block: int, site: int, exchanges: int) -> int:
    """Lanes come to a meeting at ``block``; returns those that go on together now, or none.

    ``members`` of the active lanes holds their masks. All others of them wait, or run later.
    ``exchanges``: they will read one another's values, so they should come to one instruction.
    """
    watched = read_i64(context + COMPLAINTS_AT) != 0
    if watched:
        check_members(context, warp, active, site)
    for lane in range(LANES):
        if active >> lane & 1:
            write_u32(warp + PCS_AT + 4 * lane, block | MEETING_BIT)
    together = 0
    for lane in range(LANES):
        if active >> lane & 1 and pc_of(warp, lane) == block | MEETING_BIT:
            group = group_of(warp, lane)
            if group != 0:
                let_go(warp, group)
                elsewhere = 0
                for other in range(LANES):
                    if group >> other & 1 and pc_of(warp, other) != pc_of(warp, lane):
                        elsewhere |= 1 << other
                if watched and exchanges and elsewhere:
                    mask = members_of(warp, lane)
                    complain(context, POINTS_DIFFER, site, warp, lane, mask, elsewhere)
                if together == 0 and pc_of(warp, lane) == block:
                    together = group
    return together


@routine("void", "int64")
def meet_after_exit(warp: int) -> None:
    """Lanes have exited: groups that waited only for them go on."""
    for lane in range(LANES):
        pc = pc_of(warp, lane)
        if pc & HELD == MEETING_BIT:
            group = group_of(warp, lane)
            if group != 0:
                let_go(warp, group)
