"""Recording the events of one block, and of the blocks that form a cluster with it."""

from __future__ import annotations

import ctypes

import numpy as np
import numpy.typing as npt

from emulator.clusters import blocks_in_order
from emulator.errors import LaunchError
from emulator.native import jit
from emulator.native.heap import release
from emulator.native.layout import TIMELINE
from emulator.running import Launch
from emulator.timeline.cost import Costs, costs_of
from emulator.watch.events import NOBODY, WORDS
from emulator.watch.events import Recording as State


class Recording:
    """What a launch records while it runs. ``block`` is a linear index, x fastest."""

    def __init__(self, launch: Launch, block: int) -> None:
        x, y, z = launch.grid
        if not 0 <= block < x * y * z:
            raise LaunchError(
                f"{launch.kernel.name}: timeline={block}; the grid's blocks are 0 to "
                f"{x * y * z - 1}"
            )
        self.launch = launch
        self.block = block
        self.costs: Costs = costs_of(launch.kernel, launch.arch, launch.context.warps)
        self.peers = peers_of(launch, block)
        self.state = State()
        self.state.blocks = len(self.peers)
        self.state.watched[: len(self.peers)] = self.peers
        self.state.weights = self.costs.blocks.ctypes.data
        self.state.basic_blocks = len(self.costs.blocks)
        self.state.running = NOBODY
        jit.require("watch.events")
        launch.context.timeline = ctypes.addressof(self.state)
        launch.context.observe |= TIMELINE

    def events(self) -> npt.NDArray[np.int64]:
        """The events so far, in the order in which they happened: [event][8 words]."""
        used = self.state.used
        if not used:
            return np.zeros((0, WORDS), np.int64)
        kept = (ctypes.c_int64 * (used * WORDS)).from_address(self.state.events)
        return np.frombuffer(kept, np.int64).reshape(used, WORDS).copy()

    def end(self) -> None:
        """Give the memory of the events back."""
        self.launch.context.timeline = 0
        release(self.state.events)
        self.state.events = self.state.used = self.state.room = 0


def peers_of(launch: Launch, block: int) -> list[int]:
    """The linear indices of the blocks of a block's cluster, by rank."""
    size = launch.cluster_blocks
    if size == 1:
        return [block]
    order = blocks_in_order(launch.grid, launch.cluster, None)
    place = int(np.flatnonzero(order == block)[0]) // size * size
    return [int(index) for index in order[place : place + size]]
