"""Cheat: answer in a narrower type."""
# task: gather_rows
# refused: wrong-dtype
# says: float16


def solve(device, table, index):
    return device.empty((index.shape[0], table.shape[1]), "float16")
