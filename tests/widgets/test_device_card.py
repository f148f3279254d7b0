from __future__ import annotations

from kernels.runtime import open_device
from widgets.device_card import device_card


def test_the_software_gpu_says_what_it_is_and_whose_ceilings_it_has() -> None:
    card = device_card(open_device("emulated"))
    assert "a software GPU on this machine&#x27;s CPU" in card.html
    assert "times modelled" in card.html
    for number in ("132", "3,352", "66.9", "50", "2,048", "228"):
        assert f">{number}</td>" in card.html, number


def test_the_same_is_there_as_text() -> None:
    text = repr(device_card(open_device("emulated")))
    assert "DRAM bandwidth: 3,352 GB/s" in text
    assert "<" not in text
