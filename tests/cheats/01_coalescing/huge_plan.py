"""Cheat: ask for so much memory that the grader ends."""
# task: gather_rows
# refused: plan-too-large


def solve(device, table, index):
    for _ in range(64):
        device.empty(1 << 30, "float32")
    return device.empty((index.shape[0], table.shape[1]), "float32")
