"""What the child process says: frames of a JSON header and a body, appended to one file.

The file is written by a process that runs a learner's code, so nothing in it is trusted: whatever
does not read as a frame ends the reading.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

MAX_FRAMES = 4096


@dataclass(frozen=True)
class Frame:
    """One thing said: ``kind``, other fields, and a body for a plan's bytes."""

    kind: str
    fields: dict[str, Any]
    body: bytes = b""


def write_frame(descriptor: int, kind: str, body: bytes = b"", **fields: Any) -> None:
    """Append a frame. Raises :class:`OSError` when the file may not grow that far."""
    header = json.dumps({"kind": kind, "fields": fields}).encode()
    data = b"%d %d\n" % (len(header), len(body)) + header + body
    while data:
        data = data[os.write(descriptor, data) :]


def read_frames(data: bytes) -> tuple[Frame, ...]:
    """Every whole frame up to the first that is damaged."""
    frames: list[Frame] = []
    at = 0
    while at < len(data) and len(frames) < MAX_FRAMES:
        end = data.find(b"\n", at, at + 48)
        sizes = data[at:end].split()
        if end < 0 or len(sizes) != 2 or not all(size.isdigit() for size in sizes):
            break
        header, body = int(sizes[0]), int(sizes[1])
        start = end + 1
        if start + header + body > len(data):
            break
        try:
            said = json.loads(data[start : start + header])
            kind, fields = said["kind"], said["fields"]
        except (ValueError, TypeError, KeyError, RecursionError):
            break
        if not isinstance(kind, str) or not isinstance(fields, dict):
            break
        at = start + header + body
        frames.append(Frame(kind, fields, data[start + header : at]))
    return tuple(frames)
