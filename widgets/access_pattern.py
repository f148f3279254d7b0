"""Choose element size, offset and stride; see which lanes touch which sectors.

Nothing here works out addresses. One warp of the course's own kernel copies an array in which
every element holds its own number, on the software GPU: what a lane copied says where it read,
and the report's counters say what that cost.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ipywidgets
import numpy as np

from kernels.coalescing.elements import copy_elements_kernels
from kernels.runtime import EmulatedDevice, KernelFunction
from widgets.live import Live
from widgets.look import BLUE, GREEN, ORANGE, TEXT, significant
from widgets.picture import Touch, draw, keep, new_picture, svg

LANES = 32
ELEMENTS = {1: "1 B: char", 2: "2 B: half", 4: "4 B: float", 8: "8 B: float2", 16: "16 B: float4"}
MAX_OFFSET = 16  # elements
MAX_STRIDE = 16
REACH = MAX_OFFSET + (LANES - 1) * MAX_STRIDE + 1  # elements that a warp can reach


class Probe:
    """Runs a copy kernel for one warp and reads what it touched.

    ``kernels`` gives, by element size in bytes, a kernel ``(in, out, n, offset, stride)`` whose
    lane i copies element ``offset + i * stride`` to ``out[i]``. Everything is compiled here, once.
    """

    def __init__(self, kernels: Mapping[int, KernelFunction]) -> None:
        self.device = EmulatedDevice()
        self.kernels = dict(kernels)
        self.inputs = {size: self._numbered(size) for size in kernels}
        self.outputs = {size: self.device.empty(LANES * size, np.uint8) for size in kernels}
        for size in kernels:
            self.touch(size, 0, 1)

    def touch(self, element_bytes: int, offset: int, stride: int) -> Touch:
        """What the warp's load touches. Raises AssertionError if kernel and counters disagree."""
        kernel, out = self.kernels[element_bytes], self.outputs[element_bytes]
        read = np.zeros(LANES, dtype=np.int64)
        for digit, source in enumerate(self.inputs[element_bytes]):
            args = (*self._typed(kernel, source, out), LANES, offset, stride)
            report = self.device.profile(kernel, 1, LANES, args)
            copied = self.device.to_host(out).reshape(LANES, element_bytes)
            read += _number(copied) << (8 * digit)
        counters = report.counters
        loads = "pipe_lsu_mem_global_op_ld.sum"
        touch = Touch(
            element_bytes,
            offset,
            stride,
            tuple(int(index) * element_bytes for index in read),
            counters[f"l1tex__t_requests_{loads}"],
            counters[f"l1tex__t_sectors_{loads}"],
            counters["smsp__sass_data_bytes_mem_global_op_ld.sum"],
        )
        assert len(touch.touched) == touch.sectors, "lanes' addresses and counted sectors disagree"
        return touch

    def _numbered(self, size: int) -> list[Any]:
        """Arrays whose element i holds i: a byte holds too little, so it takes two arrays."""
        index = np.arange(REACH)
        if size == 1:
            digits = [(index & 0xFF).astype(np.uint8), (index >> 8).astype(np.uint8)]
            return [self.device.asarray(digit) for digit in digits]
        elements = np.zeros((REACH, size), dtype=np.uint8)
        elements[:, :2] = index.astype("<u2")[:, None].view(np.uint8)
        return [self.device.asarray(elements.reshape(-1))]

    def _typed(self, kernel: KernelFunction, *arrays: Any) -> tuple[Any, ...]:
        """The bytes as the kernel's own element type, where that is one NumPy has."""
        pointers = [p.dtype for p in kernel.parameters if p.is_array]
        return tuple(
            array if dtype is None else array.view(dtype)
            for array, dtype in zip(arrays, pointers, strict=True)
        )


def _number(elements: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The number that each element of a (lanes, bytes) array holds in its first two bytes."""
    wide = elements.astype(np.int64)
    return wide[:, 0] if elements.shape[1] == 1 else wide[:, 0] + (wide[:, 1] << 8)


class AccessPattern(Live):
    """The widget: three controls, the picture, the numbers."""

    def __init__(self, probe: Probe) -> None:
        self.probe = probe
        labels = [(name, size) for size, name in ELEMENTS.items() if size in probe.kernels]
        wide = ipywidgets.Layout(width="420px")
        self.element = ipywidgets.ToggleButtons(
            options=labels, value=4, description="Element",
            style=ipywidgets.ToggleButtonsStyle(button_width="104px"),
        )  # fmt: skip
        self.offset = ipywidgets.IntSlider(
            0, 0, MAX_OFFSET, description="Offset", continuous_update=False, layout=wide
        )
        self.stride = ipywidgets.IntSlider(
            1, 1, MAX_STRIDE, description="Stride", continuous_update=False, layout=wide
        )
        for control in (self.element, self.offset, self.stride):
            control.observe(self._update, names="value")
        self.touch = probe.touch(4, 0, 1)
        self.figure = new_picture(self.touch)
        self.numbers = ipywidgets.HTML(numbers(self.touch))
        self.numbers.add_class("coalesce-access-pattern")
        super().__init__(
            ipywidgets.VBox(
                [
                    self.element,
                    ipywidgets.HBox([self.offset, self.stride]),
                    self.figure,
                    self.numbers,
                ]
            ),
            lambda: svg(self.touch) + numbers(self.touch),
        )

    def _update(self, _: Any) -> None:
        self.touch = self.probe.touch(self.element.value, self.offset.value, self.stride.value)
        draw(self.figure, self.touch)
        keep(self.figure)
        self.numbers.value = numbers(self.touch)


def numbers(touch: Touch) -> str:
    """The request's figures, and the index expression, as HTML."""
    share = touch.efficiency
    colour = GREEN if share > 0.99 else BLUE if share >= 0.5 else ORANGE
    index = " + ".join(
        part
        for part in (
            str(touch.offset) if touch.offset else "",
            f"{touch.stride} * lane" if touch.stride > 1 else "lane",
        )
        if part
    )
    cards = [
        ("requests", significant(touch.requests)),
        ("sectors", significant(touch.sectors)),
        ("sectors a request", significant(touch.sectors / touch.requests)),
        ("asked for", f"{touch.bytes_asked:,.0f} B"),
        ("moved", f"{touch.bytes_moved:,.0f} B"),
        ("efficiency", f"{significant(share * 100)} %"),
    ]
    shown = "".join(
        '<div style="padding: 2px 18px 2px 0"><div style="font-size: 21px; line-height: 1.2">'
        f"<b>{value}</b></div><div>{name}</div></div>"
        for name, value in cards
    )
    return (
        f'<div style="color: {TEXT}; border-left: 5px solid {colour}; padding-left: 12px">'
        f"<div>Each lane reads <code>in[{index}]</code>, {touch.element_bytes} bytes.</div>"
        f'<div style="display: flex; flex-wrap: wrap">{shown}</div></div>'
    )


def access_pattern() -> AccessPattern:
    """The widget over the topic's own kernels, one an element size."""
    return AccessPattern(Probe(copy_elements_kernels()))
