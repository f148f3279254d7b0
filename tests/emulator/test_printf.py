"""What kernels print, and how their assertions end a launch."""

from __future__ import annotations

import ctypes
import math
import os
import signal
import struct
import sys
import threading

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from emulator import DeviceFault, LaunchTimeout
from emulator.formats import format_c

PRINTS = r"""
extern "C" __global__ void hello() {
  printf("block %d thread %d\n", blockIdx.x, threadIdx.x);
}
extern "C" __global__ void kinds(const char* name, long long big, double half, void* where) {
  printf("%s|%lld|%llx|%f|%.3e|%g|%p|%c|%%\n", name, big, big, half, half, half, where, 'A' + 1);
  char narrow = -3; short less = -300; float f = 0.25f; unsigned char u = 250;
  printf("%d %d %hhd %f %u [%5d] [%-5d] [%05d] [%+d] [%x] [%#X] [%o]\n",
         narrow, less, u, f, u, 42, 42, 42, 42, 255, 255, 8);
  printf("[%*d] [%-*d] [%.*f] [%8.3s] %s %s\n",
         7, 42, 4, 1, 2, 3.14159, "abcdef", "", (const char*)nullptr);
  printf("no newline, no arguments");
  printf("\n");
}
extern "C" __global__ void odd_ones(int* counts) {
  if (threadIdx.x & 1) printf("odd %d\n", threadIdx.x);
  counts[threadIdx.x] = printf("%d %d\n", threadIdx.x, 7);
}
extern "C" __global__ void endless() { while (true) printf("again\n"); }
extern "C" __global__ void two_lines() { printf("first\n"); printf("second\n"); }
extern "C" __global__ void bad_string() { printf("%s", (const char*)16); }
extern "C" __global__ void bad_format(const char* format) { printf(format, 1); }
"""


def test_every_thread_prints_in_order(card, capsys):
    card.run(PRINTS, "hello", 2, 40)
    expected = [f"block {b} thread {t}" for b in range(2) for t in range(40)]
    assert capsys.readouterr().out.splitlines() == expected


def test_values_of_every_kind(card, capsys):
    name = np.frombuffer(b"coalesce\0", dtype=np.uint8).copy()
    card.run(PRINTS, "kinds", 1, 1, name, np.int64(-5), np.float64(0.5), np.uint64(0xABC0))
    assert capsys.readouterr().out.splitlines() == [
        "coalesce|-5|fffffffffffffffb|0.500000|5.000e-01|0.5|0xabc0|B|%",
        "-3 -300 -6 0.250000 250 [   42] [42   ] [00042] [+42] [ff] [0XFF] [10]",
        "[     42] [1   ] [3.14] [     abc]  (null)",
        "no newline, no arguments",
    ]


def test_only_the_threads_that_come_by_print(card, capsys):
    counts = np.zeros(6, dtype=np.int32)
    card.run(PRINTS, "odd_ones", 1, 6, counts)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == ["odd 1", "odd 3", "odd 5"]
    assert lines[3:] == [f"{i} 7" for i in range(6)]
    assert counts.tolist() == [2] * 6  # how many values were printed


def test_endless_printing_is_stopped(card, capsys):
    with pytest.raises(LaunchTimeout, match=r"endless was stopped after 0\.2 s"):
        card.run(PRINTS, "endless", 1, 32, timeout_s=0.2)
    assert capsys.readouterr().out.startswith("again\nagain\n")


def test_endless_printing_can_be_interrupted(card, capsys):
    # a shell's background job ignores the signal, and so do its children
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    interrupt = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    interrupt.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            card.run(PRINTS, "endless", 1, 32)
    finally:
        interrupt.join()
        signal.signal(signal.SIGINT, before)


def test_an_error_while_printing_is_not_lost(card, monkeypatch):
    class Full:
        def write(self, text: str) -> int:
            raise OSError(f"no room for {text!r}")

    monkeypatch.setattr(sys, "stdout", Full())
    with pytest.raises(OSError, match="no room for 'first"):
        card.run(PRINTS, "two_lines", 1, 1)


@pytest.mark.parametrize(
    ("kernel", "arguments", "what"),
    [
        ("bad_string", (), "a string at 0x10, where nothing is allocated"),
        ("bad_format", (np.full(3, 65, dtype=np.uint8),), "no zero at its end"),
    ],
)
def test_a_bad_string_ends_the_launch(card, kernel, arguments, what):
    with pytest.raises(DeviceFault, match=what) as caught:
        card.run(PRINTS, kernel, 1, 32, *arguments)
    assert caught.value.finding.kind == "out-of-bounds read"
    assert "printf" in caught.value.finding.source_text


FLOATS = st.floats() | st.sampled_from([0.5, 2.5, 9.9999995, 5e-324, math.nan, -math.nan, -0.0])
FLAGS = st.lists(st.sampled_from("-+ #0"), unique=True).map("".join)
NUMBERS = st.sampled_from(["", "1", "7", "25"])
PRECISIONS = st.sampled_from(["", ".", ".0", ".1", ".4", ".13", ".20"])


def c_printf(spec: str, value: object) -> bytes:
    """What this machine's C library makes of it."""
    buffer = ctypes.create_string_buffer(4096)
    ctypes.CDLL(None).snprintf(buffer, len(buffer), spec.encode(), value)
    return buffer.value


@settings(max_examples=400)
@given(FLAGS, NUMBERS, PRECISIONS, st.sampled_from("fFeEgGaA"), FLOATS)
@example("", "", ".0", "a", 1.5)
@example("", "", ".0", "a", 0.5)
@example("#", "", ".0", "g", 100000.0)
def test_floating_conversions_are_those_of_c(flags, width, precision, conversion, value):
    spec = f"%{flags}{width}{precision}{conversion}"
    got = format_c(spec.encode(), lambda kind: value)
    assert got == c_printf(spec, ctypes.c_double(value))


@settings(max_examples=400)
@given(
    FLAGS, NUMBERS, PRECISIONS, st.sampled_from(["", "hh", "h", "l", "ll", "z"]),
    st.sampled_from("dioxXu"), st.integers(-(2**63), 2**63 - 1) | st.integers(-300, 300),
)  # fmt: skip
def test_integer_conversions_are_those_of_c(flags, width, precision, length, conversion, value):
    spec = f"%{flags}{width}{precision}{length}{conversion}"
    kinds = []

    def argument(kind: str) -> int:
        kinds.append(kind)
        return struct.unpack("<i", struct.pack("<q", value)[:4])[0] if kind == "int32" else value

    got = format_c(spec.encode(), argument)
    assert kinds == ["int64" if length in ("l", "ll", "z") else "int32"]
    assert got == c_printf(spec, ctypes.c_longlong(value))


def test_what_is_no_conversion_stays():
    assert format_c(b"%Z and %yes are 100%", lambda kind: 1) == b"%Z and %yes are 100%"


ASSERTS = r"""
__device__ __noinline__ int half(int v) {
  assert(v % 2 == 0);
  return v / 2;
}
extern "C" __global__ void halves(int* x) {
  x[threadIdx.x] = half(x[threadIdx.x]);
}
extern "C" __global__ void trap_at(int* x, int lane) {
  if (threadIdx.x == lane) __trap();
  x[threadIdx.x] = 1;
}
extern "C" __global__ void breakpoint(int* x) { if (x[threadIdx.x] == 5) __brkpt(); }
"""


def test_an_assertion_that_holds_does_nothing(card):
    x = np.arange(0, 64, 2, dtype=np.int32)
    card.run(ASSERTS, "halves", 1, 32, x)
    assert x.tolist() == list(range(32))


def test_an_assertion_that_fails_says_where_and_who(card):
    x = np.zeros(64, dtype=np.int32)
    x[45] = 7
    with pytest.raises(DeviceFault) as caught:
        card.run(ASSERTS, "halves", 1, 64, x)
    finding = caught.value.finding
    assert (finding.kind, finding.line, finding.thread) == ("assertion failed", 3, (45, 0, 0))
    assert "`v % 2 == 0` in int half(int)" in finding.message
    assert finding.source_text == "assert(v % 2 == 0);"


@pytest.mark.parametrize(
    ("kernel", "arguments", "line"), [("trap_at", (np.int32(9),), 10), ("breakpoint", (), 13)]
)
def test_a_trap_says_where_and_who(card, kernel, arguments, line):
    x = np.zeros(32, dtype=np.int32)
    x[9] = 5
    with pytest.raises(DeviceFault, match="trap") as caught:
        card.run(ASSERTS, kernel, 1, 32, x, *arguments)
    finding = caught.value.finding
    assert (finding.kind, finding.line, finding.thread) == ("trap", line, (9, 0, 0))
