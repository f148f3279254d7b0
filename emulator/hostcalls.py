"""What Python does for a running kernel: ``printf``, ``assert``, ``malloc``, ``free``.

Compiled code calls :attr:`HostCalls.address` once for a warp that calls such a function; arguments
lie in the warp's frame. An error in here is kept, ends the launch and is raised when it ends.
"""

from __future__ import annotations

import ctypes
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from emulator.errors import DeviceFault
from emulator.faults import fault_at
from emulator.formats import format_c
from emulator.heap import ALIGNMENT, BadFree
from emulator.lower.calls import HOST_FUNCTIONS
from emulator.ptx import Function, Instruction, Symbol
from emulator.running import Launch

_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint64
)
_WIDTHS = {"int32": ("<i", 4), "int64": ("<q", 8), "double": ("<d", 8), "string": ("<Q", 8)}


@dataclass(frozen=True)
class Call:
    """One call by the lanes of a warp that make it together."""

    launch: Launch
    inst: Instruction
    function: Function  # the caller
    warp: int  # host address
    mask: int

    @property
    def lanes(self) -> Iterator[int]:
        return (lane for lane in range(32) if self.mask >> lane & 1)

    def argument(self, index: int, lane: int) -> int:
        """An argument as an unsigned number of its size."""
        actual = self.inst.arguments[index]
        assert isinstance(actual, Symbol)
        place = self.launch.kernel.frame.parameter(self.function, actual.name)
        raw = ctypes.string_at(self.warp + place.offset + lane * place.stride, place.nbytes)
        return int.from_bytes(raw, "little")

    def give(self, lane: int, value: int) -> None:
        """Set what the call returns to a lane."""
        if self.inst.returns:
            place = self.launch.kernel.frame.parameter(self.function, self.inst.returns[0])
            raw = (value & (1 << 8 * place.nbytes) - 1).to_bytes(place.nbytes, "little")
            where = self.warp + place.offset + lane * place.stride
            ctypes.memmove(where, raw, place.nbytes)

    def fault(
        self, lane: int, kind: str, what: str, address: int = 0, check: str = "memcheck"
    ) -> DeviceFault:
        return fault_at(
            self.launch, self.inst, self.warp, lane, kind, what, address=address, check=check
        )

    def text(self, address: int, lane: int) -> bytes:
        """The string at an address, up to its zero."""
        memory = self.launch.memory
        around = memory.nearest(address)
        if around is None or not around.address <= address < around.end:
            raise self.fault(
                lane, "out-of-bounds read",
                f"a string at {address:#x}, where nothing is allocated", address,
            )  # fmt: skip
        raw = memory.bytes_at(address, around.end - address).tobytes()
        text, zero, _ = raw.partition(b"\0")
        if not zero:
            raise self.fault(
                lane, "out-of-bounds read",
                f"a string at {address:#x} that has no zero at its end", address,
            )  # fmt: skip
        return text

    def bytes_at(self, address: int, nbytes: int, lane: int) -> bytes:
        """``nbytes`` of device memory."""
        around = self.launch.memory.nearest(address)
        if around is None or not around.address <= address <= around.end - nbytes:
            raise self.fault(
                lane, "out-of-bounds read",
                f"{nbytes} bytes at {address:#x}, where nothing is allocated", address,
            )  # fmt: skip
        return self.launch.memory.bytes_at(address, nbytes).tobytes()


class HostCalls:
    """The callback of one launch.

    ``refresh`` makes what was allocated or freed known to compiled code; ``check_time`` raises when
    the launch has had its time.
    """

    def __init__(
        self, launch: Launch, refresh: Callable[[], None], check_time: Callable[[], None]
    ) -> None:
        self.launch = launch
        self.refresh = refresh
        self.check_time = check_time
        self.error: BaseException | None = None
        self.callers = [f for f in launch.kernel.functions for _ in f.instructions]
        self._callback = _Callback(self._call)
        self.address = ctypes.cast(self._callback, ctypes.c_void_p).value or 0

    def raise_error(self) -> None:
        """Raise what went wrong in here, if anything did."""
        if self.error is not None:
            raise self.error

    def _call(self, _: int, warp: int, mask: int, site: int) -> int:
        if self.error is not None:
            return 0
        self.launch.host_calls += 1
        try:
            inst = self.launch.kernel.instructions[site]
            target = inst.operands[0]
            assert isinstance(target, Symbol)
            FUNCTIONS[target.name](Call(self.launch, inst, self.callers[site], warp, mask))
            self.refresh()
            self.check_time()
        except BaseException as error:  # noqa: BLE001  (ctypes would lose it, Ctrl-C too)
            self.error = error
            return 0
        return 1

    @contextmanager
    def catching(self) -> Iterator[None]:
        """Keep what a signal's handler raises just before or after :meth:`_call`, too.

        ctypes has no place for such an error but ``sys.unraisablehook``, and returns anything.
        """
        before = sys.unraisablehook

        def keep(unraisable: sys.UnraisableHookArgs) -> None:
            if unraisable.object == self._call and unraisable.exc_value is not None:
                self.error = unraisable.exc_value
            else:
                before(unraisable)

        sys.unraisablehook = keep
        try:
            yield
        finally:
            sys.unraisablehook = before


def vprintf(call: Call) -> None:
    """``int vprintf(const char* format, void* arguments)``: lane after lane to ``sys.stdout``."""
    printed = []
    for lane in call.lanes:
        text = call.text(call.argument(0, lane), lane)
        reader = _Arguments(call, call.argument(1, lane), lane)
        printed.append(format_c(text, reader))
        call.give(lane, reader.count)
    sys.stdout.write(b"".join(printed).decode(errors="replace"))


class _Arguments:
    """The buffer behind ``vprintf``'s second argument: each value at its own alignment."""

    def __init__(self, call: Call, address: int, lane: int) -> None:
        self.call = call
        self.address = address
        self.lane = lane
        self.at = 0
        self.count = 0

    def __call__(self, kind: str) -> int | float | bytes:
        code, nbytes = _WIDTHS[kind]
        self.at = -(-self.at // nbytes) * nbytes
        raw = self.call.bytes_at(self.address + self.at, nbytes, self.lane)
        self.at += nbytes
        self.count += 1
        value: int | float = struct.unpack(code, raw)[0]
        if kind == "string":
            return self.call.text(int(value), self.lane) if value else b"(null)"
        return value


def assertfail(call: Call) -> None:
    """``__assertfail(message, file, line, function, char size)``: ends the launch."""
    lane = next(call.lanes)
    names = [call.text(call.argument(i, lane), lane).decode(errors="replace") for i in (0, 1, 3)]
    condition, file, function = names
    line = call.argument(2, lane)
    others = call.mask.bit_count() - 1
    also = f", and in {others} other threads of its warp" if others else ""
    raise call.fault(
        lane, "assertion failed", f"`{condition}` in {function} ({file}:{line}){also}",
        check="assert",
    )  # fmt: skip


def malloc(call: Call) -> None:
    """``void* malloc(size_t)``, and ``new``: null when the heap is full."""
    for lane in call.lanes:
        _allocate(call, lane, ALIGNMENT)


def aligned_malloc(call: Call) -> None:
    """``void* aligned_malloc(size_t bytes, size_t alignment)``, and ``new`` of aligned types."""
    for lane in call.lanes:
        align = call.argument(1, lane)
        if align <= 0 or align & (align - 1):
            raise call.fault(
                lane, "bad alignment", f"malloc for multiples of {align}: no power of 2"
            )
        _allocate(call, lane, max(align, ALIGNMENT))


def _allocate(call: Call, lane: int, align: int) -> None:
    nbytes = call.argument(0, lane)
    source = call.launch.kernel.module.source_line(call.inst)
    where = f", {source.file.rpartition('/')[2]}:{source.line}" if source else ""
    name = f"malloc({nbytes}){where}"
    call.give(lane, call.launch.memory.heap.malloc(nbytes, name, align))


def free(call: Call) -> None:
    """``void free(void*)``, and ``delete``."""
    for lane in call.lanes:
        address = call.argument(0, lane)
        try:
            call.launch.memory.heap.free(address)
        except BadFree as bad:
            raise call.fault(lane, bad.kind, str(bad), address) from None


FUNCTIONS: dict[str, Callable[[Call], None]] = {
    "vprintf": vprintf,
    "__assertfail": assertfail,
    "malloc": malloc,
    "__cuda_syscall_aligned_malloc": aligned_malloc,
    "__nv_aligned_device_malloc": aligned_malloc,
    "free": free,
}
assert FUNCTIONS.keys() == HOST_FUNCTIONS.keys()
