"""What the child process gives up before it runs a learner's code.

Each step is Linux's own and needs no privileges; where a system does not permit one, the others
hold, and the verdict's ``sandbox`` field says which do. This module imports the standard library
alone, because it runs before anything else.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import struct
from collections.abc import Sequence
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)

CLONE_NEWNS, CLONE_NEWIPC = 0x00020000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 36, 38
SYS_CAPSET = {"x86_64": 126, "aarch64": 91}
CAPABILITY_VERSION_3 = 0x20080522
# landlock(7); the same numbers on every architecture
SYS_LANDLOCK_CREATE_RULESET, SYS_LANDLOCK_ADD_RULE, SYS_LANDLOCK_RESTRICT_SELF = 444, 445, 446
EXECUTE, WRITE_FILE, REFER, TRUNCATE = 1 << 0, 1 << 1, 1 << 13, 1 << 14
REMOVE_AND_MAKE = sum(1 << bit for bit in range(4, 13))
BIND_AND_CONNECT = 0b11  # TCP
SCOPE_SOCKETS_AND_SIGNALS = 0b11


def _libc(name: str, *arguments: object) -> None:
    """Call into the C library. Raises :class:`OSError` as Python's own wrappers do."""
    if getattr(LIBC, name)(*arguments) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _prctl(option: int, value: int) -> None:
    _libc("prctl", option, ctypes.c_ulong(value), *(ctypes.c_ulong(0),) * 3)


def die_with_parent() -> None:
    """Be killed when the process that started this one ends."""
    with contextlib.suppress(OSError):
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends."""
    with contextlib.suppress(OSError):
        _prctl(PR_SET_CHILD_SUBREAPER, 1)


def leave_namespaces() -> dict[str, str]:
    """A network without interfaces and, for children, process numbers of their own.

    Returns what holds: ``network`` and ``processes``. Must run while the process has one thread.
    """
    user, group = os.geteuid(), os.getegid()
    wanted = CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWPID
    try:
        _libc("unshare", CLONE_NEWUSER | wanted)
    except OSError as error:
        try:
            _libc("unshare", wanted)  # root in a container may have no user namespaces
        except OSError:
            return stay(f"not permitted here ({error.strerror})")
    else:
        with contextlib.suppress(OSError):
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
            Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    return {"network": "none: own network namespace", "processes": "own process namespace"}


def stay(why: str) -> dict[str, str]:
    """What holds without namespaces."""
    return {
        "network": f"the machine's: namespaces are {why}",
        "processes": f"the machine's: namespaces are {why}",
    }


def limit_resources(memory: int, cpu_seconds: int, processes: int, file_bytes: int) -> str:
    """Hard limits, which the process cannot raise again; what holds, in words."""
    for what, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 256),
        (resource.RLIMIT_NPROC, processes),
    ):
        hard = resource.getrlimit(what)[1]
        least = value if hard == resource.RLIM_INFINITY else min(value, hard)
        # SIGXCPU, which says why, comes at the soft limit; SIGKILL at the hard one
        spare = 2 if what == resource.RLIMIT_CPU and least == value else 0
        resource.setrlimit(what, (least, least + spare if spare else least))
    return (
        f"{memory >> 20} MiB of memory, {cpu_seconds} s of processor time, "
        f"files of {file_bytes >> 20} MiB"
    )


def threads_of_user() -> int:
    """Threads that this user has: the limit on processes counts them all."""
    user, total = os.geteuid(), 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if entry.stat().st_uid == user:
                    total += len(list((entry / "task").iterdir()))
    return total


def drop_capabilities() -> None:
    """Keep no privilege, nor gain one by running another program."""
    with contextlib.suppress(OSError):
        _prctl(PR_SET_NO_NEW_PRIVS, 1)
    number = SYS_CAPSET.get(os.uname().machine)
    if number is not None:
        header = struct.pack("<Ii", CAPABILITY_VERSION_3, 0)
        with contextlib.suppress(OSError):
            _libc("syscall", ctypes.c_long(number), header, bytes(24))


def fence_files(writable: Sequence[str]) -> dict[str, str]:
    """Writing only under ``writable``, no programs, no TCP, no signals to others: by Landlock.

    Returns what holds: ``files``, ``programs`` and, where the kernel can, ``tcp``.
    """
    try:
        return _fence_files(writable)
    except OSError as error:
        why = f"not fenced: Landlock is not there ({error.strerror})"
        return {"files": why, "programs": why}


def _fence_files(writable: Sequence[str]) -> dict[str, str]:
    LIBC.syscall.restype = ctypes.c_long
    size, one = ctypes.c_size_t(0), ctypes.c_uint32(1)
    abi = LIBC.syscall(ctypes.c_long(SYS_LANDLOCK_CREATE_RULESET), None, size, one)
    if abi < 1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    write = WRITE_FILE | REMOVE_AND_MAKE
    write |= (REFER if abi >= 2 else 0) | (TRUNCATE if abi >= 3 else 0)
    words = [write | EXECUTE]
    words += [BIND_AND_CONNECT] if abi >= 4 else []
    words += [SCOPE_SOCKETS_AND_SIGNALS] if abi >= 6 else []
    attributes = struct.pack(f"<{len(words)}Q", *words)
    ruleset = LIBC.syscall(
        ctypes.c_long(SYS_LANDLOCK_CREATE_RULESET), attributes,
        ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0),
    )  # fmt: skip
    if ruleset < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    try:
        for path in writable:
            descriptor = os.open(path, os.O_PATH)
            try:
                allowed = write if Path(path).is_dir() else write & (WRITE_FILE | TRUNCATE)
                rule = struct.pack("<Qi", allowed, descriptor)
                _libc(
                    "syscall", ctypes.c_long(SYS_LANDLOCK_ADD_RULE), ctypes.c_int(ruleset),
                    ctypes.c_int(1), rule, ctypes.c_uint32(0),
                )  # fmt: skip
            finally:
                os.close(descriptor)
        _prctl(PR_SET_NO_NEW_PRIVS, 1)
        _libc(
            "syscall", ctypes.c_long(SYS_LANDLOCK_RESTRICT_SELF), ctypes.c_int(ruleset),
            ctypes.c_uint32(0),
        )  # fmt: skip
    finally:
        os.close(ruleset)
    held = {"files": "written only in a folder of its own", "programs": "none can be started"}
    return held | ({"tcp": "none"} if abi >= 4 else {})


def end_descendants() -> None:
    """Kill every child, and those that they leave behind, until none is left."""
    own = os.getpid()
    for _ in range(100):
        children = _children(own)
        if not children:
            return
        for child in children:
            with contextlib.suppress(OSError):
                os.kill(child, signal.SIGKILL)
        for child in children:
            with contextlib.suppress(OSError):
                os.waitpid(child, 0)


def _children(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                status = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(status[1]) == parent:
                    found.append(int(entry.name))
    return found
