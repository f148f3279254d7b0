"""Small kernels of clusters, TMA and wgmma on an H100: what they left in memory, what ncu counted.

``python -m benchmarks.hopper_cases`` runs every case of ``cluster_cases``, ``tma_cases``,
``wgmma_cases``, ``sparse_cases`` and ``interleaved_cases`` and writes
``benchmarks/results/hopper_cases_h100.json``. Tests hold the software GPU to it.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import importlib
import importlib.util
import json
import re
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.hopper_case import Array, Case
from benchmarks.ncu import available, find_ncu, number, profile, rows, version
from benchmarks.origin import RESULTS, gpu_origin, write
from kernels.runtime import Program, RuntimeFault, open_device

MODULE = "benchmarks.hopper_cases"
FILE = RESULTS / "hopper_cases_h100.json"
# The last two are of what documents leave open; if an H100 stops at them, they come last.
TOPICS = ("cluster", "tma", "wgmma", "sparse", "interleaved")
# What is recorded of every case; the software GPU is held to a case's own ``counters``. A few: each
# group of counters that ncu cannot read at once costs another run of every case.
RECORDED = (
    r"smsp__inst_executed",
    r"l1tex__data_(pipe_lsu_wavefronts|bank_conflicts_pipe_lsu)_mem_shared_op_(ld|st)",
)
MOST_KEPT = 1 << 20  # bytes of an output that is kept, not digested


def cases(topics: Sequence[str] = TOPICS) -> tuple[Case, ...]:
    """All cases, in order; a topic's are ``CASES`` of ``benchmarks.<topic>_cases``."""
    found: list[Case] = []
    for topic in topics:
        name = f"benchmarks.{topic}_cases"
        if importlib.util.find_spec(name) is not None:
            found += importlib.import_module(name).CASES
    names = [case.name for case in found]
    if len(set(names)) != len(names):
        raise ValueError("two cases have the same name")
    return tuple(found)


def programs(chosen: Sequence[Case]) -> dict[str, Program]:
    """Each case's program, each source compiled once."""
    made: dict[tuple[Any, ...], Program] = {}
    return {
        case.name: made.setdefault(key, made.get(key) or case.program())
        for case in chosen
        for key in [(case.source, case.options)]
    }


def outputs_of(case: Case, device: Any, program: Program) -> list[Array]:
    """Run a case; what it left. Raises SystemExit where that is not what was expected."""
    placed = case.on(device)
    case.run(device, program, placed)
    device.synchronize()
    found = [device.to_host(array) for array in placed.outputs]
    for index, expected in enumerate(placed.expected or ()):
        if difference := case.differs(found[index], expected):
            raise SystemExit(f"{case.name}: output {index} differs from the host's: {difference}")
    return found


def kept(case: Case, output: Array) -> dict[str, Any]:
    """An output as it is recorded: its digest, or, to be compared within a tolerance, all of it."""
    data = np.ascontiguousarray(output).tobytes()
    entry: dict[str, Any] = {"dtype": str(output.dtype), "shape": list(output.shape)}
    if case.tolerance:
        if len(data) > MOST_KEPT:
            raise ValueError(f"{case.name}: {len(data):,} bytes are too many to keep")
        return {**entry, "data": base64.b64encode(zlib.compress(data, 9)).decode()}
    return {**entry, "digest": hashlib.sha256(data).hexdigest()[:24]}


def agrees(case: Case, output: Array, entry: dict[str, Any]) -> str:
    """How an output differs from a recorded one, in words; "" where it does not."""
    if "data" in entry:
        raw = zlib.decompress(base64.b64decode(entry["data"]))
        theirs = np.frombuffer(raw, output.dtype).reshape(entry["shape"])
        return case.differs(output, theirs)
    mine = kept(case, output)
    return "" if mine == entry else f"{mine} beside {entry}"


def replay(chosen: Sequence[Case]) -> None:
    """Launch every case once under the profiler."""
    from cuda.bindings import driver as cu

    from kernels.runtime.cuda import driver

    device: Any = open_device("cuda")
    made = programs(chosen)
    for case in chosen:
        placed = case.on(device)
        device.synchronize()
        driver(cu.cuProfilerStart())
        case.run(device, made[case.name], placed)
        device.synchronize()
        driver(cu.cuProfilerStop())


def counted(chosen: Sequence[Case], topics: Sequence[str]) -> tuple[str, dict[str, dict[str, int]]]:
    """ncu's version, and by case what it counted of the case's counters."""
    ncu = find_ncu()
    there = sorted(set(available(ncu)))
    metrics = [f"{n}.sum" for n in there if any(re.fullmatch(each, n) for each in RECORDED)]
    asked = {name for case in chosen for name in case.counters}
    metrics += sorted(n for n in asked - {*metrics} if n.rsplit(".", 1)[0] in there)
    table, said = profile(ncu, metrics, MODULE, "--topics", ",".join(topics))
    found = rows(table)
    if len(found) != len(chosen):
        raise SystemExit(f"ncu saw {len(found)} launches of {len(chosen)}: {said}")
    counts: dict[str, dict[str, int]] = {}
    for row, case in zip(found, chosen, strict=True):
        values = {m: number(row[m]) for m in metrics if m in row}
        # zeros go without saying, but for those that are held
        counts[case.name] = {
            m: int(v) for m, v in values.items() if v is not None and (v or m in case.counters)
        }
    return version(ncu), counts


def main() -> int:
    """Record."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("--output", type=Path, default=FILE)
    parser.add_argument("--topics", default=",".join(TOPICS), help="some of " + ", ".join(TOPICS))
    parser.add_argument("--without-ncu", action="store_true", help="outputs only")
    parser.add_argument("--replay", action="store_true", help="launch only; what ncu runs")
    arguments = parser.parse_args()
    topics = arguments.topics.split(",")
    chosen = cases(topics)
    if arguments.replay:
        replay(chosen)
        return 0
    device: Any = open_device("cuda")
    made = programs(chosen)
    entries, wrong = [], 0
    for case in chosen:
        try:
            found = outputs_of(case, device, made[case.name])
        except (SystemExit, RuntimeFault) as problem:
            print(f"{case.name}: {problem}")
            wrong += 1
            continue
        entries.append({"name": case.name, "outputs": [kept(case, one) for one in found]})
    ncu, counts = ("", {}) if arguments.without_ncu else counted(chosen, topics)
    for entry in entries:
        entry["counters"] = counts.get(str(entry["name"]), {})
    record = {"origin": gpu_origin(MODULE, device), "ncu": ncu, "cases": entries}
    write(arguments.output, record)
    print(f"{len(entries)} cases, {wrong} wrong; written to {arguments.output}")
    return int(wrong > 0)


def recorded() -> dict[str, Any]:
    """The recorded cases by name; none where there is no file."""
    if not FILE.exists():
        return {}
    return {entry["name"]: entry for entry in json.loads(FILE.read_text())["cases"]}


if __name__ == "__main__":
    sys.exit(main())
