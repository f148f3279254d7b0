"""Lab 01, task 2: a vectorised copy that takes any length and any alignment.

A message is a header of ``lead`` zeros and a payload, which is ``x`` times ``alpha``:

    out[i]        = 0             for i < lead
    out[lead + i] = alpha * x[i]  for i < n

The kernel in scale_copy.cu is correct: it copies one float a thread. Where addresses allow it, let
each thread copy a float4: the same bytes move in a quarter of the requests.

A float4 must start at a multiple of 16 bytes. Here x may start at any float, the payload starts
``lead`` floats into the message, and n is any number, 0 and 1 included. So:

  - before the first whole float4 there may be up to 3 floats (the head), after the last one too
    (the tail);
  - source and payload may be misaligned by different amounts. Then no float4 fits both sides, and
    one float a thread is a good answer.

    python -m grader check 01_coalescing --task scale_copy
"""

from pathlib import Path

from kernels.runtime import cuda_program

THREADS = 256
MOST_BLOCKS = 2112  # 16 for each of an H100's 132 SMs; the kernel's loops do the rest

program = cuda_program(Path(__file__).with_name("scale_copy.cu"))


def solve(device, x, alpha, lead):
    """The message: (lead + n,) float32. ``x``: (n,) float32; ``alpha``: float; ``lead``: int."""
    n = x.shape[0]
    out = device.empty(lead + n, "float32")
    if lead + n > 0:  # a grid of zero blocks is an error
        blocks = min(-(-max(lead, n) // (4 * THREADS)), MOST_BLOCKS)  # four floats a thread
        device.launch(program["scale_copy"], blocks, THREADS, (x, out, alpha, lead, n))
    return out
