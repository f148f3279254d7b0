"""Launches that no GPU would accept, and kernels beyond what the software GPU has."""

from __future__ import annotations

import numpy as np
import pytest

from emulator import (
    DeviceMemory,
    LaunchError,
    Module,
    PtxError,
    UnknownKernel,
    UnsupportedInstruction,
    launch,
)

FILL = r"""
extern "C" __global__ void fill(int* y) { y[blockIdx.x * blockDim.x + threadIdx.x] = 1; }
extern "C" __global__ void __launch_bounds__(64) small(int* y) { y[threadIdx.x] = 1; }
extern "C" __global__ void filler(int* y) {
  extern __shared__ int tile[];
  __shared__ int more[256];
  tile[threadIdx.x] = more[threadIdx.x] = 3;
  y[threadIdx.x] = tile[threadIdx.x] + more[threadIdx.x];
}
"""


@pytest.mark.parametrize(
    ("grid", "block", "says"),
    [
        ((0, 1, 1), (32, 1, 1), "grid.x is 0"),
        ((1, 1, 1), (0, 1, 1), "block.x is 0"),
        ((1, -1, 1), (32, 1, 1), "grid.y is -1"),
        ((1, 65536, 1), (32, 1, 1), "between 1 and 65,535"),
        ((2**31, 1, 1), (32, 1, 1), "grid.x"),
        ((1, 1, 1), (1025, 1, 1), "between 1 and 1,024"),
        ((1, 1, 1), (1, 1, 65), "between 1 and 64"),
        ((1, 1, 1), (64, 32, 1), "2048 threads; H100 SXM5 allows 1024"),
    ],
)
def test_impossible_shapes_name_the_limit(card, grid, block, says):
    with pytest.raises(LaunchError, match=says.replace(".", r"\.")):
        card.run(FILL, "fill", grid, block, np.zeros(1, dtype=np.int32))


def test_launch_bounds_are_kept(card):
    with pytest.raises(LaunchError, match="__launch_bounds__ allows 64"):
        card.run(FILL, "small", 1, 128, np.zeros(128, dtype=np.int32))


def test_shared_memory_beyond_the_limit(card):
    y = np.zeros(256, dtype=np.int32)
    with pytest.raises(LaunchError, match=r"233,473 bytes of shared memory .*232,448 a block"):
        card.run(FILL, "filler", 1, 256, y, shared_bytes=(227 << 10) + 1)
    card.run(FILL, "filler", 1, 256, y, shared_bytes=226 << 10)
    assert (y == 6).all()


def test_an_unknown_kernel_suggests_a_known_one(card):
    with pytest.raises(UnknownKernel, match="did you mean 'fill'"):
        card.run(FILL, "fil", 1, 32, np.zeros(1, dtype=np.int32))


def test_a_parameter_block_of_the_wrong_size(card):
    with pytest.raises(LaunchError, match="3 bytes"):
        launch(card.module(FILL)["fill"], (1, 1, 1), (32, 1, 1), b"abc", DeviceMemory())


UNKNOWN = """
.version 8.0
.target sm_90
.address_size 64
.visible .entry maybe(.param .u64 y, .param .u32 flag) {
  .reg .pred %p<2>; .reg .b32 %r<3>; .reg .b64 %rd<2>;
  ld.param.u32 %r1, [flag];
  setp.eq.u32 %p1, %r1, 0;
  @%p1 bra DONE;
  frobnicate.sync.b32 %r2, %r1, {%r1, 3};
DONE:
  ret;
}
"""


def test_an_unknown_instruction_is_refused_by_name_only_when_executed(card):
    y = np.zeros(1, dtype=np.int32)
    card.run(UNKNOWN, "maybe", 1, 32, y, np.uint32(0))
    with pytest.raises(UnsupportedInstruction, match=r"frobnicate\.sync\.b32.*PTX line 10"):
        card.run(UNKNOWN, "maybe", 1, 32, y, np.uint32(1))


def test_the_cache_survives_damage_and_a_read_only_home(card, monkeypatch, tmp_path):
    ptx = card.module(FILL).ptx
    monkeypatch.setenv("COALESCE_CACHE", str(tmp_path))
    assert Module(ptx)["fill"].address
    (entry,) = (tmp_path / "code").iterdir()
    entry.write_bytes(entry.read_bytes()[:-5] + b"wrong")
    assert Module(ptx)["fill"].address
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("COALESCE_CACHE", str(blocked))
    assert Module(ptx)["fill"].address


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no .version"),
        ("hello", "line 1"),
        (".version 8.0\n.entry k( { }", "line 2"),
        (".version 8.0\n.target sm_90\n.visible .entry k() {\n  add.s32 %r1, ;\n}", "line 4"),
        (".version 8.0\n.target sm_90\n.entry k() { bra", "end of the file"),
        (".version 8.0\n.address_size 32", "64-bit"),
        (".version 8.0\n.global .b8 x[99999999999999];", "line 2"),
        (".version 8.0\n.entry k() { .reg .b32 %r<999999999>; }", "registers"),
    ],
)
def test_text_that_is_not_ptx_names_the_line(text, says):
    with pytest.raises(PtxError, match=says.replace(".", r"\.")):
        Module(text)


def test_warp_sz_is_a_number(card):
    source = r"""
    extern "C" __global__ void sizes(int* out) {
      int once, more;
      asm("mov.u32 %0, WARP_SZ; add.s32 %1, %0, WARP_SZ;" : "=&r"(once), "=r"(more));
      out[0] = once;
      out[1] = more;
    }"""
    out = np.zeros(2, np.int32)
    card.run(source, "sizes", 1, 1, out)
    assert out.tolist() == [32, 64]
