"""Every notebook runs from top to bottom without a GPU, and keeps the course's order."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))
ORDER = [
    "The question",
    "The idea",
    "See it",
    "The kernel",
    "Predict",
    "Measure",
    "The lab",
    "Recap",
]
every = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def learners_files(repository: Path) -> dict[str, bytes]:
    files = (p for p in (repository / "labs").rglob("*") if p.suffix in (".py", ".cu"))
    return {str(path): path.read_bytes() for path in files}


@every
def test_it_runs_without_a_gpu(
    path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COALESCE_DEVICE", "emulated")
    before = learners_files(repository)
    notebook = read(path)
    client = NotebookClient(
        notebook, timeout=100, kernel_name="python3", resources={"metadata": {"path": path.parent}}
    )
    client.execute()  # raises CellExecutionError with the cell and its error
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            assert output.output_type != "error"
            if output.get("name") == "stderr":
                raise AssertionError(f"cell {cell.id} wrote to stderr: {output.text}")
    assert learners_files(repository) == before, "running a notebook changed a learner's file"


@every
def test_its_sections_come_in_the_courses_order(path: Path) -> None:
    text = "\n\n".join(c.source for c in read(path).cells if c.cell_type == "markdown")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ORDER
    assert re.match(r"# \w", text), "it begins with a title"


@every
def test_cells_have_names_that_stay(path: Path) -> None:
    ids = [cell.id for cell in read(path).cells]
    assert len(set(ids)) == len(ids)
    assert [one for one in ids if not re.fullmatch(r"[a-z][a-z0-9-]{2,}", one)] == []


@every
def test_it_carries_no_outputs(path: Path) -> None:
    for cell in read(path).cells:
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None


@every
def test_a_predictions_code_is_folded_away_because_it_holds_the_answer(path: Path) -> None:
    for cell in read(path).cells:
        asks = cell.cell_type == "code" and "= predict(" in cell.source
        assert cell.metadata == ({"jupyter": {"source_hidden": True}} if asks else {}), cell.id


@every
def test_its_links_lead_somewhere(path: Path) -> None:
    text = "\n".join(c.source for c in read(path).cells if c.cell_type == "markdown")
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link]
    assert [link for link in links if not (path.parent / link).exists()] == []
