"""MathVerse: a model extracts the answer, and a model says whether it agrees with the reference.

Nothing of this rule is deterministic but the reading of the last answer, so that without one the outcome is None.

Source: ZrrSkywalker/MathVerse, evaluation/extract_answer_s1.py and evaluation/score_answer_s2.py (its prompts are in
evaluation/prompts.py). lmms-eval (lmms_eval/tasks/mathverse/mathverse_evals.py) reads the answer the same way, and
counts a request that is refused as wrong. VLMEvalKit (vlmeval/dataset/utils/mathverse.py) differs: an extraction equal
to the reference is right without a second question, "Judgement:" is not removed, and five unreadable answers are wrong.

Quirks kept:
- a reply that equals the reference goes to both models all the same (the switch `--quick_match` is off);
- "Judgement:" is removed wherever it stands, and in this spelling only;
- what is left must be 0 or 1: for "1." or "1, they agree" the script asks again, without an end;
- `summary` takes whatever versions there are: "Acc" includes the text-only version where its rows are given.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from reassess.benchmarks.item import Item, Outcome, Row

METADATA: frozenset[str] = frozenset()

_VERDICTS = {"0": False, "1": True}


def judge(item: Item) -> Outcome:
    """Read `model_answer` as the answer to the prompt that scores, the second of the two."""
    if item.model_answer is None:
        return Outcome(None, None, "a model extracts the answer and a model scores it")
    judgement = item.model_answer.strip().replace("Judgement:", "").strip()
    if judgement not in _VERDICTS:
        return Outcome(None, None, "neither 0 nor 1, so that the script asks again")
    return Outcome(_VERDICTS[judgement], None, "scored by a model")


def summary(rows: Sequence[Row]) -> dict[str, float]:
    """Accuracy over all rows and per version, as score_answer_s2.py prints them.

    Rows without the column `problem_version` count in the total only.
    """
    groups: dict[str, list[bool]] = defaultdict(list)
    for row in rows:
        groups["Acc"].append(row.correct is True)
        if "problem_version" in row.metadata:
            groups[f"{row.metadata['problem_version']} Acc"].append(row.correct is True)
    return {name: sum(values) / len(values) for name, values in groups.items()}
