"""What is only approximate is said with figures, and they are those of today's software GPU."""

from __future__ import annotations

from benchmarks import approximate


def test_the_readme_says_how_approximate_counters_are(capsys):
    """It runs the recorded kernels and compares their outputs, too; ``--write`` mends the table."""
    assert approximate.main(["--check"]) == 0, capsys.readouterr().err
