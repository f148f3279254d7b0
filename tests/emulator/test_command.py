"""``python -m emulator``: what it prints, what it refuses, and its exit statuses."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from emulator.command import main
from emulator.command.progress import Progress

REPOSITORY = Path(__file__).parents[2]
SCALE = """\
extern "C" __global__ void scale(float* __restrict__ y, const float* x, float a, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = a * x[i];
}
"""
MANY = """\
#include "twice.h"
struct Pair { int first; float second; };
template <typename T, int N> __global__ void grow(T* y, T by) { y[threadIdx.x] += twice(by) * N; }
template __global__ void grow<int, 3>(int*, int);
template __global__ void grow<double, 1>(double*, double);
namespace deep { __global__ void take(Pair pair, float4 four, float* y) {
  y[0] = pair.first; y[1] = pair.second; y[2] = four.w;
} }
__global__ void over(int* y) { y[0] = 1; }
__global__ void over(float* y) { y[0] = 2; }
extern "C" __global__ void say(int n) { printf("thread %d of %d\\n", threadIdx.x, n); }
"""


@dataclass
class Done:
    status: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


Command = Callable[..., Done]


@pytest.fixture
def command(tmp_path, monkeypatch, capsys) -> Command:
    """Run one command line in a folder that holds two files of kernels."""
    monkeypatch.chdir(tmp_path)
    Path("scale.cu").write_text(SCALE)
    Path("many.cu").write_text(MANY)
    Path("twice.h").write_text("template <class T> __device__ T twice(T x) { return x + x; }\n")

    def run(*words: object) -> Done:
        try:
            status = main([str(word) for word in words])
        except SystemExit as leaving:
            status = leaving.code
        return Done(status, *capsys.readouterr())

    return run


def scale(command: Command, *words: object, verb: str = "run", grid: int = 4) -> Done:
    return command(verb, "scale.cu", "--grid", grid, "--block", 256, *words)


def test_run_shows_what_changed(command):
    done = scale(command, "out:f32[1024]", "f32[1024]=arange", 2, 1000)
    assert (done.status, done.err) == (0, "")
    assert "scale(float* y, const float* x, float a, int n)" in done.out
    assert "y  f32[1024]  1,000 of 1,024 elements changed, indices 0 to 999; 24 never" in done.out
    assert "[ 0.  2.  4.  6. ... nan nan nan nan]" in done.out
    assert "unchanged: x" in done.out


def test_run_works_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "emulator", "run", "no_such.cu"],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "emulator: cannot read no_such.cu: No such file or directory\n"


def test_arrays_come_from_files_and_go_to_files(command):
    np.save("x.npy", np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8))
    done = scale(command, "f32[64]=0", "x.npy", "f32=0.5", 64, "--save", "y=y.npy")
    assert done.status == 0
    assert np.array_equal(np.load("y.npy"), np.linspace(0, 1, 64, dtype=np.float32) * 0.5)


def test_named_arguments_come_in_any_order(command):
    done = scale(command, "n=4", "a=3.0", "x=f32[4]=1,2,3,4", "y=f32[4]=0")
    assert "[ 3.  6.  9. 12.]" in done.out
    assert "y" in scale(command, "n=4", "f32[4]", "f32[4]", 3).err


def test_random_inputs_repeat_with_their_seed(command):
    def run(*seed: object) -> str:
        return scale(command, "f32[4]=0", "f32[4]=random(-1,1)", 1, 4, *seed).out.split("\n", 2)[2]

    assert run() == run() == run("--seed", 0)
    assert run("--seed", 1) != run()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("f32[3]=0x10", "[16. 16. 16.]"),
        ("f32[3]=1,-2.5,1e1", "[ 1.  -2.5 10. ]"),
        ("f32[1,3]=inf", "[[inf inf inf]]"),
        ("f32[3]=arange", "[0. 1. 2.]"),
    ],
)
def test_fills(command, value, shown):
    done = scale(command, "f32[4]=0", value, 1, 0, "--show", "x")
    assert shown in done.out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((1, 2, 3), "takes 4 arguments; 3 were given, such as: 'f32[1024]' 'f32[1024]=random'"),
        (("i32[9]=1", "f32[9]=1", 2, 9), "parameter 'y' is float*, an array of f32; write f32[9]"),
        (("f32[9]", 1, 2, 9), "'x' is const float*, a pointer: write an array"),
        (("f32[9]", "f32[9]", "i32=2", 9), "'i32=2' is i32; parameter 'a' is float: write f32=2"),
        (("f32[9]", "f32[9]", "f64=2", 9), "f64, 8 bytes; parameter 'a' is float, 4 bytes"),
        (("f32[9]", "f32[9]", 2, 0.5), "0.5 is not a whole number, which i32 needs"),
        (("f32[9]", "f32[9]", 2, 2**31), "does not fit i32"),
        (("f32[9]", "f32[9]", 2, "f32[2]"), "is an array; parameter 'n' is int, a single number"),
        (("f32[9]", "f32[9]", "null", 9), "('float') is no pointer"),
        (("f23[9]", "f32[9]", 2, 9), "'f23' is not a type. Types are bool, i8"),
        (("f32[9", "f32[9]", 2, 9), "is none of: a number"),
        (("f32", "f32[9]", 2, 9), "a f32 of what? f32=1 is a scalar"),
        (("f32[-3]", "f32[9]", 2, 9), "must be whole numbers"),
        (("f32[9]=wat", "f32[9]", 2, 9), "'wat' is not a number; fill with random"),
        (("f32[9]=1,2", "f32[9]", 2, 9), "2 values for 9 elements; give one or all"),
        (("u8[9]=random", "f32[9]", 2, 9), "an array of u8"),
        (("out:f32[9]=1", "f32[9]", 2, 9), "leave out either out: or =1"),
        (("f32[999999999999999]", "f32[9]", 2, 9), "at most"),
        (("nothing.npy", "f32[9]", 2, 9), "cannot read nothing.npy: No such file"),
        (("scale.cu.npy", "f32[9]", 2, 9), "cannot read"),
        (("y=f32[9]", "y=f32[9]", 2, 9), "two arguments are named 'y'"),
        (("x=f32[9]", "f32[9]", 2, 9), "name all arguments"),
        (("f32[9]", "f32[9]", 2, 9, "--save", "z=z.npy"), "--save z: there is no such argument"),
        (("f32[9]", "f32[9]", 2, 9, "--save", "n=z.npy"), "a number, not an array"),
        (("f32[9]", "f32[9]", 2, 9, "--save", "y=no/y.npy"), "cannot write no/y.npy"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_with_what_would(command, words, says):
    Path("scale.cu.npy").write_text("not NumPy's")
    done = scale(command, *words)
    assert done.status == 2
    assert says.replace("('float')", "(float)") in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "invalid choice"),
        (("run",), "required: FILE"),
        (("run", "scale.cu", "--grid", "0x"), "not one to three numbers"),
        (("run", "scale.cu", "--shared", "lots"), "not a number of bytes"),
        (("run", "scale.cu", "--timeout", "-1"), "not a time in seconds"),
        (
            ("check", "scale.cu", "--tool", "leakcheck"),
            "'leakcheck' is none of memcheck, racecheck",
        ),
        (("run", "scale.cu"), "--grid 4 --block 256 'f32[1024]' 'f32[1024]=random' f32=1 i32=1"),
        (("run", "scale.cu", "--grid", 9), "--grid 9 --block 256"),
        (("run", "scale.cu", "--kernel", "scal"), "Did you mean scale?"),
        (("run", "."), "cannot read .: Is a directory"),
        (("run", "binary.cu"), "is not text: line 1 is not UTF-8"),
        (("run", "nul.cu"), "is not text: line 2 holds a NUL character"),
        (("run", "machine.cubin"), "is machine code"),
        (("run", "empty.cu"), "has no kernel: a __global__ function in C++"),
        (("run", "wrong.cu"), 'wrong.cu(1): error: identifier "nonsense" is undefined'),
        (("run", "wrong.ptx"), "PTX line 1"),
        (("run", "scale.cu", "-std=c++99"), "invalid value for --std"),
    ],
)
def test_commands_that_cannot_be_carried_out(command, words, says):
    Path("binary.cu").write_bytes(b"\xff\xfe\x00")
    Path("nul.cu").write_bytes(b"\n\0")
    Path("machine.cubin").write_bytes(b"\x7fELF" + bytes(100))
    Path("empty.cu").write_text("")
    Path("wrong.cu").write_text("__global__ void k(int* x) { *x = nonsense; }")
    Path("wrong.ptx").write_text("hello")
    done = command(*(words or ("walk",)))
    assert (done.status, done.out) == (2, "")
    assert says in done.err
    assert "Traceback" not in done.err


def test_a_launch_that_no_gpu_accepts(command):
    done = scale(command, "f32[9]", "f32[9]", 2, 9, grid=2**31)
    assert done.status == 2
    assert "grid.x is 2147483648; it must be between 1 and 2,147,483,647" in done.err


def test_a_fault_ends_a_run_with_the_line(command):
    done = scale(command, "f32[1000]", "f32[1024]", 2, 1024)
    assert done.status == 1
    assert "scale.cu:3" in done.err
    assert "just past the end of 'y' of 4,000 bytes" in done.err


def test_a_kernel_that_never_ends_is_stopped(command):
    Path("spin.cu").write_text("__global__ void spin(volatile int* y) { while (!*y) y[1]++; }")
    done = command("run", "spin.cu", "--grid", 1, "--block", 1, "i32[2]=0", "--timeout", "0.2")
    assert done.status == 1
    assert "stopped after 0.2 s" in done.err
    assert "spin.cu:1" in done.err


def test_kernels_are_found_by_the_names_that_their_author_gave(command):
    def run(kernel: str, *words: object) -> Done:
        return command("run", "many.cu", "--kernel", kernel, "--grid", 1, "--block", 2, *words)

    assert "[6 6]" in run("grow<int, 3>", "i32[2]=0", 1).out
    assert "[10. 10.]" in run("grow<float, 5>", "f32[2]=0", 1).out  # made on demand
    assert "[1. 2. 6.]" in run("take", "u32[2]=1,0x40000000", "f32[4]=3,4,5,6", "f32[3]=0").out
    assert "[1. 2. 6.]" in run("deep::take", "u32[2]=1,0x40000000", "f32[4]=3,4,5,6", "f32[3]").out
    several = run("grow", "i32[2]=0", 1)
    assert several.status == 2
    assert "--kernel 'grow<double, 1>'" in several.err
    overloaded = run("over", "i32[1]=0").err
    assert "--kernel _Z4overPi  over(int*)" in overloaded
    assert "[1]" in run("_Z4overPi", "i32[1]=0").out
    assert "no type that is named" not in run("grow<Nothing, 1>", "i32[1]=0", 1).out
    assert 'identifier "Nothing" is undefined' in run("grow<Nothing, 1>", "i32[1]=0", 1).err
    assert "choose one:\n  --kernel" in command("run", "many.cu").err


def test_what_a_kernel_prints_passes_through(command):
    done = command("run", "many.cu", "--kernel", "say", "--grid", 1, "--block", 2, 7)
    assert done.out.startswith("thread 0 of 7\nthread 1 of 7\nsay(int n)")
    done = command("run", "many.cu", "--kernel", "say", "--grid", 1, "--block", 2, 7, "--json")
    assert done.json["kernel"] == "say"
    assert done.err == "thread 0 of 7\nthread 1 of 7\n"


def test_definitions_and_include_folders_reach_the_compiler(command):
    Path("inc").mkdir()
    Path("inc/size.h").write_text("#define SIZE 3\n")
    Path("use.cu").write_text(
        '#include "size.h"\n__global__ void use(int* y) { y[0] = SIZE * FACTOR; }\n'
    )
    words = ("run", "use.cu", "--grid", 1, "--block", 1, "i32[1]=0")
    assert "FACTOR" in command(*words, "-Iinc").err
    assert "[21]" in command(*words, "-I", "inc", "-DFACTOR=7", "--std", "c++20").out


def test_ptx_runs_as_it_stands(command, ptx):
    Path("scale.ptx").write_text(ptx(SCALE))
    words = ("--grid", 1, "--block", 32, "f32[4]=0", "f32[4]=1,2,3,4", 2.0, "n=4")
    done = command("run", "scale.ptx", *words)
    assert "arg1  f32[4]  all elements changed\n  [2. 4. 6. 8.]" in done.out
    refused = command("run", "scale.ptx", *words, "-DX")
    assert (refused.status, "are for compiling C++" in refused.err) == (2, True)


TRANSPOSE = """\
constexpr int TILE = 32;
__global__ void transpose(const float* in, float* out, int n) {
  __shared__ float tile[TILE][TILE];
  tile[threadIdx.y][threadIdx.x] = in[threadIdx.y * n + threadIdx.x];
  __syncthreads();
  if (threadIdx.x < 1 && n < 0) out[0] = 1;
  // a comment



  out[threadIdx.y * n + threadIdx.x] = tile[threadIdx.x][threadIdx.y];
}
"""
TRANSPOSE_32 = ("transpose.cu", "--grid", 1, "--block", "32,32", "f32[32,32]=arange",
                "out:f32[32,32]", 32)  # fmt: skip


@pytest.fixture
def transpose(command) -> Command:
    Path("transpose.cu").write_text(TRANSPOSE)
    return command


def row(text: str, name: str) -> list[str]:
    """The cells of a table's row."""
    (line,) = [line for line in text.split("\n") if line.strip().startswith(name)]
    return line.strip().removeprefix(name).split()


def test_a_profile_has_tables_and_the_annotated_source(transpose):
    done = transpose("profile", *TRANSPOSE_32)
    assert (done.status, done.err) == (0, "")
    occupancy, glob = done.out.split("Global memory")
    assert row(occupancy, "warps an SM can hold") == ["100", "%"]
    glob, shared = glob.split("Shared memory")[:2]
    assert row(glob, "requests") == ["32", "32"]
    assert row(glob, "sectors of 32 bytes") == ["128", "128"]
    assert row(glob, "sectors a request") == ["4", "4"]
    assert row(shared.split("Instructions")[0], "wavefronts") == ["1,024", "32"]
    source = {
        int(line.split()[0]): line
        for line in done.out.split("| transpose.cu\n")[1].split("\n\n")[0].split("\n")
        if line.strip() and line.split()[0].isdecimal()
    }
    assert "ld 4" in source[4]
    numbers, text = source[11].split("|")
    assert numbers.split()[-4:] == ["st", "4", "1,024", "(32x)"]
    assert text.startswith("   out[threadIdx.y * n")
    assert len({line.index("|") for line in source.values()}) == 1
    assert source[7].split("|")[0].split() == ["7"]
    assert 8 in source and 13 not in source
    stands_out = done.out.split("What stands out\n")[1]
    assert "transpose.cu:11: bank conflicts make 1,024 wavefronts" in stands_out


def test_advice_names_scattered_accesses_and_idle_lanes(command):
    Path("bad.cu").write_text(
        "__global__ void bad(const float* x, float* y) {\n"
        "  if (threadIdx.x % 8 == 0)\n"
        "    y[threadIdx.x] = sqrtf(x[threadIdx.x * 32]) * x[1] + x[2] / x[3];\n"
        "}\n"
    )
    done = command("profile", "bad.cu", "--grid", 1, "--block", 64, "f32[4096]=1", "f32[64]")
    assert "bad.cu:3: a request of these global stores touches 4 sectors" in done.out
    assert "bad.cu:3: 4 of 32 lanes are active on average" in done.out


def test_json_follows_its_schema(transpose):
    schema = json.loads((REPOSITORY / "emulator/command/document.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    for verb in ("run", "profile", "check"):
        done = transpose(verb, *TRANSPOSE_32, "--json")
        jsonschema.validate(done.json, schema)
        assert (done.status, done.json["completed"], done.json["command"]) == (0, True, verb)
        assert [a["changed"] for a in done.json["arrays"]] == [0, 1024]
        assert bool(done.json["lines"]) is (verb == "profile")
    done = scale(transpose, "f32[10]", "f32[1024]=0", 2, 1024, "--json", verb="check")
    jsonschema.validate(done.json, schema)
    assert (done.status, done.json["completed"]) == (1, False)
    assert done.json["findings"][0]["kind"] == "out-of-bounds write"
    assert done.json["findings"][0]["line"] == 3


def test_a_page_holds_everything_it_shows(transpose):
    done = transpose("profile", *TRANSPOSE_32, "--html", "page.html")
    assert done.status == 0
    page = Path("page.html").read_text()
    assert "transpose(const float* in, float* out, int n)" in page
    assert "n &lt; 0" in page
    assert "http" not in page and "src=" not in page
    assert page.count("<tr") == page.count("</tr>") and page.count("<td") == page.count("</td>")
    assert transpose("profile", *TRANSPOSE_32, "--html", "no/page.html").status == 2


def test_check_words_a_fault_as_compute_sanitizer_does(command):
    done = scale(command, "f32[1000]", "f32[1024]=0", 2, 1024, verb="check")
    assert (done.status, done.err) == (1, "")
    lines = done.out.rstrip().split("\n")
    assert all(line.startswith("=========") for line in lines)
    assert lines[1].startswith("========= Error (memcheck): out-of-bounds write in kernel 'scale'")
    assert lines[-1] == "========= ERROR SUMMARY: 1 error; the kernel was stopped"
    done = scale(command, "f32[1024]", "f32[1024]=0", 2, 1024, verb="check")
    assert done.status == 0
    assert done.out.rstrip().endswith("========= ERROR SUMMARY: 0 errors")


def test_a_long_run_says_how_far_it_is(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr("emulator.command.progress.PATIENCE", 0.0)
    monkeypatch.setattr("emulator.command.progress.PAUSE", 0.0)
    with Progress("scale") as progress:
        progress(250, 1000)
    assert "scale: 250 of 1,000 blocks, 25 %" in terminal.getvalue()
    assert terminal.getvalue().endswith(" \r")


RACE = """\
__global__ void sum(const float* x, float* out, int n) {
  __shared__ float part[64];
  part[threadIdx.x] = x[threadIdx.x];
  if (threadIdx.x < 32) part[threadIdx.x] += part[threadIdx.x + 32];
  if (threadIdx.x == 0) out[n] = part[0];
}
"""


def test_check_finds_races_and_stale_memory_with_their_lines(command):
    Path("race.cu").write_text(RACE)
    words = ("check", "race.cu", "--grid", 1, "--block", 64)
    done = command(*words, "f32[64]=1", "f32[1]", 0)
    assert done.status == 1
    assert "read-after-write hazard" in done.out or "write-after-read hazard" in done.out
    assert "in kernel 'sum'" in done.out
    assert "race.cu:4" in done.out
    stale = command(*words, "--tool", "initcheck", "f32[64]", "f32[1]", 0)
    assert "========= initcheck: sum(const float* x, float* out, int n)" in stale.out
    assert "uninitialised read of global memory in kernel 'sum', block (0,0,0)" in stale.out
    assert "hazard" not in stale.out
    assert command(*words, "--tool", "memcheck", "f32[64]=1", "f32[1]", 0).status == 0
    schema = json.loads((REPOSITORY / "emulator/command/document.schema.json").read_text())
    found = command(*words, "f32[64]=1", "f32[1]", 0, "--json").json
    jsonschema.validate(found, schema)
    assert {side["line"] for f in found["findings"] for side in f["sides"]} <= {3, 4, 5}


def test_a_fault_keeps_what_was_found_before_it(command):
    Path("race.cu").write_text(RACE)
    done = command("check", "race.cu", "--grid", 1, "--block", 64, "f32[64]=1", "f32[1]", 1)
    assert done.status == 1
    assert "uninitialised read of shared memory in kernel 'sum'" in done.out
    assert "out-of-bounds write in kernel 'sum', race.cu:5" in done.out
    assert "the kernel was stopped" in done.out
