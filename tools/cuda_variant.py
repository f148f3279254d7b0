"""Which packages a machine gets: those for CUDA 12 or for CUDA 13, with or without CuPy.

Standard library alone: this runs before anything is installed (see set_up.py).
"""

import ctypes
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

OLDEST_CUDA = 12  # of the driver; below, the GPU cannot be used
NEWEST_CUDA = 13  # of the packages; a newer driver runs them, and so does no driver at all


@dataclass(frozen=True)
class Variant:
    """The optional dependencies of pyproject.toml that this machine gets."""

    cuda: int  # 12 or 13: major version of the CUDA packages
    gpu: bool  # CuPy too, to run kernels on a GPU
    reason: str

    @property
    def extras(self) -> tuple[str, ...]:
        """Names of the extras, as in pyproject.toml."""
        machine = (f"gpu{self.cuda}",) if self.gpu else ()
        return (f"cuda{self.cuda}", *machine, "course", "test")


def driver_cuda_version(
    load_library: Callable[[str], ctypes.CDLL] = ctypes.CDLL,
    nvidia_smi: Callable[[], str] | None = None,
) -> tuple[int, int] | None:
    """Newest CUDA version that the NVIDIA driver runs, as (major, minor); None without a driver."""
    try:
        driver = load_library("libcuda.so.1")
    except OSError:
        output = (nvidia_smi or run_nvidia_smi)()
        found = re.search(r"CUDA Version\s*:\s*(\d+)\.(\d+)", output)
        return (int(found[1]), int(found[2])) if found else None
    version = ctypes.c_int(0)
    if driver.cuDriverGetVersion(ctypes.byref(version)) != 0 or version.value <= 0:
        return None  # the toolkit's stub library, or a driver that is not loaded
    return version.value // 1000, version.value % 1000 // 10


def run_nvidia_smi() -> str:
    """Output of nvidia-smi, empty where there is none or it fails."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    try:
        done = subprocess.run([program], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def choose_variant(driver: tuple[int, int] | None, wish: str = "") -> Variant:
    """Pick the packages for a driver's CUDA version.

    `wish` is COALESCE_CUDA: "12" or "13" for the packages of that version as on a machine with
    a GPU, "none" for a machine without one, empty to go by the driver.
    """
    if wish == "none":
        return Variant(NEWEST_CUDA, gpu=False, reason="COALESCE_CUDA=none")
    if wish:
        if wish not in {"12", "13"}:
            raise ValueError(f"COALESCE_CUDA is {wish!r}; it can be 12, 13 or none.")
        return Variant(int(wish), gpu=True, reason=f"COALESCE_CUDA={wish}")
    if driver is None:
        return Variant(NEWEST_CUDA, gpu=False, reason="no NVIDIA driver found")
    found = f"the NVIDIA driver runs CUDA {driver[0]}.{driver[1]}"
    if driver[0] < OLDEST_CUDA:
        reason = f"{found}, older than {OLDEST_CUDA}.0: update the driver (525 or newer) to use it"
        return Variant(NEWEST_CUDA, gpu=False, reason=reason)
    return Variant(min(driver[0], NEWEST_CUDA), gpu=True, reason=found)


def constraints_for(text: str, variant: Variant) -> str:
    """The lines of constraints.txt for one variant, in a form that pip applies.

    A package whose version depends on the CUDA version is listed once for each, marked
    `extra == "cuda12"` or `extra == "cuda13"`. pip ignores such lines in a constraints file.
    """
    kept = []
    for line in text.splitlines():
        requirement, _, marker = (part.strip() for part in line.partition(";"))
        extra = re.fullmatch(r"""(.*?)(?: and )?extra == ["'](\w+)["']""", marker)
        if extra is None:
            kept.append(line)
        elif extra[2] in variant.extras:
            kept.append(f"{requirement} ; {extra[1]}" if extra[1] else requirement)
    return "\n".join(kept) + "\n"
