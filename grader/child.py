"""The child process: runs a learner's file and says what launches its ``solve`` recorded.

Started as a script with isolated Python. Three processes: this one, which sets the walls up; one
that waits, and ends whatever is left; and, inside, the one that runs the learner's code. What the
last one says goes to one file, as frames; see :mod:`grader.frames`.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any, NoReturn


def main() -> NoReturn:
    """``child.py JOB FRAMES STACKS``: a job as JSON, and two descriptors to write to."""
    job = json.loads(Path(sys.argv[1]).read_text())
    frames, stacks = int(sys.argv[2]), int(sys.argv[3])
    sys.path.insert(0, job["root"])
    from grader import confine

    confine.die_with_parent()
    limits = job["limits"]
    held = confine.leave_namespaces() if limits["namespaces"] else confine.stay("not asked for")
    inside = held["processes"].startswith("own")
    if not inside:
        limits["processes"] += confine.threads_of_user()
    waiter = os.fork()
    if waiter:
        _leave_with(os.waitpid(waiter, 0)[1])
    confine.die_with_parent()
    confine.adopt_orphans()
    worker = os.fork()
    if worker:
        status = _wait_for(worker)
        if not inside:  # a process namespace takes everybody with it when its first one ends
            confine.end_descendants()
        _leave_with(status)
    confine.die_with_parent()
    held |= confine.fence_files([job["folder"], "/dev/null"])
    confine.drop_capabilities()
    held["limits"] = confine.limit_resources(
        limits["memory"], limits["cpu_seconds"], limits["processes"], limits["file_bytes"]
    )
    _work(job, frames, stacks, held)


def _wait_for(worker: int) -> int:
    """The worker's status; orphans that end before it are taken in."""
    while True:
        pid, status = os.wait()
        if pid == worker:
            return status


def _leave_with(status: int) -> NoReturn:
    """End as the process with this wait status did."""
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


def _work(job: dict[str, Any], frames: int, stacks: int, held: dict[str, str]) -> NoReturn:
    import faulthandler
    import importlib

    from grader.frames import write_frame

    write_frame(frames, "held", held=held)
    # from a thread of its own: says where an endless loop was when the time was nearly up
    faulthandler.dump_traceback_later(job["limits"]["wall_seconds"] * 0.9, file=stacks)
    importlib.import_module("kernels.runtime")  # before a learner's file can stand in its way
    write_frame(frames, "ready", seconds=time.process_time())
    solve = _load(job, frames)
    if solve is not None:
        for case in job["cases"]:
            _record(job, case, solve, frames)
        write_frame(frames, "done")
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(0)


def _load(job: dict[str, Any], frames: int) -> Any:
    """The file's ``solve``; None after saying why there is none."""
    import importlib.util

    from grader.frames import write_frame

    path = Path(job["file"])
    sys.argv = [str(path)]
    sys.path.append(str(path.parent))
    write_frame(frames, "import")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:  # noqa: BLE001  whatever a learner's file raises
        _say_error(frames, path.parent, error, None)
        return None
    solve = getattr(module, "solve", None)
    if not callable(solve):
        names = [n for n in vars(module) if callable(getattr(module, n)) and not n.startswith("_")]
        write_frame(frames, "no-solve", found=names[:8], is_there=hasattr(module, "solve"))
        return None
    return solve


def _record(job: dict[str, Any], case: dict[str, Any], solve: Any, frames: int) -> None:
    """Record one case, and say its plan or what went wrong."""
    import inspect

    from grader.frames import write_frame
    from kernels.runtime import ArraySpec, record

    name = case["name"]
    arguments = [
        ArraySpec(a["name"], tuple(a["shape"]), a["dtype"], a["offset"])
        if isinstance(a, dict)
        else a
        for a in case["arguments"]
    ]
    write_frame(frames, "case", case=name)
    try:
        inspect.signature(solve).bind(None, *arguments)
    except TypeError as error:
        takes = str(inspect.signature(solve))
        write_frame(frames, "signature", case=name, takes=takes, message=str(error))
        return
    except ValueError:
        pass  # a callable that does not tell; the call will
    try:
        data = record(solve, *arguments, arch=_arch(job["arch"])).to_bytes()
    except BaseException as error:  # noqa: BLE001  whatever a learner's solve raises
        _say_error(frames, Path(job["file"]).parent, error, name)
        return
    write_frame(frames, "plan", data, case=name)


def _arch(fields: dict[str, Any]) -> Any:
    """A chip's table, which JSON has turned tuples of into lists."""
    from kernels.runtime import Arch

    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
    return Arch(**values)


def _say_error(frames: int, folder: Path, error: BaseException, case: str | None) -> None:
    """The exception, its kind, and the learner's own line."""
    import traceback

    from grader.frames import write_frame

    families = [cls.__name__ for cls in type(error).__mro__]
    file, line, text = "", 0, ""
    for entry in traceback.extract_tb(error.__traceback__):
        if Path(entry.filename).parent == folder and entry.lineno:
            file, line, text = Path(entry.filename).name, entry.lineno, entry.line or ""
    if isinstance(error, SyntaxError) and error.filename:
        where = Path(error.filename)
        if where.parent == folder or not file:
            file, line, text = where.name, error.lineno or 0, (error.text or "").strip()
    message = error.msg if isinstance(error, SyntaxError) else _words(error)
    if isinstance(error, SystemExit):
        message = str(error.code)
    write_frame(
        frames, "error", case=case, families=families, message=message[:20_000],
        file=file, line=line, text=text,
    )  # fmt: skip


def _words(error: BaseException) -> str:
    """``str(error)``, which a learner's own exception may not have."""
    try:
        return str(error)
    except Exception as second:  # noqa: BLE001  the exception is the learner's
        return f"(its message raised {type(second).__name__})"


if __name__ == "__main__":
    main()
