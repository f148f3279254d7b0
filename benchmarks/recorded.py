"""The recorded figures, for notebooks to show beside the reader's own.

>>> from benchmarks import recorded
>>> h100 = recorded.coalescing()
>>> h100.kernel("copy_strided", "talk").gigabytes_per_s
>>> h100.origin.device, h100.origin.date, h100.origin.command
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.origin import RESULTS


class NotRecorded(LookupError):
    """A figure that nobody has recorded; the message says which command would."""


@dataclass(frozen=True)
class Origin:
    """What made a record."""

    device: str
    date: str  # ISO, UTC
    command: str
    driver: str = ""
    cuda: str = ""
    cpu: str = ""


@dataclass(frozen=True)
class Figure:
    """One measured time."""

    name: str  # the kernel, or the copy
    case: str  # "talk", "large", "offset 5", "1024 MiB"
    nbytes: int  # each byte read and each written once
    median_us: float
    low_us: float  # the 10th percentile
    high_us: float  # the 90th
    samples: int
    gigabytes_per_s: float
    times_torch: float | None = None  # of torch's in the same run
    of_copy: float | None = None  # of copy_best's bandwidth in the same run


@dataclass(frozen=True)
class Coalescing:
    """What ``python -m benchmarks.coalescing_h100`` recorded."""

    origin: Origin
    kernels: tuple[Figure, ...]
    copies: tuple[Figure, ...]
    ceilings: Mapping[str, Any]

    def kernel(self, name: str, case: str = "large") -> Figure:
        """A kernel's figure. Raises :class:`NotRecorded`, naming the cases there are."""
        return _find(self.kernels, name, case, self.origin)

    def cases(self, name: str) -> tuple[Figure, ...]:
        """All of a kernel's figures, in the order they were taken."""
        return tuple(figure for figure in self.kernels if figure.name == name)

    def copy(self, name: str = "copy_best", mib: int = 1024) -> Figure:
        """A whole-array copy's figure: "copy_best", "torch copy_", "cudaMemcpyAsync"."""
        return _find(self.copies, name, f"{mib} MiB", self.origin)


@dataclass(frozen=True)
class BankConflicts:
    """What ``python -m benchmarks.bank_conflicts_h100`` recorded."""

    origin: Origin
    kernels: tuple[Figure, ...]
    transposes: tuple[Figure, ...]  # with torch's, and copies of as many bytes

    def kernel(self, name: str, case: str = "large") -> Figure:
        """A kernel's figure; a transpose's "large" is 8192 x 8192. Raises :class:`NotRecorded`."""
        if any(figure.name == name for figure in self.transposes):
            return _find(self.transposes, name, _size(8192, 8192) if case == "large" else case,
                         self.origin)  # fmt: skip
        return _find(self.kernels, name, case, self.origin)

    def transpose(self, name: str = "transpose_best", rows: int = 8192, cols: int = 8192) -> Figure:
        """A transpose's: also "torch"; "copy_best" and "torch copy_" copied as many bytes."""
        return _find(self.transposes, name, _size(rows, cols), self.origin)


@dataclass(frozen=True)
class IlpTlp:
    """What ``python -m benchmarks.ilp_tlp_h100`` recorded."""

    origin: Origin
    dram: tuple[Mapping[str, Any], ...]  # by case, width, loads and warps
    ffma: tuple[Mapping[str, Any], ...]  # by blocks, warps and chains
    operands: tuple[Mapping[str, Any], ...]  # by kernel, warps and uses
    polynomial: tuple[Mapping[str, Any], ...]  # by elements, threads and blocks_an_sm
    clocks: Mapping[str, float]  # latencies: "FFMA", "shared memory", "L1", "L2", "DRAM"

    def copies(self, width: int, case: str = "large") -> dict[tuple[int, int], float]:
        """(warps a block, loads in flight) -> GB/s, with loads of ``width`` bytes."""
        return {
            (row["warps"], row["loads"]): row["gigabytes_per_s"]
            for row in self.dram
            if (row["case"], row["width"]) == (case, width) and "gigabytes_per_s" in row
        }

    def chains(self, blocks: int = 1) -> dict[tuple[int, int], float]:
        """(warps, chains) -> FLOP a clock of one SM."""
        return {
            (row["warps"], row["chains"]): row["flops_a_clock"]
            for row in self.ffma
            if row["blocks"] == blocks and "flops_a_clock" in row
        }

    def polynomial_shares(self) -> dict[tuple[str, int], float]:
        """(kernel, points a thread) -> share of the issue limit, of its best number of threads."""
        found: dict[tuple[str, int], float] = {}
        for row in self.polynomial:
            if "of_issue_limit" in row:
                key = row["kernel"], row["elements"]
                found[key] = max(found.get(key, 0.0), float(row["of_issue_limit"]))
        if not found:
            raise NotRecorded(f"no polynomial by {self.origin.command} of {self.origin.date}")
        return found


@dataclass(frozen=True)
class Counters:
    """What ``python -m benchmarks.ncu_counters`` recorded."""

    origin: Origin
    metrics: tuple[str, ...]
    launches: tuple[Mapping[str, Any], ...]

    def launch(self, entry: str, n: int, numbers: tuple[int, ...] = ()) -> Mapping[str, float]:
        """The counters of an aligned launch. Raises :class:`NotRecorded`."""
        for one in self.launches:
            key = one["entry"], one["n"], tuple(one["numbers"]), one["shift_in"], one["shift_out"]
            if key == (entry, n, numbers, 0, 0):
                counters: Mapping[str, float] = one["counters"]
                return counters
        raise NotRecorded(
            f"no counters of {entry} with n {n} and numbers {numbers}; add a case to "
            "benchmarks/counter_cases.py and run: python -m benchmarks.ncu_counters"
        )


@dataclass(frozen=True)
class Product:
    """One measured matrix product."""

    name: str  # the kernel, or "cuBLAS"
    m: int
    n: int
    k: int
    dtype: str  # of A and B
    median_us: float
    low_us: float  # the 10th percentile
    high_us: float  # the 90th
    samples: int
    teraflops: float  # 2 m n k operations over the median
    times_cublas: float | None = None  # cuBLAS's time over this one's, in the same rounds
    waves: float | None = None  # tiles of C over those that run at once


@dataclass(frozen=True)
class Gemm:
    """What ``python -m benchmarks.gemm_h100`` recorded."""

    origin: Origin
    ladder: tuple[Product, ...]
    epilogues: tuple[Product, ...]
    against_k: tuple[Product, ...]
    lines: tuple[Mapping[str, Any], ...]  # fixed_us and us_for_1024_k, by name
    against_c: tuple[Mapping[str, Any], ...]  # times by bm, bn, out and k
    waves: tuple[Product, ...]
    edges: tuple[Product, ...]
    ceilings: Mapping[str, Any]

    def step(self, name: str, size: int, dtype: str = "float32") -> Product:
        """A step of the ladder, or "cuBLAS", at ``size``^3. Raises :class:`NotRecorded`."""
        mine = [p for p in self.ladder if (p.name, p.dtype) == (name, dtype)]
        for product in mine:
            if product.m == size:
                return product
        have = ", ".join(str(product.m) for product in mine) or "nothing of that name"
        raise NotRecorded(
            f"no figure of {name} at {size} ({dtype}) by {self.origin.command} of "
            f"{self.origin.date}; it has: {have}"
        )


@dataclass(frozen=True)
class Selection:
    """Top-k of rows of floats: a time for each implementation."""

    rows: int
    n: int  # elements of a row
    k: int
    data: str  # "uniform", "normal" or "adversarial"
    microseconds: Mapping[str, float]  # medians, by implementation


@dataclass(frozen=True)
class TopK:
    """Times of top-k, of one record."""

    origin: Origin
    points: tuple[Selection, ...]

    def series(self, **fixed: Any) -> tuple[Selection, ...]:
        """The points whose fields are as ``fixed`` says, by n and k. May be none."""
        found = [p for p in self.points if all(getattr(p, f) == v for f, v in fixed.items())]
        return tuple(sorted(found, key=lambda p: (p.n, p.k)))

    def point(self, rows: int, n: int, k: int, data: str) -> Selection:
        """One point. Raises :class:`NotRecorded`."""
        for found in self.series(rows=rows, n=n, k=k, data=data):
            return found
        raise NotRecorded(
            f"no figure of {rows} x {n}, k = {k}, {data}, by {self.origin.command} of "
            f"{self.origin.date}"
        )


def coalescing(path: Path = RESULTS / "coalescing_h100.json") -> Coalescing:
    """Bandwidths of the coalescing topic on an H100. Raises :class:`NotRecorded`."""
    record = _read(path, "benchmarks.coalescing_h100")
    copies = {
        (r["copy"], r["mib"]): r for r in (*_rows(record, "copies"), *_rows(record, "finals"))
    }
    return Coalescing(
        _origin(record),
        tuple(_figure(row["kernel"], row["case"], row) for row in _rows(record, "kernels")),
        tuple(_figure(name, f"{mib} MiB", row) for (name, mib), row in copies.items()),
        record.get("ceilings", {}),
    )


def bank_conflicts(path: Path = RESULTS / "bank_conflicts_h100.json") -> BankConflicts:
    """Times of the bank conflicts topic on an H100. Raises :class:`NotRecorded`."""
    record = _read(path, "benchmarks.bank_conflicts_h100")
    return BankConflicts(
        _origin(record),
        tuple(_figure(row["kernel"], row["case"], row) for row in _rows(record, "kernels")),
        tuple(
            _figure(row["kernel"], _size(row["rows"], row["cols"]), row)
            for row in _rows(record, "transposes")
        ),
    )


def gemm(path: Path = RESULTS / "gemm_h100.json") -> Gemm:
    """Matrix products on an H100, beside cuBLAS. Raises :class:`NotRecorded`."""
    record = _read(path, "benchmarks.gemm_h100")

    def products(section: str) -> tuple[Product, ...]:
        rows = [row for row in _rows(record, section) if "median_us" in row]
        names = Product.__dataclass_fields__
        return tuple(
            Product(**{"dtype": "float16", **{k: v for k, v in row.items() if k in names}})
            for row in rows
        )

    return Gemm(
        _origin(record),
        products("ladder"),
        products("epilogues"),
        products("against_k"),
        tuple(row for row in _rows(record, "against_k") if "fixed_us" in row),
        tuple(_rows(record, "against_c")),
        products("waves"),
        products("edges"),
        record.get("ceilings", {}),
    )


def ilp_tlp(path: Path = RESULTS / "ilp_tlp_h100.json") -> IlpTlp:
    """Rates and latencies of the ILP and TLP topic on an H100. Raises :class:`NotRecorded`."""
    record = _read(path, "benchmarks.ilp_tlp_h100")
    sections = (tuple(_rows(record, s)) for s in ("dram", "ffma", "operands", "polynomial"))
    clocks = {row["kernel"]: float(row["clocks"]) for row in _rows(record, "latencies")}
    return IlpTlp(_origin(record), *sections, clocks)


def topk(path: Path = RESULTS / "topk_h100.json") -> TopK:
    """Our top-k and torch's on an H100, in the same rounds. Raises :class:`NotRecorded`."""
    record = _read(path, "benchmarks.topk_h100")
    return _selections(record, ("ladder", "bars", "grid"))


def topk_peers(path: Path = RESULTS / "topk_peers_h100.json") -> TopK:
    """Other libraries' top-k, taken elsewhere. Raises :class:`NotRecorded`."""
    return _selections(_read(path, "benchmarks.topk_peers"), ("points",))


def counters(path: Path = RESULTS / "coalescing_counters_h100.json") -> Counters:
    """Hardware counters of the coalescing topic on an H100. Raises :class:`NotRecorded`."""
    record = _read(path, "benchmarks.ncu_counters")
    return Counters(_origin(record), tuple(record["metrics"]), tuple(record["launches"]))


def emulator_speed(path: Path = RESULTS / "emulator_speed.json") -> Mapping[str, Any]:
    """How fast the software GPU ran, as written. Raises :class:`NotRecorded`."""
    return _read(path, "benchmarks.emulator_speed")


def _selections(record: Mapping[str, Any], sections: tuple[str, ...]) -> TopK:
    """The points of all sections; where two are of the same case, the first."""
    points: dict[tuple[int, int, int, str], Selection] = {}
    for row in (row for section in sections for row in _rows(record, section)):
        case = row["rows"], row["n"], row["k"], row["data"]
        times = {name[:-3]: float(us) for name, us in row.items() if name.endswith("_us")}
        points.setdefault(case, Selection(*case, times))
    return TopK(_origin(record), tuple(points.values()))


def _read(path: Path, module: str) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        raise NotRecorded(
            f"{path.parent.name}/{path.name} is not there; this makes it: python -m {module}"
        ) from None
    return record


def _rows(record: Mapping[str, Any], section: str) -> list[dict[str, Any]]:
    """A section's measured rows; what failed or was wrong is no figure."""
    rows = record.get(section, [])
    return [r for r in rows if "failure" not in r] if isinstance(rows, list) else []


def _origin(record: Mapping[str, Any]) -> Origin:
    known = record["origin"]
    return Origin(**{name: known.get(name, "") for name in Origin.__dataclass_fields__})


def _figure(name: str, case: str, row: Mapping[str, Any]) -> Figure:
    return Figure(
        name,
        case,
        row["bytes"],
        row["median_us"],
        row["low_us"],
        row["high_us"],
        row["samples"],
        row["gigabytes_per_s"],
        row.get("times_torch"),
        row.get("of_copy"),
    )


def _size(rows: int, cols: int) -> str:
    return f"{rows} x {cols}"


def _find(figures: tuple[Figure, ...], name: str, case: str, origin: Origin) -> Figure:
    for figure in figures:
        if (figure.name, figure.case) == (name, case):
            return figure
    cases = [figure.case for figure in figures if figure.name == name]
    have = ", ".join(cases) or "nothing of that name"
    raise NotRecorded(
        f"no figure of {name} ({case}) by {origin.command} of {origin.date}; it has: {have}"
    )
