"""One API for a GPU and for the software GPU.

>>> program = cuda_program("scale.cu")
>>> device = open_device()
>>> y = device.empty(n, np.float32)
>>> device.launch(program["scale"], grid, block, (x, y, 2.0, n))
"""

from emulator import (
    Arch,
    DeviceFault,
    EmulatorError,
    Finding,
    LaunchError,
    LaunchTimeout,
    LineReport,
    Report,
    UnsupportedInstruction,
)
from emulator.signature import Parameter
from kernels.runtime.device import Device, open_device
from kernels.runtime.emulated import EmulatedDevice
from kernels.runtime.errors import (
    ArgumentError,
    CompileError,
    DeviceError,
    PlanError,
    RecordingError,
    RuntimeFault,
    UnknownKernel,
)
from kernels.runtime.numba_kernels import numba_program
from kernels.runtime.plan import Plan, time_plans
from kernels.runtime.program import KernelFunction, Program, cuda_program
from kernels.runtime.record import ArraySpec, record
from kernels.runtime.timing import Timing

__all__ = [
    "Arch",
    "ArgumentError",
    "ArraySpec",
    "CompileError",
    "Device",
    "DeviceError",
    "DeviceFault",
    "EmulatedDevice",
    "EmulatorError",
    "Finding",
    "KernelFunction",
    "LaunchError",
    "LaunchTimeout",
    "LineReport",
    "Parameter",
    "Plan",
    "PlanError",
    "Program",
    "RecordingError",
    "Report",
    "RuntimeFault",
    "Timing",
    "UnknownKernel",
    "UnsupportedInstruction",
    "cuda_program",
    "numba_program",
    "open_device",
    "record",
    "time_plans",
]
