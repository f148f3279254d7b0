"""Compile the software GPU's own routines for this processor, before anybody waits for them.

    python -m emulator.prepare

A launch compiles the routines that it needs when they are not in the cache: half a minute in all,
in the middle of a lesson or once more in each of several processes. This does it on all cores, once
for each version of the routines, and shows how far it is. ``make start`` and ``make test`` call it.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Iterator

from emulator.native.compiled import compiled_routine, entries, is_compiled
from emulator.native.jit import machine


def prepare() -> Iterator[tuple[int, int]]:
    """Compile what is not in the cache; after each file of routines how many are done, of all."""
    wanted: dict[str, list[str]] = {}
    for name, (file, _) in entries().items():
        if not is_compiled(name):
            wanted.setdefault(file, []).append(name)
    machine()
    total, done = sum(map(len, wanted.values())), 0
    if not total:
        return
    # A file's routines share functions, and stay together. The last files have the largest ones.
    jobs = list(reversed(wanted.values()))
    cores = min(len(os.sched_getaffinity(0)), len(jobs))
    with multiprocessing.get_context("spawn").Pool(cores) as pool:
        for count in pool.imap_unordered(_compile, jobs):
            done += count
            yield done, total


def _compile(names: list[str]) -> int:
    for name in names:
        compiled_routine(name)
    return len(names)


def main() -> int:
    """Prepare, with a line that says how far it is."""
    terminal = sys.stdout.isatty()
    what = "[software GPU] compiling its routines for this processor"
    done = total = 0
    for done, total in prepare():
        if terminal:
            print(f"\r\033[K{what}: {done} of {total}", end="", flush=True)
        elif done == total:
            print(f"{what}: {total}")
    if terminal and total:
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
