from __future__ import annotations

import pytest
from cuda.bindings import nvrtc
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.native import jit
from kernels.coalescing import copy_elements_kernels
from widgets.access_pattern import MAX_OFFSET, MAX_STRIDE, AccessPattern, Probe
from widgets.picture import Touch, svg

SIZES = (1, 2, 4, 8, 16)


@pytest.fixture(scope="module")
def probe() -> Probe:
    return Probe(copy_elements_kernels())


@pytest.mark.parametrize(
    ("size", "offset", "stride", "sectors"),
    [(4, 0, 1, 4), (4, 5, 1, 5), (4, 8, 1, 4), (4, 0, 2, 8), (4, 0, 8, 32), (4, 0, 16, 32),
     (16, 0, 1, 16), (16, 1, 1, 17), (1, 0, 1, 1), (2, 0, 1, 2), (8, 0, 1, 8)],
)  # fmt: skip
def test_the_talks_cases(probe: Probe, size: int, offset: int, stride: int, sectors: int) -> None:
    touch = probe.touch(size, offset, stride)
    assert (touch.requests, touch.sectors, touch.bytes_asked) == (1, sectors, 32 * size)


@settings(max_examples=60)
@given(st.sampled_from(SIZES), st.integers(0, MAX_OFFSET), st.integers(1, MAX_STRIDE))
def test_every_setting_of_the_sliders_is_what_the_index_says(
    size: int, offset: int, stride: int
) -> None:
    touch = PROBE().touch(size, offset, stride)
    assert touch.places == tuple((offset + stride * lane) * size for lane in range(32))
    assert set(touch.touched) == {place // 32 for place in touch.places}
    assert 0 < touch.efficiency <= 1


def PROBE(made: list[Probe] = []) -> Probe:  # noqa: N802, B006 - hypothesis takes no fixtures
    if not made:
        made.append(Probe(copy_elements_kernels()))
    return made[0]


def test_moving_a_control_compiles_nothing(probe: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    pattern = AccessPattern(probe)

    def refuse(*_: object) -> None:
        raise AssertionError("compiled while a slider moved")

    monkeypatch.setattr(nvrtc, "nvrtcCompileProgram", refuse)
    monkeypatch.setattr(jit, "compile_object", refuse)
    monkeypatch.setattr(jit, "link_kernel", refuse)
    for size in SIZES:
        pattern.element.value = size
        for stride in (1, 3, MAX_STRIDE):
            pattern.stride.value = stride
            pattern.offset.value = stride
            assert (pattern.touch.element_bytes, pattern.touch.stride) == (size, stride)


def test_controls_wait_for_their_release_and_send_one_update(
    probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    pattern = AccessPattern(probe)
    assert pattern.offset.continuous_update is False
    assert pattern.stride.continuous_update is False
    sent: list[object] = []
    monkeypatch.setattr(
        type(pattern.figure), "_send_update_msg", lambda self, *a, **k: sent.append(a)
    )
    pattern.stride.value = 7
    assert len(sent) == 1


def test_the_picture_shows_what_was_touched(probe: Probe) -> None:
    pattern = AccessPattern(probe)
    pattern.stride.value = 2
    untouched, moved, asked, lines, lanes = pattern.figure.data
    assert (len(untouched.x), len(moved.x), len(asked.x), len(lanes.x)) == (0, 8, 32, 32)
    assert len(lines.x) == 3 * 32
    assert moved.customdata[0] == "sector 0: bytes 0 to 31<br>lanes 0 to 3, 16 bytes of 32"


def test_a_page_that_is_opened_later_sees_the_present_state(probe: Probe) -> None:
    pattern = AccessPattern(probe)
    pattern.stride.value = 5
    assert len(pattern.figure._widget_data[1]["x"]) == 20


def test_the_numbers_are_in_words_too(probe: Probe) -> None:
    pattern = AccessPattern(probe)
    pattern.offset.value, pattern.stride.value = 3, 2
    text = pattern.numbers.value
    assert "in[3 + 2 * lane]" in text
    for number in ("<b>9</b>", "<b>128 B</b>", "<b>288 B</b>", "<b>44.4 %</b>"):
        assert number in text


def test_without_a_live_front_end_there_is_a_drawing(probe: Probe) -> None:
    html = AccessPattern(probe)._repr_mimebundle_()["text/html"]
    assert html.startswith("<svg") and html.count(">31</text>") == 1
    assert "32 lanes and the 4 sectors that they touch" in html


def test_the_drawing_marks_only_touched_sectors() -> None:
    touch = Touch(4, 0, 8, tuple(32 * lane for lane in range(32)), 1, 32, 128)
    assert svg(touch).count('fill="#E69F00"') == 32
