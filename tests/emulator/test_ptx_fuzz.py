"""Whatever the text, reading it ends in a module or in a PtxError."""

from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from emulator import EmulatorError, Module

SEED = """
.version 8.0
.target sm_90
.address_size 64
.global .align 4 .b8 table[8] = {1, 2, 3, 4};
.visible .entry k(.param .u64 y, .param .u32 n)
{
  .reg .pred %p<2>; .reg .b32 %r<4>; .reg .b64 %rd<3>;
  .loc 1 2 3, function_name $L__info, inlined_at 1 5 6
  ld.param.u64 %rd1, [y];
  mov.u32 %r1, %tid.x;
  setp.lt.s32 %p1, %r1, 5;
  @!%p1 bra $L__BB0;
  { .reg .b32 t; mov.b32 t, -3; st.global.v2.u32 [%rd1+8], {t, %r1}; }
$L__BB0:
  ret;
}
"""
WORDS = [
    ".reg",
    "{",
    "}",
    "[",
    ";",
    "@",
    "%r1",
    "bra",
    ".loc",
    "0x",
    "1e",
    '"',
    "|",
    ".entry",
    "\0",
]


@settings(max_examples=300)
@given(st.data())
def test_damaged_ptx_never_escapes(data):
    text = SEED
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        cut = data.draw(st.integers(0, 12))
        text = (
            text[:at] + data.draw(st.sampled_from(WORDS) | st.text(max_size=3)) + text[at + cut :]
        )
    with contextlib.suppress(EmulatorError):
        module = Module(text)
        for kernel in module.kernels.values():
            assert kernel.graph.blocks
            assert kernel.static_shared_bytes >= 0


@settings(max_examples=100)
@given(st.integers(0, len(SEED)))
def test_truncated_ptx(length):
    with contextlib.suppress(EmulatorError):
        Module(SEED[:length])
