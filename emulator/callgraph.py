"""Which functions a kernel can reach, which call themselves, and which need a stack.

Most functions have one place a warp for their registers, parameters and local variables. One that
can be entered again before it has returned needs more than one, and so has its activations on a
stack (:mod:`emulator.units.stack`). One that is called through a pointer does, too, for the caller
does not know its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from emulator.ptx import Function, Instruction, PtxModule, Register, Symbol


@dataclass(frozen=True)
class CallGraph:
    """The functions with a body that a kernel can reach."""

    order: tuple[Function, ...]  # callees before callers, but where calls go round
    stacked: frozenset[str]  # their activations are on the stack
    cycles: Mapping[str, int]  # number of the cycle of calls that a function is in, if any
    allocates: bool  # a function makes room on the stack itself (alloca)

    def same_cycle(self, caller: str, callee: str) -> bool:
        return caller in self.cycles and self.cycles[caller] == self.cycles.get(callee)

    def may_come_back(self, function: Function, call: Instruction) -> bool:
        """Whether a call can enter its caller again before it returns."""
        target = call.operands[0]
        if isinstance(target, Symbol):
            return self.same_cycle(function.name, target.name)
        return any(self.same_cycle(function.name, name) for name in self.stacked)


def call_graph(module: PtxModule, kernel: Function) -> CallGraph:
    """The functions that ``kernel`` can reach. A pointer may hold any address that is taken."""
    pointed_at = functions_pointed_at(module)
    callees: dict[str, list[str]] = {}
    order: list[Function] = []

    def visit(function: Function) -> None:
        callees[function.name] = _callees(module, function, pointed_at)
        for name in callees[function.name]:
            if name not in callees:
                visit(module.functions[name])
        order.append(function)

    visit(kernel)
    cycles = _cycles(callees)
    indirect = any(calls_through_pointer(f) for f in order)
    sharing = {name for f in order for name in _share_variables(f) if name in callees}
    allocating = {f.name for f in order if any(i.opcode == "alloca" for i in f.instructions)}
    stacked = cycles.keys() | sharing | (allocating - {kernel.name})
    if indirect:
        stacked |= {name for name in pointed_at if name in callees}
    return CallGraph(tuple(order), frozenset(stacked), cycles, bool(allocating))


def calls_through_pointer(function: Function) -> bool:
    """Whether a function calls what a register points at."""
    calls = (inst for inst in function.instructions if inst.opcode == "call")
    return any(isinstance(call.operands[0], Register) for call in calls)


def functions_pointed_at(module: PtxModule) -> tuple[str, ...]:
    """Functions with a body whose address a variable or an instruction holds."""
    found: dict[str, None] = {}
    functions = module.functions
    variables = [*module.variables.values()]
    for function in functions.values():
        variables += function.variables.values()
        for inst in function.instructions:
            operands = inst.arguments if inst.opcode == "call" else inst.operands
            found.update((o.name, None) for o in operands if isinstance(o, Symbol))
    for variable in variables:
        symbols = (v for v in variable.initial or () if isinstance(v, Symbol))
        found.update((s.name, None) for s in symbols)
    return tuple(
        name
        for name in found
        if name in functions and functions[name].has_body and not functions[name].is_entry
    )


def _callees(module: PtxModule, function: Function, pointed_at: tuple[str, ...]) -> list[str]:
    """Functions with a body that one calls. A call of another is refused when executed."""
    found: dict[str, None] = {}
    for inst in function.instructions:
        target = inst.operands[0] if inst.opcode == "call" else None
        if isinstance(target, Symbol):
            callee = module.functions.get(target.name)
            if callee is not None and callee.has_body and not callee.is_entry:
                found[target.name] = None
        elif target is not None:
            found.update(dict.fromkeys(pointed_at))
    return list(found)


def _share_variables(function: Function) -> set[str]:
    """Functions that are handed a variable which another call uses, too: not the place of both."""
    users: dict[str, list[str]] = {}
    for inst in function.instructions:
        target = inst.operands[0] if inst.opcode == "call" else None
        if isinstance(target, Symbol):
            actuals = [a.name for a in inst.arguments if isinstance(a, Symbol)]
            for name in (*actuals, *inst.returns):
                users.setdefault(name, []).append(target.name)
    return {name for names in users.values() if len(names) > 1 for name in names}


def _cycles(callees: Mapping[str, list[str]]) -> dict[str, int]:
    """Tarjan's strongly connected components, of those that hold a call (1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: dict[str, int] = {}
    count = 0

    def visit(name: str) -> None:
        nonlocal count
        index[name] = low[name] = len(index)
        stack.append(name)
        for callee in callees[name]:
            if callee not in index:
                visit(callee)
                low[name] = min(low[name], low[callee])
            elif callee in stack:
                low[name] = min(low[name], index[callee])
        if low[name] != index[name]:
            return
        component = [stack.pop()]
        while component[-1] != name:
            component.append(stack.pop())
        if len(component) > 1 or name in callees[name]:
            found.update((member, count) for member in component)
            count += 1

    for name in callees:
        if name not in index:
            visit(name)
    return found
