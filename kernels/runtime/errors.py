"""What can go wrong between a kernel's source and a device, as messages for a reader."""

from __future__ import annotations

from emulator.errors import CompileError

__all__ = [
    "ArgumentError",
    "CompileError",
    "DeviceError",
    "PlanError",
    "RecordingError",
    "RuntimeFault",
    "UnknownKernel",
]


class RuntimeFault(Exception):
    """Base of the errors below. A notebook shows the message alone, without our traceback."""

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


class ArgumentError(RuntimeFault, TypeError):
    """An argument does not fit the kernel's parameter; the message names it."""


class UnknownKernel(RuntimeFault, KeyError):
    """A program has no kernel of that name."""

    __str__ = Exception.__str__  # KeyError's would put the message in quotes


class DeviceError(RuntimeFault):
    """A device that is not there, or that cannot do what was asked."""


class RecordingError(RuntimeFault, TypeError):
    """While a plan is recorded, arrays have no values to read."""


class PlanError(RuntimeFault, ValueError):
    """Bytes or inputs that are not a plan's."""
