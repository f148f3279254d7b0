"""Judging what learners write: self-check, command line and notebook magic.

In a notebook: ``%load_ext grader``, then cells that begin with ``%%lab 01_coalescing/aos_scan.cu``.
In a terminal: ``python -m grader check 01_coalescing``.
"""

from __future__ import annotations

from typing import Any


def load_ipython_extension(shell: Any) -> None:
    """Make the ``%%lab`` magic known to a notebook."""
    from grader.names import complaint

    wrong = complaint()
    if wrong is not None:
        raise ImportError(wrong)
    from grader.magic import register

    register(shell)
