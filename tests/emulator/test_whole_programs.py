"""Programs as repositories have them: host code, helper headers, and what is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulator.command.program import compile_program
from emulator.errors import CompileError

HELPER = r"""
#pragma once
#include <strings.h>
#include <zlib.h>
inline bool same(const char* a, const char* b) { return strcasecmp(a, b) == 0; }
class Timer {
  public:
    Timer() { gettimeofday(&began_, nullptr); }
  private:
    struct timeval began_;
};
template <typename T> __device__ T halved(T x) { return x / 2; }
"""
PROGRAM = r"""
#include <cufft_that_is_not_here.h>
#include "sub/helper.h"
#include <cstdio>
#ifdef NDEBUG
#define SHOWN 0
#else
#define SHOWN 1
#endif
#if SHOWN
static FILE* log_file(const char* name) { return popen(name, "w"); }
#endif
typedef struct { zlib_stream inner; } Packed;
Packed packed_on_the_host;
uint blocks(uint n) { return n / 256 + unknown_on_the_device(n); }
__global__ void halve(float* x, uint n) {
    uint i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) x[i] = halved(x[i]);
}
int main() { halve<<<blocks(5), 256>>>(nullptr, 5); }
"""


@pytest.fixture
def compiled(tmp_path: Path):
    def compile_text(text: str) -> str:
        (tmp_path / "sub").mkdir(exist_ok=True)
        (tmp_path / "sub" / "helper.h").write_text(HELPER)
        path = tmp_path / "program.cu"
        path.write_text(text)
        return compile_program(text, path, (), (), "sm_90").ptx

    return compile_text


def test_the_kernels_of_a_program_compile(compiled) -> None:
    assert ".visible .entry _Z5halvePfj" in compiled(PROGRAM)


def test_an_error_in_a_kernel_names_its_line(compiled) -> None:
    wrong = PROGRAM.replace("halved(x[i])", "halved(x[i]")
    line = 1 + wrong[: wrong.index("halved(x[i]")].count("\n")
    with pytest.raises(CompileError, match=rf'(?s)program.cu\({line}\): error: expected a "\)"'):
        compiled(wrong)


def test_a_header_that_is_missed_is_named(compiled) -> None:
    with pytest.raises(CompileError, match=r"(?s)thirds.*not found, and left empty: .*thirds\.h"):
        compiled('#include "thirds.h"\n' + PROGRAM.replace("halved(", "thirds("))


@pytest.mark.parametrize("text", ("", "int main() {", "#if 1\nint main() {}\n", "__global__ void"))
def test_half_a_program_is_refused_or_empty(compiled, text: str) -> None:
    try:
        assert ".entry" not in compiled(text)
    except CompileError as error:
        assert "program.cu(" in str(error)
