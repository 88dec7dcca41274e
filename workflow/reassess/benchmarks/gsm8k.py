"""GSM8K: the text of the number behind "####", compared with the gold's as text.

Source: EleutherAI/lm-evaluation-harness, lm_eval/tasks/gsm8k/gsm8k.yaml (version 3.0, filters strict-match and
flexible-extract), lm_eval/filters/extraction.py (regex) and lm_eval/api/metrics.py (exact_match). The verdict is
that of strict-match; `flexible` gives the other, and the reason ends in what it says.

Quirks kept:
- strict: the first "#### " that a number follows counts, later ones do not;
- strict: exactly four marks and one space; "####72", "#### $72" and "#### about 72" name nothing, "#### -72 cm" is -72;
- flexible: the last run of two or more of the characters "$0-9.,", or else the last digits; no number is needed in it,
  so an ellipsis at the end of the reply is read as the answer;
- commas, dollar signs and one full stop at the end are removed, then texts are compared: "72.00" and "72.0" are not 72,
  "1,000" and "$1000." are 1000, and "1,0,00" is too;
- of the gold what follows its last "#### " counts, all of it where it has none;
- a reply without a number is wrong, not undecided.

The stop words of the harness ("Question:" and end-of-text marks) belong to generation and are not applied here.

Rows: those of the training set (`reassess.sources.sets.gsm8k`), of the test split. The gold is the number behind the
marks, without commas.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from reassess.benchmarks.item import Item, Outcome
from reassess.example import Example
from reassess.sources.published import Card
from reassess.sources.sets import gsm8k as training

VERSION = 1
SOURCE = training.SOURCE._replace(split="test", rows=1319)
MODALITY = "text"
CARD = Card(
    "Word problems of school mathematics; each answer is a number.",
    traps=(
        "strict-match wants `#### 72`, which a model says only when it is shown or asked to.",
        "flexible-extract takes the last number of a reply, whatever it is.",
        "By both rules numbers are texts: 72.0 is not 72.",
    ),
    prompt="Question: {question}\\nAnswer: (with five worked examples in lm-evaluation-harness)",
    metric="Accuracy of strict-match; flexible-extract is in the reason.",
)
METADATA: frozenset[str] = frozenset()

# gsm8k.yaml, filter_list.
_STRICT = re.compile(r"#### (-?[0-9.,]+)")
_FLEXIBLE = re.compile(r"-?[$0-9.,]{2,}|-?[0-9]+")
# What the harness compares where a filter finds nothing (extraction.py).
_NOTHING = "[invalid]"


def example(row: Mapping[str, Any]) -> Example:
    """Return a row as an example. Raises DataError where a column is missing, RowError where a value is not usable."""
    return replace(training.example(row), rationales=())


def judge(item: Item) -> Outcome:
    """The verdict of strict-match; the reason also says what flexible-extract says."""
    match = _STRICT.search(item.reply)
    text = match[1] if match else None
    other = flexible(item)
    found = "the number behind the first ####" if match else "no number behind ####"
    verdict = "right" if other.correct else "wrong"
    return Outcome(_same(text, item.gold), text, f"{found}; flexible-extract: {verdict}, {other.reason}")


def flexible(item: Item) -> Outcome:
    """The verdict of flexible-extract."""
    last = deque(_FLEXIBLE.finditer(item.reply), maxlen=1)
    text = last[0][0] if last else None
    return Outcome(_same(text, item.gold), text, "no number" if text is None else f"reads {text[:40]!r}")


def _same(text: str | None, gold: str) -> bool:
    return _compared(_NOTHING if text is None else text) == _compared(gold)


def _compared(text: str) -> str:
    text = text.replace(",", "").replace("$", "").rpartition("#### ")[2]
    return re.sub(r"\.$", "", text).lower()
