"""A notebook in JupyterLab, as a user has it before them."""

from __future__ import annotations

import time

from tests.notebooks.browser import Page
from tests.notebooks.lab_server import Server

PANEL = "[...jupyterapp.shell.widgets('main')].find(w => w.content?.widgets)"
CODE_CELLS = f"{PANEL}.content.widgets.filter(c => c.model.type === 'code')"
DONE = "c.model.executionCount !== null && c.model.executionState === 'idle'"


def open_notebook(page: Page, server: Server, path: str) -> None:
    """Show a notebook, with its kernel started and the keyboard in it."""
    page.call("Page.navigate", url=server.page(f"lab/tree/{path}"))
    page.wait_for("!!window.jupyterapp && !!document.querySelector('.jp-Notebook .jp-Cell')")
    context = f"{PANEL}?.sessionContext"
    page.wait_for(f"{context}?.isReady && {context}.session?.kernel?.status === 'idle'")
    page.click(".jp-Notebook .jp-Cell")
    page.wait_for("!!jupyterapp.shell.currentWidget")


def run_all(page: Page, seconds: float = 90.0) -> float:
    """Run all cells and wait for the last. Returns the seconds that it took."""
    started = time.monotonic()
    page.evaluate("void jupyterapp.commands.execute('runmenu:run-all')")
    page.wait_for(f"{CODE_CELLS}.every(c => {DONE})", seconds)
    return time.monotonic() - started


def errors(page: Page) -> list[str]:
    """What cells failed with."""
    found: list[str] = page.evaluate(
        f"{CODE_CELLS}.flatMap(c => c.model.outputs.toJSON())"
        ".filter(o => o.output_type === 'error').map(o => o.ename + ': ' + o.evalue)"
    )
    return found
