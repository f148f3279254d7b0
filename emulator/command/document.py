"""A launch as one JSON document; ``document.schema.json`` describes it."""

from __future__ import annotations

import math
from typing import Any

from emulator.command.arrays import change
from emulator.command.session import Session
from emulator.command.values import type_name
from emulator.report import Finding

VERSION = 1


def document(session: Session, command: str) -> dict[str, Any]:
    """Everything that is known of a launch. Keys are never taken away within a version."""
    report = session.report
    static = session.kernel.static_shared_bytes
    return {
        "version": VERSION,
        "command": command,
        "file": str(session.path),
        "kernel": session.name,
        "symbol": session.kernel.name,
        "signature": session.signature,
        "device": f"emulated {session.arch.name}",
        "grid": list(session.grid),
        "block": list(session.block),
        "cluster": list(report.cluster) if report else None,
        "shared_bytes": {"static": static, "dynamic": session.shared_bytes},
        "registers": session.registers,
        "completed": not session.faults,
        "seconds": session.seconds,
        "arrays": [
            {
                "name": array.name,
                "type": type_name(array.dtype),
                "shape": list(array.shape),
                "changed": found.changed,
                "first_changed": found.first,
                "last_changed": found.last,
                "never_written": found.never_written,
            }
            for array in session.arrays
            for found in [change(array)]
        ],
        "time_us": report.time_us if report else None,
        "time_kind": report.time_kind if report else None,
        "bounds_us": dict(report.bounds) if report else {},
        "counters": _finite(report.counters) if report else {},
        "approximate": sorted(getattr(report, "approximate", ())),
        "lines": [
            {
                "file": line.file,
                "line": line.line,
                "text": line.text,
                "counters": _finite(line.counters),
            }
            for line in (report.lines if report else ())
        ],
        "findings": [_finding(finding) for finding in session.findings],
        "notes": list(report.notes) if report else [],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "check": finding.check,
        "kind": finding.kind,
        "file": finding.file,
        "line": finding.line,
        "text": finding.source_text,
        "block": list(finding.block),
        "thread": list(finding.thread),
        "address": finding.address,
        "bytes": finding.nbytes,
        "message": finding.message,
        "count": finding.count,
        "severity": finding.severity,
        "sides": [
            {
                "kind": side.kind,
                "file": side.file,
                "line": side.line,
                "text": side.source_text,
                "block": list(side.block),
                "thread": list(side.thread),
            }
            for side in finding.sides
        ],
    }


def _finite(counters: Any) -> dict[str, float]:
    """JSON has no NaN."""
    return {name: value for name, value in sorted(counters.items()) if math.isfinite(value)}
