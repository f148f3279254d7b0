"""The three commands: run, profile, check."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from emulator.command import annotate, arrays, page, tables, wording
from emulator.command.advice import advice
from emulator.command.document import document
from emulator.command.findings import findings_text
from emulator.command.session import Session, prepare
from emulator.errors import DeviceFault

FINE, FOUND = 0, 1


def run(options: argparse.Namespace) -> int:
    """Run the kernel, show what it changed."""
    session = prepare(options, "run")
    _launch(session, options)
    if options.json:
        _write_json(session, "run")
    else:
        print(headline(session))
        _show_arrays(session, options)
    arrays.save(session.arrays, options.save)
    return FOUND if session.faults else FINE


def profile(options: argparse.Namespace) -> int:
    """Run the kernel with counters; tables and the annotated source."""
    session = prepare(options, "profile")
    _launch(session, options, counters=True)
    if options.html is not None and session.report is not None:
        page.write(session, options.html)
    if options.json:
        _write_json(session, "profile")
    else:
        print(headline(session))
        print()
        print(_profile_text(session))
        if options.show:
            _show_arrays(session, options)
    arrays.save(session.arrays, options.save)
    return FOUND if session.faults else FINE


def check(options: argparse.Namespace) -> int:
    """Run the kernel with checks; what they found, as compute-sanitizer words it."""
    session = prepare(options, "check")
    _launch(session, options, checks=options.tool)
    if options.json:
        _write_json(session, "check")
    else:
        print(findings_text(session, options.tool))
        if options.show:
            _show_arrays(session, options)
    arrays.save(session.arrays, options.save)
    return FOUND if session.errors else FINE


def _profile_text(session: Session) -> str:
    """Tables, annotated source, what stands out, what is approximate."""
    report = session.report
    assert report is not None
    parts = [
        tables.text(tables.tables(report)),
        annotate.text(annotate.listings(report, session.loaded.module.sources)),
    ]
    said = advice(report)
    if said:
        parts.append("\n".join(["What stands out", *(f"  {line}" for line in said)]))
    notes = list(report.notes)
    if report.approximate:
        notes.append("~ marks counters that may differ from an H100's.")
    parts.append("\n".join(notes))
    return "\n\n".join(part for part in parts if part)


def headline(session: Session) -> str:
    """What ran, on what, and how long that took here."""
    return (
        f"{session.signature}\n  grid {wording.shape(session.grid)}, "
        f"block {wording.shape(session.block)}, emulated {session.arch.name}, "
        f"{wording.duration(session.seconds)} on this machine"
    )


def _launch(
    session: Session,
    options: argparse.Namespace,
    *,
    counters: bool = False,
    checks: Sequence[str] = (),
) -> None:
    """Run. Whoever reads JSON or findings learns of a fault there; others as of an error."""
    try:
        session.run(counters=counters, checks=checks, quiet=options.quiet, json=options.json)
    except DeviceFault:
        if not options.json and not checks:
            raise


def _show_arrays(session: Session, options: argparse.Namespace) -> None:
    text = arrays.show(session.arrays, options.elements, options.show)
    if text:
        print(text)


def _write_json(session: Session, command: str) -> None:
    print(json.dumps(document(session, command), indent=2, allow_nan=False))
