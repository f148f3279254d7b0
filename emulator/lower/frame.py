"""Where a kernel's functions keep their state: behind a warp's header, and in local memory.

Behind the header lie the registers that live across blocks, return addresses and the parameters of
calls, a vector over lanes each. A caller's ``param`` variables are the callee's own, so arguments
need no copying, except for functions whose activations are on the stack
(:mod:`emulator.callgraph`): there the call copies them (:mod:`emulator.units.stack`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from emulator.cfg import Graph
from emulator.errors import PtxError
from emulator.hazards import find_hazards
from emulator.lower.types import bits
from emulator.native.layout import LANES, STACK_STATE_BYTES, WARP_HEADER_BYTES
from emulator.ptx import Function, Immediate, Instruction, Symbol

LOCAL_ALIGNMENT = 16


@dataclass(frozen=True)
class Place:
    """A value of each lane in the frame. ``stride`` is 0 for predicates: a bit a lane."""

    offset: int
    nbytes: int
    stride: int


class Frame:
    """Where each kept register, return address and call parameter lies behind a warp's header.

    ``local_offsets`` are places of local variables in a lane's local memory; those of functions on
    the stack count from the activation's own base, which ``bases`` holds.
    """

    def __init__(self, graph: Graph, functions: Sequence[Function]) -> None:
        by_name = {function.name: function for function in functions}
        self.calls = graph.calls
        self.has_stack = bool(graph.calls.stacked) or graph.calls.allocates
        self.nbytes = WARP_HEADER_BYTES + (STACK_STATE_BYTES if self.has_stack else 0)
        self.registers: dict[tuple[str, str], Place] = {}
        for function, name in graph.registers:
            width = max(bits(by_name[function].registers[name]), 8)
            is_predicate = by_name[function].registers[name] == "pred"
            size = width // 8
            at_byte = self._take(max(size * LANES, 64))
            self.registers[function, name] = Place(at_byte, size, 0 if is_predicate else size)
        self.offsets = {key: place.offset for key, place in self.registers.items()}
        self.returns: dict[str, int] = {}
        self.bases: dict[str, int] = {}
        self.parameters: dict[tuple[str, str], int] = {}
        for function_ in functions:
            if function_.is_entry:
                continue
            where = self.bases if function_.name in graph.calls.stacked else self.returns
            where[function_.name] = self._take(4 * LANES)
            for variable in (*function_.parameters, *function_.returns):
                self.parameters[function_.name, variable.name] = self._take_parameter(
                    variable.nbytes
                )
        for function_ in functions:
            for inst in function_.instructions:
                if inst.opcode == "call":
                    self._place_arguments(function_, inst, by_name)
        self.hazards = find_hazards(graph.blocks)
        self.marks = {key: self._take(4) for key in self.hazards.marks}
        self._lay_out_locals(functions)

    def _take(self, nbytes: int) -> int:
        at_byte = self.nbytes
        self.nbytes += -(-nbytes // 64) * 64
        return at_byte

    def _take_parameter(self, nbytes: int) -> int:
        return self._take(parameter_stride(nbytes) * LANES)

    def _place_arguments(
        self, function: Function, inst: Instruction, by_name: dict[str, Function]
    ) -> None:
        target = inst.operands[0]
        actuals = arguments_of(inst)
        callee = by_name.get(target.name) if isinstance(target, Symbol) else None
        total = len(inst.arguments) + len(inst.returns)
        if len(actuals) != total or any(name not in function.variables for name in actuals):
            raise PtxError(
                f"PTX line {inst.ptx_line}: only .param variables of the caller can be handed to a "
                f"function or got back: {inst.text}"
            )
        if callee is not None:
            formals = [*callee.parameters, *callee.returns]
            sizes = [function.variables[name].nbytes for name in actuals]
            splits = len(inst.arguments) == len(callee.parameters)
            if not splits or sizes != [formal.nbytes for formal in formals]:
                raise PtxError(
                    f"PTX line {inst.ptx_line}: arguments do not fit {callee.name!r}: {inst.text}"
                )
            if callee.name not in self.calls.stacked:
                for actual, formal in zip(actuals, formals, strict=True):
                    place = self.parameters[callee.name, formal.name]
                    self.parameters[function.name, actual] = place
                return
        for name in actuals:
            if (function.name, name) not in self.parameters:
                nbytes = function.variables[name].nbytes
                self.parameters[function.name, name] = self._take_parameter(nbytes)

    def parameter(self, function: Function, name: str) -> Place:
        """The place of a function's own parameter, or of a variable it passes to a call."""
        own = (*function.parameters, *function.returns)
        variable = next((v for v in own if v.name == name), None) or function.variables[name]
        stride = parameter_stride(variable.nbytes)
        return Place(self.parameters[function.name, name], variable.nbytes, stride)

    def _lay_out_locals(self, functions: Sequence[Function]) -> None:
        self.local_offsets: dict[tuple[str, str], int] = {}
        self.local_sizes = dict.fromkeys(self.calls.stacked, 0)  # bytes an activation
        self.local_bytes = 0  # a lane's, without the stack
        variables = [
            (f.name, v) for f in functions for v in f.variables.values() if v.space == "local"
        ]
        aligned = [v.align for _, v in variables]
        aligned += [a for f in functions for i in f.instructions for a in _alignment_of(i)]
        self.local_alignment = max([LOCAL_ALIGNMENT, *aligned])
        for name, variable in variables:
            size = self.local_sizes.get(name, self.local_bytes)
            size = -(-size // variable.align) * variable.align
            self.local_offsets[name, variable.name] = size
            size += variable.nbytes
            if name in self.local_sizes:
                self.local_sizes[name] = size
            else:
                self.local_bytes = size
        align = self.local_alignment
        self.local_bytes = -(-self.local_bytes // align) * align
        self.local_sizes = {n: -(-s // align) * align for n, s in self.local_sizes.items()}

    @property
    def stacks_locals(self) -> bool:
        """Whether local memory holds a stack, too."""
        return self.calls.allocates or any(self.local_sizes.values())


def parameter_stride(nbytes: int) -> int:
    """Bytes between two lanes' copies of a parameter: a scalar's lie side by side."""
    return nbytes if nbytes in (1, 2, 4, 8) else max(-(-nbytes // 8) * 8, 8)


def _alignment_of(inst: Instruction) -> list[int]:
    """What an ``alloca`` asks for."""
    operand = inst.operands[2] if inst.opcode == "alloca" and len(inst.operands) > 2 else None
    return [int(operand.value)] if isinstance(operand, Immediate) else []


def arguments_of(inst: Instruction) -> list[str]:
    """Names of the variables that a call hands over, then of those it gets back."""
    return [a.name for a in inst.arguments if isinstance(a, Symbol)] + [*inst.returns]
