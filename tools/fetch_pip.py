"""Fetch pip's wheel without pip, from the package index that pip is configured with.

Standard library alone: this runs before anything is installed (see set_up.py).
"""

import configparser
import hashlib
import html
import json
import os
import re
import ssl
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path


class FetchError(Exception):
    """pip could not be fetched. The message says from where, and what went wrong."""


def pip_configuration(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """pip's own settings (`index-url`, `cert`, ...) from its files and environment variables."""
    home = Path(environment.get("HOME", "~")).expanduser()
    files = [
        *(
            Path(d) / "pip/pip.conf"
            for d in environment.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":")
        ),
        Path("/etc/pip.conf"),
        home / ".pip/pip.conf",
        Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "pip/pip.conf",
        Path(sys.prefix) / "pip.conf",
    ]
    if named := environment.get("PIP_CONFIG_FILE"):
        files = [] if named == os.devnull else [*files, Path(named)]
    parser = configparser.RawConfigParser()
    parser.read(files, encoding="utf-8")
    settings: dict[str, str] = {}
    for section in ("global", "install"):
        if parser.has_section(section):
            settings |= {key.replace("_", "-"): value for key, value in parser.items(section)}
    for name, value in environment.items():
        if name.startswith("PIP_") and value:
            settings[name[4:].lower().replace("_", "-")] = value
    return settings


def wheel_links(page: str, content_type: str, url: str) -> Iterator[tuple[str, str]]:
    """(address, sha256 or "") of each file on a package's page of an index (PEP 503 or 691)."""
    if "json" in content_type:
        for file in json.loads(page)["files"]:
            yield urllib.parse.urljoin(url, file["url"]), file.get("hashes", {}).get("sha256", "")
        return
    for link in re.findall(r"""<a\s[^>]*?href\s*=\s*["']([^"']+)["']""", page, re.IGNORECASE):
        address, _, fragment = urllib.parse.urljoin(url, html.unescape(link)).partition("#")
        yield address, fragment.removeprefix("sha256=") if "sha256=" in fragment else ""


def download_pip(version: str, folder: Path) -> Path:
    """Fetch pip's wheel from the package index that pip would use, with no pip to do it."""
    settings = pip_configuration()
    index = settings.get("index-url", "https://pypi.org/simple").rstrip("/")
    url = f"{index}/pip/"
    wanted = f"pip-{version}-py3-none-any.whl"
    context = ssl.create_default_context(cafile=settings.get("cert"))
    accept = {"Accept": "application/vnd.pypi.simple.v1+json, text/html;q=0.5"}
    try:
        request = urllib.request.Request(url, headers=accept)
        with urllib.request.urlopen(request, timeout=60, context=context) as page:
            text, kind = page.read().decode(), page.headers.get("Content-Type", "text/html")
        for address, sha256 in wheel_links(text, kind, url):
            name = urllib.parse.unquote(address.rsplit("/", 1)[-1])
            if name != wanted:
                continue
            with urllib.request.urlopen(address, timeout=60, context=context) as body:
                wheel = body.read()
            if sha256 and hashlib.sha256(wheel).hexdigest() != sha256:
                raise FetchError(f"{address} is damaged: its SHA-256 is not {sha256}.")
            path = folder / name
            path.write_bytes(wheel)
            return path
    except (OSError, ValueError) as error:
        raise FetchError(f"{url} could not be read: {error}") from error
    raise FetchError(f"{url} does not list {wanted}.")
