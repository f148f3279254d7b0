"""Hardware counters and outputs of small kernels, one for each way of touching memory.

``python -m benchmarks.ncu_accesses`` launches every case of ``access_cases`` under Nsight Compute
and writes ``benchmarks/results/access_counters_h100.json``: what ncu counted, and a digest of what
the kernel left in memory. Tests hold the software GPU to both.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.access_cases import Case, cases, data, offsets, out_words, together
from benchmarks.access_kernels import SHARED_BYTES, Access, accesses, source
from benchmarks.ncu import available, find_ncu, number, profile, rows, version
from benchmarks.origin import RESULTS, gpu_origin, write
from kernels.runtime import Program, cuda_program, open_device

MODULE = "benchmarks.ncu_accesses"
METRICS = (
    r"l1tex__t_(requests|sectors)_pipe_lsu_mem_(global|local)_op_(ld|st|atom|red)",
    r"l1tex__t_(requests|sectors)_pipe_lsu_mem_global_op_ldgsts(_cache_(access|bypass))?",
    r"l1tex__data_pipe_lsu_wavefronts_mem_shared(_op_(ld|st|atom|red))?",
    r"l1tex__data_bank_conflicts_pipe_lsu_mem_shared(_op_(ld|st|atom|red))?",
    r"smsp__inst_executed_op_(ldsm|ldgsts|shared_\w+|local_\w+|global_\w+)",
)
BY_NAME = {access.name: access for access in accesses()}


def program() -> Program:
    """All kernels, compiled."""
    return cuda_program(source(), name="access_kernels.cu")


@dataclasses.dataclass(frozen=True)
class Placed:
    """A case with its arrays on a device."""

    case: Case
    access: Access
    offsets: Any
    data: Any
    out: Any

    @classmethod
    def on(cls, device: Any, case: Case) -> Placed:
        """Fresh arrays; ``out`` is poisoned."""
        access = BY_NAME[case.kernel]
        out = np.full(out_words(access, case), 0xDEADBEEF, dtype=np.uint32)
        there = [device.asarray(array) for array in (offsets(access, case), data(access), out)]
        return cls(case, access, *there)

    def launch(self, device: Any, kernels: Program, how: str = "launch") -> Any:
        """Launch or profile."""
        blocks, threads = together(self.case)
        uses_shared = self.access.space in ("shared", "generic") or self.access.operation == "cp"
        arguments = [self.offsets, self.data, self.out]
        run = getattr(device, how)
        return run(kernels[self.access.name], blocks, threads, arguments,
                   shared_bytes=SHARED_BYTES if uses_shared else 0)  # fmt: skip

    def digest(self, device: Any) -> str:
        """What the launch left behind. What atomics return depends on the lanes' order."""
        total = hashlib.sha256(device.to_host(self.data).tobytes())
        if self.access.exact_output:
            total.update(device.to_host(self.out).tobytes())
        return total.hexdigest()[:16]


def replay(output: Path, chosen: list[Case]) -> None:
    """Launch every case under the profiler and keep the digests."""
    from cuda.bindings import driver as cu

    from kernels.runtime.cuda import driver

    device: Any = open_device("cuda")
    kernels = program()
    digests = []
    for case in chosen:
        placed = Placed.on(device, case)
        device.synchronize()
        driver(cu.cuProfilerStart())
        placed.launch(device, kernels)
        device.synchronize()
        driver(cu.cuProfilerStop())
        digests.append(placed.digest(device))
    output.write_text(json.dumps(digests))


def chosen_cases(every: int) -> list[Case]:
    """Every n-th case; all of them for 1."""
    return list(cases()[::every])


def recorded(table: str, metrics: list[str], digests: list[str], every: int) -> Iterator[Any]:
    """What each case counted. Raises SystemExit when launches and rows do not match."""
    found, chosen = rows(table), chosen_cases(every)
    if not len(found) == len(chosen) == len(digests):
        raise SystemExit(f"ncu saw {len(found)} launches; {len(chosen)} were expected")
    for row, case, digest in zip(found, chosen, digests, strict=True):
        if row["Kernel Name"].split("(")[0].split()[-1] != case.kernel:
            raise SystemExit(f"ncu saw {row['Kernel Name']} where {case.kernel} was launched")
        values = {m: number(row[m]) for m in metrics if m in row}
        counters = {m: int(v) for m, v in values.items() if v}  # zeros go without saying
        yield {**dataclasses.asdict(case), "output": digest, "counters": counters}


def main() -> int:
    """Record; 1 when ncu gave nothing."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("--output", type=Path, default=RESULTS / "access_counters_h100.json")
    parser.add_argument("--every", type=int, default=1, help="only every n-th case")
    parser.add_argument("--replay", type=Path, help="launch only; what ncu runs")
    arguments = parser.parse_args()
    if arguments.replay:
        replay(arguments.replay, chosen_cases(arguments.every))
        return 0
    ncu = find_ncu()
    names = sorted(set(available(ncu)))
    wanted = [n for n in names if any(re.fullmatch(pattern, n) for pattern in METRICS)]
    metrics = [f"{name}.sum" for name in wanted]
    program()  # compile before the profiler watches
    with tempfile.TemporaryDirectory() as folder:
        digests_at = Path(folder) / "digests.json"
        every = ["--every", str(arguments.every)]
        table, said = profile(ncu, metrics, MODULE, str(digests_at), *every)
        digests = json.loads(digests_at.read_text()) if digests_at.exists() else []
    if not rows(table):
        print(f"ncu gave no table: {said}\n{table[-4000:]}")
        return 1
    device: Any = open_device("cuda")
    record = {
        "origin": gpu_origin(MODULE, device),
        "ncu": version(ncu),
        "metrics": metrics,
        "launches": list(recorded(table, metrics, digests, arguments.every)),
    }
    write(arguments.output, record)
    print(f"{len(record['launches'])} launches; written to {arguments.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
