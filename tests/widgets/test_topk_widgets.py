"""The pictures of top-k, its curves and its table of costs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import recorded
from kernels.runtime import open_device
from widgets import (
    rate_curves,
    recorded_curves,
    time_curves,
    topk_cost,
    topk_table,
    wave_curves,
)
from widgets.look import GREEN, ORANGE
from widgets.queues_picture import rows
from widgets.radix_passes import radix_passes
from widgets.time_curves import Curve, power
from widgets.warp_queues import warp_queues


def test_queues_fill_and_are_merged_step_by_step() -> None:
    widget = warp_queues()
    assert "After 32 of 1,024 keys: 32 went into a queue, 0 merges." in widget.numbers.value
    widget.step.value = 2
    assert "1 merge, one of them now" in widget.numbers.value
    kept = dict(rows(widget.shown, 2))["warp queue"]
    assert len(kept) == 32 and all(text for _, text in kept)
    widget.step.value = 32
    kept = dict(rows(widget.shown, 2))["warp queue"]
    assert [text for _, text in kept] == [str(i) for i in range(1, 33)]
    assert {colour for colour, _ in kept} == {GREEN}


def test_choosing_keys_or_queues_draws_anew() -> None:
    widget = warp_queues()
    widget.length.value = 4
    assert list(widget.figure.layout.yaxis.ticktext)[1:-1] == [f"queue, {i}" for i in (1, 2, 3, 4)]
    widget.keys.value = "rising"
    widget.step.value = 20
    assert "640 went into a queue" in widget.numbers.value
    assert all(widget.figure.data[0].text), "plotly.js draws no text where there once was none"
    new = [c for c in widget.figure.data[0].marker.color if c == ORANGE]
    assert len(new) == 64, "all 32 that arrive go into a queue"


def test_a_stream_of_whole_pieces_is_wanted() -> None:
    with pytest.raises(ValueError, match="multiple of 32"):
        warp_queues(100)


def test_a_pass_of_radix_select_is_drawn_by_what_becomes_of_its_keys() -> None:
    widget = radix_passes()
    below, at, above = widget.figure.data[:3]
    assert len(at.x) == 1 and max(below.x) < at.x[0]
    widget.number.value = 2
    below, at, above = widget.figure.data[:3]
    assert sum(sum(t.y) for t in (below, at, above)) == widget.shown.candidates
    assert min(above.x) > at.x[0]
    assert "bits 23 to 16" in widget.figure.layout.xaxis.title.text


def test_fewer_passes_take_the_slider_back() -> None:
    widget = radix_passes()
    widget.keys.value = "adversarial"
    widget.number.value = 4
    widget.digit.value = 11
    assert widget.number.max == len(widget.passes) == 3
    assert widget.number.value == 3


def test_without_a_kernel_they_are_pictures_with_numbers() -> None:
    queues = warp_queues()._repr_mimebundle_()["text/html"]
    assert queues.count("<svg") == 1 and "0 of the best 32" in queues
    passes = radix_passes()._repr_mimebundle_()["text/html"]
    assert passes.count("<svg") == 1 and "65536 candidates over 256 digits" in passes


class Recorded:
    class origin:  # noqa: N801
        device, date, command = "NVIDIA H100", "2026-11-23", "python -m x"

    def __init__(self, *points: tuple[int, int, dict[str, float]]) -> None:
        self.points = points

    def series(self, **fixed: object) -> list[object]:
        return [recorded.Selection(1, n, k, "uniform", us) for n, k, us in self.points
                if fixed.get("k", k) == k]  # fmt: skip


def test_curves_of_several_records_are_told_apart() -> None:
    ours = Recorded((2048, 32, {"ours": 10.0, "torch": 30.0}), (4096, 32, {"ours": 11.0}),
                    (4096, 64, {"ours": 99.0}))  # fmt: skip

    def nothing() -> Recorded:
        raise LookupError("this makes it: python -m y")

    curves, notes = recorded_curves(
        {"here": lambda: ours, "there": nothing}, "n", {"ours": "ours", "torch": "torch"}, k=32
    )
    assert [(c.label, dict(c.points)) for c in curves] == [
        ("ours (here)", {2048: 10.0, 4096: 11.0}), ("torch (here)", {2048: 30.0})
    ]  # fmt: skip
    assert [c.style for c in curves] == [0, 1]
    assert notes == ["there: not recorded. this makes it: python -m y"]
    html = time_curves("k = 32", "keys", curves, notes=notes)._repr_mimebundle_()["text/html"]  # type: ignore[union-attr]
    for part in ("ours (here)", "2<sup>12</sup>", "python -m x", "python -m y"):
        assert part in html


def test_where_nothing_is_recorded_it_says_so() -> None:
    shown = time_curves("k = 32", "keys", [], notes=["ours: not recorded"])
    assert "nothing is recorded yet" in shown._repr_html_()  # type: ignore[union-attr]
    assert "ours: not recorded" in repr(shown)


def test_a_record_of_ours_is_read_with_all_that_was_timed(tmp_path: Path) -> None:
    case = {"kernel": "topk_filtered", "data": "uniform", "rows": 1, "k": 32}
    made = {"device": "NVIDIA H100", "date": "2026-11-23", "command": "python -m x"}
    record = {
        "origin": made,
        "bars": [{**case, "n": 65536, "ours_us": 9.0, "torch_us": 70.0, "bar_ms": None}],
        "grid": [
            {**case, "n": 65536, "ours_us": 9.5},
            {**case, "n": 4096, "ours_us": 5.0},
            {**case, "n": 2048, "ours_us": 1.0, "failure": "other keys than torch"},
        ],
    }
    (tmp_path / "topk.json").write_text(json.dumps(record))
    found = recorded.topk(tmp_path / "topk.json").series(k=32, data="uniform")
    assert [(p.n, dict(p.microseconds)) for p in found] == [
        (4096, {"ours": 5.0}), (65536, {"ours": 9.0, "torch": 70.0})
    ]  # fmt: skip
    with pytest.raises(recorded.NotRecorded, match=r"python -m benchmarks\.topk_h100"):
        recorded.topk(tmp_path / "nothing.json")


def test_the_peers_record_says_that_it_is_not_ours() -> None:
    peers = recorded.topk_peers()
    assert "not taken by this repository" in peers.origin.command
    point = peers.point(1, 1 << 27, 2048, "uniform")
    assert point.microseconds["torch"] == pytest.approx(2600, rel=0.02)
    with pytest.raises(recorded.NotRecorded, match="k = 7"):
        peers.point(1, 1 << 27, 7, "uniform")


@pytest.mark.parametrize(("size", "words"), [(32, "32"), (2048, "2<sup>11</sup>"), (3000, "3000")])
def test_large_sizes_are_powers(size: int, words: str) -> None:
    assert power(size) == words


def test_a_chart_has_a_line_a_curve() -> None:
    made = time_curves("t", "n", [Curve("a", {1: 2.0, 4: 3.0}), Curve("b", {1: 5.0})])
    chart = made.widget.children[0]  # type: ignore[union-attr]
    assert [trace.name for trace in chart.data] == ["a", "b"]
    assert len({trace.marker.symbol for trace in chart.data}) == 2


def test_rates_begin_at_zero() -> None:
    made = rate_curves("t", "waves", "TFLOPS", [Curve("a", {0.5: 20.0, 1.0: 40.0})])
    chart = made.widget.children[0]  # type: ignore[union-attr]
    assert (chart.layout.yaxis.rangemode, chart.layout.yaxis.type) == ("tozero", None)
    assert chart.layout.yaxis.title.text == "TFLOPS"
    assert "TFLOPS, waves" in made._repr_mimebundle_()["text/html"]  # type: ignore[union-attr]


def test_products_are_shown_against_their_waves() -> None:
    made = wave_curves(recorded.gemm, "float32")
    chart = made.widget.children[0]  # type: ignore[union-attr]
    assert {trace.name for trace in chart.data} == {"cuBLAS", "sgemm_double_buffered"}
    products = [p for p in recorded.gemm().waves if p.dtype == "float32" and p.name == "cuBLAS"]
    shown = next(trace for trace in chart.data if trace.name == "cuBLAS")
    assert dict(zip(shown.x, shown.y, strict=True)) == {p.waves: p.teraflops for p in products}


def test_without_a_record_of_products_a_sentence_says_so() -> None:
    def missing() -> recorded.Gemm:
        raise LookupError("nothing is there")

    assert "nothing is there" in repr(wave_curves(missing, "float16"))


def test_a_selection_is_counted_over_its_launches_and_checked() -> None:
    def first_ones(device, x, values, indices):  # type: ignore[no-untyped-def]
        """Not a selection at all."""
        from kernels.runtime import cuda_program

        program = cuda_program(
            'extern "C" __global__ void first(const float* x, float* values, int* indices)\n'
            "{ values[threadIdx.x] = x[threadIdx.x], indices[threadIdx.x] = threadIdx.x; }"
        )
        device.launch(program["first"], 1, 32, (x, values, indices))

    keys = np.arange(64, dtype=np.float32)
    device = open_device("emulated")
    wrong = topk_cost(device, "first 32", first_ones, keys, 32, data="rising")
    assert not wrong.right and wrong.launches == 1
    assert (wrong.times_read, wrong.written) == (0.5, 1.0)
    right = topk_cost(device, "first 32", first_ones, keys[::-1].copy(), 32, data="falling")
    assert right.right
    text = repr(topk_table([wrong, right]))
    assert "NO" in text and "falling" in text and "modelled" in text
    with pytest.raises(ValueError, match="at least one"):
        topk_table([])
