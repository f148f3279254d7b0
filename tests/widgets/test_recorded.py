from __future__ import annotations

import pytest

from widgets.live import Live
from widgets.recorded import Figure, measured_beside_recorded

HERE = Figure("copy <aligned>", 2500.0, "modelled", "software GPU")
THERE = Figure("copy <aligned>", 2705.6, "recorded", "H100", "2026-11-23", "python -m record")


def chart_of(live: Live) -> object:
    return live.widget.children[0]


def test_every_bar_says_device_kind_and_date() -> None:
    chart = chart_of(measured_beside_recorded("Copy", "GB/s", [HERE, THERE]))
    names = [trace.name for trace in chart.data]  # type: ignore[attr-defined]
    assert set(names) == {"software GPU, modelled", "H100, recorded 2026-11-23"}


def test_modelled_and_recorded_bars_are_told_apart_without_colour() -> None:
    chart = chart_of(measured_beside_recorded("Copy", "GB/s", [HERE, THERE]))
    shapes = {trace.marker.pattern.shape for trace in chart.data}  # type: ignore[attr-defined]
    assert len(shapes) == 2 and "" not in shapes


def test_the_static_table_has_the_same_numbers_and_the_command() -> None:
    html = measured_beside_recorded("Copy", "GB/s", [HERE, THERE])._repr_mimebundle_()["text/html"]
    for part in ("2,500", "2,706", "GB/s", "2026-11-23", "python -m record"):
        assert part in html
    assert "copy <aligned>" not in html, "text must be escaped"


def test_no_figures_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        measured_beside_recorded("Copy", "GB/s", [])


def test_two_figures_for_one_bar_are_refused() -> None:
    with pytest.raises(ValueError, match="two figures for 'copy <aligned>'"):
        measured_beside_recorded("Copy", "GB/s", [HERE, HERE])
