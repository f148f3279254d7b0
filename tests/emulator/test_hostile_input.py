"""Broken and hostile PTX: an error with its line, in little time and memory; never an end of us."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator import (
    DeviceMemory,
    EmulatorError,
    LaunchError,
    LaunchTimeout,
    Module,
    PtxError,
    Report,
    UnsupportedInstruction,
    launch,
)
from emulator.command import main

HEAD = ".version 8.0\n.target sm_90\n.address_size 64\n"
REGISTERS = (
    ".reg .pred %p<4>; .reg .b32 %r<8>; .reg .b64 %rd<8>; .reg .f32 %f<4>;\n"
    "ld.param.u64 %rd1, [y];\n"
)


def kernel(body: str, before: str = "", parameters: str = ".param .u64 y") -> str:
    """A kernel ``k`` whose body starts on line 7 when nothing stands before it."""
    return f"{HEAD}{before}.visible .entry k({parameters}) {{\n{REGISTERS}{body}\n}}\n"


def run(ptx: str, timeout_s: float = 5.0) -> Report | None:
    """Launch the first kernel of a module, its first parameter an array of 4 KiB."""
    memory = DeviceMemory(4 << 30)
    first = next(iter(Module(ptx).kernels.values()), None)
    if first is None:
        return None
    params = bytearray(first.parameter_bytes)
    params[:8] = memory.allocate(4096, "y").address.to_bytes(8, "little")[: len(params)]
    return launch(first, (2, 1, 1), (64, 1, 1), bytes(params), memory, timeout_s=timeout_s)


LONG = "a" * 200_000
REFUSED = {
    # sizes
    "a huge array": (kernel("ret;", ".global .b8 g[99999999999999];\n"), "line 4: an array"),
    "a product of extents": (kernel("ret;", ".global .b8 g[65536][65536][9];\n"), "line 4"),
    "an array below zero": (kernel("ret;", ".global .b8 g[-1];\n"), "line 4: an array of -1"),
    "an alignment": (kernel("ret;", ".global .align 3 .b8 g[8];\n"), "line 4: .*power of two"),
    "a huge alignment": (kernel(".local .align 4294967296 .b8 s[8];"), "line 7: .*power of two"),
    "a parameter": (kernel("ret;", "", ".param .b8 y[99999]"), "line 4: .* at most 32764 bytes"),
    "registers": (kernel(".reg .b32 %q<999999999>;"), "line 7: more than 1048576 registers"),
    "a register's number": (kernel(f".reg .b32 %q<{'9' * 5000}>;"), "line 7"),
    "constants": (kernel("ret;", ".const .b8 c[2000000];\n"), "2,000,000 bytes of constant"),
    # numbers
    "a long number": (kernel(f"mov.u32 %r1, {'9' * 5000};"), "line 7: .*at most 64 bits"),
    "65 bits": (kernel("mov.u64 %rd1, 0x10000000000000000;"), "line 7: .*at most 64 bits"),
    "an offset": (kernel("ld.global.u32 %r1, [%rd1+18446744073709551616];"), "line 7"),
    "a line number": (kernel(f".loc 1 {'9' * 5000} 1"), "line 7: expected .loc"),
    "a file number": (f'{HEAD}.file {"9" * 5000} "x"\n', "line 4: expected .file"),
    "a version": (f".version {'9' * 5000}.0\n", "line 1: expected a version"),
    # names and nesting
    "a long name": (kernel(f"mov.u32 %r1, {LONG};"), "line 7: 200,000 characters"),
    "nested scopes": (kernel("{" * 5000 + "}" * 5000), "line 7: scopes are nested too deeply"),
    "nested vectors": (kernel("mov.u32 %r1, " + "{" * 5000 + ";"), "line 7: .*do not nest"),
    "nested values": (kernel("", ".global .b32 g = " + "{" * 5000), "line 4: .*too deeply"),
    "nested brackets": (kernel("ld.u32 %r1, " + "[" * 5000 + ";"), "line 7"),
    "signs": (kernel("mov.u32 %r1, " + "-" * 5000 + "1;"), "line 7"),
    # structure
    "two labels": (kernel("L: L: bra L;"), "line 7: a label stands twice"),
    "two kernels": (kernel("ret;") + kernel("ret;").removeprefix(HEAD), "line 9: .*twice"),
    "no label": (kernel("bra NOWHERE;"), "line 7: no such label"),
    "no target": (kernel("bra;"), "line 7: no such label"),
    "no operands": (kernel("add.s32;"), "line 7: malformed"),
    "too few in a vector": (kernel("ld.global.v4.u32 {%r1, %r2}, [%rd1];"), "line 7: malformed"),
    "too many in a vector": (
        kernel("ld.global.v4.u32 {" + "%r1," * 9999 + "%r1}, [%rd1];"), "line 7: malformed",
    ),
    "an open comment": (HEAD + "/* never" * 9999, "line 4: this comment never ends"),
    "an open string": (f'{HEAD}.file 1 "abc\n', "line 4: cannot read"),
    "an open kernel": (kernel("ret;")[:-3], "line 7: the text ends inside function 'k'"),
    "values": (kernel("ld.global.u32 %r1, [g];", ".global .u32 g[2] = {1,2,3};\n"), "more initial"),
    "a fraction": (kernel("ld.global.u32 %r1, [g];", ".global .u32 g = 1.5;\n"), "starts as 1.5"),
    "an address": (kernel("ld.global.u64 %rd1, [g];", ".global .u64 g = nowhere;\n"), "nowhere"),
    # other versions, other files
    "a later version": (".version 99.9\n", "line 1: this reader knows PTX up to 9.x"),
    "an unknown directive": (f"{HEAD}.frobnicate 3;\n", "line 4: expected a directive"),
    "another in a body": (kernel(".frobnicate 3;"), "line 7: expected an instruction"),
    "32-bit addresses": (".version 8.0\n.address_size 32\n", "line 2: only 64-bit"),
    "HTML": ("<html><body>404</body></html>", "line 1: expected a directive"),
    "a right-to-left mark": (f"{HEAD}\u202e", "line 4: cannot read"),
    "nothing": ("", "line 1: no .version directive"),
}  # fmt: skip


@pytest.mark.parametrize(("ptx", "says"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_ptx_is_refused_with_its_line(ptx, says):
    with pytest.raises(PtxError, match=says) as refused:
        run(ptx)
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize(
    ("ptx", "error", "says"),
    [
        (kernel(".local .b8 s[99999999]; st.local.u32 [s], 1;"), LaunchError, "524,288"),
        (kernel(".shared .b8 s[99999999]; st.shared.u32 [s], 1;"), LaunchError, "232,448 a block"),
        (
            kernel("ret;", "".join(f".global .b8 g{i}[2147483648];\n" for i in range(9))),
            LaunchError,
            "memory is full",
        ),
        (kernel("L: add.u32 %r1, %r1, 1; bra L;"), LaunchTimeout, "stopped after"),
        (kernel("L: bar.sync 0; bra L;"), EmulatorError, "deadlock|stopped after"),
        (kernel("tcgen05.wait::ld.sync.aligned;"), UnsupportedInstruction, "tcgen05.wait::ld"),
    ],
)
def test_what_no_gpu_has_is_refused_at_launch(ptx, error, says):
    with pytest.raises(error, match=says):
        run(ptx, timeout_s=0.3)


def test_calls_that_never_end_are_an_error():
    around = f"{HEAD}.func f() {{ call f; ret; }}\n.visible .entry k() {{ call f; ret; }}\n"
    with pytest.raises(EmulatorError):
        run(around)
    chain = "".join(f".func f{i}() {{ call f{i - 1}; ret; }}\n" for i in range(1, 3000))
    deep = f"{HEAD}.func f0() {{ ret; }}\n{chain}.visible .entry k() {{ call f2999; ret; }}\n"
    with pytest.raises(PtxError, match="nested too deeply"):
        run(deep)


def test_a_huge_array_takes_no_memory_until_it_is_used():
    assert run(kernel("ld.global.u32 %r1, [g];", ".global .b8 g[2147483648];\n")) is not None


def test_lines_may_end_as_on_any_system():
    assert run(kernel("mov.u32 %r1, 1;").replace("\n", "\r\n")) is not None


WORDS = [".reg", ".shared", "{", "}", "[", "]", "(", ";", ":", "@", "!", ",", "<", "%r1", "%rd1",
         "9223372036854775808", "-1", "0x", "1e999", '"', "/*", "//", "\n", "\0", ".align", ".v4",
         "bra", "call", "bar.sync", "L", ".entry", ".func", ".param", "y", "é", "ret"]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join))
def test_any_words_at_all_end_in_an_error_or_run(words):
    with contextlib.suppress(EmulatorError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run(kernel(f"{words}\nret;"), timeout_s=0.1)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_at_all_are_a_file_that_is_refused(tmp_path_factory, data, follows_a_head):
    path: Path = tmp_path_factory.mktemp("any") / "any.ptx"
    path.write_bytes(HEAD.encode() * follows_a_head + data)
    assert main(["run", str(path), "--grid", "1", "--block", "1"]) == 2


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
from emulator import EmulatorError, Module
try:
    Module(sys.stdin.read())
except EmulatorError as error:
    print(type(error).__name__, str(error)[:100])
"""


@pytest.mark.parametrize("text", ["a " * 400_000, "/*" * 200_000, ";" * 400_000, '""' * 200_000])
def test_megabytes_of_nonsense_need_little_memory(text):
    done = subprocess.run(
        [sys.executable, "-c", LIMITED], input=HEAD + text, capture_output=True, text=True,
        cwd=Path(__file__).parents[2], check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-500:]
    assert done.stdout.startswith("PtxError PTX line 4")
