"""Candidates for a faster product fit the hardware, and small ones of each kind are right."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.gemm_fastest import hints, large, orders, sgemm, single
from benchmarks.gemm_search import arrays, judge, poison
from benchmarks.gemm_variants import Split, Variant
from emulator import H100
from kernels.gemm import BY_NAME, HopperTile

HINTED = {"hint_a": "LAST_OUT", "hint_b": "FIRST_OUT", "hint_d": "FIRST_OUT"}
SMALL = (
    Variant(128, 2, 1, 2, down=2, across=2, group=2, snake=True, back=True, lag=1, boxes=1, sms=8),
    Variant(192, 1, 2, 2, 2, 2, 1, eager=True, sms=4, **HINTED),
    Variant(64, 2, 1, 2, down=1, across=2, pingpong=True, boxes=1, sms=4),
    Split(256, 1, 2, 4),
)


def test_candidates_have_names_of_their_own_and_fit_an_sm():
    for some in ([*large(), *single()], sgemm()):
        assert len({one.name for one in some}) == len(set(some))
        for one in some:
            assert one.threads <= 1024
            assert one.shared_bytes <= H100.max_shared_per_block
    for one in sgemm():
        assert one.blocks_per_sm * (one.shared_bytes + 1024) <= 228 << 10


def test_what_follows_on_the_best_are_others():
    best = large()[:3]
    for more in (orders(best), hints(best)):
        assert len({one.name for one in more}) == len(more)
        assert not set(more) & set(best)


@pytest.mark.parametrize("one", SMALL, ids=lambda one: one.name)
def test_a_candidate_multiplies_any_rows_that_tma_takes_and_checks_find_nothing(device, one):
    a, b, d = arrays(device, 333, 328, 200, "float16")
    poison(d)
    report = device.profile(*one.launch(device, a, b, d), checks="all")
    assert report.findings == ()
    assert judge(device, a, b, range(333))(d) is None


def test_blocks_that_stay_do_not_overwrite_what_is_still_being_stored(device):
    chip = type(device)(replace(device.arch, sm_count=2), timeout_s=60)
    a, b, d = arrays(chip, 130, 328, 64, "float16")
    step = BY_NAME["hgemm_persistent"].step
    step(chip, a, b, d, tile=HopperTile(consumers=1, bn=64, stages=2))
    assert judge(chip, a, b, range(130))(d) is None
