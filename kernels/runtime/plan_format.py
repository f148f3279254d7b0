"""A plan as bytes: magic, length of the header, JSON header, blobs. No code is ever in it but PTX
and machine code, and nothing of that runs on reading."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np

from emulator import EmulatorError
from emulator.signature import Parameter
from kernels.runtime.errors import PlanError, RuntimeFault
from kernels.runtime.plan import Buffer, Code, Number, Plan, PlannedLaunch, View

MAGIC = b"coalesce plan 1\n"
MAX_BYTES = 512 << 20
MAX_ITEMS = 10_000  # buffers, programs, launches
MAX_BUFFER_BYTES = 16 << 30
DTYPES = {
    str(np.dtype(kind)): np.dtype(kind)
    for kind in (
        np.bool_, np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64,
        np.float16, np.float32, np.float64, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn,
        ml_dtypes.float8_e5m2,
    )
}  # fmt: skip


class _Blobs:
    """Bytes kept beside the header, each once."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0
        self.known: dict[bytes, list[int]] = {}

    def add(self, data: bytes) -> list[int]:
        if data not in self.known:
            self.known[data] = [self.size, len(data)]
            self.parts.append(data)
            self.size += len(data)
        return self.known[data]


def encode(plan: Plan) -> bytes:
    """A plan as bytes."""
    blobs = _Blobs()
    header = {
        "buffers": [
            [b.name, b.role, list(b.shape), _dtype_name(b.dtype), b.offset, blobs.add(b.data)]
            for b in plan.buffers
        ],
        "codes": [
            {
                "name": c.name,
                "ptx": blobs.add(c.ptx.encode()),
                "cubins": [[arch, blobs.add(image)] for arch, image in c.cubins],
                "sources": [[name, blobs.add(text.encode())] for name, text in c.sources],
                "parameters": [[n, [_parameter(p) for p in ps]] for n, ps in c.parameters],
            }
            for c in plan.codes
        ],
        "launches": [
            {
                "code": one.code,
                "kernel": one.kernel,
                "grid": list(one.grid),
                "block": list(one.block),
                "shared_bytes": one.shared_bytes,
                "arguments": [_argument(a) for a in one.arguments],
                "cluster": None if one.cluster is None else list(one.cluster),
                "cooperative": one.cooperative,
            }
            for one in plan.launches
        ],
        "outputs": [_argument(v) for v in plan.outputs],
    }
    text = json.dumps(header).encode()
    return MAGIC + len(text).to_bytes(8, "little") + text + b"".join(blobs.parts)


def _dtype_name(dtype: np.dtype[Any]) -> str:
    if str(dtype) not in DTYPES:
        raise PlanError(f"arrays of {dtype} cannot be part of a plan")
    return str(dtype)


def _parameter(p: Parameter) -> list[Any]:
    dtype = None if p.dtype is None else str(p.dtype)
    return [p.name, p.ctype, dtype, p.is_array, p.alignment, p.offset, p.nbytes, p.numba_ndim]


def _argument(argument: View | Number) -> dict[str, Any]:
    if isinstance(argument, Number):
        return {"number": argument.data.hex(), "dtype": str(argument.dtype)}
    return {
        "buffer": argument.buffer,
        "start": argument.start,
        "shape": list(argument.shape),
        "dtype": _dtype_name(argument.dtype),
    }


def decode(data: bytes) -> Plan:
    """A plan from bytes. Raises :class:`PlanError` for anything else."""
    start = len(MAGIC) + 8
    if len(data) > MAX_BYTES:
        raise PlanError(f"{len(data):,} bytes are too many for a plan ({MAX_BYTES:,} at most)")
    if not data.startswith(MAGIC) or len(data) < start:
        raise PlanError("these bytes are not a plan")
    length = int.from_bytes(data[len(MAGIC) : start], "little")
    if start + length > len(data):
        raise PlanError("the plan is cut short")
    try:
        header = json.loads(data[start : start + length])
        plan = _Decoder(data[start + length :]).plan(header)
        plan = replace(plan)
        functions = plan.functions
    except PlanError:
        raise
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise PlanError(f"the plan is damaged: {error}") from None
    except (EmulatorError, RuntimeFault) as error:
        raise PlanError(f"the plan's program is damaged: {error}") from None
    for launch, function in zip(plan.launches, functions, strict=True):
        if len(launch.arguments) != len(function.parameters):
            raise PlanError(f"a launch of {launch.kernel!r} has the wrong number of arguments")
    return plan


class _Decoder:
    """Reads the header, trusting nothing in it."""

    def __init__(self, blobs: bytes) -> None:
        self.blobs = blobs
        self.buffers: tuple[Buffer, ...] = ()

    def plan(self, header: dict[str, Any]) -> Plan:
        for name in ("buffers", "codes", "launches", "outputs"):
            if len(_list(header[name])) > MAX_ITEMS:
                raise PlanError(f"{len(header[name])} {name} are too many")
        self.buffers = tuple(self.buffer(*b) for b in header["buffers"])
        codes = tuple(self.code(c) for c in header["codes"])
        launches = tuple(self.launch(one, len(codes)) for one in header["launches"])
        return Plan(self.buffers, codes, launches, tuple(self.view(v) for v in header["outputs"]))

    def blob(self, place: list[int]) -> bytes:
        at, size = _whole(place[0]), _whole(place[1])
        if at + size > len(self.blobs):
            raise PlanError("the plan is cut short")
        return self.blobs[at : at + size]

    def buffer(
        self, name: str, role: str, shape: list[int], dtype: str, offset: int, data: list[int]
    ) -> Buffer:
        if role not in ("input", "constant", "temporary"):
            raise PlanError(f"buffers are not {role!r}")
        made = Buffer(
            _string(name), role, _shape(shape), DTYPES[dtype], _whole(offset), self.blob(data)
        )
        if made.offset >= 1 << 20:
            raise PlanError(f"buffer {made.name!r} is offset by {made.offset} bytes")
        if role == "constant" and len(made.data) != made.nbytes:
            raise PlanError(f"constant {made.name!r} has {len(made.data)} of {made.nbytes} bytes")
        return made

    def code(self, c: dict[str, Any]) -> Code:
        return Code(
            _string(c["name"]),
            self.blob(c["ptx"]).decode(),
            tuple((_string(arch), self.blob(image)) for arch, image in c["cubins"]),
            tuple((_string(name), self.blob(text).decode()) for name, text in c["sources"]),
            tuple(
                (_string(name), tuple(_read_parameter(*p) for p in parameters))
                for name, parameters in c["parameters"]
            ),
        )

    def launch(self, one: dict[str, Any], codes: int) -> PlannedLaunch:
        code = _whole(one["code"])
        if code >= codes:
            raise PlanError(f"there is no program {code}")
        return PlannedLaunch(
            code, _string(one["kernel"]), _three(one["grid"]), _three(one["block"]),
            _whole(one["shared_bytes"]), tuple(self.argument(a) for a in one["arguments"]),
            None if one.get("cluster") is None else _three(one["cluster"]),
            one.get("cooperative", False) is True,
        )  # fmt: skip

    def argument(self, a: dict[str, Any]) -> View | Number:
        if "number" not in a:
            return self.view(a)
        dtype = np.dtype(f"V{len(a['number']) // 2}") if a["dtype"].startswith("|V") else None
        dtype = dtype or DTYPES[a["dtype"]]
        data = bytes.fromhex(a["number"])
        if len(data) != dtype.itemsize:
            raise PlanError(f"a number of {len(data)} bytes is no {dtype}")
        return Number(dtype, data)

    def view(self, v: dict[str, Any]) -> View:
        view = View(_whole(v["buffer"]), _whole(v["start"]), _shape(v["shape"]), DTYPES[v["dtype"]])
        if view.buffer >= len(self.buffers):
            raise PlanError(f"there is no buffer {view.buffer}")
        if view.start + view.nbytes > self.buffers[view.buffer].nbytes:
            raise PlanError(f"a view beyond buffer {self.buffers[view.buffer].name!r}")
        return view


def _read_parameter(
    name: str,
    ctype: str,
    dtype: str | None,
    is_array: bool | None,
    alignment: int,
    offset: int,
    nbytes: int,
    numba_ndim: int | None,
) -> Parameter:
    if is_array not in (True, False, None):
        raise PlanError(f"parameter {name!r} is damaged")
    return Parameter(
        _string(name), _string(ctype), None if dtype is None else DTYPES[dtype], is_array,
        max(_whole(alignment), 1), _whole(offset), _whole(nbytes),
        None if numba_ndim is None else _whole(numba_ndim),
    )  # fmt: skip


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise PlanError(f"expected a list, found {type(value).__name__}")
    return value


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise PlanError(f"expected text, found {value!r}")
    return value


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 48:
        raise PlanError(f"expected a whole number, found {value!r}")
    return value


def _three(value: Any) -> tuple[int, int, int]:
    x, y, z = (_whole(extent) for extent in _list(value))
    return x, y, z


def _shape(value: Any) -> tuple[int, ...]:
    shape = tuple(_whole(extent) for extent in _list(value))
    if len(shape) > 8 or math.prod(shape) * 8 > MAX_BUFFER_BYTES:
        raise PlanError(f"an array of shape {shape} is too large for a plan")
    return shape
