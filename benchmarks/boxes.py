"""Boxes of arrays as TMA copies them, in NumPy: what is compared with."""

from __future__ import annotations

import numpy as np

LINE = 128  # bytes; a swizzle stays within lines of shared memory


def box_of(array, corner, box, steps, fill=0):
    """The box whose first element is at ``corner``; outside of the array there is ``fill``."""
    counts = [-(-b // s) for b, s in zip(box, steps, strict=True)]
    found = np.full(counts, fill, array.dtype)
    for place in np.ndindex(*counts):
        at = [c + p * s for c, p, s in zip(corner, place, steps, strict=True)]
        if all(0 <= a < n for a, n in zip(at, array.shape, strict=True)):
            found[place] = array[tuple(at)]
    return found


def pixels_of(array, corner, offsets, lower, upper, channels, count, steps):
    """A column of ``count`` pixels; all outermost first, (image, ..., width, channels)."""
    spatial = array.ndim - 2
    image, *base = corner[:-1]
    found = np.zeros((count, channels), array.dtype)
    for number in range(count):
        at = [image, *(b + o for b, o in zip(base, offsets, strict=True))]
        for channel in range(channels):
            place = (*at, corner[-1] + channel)
            if all(0 <= a < n for a, n in zip(place, array.shape, strict=True)):
                found[number, channel] = array[place]
        for axis in reversed(range(spatial)):
            base[axis] += steps[1 + axis]
            if base[axis] < array.shape[1 + axis] + upper[axis]:
                break
            base[axis] = lower[axis]
        else:
            image += 1
    return found


def laid_out(found, swizzle, nbytes):
    """A box's bytes as they lie in shared memory that begins at a multiple of 1024.

    A swizzle has a row in each of its spans, however short the row is.
    """
    mask = {"none": 0, "32B": 1, "64B": 3, "128B": 7}[swizzle]
    rows = np.frombuffer(found.tobytes(), np.uint8).reshape(-1, found.shape[-1] * found.itemsize)
    memory = np.zeros(nbytes, np.uint8)
    for number, row in enumerate(rows):
        begin = number * pitch_of(found, swizzle)
        for unit in range(0, row.size, 16):
            there = (begin + unit) ^ ((begin + unit >> 7 & mask) << 4)
            memory[there : there + 16] = row[unit : unit + 16]
    return memory


def pitch_of(found, swizzle):
    """Bytes from a row of a box in shared memory to the next."""
    return found.shape[-1] * found.itemsize if swizzle == "none" else int(swizzle[:-1])


def room_of(found, swizzle):
    """Bytes of shared memory for a box: whole lines."""
    rows = found.size // found.shape[-1]
    return -(-rows * pitch_of(found, swizzle) // LINE) * LINE


def slices_of(array, corner, box, steps, fill=0):
    """The box of an interleaved array, whose last axis is a slice's channels: whole slices."""
    channels = array.shape[-1]
    return box_of(array, (*corner, 0), (*box, channels), (*steps, 1), fill)


def slice_pixels_of(array, corner, offsets, box, steps):
    """A column of pixels of an interleaved array: what each has in one slice of channels."""
    image, piece, *base = corner
    if not 0 <= piece < array.shape[1]:
        return np.zeros((box.pixels, box.channels), array.dtype)
    return pixels_of(
        array[:, piece], (image, *base, 0), offsets, box.lower, box.upper, box.channels,
        box.pixels, (1, *steps[2:], 1),
    )  # fmt: skip


def slices_laid_out(found, swizzle, nbytes):
    """Bytes of slices as they lie in shared memory: densely, whatever the swizzle."""
    return laid_out(found.reshape(1, -1), swizzle, nbytes)
