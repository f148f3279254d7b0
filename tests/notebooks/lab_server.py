"""JupyterLab on a free port, for the time of a test."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Server:
    """A running server."""

    url: str  # ends with /
    token: str

    def get(self, path: str) -> Any:
        """The JSON that the server's API gives."""
        request = urllib.request.Request(
            self.url + path, headers={"Authorization": f"token {self.token}"}
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def page(self, path: str) -> str:
        """The address of a page, with what lets one in."""
        return f"{self.url}{path}?token={self.token}"


@contextmanager
def serve(root: Path, scratch: Path, seconds: float = 60.0) -> Iterator[Server]:
    """JupyterLab over ``root``; its settings and workspaces go to ``scratch``."""
    token = secrets.token_hex(16)
    home = scratch / "home"
    home.mkdir()
    environment = {
        **os.environ,
        "HOME": str(home),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "IPYTHONDIR": str(home / "ipython"),
    }
    log = scratch / "jupyterlab.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root",
             "--ServerApp.ip=127.0.0.1", "--ServerApp.port=0", "--ServerApp.port_retries=0",
             f"--ServerApp.root_dir={root}", f"--IdentityProvider.token={token}",
             "--LabApp.expose_app_in_browser=True"],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        yield Server(_url(process, home / "runtime", log, seconds), token)
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _url(process: subprocess.Popen[bytes], runtime: Path, log: Path, seconds: float) -> str:
    """The address that the server writes down when it listens."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert process.poll() is None, f"JupyterLab ended at once:\n{log.read_text()}"
        for file in runtime.glob("jpserver-*.json"):
            try:
                url = str(json.loads(file.read_text())["url"])
                urllib.request.urlopen(url + "api", timeout=5).close()
            except (ValueError, OSError):
                continue  # half written, or not listening yet
            return url
        time.sleep(0.1)
    raise AssertionError(f"JupyterLab did not listen within {seconds:g} s:\n{log.read_text()}")
