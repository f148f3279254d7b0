"""Cheat: answer with no arrays at all."""
# task: gather_rows
# refused: wrong-count


def solve(device, table, index):
    return ()
