"""A software GPU to run small CUDA C++ kernels on."""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from emulator import Allocation, DeviceMemory, Module, Report, launch
from emulator.nvrtc import compile_cuda

FILE = "kernel.cu"


@functools.cache
def compile_ptx(source: str) -> str:
    """CUDA C++ to PTX for an H100."""
    return compile_cuda(source, FILE, "compute_90a" if "wgmma" in source else "compute_90").ptx


class Card:
    """One software GPU: compiles, copies in, launches, copies back."""

    def __init__(self) -> None:
        self.memory = DeviceMemory()
        self.modules: dict[str, Module] = {}

    def module(self, source: str) -> Module:
        if source not in self.modules:
            is_ptx = ".version" in source
            ptx = source if is_ptx else compile_ptx(source)
            folder = next((n for n in _files(ptx) if n.endswith(FILE)), FILE)
            self.modules[source] = Module(ptx, {folder: source})
        return self.modules[source]

    def run(
        self,
        source: str,
        name: str,
        grid: Any,
        block: Any,
        *arguments: Any,
        shared_bytes: int = 0,
        counters: bool = False,
        timeout_s: float | None = 60.0,
        **options: Any,
    ) -> Report:
        """Launch; NumPy arrays are copied in and, when it ends, back in place.

        ``options`` are those of :func:`emulator.launch`.
        """
        kernel = self.module(source)[name]
        params = bytearray(kernel.parameter_bytes)
        held: list[tuple[np.ndarray, Allocation]] = []
        for parameter, argument in zip(kernel.parameters, arguments, strict=True):
            if isinstance(argument, np.ndarray):
                allocation = self.memory.allocate(argument.nbytes, f"argument{len(held)}")
                allocation.view()[:] = argument.reshape(-1).view(np.uint8)
                held.append((argument, allocation))
                value = struct.pack("<Q", allocation.address)
            else:
                value = np.asarray(argument).tobytes()
            params[parameter.offset : parameter.offset + len(value)] = value
        try:
            return launch(
                kernel, _three(grid), _three(block), bytes(params), self.memory,
                shared_bytes=shared_bytes, counters=counters, timeout_s=timeout_s,
                **options,
            )  # fmt: skip
        finally:
            for array, allocation in held:
                array[...] = allocation.view().view(array.dtype).reshape(array.shape)
                self.memory.free(allocation)


def _files(ptx: str) -> list[str]:
    from emulator.ptx import parse

    return list(parse(ptx).files.values())


def _three(shape: Any) -> tuple[int, int, int]:
    axes = (shape,) if isinstance(shape, int) else tuple(shape)
    x, y, z = (*axes, 1, 1, 1)[:3]
    return x, y, z


@pytest.fixture(scope="session")
def card() -> Card:
    return Card()


@pytest.fixture(scope="session")
def ptx() -> Callable[[str], str]:
    return compile_ptx
