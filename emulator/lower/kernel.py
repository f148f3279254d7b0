"""A kernel as one LLVM function that runs one warp until it exits, waits, yields or faults."""

from __future__ import annotations

from llvmlite import ir

from emulator.cfg import Block, Graph, comes_again
from emulator.errors import PtxError
from emulator.lower import copies, events
from emulator.lower.calls import return_stacked
from emulator.lower.frame import Frame
from emulator.lower.hazards import watch_products
from emulator.lower.meetings import meet, release_meetings
from emulator.lower.registry import HANDLERS, NotLowered
from emulator.lower.stackplan import StackPlan
from emulator.lower.time import advance_clock
from emulator.lower.warp import WarpLowering
from emulator.lower.watch import watch_order
from emulator.native.lanes import bits_of, count_lanes, lanes_of, splat
from emulator.native.layout import (
    AVOID_BIT,
    BARRIER,
    COUNTERS,
    DONE,
    EXITED,
    FAULT,
    LANES,
    MEETING_BIT,
    PAUSE,
    UNSUPPORTED,
    YIELD,
    Context,
    Site,
    Warp,
    at,
    field,
    i1,
    i32,
    i64,
    load,
    pointer,
)
from emulator.ptx import Function, Instruction

lanes32 = ir.VectorType(i32, LANES)
KERNEL_SYMBOL = "coalesce_kernel"
SPIN_TURN = 256  # what a turn of a loop that may wait for others costs of a slice


def lower_kernel(
    module: ir.Module,
    graph: Graph,
    frame: Frame,
    entry: Function,
    symbols: dict[str, int],
    shared_offsets: dict[str, int],
    plan: StackPlan,
    sites: dict[tuple[str, int], int],
) -> None:
    """Define ``coalesce_kernel(ctx, warp)`` in ``module``.

    ``sites`` numbers instructions by (function, index); counters and faults go by that number.
    """
    function = ir.Function(module, ir.FunctionType(i32, [pointer, pointer]), name=KERNEL_SYMBOL)
    function.args[1].add_attribute("noalias")
    function.attributes.add("nounwind")
    lower = WarpLowering(module, function, graph, frame, symbols, shared_offsets, plan, entry)
    _KernelLowering(lower, function, graph, sites).run()


class _KernelLowering:
    """Blocks, and the transfers of control between them."""

    def __init__(
        self,
        lower: WarpLowering,
        function: ir.Function,
        graph: Graph,
        sites: dict[tuple[str, int], int],
    ) -> None:
        self.lower = lower
        self.builder = lower.builder
        self.graph = graph
        self.sites = sites
        self.dispatch = function.append_basic_block("dispatch")
        self.yield_ = function.append_basic_block("yield")
        self.pause = function.append_basic_block("pause")
        self.counting: ir.Value = ir.Constant(i1, 0)
        lower.fault_block = function.append_basic_block("fault")
        self.targets = [function.append_basic_block(f"B{b.number}") for b in graph.blocks]

    def run(self) -> None:
        builder = self.builder
        slice_ = load(builder, field(builder, self.lower.context, Context, "slice"), i32)
        builder.store(slice_, self.lower.fuel_at)
        watched = load(builder, field(builder, self.lower.context, Context, "observe"), i32)
        counted = builder.and_(watched, ir.Constant(i32, COUNTERS))
        self.counting = builder.icmp_unsigned("!=", counted, ir.Constant(i32, 0))
        events.turn(self.lower)
        copies.resume(self.lower)
        builder.branch(self.dispatch)
        self.lower_dispatch()
        for end, status in ((self.yield_, YIELD), (self.pause, PAUSE)):
            builder.position_at_end(end)
            advance_clock(self.lower)
            builder.ret(ir.Constant(i32, status))
        assert self.lower.fault_block is not None
        builder.position_at_end(self.lower.fault_block)
        builder.ret(ir.Constant(i32, FAULT))
        for block in self.graph.blocks:
            self.lower_block(block)

    # --- choosing which lanes run -------------------------------------------------------------

    def lower_dispatch(self) -> None:
        """Run the lanes of lowest program counter; remember the lowest of the others."""
        builder, lower = self.builder, self.lower
        builder.position_at_end(self.dispatch)
        pcs = load(builder, field(builder, lower.warp, Warp, "pcs"), lanes32, 64)
        avoid_at = field(builder, lower.warp, Warp, "avoid")
        avoid = lanes_of(builder, load(builder, avoid_at, i32))
        late = builder.or_(pcs, ir.Constant(lanes32, [AVOID_BIT] * LANES))
        ranked = builder.select(avoid, late, pcs)
        least = lower.intrinsic("llvm.vector.reduce.umin.v32i32", i32, [lanes32])
        lowest = builder.call(least, [ranked])
        builder.store(ir.Constant(i32, 0), avoid_at)
        runnable = builder.append_basic_block("runnable")
        stopped = builder.append_basic_block("stopped")
        is_held = builder.icmp_unsigned(">=", lowest, ir.Constant(i32, MEETING_BIT))
        builder.cbranch(is_held, stopped, runnable)
        builder.position_at_end(stopped)
        advance_clock(lower)
        exited = builder.icmp_unsigned(
            "==", builder.or_(lowest, ir.Constant(i32, AVOID_BIT)), ir.Constant(i32, EXITED)
        )
        builder.ret(builder.select(exited, ir.Constant(i32, DONE), ir.Constant(i32, BARRIER)))
        builder.position_at_end(runnable)
        pc = builder.and_(lowest, ir.Constant(i32, ~AVOID_BIT & 0xFFFFFFFF))
        here = builder.icmp_unsigned("==", pcs, splat(builder, pc))
        builder.store(bits_of(builder, here), lower.mask_at)
        elsewhere = builder.select(here, ir.Constant(lanes32, [EXITED] * LANES), pcs)
        builder.store(builder.call(least, [elsewhere]), lower.others_at)
        unreachable = builder.append_basic_block("no_such_block")
        switch = builder.switch(pc, unreachable)
        for block, target in zip(self.graph.blocks, self.targets, strict=True):
            switch.add_case(ir.Constant(i32, block.number), target)
        builder.position_at_end(unreachable)
        builder.unreachable()

    def store_pcs(self, mask: ir.Value, pc: int | ir.Value) -> None:
        builder = self.builder
        where = field(builder, self.lower.warp, Warp, "pcs")
        old = load(builder, where, lanes32, 64)
        if isinstance(pc, int):
            new: ir.Value = ir.Constant(lanes32, [pc] * LANES)
        else:
            new = pc
        builder.store(builder.select(lanes_of(builder, mask), new, old), where, align=64)

    def yield_unless(self, done: ir.Value, block: Block) -> None:
        """Code that follows is for ``done`` != 0; else ``block`` comes again after other warps."""
        builder = self.builder
        go_on, again = (builder.append_basic_block(name) for name in ("done", "not_yet"))
        builder.cbranch(builder.icmp_signed("!=", done, ir.Constant(i64, 0)), go_on, again)
        builder.position_at_end(again)
        self.store_pcs(self.lower.mask(), block.number)
        builder.branch(self.yield_)
        builder.position_at_end(go_on)

    def jump(self, block: Block, target: Block) -> None:
        """All running lanes go to ``target``: directly, unless others wait before or at it."""
        builder, lower = self.builder, self.lower
        if target.number <= block.number:
            self.back_edge(block, target)
        others = load(builder, lower.others_at, i32)
        direct = builder.icmp_unsigned(">", others, ir.Constant(i32, target.number))
        slow = builder.append_basic_block("meet")
        builder.cbranch(direct, self.targets[target.number], slow)
        builder.position_at_end(slow)
        self.store_pcs(lower.mask(), target.number)
        builder.branch(self.dispatch)

    def back_edge(self, block: Block, target: Block) -> None:
        """Count the turn against the warp's slice; a loop that may spin lets other lanes go."""
        builder, lower = self.builder, self.lower
        may_spin = any(b.may_spin for b in self.graph.blocks[target.number : block.number + 1])
        price = ir.Constant(i32, SPIN_TURN if may_spin else 1)
        fuel = builder.sub(load(builder, lower.fuel_at, i32), price)
        builder.store(fuel, lower.fuel_at)
        spent = builder.icmp_signed("<", fuel, ir.Constant(i32, 0))
        with builder.if_then(spent, likely=False):
            self.store_pcs(lower.mask(), target.number)
            avoid_at = field(builder, lower.warp, Warp, "avoid")
            builder.store(lower.mask(), avoid_at)
            builder.branch(self.yield_ if may_spin else self.pause)
        if may_spin:
            others = load(builder, lower.others_at, i32)
            waiting = builder.icmp_unsigned("<", others, ir.Constant(i32, MEETING_BIT))
            with builder.if_then(waiting, likely=False):
                self.store_pcs(lower.mask(), target.number)
                builder.store(lower.mask(), field(builder, lower.warp, Warp, "avoid"))
                builder.branch(self.dispatch)

    # --- blocks -------------------------------------------------------------------------------

    def lower_block(self, block: Block) -> None:
        builder, lower = self.builder, self.lower
        builder.position_at_end(self.targets[block.number])
        lower.start_block(block)
        if block.meets is not None:
            lower.site_index = self.sites[block.function.name, block.first]
            meet(self, block, block.meets)
            return
        terminator = block.terminator
        if terminator is None or not comes_again(terminator):
            self.count_block(block)  # else once it goes on
        body = block.body[:-1] if terminator is not None else block.body
        for offset, inst in enumerate(body):
            lower.site_index = self.sites[block.function.name, block.first + offset]
            lower.position = offset
            handler = HANDLERS.get(inst.opcode)
            self.count_predicated(inst)
            try:
                if handler is None:
                    raise NotLowered(inst.opcode)
                watch_order(lower, inst)
                events.under_way(lower, inst)
                watch_products(lower, inst, (block.function.name, block.first + offset), self.sites)
                handler(lower, inst)
            except NotLowered:
                lower.fault(UNSUPPORTED, lower.active(inst))
            except (IndexError, KeyError, TypeError, ValueError) as error:
                # handlers take operands as the ISA has them; other text is not PTX
                raise PtxError(f"PTX line {inst.ptx_line}: malformed: {inst.text}") from error
        if terminator is None:
            if block.falls_to is None:
                self.leave(block, lower.mask())
            else:
                lower.store_registers()
                self.jump(block, block.falls_to)
            return
        lower.site_index = self.sites[block.function.name, block.first + len(block.body) - 1]
        lower.position = len(block.body) - 1
        self.lower_terminator(block)

    def count_block(self, block: Block) -> None:
        """One more warp, and its lanes, came through this block."""
        builder, lower = self.builder, self.lower
        base = load(builder, field(builder, lower.context, Context, "block_counts"), i64)
        where = builder.inttoptr(builder.add(base, ir.Constant(i64, 16 * block.number)), pointer)
        pair = ir.VectorType(i64, 2)
        lanes = builder.zext(count_lanes(builder, lower.mask()), i64)
        step = builder.insert_element(ir.Constant(pair, [1, 0]), lanes, ir.Constant(i32, 1))
        builder.store(builder.add(load(builder, where, pair, 16), step), where, align=16)

    def count_predicated(self, inst: Instruction) -> None:
        """Under counters, an instruction with a predicate counts the lanes for which it holds."""
        if inst.predicate is None:
            return
        builder, lower = self.builder, self.lower
        active = lower.active(inst)
        with builder.if_then(self.counting, likely=False):
            lanes = builder.zext(count_lanes(builder, active), i64)
            some = builder.zext(builder.icmp_unsigned("!=", active, ir.Constant(i32, 0)), i64)
            for name, amount in (("executed", some), ("executed_lanes", lanes)):
                where = field(builder, lower.site(), Site, name)
                builder.store(builder.add(load(builder, where, i64), amount), where)

    def lower_terminator(self, block: Block) -> None:
        builder, lower = self.builder, self.lower
        inst = block.body[-1]
        if inst.opcode == "bra":
            self.branch(block)
        elif inst.opcode in ("ret", "exit"):
            active = lower.active(inst)
            lower.store_registers()
            if inst.predicate is None:
                self.leave(block, active, exit_=inst.opcode == "exit")
                return
            stay = builder.and_(lower.mask(), builder.not_(active))
            leave = builder.append_basic_block("leave")
            keep = builder.append_basic_block("keep")
            none_leave = builder.icmp_unsigned("==", active, ir.Constant(i32, 0))
            builder.cbranch(none_leave, keep, leave)
            builder.position_at_end(leave)
            assert block.falls_to is not None
            self.store_pcs(stay, block.falls_to.number)
            self.leave(block, active, exit_=inst.opcode == "exit")
            builder.position_at_end(keep)
            self.jump(block, block.falls_to)
        else:
            from emulator.lower.control import TERMINATORS

            try:
                watch_order(lower, inst)
                events.under_way(lower, inst)
                key = block.function.name, block.first + len(block.body) - 1
                watch_products(lower, inst, key, self.sites)
                TERMINATORS[inst.opcode](self, block, inst)
            except NotLowered:
                lower.fault(UNSUPPORTED, lower.active(inst))
                lower.store_registers()
                if block.falls_to is None:
                    self.leave(block, lower.mask(), exit_=True)
                else:
                    self.jump(block, block.falls_to)

    def branch(self, block: Block) -> None:
        builder, lower = self.builder, self.lower
        inst = block.body[-1]
        assert block.jumps_to is not None
        if inst.predicate is None:
            lower.store_registers()
            self.jump(block, block.jumps_to)
            return
        taken = lower.active(inst)
        lower.store_registers()
        if block.falls_to is None or block.falls_to is block.jumps_to:
            self.jump(block, block.jumps_to)
            return
        mask = lower.mask()
        all_go = builder.append_basic_block("taken")
        some = builder.append_basic_block("some")
        none_go = builder.append_basic_block("not_taken")
        split = builder.append_basic_block("split")
        builder.cbranch(builder.icmp_unsigned("==", taken, mask), all_go, some)
        builder.position_at_end(all_go)
        self.jump(block, block.jumps_to)
        builder.position_at_end(some)
        builder.cbranch(builder.icmp_unsigned("==", taken, ir.Constant(i32, 0)), none_go, split)
        builder.position_at_end(none_go)
        self.jump(block, block.falls_to)
        builder.position_at_end(split)
        parted = field(builder, lower.site(), Site, "divergent")
        one = ir.Constant(i64, 1)
        builder.store(builder.add(load(builder, parted, i64), one), parted)
        if block.jumps_to.number <= block.number:
            self.spend_on_split(block, taken)
        where_taken = ir.Constant(lanes32, [block.jumps_to.number] * LANES)
        where_not = ir.Constant(lanes32, [block.falls_to.number] * LANES)
        targets = builder.select(lanes_of(builder, taken), where_taken, where_not)
        self.store_pcs(mask, targets)
        builder.branch(self.dispatch)

    def spend_on_split(self, block: Block, taken: ir.Value) -> None:
        """Lanes that go round again while others leave: they let the leavers go if they spin."""
        builder, lower = self.builder, self.lower
        fuel = builder.sub(load(builder, lower.fuel_at, i32), ir.Constant(i32, 1))
        builder.store(fuel, lower.fuel_at)
        assert block.jumps_to is not None
        if any(b.may_spin for b in self.graph.blocks[block.jumps_to.number : block.number + 1]):
            builder.store(taken, field(builder, lower.warp, Warp, "avoid"))

    def leave(self, block: Block, lanes: ir.Value, *, exit_: bool = False) -> None:
        """Return from a function, or end the thread."""
        builder, lower = self.builder, self.lower
        function = block.function
        if function.is_entry or exit_:
            copies.leave(lower, lanes)
            events.exits(lower, lanes)
            self.store_pcs(lanes, EXITED)
            release_meetings(self)
        elif function.name in lower.plan.functions:
            return_stacked(lower, function.name, lanes)
        else:
            where = at(builder, lower.warp, lower.frame.returns[function.name])
            self.store_pcs(lanes, load(builder, where, lanes32, 64))
        builder.branch(self.dispatch)
