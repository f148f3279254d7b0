"""What programs do with libcu++, for sm_80 and sm_90, whose instructions differ."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from emulator.nvrtc import compile_cuda

SOURCE = Path(__file__).with_name("libcudacxx.cu")
Run = Callable[..., None]


@functools.cache
def ptx_for(arch: str) -> str:
    return compile_cuda(SOURCE.read_text(), SOURCE.name, arch).ptx


@pytest.fixture(params=[(a, m) for a in ("compute_80", "compute_90") for m in ("late", "shuffled")],
                ids="-".join)  # fmt: skip
def run(request, card) -> Run:
    """Launch a kernel of the file by name: with late copies under all checks, and shuffled."""
    arch, mode = request.param

    def start(name, grid, block, *arguments, **options) -> None:
        options |= {"seed": 7} if mode == "shuffled" else {"checks": ("racecheck", "initcheck")}
        report = card.run(
            ptx_for(arch), name, grid, block, *arguments, async_copies=mode, **options
        )
        assert [str(finding) for finding in report.findings] == []

    return start


def rows(count: int, width: int) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 1 << 20, (count, width)).astype(np.int32)


def folded(x: np.ndarray) -> np.ndarray:
    """The rows of ``x`` as digits to the base 31, in 32 bits."""
    total = np.zeros(x.shape[1], np.int64)
    for row in x:
        total = (31 * total + row) & 0xFFFFFFFF
    return total.astype(np.uint32).view(np.int32)


def test_block_barrier_with_tokens(run):
    x, y = rows(1, 96)[0] % 1000, np.zeros(96, np.int32)
    run("barrier", 1, 96, x, y, np.int32(5))
    want = x
    for _ in range(5):
        want = 3 * want + np.roll(want, -1)
    assert y.tolist() == want.tolist()


def test_threads_drop_out_of_a_block_barrier(run):
    y = np.zeros(1, np.int32)
    run("drop", 1, 64, y)
    assert y[0] == 64 * 63 // 2


def test_copies_of_a_block_arrive_at_its_barrier(run):
    x, y = rows(3, 64), np.zeros((3, 64), np.int32)
    run("memcpy_async_barrier", 1, 64, x, y, np.int32(3), shared_bytes=256)
    assert (y == 2 * x[:, ::-1]).all()


def test_a_pipeline_of_the_block(run):
    x, y = rows(7, 64), np.zeros(64, np.int32)
    run("pipeline_block", 1, 64, x, y, np.int32(7), shared_bytes=3 * 256)
    assert y.tolist() == folded(np.roll(x, -1, axis=1)).tolist()


def test_a_pipeline_from_one_warp_to_two(run):
    x, y = rows(9, 32), np.zeros((2, 32), np.int32)
    run("pipeline_roles", 1, 96, x, y, np.int32(9), shared_bytes=2 * 128)
    assert (y == folded(x[:, ::-1])).all()


def test_a_pipeline_of_each_thread(run):
    x = rows(5 * 64, 4)
    y = np.zeros_like(x)
    run("pipeline_thread", 1, 64, x, y, np.int32(5))
    assert (y == x[:, ::-1]).all()


def test_copies_of_cooperative_groups(run):
    x, y = rows(4, 128), np.zeros((5, 128), np.int32)
    run("cg_memcpy_async", 1, 128, x, y, np.int32(4))
    assert (y[:4] == x[:, ::-1]).all()
    assert (y[4] == x[0][np.arange(128) ^ 1]).all()


def test_atomics_of_every_kind(run):
    counters, big, real = np.zeros(8, np.int32), np.zeros(1, np.uint64), np.zeros(1, np.float32)
    run("atomics", 3, 64, counters, big, real)
    parity = int(np.bitwise_xor.reduce(np.tile(np.arange(1, 65), 3)))
    assert counters.tolist() == [192, 191, -63, parity, 192, 192, 7, (192 % 256) << 8]
    assert (big[0], real[0]) == (3 * 64 * 63 // 2, 96.0)


def test_a_block_waits_for_the_notice_of_a_later_one(run):
    x, y = rows(1, 32)[0], np.zeros(64, np.int32)
    run("wait_notify", 2, 32, x, y, np.zeros(1, np.int32))
    assert (y == np.tile(x, 2)).all()


def test_semaphores_let_in_as_many_as_they_say(run):
    inside, most, total = (np.zeros(1, np.int32) for _ in range(3))
    run("semaphore", 1, 64, inside, most, total)
    assert (inside[0], total[0]) == (0, 64)
    assert 1 <= most[0] <= 2


def test_a_latch(run):
    x, y = rows(1, 64)[0], np.zeros(64, np.int32)
    run("latch", 1, 64, x, y)
    assert (y == x[::-1]).all()


def test_a_barrier_of_the_whole_device(run):
    place, x, y = np.zeros(64, np.uint8), np.zeros(256, np.int32), np.zeros(256, np.int32)
    run("start_barrier", 1, 1, place, np.int32(256))
    run("device_barrier", 4, 64, place, x, y)
    assert (y == np.arange(256)[::-1] ** 2).all()


def test_instructions_by_name(run, request):
    x, y = rows(1, 64)[0], np.zeros(65, np.int32)
    run("ptx", 1, 64, x, y)
    assert (y[:64] == x[::-1]).all()
    assert y[64] == (2 if "compute_90" in request.node.name else 0)


def test_a_wait_with_labels_of_its_own(run):
    x, y = rows(1, 64)[0] % 1000, np.zeros(64, np.int32)
    run("spin", 1, 64, x, y)
    want = x
    for _ in range(4):
        want = want + want[::-1]
    assert (y == want).all()
