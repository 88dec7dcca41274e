"""DocVQA: ANLS, and which replies count at all."""

from __future__ import annotations

import json

import pytest

from reassess.benchmarks import docvqa
from reassess.benchmarks.item import PUBLISHED, Item, Row

CASES = [
    # reply, accepted answers, ANLS, why
    ("ITC", ["ITC"], 1.0, "equal"),
    (" itc ", ["ITC"], 1 - 0 / 5, "case and white space at the ends do not matter"),
    ("May  5", ["May 5"], 1.0, "runs of white space are a blank"),
    ("5 May 1990", ["May 5, 1990", "5 May 1990"], 1.0, "the nearest answer"),
    ("Mat 5", ["May 5"], 0.8, "one of five characters"),
    ("abcd", ["abxy"], 0.5, "half is enough"),
    ("abc", ["axyz"], 0.0, "less is not"),
    ("", ["ITC"], 0.0, "an empty reply"),
    ("The answer is ITC", ["ITC"], 0.0, "a sentence"),
]


@pytest.mark.parametrize(("reply", "answers", "anls", "why"), CASES, ids=[case[3] for case in CASES])
def test_anls(reply: str, answers: list[str], anls: float, why: str) -> None:
    gold = json.dumps(answers)
    outcome = docvqa.judge(Item(reply, gold))
    assert outcome.correct is (anls > 0), why
    row = Row("", outcome.correct, {PUBLISHED: {"gold": gold}}, outcome.answer)
    assert docvqa.summary([row])["anls"] == pytest.approx(anls), why


def test_the_summary_is_a_mean_and_no_list_is_one_answer() -> None:
    rows = [Row("", True, {PUBLISHED: {"gold": gold}}, "abcd") for gold in ('["abcd"]', "abxy", "[abcd", "")]
    assert docvqa.summary(rows)["anls"] == pytest.approx((1 + 0.5 + 0.8 + 0) / 4)
    assert docvqa.summary([Row("", False)])["anls"] == 1.0, "nothing for nothing, as in the original"
    assert docvqa.summary([]) == {}
