"""What can go wrong, each as one exception with a message meant for a reader."""

from __future__ import annotations

from emulator.report import Finding


class EmulatorError(Exception):
    """Base of every error the software GPU raises on purpose.

    In a notebook such an error shows its message alone: the traceback through the emulator's own
    files would only hide it.
    """

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


class PtxError(EmulatorError, ValueError):
    """The text is not PTX that this reader understands; the message names the line."""


class UnsupportedInstruction(EmulatorError, NotImplementedError):
    """A kernel executed an instruction the software GPU does not have (yet)."""


class CompileError(EmulatorError):
    """The compiler refused the source; the message is the compiler's, with the source's lines."""


class LaunchError(EmulatorError, ValueError):
    """A launch that no GPU would accept: grid, block, shared memory or parameters."""


class LaunchTimeout(EmulatorError, TimeoutError):
    """A launch ran past the time it was given."""


class DeviceFault(EmulatorError):
    """The kernel did something that ends a launch; ``finding`` holds what, where and who."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding
        self.before: tuple[Finding, ...] = ()  # what checks had found by then
