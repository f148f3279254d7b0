"""Whole programs: their kernels are compiled, their host code is left out."""

from __future__ import annotations

import pytest

from emulator.host_code import HEADERS, device_part
from emulator.nvrtc import compile_cuda

PROGRAM = r"""
#include <cstdio>
#include <vector>
#include <iostream>
#include <cuda_runtime.h>
using namespace std;
#define CHECK(call) do { cudaError_t e = (call); if (e) { \
    fprintf(stderr, "%s\n", cudaGetErrorString(e)); exit(1); } } while (0)
const float weights[3] = {1.f, 2.f, 3.f};
std::vector<float> kept_on_the_host;
struct Params { int n; float a; };
static int blocks_for(int n) { return (n + 255) / 256; }
template <typename T> __device__ T square(T x) { return x * x; }
namespace inside {
__global__ void scale(Params p, const float* x, float* y) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;  // int main() { in a comment }
    if (i < p.n) y[i] = p.a * square(x[i]) * weights[i % 3];
}
void run(float* x) { scale<<<blocks_for(5), 256>>>({5, 2.f}, x, x); }
}  // namespace inside
extern "C" { __global__ void plain(int* x) { x[threadIdx.x] = '{'; } }
int main(int argc, char** argv) {
    float* x;
    CHECK(cudaMalloc(&x, 20));
    inside::run(x);
    cout << "}" << endl;
}
"""


def test_kernels_of_a_whole_program_compile() -> None:
    done = compile_cuda(device_part(PROGRAM), "program.cu", "compute_90")
    assert ".visible .entry plain" in done.ptx and "inside5scale" in done.ptx


def test_lines_keep_their_numbers() -> None:
    kept = device_part(PROGRAM)
    assert kept.count("\n") == PROGRAM.count("\n") and len(kept) == len(PROGRAM)
    for number, (line, was) in enumerate(zip(kept.split("\n"), PROGRAM.split("\n"), strict=True)):
        assert line == was or not line.strip(), number


def test_what_has_no_host_code_stays_as_it_is() -> None:
    source = PROGRAM[PROGRAM.index("struct Params") : PROGRAM.index("void run")] + "}"
    assert device_part(source) == source


@pytest.mark.parametrize("header", sorted(HEADERS))
def test_host_headers_can_be_included(header: str) -> None:
    source = f"#include <{header}>\nusing namespace std;\n__global__ void k(int* x) {{ *x = 1; }}"
    assert ".entry" in compile_cuda(source, "k.cu", "compute_90").ptx


@pytest.mark.parametrize("text", ("", "{", "}", "};;}{", '"', "/*", "#define A {", "'"))
def test_broken_text_is_left_to_the_compiler(text: str) -> None:
    assert device_part(text).split() == text.split()
