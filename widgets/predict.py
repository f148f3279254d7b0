"""Predict before you measure: a number committed to, then the answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import ipywidgets

from widgets.live import Html, Live
from widgets.look import BLUE, GREEN, ORANGE, TEXT, box, significant, table

EXACT = 0.01  # relative difference that still counts as exact
CLOSE = 0.15


class Prediction(Live):
    """A question with a number for an answer, which shows itself once the reader has committed.

    ``committed`` is the reader's number, None until then. The answer is computed on demand, so
    that a counter or a clock gives it and not the text.
    """

    def __init__(
        self, question: str, unit: str, answer: Callable[[], float], because: str, source: str
    ) -> None:
        self.question = question
        self.unit = unit
        self.because = because
        self.source = source
        self.committed: float | None = None
        self._compute = answer
        self._answer: float | None = None
        self.entry = ipywidgets.Text(
            placeholder="your number",
            layout=ipywidgets.Layout(width="130px"),
            continuous_update=True,
        )
        self.entry.add_class("coalesce-prediction")
        self.button = ipywidgets.Button(
            description="Commit", button_style="primary", tooltip="Commit, then see the answer"
        )
        self.button.on_click(self._on_click)
        self.reveal = ipywidgets.HTML()
        super().__init__(
            ipywidgets.VBox(
                [
                    ipywidgets.HTML(_asked(question)),
                    ipywidgets.HBox(
                        [self.entry, ipywidgets.HTML(_plain(unit)), self.button],
                        layout=ipywidgets.Layout(align_items="center"),
                    ),
                    self.reveal,
                ],
                layout=ipywidgets.Layout(margin="8px 0"),
            ),
            self._static,
        )

    @property
    def answer(self) -> float:
        """The true number."""
        if self._answer is None:
            self._answer = float(self._compute())
        return self._answer

    def commit(self, number: float) -> None:
        """Take the reader's number and show the answer. The first number stays."""
        if self.committed is not None:
            return
        self.committed = number
        self.entry.disabled = self.button.disabled = True
        self.reveal.value = self._revealed()

    def _on_click(self, _: Any) -> None:
        text = self.entry.value.strip().replace(",", "")
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            said = f"“{text}” is not a number" if text else "There is no number yet"
            self.reveal.value = box(f"{escape(said)}: type one, such as 4 or 12.5.", ORANGE)
            return
        self.commit(number)

    def _revealed(self) -> str:
        assert self.committed is not None
        word, colour = _compare(self.committed, self.answer)
        return box(
            f"You said <b>{significant(self.committed)}</b>; {escape(self.source)} "
            f"<b>{significant(self.answer)}</b> {escape(self.unit)}. <b>{word}.</b> "
            f"{escape(self.because)}",
            colour,
        )

    def _static(self) -> str:
        return (
            f"{_asked(self.question)}<details><summary>Decide on a number, then open</summary>"
            + box(
                f"{escape(self.source)} <b>{significant(self.answer)}</b> {escape(self.unit)}. "
                f"{escape(self.because)}",
                BLUE,
            )
            + "</details>"
        )


def predict(
    question: str,
    unit: str,
    answer: Callable[[], float],
    *,
    because: str,
    source: str = "the counters say",
) -> Prediction:
    """Ask for a number; show ``answer()``, and ``because``, after the reader has committed.

    Raises nothing when nobody answers: a notebook runs on from top to bottom.
    """
    return Prediction(question, unit, answer, because, source)


def predictions(asked: Sequence[Prediction]) -> Html:
    """The reader's numbers beside the answers, for a recap. Unanswered ones keep their answer."""
    rows, lines = [], []
    for one in asked:
        if one.committed is None:
            yours, truth, word = "no number yet", "", "go back and commit"
        else:
            yours, truth = significant(one.committed), significant(one.answer)
            word = _compare(one.committed, one.answer)[0]
        rows.append([escape(one.question), yours, truth, escape(one.unit), word])
        lines.append(f"{one.question} yours: {yours}; answer: {truth or 'hidden'} {one.unit}")
    head = ["Question", "You", "Answer", "", ""]
    return Html(table(head, rows, numbers=(1, 2)), "\n".join(lines))


def _compare(guess: float, truth: float) -> tuple[str, str]:
    if abs(guess - truth) <= EXACT * abs(truth):
        return "Exactly right", GREEN
    if abs(guess - truth) <= CLOSE * abs(truth):
        return "Close", GREEN
    if guess <= 0 or truth <= 0:
        return "Not so", ORANGE
    factor = significant(max(guess / truth, truth / guess), 2)
    return f"{factor} times too {'high' if guess > truth else 'low'}", ORANGE


def _asked(question: str) -> str:
    return f'<div style="color: {TEXT}; font-size: 105%"><b>Predict.</b> {escape(question)}</div>'


def _plain(text: str) -> str:
    return f'<span style="color: {TEXT}">{escape(text)}</span>'
