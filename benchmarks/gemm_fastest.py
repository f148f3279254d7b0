"""A search for a faster HGEMM than cuBLAS's on Hopper, and for a faster SGEMM.

``python -m benchmarks.gemm_fastest`` compiles candidates in parallel, checks each against float64
with poisoned outputs at a size that fits no tile and in rows of the large one, and times the right
ones in turn with the package's kernel and torch.matmul. By size: shapes and clusters first; of the
fastest, orders of tiles; of the fastest, cache hints; then the best of all once more, in more
rounds. It writes ``benchmarks/results/gemm_fastest_h100.json`` after each stage and begins none
after ``--minutes``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.contest import said
from benchmarks.gemm_search import (
    CUBLAS,
    ODD,
    arrays,
    clock,
    cublas,
    ends,
    judge,
    poison,
    report,
    timed,
)
from benchmarks.gemm_variants import HINTS, Split, Variant
from benchmarks.origin import RESULTS, gpu_origin
from benchmarks.sections import Record, Sections
from kernels.gemm import SgemmTile, hgemm_cluster, launch_of, sgemm_double_buffered
from kernels.gemm.sgemm import BEST
from kernels.runtime import open_device

MODULE = "benchmarks.gemm_fastest"
OURS = {"float16": hgemm_cluster, "float32": sgemm_double_buffered}
Candidate = Variant | Split | SgemmTile
Work = Callable[[], None]


def large() -> list[Variant]:
    """Shapes, clusters and roles for products of many tiles.

    Clusters of 4 find room on 128 of 132 SMs only; but 4096^3 and 8192^3 are 4 and 16 waves of
    128 x 256 on 128 SMs, and on 132 too.
    """
    pair, four = Variant(), Variant(down=2, across=2, sms=128)
    wide = Variant(high=2, bn=192, stages=3)  # 256 x 192: fewer bytes for each multiply-add
    # 192 x 192. Of 192 x 256 no instruction finds room: ptxas allots a block's 512 threads 128
    # registers each, whatever setmaxnreg gives some of them later.
    three = Variant(bn=192, consumers=3, boxes=1)
    turns = Variant(high=2, bn=128, stages=5, pingpong=True)  # 128 x 128 a consumer
    return [
        # the package's; with no SM that idles in the last wave only
        pair, replace(pair, sms=128), Variant(down=1), Variant(down=1, sms=128),
        # multicast of A and of B
        replace(four, group=8), replace(four, group=4), Variant(down=4, group=4, sms=128),
        Variant(down=1, across=2), Variant(down=1, across=4, group=16, sms=128),
        replace(four, sms=120),
        # one consumer stores while the other multiplies
        replace(pair, lag=1), replace(pair, lag=2), replace(four, lag=1), replace(four, lag=2),
        # what the last tile read last, first
        replace(pair, back=True), replace(four, back=True), replace(four, back=True, lag=2),
        # when a stage is released, and how large it is
        replace(pair, eager=True), replace(pair, deep=2, stages=2), replace(pair, boxes=1),
        replace(pair, stages=3, boxes=4),
        # larger tiles: 22% fewer bytes into shared memory
        replace(wide, down=1), wide, replace(wide, down=1, across=2),
        replace(wide, across=2, sms=128), replace(wide, across=2, sms=128, lag=1),
        replace(three, down=1), three, replace(three, across=2, sms=128),
        # the other way round
        Variant(high=2, bn=128), Variant(high=2, bn=128, down=1, across=2),
        Variant(high=2, bn=128, across=2, sms=128),
        # turns
        turns, replace(turns, across=2, sms=128), replace(turns, bn=192, stages=4, boxes=3),
        replace(turns, bn=192, stages=4, boxes=3, across=2, sms=128),
        Variant(stages=4, pingpong=True), Variant(stages=4, pingpong=True, down=4, sms=128),
    ]  # fmt: skip


def single() -> list[Variant | Split]:
    """Shapes for products of about a tile an SM: what counts is how soon it is read and stored."""
    large, high = Variant(down=1), Variant(high=2, bn=128, down=1)
    one = Variant(consumers=1, bn=128, stages=6, down=1)  # 64 x 128
    square = Variant(bn=128, stages=6, down=1)  # 128 x 128
    shapes = [
        large, replace(large, stages=3, boxes=4), high, replace(high, boxes=4, stages=3),
        one, replace(one, stages=8), replace(one, deep=2, stages=4), replace(one, stages=4),
        square, replace(square, bn=192, stages=4, boxes=3), replace(one, bn=256, stages=4),
        replace(one, bn=256, stages=4, boxes=4),
    ]  # fmt: skip
    clustered = [
        replace(shape, down=down, across=across)
        for shape in (large, one, square, replace(one, bn=256, stages=4))
        for down, across in ((2, 1), (1, 2), (2, 2))
    ]
    split = [
        Split(128, 2, 6, 2), Split(128, 1, 8, 2), Split(256, 2, 4, 4), Split(256, 2, 4, 2),
        Split(256, 1, 5, 2), Split(256, 1, 5, 4), Split(128, 2, 4, 2),
    ]  # fmt: skip
    return [*shapes, *clustered, *split]


def orders(best: Sequence[Variant]) -> list[Variant]:
    """Each of the best with other groups, snakes, numbers of blocks and lags."""
    found: list[Variant] = []
    for one in best:
        groups = [replace(one, group=group) for group in (2, 4, 8, 16)]
        walks = [replace(one, snake=snake, back=back) for snake in (False, True)
                 for back in (False, True)]  # fmt: skip
        blocks = [replace(one, sms=sms) for sms in (0, 128)] if one.cluster < 4 else []
        late = one.consumers == 2 and not one.pingpong
        lags = [replace(one, lag=lag) for lag in range(min(3, one.stages))] if late else []
        found += [*groups, *walks, *blocks, *lags]
    return [one for one in dict.fromkeys(found) if one not in best]


def hints(best: Sequence[Variant]) -> list[Variant]:
    """Each of the best with other cache hints."""
    last, first = HINTS[2], HINTS[1]
    pairs = (("NONE", "NONE"), (last, last), (last, "NONE"), ("NONE", last), (first, last),
             (last, first))  # fmt: skip
    found = [
        replace(one, hint_a=a, hint_b=b, hint_d=d)
        for one in best
        for a, b in pairs
        for d in ("NONE", first)
    ]
    return [one for one in dict.fromkeys(found) if one not in best]


def sgemm() -> list[SgemmTile]:
    """Shapes round the package's: of a block and its warps, depth, order, registers."""
    one = BEST
    tall = SgemmTile(128, 128, 16, 64, 64, 8, 16, 3, blocks_per_sm=2)
    return list(dict.fromkeys([
        one, replace(one, unroll=8), replace(one, bk=32, stages=2, unroll=8),
        *(replace(one, group=group) for group in (2, 4, 16, 32)), replace(one, stages=4),
        replace(one, bk=8), replace(one, bk=8, stages=4), replace(one, bk=8, stages=5),
        replace(one, copy_a="REGISTERS"), replace(one, copy_a="REGISTERS", stages=2),
        replace(one, blocks_per_sm=3), replace(one, blocks_per_sm=3, stages=4),
        replace(one, bm=128, wm=64, wn=32, blocks_per_sm=2),
        replace(one, bm=128, wm=64, wn=32, blocks_per_sm=2, bk=8, stages=4),
        replace(one, bm=128, bn=64, wm=64, wn=32), replace(one, bm=128, bn=64, wm=32, wn=64),
        tall, replace(tall, bk=8, stages=4), replace(tall, copy_a="REGISTERS"),
        replace(tall, bn=256, blocks_per_sm=1), replace(tall, bn=256, blocks_per_sm=1, bk=8,
                                                        stages=4),
    ]))  # fmt: skip


def candidates(size: int) -> list[Variant | Split]:
    """What is tried first for a size."""
    return [*large()] if size > 2048 else single()


def compiled(one: Candidate) -> tuple[str | None, Record]:
    """Compile into the cache, in a process of its own: what failed, and registers."""
    try:
        kernel = one.kernel(True) if isinstance(one, SgemmTile) else one.kernel()
    except Exception as error:  # noqa: BLE001 - what does not compile is a result
        return said(error), {}
    used = kernel.resources
    return None, {"registers": used.registers, "spilled_bytes": used.local_bytes} if used else {}


def prepared(device: Any, one: Candidate | None, a: Any, b: Any, d: Any) -> Work:
    """A checked launch of ``d = a @ b``; of the package's choice where ``one`` is None."""
    if isinstance(one, Variant | Split):
        ready = device.prepare(*one.launch(device, a, b, d))
    else:
        more = {} if one is None else {"tile": one}
        it = launch_of(device, OURS[str(d.dtype)], a, b, d, **more)
        ready = device.prepare(it.kernel, it.grid, it.block, it.args, it.shared_bytes)
    stream = device.stream
    return lambda: ready.start(stream)


class Search:
    """Checks and times candidates for one size, with what was found of each so far."""

    def __init__(self, device: Any, pool: ProcessPoolExecutor, size: int, dtype: str) -> None:
        self.device, self.pool, self.size = device, pool, size
        self.odd, self.whole = arrays(device, *ODD, dtype), arrays(device, size, size, size, dtype)
        self.judges = (
            judge(device, *self.odd[:2], range(ODD[0])),
            judge(device, *self.whole[:2], ends(size)),
        )
        self.times: dict[Candidate, float] = {}  # of cuBLAS's in the same rounds

    def wrong(self, one: Candidate | None) -> str | None:
        """What is wrong with its products."""
        try:
            for given, verdict in zip((self.odd, self.whole), self.judges, strict=True):
                poison(given[2])
                prepared(self.device, one, *given)()
                if fault := verdict(given[2]):
                    return fault
        except Exception as error:  # noqa: BLE001 - a candidate that fails is a result
            return said(error)
        return None

    def stage(self, every: Sequence[Candidate], rounds: int) -> list[Record]:
        """Compile, check and time candidates; fastest first, then those that failed."""
        works: dict[str, Work] = {}
        names: dict[str, Candidate] = {}
        used: dict[str, Record] = {}
        failed: list[Record] = []
        for one, (fault, registers) in zip(every, self.pool.map(compiled, every), strict=True):
            if fault := fault or self.wrong(one):
                failed.append({"name": one.name, "failure": fault})
                continue
            names[one.name], used[one.name] = one, registers
            works[one.name] = prepared(self.device, one, *self.whole)
        works["package"] = prepared(self.device, None, *self.whole)
        if (peer := cublas(self.device, *self.whole)) is not None:
            works[CUBLAS] = peer
        found = timed(self.device, works, (self.size, self.size, self.size), rounds)
        unit = next((row["median_us"] for row in found if row["name"] == CUBLAS), 1.0)
        for row in found:
            if row["name"] in names and "median_us" in row:
                self.times[names[row["name"]]] = row["median_us"] / unit
        return [{**row, **used.get(row["name"], {})} for row in found] + failed

    def best(self, count: int, kind: type[Any] = object) -> list[Any]:
        """The fastest so far."""
        mine = [one for one in self.times if isinstance(one, kind)]
        return sorted(mine, key=lambda one: self.times[one])[:count]


def main() -> int:
    """Run all stages; 1 when a candidate failed."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("--output", type=Path, default=RESULTS / "gemm_fastest_h100.json")
    parser.add_argument("--processes", type=int, default=14, help="that compile")
    parser.add_argument("--rounds", type=int, default=12, help="of a stage; four times at the end")
    parser.add_argument("--minutes", type=float, default=9, help="after which no stage begins")
    parser.add_argument("--sizes", default="4096,8192,2048,1024", help="of HGEMM")
    parser.add_argument("--without-sgemm", action="store_true")
    parser.add_argument("--compile-only", action="store_true", help="needs no GPU")
    arguments = parser.parse_args()
    end = time.monotonic() + 60 * arguments.minutes
    sizes = [int(size) for size in arguments.sizes.split(",")]
    first: list[Candidate] = [one for size in sizes for one in candidates(size)]
    first = list(dict.fromkeys([*first, *([] if arguments.without_sgemm else sgemm())]))
    with ProcessPoolExecutor(arguments.processes) as pool:
        started = time.monotonic()
        outcome = list(pool.map(compiled, first))
        took = time.monotonic() - started
        print(f"compiled {len(first)} candidates in {took:.0f} s", file=sys.stderr)
        if arguments.compile_only:
            for one, (fault, used) in zip(first, outcome, strict=True):
                print(f"{one.name:60} {fault or used}")
            return int(any(fault for fault, _ in outcome))
        device: Any = open_device("cuda")
        record: Record = {"origin": gpu_origin(MODULE, device)}
        sections = Sections(record, arguments.output)

        def run(name: str, stage: Callable[[], Any]) -> None:
            if time.monotonic() > end:
                record.setdefault("left_out", []).append(name)
                return
            sections.run(name, stage)
            report(name, record[name])

        rounds = arguments.rounds
        run("clock", lambda: clock(device))
        for size in sizes:
            if time.monotonic() > end:
                record.setdefault("left_out", []).append(f"hgemm_{size}")
                continue
            name, search = f"hgemm_{size}", Search(device, pool, size, "float16")
            run(f"{name}_shapes", lambda s=search, n=size: s.stage(candidates(n), rounds))
            run(f"{name}_orders", lambda s=search: s.stage(orders(s.best(3, Variant)), rounds))
            run(f"{name}_hints", lambda s=search: s.stage(hints(s.best(2, Variant)), rounds))
            run(f"{name}_best", lambda s=search: s.stage(s.best(5), 4 * rounds))
            del search
        if not arguments.without_sgemm and time.monotonic() < end:
            both = Search(device, pool, 4096, "float32")
            run("sgemm_4096_shapes", lambda: both.stage(sgemm(), rounds))
            run("sgemm_4096_best", lambda: both.stage(both.best(4), 3 * rounds))
        run("clock_after", lambda: clock(device))
        sections.run("done", lambda: {"left_out": record.get("left_out", [])})
    faults = [
        row
        for found in record.values()
        for row in (found if isinstance(found, list) else [found])
        if isinstance(row, dict) and "failure" in row
    ]
    print(f"{len(faults)} failures; left out: {record.get('left_out', [])}")
    print(f"written to {arguments.output}")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
