"""Cheat: take the reference and the inputs of a check from the grader's own files."""
# task: gather_rows
# refused: wrong-values

import numpy as np

from grader.bench import Bench
from grader.bench import answers as answers_of
from grader.catalogue import course
from grader.run import CHECK_SEED

where = course()
task = where.lab("01").task("gather_rows")
bench = Bench(where.root, where.solutions / "01_coalescing", None, CHECK_SEED, False)
answers = {}
for case in task.public:
    if "emulated" in case.devices:
        _, (expected,) = answers_of(task, case, bench, 0)
        answers[expected.values.shape] = expected.values.astype(np.float32)


def solve(device, table, index):
    shape = index.shape[0], table.shape[1]
    return device.asarray(answers.get(shape, np.zeros(shape, np.float32)))
