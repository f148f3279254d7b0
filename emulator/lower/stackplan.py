"""What :mod:`emulator.units.stack` needs to know of functions and calls, as one table of words.

- Word 0: the address of function 0 of the module; word 1: how many functions it has; then, for each
  of them, where its record starts, or 0.
- A function's record: its first block, its signature, bytes of local variables, where its base
  lies in the frame, then its parameters and its results.
- A call's record: the block to return to, the callee's signature, bytes it takes on the stack, then
  arguments, results and what must be kept.

Each list is a count and, for each of its items, offset, bytes and stride (:class:`Place`).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from emulator.cfg import Block, Graph
from emulator.lower.frame import Frame, Place, arguments_of
from emulator.ptx import Function, Instruction, PtxModule, Symbol

SITE_WORD = 8  # the call's own word on the stack, above what it keeps


@dataclass(frozen=True)
class StackPlan:
    """The table, and where in it a function's and a block's call's records start."""

    words: tuple[int, ...]
    functions: dict[str, int]
    sites: dict[int, int]  # by number of the block that the call ends
    addresses: dict[str, int]  # what pointers to the module's functions hold


def plan_stack(module: PtxModule, graph: Graph, frame: Frame) -> StackPlan:
    """The table of one kernel."""
    addresses = module.function_addresses()
    words = [module.function_base, len(addresses), *[0] * len(addresses)]
    functions: dict[str, int] = {}
    sites: dict[int, int] = {}
    for number, name in enumerate(addresses):
        if name in graph.calls.stacked:
            functions[name] = words[2 + number] = len(words)
            words += _function_record(graph, frame, module.functions[name])
    for block in graph.blocks:
        last = block.terminator
        if last is not None and last.opcode == "call" and _is_stacked(graph, last):
            sites[block.number] = len(words)
            words += _site_record(graph, frame, block, last)
    return StackPlan(tuple(words), functions, sites, addresses)


def _is_stacked(graph: Graph, call: Instruction) -> bool:
    target = call.operands[0]
    return not isinstance(target, Symbol) or target.name in graph.calls.stacked


def _function_record(graph: Graph, frame: Frame, function: Function) -> list[int]:
    formals = [v.nbytes for v in function.parameters]
    results = [v.nbytes for v in function.returns]
    return [
        graph.entries[function.name].number,
        _signature(formals, results),
        frame.local_sizes[function.name],
        frame.bases[function.name],
        *_list(frame.parameter(function, v.name) for v in function.parameters),
        *_list(frame.parameter(function, v.name) for v in function.returns),
    ]


def _site_record(graph: Graph, frame: Frame, block: Block, call: Instruction) -> list[int]:
    function = block.function
    names = arguments_of(call)
    results = [frame.parameter(function, name) for name in call.returns]
    arguments = [frame.parameter(function, n) for n in names[: len(names) - len(results)]]
    kept = _kept(graph, frame, function) if graph.calls.may_come_back(function, call) else []
    assert block.falls_to is not None
    return [
        block.falls_to.number,
        _signature([p.nbytes for p in arguments], [p.nbytes for p in results]),
        SITE_WORD + sum(_bytes_kept(place) for place in kept),
        *_list(arguments),
        *_list(results),
        *_list(kept),
    ]


def _bytes_kept(place: Place) -> int:
    return -(-place.nbytes // 8) * 8


def _kept(graph: Graph, frame: Frame, function: Function) -> list[Place]:
    """All of a function's state that another activation of it would overwrite.

    Not its results, which are set just before it returns, nor variables that hand arguments to one
    call alone.
    """
    places = [place for (name, _), place in frame.registers.items() if name == function.name]
    places += [frame.parameter(function, v.name) for v in function.parameters]
    places.append(Place(frame.bases[function.name], 4, 4))
    uses: dict[str, int] = {}
    for inst in function.instructions:
        if inst.opcode == "call":
            for name in arguments_of(inst):
                uses[name] = uses.get(name, 0) + 1
    several = [name for name, count in uses.items() if count > 1 and name in function.variables]
    return places + [frame.parameter(function, name) for name in several]


def _list(places: Iterable[Place]) -> list[int]:
    items = [number for p in places for number in (p.offset, p.nbytes, p.stride)]
    return [len(items) // 3, *items]


def _signature(arguments: Sequence[int], results: Sequence[int]) -> int:
    return zlib.crc32(repr((list(arguments), list(results))).encode())
