"""Permutations and searches of bits that take many steps."""

from __future__ import annotations

from llvmlite import ir

from emulator.native.layout import i32, i64
from emulator.native.vectors import everywhere, resized


def prmt(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, selector: ir.Value) -> ir.Value:
    """Four of the eight bytes of ``b:a``; the top bit of a selector copies the byte's sign."""
    words, longs = resized(a.type, i32), resized(a.type, i64)
    wide = builder.or_(
        builder.shl(builder.zext(b, longs), everywhere(longs, 32)), builder.zext(a, longs)
    )
    total: ir.Value = everywhere(words, 0)
    for index in range(4):
        nibble = builder.lshr(selector, everywhere(words, 4 * index))
        which = builder.and_(nibble, everywhere(words, 7))
        far = builder.zext(builder.shl(which, everywhere(words, 3)), longs)
        high = builder.shl(builder.trunc(builder.lshr(wide, far), words), everywhere(words, 24))
        copies = builder.icmp_unsigned(
            "!=", builder.and_(nibble, everywhere(words, 8)), everywhere(words, 0)
        )
        chosen = builder.select(copies, builder.ashr(high, everywhere(words, 31)), high)
        byte = builder.lshr(chosen, everywhere(words, 24))
        total = builder.or_(total, builder.shl(byte, everywhere(words, 8 * index)))
    return total


def fns(builder: ir.IRBuilder, mask: ir.Value, base: ir.Value, offset: ir.Value) -> ir.Value:
    """The ``offset``-th set bit from bit ``base`` on: upwards if positive, downwards if negative.

    Offset 0 asks whether ``base`` itself is set. All ones where there is no such bit. Looks at
    each bit once, upwards; a downward search is an upward one in the mirrored mask.
    """
    kind = mask.type
    zero, one = everywhere(kind, 0), everywhere(kind, 1)
    down = builder.icmp_signed("<", offset, zero)
    base_inside = builder.icmp_unsigned("<", base, everywhere(kind, 32))
    name = f"llvm.bitreverse.v{kind.count}i32"
    reverse = builder.module.globals.get(name) or ir.Function(
        builder.module, ir.FunctionType(kind, [kind]), name=name
    )
    searched = builder.select(down, builder.call(reverse, [mask]), mask)
    start = builder.select(down, builder.sub(everywhere(kind, 31), base), base)
    wanted = builder.select(down, builder.sub(zero, offset), offset)
    here = builder.icmp_unsigned("==", offset, zero)
    wanted = builder.select(here, one, wanted)
    found: ir.Value = everywhere(kind, -1)
    seen: ir.Value = zero
    for position in range(32):
        at = everywhere(kind, position)
        counts = builder.icmp_unsigned("<=", start, at)
        bit = builder.and_(builder.lshr(searched, at), one)
        seen = builder.add(seen, builder.select(counts, bit, zero))
        hit = builder.and_(
            builder.icmp_unsigned("==", seen, wanted),
            builder.icmp_unsigned("==", found, everywhere(kind, -1)),
        )
        found = builder.select(hit, at, found)
    none = builder.icmp_unsigned("==", found, everywhere(kind, -1))
    back = builder.select(down, builder.sub(everywhere(kind, 31), found), found)
    away = builder.and_(here, builder.icmp_unsigned("!=", back, base))
    missing = builder.or_(builder.or_(none, away), builder.not_(base_inside))
    return builder.select(missing, everywhere(kind, -1), back)
