"""What ``wgmma`` reads and writes, in NumPy: where matrices lie in shared memory, and kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.matrix_layout import Layout, write
from tests.emulator.fragments import (
    A_PLACES,
    BITS,
    C_PLACES,
    Place,
    from_registers,
    patterns,
    to_registers,
)


def by_warps(matrix: np.ndarray, kind: str, place: Place, width: int) -> np.ndarray:
    """(registers, 128 threads) of a matrix of 64 rows whose fragments are 16 x ``width``."""
    warps = []
    for warp in range(4):
        rows = matrix[16 * warp : 16 * warp + 16]
        parts = [to_registers(rows[:, c : c + width], kind, place)
                 for c in range(0, matrix.shape[1], width)]  # fmt: skip
        warps.append(np.concatenate(parts))
    return np.concatenate(warps, axis=1)


def from_warps(registers: np.ndarray, kind: str, columns: int) -> np.ndarray:
    """The 64 x ``columns`` sums that 128 threads' registers hold."""
    per = len(registers) * 8 // columns
    rows = []
    for warp in range(4):
        lanes = registers[:, 32 * warp : 32 * warp + 32]
        rows.append(np.concatenate(
            [from_registers(lanes[per * j : per * j + per], kind, C_PLACES[16], (16, 8))
             for j in range(columns // 8)], axis=1))  # fmt: skip
    return np.concatenate(rows)


def kernel(
    instruction: str,
    sums: int,
    a_registers: int,
    numbers: str,
    *,
    apart: bool = False,
    selector: int = -1,
) -> str:
    """PTX of 128 threads: bytes to shared memory, one product, its sums to global memory.

    ``numbers``: what follows scale-d. D and A come and go as [register][thread]. ``apart``: the
    product is in a block of its own, so that registers live across blocks. ``selector``: with it,
    the register behind those of A has the metadata of a sparse A.
    """
    begins, ends = ("begins:", "ends:") if apart else ("", "")
    d = [f"%d{i}" for i in range(sums)]
    given = [f"%a{i}" for i in range(a_registers + (selector >= 0))]
    a = given[:a_registers]
    kept = f"%b_matrix, {given[-1]}, {selector}" if selector >= 0 else "%b_matrix"
    registers = "".join(f"  .reg .b32 {name};\n" for name in (*d, *given))
    loads = "".join(f"  ld.global.b32 {name}, [%{name[1]}_at+{512 * i}];\n"
                    for names in (d, given) for i, name in enumerate(names))  # fmt: skip
    stores = "".join(f"  st.global.b32 [%d_at+{512 * i}], {name};\n" for i, name in enumerate(d))
    source = "{" + ", ".join(a) + "}" if a else "%a_matrix"
    return f"""
.version 8.7
.target sm_90a
.address_size 64
.extern .shared .align 1024 .b8 memory[];
.visible .entry k(.param .u64 bytes, .param .u32 count, .param .u64 a, .param .u64 d,
                  .param .u64 a_matrix, .param .u64 b_matrix, .param .u32 adds)
{{
  .reg .pred %more, %adds;
  .reg .b32 %t, %i, %n, %v, %to, %add, %base;
  .reg .b64 %p, %a_at, %d_at, %from, %a_matrix, %b_matrix;
{registers}
  mov.u32 %t, %tid.x;
  ld.param.u64 %p, [bytes];
  ld.param.u32 %n, [count];
  shl.b32 %i, %t, 2;
  mov.u32 %base, memory;
copy:
  cvt.u64.u32 %from, %i;
  add.u64 %from, %from, %p;
  ld.global.b32 %v, [%from];
  add.u32 %to, %base, %i;
  st.shared.b32 [%to], %v;
  add.u32 %i, %i, 512;
  setp.lt.u32 %more, %i, %n;
  @%more bra copy;
  fence.proxy.async.shared::cta;
  bar.sync 0;
  ld.param.u64 %p, [a];
  mad.wide.u32 %a_at, %t, 4, %p;
  ld.param.u64 %p, [d];
  mad.wide.u32 %d_at, %t, 4, %p;
  ld.param.u64 %a_matrix, [a_matrix];
  ld.param.u64 %b_matrix, [b_matrix];
  ld.param.u32 %add, [adds];
  setp.ne.u32 %adds, %add, 0;
{loads}
{begins}
  wgmma.fence.sync.aligned;
  {instruction} {{{", ".join(d)}}}, {source}, {kept}, %adds{numbers};
{ends}
  wgmma.commit_group.sync.aligned;
  wgmma.wait_group.sync.aligned 0;
{stores}
  ret;
}}
"""


@dataclass(frozen=True)
class Problem:
    """One product: types of D, A and B, sizes, and how A and B lie; no layout of A: registers."""

    d: str
    a: str
    b: str
    columns: int
    a_layout: Layout | None
    b_layout: Layout
    scale_a: int = 1
    scale_b: int = 1
    adds: bool = True
    saturates: bool = False
    apart: bool = False
    selector: int = -1  # of the metadata of a sparse A; -1: A is dense

    @property
    def is_sparse(self) -> bool:
        """Whether A holds half of its elements."""
        return self.selector >= 0

    @property
    def depth(self) -> int:
        """K."""
        return 256 // BITS[self.a] * (1 + self.is_sparse)

    @property
    def instruction(self) -> str:
        """Opcode and modifiers."""
        shape = f"m64n{self.columns}k{self.depth}"
        end = ".and.popc" if self.a == "b1" else ""
        middle = ".satfinite" if self.saturates else ""
        sp = ".sp" if self.is_sparse else ""
        return f"wgmma.mma_async{sp}.sync.aligned.{shape}{middle}.{self.d}.{self.a}.{self.b}{end}"

    @property
    def numbers(self) -> str:
        """Operands behind scale-d."""
        if self.d == "s32":
            return ""
        found = [self.scale_a, self.scale_b]
        if BITS[self.a] == 16:
            if self.a_layout is not None:
                found.append(int(not self.a_layout.along_k))
            found.append(int(not self.b_layout.along_k))
        return "".join(f", {number}" for number in found)


def multiply(card: Any, problem: Problem, a: np.ndarray, b: np.ndarray, c: np.ndarray,
             nbytes: int, b_descriptor: int | None = None,
             metadata: np.ndarray | None = None) -> np.ndarray:  # fmt: skip
    """D (64 x N) of A (64 x K), B (K x N) and C, by the emulator.

    ``b_descriptor``: what is said of B instead of where it lies. A sparse A comes as the elements
    that it holds, 64 x K / 2, with its ``metadata``, a register of 128 threads.
    """
    bits = BITS[problem.a]
    memory = np.full(nbytes, 0xA5, dtype=np.uint8)
    b_descriptor = problem.b_layout.descriptor if b_descriptor is None else b_descriptor
    a_registers = np.zeros((1, 128), dtype=np.uint32)
    if problem.a_layout is None:
        place_a = A_PLACES[16, a.shape[1], bits]
        a_registers = by_warps(a, problem.a, place_a, a.shape[1])
    else:
        write(memory, patterns(a, problem.a), bits, problem.a_layout)
    write(memory, patterns(b.T, problem.b), bits, problem.b_layout)
    sums = by_warps(c, problem.d, C_PLACES[16], 8)
    count = 4 if problem.a_layout is None else 0
    if metadata is not None:
        a_registers = np.concatenate([a_registers[:count], metadata.reshape(1, 128)])
    source = kernel(problem.instruction, len(sums), count, problem.numbers, apart=problem.apart,
                    selector=problem.selector)  # fmt: skip
    a_descriptor = problem.a_layout.descriptor if problem.a_layout else 0
    card.run(source, "k", 1, 128, memory, np.uint32(nbytes), a_registers, sums,
             np.uint64(a_descriptor), np.uint64(b_descriptor),
             np.uint32(problem.adds), shared_bytes=nbytes)  # fmt: skip
    return from_warps(sums, problem.d, problem.columns)
