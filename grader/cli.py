"""``python -m grader``: check, grade, hint, list, make-labs, doctor.

Exit codes: 0 passed, 1 did not pass, 2 could not be judged (usage, or a fault of the grader's own).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from grader.catalogue import Course, UnknownName, course, find_task

PASSED, FAILED, UNJUDGED = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    options = _parser().parse_args(arguments)
    command: Callable[[Course, argparse.Namespace], int] = options.command
    from kernels.runtime import DeviceError

    try:
        return command(course(), options)
    except BrokenPipeError:  # the reader of our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNJUDGED
    except (UnknownName, DeviceError, OSError) as error:
        print(f"grader: {error}", file=sys.stderr)
        return UNJUDGED
    except KeyboardInterrupt:
        print("\ngrader: stopped", file=sys.stderr)
        return UNJUDGED


def _seed(text: str) -> int:
    seed = int(text)
    if seed < 0:
        raise argparse.ArgumentTypeError(f"{seed} is below 0")
    return seed


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m grader", description="Judge labs.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, what in (("check", "judge the public cases"), ("grade", "judge all cases")):
        judge = commands.add_parser(name, help=what, description=f"{what.capitalize()} of a lab.")
        judge.add_argument("lab", metavar="LAB", help="name, number (01), or a part of its name")
        judge.add_argument("--task", action="append", default=[], metavar="TASK", help="only this")
        judge.add_argument(
            "--path", type=Path, metavar="DIR", help="where the files are, or one of them"
        )
        judge.add_argument("--device", choices=("emulated", "cuda"), help="what to run on")
        judge.add_argument("--json", action="store_true", help="the verdict as JSON")
        judge.add_argument(
            "--seed", type=_seed, metavar="N", help="draw the same sizes and inputs again"
        )
        judge.add_argument("--quiet", action="store_true", help="no progress")
        judge.set_defaults(command=_judge, mode=name)
    hint = commands.add_parser("hint", help="the next hint for a task")
    hint.add_argument("lab", metavar="LAB")
    hint.add_argument("task", metavar="TASK")
    hint.add_argument("--again", action="store_true", help="those seen so far, no new one")
    hint.add_argument("--reset", action="store_true", help="begin anew")
    hint.set_defaults(command=_hint)
    listing = commands.add_parser("list", help="labs and their tasks")
    listing.set_defaults(command=_list)
    make = commands.add_parser("make-labs", help="write labs/ from solutions/")
    make.add_argument("--check", action="store_true", help="write nothing, fail when out of date")
    make.add_argument(
        "--replace-edited", action="store_true",
        help="also replace files that somebody has worked on; their versions are kept",
    )  # fmt: skip
    make.set_defaults(command=_make_labs)
    doctor = commands.add_parser("doctor", help="what works on this machine, and what to do")
    doctor.add_argument("--json", action="store_true")
    doctor.set_defaults(command=_doctor)
    return parser


def _judge(where: Course, options: argparse.Namespace) -> int:
    from grader.run import run
    from grader.words import as_text
    from kernels.runtime import open_device

    lab = where.lab(options.lab)
    tasks = [find_task(lab, name) for name in options.task] or list(lab.tasks)
    folder = options.path or where.labs / lab.name
    if folder.is_file():  # one of the lab's files: judge its task
        tasks = tasks if options.task else [find_task(lab, folder.name)]
        folder = folder.parent
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    device = open_device(options.device)
    progress = _Progress(quiet=options.quiet)
    verdict = run(
        where, lab, tasks, folder.resolve(), device, options.mode,
        seed=options.seed, progress=progress.say,
    )  # fmt: skip
    progress.clear()
    print(verdict.to_json() if options.json else as_text(verdict))
    return PASSED if verdict.passed else FAILED


class _Progress:
    """One line that says what is being done: replaced on a terminal, appended elsewhere."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet
        self.terminal = sys.stderr.isatty()

    def say(self, what: str) -> None:
        if self.quiet:
            return
        if self.terminal:
            print(f"\r\x1b[K{what}", end="", file=sys.stderr, flush=True)
        else:
            print(what, file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self.terminal and not self.quiet:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _hint(where: Course, options: argparse.Namespace) -> int:
    from grader.hints import forget, hints

    lab = where.lab(options.lab)
    task = find_task(lab, options.task)
    if options.reset:
        forget(lab.name, task)
        print(f"{lab.name}, {task.name}: no hints shown yet, {len(task.hints)} to come")
        return PASSED
    seen = hints(lab.name, task, one_more=not options.again)
    for number, hint in enumerate(seen.shown, 1):
        print(f"{number} of {len(task.hints)}: {hint}")
    if not seen.left:
        print(f"That was the last. The whole answer: solutions/{lab.name}/{task.name}.py")
    return PASSED


def _list(where: Course, _: argparse.Namespace) -> int:
    for name in where.names():
        lab = where.lab(name)
        print(f"{name}: {lab.title}")
        for task in lab.tasks:
            print(f"  {task.name:<14} {task.goal}")
    return PASSED


def _make_labs(where: Course, options: argparse.Namespace) -> int:
    from grader.starters import make, starters

    if not options.check:
        for made in make(where, replace_edited=options.replace_edited):
            path = made.starter.path.relative_to(where.root)
            if made.kept is not None:
                print(f"{path}: written; your version is {made.kept.relative_to(where.root)}")
            elif made.written:
                print(f"{path}: written")
            elif made.before == "edited":
                print(f"{path}: left alone, somebody has worked on it (--replace-edited)")
        return PASSED
    wrong = 0
    strict = bool(os.environ.get("CI"))  # where nobody works on a lab
    for starter in starters(where):
        state, path = starter.state, starter.path.relative_to(where.root)
        if state == "edited" and not strict:
            print(f"{path}: somebody has worked on it; not checked")
        elif state != "current":
            wrong += 1
            print(f"{path}: {state}; `make generate` writes it from {starter.source}")
    return FAILED if wrong else PASSED


def _doctor(where: Course, options: argparse.Namespace) -> int:
    from grader.doctor import as_json, examine

    findings = examine(where)
    if options.json:
        print(as_json(findings))
    else:
        for finding in findings:
            print(finding)
    return PASSED if all(f.ok for f in findings) else FAILED
