from __future__ import annotations

from dataclasses import replace

import pytest

from emulator import Report
from kernels.runtime import Timing, open_device
from widgets.costs import Cost, copy_blocks, cost_chart, cost_table


def made(label: str, loads: float, timing: Timing) -> Cost:
    """A warp that loads in ``loads`` sectors and stores in 4."""
    counters = {"smsp__sass_data_bytes_mem_global_op_ld.sum": 128.0,
                "smsp__sass_data_bytes_mem_global_op_st.sum": 128.0}  # fmt: skip
    for direction, sectors in (("ld", loads), ("st", 4.0)):
        name = f"pipe_lsu_mem_global_op_{direction}"
        counters[f"l1tex__t_requests_{name}.sum"] = 1.0
        counters[f"l1tex__t_sectors_{name}.sum"] = sectors
        counters[f"l1tex__average_t_sectors_per_request_{name}.ratio"] = sectors
    report = Report(
        kernel=label, grid=(1, 1, 1), block=(32, 1, 1), shared_bytes=0, device="a device",
        counters=counters,
    )  # fmt: skip
    return Cost(label, report, timing, 256.0, step="copy_strided", device="my device")


def test_bytes_moved_are_whole_sectors() -> None:
    cost = made("strided", 12.0, Timing.of([2.0], "modelled"))
    assert cost.bytes_moved == 512
    assert cost.efficiency == 0.5
    assert cost.gigabytes_per_s == pytest.approx(256 / 2e-6 / 1e9)


def test_a_table_says_where_its_numbers_come_from() -> None:
    table = cost_table([made("copy_strided", 12.0, Timing.of([2.0], "modelled"))])
    for part in ("copy_strided", "time, modelled", "50 %", "2 µs", "Counters: a device"):
        assert part in table.html and part in table.text.replace("sectors / load  ", "")


class Recorded:
    """A record of one kernel."""

    class origin:  # noqa: N801
        device, date, command = "H100", "2026-11-23", "python -m record"

    gigabytes_per_s = 1234.0

    def kernel(self, name: str, case: str) -> Recorded:
        if (name, case) != ("copy_strided", "large"):
            raise LookupError(f"no figure of {name}")
        return self


def not_there() -> Recorded:
    raise LookupError("run: python -m record")


COST = made("stride 4", 12.0, Timing.of([2.0], "modelled"))


def test_recorded_bandwidths_stand_beside_with_their_origin() -> None:
    html = cost_table([COST], Recorded).html
    assert "GB/s, recorded" in html and "1,234" in html
    assert "Recorded: H100, 2026-11-23, by: python -m record" in html


def test_a_chart_has_this_device_and_the_recorded_one() -> None:
    html = cost_chart("Copies", [COST], Recorded)._repr_mimebundle_()["text/html"]
    assert "my device, modelled" in html and "H100, recorded 2026-11-23" in html


def test_what_nobody_recorded_is_said_and_leaves_no_empty_column() -> None:
    html = cost_table([COST], not_there).html
    assert "GB/s, recorded" not in html
    assert "Not recorded: run: python -m record" in html
    chart = cost_chart("Copies", [COST], not_there)._repr_mimebundle_()["text/html"]
    assert "Not recorded: run: python -m record" in chart and "my device" in chart


def test_measured_and_modelled_times_are_not_put_in_one_table() -> None:
    modelled = made("a", 4.0, Timing.of([2.0], "modelled"))
    measured = replace(modelled, timing=Timing.of([2.0], "measured"))
    with pytest.raises(ValueError, match=r"measured.*modelled"):
        cost_table([modelled, measured])


def test_the_software_gpu_copies_as_much_as_the_talk_did() -> None:
    assert copy_blocks(open_device("emulated")) == 400


def test_a_gpu_copies_more_than_its_l2_holds() -> None:
    class Gpu:
        kind = "cuda"
        arch = open_device("emulated").arch

    blocks = copy_blocks(Gpu())  # type: ignore[arg-type]
    assert blocks * 4096 * 4 * 2 >= 3 * Gpu.arch.l2_bytes
