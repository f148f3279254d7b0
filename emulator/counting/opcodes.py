"""What a PTX instruction counts as: its pipe, its class, its floating-point work.

Pipes and classes are those of the machine instruction that an H100 usually executes for a PTX one;
ptxas may choose others (an addition as a multiply-add, say), so what is counted so is approximate.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from emulator.ptx import Instruction

HALVES = {"f16": 1, "bf16": 1, "f16x2": 2, "bf16x2": 2}
ARITHMETIC = {"add": "add", "sub": "add", "mul": "mul", "fma": "fma", "mad": "fma"}
MANY = {"div", "sqrt", "rcp", "rsqrt", "sin", "cos", "tanh", "ex2", "lg2", "rem", "call"}
BITWISE = {"and", "or", "xor", "not", "cnot", "lop3", "shl", "shr", "shf", "bfe", "bfi", "popc",
           "clz", "brev", "bfind", "fns", "prmt", "bmsk", "szext"}  # fmt: skip
MEMORY = {"ld", "ldu", "st", "atom", "red", "cp", "prefetch", "prefetchu", "ldmatrix", "stmatrix"}
CONTROL = {"bra", "brx", "ret", "exit", "call", "trap", "bar", "barrier", "nanosleep"}
TOGETHER = {"shfl", "vote", "match", "redux", "elect", "activemask"}
SLOW = {"sin", "cos", "ex2", "lg2", "rsqrt", "rcp", "sqrt", "tanh", "popc", "clz", "bfind", "brev"}
TENSOR = {"mma", "wgmma"}
SHAPE = re.compile(r"m(\d+)n(\d+)k(\d+)")
PATHS = {"f16": "fp16", "bf16": "bf16_dst_fp32", "tf32": "tf32_dst_fp32", "f64": "fp64",
         "e4m3": "fp8", "e5m2": "fp8", "s8": "int8", "u8": "int8", "s4": "int4", "u4": "int4",
         "b1": "int1"}  # fmt: skip


@dataclass(frozen=True)
class Work:
    """What one executed instruction adds, by active thread; tensor work by warp."""

    pipe: str  # one of metrics.PIPES
    class_: str  # one of metrics.CLASSES
    floating: str = ""  # one of metrics.FLOATING
    times: int = 1  # 2 for packed halves
    tensor_path: str = ""  # one of metrics.TENSOR_PATHS
    tensor_operations: int = 0  # a multiply-add is two
    expands: bool = False  # machine code has a sequence, not one instruction


def work_of(inst: Instruction) -> Work:
    """How an instruction is counted."""
    opcode, kind = inst.opcode, inst.type
    if opcode == "wgmma" and not inst.has("mma_async"):
        return Work("cbu", "control")
    if opcode in TENSOR or (opcode == "wmma" and inst.has("mma")):
        path, operations = tensor_work(inst)
        return Work("tensor", "misc", tensor_path=path, tensor_operations=operations)
    if opcode == "cp" and inst.has("bulk"):
        return Work("tma", "memory")
    if opcode in MEMORY or opcode == "wmma":
        return Work("lsu", "memory")
    if opcode in CONTROL:
        return Work("adu" if opcode in ("bar", "barrier") else "cbu", "control",
                    expands=opcode == "call")  # fmt: skip
    if opcode in TOGETHER:
        return Work("lsu" if opcode == "shfl" else "alu", "inter_thread_communication")
    if opcode == "cvt":
        narrow = all(t[0] in "us" for t in inst.types) and "64" not in "".join(inst.types)
        return Work("alu" if narrow else "xu", "conversion")
    if kind in ("f32", "f64", *HALVES) and opcode not in ("mov", "selp", "ld"):
        return _floating(opcode, kind)
    if opcode in BITWISE:
        return Work("xu" if opcode in SLOW else "alu", "bit")
    if opcode in ("mul", "mad", "mul24", "mad24", "dp4a", "dp2a"):
        return Work("fma", "integer")
    if opcode in ("div", "rem"):
        return Work("alu", "integer", expands=True)
    if opcode in ("mov", "cvta", "selp", "set", "slct", "isspacep", "membar", "fence"):
        return Work("alu", "misc" if opcode != "set" else "integer")
    return Work("alu", "integer")


def _floating(opcode: str, kind: str) -> Work:
    letter = {"f32": "f", "f64": "d"}.get(kind, "h")
    class_ = {"f32": "fp32", "f64": "fp64"}.get(kind, "fp16")
    pipe = "fp64" if kind == "f64" else "fma"
    if opcode in ARITHMETIC:
        return Work(pipe, class_, f"{letter}{ARITHMETIC[opcode]}", HALVES.get(kind, 1))
    if opcode in SLOW or opcode in MANY:
        return Work("xu", class_, expands=opcode in MANY)
    return Work(pipe if kind == "f64" else "alu", class_)


def tensor_work(inst: Instruction) -> tuple[str, int]:
    """The path through the tensor cores, and operations a warp: 2 m n k."""
    shape = next((SHAPE.fullmatch(m) for m in inst.modifiers if SHAPE.fullmatch(m)), None)
    types = [m for m in inst.modifiers if m in PATHS or m in ("f32", "s32")]
    if shape is None or not types:
        return "", 0
    m, n, k = (int(group) for group in shape.groups())
    if inst.opcode == "wgmma":
        m //= 4  # a warp's part
    source = types[1] if len(types) > 2 else "f16"  # d, a, b, c; or d and c of f16
    return PATHS.get(source, ""), 2 * m * n * k
