"""Cheat: launch so often that the grader never ends."""
# task: gather_rows
# refused: plan-too-large

from pathlib import Path

from kernels.runtime import cuda_program

program = cuda_program(Path(__file__).with_name("gather_rows.cu"))


def solve(device, table, index):
    rows, width = index.shape[0], table.shape[1]
    out = device.empty((rows, width), "float32")
    if rows > 0:
        for _ in range(2000):
            device.launch(program["gather_rows"], 1, 256, (table, index, out, 1, width))
    return out
