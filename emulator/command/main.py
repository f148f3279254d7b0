"""The command line: options, what they mean together, and exit statuses.

Exit statuses: 0 fine; 1 the kernel was stopped, or checks found something; 2 nothing was judged:
a command, a file or a launch that is not possible, or an instruction that we do not have.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from emulator.arch import A100, H100
from emulator.checks import CHECKS
from emulator.command.usage import UsageError
from emulator.copying import MODES
from emulator.errors import DeviceFault, EmulatorError, LaunchTimeout
from emulator.report import Dim3

FINE, FOUND, UNUSABLE = 0, 1, 2
PROGRAM = "python -m emulator"
ARCHS = {"h100": H100, "a100": A100}
COMMANDS = {
    "run": "run a kernel and show what it changed",
    "profile": "count what a kernel does: tables as Nsight Compute's, and the annotated source",
    "check": "look for what compute-sanitizer finds: bad accesses, races, barriers, stale memory",
}
EXAMPLES = """\
examples:
  python -m emulator run scale.cu --grid 4 --block 256 'y=f32[1024]=arange' 2.0 1024
  python -m emulator profile transpose.cu --kernel tiled --grid 32,32 --block 32,8 \\
      'f32[1024,1024]=random' 'out:f32[1024,1024]' 1024 --html transpose.html
  python -m emulator check reduce.ptx --grid 8 --block 128 --tool racecheck in.npy 'out:f32[1]'

arguments of the kernel, in its order (name= in front is allowed, and then any order):
  i32=1024  f32=0.5  1024  0.5  null       a number; without a type, of the parameter's type
  f32[64,64]=random  i32[100]=arange       an array and its fill: random, random(LOW,HIGH), normal,
  u8[3]=1,2,3  f16[8]=0  f32[9]=file.npy   arange, one number or all of them, a file
  f32[1024]  out:f32[1024]                 an array that nobody has written (bytes 0xFF)
  file.npy                                 an array from a file
types: i8 i16 i32 i64 u8 u16 u32 u64 f16 bf16 f32 f64 e4m3 e5m2 bool. Quote brackets for the shell.

exit status: 0 fine; 1 stopped by a fault, or something was found; 2 a command, file or launch that
is not possible.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] not in COMMANDS:
        _overview().parse_args(words or ["--help"])  # shows help, or refuses, and leaves
        return UNUSABLE
    options = _parser(words[0]).parse_intermixed_args(words[1:])
    from emulator.command.commands import check, profile, run

    command: Callable[[argparse.Namespace], int] = {"run": run, "profile": profile, "check": check}[
        words[0]
    ]
    try:
        status = command(options)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # the reader of our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNUSABLE
    except (DeviceFault, LaunchTimeout) as error:
        return _complain(str(error), FOUND)
    except (UsageError, EmulatorError) as error:
        return _complain(str(error), UNUSABLE)
    except OSError as error:
        return _complain(f"{error.filename or ''}: {error.strerror or error}", UNUSABLE)
    except MemoryError as error:
        return _complain(str(error) or "this machine has not enough memory", UNUSABLE)
    except RecursionError:
        return _complain("the file is nested too deeply to be read", UNUSABLE)
    except KeyboardInterrupt:
        return _complain("stopped", 130)


def _complain(message: str, status: int) -> int:
    sys.stdout.flush()
    print(f"emulator: {message}", file=sys.stderr)
    return status


class _Parser(argparse.ArgumentParser):
    """Says what is wrong and where help is, without a screen of options first."""

    def error(self, message: str) -> NoReturn:
        self.exit(UNUSABLE, f"emulator: {message}\nSee `{self.prog} --help`.\n")


def _overview() -> argparse.ArgumentParser:
    parser = _Parser(
        prog=PROGRAM,
        description="Run CUDA kernels on the CPU, with a GPU's counters and checks.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, what in COMMANDS.items():
        commands.add_parser(name, help=what)
    return parser


def _parser(command: str) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=f"{PROGRAM} {command}",
        description=f"{COMMANDS[command][0].upper()}{COMMANDS[command][1:]}.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="CUDA C++ (.cu) or PTX (.ptx)")
    parser.add_argument(
        "arguments", nargs="*", default=[], metavar="ARG", help="the kernel's arguments"
    )

    launch = parser.add_argument_group("the launch")
    launch.add_argument("--kernel", metavar="NAME", help="may be left out where there is one")
    launch.add_argument("--grid", type=_shape, metavar="X,Y,Z", help="blocks")
    launch.add_argument("--block", type=_shape, metavar="X,Y,Z", help="threads of a block")
    launch.add_argument(
        "--shared", type=_bytes, default=0, metavar="BYTES", help="dynamic shared memory (or 16K)"
    )
    launch.add_argument("--arch", choices=ARCHS, default="h100", help="the chip that is modelled")
    launch.add_argument(
        "--seed", type=_natural, default=0, metavar="N", help="of random inputs (default 0)"
    )
    launch.add_argument(
        "--shuffle", type=_natural, metavar="N",
        help="draw what hardware leaves open (the order of blocks and warps) from this seed",
    )  # fmt: skip
    launch.add_argument(
        "--cores", type=_natural, metavar="N", help="of this machine's, to share the blocks (all)"
    )
    launch.add_argument(
        "--cluster", type=_shape, metavar="X,Y,Z",
        help="blocks of a thread block cluster (as the kernel was compiled)",
    )  # fmt: skip
    launch.add_argument(
        "--cooperative", action="store_true", help="all blocks at once: for grid-wide barriers"
    )
    launch.add_argument(
        "--async", choices=MODES, default="late", dest="async_copies",
        help="when asynchronous copies arrive: late (default) shows copies not waited for",
    )  # fmt: skip
    launch.add_argument(
        "--timeout", type=_seconds, metavar="SECONDS", help="stop the kernel after that long"
    )

    compiling = parser.add_argument_group("compiling C++")
    compiling.add_argument("-D", "--define", action="append", default=[], metavar="NAME[=VALUE]")
    compiling.add_argument(
        "-I", "--include", action="append", default=[], type=Path, metavar="FOLDER"
    )
    compiling.add_argument("--std", "-std", metavar="c++20", help="C++17 by default")
    compiling.add_argument(
        "-X", "--option", action="append", default=[], metavar="OPTION",
        help="for NVRTC as it stands: -X=-use_fast_math",
    )  # fmt: skip

    output = parser.add_argument_group("what comes out")
    output.add_argument(
        "--print", type=_natural, default=8, metavar="N", dest="elements",
        help="elements to show of each changed array (default 8; 0 shows none)",
    )  # fmt: skip
    output.add_argument(
        "--show", action="append", default=[], metavar="NAME", help="this array too, or all"
    )
    output.add_argument(
        "--save", action="append", default=[], type=_saving, metavar="NAME=FILE.npy",
        help="write an array to a file after the run",
    )  # fmt: skip
    output.add_argument("--json", action="store_true", help="one JSON document on standard output")
    if command == "profile":
        output.add_argument("--html", type=Path, metavar="FILE", help="a page with the source")
    if command == "check":
        output.add_argument(
            "--tool", type=_tools, default=CHECKS, metavar="NAME,...",
            help=f"only these of {', '.join(CHECKS)}",
        )  # fmt: skip
    output.add_argument("--quiet", action="store_true", help="no progress")
    return parser


def _shape(text: str) -> Dim3:
    words = text.lower().strip("()").replace("x", ",").split(",")
    if not 1 <= len(words) <= 3 or not all(w.strip().isdecimal() for w in words):
        raise argparse.ArgumentTypeError(f"{text!r} is not one to three numbers, such as 8 or 8,4")
    if any(len(w) > 12 for w in words):
        raise argparse.ArgumentTypeError(f"{text!r} is beyond what any GPU launches")
    x, y, z = (*(int(w) for w in words), 1, 1)[:3]
    return x, y, z


def _bytes(text: str) -> int:
    scale = 1024 if text[-1:] in "kK" and text else 1
    digits = text[:-1] if scale > 1 else text
    if not digits.isdecimal() or len(digits) > 12:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of bytes, such as 4096 or 16K")
    return int(digits) * scale


def _natural(text: str) -> int:
    if not text.isdecimal() or len(text) > 18:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time in seconds, such as 2.5")
    return seconds


def _saving(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not name or not equals or not path.endswith(".npy"):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=FILE.npy")
    return name, Path(path)


def _tools(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(word.strip() for word in text.split(",")))
    wrong = [name for name in names if name not in CHECKS]
    if wrong:
        raise argparse.ArgumentTypeError(f"{wrong[0]!r} is none of {', '.join(CHECKS)}")
    return names
