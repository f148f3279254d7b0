"""Lab 03, task 2: a polynomial of degree 15 at the FP32 peak.

    p(x) = c[0] + c[1] x + c[2] x^2 + ... + c[15] x^15
    y[i] = p(p(... p(x[i])))                              `rounds` times

The kernel in iterate_map.cu is correct. Each x is read once and then computed with, again and
again: the schedulers' issue slots are all that can run out. An SM of an H100 issues four FP32
instructions of a warp in a clock, one a scheduler, and an instruction that needs the last one's
result waits 4 clocks for it.

- Where there are *many* x, an SM has plenty of work. Then every instruction counts: how few are
  needed for a polynomial of degree 15?
- Where there are *few*, say 128 for each SM, every scheduler has one warp, and a chain of dependent
  instructions leaves three of four slots empty. Where else can independent ones come from?

The grader asks for both. One kernel need not be best at both: solve() sees n.

    python -m grader check 03_ilp_tlp --task iterate_map
"""

from pathlib import Path

from kernels.runtime import cuda_program

THREADS = 128  # a block's

program = cuda_program(Path(__file__).with_name("iterate_map.cu"))


def solve(device, x, coefficients, rounds):
    """(n,) float32, of ``x``: (n,), ``coefficients``: (16,), both float32, and ``rounds``: int."""
    n = x.shape[0]
    y = device.empty(n, "float32")
    # BEGIN SOLUTION: which kernel, and how many x a thread (about 5 lines)
    # from this many x on, each SM has four warps with four x a thread
    many = n >= device.arch.sm_count * THREADS * 4
    kernel, each = ("several_each", 4) if many else ("one_each", 1)
    # STARTER
    # kernel, each = "one_each", 1
    # END SOLUTION
    blocks = max(1, -(-n // (THREADS * each)))
    device.launch(program[kernel], blocks, THREADS, (x, coefficients, y, n, rounds))
    return y
