"""The PTX instruction set as a table: what the software GPU executes, found out by executing it.

    python -m emulator.isa            print the table
    python -m emulator.isa --write    put it into README.md
    python -m emulator.isa --check    say whether README.md has it as it is

Each row has examples in registers of fixed names; its status is what happens when a warp runs them,
or a warpgroup.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from emulator.errors import DeviceFault, UnsupportedInstruction
from emulator.isa_table import SECTIONS
from emulator.launch import launch
from emulator.memory import DeviceMemory
from emulator.module import Module
from emulator.readme import publish

EXECUTED, REFUSED = "executed", "refused by name"

# %p predicates (%p3: of the first lane), %h 16 bits, %r 32, %d 64, %q 128; %g in global memory, %s
# in shared, %l in local
PREAMBLE = """.version 8.6
.target sm_90
.address_size 64
.func (.param .b32 y) twice(.param .b32 x) {
  .reg .b32 %x; ld.param.b32 %x, [x]; add.u32 %x, %x, %x; st.param.b32 [y], %x; ret; }
.visible .entry k(.param .u64 buffer) {
  .reg .pred %p<4>; .reg .b16 %h<20>; .reg .b32 %r<20>; .reg .b64 %d<20>, %g, %l;
  .reg .b128 %q<4>; .reg .b32 %s; .reg .f64 %f<4>;
  .shared .align 128 .b8 window[8192]; .local .align 16 .b8 stack[64];
  ld.param.u64 %g, [buffer]; mov.u32 %s, window; mov.u64 %l, stack; cvta.local.u64 %d4, %l;
"""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    section: str  # of the PTX ISA
    opcode: str
    forms: str
    examples: tuple[str, ...]

    def status(self) -> str:
        """What happens when a warp runs the examples, all of which must fare alike.

        Raises AssertionError for a row that is of two minds: it should be two rows.
        """
        if runs(self.examples):
            return EXECUTED
        refused = [example for example in self.examples if not runs([example])]
        if len(refused) != len(self.examples):
            raise AssertionError(f"{self.opcode}: refused are only {refused}; make two rows of it")
        return REFUSED


def rows() -> tuple[Row, ...]:
    """The table, in the order of the PTX ISA's sections."""
    return tuple(
        Row(section, opcode, forms, tuple(examples))
        for section, lines in SECTIONS.items()
        for opcode, forms, *examples in lines
    )


def runs(statements: Sequence[str]) -> bool:
    """Whether a warp can execute statements one after another (a trap is executed, too)."""
    registers = [
        *(f"mov.b16 %h{i}, {i + 1};" for i in range(20)),
        *(f"mov.b32 %r{i}, {i + 1};" for i in range(20)),
        *(f"mov.b64 %d{i}, {i + 1};" for i in range(20) if i != 4),
        *(f"setp.eq.u32 %p{i}, %r1, {i};" for i in range(3)),
        "mov.u32 %r0, %tid.x; setp.eq.u32 %p3, %r0, 0; mov.u32 %r0, 1;",
        "mov.b128 %q1, {%d1, %d2}; mov.b128 %q2, {%d2, %d3}; mov.b64 %f1, %d1; mov.b64 %f2, %d2;",
    ]
    ends = ("" if statement.startswith("{") else ";" for statement in statements)
    lines = [f"  {statement}{end}" for statement, end in zip(statements, ends, strict=True)]
    body = "\n".join([*registers, *lines])
    threads = 128 if "wgmma" in body else 32
    memory = DeviceMemory(16 << 20)
    buffer = memory.allocate(1 << 16, "buffer", poison=False)
    buffer.view()[:] = 0
    kernel = Module(f"{PREAMBLE}{body}\n  ret;\n}}\n")["k"]
    params = buffer.address.to_bytes(8, "little")
    try:
        launch(kernel, (1, 1, 1), (threads, 1, 1), params, memory, timeout_s=60)
    except UnsupportedInstruction:
        return False
    except DeviceFault as fault:
        if fault.finding.kind != "trap":
            raise
    return True


def table() -> str:
    """The table as Markdown."""
    lines = [
        "Status is what happens when a warp runs the instruction: `python -m emulator.isa --write`",
        "runs them all and writes this table, and a test keeps it true. What is refused stops a",
        "kernel only when it is executed. Sections are those of the PTX ISA 8.5.",
    ]
    section = ""
    for row in rows():
        if row.section != section:
            section = row.section
            lines += ["", f"**{section}**", "", "| opcode | forms | status |", "|---|---|---|"]
        lines.append(f"| `{row.opcode}` | {row.forms} | {row.status()} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m emulator.isa", description=table.__doc__)
    parser.add_argument("--write", action="store_true", help="put the table into README.md")
    parser.add_argument("--check", action="store_true", help="say whether README.md has it")
    options = parser.parse_args(arguments)
    found = table()
    if not options.write and not options.check:
        print(found)
        return 0
    return publish("isa", found, "python -m emulator.isa", write=options.write)


if __name__ == "__main__":
    sys.exit(main())
