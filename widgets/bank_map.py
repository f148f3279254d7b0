"""Choose a width and a pattern, or type an index of your own; see which lanes meet in which bank.

Where the lanes read is run, not worked out: one warp of the topic's own kernel reads shared memory
at the places chosen, on the software GPU, and its counters say how many wavefronts that took. The
picture deals the words to wavefronts by the rule of the lesson, and has to come to the same number.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets
import numpy as np
import numpy.typing as npt

from kernels.bank_conflicts import patterns
from kernels.bank_conflicts.patterns import LANES, LOADS, PLACES, read_shared_kernels
from kernels.runtime import CompileError, EmulatedDevice, cuda_program
from widgets.bank_picture import BankAccess, draw, new_picture, svg
from widgets.live import Live
from widgets.look import BLUE, GREEN, ORANGE, TEXT, box, significant
from widgets.picture import keep

Places = npt.NDArray[np.int32]
WIDTHS = {"4 B: float": 4, "8 B: float2, double": 8, "16 B: float4": 16}
OWN = "your own index"
ALLOWED = re.compile(r"[\w\s+\-*/%^&|~<>=!?:()]*")

# name -> (what the slider means, its range, its first value, index expression, places)
PATTERNS: dict[str, tuple[str, tuple[int, int], int, str, Callable[[int], Places]]] = {
    "stride": ("Stride", (0, 33), 1, "{} * lane", patterns.strided),
    "column of a 32 x 32 tile, swizzled": (
        "Column", (0, 31), 0, "32 * lane + ({} ^ lane)",
        lambda at: patterns.column(at=at, swizzled=True),
    ),
    "broadcast to groups of lanes": (
        "Groups", (1, 32), 1, "lane * {} / 32", patterns.broadcast,
    ),
    "permutation of 32 neighbours": (
        "Which", (0, 99), 0, "permutation {} of 0 to 31", patterns.permuted,
    ),
    "anywhere": ("Which", (0, 99), 0, "chance {}", patterns.scattered),
}  # fmt: skip


class BankProbe:
    """Reads shared memory with one warp and counts; everything is compiled here, once."""

    def __init__(self) -> None:
        self.device = EmulatedDevice()
        self.kernels = read_shared_kernels()
        self.tables = {w: self._words(patterns.table_elements(w) * w // 4) for w in self.kernels}
        self.outputs = {width: self._words(LANES * width // 4) for width in self.kernels}
        for width in self.kernels:
            self.access(width, patterns.strided(1))

    def access(self, width: int, places: Places) -> BankAccess:
        """What reading ``width`` bytes a lane at ``places`` (32,) int32 takes.

        Raises AssertionError if the lesson's rule and the counters disagree.
        """
        arguments = (
            self.tables[width], self.device.asarray(places), self.outputs[width], LANES, 1
        )  # fmt: skip
        counters = self.device.profile(self.kernels[width], 1, LANES, arguments).counters
        loads = counters["smsp__inst_executed_op_shared_ld.sum"]
        wavefronts = counters["l1tex__data_pipe_lsu_wavefronts_mem_shared_op_ld.sum"]
        assert loads == LOADS and wavefronts % loads == 0, "the kernel's loads differ"
        found = BankAccess(width, tuple(int(p) for p in places), int(wavefronts / loads))
        assert found.rows == found.wavefronts, "the lesson's rule and the counters disagree"
        return found

    def places_of(self, index: str) -> Places:
        """Where the lanes of a warp read with ``index``, a C++ expression of ``lane``.

        Raises ValueError for what does not compile, or is not from 0 to 1023.
        """
        if not ALLOWED.fullmatch(index) or not index.strip():
            raise ValueError("an index is made of lane, numbers and operators: lane * 33 + 2")
        source = (
            'extern "C" __global__ void index_of(int* places) {\n'
            "  int lane = threadIdx.x;\n"
            f"  places[lane] = {index};\n}}\n"
        )
        try:
            kernel = cuda_program(source, name="index")["index_of"]
        except CompileError as error:
            first = next((line for line in str(error).splitlines() if "error" in line), "")
            raise ValueError(first.partition("error:")[2].strip() or str(error)) from None
        out = self.device.empty(LANES, np.int32)
        self.device.launch(kernel, 1, LANES, (out,))
        places = self.device.to_host(out)
        if places.min() < 0 or places.max() >= PLACES:
            lane = int(np.flatnonzero((places < 0) | (places >= PLACES))[0])
            raise ValueError(
                f"lane {lane} would read element {places[lane]}; the tile has {PLACES}"
            )
        return places.astype(np.int32)

    def _words(self, n: int) -> Any:
        words = self.device.empty(n, np.uint32)
        words[...] = 0
        return words


class BankMap(Live):
    """The widget: width, pattern and its number, or an index; the picture; the numbers."""

    def __init__(self, probe: BankProbe) -> None:
        self.probe = probe

        def wide() -> ipywidgets.Layout:  # one each: controls are hidden and shown one by one
            return ipywidgets.Layout(width="430px")

        self.width = ipywidgets.ToggleButtons(
            options=list(WIDTHS.items()), value=4, description="A lane reads",
            style=ipywidgets.ToggleButtonsStyle(button_width="146px"),
        )  # fmt: skip
        self.pattern = ipywidgets.Dropdown(
            options=[*PATTERNS, OWN], value="stride", description="Pattern", layout=wide()
        )
        self.number = ipywidgets.IntSlider(
            1, 0, 33, description="Stride", continuous_update=False, layout=wide()
        )
        self.index = ipywidgets.Text(
            "lane * 33", description="tile[...]", continuous_update=False, layout=wide()
        )
        self.index.layout.display = "none"
        self.access = probe.access(4, patterns.strided(1))
        self.figure = new_picture(self.access)
        self.numbers = ipywidgets.HTML(numbers(self.access, "lane"))
        self.numbers.add_class("coalesce-bank-map")
        self.pattern.observe(self._choose, names="value")
        for control in (self.width, self.number, self.index):
            control.observe(self._update, names="value")
        super().__init__(
            ipywidgets.VBox(
                [
                    self.width,
                    ipywidgets.HBox([self.pattern, self.number, self.index]),
                    self.figure,
                    self.numbers,
                ]
            ),
            lambda: svg(self.access) + numbers(self.access, self._expression()),
        )

    def _choose(self, change: Any) -> None:
        own = change["new"] == OWN
        self.number.layout.display = "none" if own else ""
        self.index.layout.display = "" if own else "none"
        if not own:
            name, (low, high), first, *_ = PATTERNS[change["new"]]
            self.number.unobserve(self._update, names="value")
            self.number.description = name
            self.number.min, self.number.max = min(low, self.number.min), max(high, 99)
            self.number.value = first
            self.number.min, self.number.max = low, high
            self.number.observe(self._update, names="value")
        self._update(None)

    def _expression(self) -> str:
        if self.pattern.value == OWN:
            return str(self.index.value)
        return PATTERNS[self.pattern.value][3].format(self.number.value)

    def _update(self, _: Any) -> None:
        try:
            if self.pattern.value == OWN:
                places = self.probe.places_of(self.index.value)
            else:
                places = PATTERNS[self.pattern.value][4](self.number.value)
            self.access = self.probe.access(self.width.value, places)
        except ValueError as error:
            self.numbers.value = box(escape(str(error)), ORANGE)
            return
        draw(self.figure, self.access)
        keep(self.figure)
        self.numbers.value = numbers(self.access, self._expression())


def numbers(access: BankAccess, index: str) -> str:
    """The access's figures, as HTML."""
    times = access.wavefronts / access.ideal
    colour = GREEN if times <= 1 else BLUE if times <= 2 else ORANGE
    cards = [
        ("wavefronts", str(access.wavefronts)),
        ("without conflicts", str(access.ideal)),
        ("times as many", significant(times)),
        ("bytes to lanes", f"{LANES * access.width:,} B"),
        ("bytes a wavefront", f"{significant(LANES * access.width / access.wavefronts)} B"),
    ]
    shown = "".join(
        '<div style="padding: 2px 18px 2px 0"><div style="font-size: 21px; line-height: 1.2">'
        f"<b>{value}</b></div><div>{name}</div></div>"
        for name, value in cards
    )
    return (
        f'<div style="color: {TEXT}; border-left: 5px solid {colour}; padding-left: 12px">'
        f"<div>Each lane reads <code>tile[{escape(index)}]</code>, {access.width} bytes.</div>"
        f'<div style="display: flex; flex-wrap: wrap">{shown}</div></div>'
    )


def bank_map() -> BankMap:
    """The widget over the topic's own kernels."""
    return BankMap(BankProbe())
