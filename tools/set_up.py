"""Set up .venv: a virtual environment with everything the course needs.

    python3 tools/set_up.py             set up, if anything changed since the last time
    python3 tools/set_up.py --variant   only say which packages this machine gets

Uses the standard library alone, because it runs before anything is installed. What happens:

1. the machine is checked: Python 3.11 to 3.14, Linux on x86-64, GNU C library;
2. the NVIDIA driver, if there is one, decides which CUDA packages are installed;
3. .venv is made, with pip in it, also where Python came without pip;
4. pip installs the course and what it needs, at the versions in constraints.txt, as wheels only:
   no compiler is needed;
5. a stamp is left, so that the next call has nothing to do until one of these changes.

Nothing outside the repository's folder is written, apart from pip's own cache.
The course itself downloads nothing later.
"""

import sys

if not (3, 11) <= sys.version_info < (3, 15):
    sys.exit(
        f"Coalesce needs Python 3.11 to 3.14, and {sys.executable} is {sys.version.split()[0]}.\n"
        "Install one of them and name it:  make start PYTHON=python3.13"
    )

import fcntl
import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from cuda_variant import Variant, choose_variant, constraints_for, driver_cuda_version
from fetch_pip import FetchError, download_pip

ROOT = Path(__file__).resolve().parent.parent
OLDEST_GLIBC = (2, 28)  # what the wheels are built for
NEEDED_BYTES = 5 << 29  # .venv takes 1.4 GB, 0.5 GB more with CuPy


class SetUpError(Exception):
    """Set-up cannot go on. The message says what was found and what to do."""


# --------------------------------------------------------------------------- the machine


def check_machine(system: str, machine: str, libc: tuple[str, str], pointer_bits: int) -> None:
    """Raise SetUpError, with the way out, where the course cannot run."""
    container = "Use the course's container instead: see 'On a Mac or on Windows' in README.md."
    if system != "Linux":
        raise SetUpError(f"Coalesce runs on Linux, and this is {system}.\n{container}")
    if machine not in {"x86_64", "amd64", "AMD64"} or pointer_bits != 64:
        raise SetUpError(
            f"Coalesce runs on 64-bit x86, and this Python is for {machine} ({pointer_bits} bit)."
            f"\n{container}"
        )
    name, version = libc
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if name != "glibc" or numbers < OLDEST_GLIBC:
        oldest = ".".join(map(str, OLDEST_GLIBC))
        found = f"{name or 'another C library'} {version}".strip()
        raise SetUpError(
            f"The packages need the GNU C library {oldest} or newer, and this system has {found}."
            f"\n{container}"
        )


def check_space(folder: Path) -> None:
    """Raise SetUpError when the disk is too full for .venv."""
    free = shutil.disk_usage(folder).free
    if free < NEEDED_BYTES:
        raise SetUpError(
            f"{folder} has {free / 2**30:.1f} GiB free, and {NEEDED_BYTES / 2**30:.1f} needed.\n"
            "Free some space, or clone the repository to a larger disk."
        )


# --------------------------------------------------------------------------- the stamp


def fingerprint(root: Path, variant: Variant) -> str:
    """Changes whenever an installed .venv no longer fits the repository or the machine."""
    digest = hashlib.sha256()
    for path in (root / "pyproject.toml", root / "constraints.txt", root / "tools/build_hook.py"):
        digest.update(path.read_bytes())
    digest.update(json.dumps([str(root), variant.extras]).encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class Stamp:
    """What is installed in .venv, as left there by the last complete set-up."""

    fingerprint: str
    root: str
    cuda: int

    @staticmethod
    def read(path: Path) -> "Stamp | None":
        """The stamp in a file; None when it is missing or not understood."""
        try:
            return Stamp(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, path: Path) -> None:
        """Write the stamp, at once or not at all."""
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(self)) + "\n")
        partial.replace(path)


# --------------------------------------------------------------------------- pip


def clean_environment() -> dict[str, str]:
    """The process's environment without what would send pip elsewhere than into .venv."""
    dropped = {"PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_PYTHON"}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return kept | {"PIP_USER": "0", "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def run(command: list[str], log: Path, show: bool) -> bool:
    """Run a command with its output in `log`; with `show`, also what pip is fetching."""
    terminal = show and sys.stdout.isatty()
    fetched = 0
    with log.open("a") as file:
        file.write("$ " + " ".join(command) + "\n")
        file.flush()
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=clean_environment(),
            cwd=ROOT,
        )
        assert process.stdout is not None
        for line in process.stdout:
            file.write(line)
            if not show:
                continue
            if line.startswith(("Collecting ", "Processing ")):
                fetched += 1
                package = re.split(r"[<>=!~;\[( ]", line.split()[1])[0].rsplit("/", 1)[-1]
                if terminal:
                    print(f"\r\033[K  {fetched}: {package}", end="", flush=True)
                elif fetched % 20 == 0:
                    print(f"  {fetched} packages ...", flush=True)
            elif fetched and line.startswith("Installing collected packages"):
                print(("\r\033[K" if terminal else "") + f"  installing {fetched} packages")
        return process.wait() == 0


def put_pip_in(python: Path, version: str, log: Path) -> None:
    """Give a virtual environment its pip, by whichever way this Python allows.

    Debian and Ubuntu pack ensurepip (python3-venv) and pip (python3-pip) apart from python3,
    so both may be missing.
    """
    if run([str(python), "-m", "ensurepip"], log, show=False):
        return
    if importlib.util.find_spec("pip") is not None:
        command = [sys.executable, "-m", "pip", "--python", str(python), "install", "pip"]
        if run(command, log, show=False):
            return
    say("fetching pip, which this Python came without")
    reason = f"its wheel did not install, see {log}"
    try:
        with tempfile.TemporaryDirectory() as folder:
            wheel = str(download_pip(version, Path(folder)))
            offline = ["--no-index", "--no-deps"]
            if run([str(python), f"{wheel}/pip", "install", *offline, wheel], log, show=False):
                return
    except FetchError as error:
        reason = str(error)
    raise SetUpError(
        f"This Python has no pip, and pip could not be fetched:\n  {reason}\n"
        "Check the network and pip's index-url, or install pip's package:\n"
        "  Debian, Ubuntu:  sudo apt install python3-venv\n"
        "  Fedora, RHEL:    sudo dnf install python3-pip\n"
        "Then run the same command again."
    )


# --------------------------------------------------------------------------- the steps


def say(text: str) -> None:
    """Print one step."""
    print(f"[set-up] {text}", flush=True)


def works(python: Path) -> bool:
    """Whether a virtual environment's interpreter runs and fits."""
    check = (
        "import sys; fits = (3, 11) <= sys.version_info < (3, 15)\n"
        "sys.exit(not fits or sys.prefix == sys.base_prefix)"
    )
    try:
        return subprocess.run([python, "-c", check], env=clean_environment()).returncode == 0
    except OSError:
        return False


def make_virtual_environment(folder: Path) -> None:
    """Make an empty virtual environment, without pip."""
    try:
        import venv
    except ImportError as error:
        raise SetUpError(
            "This Python comes without the standard module venv. Install the rest of it:\n"
            "  Debian, Ubuntu:  sudo apt install python3-venv"
        ) from error
    venv.EnvBuilder(clear=True, symlinks=True, with_pip=False, prompt="coalesce").create(folder)


def set_up(root: Path, variant: Variant) -> None:
    """Bring root/.venv up to date; return at once when it is."""
    folder = root / ".venv"
    python = folder / "bin" / "python"
    stamp_file = folder / "set-up.json"
    log = folder / "set-up.log"
    wanted = Stamp(fingerprint(root, variant), str(root), variant.cuda)
    before = Stamp.read(stamp_file)
    if before == wanted and python.exists():
        return

    started = time.monotonic()
    version = platform.python_version()
    say(f"Python {version}; {variant.reason}: CUDA {variant.cuda} packages")
    moved = before is not None and (before.root, before.cuda) != (wanted.root, wanted.cuda)
    if moved or not works(python):
        check_space(root)
        say("making .venv")
        make_virtual_environment(folder)
    stamp_file.unlink(missing_ok=True)

    text = (root / "constraints.txt").read_text()
    pinned = re.search(r"^pip==(\S+)", text, re.MULTILINE)
    if pinned is None:
        raise SetUpError("constraints.txt does not pin pip: run `git checkout constraints.txt`.")
    if not run([str(python), "-m", "pip", "--version"], log, show=False):
        put_pip_in(python, pinned[1], log)

    constraints = folder / "constraints.txt"
    constraints.write_text(constraints_for(text, variant))
    install = [str(python), "-m", "pip", "install", "--constraint", str(constraints)]
    say("fetching packages (about 400 MB the first time; minutes on a slow network)")
    for what, show in (
        (["pip", "hatchling"], False),
        (["--no-build-isolation", "--editable", f"{root}[{','.join(variant.extras)}]"], True),
    ):
        if not run([*install, "--only-binary", ":all:", *what], log, show):
            tail = "\n".join("  " + line for line in log.read_text().splitlines()[-15:])
            raise SetUpError(
                f"pip could not install the packages. The end of {log}:\n\n{tail}\n\n"
                "If that speaks of a connection or a missing version, check the network and pip's\n"
                "index-url (`pip config list`), then run the same command again: it goes on from\n"
                "what pip has in its cache. `make clean` starts afresh."
            )
    wanted.write(stamp_file)
    say(f"done in {time.monotonic() - started:.0f} s")


def main() -> int:
    """Set up, or with --variant say what would be installed; 0 when all is well."""
    try:
        variant = choose_variant(driver_cuda_version(), os.environ.get("COALESCE_CUDA", ""))
        if sys.argv[1:] == ["--variant"]:
            print(f"{','.join(variant.extras)} ({variant.reason})")
            return 0
        if sys.argv[1:]:
            raise SetUpError(f"unknown arguments {sys.argv[1:]}; there is only --variant")
        check_machine(
            platform.system(),
            platform.machine(),
            platform.libc_ver(),
            64 if sys.maxsize > 2**32 else 32,
        )
        with (ROOT / "pyproject.toml").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two makes at a time: the second waits
            set_up(ROOT, variant)
    except (SetUpError, ValueError) as error:
        print(f"[set-up] {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"[set-up] {error}\nIs {ROOT} yours to write in?", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\n[set-up] stopped; the next run goes on from here", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
