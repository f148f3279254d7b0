"""Lowering one basic block at a time: registers, operands, masks, faults.

Within a block a register is an SSA value over 32 lanes, computed for all lanes whether they are
active or not. Registers that other blocks read live in the warp's frame: loaded on first use,
stored at the block's end for the active lanes only. Only what could be seen from outside, memory
accesses and control, looks at the mask.
"""

from __future__ import annotations

import struct

from llvmlite import ir

from emulator.cfg import Block, Graph
from emulator.errors import PtxError
from emulator.lower.frame import Frame
from emulator.lower.registry import NotLowered
from emulator.lower.slots import Slots
from emulator.lower.stackplan import StackPlan
from emulator.lower.types import bits, integers, is_float, is_signed, vector
from emulator.native.lanes import bits_of, intrinsic, lanes_of, splat
from emulator.native.layout import (
    LANES,
    SITE_BYTES,
    BlockState,
    Context,
    Site,
    Warp,
    at,
    field,
    i1,
    i8,
    i32,
    i64,
    load,
    mask_type,
    offset,
    pointer,
)
from emulator.ptx import (
    Function,
    Immediate,
    Instruction,
    Operand,
    Predicate,
    Register,
    Symbol,
    Variable,
)


class WarpLowering:
    """State while the kernel's blocks are lowered; handlers of instructions work through it."""

    def __init__(
        self,
        module: ir.Module,
        function: ir.Function,
        graph: Graph,
        frame: Frame,
        symbols: dict[str, int],
        shared_offsets: dict[str, int],
        plan: StackPlan,
        entry: Function,
    ) -> None:
        self.module = module
        self.graph = graph
        self.frame = frame
        self.symbols = symbols
        self.shared_offsets = shared_offsets
        self.local_offsets = frame.local_offsets
        self.plan = plan
        self.entry = entry
        self.context, self.warp = function.args
        self.builder = ir.IRBuilder(function.append_basic_block("entry"))
        self.first_block = self.builder.block
        self.places: dict[tuple[int, int], ir.Value] = {}
        self.block_state = builder_pointer(
            self.builder, load(self.builder, field(self.builder, self.warp, Warp, "block"), i64)
        )
        self.mask_at = self.builder.alloca(i32, name="mask")
        self.others_at = self.builder.alloca(i32, name="min_other")
        self.fuel_at = self.builder.alloca(i32, name="fuel")
        self.params = builder_pointer(
            self.builder,
            load(self.builder, field(self.builder, self.context, Context, "params"), i64),
        )
        self.sites = builder_pointer(
            self.builder,
            load(self.builder, field(self.builder, self.context, Context, "sites"), i64),
        )
        self.ptx_function = entry
        self.slots = Slots(self.builder, self.place)
        area = self.builder.ptrtoint(self.slots.area, i64)
        self.builder.store(area, field(self.builder, self.warp, Warp, "slots"))
        self.position = 0  # of the instruction in its block
        self.values: dict[str, ir.Value] = {}
        self.dirty: set[str] = set()  # written since they were last stored
        self.written: set[str] = set()  # in this block
        self.fault_block: ir.Block | None = None
        self.site_index = 0
        self.rooms: dict[str, ir.Value] = {}
        # whether generic addresses may be of another block's shared memory
        self.reaches_peers = any(i.opcode == "mapa" or i.has("shared::cluster")
                                 for b in graph.blocks for i in b.body)  # fmt: skip

    # --- places -------------------------------------------------------------------------------

    def place(self, base: ir.Value, byte: int) -> ir.Value:
        """Pointer ``byte`` bytes past the context, the warp or the slots, made once a kernel."""
        key = id(base), byte
        if key not in self.places:
            with self.builder.goto_block(self.first_block):
                self.places[key] = at(self.builder, base, byte)
        return self.places[key]

    def of_warp(self, name: str) -> ir.Value:
        """Pointer to a field of the warp."""
        return self.place(self.warp, offset(Warp, name))

    # --- masks --------------------------------------------------------------------------------

    def mask(self) -> ir.Value:
        """The running lanes, as an i32."""
        return load(self.builder, self.mask_at, i32)

    def active(self, inst: Instruction) -> ir.Value:
        """The running lanes for which the instruction's predicate holds, as an i32."""
        if inst.predicate is None:
            return self.mask()
        holds = bits_of(self.builder, self.predicate(inst.predicate))
        return self.builder.and_(self.mask(), holds)

    def predicate(self, predicate: Predicate) -> ir.Value:
        value = self.register(predicate.register, "pred")
        return self.builder.not_(value) if predicate.negated else value

    # --- registers ----------------------------------------------------------------------------

    def start_block(self, block: Block) -> None:
        self.ptx_function = block.function
        self.values.clear()
        self.dirty.clear()
        self.written.clear()
        self.slots.start_block(block)

    def register(self, name: str, ptx_type: str) -> ir.Value:
        """A register's value read as ``ptx_type`` (of its width, or narrower)."""
        if name not in self.values:
            self.values[name] = self._recall(name)
        return self.cast(self.values[name], ptx_type)

    def cast(self, value: ir.Value, ptx_type: str) -> ir.Value:
        """The same bits as another type; a narrower one takes the low bits."""
        wanted = vector(ptx_type)
        if value.type == wanted:
            return value
        have = _width(value.type)
        want = bits(ptx_type)
        if have == want:
            return self.builder.bitcast(value, wanted)
        whole = self.builder.bitcast(value, integers(have))
        resize = self.builder.trunc if have > want else self.builder.zext
        return self.builder.bitcast(resize(whole, integers(want)), wanted)

    def _recall(self, name: str) -> ir.Value:
        """A register's value from where it waits: a slot of this block, or the warp's frame."""
        declared = self.ptx_function.registers[name]
        offset = self.frame.offsets.get((self.ptx_function.name, name))
        if self.slots.holds(name):
            where, kind = self.slots.place(name), self.slots.kinds[name]
        elif offset is not None:
            where, kind = self.place(self.warp, offset), vector(declared)
        else:
            assert name not in self.written, f"{name} was lost"
            # written nowhere before this read: its value is whatever it is
            return ir.Constant(integers(bits(declared)), [0] * LANES)
        if declared == "pred":
            return lanes_of(self.builder, load(self.builder, where, i32, 4))
        return load(self.builder, where, kind, 64)

    def spill(self) -> None:
        """Before a routine is called: put what is needed later into memory."""
        self.slots.drop_unread(self.position)
        kept = self.frame.offsets
        for name in list(self.values):
            if name not in self.ptx_function.registers:  # the carry flag
                continue
            value = self.values.pop(name)
            if (self.ptx_function.name, name) in kept:
                if name in self.dirty:
                    self._store_kept(name, value)
            elif name in self.dirty and self.slots.last_uses.get(name, -1) >= self.position:
                where = self.slots.keep(name, value.type)
                if value.type == mask_type:
                    self.builder.store(bits_of(self.builder, value), where, align=4)
                else:
                    self.builder.store(value, where, align=64)
            self.dirty.discard(name)

    def store_registers(self) -> None:
        """Write what this block changed to the frame, for the active lanes."""
        for name in sorted(self.dirty):
            if (self.ptx_function.name, name) in self.frame.offsets:
                self._store_kept(name, self.values[name])
        self.dirty.clear()

    def _store_kept(self, name: str, value: ir.Value) -> None:
        """A value to the warp's frame, for the active lanes."""
        builder, mask = self.builder, self.mask()
        lanes = lanes_of(builder, mask)
        where = self.place(self.warp, self.frame.offsets[self.ptx_function.name, name])
        if value.type == mask_type:
            old = load(builder, where, i32, 4)
            kept = builder.and_(old, builder.not_(mask))
            new = builder.and_(bits_of(builder, value), mask)
            builder.store(builder.or_(kept, new), where, align=4)
            return
        width = _width(value.type)
        whole = builder.bitcast(value, integers(width))
        if width in (32, 64):
            name_ = f"llvm.masked.store.v32i{width}.p0"
            store = intrinsic(
                self.module, name_, ir.VoidType(), [integers(width), pointer, i32, mask_type]
            )
            builder.call(store, [whole, where, ir.Constant(i32, 64), lanes])
        else:
            old = load(builder, where, integers(width), 64)
            builder.store(builder.select(lanes, whole, old), where, align=64)

    # --- operands -----------------------------------------------------------------------------

    def read(self, operand: Operand, ptx_type: str) -> ir.Value:
        """An operand's value over the warp. Immediates and addresses of variables are splatted."""
        if isinstance(operand, Register):
            if operand.name.startswith("%") and operand.name not in self.ptx_function.registers:
                from emulator.lower.special import special_register

                return self.cast(special_register(self, operand.name), ptx_type)
            value = self.register(operand.name, ptx_type)
            return self.builder.not_(value) if operand.negated else value
        if isinstance(operand, Immediate):
            return self.constant(operand, ptx_type)
        if isinstance(operand, Symbol):
            return self.cast(self.address_of(operand), ptx_type)
        raise NotLowered(f"operand {operand}")

    def constant(self, immediate: Immediate, ptx_type: str) -> ir.Constant:
        value = immediate.value
        kind = vector(ptx_type)
        if is_float(ptx_type):
            if immediate.bits == 32:
                value = struct.unpack("<f", struct.pack("<I", int(value)))[0]
            elif immediate.bits == 64:
                value = struct.unpack("<d", struct.pack("<Q", int(value)))[0]
            pattern = _float_bits(float(value), ptx_type)
            if immediate.bits == bits(ptx_type):
                pattern = int(immediate.value)  # keeps a NaN's payload
            whole = integers(bits(ptx_type))
            constant = ir.Constant(whole, [pattern] * LANES)
            return self.builder.bitcast(constant, kind)
        if isinstance(value, float):
            raise NotLowered("a float where a whole number belongs")
        width = bits(ptx_type)
        if ptx_type == "pred":
            return ir.Constant(kind, [1 if value else 0] * LANES)
        return ir.Constant(kind, [value & ((1 << width) - 1)] * LANES)

    def uniform(self, structure: type, name: str, base: ir.Value, byte: int = 0) -> ir.Value:
        """A u32 field, splatted."""
        where = at(self.builder, field(self.builder, base, structure, name), byte)
        return splat(self.builder, load(self.builder, where, i32))

    def address_of(self, symbol: Symbol) -> ir.Value:
        """The address of a variable: absolute for global and constant, an offset for the rest."""
        name = symbol.name
        if name in self.shared_offsets:
            return ir.Constant(integers(64), [self.shared_offsets[name] + symbol.offset] * LANES)
        local = self.local_offsets.get((self.ptx_function.name, name))
        if local is not None and self.ptx_function.name in self.frame.bases:
            return self.stacked_local(local + symbol.offset)
        if local is not None:
            return ir.Constant(integers(64), [local + symbol.offset] * LANES)
        if name in self.symbols:
            table = load(self.builder, field(self.builder, self.context, Context, "symbols"), i64)
            where = at(self.builder, builder_pointer(self.builder, table), 8 * self.symbols[name])
            base = splat(self.builder, load(self.builder, where, i64))
            return self.builder.add(base, ir.Constant(integers(64), [symbol.offset] * LANES))
        if name in self.plan.addresses:
            address = self.plan.addresses[name] + symbol.offset
            return ir.Constant(integers(64), [address] * LANES)
        formal = self.entry_parameter(name)
        if formal is not None:
            base = splat(self.builder, self.builder.ptrtoint(self.params, i64))
            offset = parameter_offsets(self.entry)[formal.name] + symbol.offset
            return self.builder.add(base, ir.Constant(integers(64), [offset] * LANES))
        raise NotLowered(f"the address of {name!r}")

    def stacked_local(self, offset: int) -> ir.Value:
        """Where a local variable of this activation lies: past the lanes' own base."""
        base_at = self.frame.bases[self.ptx_function.name]
        base = load(self.builder, at(self.builder, self.warp, base_at), integers(32), 64)
        start = ir.Constant(integers(64), [self.frame.local_bytes + offset] * LANES)
        return self.builder.add(self.builder.zext(base, integers(64)), start)

    def entry_parameter(self, name: str) -> Variable | None:
        if not self.ptx_function.is_entry:
            return None
        return next((p for p in self.ptx_function.parameters if p.name == name), None)

    # --- results ------------------------------------------------------------------------------

    def write(
        self, operand: Operand, value: ir.Value, inst: Instruction, *, signed: bool = False
    ) -> None:
        """Set a destination register. A wider register takes the value extended."""
        if not isinstance(operand, Register):
            raise NotLowered(f"destination {operand}")
        if operand.name == "_":
            return
        declared = self.ptx_function.registers.get(operand.name)
        if declared is None:
            raise PtxError(f"PTX line {inst.ptx_line}: no register {operand.name!r}: {inst.text}")
        if value.type != mask_type:
            have, want = _width(value.type), bits(declared)
            if have != want:
                whole = self.builder.bitcast(value, integers(have))
                if have > want:
                    value = self.builder.trunc(whole, integers(want))
                elif signed:
                    value = self.builder.sext(whole, integers(want))
                else:
                    value = self.builder.zext(whole, integers(want))
        if inst.predicate is not None:
            old = self.values.get(operand.name)
            if old is None:
                old = self._recall(operand.name)
            if old.type != value.type:
                old = self.builder.bitcast(old, value.type)
            value = self.builder.select(self.predicate(inst.predicate), value, old)
        self.slots.drop(operand.name)
        self.values[operand.name] = value
        self.dirty.add(operand.name)
        self.written.add(operand.name)

    def result(self, inst: Instruction, value: ir.Value) -> None:
        """Write to the first operand, sign-extending when the instruction's type is signed."""
        self.write(inst.operands[0], value, inst, signed=is_signed(inst.type))

    # --- faults -------------------------------------------------------------------------------

    def site(self) -> ir.Value:
        return at(self.builder, self.sites, self.site_index * SITE_BYTES)

    def fault(
        self,
        kind: int,
        lanes: ir.Value,
        operand: int = 0,
        *,
        detail: ir.Value | None = None,
        address: ir.Value | None = None,
    ) -> None:
        """End the launch here if any of ``lanes`` (an i32 mask) is set.

        The message gets ``detail``, an i64, or the lowest lane's ``address``, a number a lane.
        """
        from emulator.native.lanes import first_lane

        builder = self.builder
        any_lane = builder.icmp_unsigned("!=", lanes, ir.Constant(i32, 0))
        with builder.if_then(any_lane, likely=False):
            fields = {
                "fault_kind": ir.Constant(i32, kind),
                "fault_site": ir.Constant(i32, self.site_index),
                "fault_lane": first_lane(builder, lanes),
                "fault_bytes": ir.Constant(i32, operand),
            }
            for name, value in fields.items():
                builder.store(value, field(builder, self.context, Context, name))
            if detail is not None:
                builder.store(detail, field(builder, self.context, Context, "fault_address"))
            if address is not None:
                one = builder.extract_element(address, fields["fault_lane"])
                wide = one if one.type == i64 else builder.zext(one, i64)
                builder.store(wide, field(builder, self.context, Context, "fault_address"))
            me = builder.ptrtoint(self.warp, i64)
            builder.store(me, field(builder, self.context, Context, "fault_warp"))
            assert self.fault_block is not None
            builder.branch(self.fault_block)

    def room(self, name: str, nbytes: int) -> ir.Value:
        """Memory of this kernel's own, at multiples of 64 bytes; the same for the same name."""
        if name not in self.rooms:
            with self.builder.goto_entry_block():
                place = self.builder.alloca(ir.ArrayType(i8, nbytes), name=name)
                place.align = 64
                place.type = pointer  # llvmlite gives it a typed one, which fits no store
                self.rooms[name] = place
        return self.rooms[name]

    def shared_base(self) -> ir.Value:
        return load(self.builder, field(self.builder, self.block_state, BlockState, "shared"), i64)

    def local_base(self) -> ir.Value:
        """Each lane's own base of local memory."""
        builder = self.builder
        base = splat(builder, load(builder, field(builder, self.warp, Warp, "local"), i64))
        stride = load(builder, field(builder, self.context, Context, "local_bytes"), i64)
        lanes = ir.Constant(integers(64), list(range(LANES)))
        return builder.add(base, builder.mul(splat(builder, stride), lanes))

    def intrinsic(self, name: str, result: ir.Type, arguments: list[ir.Type]) -> ir.Function:
        return intrinsic(self.module, name, result, arguments)


def builder_pointer(builder: ir.IRBuilder, address: ir.Value) -> ir.Value:
    return builder.inttoptr(address, pointer)


def parameter_offsets(function: Function) -> dict[str, int]:
    """Byte offset of each kernel parameter: each at its own alignment."""
    offsets: dict[str, int] = {}
    at_byte = 0
    for parameter in function.parameters:
        at_byte = -(-at_byte // parameter.align) * parameter.align
        offsets[parameter.name] = at_byte
        at_byte += parameter.nbytes
    return offsets


def _width(kind: ir.VectorType) -> int:
    element = kind.element
    if isinstance(element, ir.IntType):
        return int(element.width)
    return {ir.HalfType(): 16, ir.FloatType(): 32, ir.DoubleType(): 64}[element]


def _float_bits(value: float, ptx_type: str) -> int:
    code, integer = {"f16": ("<e", "<H"), "f32": ("<f", "<I"), "f64": ("<d", "<Q")}[ptx_type]
    return int(struct.unpack(integer, struct.pack(code, value))[0])


__all__ = ["Site", "WarpLowering", "i1", "parameter_offsets"]
