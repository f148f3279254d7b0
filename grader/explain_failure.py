"""Why a learner's program brought no plan, in words."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from grader.verdict import Finding

if TYPE_CHECKING:
    from grader.sandbox import Failure, Limits

WHERE = {
    "started": "before your file was read",
    "ready": "before your file was read",
    "import": "while your file was being imported",
    "case": "inside solve",
}
RECORDING = (
    "The grader calls solve once for each set of sizes, with arrays that have a shape and a type "
    "but no values yet, and keeps the launches. What you launch may depend on shapes alone."
)


def exception(said: Mapping[str, Any], limits: Limits) -> Failure:
    """A failure from what the child said of an exception. Nothing of it is trusted."""
    from grader.sandbox import Failure

    families = [str(name) for name in said.get("families", ())] or ["Exception"]
    message = str(said.get("message", "")).strip()
    file, text = str(said.get("file", "")), str(said.get("text", ""))
    line = said.get("line", 0) if isinstance(said.get("line"), int) else 0
    place = f"{file}, line {line}" if file else "an unknown line"
    finding = Finding(families[0], message, file, line, text)
    where = f" ({place})" if file else ""
    if "CompileError" in families:
        first = _first_error(message)
        return Failure(
            "compile-error",
            f"The CUDA compiler refused the kernel:\n{message}",
            "The first error is the one to look at; later ones often follow from it.",
            (first or finding,),
        )
    if "SyntaxError" in families:
        return Failure("syntax-error", f"Python cannot read {place}: {message}.", "", (finding,))
    if "MemoryError" in families:
        return Failure(
            "out-of-memory",
            f"Your program asked for more memory than its {limits.memory >> 30} GiB{where}.",
            "While solve is recorded there are no values to hold: device.empty(shape, dtype) costs "
            "nothing here.",
            (finding,),
        )
    if "SystemExit" in families:
        return Failure(
            "ended-early",
            f"Your program ended itself (SystemExit, {message}){where}.",
            "solve has to return the array that it computed.",
            (finding,),
        )
    if "RecordingError" in families:
        if message.startswith("solve() must return"):
            return Failure(
                "wrong-return", f"{message}.",
                "Is there a return at the end of solve, and does it return what device.empty gave "
                "you?",
                (finding,),
            )  # fmt: skip
        return Failure("raised", f"In {place}: {message}.", RECORDING, (finding,))
    if {"ArgumentError", "LaunchError", "UnknownKernel"} & set(families):
        return Failure("bad-launch", f"In {place}: {message}.", "", (finding,))
    return Failure("raised", f"{families[0]} in {place}: {message}", "", (finding,))


def _first_error(log: str) -> Finding | None:
    """The compiler's first error, with its line."""
    found = re.search(r"(?m)^(\S[^\n(]*)\((\d+)\): (?:catastrophic )?error:? ?(.*)$", log)
    if found is None:
        return None
    return Finding("compile error", found[3], found[1], int(found[2]))


def wrong_signature(said: Mapping[str, Any]) -> Failure:
    """``solve`` cannot be called as the task calls it."""
    from grader.sandbox import Failure

    return Failure(
        "wrong-signature",
        f"solve{said.get('takes', '(...)')} cannot be called with the task's arguments: "
        f"{said.get('message', '')}.",
        "Keep the parameters that the starter has: device first, then the task's own.",
    )


def timed_out(traces: str, stage: str, limits: Limits) -> Failure:
    """The child was still running when its time was up."""
    from grader.sandbox import Failure

    found = re.findall(r'File "[^"]*/files/([^"/]+)", line (\d+)', traces)
    findings: tuple[Finding, ...] = ()
    place = ""
    if found:
        file, line = found[0][0], int(found[0][1])
        place = f" It was at {file}, line {line}."
        findings = (Finding("still running", "where the program was", file, line),)
    return Failure(
        "timed-out",
        f"Your program was stopped after {limits.wall_seconds:g} s, "
        f"{WHERE.get(stage, 'while it ran')}.{place}",
        "Does a loop there ever end? Kernels do not run here, so recording takes a second or two.",
        findings,
    )


def ended(code: int, stage: str, limits: Limits) -> Failure:
    """The child ended without having said that it was done."""
    from grader.sandbox import Failure

    number = code - 128 if code > 128 else -code if code < 0 else 0
    where = WHERE.get(stage, "while it ran")
    if number == signal.SIGXCPU:
        return Failure(
            "timed-out",
            f"Your program used up its {limits.cpu_seconds} s of processor time, {where}.",
            "Does a loop there ever end?",
        )
    if number:
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = f"signal {number}"
        return Failure(
            "ended-early",
            f"Your program was ended by {name}, {where}.",
            "SIGSEGV is a crash in native code, often ctypes; SIGKILL may mean too much memory."
            if number in (signal.SIGSEGV, signal.SIGKILL) else "",
        )  # fmt: skip
    return Failure(
        "ended-early",
        f"Your program ended itself with exit code {code}, {where}, before it had answered.",
        "What a program prints or how it exits is not looked at: only what solve launches counts.",
    )
