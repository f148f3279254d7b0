"""Set-up picks the right packages, refuses machines it cannot serve, and does nothing twice."""

from __future__ import annotations

import ast
import ctypes
import hashlib
import http.server
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import set_up
from cuda_variant import Variant, choose_variant, constraints_for, driver_cuda_version
from fetch_pip import FetchError, download_pip, pip_configuration, wheel_links


class Driver:
    """libcuda as set-up sees it."""

    def __init__(self, version: int, status: int = 0) -> None:
        self.version, self.status = version, status

    def cuDriverGetVersion(self, pointer: Any) -> int:  # noqa: N802 - the driver's name
        ctypes.cast(pointer, ctypes.POINTER(ctypes.c_int))[0] = self.version
        return self.status


def no_library(name: str) -> Any:
    raise OSError(f"{name}: cannot open shared object file")


# --- which packages


@pytest.mark.parametrize(
    ("version", "expected"),
    [(12020, (12, 2)), (12090, (12, 9)), (13000, (13, 0)), (13020, (13, 2)), (11080, (11, 8))],
)
def test_the_driver_library_says_its_cuda_version(version: int, expected: tuple[int, int]) -> None:
    assert driver_cuda_version(lambda name: Driver(version)) == expected  # type: ignore[arg-type,return-value]


def test_a_stub_of_the_driver_library_is_no_driver() -> None:
    assert driver_cuda_version(lambda name: Driver(0, status=34)) is None  # type: ignore[arg-type,return-value]


def test_without_the_library_nvidia_smi_is_asked() -> None:
    table = "| NVIDIA-SMI 580.65  Driver Version: 580.65  CUDA Version: 13.0     |"
    assert driver_cuda_version(no_library, lambda: table) == (13, 0)
    assert driver_cuda_version(no_library, lambda: "") is None


@pytest.mark.parametrize(
    ("driver", "extras"),
    [
        (None, ("cuda13", "course", "test")),
        ((11, 8), ("cuda13", "course", "test")),
        ((12, 0), ("cuda12", "gpu12", "course", "test")),
        ((12, 9), ("cuda12", "gpu12", "course", "test")),
        ((13, 0), ("cuda13", "gpu13", "course", "test")),
        ((14, 1), ("cuda13", "gpu13", "course", "test")),
    ],
)
def test_packages_follow_the_driver(
    driver: tuple[int, int] | None, extras: tuple[str, ...]
) -> None:
    assert choose_variant(driver).extras == extras


def test_an_old_driver_is_named_as_the_reason() -> None:
    assert "update the driver" in choose_variant((11, 4)).reason


@pytest.mark.parametrize(
    ("wish", "cuda", "gpu"), [("12", 12, True), ("13", 13, True), ("none", 13, False)]
)
def test_a_wish_goes_before_the_driver(wish: str, cuda: int, gpu: bool) -> None:
    variant = choose_variant((12, 4), wish)
    assert (variant.cuda, variant.gpu) == (cuda, gpu)


def test_an_unknown_wish_is_refused() -> None:
    with pytest.raises(ValueError, match="12, 13 or none"):
        choose_variant(None, "11")


def test_constraints_of_the_other_cuda_version_are_left_out() -> None:
    text = """\
# a comment
bindings==12.9 ; extra == 'cuda12'
bindings==13.5 ; extra == 'cuda13'
odd==1 ; python_version < '3.12' and extra == 'cuda12'
numpy==2.4 ; python_full_version < '3.12'
"""
    assert constraints_for(text, Variant(12, gpu=True, reason="")) == (
        "# a comment\nbindings==12.9\nodd==1 ; python_version < '3.12'\n"
        "numpy==2.4 ; python_full_version < '3.12'\n"
    )
    assert "bindings==12.9" not in constraints_for(text, Variant(13, gpu=False, reason=""))


# --- the machine


def test_a_debian_machine_is_fine() -> None:
    set_up.check_machine("Linux", "x86_64", ("glibc", "2.36"), 64)


@pytest.mark.parametrize(
    ("machine", "says"),
    [
        (("Darwin", "arm64", ("", ""), 64), "this is Darwin"),
        (("Linux", "aarch64", ("glibc", "2.36"), 64), "aarch64"),
        (("Linux", "x86_64", ("glibc", "2.36"), 32), "32 bit"),
        (("Linux", "x86_64", ("glibc", "2.17"), 64), "glibc 2.17"),
        (("Linux", "x86_64", ("", ""), 64), "another C library"),
    ],
)
def test_other_machines_are_sent_to_the_container(
    machine: tuple[str, str, tuple[str, str], int], says: str
) -> None:
    with pytest.raises(set_up.SetUpError, match=says) as error:
        set_up.check_machine(*machine)
    assert "container" in str(error.value)


def test_a_full_disk_is_seen_before_anything_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(set_up, "NEEDED_BYTES", 1 << 60)
    with pytest.raises(set_up.SetUpError, match="GiB free"):
        set_up.check_space(tmp_path)


def test_old_pythons_can_read_set_up_and_are_told_before_it_imports(repository: Path) -> None:
    tree = ast.parse((repository / "tools/set_up.py").read_text(), feature_version=(3, 7))
    _, first_import, check, *_ = tree.body
    assert ast.unparse(first_import) == "import sys"
    assert isinstance(check, ast.If) and "sys.version_info" in ast.unparse(check.test)


@pytest.mark.parametrize("name", ["set_up.py", "cuda_variant.py", "fetch_pip.py"])
def test_set_up_imports_the_standard_library_alone(repository: Path, name: str) -> None:
    own = {"cuda_variant", "fetch_pip"}
    for node in ast.walk(ast.parse((repository / "tools" / name).read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
        for imported in names:
            assert imported.partition(".")[0] in sys.stdlib_module_names | own


# --- the stamp


@pytest.fixture
def checkout(repository: Path, tmp_path: Path) -> Path:
    """A copy of what set-up reads."""
    (tmp_path / "tools").mkdir()
    for name in ("pyproject.toml", "constraints.txt", "tools/build_hook.py"):
        (tmp_path / name).write_bytes((repository / name).read_bytes())
    return tmp_path


NO_GPU = Variant(13, gpu=False, reason="a test")


def leave_stamp(checkout: Path, variant: Variant) -> None:
    python = checkout / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.touch()
    stamp = set_up.Stamp(set_up.fingerprint(checkout, variant), str(checkout), variant.cuda)
    stamp.write(checkout / ".venv/set-up.json")


def test_a_current_environment_is_left_alone(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_stamp(checkout, NO_GPU)
    monkeypatch.setattr(set_up, "run", lambda *a, **k: pytest.fail("ran something"))
    set_up.set_up(checkout, NO_GPU)


@pytest.mark.parametrize("changed", ["pyproject.toml", "constraints.txt", "tools/build_hook.py"])
def test_a_change_to_what_was_installed_from_calls_for_set_up(checkout: Path, changed: str) -> None:
    before = set_up.fingerprint(checkout, NO_GPU)
    with (checkout / changed).open("a") as file:
        file.write("\n# changed\n")
    assert set_up.fingerprint(checkout, NO_GPU) != before


def test_a_driver_that_appears_calls_for_set_up(checkout: Path) -> None:
    before = set_up.fingerprint(checkout, NO_GPU)
    assert set_up.fingerprint(checkout, Variant(13, gpu=True, reason="")) != before
    assert set_up.fingerprint(checkout, Variant(12, gpu=True, reason="")) != before


def test_a_failed_installation_shows_pips_words_and_leaves_no_stamp(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing_pip(command: list[str], log: Path, show: bool) -> bool:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("ERROR: Could not find a version that satisfies numpy\n")
        return "--version" in command

    monkeypatch.setattr(set_up, "run", failing_pip)
    leave_stamp(checkout, Variant(12, gpu=True, reason=""))
    monkeypatch.setattr(set_up, "make_virtual_environment", lambda folder: None)
    with pytest.raises(set_up.SetUpError, match="Could not find a version") as error:
        set_up.set_up(checkout, NO_GPU)
    assert "index-url" in str(error.value)
    assert not (checkout / ".venv/set-up.json").exists()


def test_a_damaged_stamp_is_no_stamp(tmp_path: Path) -> None:
    for text in ("", "{", '{"fingerprint": "x"}', "[]", '{"a": 1}'):
        (tmp_path / "stamp").write_text(text)
        assert set_up.Stamp.read(tmp_path / "stamp") is None


def test_pip_is_not_sent_elsewhere_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_TARGET", "/elsewhere")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("PIP_INDEX_URL", "https://example.org/simple")
    environment = set_up.clean_environment()
    assert "PIP_TARGET" not in environment and "PYTHONPATH" not in environment
    assert environment["PIP_INDEX_URL"] == "https://example.org/simple"


# --- a Python without pip


WHEEL = b"not really a wheel"
NAME = "pip-26.3-py3-none-any.whl"


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package index on this machine; yields the folder of its page for pip."""
    folder = tmp_path / "simple" / "pip"
    folder.mkdir(parents=True)
    (folder / NAME).write_bytes(WHEEL)
    handler = partial(QuietHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/simple/")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield folder
        server.shutdown()
        thread.join()


def list_wheel(folder: Path, sha256: str) -> None:
    (folder / "index.html").write_text(
        f'<html><a href="pip-9.0-py3-none-any.whl">old</a> <a data-x="1" href="{NAME}'
        f'#sha256={sha256}" data-requires-python="&gt;=3.9">{NAME}</a></html>'
    )


def test_pip_is_fetched_from_the_configured_index(index: Path, tmp_path: Path) -> None:
    list_wheel(index, hashlib.sha256(WHEEL).hexdigest())
    wheel = download_pip("26.3", tmp_path)
    assert wheel.name == NAME
    assert wheel.read_bytes() == WHEEL


def test_a_damaged_pip_is_refused(index: Path, tmp_path: Path) -> None:
    list_wheel(index, "0" * 64)
    with pytest.raises(FetchError, match="damaged"):
        download_pip("26.3", tmp_path)


def test_an_index_without_that_pip_is_named(index: Path, tmp_path: Path) -> None:
    list_wheel(index, "")
    with pytest.raises(FetchError, match=r"/simple/pip/ does not list pip-99\.0"):
        download_pip("99.0", tmp_path)


def test_an_index_out_of_reach_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(FetchError, match=r"127\.0\.0\.1:9/simple/pip/ could not be read"):
        download_pip("26.3", tmp_path)


def test_links_of_a_json_index_are_read() -> None:
    page = '{"files": [{"url": "../../files/pip-26.3.whl", "hashes": {"sha256": "ab"}}]}'
    links = list(wheel_links(page, "application/vnd.pypi.simple.v1+json", "https://x/simple/pip/"))
    assert links == [("https://x/files/pip-26.3.whl", "ab")]


def test_pips_own_settings_are_read_from_files_and_then_from_variables(tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text("[global]\nindex_url = https://file/simple\ncert = /file.pem\n")
    environment = {"PIP_CONFIG_FILE": str(file), "HOME": str(tmp_path)}
    assert pip_configuration(environment)["index-url"] == "https://file/simple"
    environment["PIP_INDEX_URL"] = "https://variable/simple"
    assert pip_configuration(environment)["index-url"] == "https://variable/simple"
    assert pip_configuration(environment)["cert"] == "/file.pem"
