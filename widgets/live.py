"""Interactive where a kernel is live, static HTML everywhere else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Live:
    """A widget with a stand-in.

    A front end shows the widget while its kernel runs; nbconvert, a printed page or a viewer
    without widgets shows the HTML instead.

    ``nbconvert --execute`` keeps the widgets' state, and its page then wants their scripts from the
    network; with ``--ExecutePreprocessor.store_widget_state=False`` it takes the HTML.
    """

    def __init__(self, widget: Any, static: Callable[[], str]) -> None:
        self.widget = widget
        self.static = static

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        bundle: dict[str, Any] = self.widget._repr_mimebundle_()
        return {**bundle, "text/plain": type(self).__name__, "text/html": self.static()}


class Html:
    """HTML to display, with words for where HTML is not shown."""

    def __init__(self, html: str, text: str) -> None:
        self.html = html
        self.text = text

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return self.text
