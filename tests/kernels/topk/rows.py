"""Rows of keys that selection finds hard or easy, and whether a step finds their best."""

from __future__ import annotations

import numpy as np

from kernels.launches import launches_of
from kernels.topk import reference

KINDS = ("uniform", "normal", "adversarial", "few", "equal", "special", "ascending", "descending")


def keys_of(kind, dtype, shape, rng):
    """Keys of a kind that selection finds hard or easy."""
    if kind in ("ascending", "descending"):
        row = np.arange(shape[1]) - shape[1] // 2
        found = np.broadcast_to(row if kind == "ascending" else row[::-1], shape)
        return (
            found.astype(dtype)
            if np.dtype(dtype).kind != "u"
            else (found + (1 << 20)).astype(dtype)
        )
    if np.dtype(dtype).kind in "iu":
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        span = {"few": (5, 9), "equal": (7, 8), "adversarial": (high - 4096, high)}
        return rng.integers(*span.get(kind, (low, high)), shape, dtype=dtype, endpoint=False)
    found = {
        "uniform": lambda: rng.random(shape),
        "normal": lambda: rng.standard_normal(shape),
        "adversarial": lambda: 1 + rng.integers(0, 4096, shape) * 2.0**-23,
        "few": lambda: rng.choice([-1.5, 0.0, -0.0, 2.0], shape),
        "equal": lambda: np.full(shape, -3.25),
        "special": lambda: rng.choice(
            [np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, -1e-40, 1.0], shape
        ),
    }[kind]()
    return found.astype(np.float32).astype(dtype)


def placed(device, keys, shift):
    """Rows on the device that begin ``shift`` elements past an aligned address."""
    flat = device.asarray(np.concatenate([np.zeros(shift, keys.dtype), keys.reshape(-1)]))
    return flat[shift:].reshape(keys.shape)


def check(device, step, keys, k, *, shift=0, lengths=None, **options):
    """Run a step, and compare with the reference."""
    rows, n = keys.shape
    x = placed(device, keys, shift)
    values, indices = device.empty((rows, k), keys.dtype), device.empty((rows, k), np.int32)
    given = None if lengths is None else device.asarray(np.asarray(lengths, dtype=np.int32))
    step(device, x, values, indices, lengths=given, **options)
    got, at = device.to_host(values), device.to_host(indices)
    for row in range(rows):
        length = n if lengths is None else max(0, min(lengths[row], n))
        wanted = reference.topk(keys[row, :length], min(k, length),
                                largest=options.get("largest", True))  # fmt: skip
        chosen = at[row, : wanted.size]
        assert np.array_equal(np.sort(chosen), np.sort(wanted))
        assert got[row, : wanted.size].tobytes() == keys[row][chosen].tobytes()
        assert (at[row, wanted.size :] == -1).all()


def checked(device, step, *arguments, times=1, **options):
    """Run a step's launches, which no check has anything to say about; how many they are."""
    launches = launches_of(device, step, *arguments, **options)
    for one in launches * times:
        report = device.profile(
            one.kernel, one.grid, one.block, one.args, one.shared_bytes, **one.together,
            checks=("memcheck", "racecheck", "synccheck", "initcheck"),
        )  # fmt: skip
        assert not report.findings
    return len(launches)
