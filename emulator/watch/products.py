"""What is wrong about products of a warpgroup and goes on nevertheless, noted as it happens."""

from __future__ import annotations

from emulator.native.compiled import routine
from emulator.watch.sync import complain, first

# Kinds of complaint, behind those of emulator.watch.sync: emulator.hazards' kinds and this.
HAZARD = 19


@routine("void", *["int64"] * 6)
def complain_of_product(
    context: int, warp: int, active: int, kind: int, site: int, other: int
) -> None:
    """An instruction touches registers of a product too early; ``other`` is the product's number.

    Or, of a product that no fence precedes, what touched its registers, or the product itself.
    """
    if active != 0:
        complain(context, HAZARD + kind, site, warp, first(active), other, 0)
