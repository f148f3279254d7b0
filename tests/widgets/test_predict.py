from __future__ import annotations

import pytest

from widgets.predict import Prediction, predict, predictions


def asked(answer: float = 16.0) -> Prediction:
    return predict("How many sectors?", "a request", lambda: answer, because="Four a float4.")


def type_and_commit(prediction: Prediction, text: str) -> str:
    prediction.entry.value = text
    prediction.button.click()
    return str(prediction.reveal.value)


def test_the_answer_is_not_worked_out_before_the_reader_commits() -> None:
    def answer() -> float:
        raise AssertionError("too early")

    prediction = predict("?", "sectors", answer, because="")
    assert prediction.reveal.value == ""
    with pytest.raises(AssertionError, match="too early"):
        prediction.commit(3)


def test_committing_shows_both_numbers_and_the_reason() -> None:
    prediction = asked()
    shown = type_and_commit(prediction, "4")
    assert prediction.committed == 4
    for part in ("<b>4</b>", "<b>16</b>", "4 times too low", "Four a float4."):
        assert part in shown
    assert prediction.entry.disabled and prediction.button.disabled


@pytest.mark.parametrize(
    ("guess", "word"),
    [("16", "Exactly right"), ("15", "Close"), ("32", "2 times too high"), ("-1", "Not so")],
)
def test_how_far_off_is_said_in_words(guess: str, word: str) -> None:
    assert word in type_and_commit(asked(), guess)


@pytest.mark.parametrize("text", ["", "  ", "four", "<b>", "nan", "inf"])
def test_what_is_no_number_is_refused_and_nothing_is_given_away(text: str) -> None:
    prediction = asked()
    shown = type_and_commit(prediction, text)
    assert prediction.committed is None
    assert "type one" in shown and "16" not in shown and "<b>" not in shown
    assert not prediction.button.disabled


def test_the_first_number_stays() -> None:
    prediction = asked()
    prediction.commit(3)
    prediction.commit(16)
    assert prediction.committed == 3


def test_thousands_may_be_marked() -> None:
    prediction = asked(12_000)
    assert "Exactly right" in type_and_commit(prediction, "12,000")


def test_without_a_live_front_end_the_answer_is_folded_away() -> None:
    html = asked()._repr_mimebundle_()["text/html"]
    assert html.index("How many sectors?") < html.index("<details>") < html.index("<b>16</b>")


def test_the_recap_hides_answers_to_what_was_not_answered() -> None:
    first, second = asked(), asked(99.0)
    first.commit(8)
    recap = predictions([first, second])
    assert "2 times too low" in recap.html and "16" in recap.html
    assert "99" not in recap.html and "99" not in recap.text
    assert "go back and commit" in recap.html
