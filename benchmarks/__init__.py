"""Runs that measure the course's kernels, and what they recorded. See README.md."""
