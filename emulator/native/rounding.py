"""Directed roundings: routines that set the host's rounding mode round one operation.

Operands and result travel through the warp's scratch. The operations are LLVM's constrained ones,
which the compiler neither folds nor moves across the change of mode.
"""

from __future__ import annotations

from llvmlite import ir

from emulator.native.lanes import intrinsic
from emulator.native.layout import LANES, Warp, at, field, i32, load, pointer

MODES = {"rm": 1, "rp": 2, "rz": 3}  # MXCSR's rounding control: down, up, towards zero
CONTROL_SHIFT = 13
STRICT = "strictfp"
FLOATS = {"f32": ir.FloatType(), "f64": ir.DoubleType()}
OPERATIONS = {"add": 2, "sub": 2, "mul": 2, "div": 2, "fma": 3, "sqrt": 1}
# result and operand of conversions, as LLVM has them
CONVERSIONS = {
    "f32_of_f64": ("fptrunc", ir.FloatType(), ir.DoubleType()),
    "f32_of_s32": ("sitofp", ir.FloatType(), ir.IntType(32)),
    "f32_of_u32": ("uitofp", ir.FloatType(), ir.IntType(32)),
    "f32_of_s64": ("sitofp", ir.FloatType(), ir.IntType(64)),
    "f32_of_u64": ("uitofp", ir.FloatType(), ir.IntType(64)),
    "f64_of_s64": ("sitofp", ir.DoubleType(), ir.IntType(64)),
    "f64_of_u64": ("uitofp", ir.DoubleType(), ir.IntType(64)),
}

rounding_type = ir.FunctionType(ir.VoidType(), [pointer, i32])


def rounding_name(operation: str, kind: str = "") -> str:
    """Name of the routine for an operation on a type, or for a conversion."""
    return "_".join(part for part in ("coalesce_round", operation, kind) if part)


def rounding_names() -> list[str]:
    """Every routine of this file."""
    names = [rounding_name(operation, kind) for operation in OPERATIONS for kind in FLOATS]
    return names + [rounding_name(conversion) for conversion in CONVERSIONS]


def define_rounding_routines(module: ir.Module) -> None:
    """Define every routine of this file."""
    for operation, count in OPERATIONS.items():
        for kind, element in FLOATS.items():
            llvm = {"fma": "fma", "sqrt": "sqrt"}.get(operation, f"f{operation}")
            name = rounding_name(operation, kind)
            _define(module, name, llvm, element, [element] * count)
    for conversion, (llvm, result, source) in CONVERSIONS.items():
        _define(module, rounding_name(conversion), llvm, result, [source])


def _define(
    module: ir.Module, name: str, llvm: str, result: ir.Type, sources: list[ir.Type]
) -> None:
    function = ir.Function(module, rounding_type, name=name)
    set.add(function.attributes, STRICT)  # llvmlite's own list of attributes lacks it
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    warp, mode = function.args
    data = field(builder, warp, Warp, "data")
    vectors = [ir.VectorType(source, LANES) for source in sources]
    values = []
    for index, kind in enumerate(vectors):
        size = _bytes(kind.element)
        values.append(load(builder, at(builder, data, index * size * LANES), kind, 64))
    old_at, new_at = builder.alloca(i32), builder.alloca(i32)
    store_mode = intrinsic(module, "llvm.x86.sse.stmxcsr", ir.VoidType(), [pointer])
    load_mode = intrinsic(module, "llvm.x86.sse.ldmxcsr", ir.VoidType(), [pointer])
    builder.call(store_mode, [old_at])
    cleared = builder.and_(
        load(builder, old_at, i32), ir.Constant(i32, ~(3 << CONTROL_SHIFT) & 0xFFFFFFFF)
    )
    control = builder.shl(mode, ir.Constant(i32, CONTROL_SHIFT))
    builder.store(builder.or_(cleared, control), new_at)
    builder.call(load_mode, [new_at])
    target = ir.VectorType(result, LANES)
    suffix = f"v{LANES}{_name(result)}"
    if llvm in ("fptrunc", "sitofp", "uitofp"):
        suffix += f".v{LANES}{_name(sources[0])}"
    metadata = ir.MetaDataType()
    operation = intrinsic(
        module, f"llvm.experimental.constrained.{llvm}.{suffix}", target,
        [*vectors, metadata, metadata],
    )  # fmt: skip
    notes = [ir.MetaDataString(module, n) for n in ("round.dynamic", "fpexcept.strict")]
    value = builder.call(operation, [*values, *notes])
    set.add(value.attributes, STRICT)
    builder.store(value, data, align=64)
    builder.call(load_mode, [old_at])
    builder.ret_void()


def _bytes(element: ir.Type) -> int:
    if isinstance(element, ir.IntType):
        return int(element.width) // 8
    return 4 if isinstance(element, ir.FloatType) else 8


def _name(element: ir.Type) -> str:
    prefix = "i" if isinstance(element, ir.IntType) else "f"
    return f"{prefix}{8 * _bytes(element)}"
