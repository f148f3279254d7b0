"""``ld`` and ``st`` in every state space, width and vector form.

Cache operators, eviction hints and orderings change what hardware caches do, not what a program
reads here: memory is sequentially consistent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from llvmlite import ir

from emulator.lower.frame import parameter_stride
from emulator.lower.registry import NotLowered, instruction
from emulator.lower.types import bits, element, integers, is_signed
from emulator.lower.warp import WarpLowering, builder_pointer, parameter_offsets
from emulator.lower.window import to_generic
from emulator.native.checks import (
    check_global_name,
    check_global_type,
    check_window_name,
    check_window_type,
)
from emulator.native.lanes import lanes_of, splat
from emulator.native.layout import (
    LANES,
    LOCAL,
    SHARED,
    Context,
    Warp,
    at,
    field,
    i32,
    i64,
    load,
    mask_type,
    offset,
    pointer,
)
from emulator.native.moves import move_name, move_type
from emulator.native.transfers import transfer_name, transfer_type
from emulator.ptx import Address, Immediate, Instruction, Operand, Register, Symbol, Vector

pointers = ir.VectorType(pointer, LANES)
SPACES = ("global", "shared", "local", "const", "param")


def space_of(inst: Instruction) -> str:
    """The state space an access names; "generic" when it names none, "cluster" for
    ``.shared::cluster``.
    """
    for modifier in inst.modifiers:
        name, _, scope = modifier.partition("::")
        if name in SPACES:
            return "cluster" if name == "shared" and scope == "cluster" else name
    return "generic"


def components(operand: Operand, inst: Instruction | None = None) -> tuple[Operand, ...]:
    """The registers of a vector operand, or the one there is: as many as ``inst`` says.

    Raises :class:`ValueError` when there are more or fewer.
    """
    items = operand.items if isinstance(operand, Vector) else (operand,)
    if inst is not None:
        count = next((int(m[1:]) for m in inst.modifiers if m in ("v2", "v4", "v8")), 1)
        if len(items) != count:
            raise ValueError(f"{count} registers are needed, {len(items)} are there")
    return items


@instruction("ld", "ldu")
def ld(lower: WarpLowering, inst: Instruction) -> None:
    """Memory to registers."""
    target, address = inst.operands[:2]
    if not isinstance(address, Address):
        raise NotLowered(inst.text)
    space = space_of(inst)
    items = components(target, inst)
    if space == "param" and _is_own_parameter(lower, address):
        if isinstance(address.base, Symbol):
            _load_parameter(lower, inst, items, address)
            return
        space = "const"  # an address that the kernel took: parameters lie in constant memory
    if space == "param":
        _load_call_parameter(lower, inst, items, address)
        return
    width = bits(inst.type)
    if width < 8 or (width == 128 and len(items) > 1):
        raise NotLowered(inst.text)
    size, count = (8, 2) if width == 128 else (width // 8, len(items))
    transfer(lower, inst, space, address, size, count, "load")
    data = lower.of_warp("data")
    if width == 128:
        lower.write(target, _joined(lower, data), inst)
        return
    for index, item in enumerate(items):
        where = lower.place(lower.warp, offset(Warp, "data") + index * width // 8 * LANES)
        value = load(lower.builder, where, integers(width), min(width // 8 * LANES, 64))
        lower.write(item, value, inst, signed=is_signed(inst.type))


@instruction("st")
def st(lower: WarpLowering, inst: Instruction) -> None:
    """Registers to memory."""
    if inst.has("async"):
        from emulator.lower.remote import store_async

        store_async(lower, inst)
        return
    address, source = inst.operands[:2]
    if not isinstance(address, Address):
        raise NotLowered(inst.text)
    space = space_of(inst)
    items = components(source, inst)
    if space == "param":
        _store_call_parameter(lower, inst, address, items)
        return
    width = bits(inst.type)
    if width < 8 or space == "const" or (width == 128 and len(items) > 1):
        raise NotLowered(inst.text)
    values = [lower.read(item, f"b{width}") for item in items]
    if width == 128:
        values = _halves(lower, values[0])
        width = 64
    # before the checks, so that racecheck sees what is about to be written
    for index, value in enumerate(values):
        where = lower.place(lower.warp, offset(Warp, "data") + index * width // 8 * LANES)
        lower.builder.store(value, where, align=min(width // 8 * LANES, 64))
    transfer(lower, inst, space, address, width // 8, len(values), "store")


def _halves(lower: WarpLowering, value: ir.Value) -> list[ir.Value]:
    """128 bits as 64 low and 64 high ones: what moves of data know."""
    up = lower.builder.lshr(value, ir.Constant(integers(128), [64] * LANES))
    return [lower.builder.trunc(part, integers(64)) for part in (value, up)]


def _joined(lower: WarpLowering, data: ir.Value) -> ir.Value:
    """The two halves that a load left in the scratch."""
    builder = lower.builder
    places = (data, at(builder, data, 8 * LANES))
    low, high = (
        builder.zext(load(builder, place, integers(64), 64), integers(128)) for place in places
    )
    return builder.or_(low, builder.shl(high, ir.Constant(integers(128), [64] * LANES)))


def transfer(
    lower: WarpLowering,
    inst: Instruction,
    space: str,
    address: Address,
    nbytes: int,
    count: int,
    kind: str,
) -> None:
    """Move ``count`` elements a lane between memory and the warp's scratch, by one routine."""
    place = space if space in ("shared", "local") else "global"
    if place == "shared" and _is_narrow(lower, address):
        values = narrow_address(lower, address)
        place = "shared32"
    else:
        values = effective_address(lower, address, space)
    transfer_at(lower, inst, place, values, nbytes, count, kind)


def transfer_at(
    lower: WarpLowering,
    inst: Instruction,
    place: str,
    values: ir.Value,
    nbytes: int,
    count: int,
    kind: str,
    lanes: int = 0xFFFFFFFF,
) -> None:
    """:func:`transfer` at addresses that have been computed, of ``lanes`` at most."""
    builder = lower.builder
    mask = lower.active(inst)
    if lanes != 0xFFFFFFFF:
        mask = builder.and_(mask, ir.Constant(i32, lanes))
    lower.spill()
    builder.store(values, lower.of_warp("addresses"), align=64)
    after = builder.append_basic_block("after")
    if inst.predicate is not None:
        some = builder.append_basic_block("some")
        nobody = builder.icmp_unsigned("==", mask, ir.Constant(i32, 0))
        builder.cbranch(nobody, after, some)
        builder.position_at_end(some)
    routine = declare(lower.module, transfer_type, transfer_name(kind, place, nbytes, count))
    status = builder.call(routine, [lower.context, lower.warp, mask, lower.site()])
    assert lower.fault_block is not None
    failed = builder.icmp_signed("<", status, ir.Constant(i32, 0))
    builder.cbranch(failed, lower.fault_block, after)
    builder.position_at_end(after)


@dataclass(frozen=True)
class Accessed:
    """An access whose addresses have been checked."""

    mask: ir.Value  # the lanes that take part, as an i32
    move: Callable[[str], None]  # "load" or "store": memory to scratch or back


@contextmanager
def access(
    lower: WarpLowering,
    inst: Instruction,
    space: str,
    address: Address,
    nbytes: int,
    count: int,
    *,
    store: bool,
) -> Iterator[Accessed]:
    """Skip when no lane is active; check the addresses; then let the caller move data."""
    values = effective_address(lower, address, space)
    with access_at(lower, inst, space, values, nbytes, count, store=store) as checked:
        yield checked


@contextmanager
def access_at(
    lower: WarpLowering,
    inst: Instruction,
    space: str,
    values: ir.Value,
    nbytes: int,
    count: int,
    *,
    store: bool,
    lanes: int = 0xFFFFFFFF,
) -> Iterator[Accessed]:
    """:func:`access` to addresses that have been computed; of ``lanes`` at most."""
    builder = lower.builder
    mask = lower.active(inst)
    if lanes != 0xFFFFFFFF:
        mask = builder.and_(mask, ir.Constant(i32, lanes))
    lower.spill()
    after = builder.append_basic_block("after")
    if inst.predicate is not None:
        some = builder.append_basic_block("some")
        nobody = builder.icmp_unsigned("==", mask, ir.Constant(i32, 0))
        builder.cbranch(nobody, after, some)
        builder.position_at_end(some)
    where = field(builder, lower.warp, Warp, "addresses")
    builder.store(values, where, align=64)
    size = nbytes * count
    is_store = ir.Constant(i32, int(store))
    if space in ("shared", "local"):
        limit = load(builder, field(builder, lower.context, Context, f"{space}_bytes"), i64)
        check = declare(lower.module, check_window_type, check_window_name(size))
        arguments = [lower.context, lower.warp, mask, lower.site(), limit, is_store]
        arguments.append(ir.Constant(i32, SHARED if space == "shared" else LOCAL))
    else:
        check = declare(lower.module, check_global_type, check_global_name(size))
        arguments = [lower.context, lower.warp, mask, lower.site(), is_store]
    status = builder.call(check, arguments)
    fine = builder.append_basic_block("checked")
    assert lower.fault_block is not None
    failed = builder.icmp_signed("<", status, ir.Constant(i32, 0))
    builder.cbranch(failed, lower.fault_block, fine)
    builder.position_at_end(fine)
    consecutive = status
    if space == "shared":
        base = splat(builder, lower.shared_base())
        builder.store(builder.add(values, base), where, align=64)
    elif space == "local":
        builder.store(builder.add(values, lower.local_base()), where, align=64)
        consecutive = ir.Constant(i32, 0)

    def move(kind: str) -> None:
        routine = declare(lower.module, move_type, move_name(kind, nbytes, count))
        builder.call(routine, [lower.warp, mask, consecutive])

    yield Accessed(mask, move)
    builder.branch(after)
    builder.position_at_end(after)


def declare(module: ir.Module, kind: ir.FunctionType, name: str) -> ir.Function:
    """An external routine, declared once a module."""
    existing = module.globals.get(name)
    return existing if existing is not None else ir.Function(module, kind, name=name)


def effective_address(lower: WarpLowering, address: Address, space: str) -> ir.Value:
    """64-bit addresses or offsets over the warp; those of a cluster's shared memory generic."""
    if space == "cluster":
        return to_generic(lower, effective_address(lower, address, "shared"))
    builder = lower.builder
    base = address.base
    if isinstance(base, Symbol):
        return lower.address_of(Symbol(base.name, base.offset + address.offset))
    if isinstance(base, Immediate):
        return lower.constant(Immediate(int(base.value) + address.offset), "u64")
    declared = lower.ptx_function.registers.get(base.name)
    if declared is None:
        raise NotLowered(f"address register {base.name}")
    offset = address.offset
    if bits(declared) == 32:
        return builder.zext(narrow_address(lower, address), integers(64))
    wide = lower.read(base, "u64")
    return builder.add(wide, ir.Constant(integers(64), [offset & (2**64 - 1)] * LANES))


def _is_narrow(lower: WarpLowering, address: Address) -> bool:
    """Whether 32 bits hold the address: a variable's offset, or a register of that width."""
    base = address.base
    if isinstance(base, Register):
        declared = lower.ptx_function.registers.get(base.name)
        return declared is not None and bits(declared) == 32
    return False


def narrow_address(lower: WarpLowering, address: Address) -> ir.Value:
    """Offsets from a 32-bit register; the sum wraps as 32-bit arithmetic does."""
    assert isinstance(address.base, Register)
    step = ir.Constant(integers(32), [address.offset & 0xFFFFFFFF] * LANES)
    return lower.builder.add(lower.read(address.base, "u32"), step)


# --- parameters ---------------------------------------------------------------------------------


def _is_own_parameter(lower: WarpLowering, address: Address) -> bool:
    base = address.base
    return (isinstance(base, Symbol) and lower.entry_parameter(base.name) is not None) or (
        isinstance(base, Register) and lower.ptx_function.is_entry
    )


def _load_parameter(
    lower: WarpLowering, inst: Instruction, items: tuple[Operand, ...], address: Address
) -> None:
    """A kernel parameter: the same for every thread."""
    builder = lower.builder
    base = address.base
    assert isinstance(base, Symbol)
    formal = lower.entry_parameter(base.name)
    assert formal is not None
    kind = inst.type
    size = bits(kind) // 8
    start = parameter_offsets(lower.ptx_function)[formal.name] + address.offset
    if address.offset < 0 or address.offset + size * len(items) > formal.nbytes:
        raise NotLowered(f"parameter access beyond {formal.name}")
    for index, item in enumerate(items):
        where = at(builder, lower.params, start + index * size)
        value = splat(builder, load(builder, where, element(kind), 1))
        lower.write(item, value, inst, signed=is_signed(kind))


def call_parameter_address(
    lower: WarpLowering, address: Address, size: int
) -> tuple[ir.Value, int]:
    """Where a call's parameter starts in the frame, and the bytes between two lanes' copies."""
    base = address.base
    if not isinstance(base, Symbol):
        raise NotLowered("a call parameter through a register")
    key = (lower.ptx_function.name, base.name)
    place = lower.frame.parameters.get(key)
    variable = lower.ptx_function.variables.get(base.name) or next(
        (
            v
            for v in (*lower.ptx_function.parameters, *lower.ptx_function.returns)
            if v.name == base.name
        ),
        None,
    )
    if place is None or variable is None:
        raise NotLowered(f"call parameter {base.name}")
    if address.offset < 0 or address.offset + size > variable.nbytes:
        raise NotLowered(f"access beyond call parameter {base.name}")
    start = at(lower.builder, lower.warp, place + address.offset)
    return start, parameter_stride(variable.nbytes)


def _lane_pointers(lower: WarpLowering, base: ir.Value, stride: int) -> ir.Value:
    builder = lower.builder
    steps = ir.Constant(integers(64), [lane * stride for lane in range(LANES)])
    start = splat(builder, builder.ptrtoint(base, i64))
    return builder.inttoptr(builder.add(start, steps), pointers)


def _load_call_parameter(
    lower: WarpLowering, inst: Instruction, items: tuple[Operand, ...], address: Address
) -> None:
    builder = lower.builder
    kind = inst.type
    width = bits(kind)
    whole = integers(width)
    for index, item in enumerate(items):
        part = Address(address.base, address.offset + index * width // 8)
        base, stride = call_parameter_address(lower, part, width // 8)
        if stride == width // 8:
            value = load(builder, base, whole, 64)
        else:
            name = f"llvm.masked.gather.v32i{width}.v32p0"
            gather = lower.intrinsic(name, whole, [pointers, i32, mask_type, whole])
            everybody = ir.Constant(mask_type, [1] * LANES)
            nothing = ir.Constant(whole, [0] * LANES)
            places = _lane_pointers(lower, base, stride)
            value = builder.call(gather, [places, ir.Constant(i32, 1), everybody, nothing])
        lower.write(item, lower.cast(value, kind), inst, signed=is_signed(kind))


def _store_call_parameter(
    lower: WarpLowering, inst: Instruction, address: Address, items: tuple[Operand, ...]
) -> None:
    builder = lower.builder
    width = bits(inst.type)
    whole = integers(width)
    lanes = lanes_of(builder, lower.active(inst))
    for index, item in enumerate(items):
        part = Address(address.base, address.offset + index * width // 8)
        base, stride = call_parameter_address(lower, part, width // 8)
        value = lower.read(item, f"b{width}")
        if stride == width // 8:
            old = load(builder, base, whole, 64)
            builder.store(builder.select(lanes, value, old), base, align=64)
        else:
            name = f"llvm.masked.scatter.v32i{width}.v32p0"
            scatter = lower.intrinsic(name, ir.VoidType(), [whole, pointers, i32, mask_type])
            places = _lane_pointers(lower, base, stride)
            builder.call(scatter, [value, places, ir.Constant(i32, 1), lanes])


__all__ = [
    "access",
    "access_at",
    "builder_pointer",
    "call_parameter_address",
    "declare",
    "effective_address",
    "transfer_at",
]
