from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.timeline import (
    CONSUMER,
    FILLING,
    PRODUCTS,
    READ,
    RUNS,
    STAGE,
    WAITS_FOR_DATA,
    Interval,
    Lane,
    Timeline,
)
from widgets import block_timeline
from widgets.timeline import doing, steps
from widgets.timeline_picture import COLOURS, hover, label, window

RUN = Interval(0, 100, RUNS, "runs")
WAIT = Interval(
    100, 400, WAITS_FOR_DATA, "waits for stage 0 to be full", 0, "k.cu", 7, "wait(f<b>)"
)
FILL = Interval(20, 400, FILLING, "stage 0, turn 2: 4,096 bytes by 1 copy", 4096)
SHORT = Timeline(
    "product", "H100", 3, 1000,
    (
        Lane("warps 4-7: consumer 0", CONSUMER, (4, 5, 6, 7), (RUN, WAIT)),
        Lane("products of consumer 0", "tensor cores", (4, 5, 6, 7),
             (Interval(400, 900, PRODUCTS, "group 0: 4 wgmma of the warpgroup"),)),
        Lane("stage 0", STAGE, (), (FILL, Interval(400, 900, READ, FILL.what))),
    ),
    (), (FILL,), ("Times are a model's.",),
)  # fmt: skip
LONG = Timeline("product", "H100", 0, 4000, SHORT.lanes, (), (FILL,))


def test_steps_go_from_change_to_change() -> None:
    widget = block_timeline(SHORT)
    assert widget.steps == [0, 20, 100, 400] == steps(SHORT)
    assert "At cycle <b>0</b>" in widget.numbers.value
    widget.step.value = 2
    assert widget.at == 100
    assert "waits for stage 0 to be full" in widget.numbers.value
    assert "wait(f&lt;b&gt;)" in widget.numbers.value
    assert widget.figure.layout.shapes[0].x0 == 100


def test_the_whole_is_summed_up() -> None:
    said = block_timeline(SHORT).numbers.value
    assert "1,000 cycles" in said and "tensor cores busy 50%" in said
    assert "waits for data 30%" in said and "Times are a model" in said


def test_zooming_follows_the_step() -> None:
    widget = block_timeline(SHORT)
    widget.zoom.value = 4
    widget.step.value = 3
    assert widget.figure.layout.xaxis.range == (275, 525)


@given(st.integers(0, 1000), st.sampled_from([1, 2, 4, 8, 16]))
def test_what_is_shown_holds_the_step(at: int, zoom: int) -> None:
    begin, end = window(SHORT, at, zoom)
    assert 0 <= begin <= at <= end <= SHORT.cycles + 1e-6
    assert end - begin == pytest.approx(1000 / zoom)


def test_another_run_keeps_about_the_time() -> None:
    widget = block_timeline({"three stages": SHORT, "four": LONG})
    widget.step.value = 3
    widget.run.value = "four"
    assert widget.at == 400 and "4,000 cycles" in widget.numbers.value


def test_every_kind_has_a_colour_and_a_name_beside_it() -> None:
    widget = block_timeline(SHORT)
    shown = {trace.name for trace in widget.figure.data if trace.showlegend}
    assert shown == {RUNS, WAITS_FOR_DATA, PRODUCTS, FILLING, READ} <= set(COLOURS)
    assert list(widget.figure.layout.yaxis.categoryarray)[-1] == "warps 4-7: consumer 0"
    assert label(FILL) == "2" and label(SHORT.lanes[1].intervals[0]) == "0"


def test_the_pointer_tells_the_source_line() -> None:
    said = hover(SHORT.lanes[0], WAIT)
    assert "line 7: wait(f&lt;b&gt;)" in said and "300 cycles, from 100 to 400" in said


def test_a_stage_that_holds_nothing_is_empty() -> None:
    assert doing(SHORT.lanes[2], 10)[0] == "empty"
    assert doing(SHORT.lanes[2], 500)[0].startswith("being read: stage 0, turn 2")
    assert doing(SHORT.lanes[1], 10)[0] == "nothing"


def test_without_a_kernel_it_is_a_picture() -> None:
    html = block_timeline(SHORT)._repr_mimebundle_()["text/html"]
    assert html.count("<svg") == 1 and "3 lanes of block 3 of product" in html
    assert html.count("<rect") == 5 + 5  # bars, legend


def test_there_must_be_a_run() -> None:
    with pytest.raises(ValueError, match="needs a run"):
        block_timeline({})
