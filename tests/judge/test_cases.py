"""Labelled cases, one JSON object per line: the judge agrees with every label.

Each case has `kind`, `response`, `gold`, `options`, `correct` (null where the gold is no answer), `trap` (what it is
about) and `reason` (why the label is so). They were written from the conventions in `docs/judge.md`.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from reassess.judge import Case, judge, judge_many

FILES = sorted((Path(__file__).parent / "cases").glob("*.jsonl"))


def cases(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


CASES = [
    pytest.param(case, id=f"{file.stem}-{number}-{case['trap']}")
    for file in FILES
    for number, case in enumerate(cases(file), 1)
]


@pytest.mark.parametrize("case", CASES)
def test_the_judge_agrees(case: dict[str, Any]) -> None:
    verdict = judge(case["response"], case["gold"], case["kind"], case["options"])
    assert verdict.correct == case["correct"], (verdict, case["reason"])


def test_there_are_enough_cases_of_every_kind() -> None:
    counts = Counter((case["kind"], case["correct"]) for file in FILES for case in cases(file))
    for kind in ("math", "numeric", "mcq", "text"):
        assert counts[kind, True] >= 75
        assert counts[kind, False] >= 75
        assert counts[kind, None] >= 5


def test_a_batch_in_processes_gets_the_same_verdicts() -> None:
    asked = [
        Case(case["response"], case["gold"], case["kind"], tuple(case["options"]) if case["options"] else None)
        for file in FILES
        for case in cases(file)
    ]
    asked += asked[:10]
    done: list[int] = []
    verdicts = judge_many(asked, workers=2, progress=done.append)
    assert verdicts == judge_many(asked)
    assert sum(done) == len(asked)
