"""The software GPU counts what Nsight Compute read on an H100, for every way of touching memory.

1,411 launches of 87 small kernels: fixed and random addresses, partial masks, many warps.
"""

from __future__ import annotations

import json
from collections import defaultdict

import pytest

from benchmarks.access_cases import Case, cases
from benchmarks.ncu_accesses import BY_NAME, Placed, program
from benchmarks.origin import RESULTS
from kernels.runtime import open_device

FILE = RESULTS / "access_counters_h100.json"
AGAIN = "run on a GPU: python -m benchmarks.ncu_accesses"

# Recorded, but nothing that the software GPU counts: sums that are said by operation, instructions
# split by whether any lane was predicated on, and kinds of shared atomics.
WITHOUT = ("_mem_shared.sum", "_pred_off_all.sum", "_pred_on_any.sum", "_dot_alu.sum",
           "_dot_cas.sum")  # fmt: skip

# What machine code has otherwise than PTX, by (kernels, counter): ptxas joins the stores that fill
# a local array, and the loads that read it, four words at a time; waiting for copies
# takes predicated-off loads of shared memory.
OTHERWISE = {
    ("local_", "smsp__inst_executed_op_local_st.sum"),
    ("local_", "smsp__inst_executed_op_local_ld.sum"),
    ("global_cp_", "smsp__inst_executed_op_shared_ld.sum"),
}
# Sectors of atomics by many warps at once: the hardware counts one or two more of some 450.
ATOMICS_TOGETHER = 2


@pytest.fixture(scope="module")
def record():
    assert FILE.exists(), f"{FILE} is missing; {AGAIN}"
    return json.loads(FILE.read_text())


@pytest.fixture(scope="module")
def launches(record):
    found = defaultdict(list)
    for launch in record["launches"]:
        found[launch["kernel"]].append(launch)
    return found


@pytest.fixture(scope="module")
def kernels():
    return program()


@pytest.fixture(scope="module")
def device():
    return open_device("emulated")


def test_every_case_is_recorded(launches):
    recorded = [
        Case(x["kernel"], x["pattern"], x["seed"]) for own in launches.values() for x in own
    ]
    assert tuple(recorded) == cases(), f"the cases have changed since; {AGAIN}"


def otherwise(kernel: str, counter: str) -> bool:
    return any(kernel.startswith(begins) and counter == name for begins, name in OTHERWISE)


@pytest.mark.parametrize("kernel", sorted(BY_NAME))
def test_counters_and_outputs_are_the_hardwares(device, kernels, record, launches, kernel):
    counters = [name for name in record["metrics"] if not name.endswith(WITHOUT)]
    counters = [name for name in counters if not otherwise(kernel, name)]
    differ = []
    for recorded in launches[kernel]:
        placed = Placed.on(device, Case(kernel, recorded["pattern"], recorded["seed"]))
        ours = placed.launch(device, kernels, "profile").counters
        theirs = recorded["counters"]
        for counter in counters:
            mine, hardware = ours[counter], theirs.get(counter, 0)
            many = recorded["pattern"] == "all together" and BY_NAME[kernel].operation in (
                "atom", "red",
            ) and "global" in counter  # fmt: skip
            if abs(mine - hardware) > (ATOMICS_TOGETHER if many else 0):
                differ.append((recorded["pattern"], counter, mine, hardware))
        # rows of stmatrix hold lanes' own values: warps that write them together race
        races = recorded["pattern"] == "all together" and BY_NAME[kernel].operation == "stmatrix"
        if not races and placed.digest(device) != recorded["output"]:
            differ.append((recorded["pattern"], "output"))
    assert not differ, f"{len(differ)} differences: {differ[:5]}"
