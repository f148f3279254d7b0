from __future__ import annotations

import numpy as np
import pytest
from cuda.bindings import nvrtc
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.native import jit
from kernels.bank_conflicts import patterns, place, profile, program, transpose_tiled
from kernels.bank_conflicts.catalogue import BY_NAME
from kernels.runtime import EmulatedDevice
from widgets import shared_view
from widgets.bank_map import OWN, PATTERNS, BankMap, BankProbe
from widgets.bank_picture import BankAccess, svg


@pytest.fixture(scope="module")
def probe() -> BankProbe:
    return BankProbe()


def PROBE(made: list[BankProbe] = []) -> BankProbe:  # noqa: N802, B006 - hypothesis takes no fixtures
    if not made:
        made.append(BankProbe())
    return made[0]


@pytest.mark.parametrize(
    ("width", "stride", "wavefronts"),
    [(4, 1, 1), (4, 2, 2), (4, 32, 32), (4, 33, 1), (8, 1, 2), (8, 16, 32), (16, 1, 4), (16, 3, 4),
     (4, 0, 1), (8, 0, 1), (16, 0, 2)],
)  # fmt: skip
def test_the_lessons_cases(probe: BankProbe, width: int, stride: int, wavefronts: int) -> None:
    assert probe.access(width, patterns.strided(stride)).wavefronts == wavefronts


@settings(max_examples=60)
@given(
    st.sampled_from([4, 8, 16]),
    st.lists(st.integers(0, 40), min_size=32, max_size=32)
    | st.lists(st.integers(0, 1023), min_size=32, max_size=32)
    | st.lists(st.integers(0, 1023), min_size=16, max_size=16).map(lambda few: few * 2)
    | st.lists(st.integers(0, 90), min_size=16, max_size=16).map(lambda few: sorted(few * 2)),
)
def test_the_rule_that_draws_the_picture_is_the_counters(width: int, places: list[int]) -> None:
    access = PROBE().access(width, np.array(places, dtype=np.int32))  # asserts that they agree
    cells = access.cells
    assert len({(cell.bank, cell.wavefront) for cell in cells}) == len(cells)
    for lane in range(32):
        mine = {cell.word for cell in cells if lane in cell.lanes}
        assert mine == set(access.words_of(lane))


def test_moving_a_control_compiles_nothing(
    probe: BankProbe, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank_map = BankMap(probe)

    def refuse(*_: object) -> None:
        raise AssertionError("compiled while a slider moved")

    monkeypatch.setattr(nvrtc, "nvrtcCompileProgram", refuse)
    monkeypatch.setattr(jit, "compile_object", refuse)
    monkeypatch.setattr(jit, "link_kernel", refuse)
    for pattern, (name, (low, high), first, *_) in PATTERNS.items():
        bank_map.pattern.value = pattern
        number = bank_map.number
        assert (number.description, number.min, number.max, number.value) == (
            name,
            low,
            high,
            first,
        )
        for width in (4, 8, 16):
            bank_map.width.value = width
            for value in (low, high):
                number.value = value
                assert bank_map.access.width == width
                assert bank_map.access.places == tuple(PATTERNS[pattern][4](value).tolist())


def test_an_index_of_the_readers_own(probe: BankProbe) -> None:
    bank_map = BankMap(probe)
    bank_map.pattern.value = OWN
    shown = bank_map.pattern, bank_map.number, bank_map.index
    assert [control.layout.display for control in shown] == [None, "none", ""]
    bank_map.index.value = "lane % 8 * 32 + lane / 8"
    assert bank_map.access.wavefronts == 8
    assert "tile[lane % 8 * 32 + lane / 8]" in bank_map.numbers.value


@pytest.mark.parametrize(
    ("index", "says"),
    [
        ("lane +", "expected an expression"),
        ("row * 32", "identifier &quot;row&quot; is undefined"),
        ("lane * 40", "lane 26 would read element 1040; the tile has 1024"),
        ("lane - 1", "lane 0 would read element -1"),
        ("lane; while (1)", "an index is made of lane, numbers and operators"),
        ("", "an index is made of"),
    ],
)
def test_an_index_that_does_not_do_is_explained(probe: BankProbe, index: str, says: str) -> None:
    bank_map = BankMap(probe)
    bank_map.pattern.value = OWN
    before = bank_map.access
    bank_map.index.value = index
    assert says in bank_map.numbers.value
    assert bank_map.access == before


def test_one_update_a_change(probe: BankProbe, monkeypatch: pytest.MonkeyPatch) -> None:
    bank_map = BankMap(probe)
    assert bank_map.number.continuous_update is False
    sent: list[object] = []
    monkeypatch.setattr(
        type(bank_map.figure), "_send_update_msg", lambda self, *a, **k: sent.append(a)
    )
    bank_map.number.value = 7
    assert len(sent) == 1


def test_the_picture_shows_who_waits(probe: BankProbe) -> None:
    bank_map = BankMap(probe)
    bank_map.number.value = 8
    idle, first, late = bank_map.figure.data
    assert (len(first.x), len(late.x), len(idle.x)) == (4, 28, 28 * 8)
    assert set(first.x) == set(late.x) == {0, 8, 16, 24}
    assert first.customdata[1] == "bank 8, wavefront 1: word 8<br>lane 1"


def test_wide_lanes_are_served_by_groups() -> None:
    access = BankAccess(16, tuple(range(32)), 4)
    assert [(group[0], group[-1]) for group in access.groups] == [
        (0, 7),
        (8, 15),
        (16, 23),
        (24, 31),
    ]
    assert {cell.wavefront for cell in access.cells if cell.lanes[0] in (8, 15)} == {1}


def test_the_numbers_are_in_words_too(probe: BankProbe) -> None:
    bank_map = BankMap(probe)
    bank_map.width.value, bank_map.number.value = 8, 2
    text = bank_map.numbers.value
    for part in ("tile[2 * lane]", "<b>4</b>", "<b>2</b>", "<b>64 B</b>"):
        assert part in text


def test_without_a_live_front_end_there_is_a_drawing(probe: BankProbe) -> None:
    bank_map = BankMap(probe)
    bank_map.number.value = 4
    html = bank_map._repr_mimebundle_()["text/html"]
    assert html.startswith("<svg") and html.count('fill="#E69F00"') == 24
    assert "32 banks and the 4 wavefronts that serve a warp" in html


def test_a_drawing_says_how_many_share_a_word() -> None:
    assert svg(BankAccess(4, (5,) * 32, 1)).count(">×32</text>") == 1


def test_the_source_shows_which_line_conflicts() -> None:
    device = EmulatedDevice()
    placed = place(device, BY_NAME["transpose_tiled"], (64, 64))
    report = profile(device, transpose_tiled, *placed.on_device, placed.output)
    shown = shared_view(report, program("transpose")["transpose_tiled"], "transpose_by_tile")
    words = repr(shown).splitlines()
    assert words[0] == "transpose_tiled" and len(words) == 3
    assert "1 wavefronts an access" in words[1] and "32 wavefronts an access" in words[2]
    assert shown._repr_html_().count("border-left: 5px solid #E69F00") == 1
