"""What can go wrong with a call or a branch by table, in words."""

from __future__ import annotations

from emulator.native.layout import NO_FUNCTION, NO_TARGET, OTHER_FUNCTION, STACK_OVERFLOW
from emulator.running import Launch

CALL_FAULTS = (STACK_OVERFLOW, NO_FUNCTION, OTHER_FUNCTION, NO_TARGET)


def describe_call(launch: Launch) -> tuple[str, str]:
    """The kind of fault and what happened."""
    context, module = launch.context, launch.kernel.module.syntax
    address = context.fault_address
    if context.fault_kind == STACK_OVERFLOW:
        return "stack overflow", (
            f"calls need {address:,} bytes of local memory, but a thread's stack has "
            f"{context.stack_bytes:,}. Does the recursion end? If so, launch with more stack_bytes"
        )
    if context.fault_kind == NO_TARGET:
        return "bad branch", f"index {address} is not in the branch's table"
    name = next((n for n, a in module.function_addresses().items() if a == address), None)
    if name is None:
        what = "a null pointer" if not address else f"{address:#x}, where there is no function"
        return "bad call", f"the kernel called {what}"
    if context.fault_kind == OTHER_FUNCTION:
        return "bad call", f"{name!r} was called through a pointer to another kind of function"
    return "bad call", f"{name!r} was called through a pointer, and this module does not hold it"
