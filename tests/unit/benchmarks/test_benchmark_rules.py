"""What all official rules have in common."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import reassess.benchmarks
from reassess.benchmarks import KNOWN, module
from reassess.benchmarks.item import Item, Outcome, Row
from reassess.benchmarks.rules import RuleError, apply, missing_metadata, read_answers, request_key

RULES = tuple(KNOWN)
REPLIES = [
    "",
    "B",
    "(B)",
    "Answer: B",
    "\\boxed{5}",
    "5",
    "yes",
    "no",
    "#### 5",
    "x" * 5000,
    "{" * 200,
    "\ud800",
    "5\n6",
]
GOLDS = ["", "B", "5", "yes", "1", "['a', 'b']", "\\frac{1}{2}", "\x00"]


def test_every_module_can_be_named_in_a_study() -> None:
    folder = Path(reassess.benchmarks.__file__).parent
    modules = {file.stem for file in folder.glob("*.py") if not file.stem.startswith("_")}
    assert modules - {"item", "own", "rules"} == set(RULES)


@pytest.mark.parametrize("name", RULES)
def test_a_rule_has_a_verdict_on_anything(name: str) -> None:
    found = module(name)
    assert isinstance(found.METADATA, frozenset)
    for metadata in ({}, dict.fromkeys(found.METADATA, "1"), dict.fromkeys(found.METADATA)):
        if set(metadata) != found.METADATA:
            continue
        for reply in REPLIES:
            for gold in GOLDS:
                for options in ((), ("red", "blue"), ("5", "6", "7")):
                    outcome = found.judge(Item(reply, gold, options, metadata))
                    assert type(outcome) is Outcome
                    assert outcome.correct in (True, False, None)
                    assert outcome.reason
                    assert outcome == found.judge(Item(reply, gold, options, metadata))


@pytest.mark.parametrize("name", [name for name in RULES if hasattr(module(name), "summary")])
def test_a_summary_has_fractions(name: str) -> None:
    metadata = dict.fromkeys(module(name).METADATA, "1")
    rows = [Row(f"validation_Art_{i}", correct, metadata) for i, correct in enumerate((True, False, None))]
    for value in module(name).summary(rows).values():
        assert 0 <= value <= 1


def test_an_answer_of_a_judge_model_is_found_by_example_and_response() -> None:
    example = {"id": "a", "gold": "0", "options": [], "metadata": ""}
    key = request_key("a", "It is hard to say.")
    assert apply("mathverse", example, "It is hard to say.", {}).correct is None
    assert apply("mathverse", example, "It is hard to say.", {key: "1"}).correct is True
    assert apply("mathverse", example, "It is hard to tell.", {key: "1"}).correct is None


def test_answers_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    for text, expected in (
        ("{", r":1: expected a JSON object with `key` and `answer`"),
        ('{"key": "a"}', r":1: expected a JSON object with `key` and `answer`"),
        ('{"key": "a", "answer": 1}', r":1: `key` and `answer` have to be strings"),
        ('{"key": "a", "answer": "1"}\n{"key": "a", "answer": "2"}', r":2: a second answer for 'a'"),
    ):
        file.write_text(text)
        with pytest.raises(RuleError, match=expected):
            read_answers(file)
    file.write_text('{"key": "a", "answer": "1"}\n\n')
    assert read_answers(file) == {"a": "1"}


def test_missing_metadata_is_named() -> None:
    assert missing_metadata("mathvista", json.dumps({"question_type": "free_form"})) == ["answer_type", "precision"]
    assert missing_metadata("gpqa", "") == []
