from __future__ import annotations

from pathlib import Path

import pytest

from emulator import LineReport, Report
from kernels.runtime import KernelFunction, cuda_program
from widgets.source import function_lines, show_source, source_view

SOURCE = """\
constexpr int TILE = 4;

// One element further on for each lane.
template <typename T>
__device__ T element(const T* in, int i) {
    if (i < 0) { return T(); }
    return in[i];
}

// Copies what element() finds.
extern "C" __global__ void gather(const float* in, float* out) {
    out[threadIdx.x] = element(in, threadIdx.x * TILE);
}
"""


@pytest.fixture(scope="module")
def gather() -> KernelFunction:
    return cuda_program(SOURCE, name="gather.cu")["gather"]


def counters(direction: str, requests: float, sectors: float, asked: float) -> dict[str, float]:
    return {
        f"l1tex__t_requests_pipe_lsu_mem_global_op_{direction}.sum": requests,
        f"l1tex__t_sectors_pipe_lsu_mem_global_op_{direction}.sum": sectors,
        f"smsp__sass_data_bytes_mem_global_op_{direction}.sum": asked,
    }


@pytest.fixture
def report() -> Report:
    lines = SOURCE.splitlines()
    return Report(
        kernel="gather", grid=(1, 1, 1), block=(32, 1, 1), shared_bytes=0, device="a device",
        lines=(
            LineReport("gather.cu", 7, lines[6], counters("ld", 2, 32, 256)),
            LineReport("gather.cu", 12, lines[11], counters("st", 2, 8, 256)),
            LineReport("gather.cu", 13, lines[12], {"smsp__inst_executed.sum": 2.0}),
        ),
        notes=("An <approximate> note.",),
    )  # fmt: skip


def test_a_kernels_source_is_its_files_with_the_comment_above(gather: KernelFunction) -> None:
    shown = show_source(gather)
    assert shown.text.splitlines() == SOURCE.splitlines()[9:13]
    assert "gather.cu, from line 10" in repr(shown)
    assert "gather.cu" in shown._repr_markdown_()


def test_functions_that_it_calls_can_be_shown_too(gather: KernelFunction) -> None:
    text = show_source(gather, "element").text
    assert text.startswith("// One element further") and "template <typename T>" in text
    assert "TILE = 4" not in text


def test_a_call_is_not_taken_for_the_definition() -> None:
    text = "void g(); void f() { g(); }\n\nvoid g() {\n}\n"
    assert function_lines(text, "g") == (3, 4)


def test_functions_of_its_headers_are_found_and_named(tmp_path: Path) -> None:
    """Headers are the reader's own, too: with their names and their lines."""
    (tmp_path / "twice.cuh").write_text(
        "// Two times x.\n__device__ int twice(int x) { return 2 * x; }\n"
    )
    (tmp_path / "double.cu").write_text(
        '#include "twice.cuh"\n'
        'extern "C" __global__ void doubled(int* y) { y[threadIdx.x] = twice(y[threadIdx.x]); }\n'
    )
    doubled = cuda_program(tmp_path / "double.cu")["doubled"]
    shown = show_source(doubled, "twice")
    assert shown.text.startswith("// Two times x.\n__device__ int twice")
    assert shown.text.endswith("y[threadIdx.x] = twice(y[threadIdx.x]); }")
    assert "`twice.cuh`, from line 1" in shown._repr_markdown_()
    assert "`double.cu`, from line 2" in shown._repr_markdown_()


def test_a_function_that_is_not_there_is_named(gather: KernelFunction) -> None:
    with pytest.raises(ValueError, match="no function 'scatter'"):
        show_source(gather, "scatter")


def test_each_line_has_its_sectors_a_request_and_its_share(
    report: Report, gather: KernelFunction
) -> None:
    html = source_view(report, gather).html
    assert "ld 16" in html and "st 4" in html  # sectors a request
    assert "80%" in html and "20%" in html  # share of traffic
    assert "25%" in html and "100%" in html  # asked for over moved
    assert "An &lt;approximate&gt; note." in html


def test_the_whole_kernel_and_lines_elsewhere_are_shown(
    report: Report, gather: KernelFunction
) -> None:
    html = source_view(report, gather).html
    assert "// Copies what element() finds." in html
    assert "return in[i];" in html
    assert "⋮" in html, "a gap between functions is shown"


def test_it_works_without_scripts_and_styles_of_its_own(report: Report) -> None:
    html = source_view(report).html
    assert "<script" not in html and "<style" not in html
    assert "gather.cu:7  ld 16 sectors a request" in repr(source_view(report))
