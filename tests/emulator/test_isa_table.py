"""The table of instructions in emulator/README.md says what is so."""

from __future__ import annotations

import pytest

from emulator import isa
from emulator.lower import HANDLERS
from emulator.lower.control import TERMINATORS


def test_the_readme_has_the_table_as_it_is(capsys):
    """Every row's examples are run; ``python -m emulator.isa --write`` puts a difference right."""
    assert isa.main(["--check"]) == 0, capsys.readouterr().err


def test_every_opcode_that_is_lowered_is_in_the_table():
    shown = {name.strip().split(".")[0] for row in isa.rows() for name in row.opcode.split(",")}
    run = {  # without the predicate in front, where there is one
        e.split(".")[0].split()[-1] for row in isa.rows() for e in row.examples
    }
    missing = (HANDLERS.keys() | TERMINATORS.keys()) - shown - run
    assert not missing


def test_an_instruction_of_later_chips_is_refused_and_known_to_be():
    assert isa.runs(["add.u32 %r0, %r1, %r2"])
    assert not isa.runs(["tcgen05.wait::ld.sync.aligned"])


def test_a_row_of_two_minds_is_noticed():
    row = isa.Row("", "add", "", ("add.u32 %r0, %r1, %r2", "tcgen05.wait::ld.sync.aligned"))
    with pytest.raises(AssertionError, match="two rows"):
        row.status()
