"""The software GPU: PTX to native code for the CPU, with a GPU's counters and better errors.

    >>> memory = DeviceMemory()
    >>> module = Module(ptx)
    >>> report = launch(module["kernel"], (8, 1, 1), (128, 1, 1), params, memory, counters=True)

A library of its own: NumPy and llvmlite, nothing of the course.
"""

from emulator.arch import A100, H100, Arch
from emulator.errors import (
    DeviceFault,
    EmulatorError,
    LaunchError,
    LaunchTimeout,
    PtxError,
    UnsupportedInstruction,
)
from emulator.launch import check_launch, launch
from emulator.memory import Allocation, DeviceMemory
from emulator.module import Kernel, Module, Parameter, UnknownKernel
from emulator.report import Finding, LineReport, Report

__all__ = [
    "A100",
    "H100",
    "Allocation",
    "Arch",
    "DeviceFault",
    "DeviceMemory",
    "EmulatorError",
    "Finding",
    "Kernel",
    "LaunchError",
    "LaunchTimeout",
    "LineReport",
    "Module",
    "Parameter",
    "PtxError",
    "Report",
    "UnknownKernel",
    "UnsupportedInstruction",
    "check_launch",
    "launch",
]
