"""A verdict as text and as HTML."""

from __future__ import annotations

import json

import jsonschema
import pytest

from grader.html import as_html
from grader.verdict import (
    SCHEMA_FILE,
    CaseVerdict,
    Finding,
    Measure,
    TaskVerdict,
    Verdict,
)
from grader.words import as_text

MEASURE = Measure("load_sectors", "sectors of 32 bytes read", 51200.0, 10240.0, 12808.0, False)
VERDICT = Verdict(
    "01_coalescing", "grade", False, "software GPU", "emulated", 7, 1.25,
    (
        TaskVerdict(
            "aos_scan", "Scan", "aos_scan.py", False, "too-costly", "1 of 2 cases failed",
            "The numbers are right, but they cost too much.", "Neighbours lie apart.",
            hint="Look at i.", hints_left=2, printed="<script>alert(1)</script>\n",
            cases=(
                CaseVerdict("n=1", "public", True, "passed"),
                CaseVerdict(
                    "n=16384", "hidden", False, "too-costly",
                    "The numbers are right, but they cost too much.", "Neighbours lie apart.",
                    (Finding("cost", "line 8", "aos_scan.cu", 8, "x"),), (MEASURE,),
                ),
            ),
        ),
        TaskVerdict(
            "scale_copy", "Copy", "scale_copy.py", True, "passed", "passed all 1 cases",
            speed=float("inf"), speed_kind="modelled",
            cases=(
                CaseVerdict(
                    "n=5", "public", True, "passed", speed=1.5, speed_kind="measured",
                    gigabytes_per_s=2950.0, share_of_memory_bandwidth=0.88,
                ),
            ),
        ),
    ),
)  # fmt: skip

TEXT = """\
01_coalescing: grade on software GPU

FAIL  aos_scan: Scan
      case n=16384 (hidden)
      The numbers are right, but they cost too much.
      What it probably means: Neighbours lie apart.
      ok    n=1
      FAIL  n=16384  hidden  too-costly
              sectors of 32 bytes read           51,200   solution       10,240     5.00x  <- over the limit
      Your program printed:
      | <script>alert(1)</script>
      Hint: Look at i.
      (2 more: python -m grader hint 01_coalescing aos_scan)

PASS  scale_copy: Copy
      passed all 1 cases; inf times the solution's speed, modelled
      ok    n=5  2,950 GB/s, 88% of the memory's

1 of 2 tasks passed in 1.2 s (seed 7)"""  # noqa: E501


def test_a_terminal_shows_what_is_wrong_first() -> None:
    assert [line.rstrip() for line in as_text(VERDICT).splitlines()] == TEXT.splitlines()


def test_a_notebook_runs_nothing_that_a_learner_printed() -> None:
    shown = as_html(VERDICT, "Saved to <b>")
    assert "<script" not in shown
    assert "&lt;script&gt;" in shown
    assert "Saved to &lt;b&gt;" in shown
    assert shown.count("<details") == shown.count("</details>")
    assert shown.count("<div") == shown.count("</div>")


def test_json_comes_back_as_it_was_and_has_no_infinity() -> None:
    text = VERDICT.to_json()
    jsonschema.validate(json.loads(text), json.loads(SCHEMA_FILE.read_text()))
    again = Verdict.from_json(text)
    assert again.tasks[1].speed is None
    assert again.tasks[0] == VERDICT.tasks[0]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "coalesce/verdict/0"}'])
def test_what_is_no_verdict_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Verdict.from_json(text)
