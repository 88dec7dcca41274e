"""HallusionBench: exactly one of the words "yes" and "no", else a large model decides.

Source: VLMEvalKit, vlmeval/dataset/utils/yorn.py (YOrN_Extraction, YOrN_auxeval, Hallusion_rating),
dataset/image_yorn.py and smp/misc.py (process_punctuation). The benchmark's own script (tianyi-lab/HallusionBench,
utils.py, which lmms-eval follows) asks GPT-4 about every reply and is not followed here.

Quirks kept:
- the words count anywhere in the reply and any number of times; one that has both, or neither, goes to the model;
- ";/[]\"{}()=+\\_-><@`,?!" are marks and "*", ":", "'" are none: "**Yes**", "Yes: it is" and "'no'" go to the model;
- a mark that has a space on either side anywhere in the reply vanishes wherever it stands, else it becomes a space:
  "Yes,it" has the word "yes", "Yes,it is, so" has not;
- with a comma between two digits anywhere all marks vanish: "Yes-it has 1,000" has no "yes";
- of the full stops that no digit follows the first 32 vanish, later ones stay ("yes." is then no word), and none
  becomes a space: "Yes.It" has no "yes";
- what a model answers is read in the same way; where that is neither word it is asked again, up to five times;
- figures and question pairs are told apart by category too, as VLMEvalKit's l2 category is such as "VD_illusion";
- figure 0 of the supplementary questions counts, which the benchmark's own script leaves out of the figures;
- without a model VLMEvalKit counts undecided replies as wrong, as the summary does.

The gold is "1" or "0" in the benchmark's file and "Yes" or "No" in VLMEvalKit's; both are read, in any case.

Rows: the authors' HallusionBench.json, which the hub's copy (lmms-lab-encoder/HallusionBench) has with `image` for the
picture: `category` (VD or VS), `subcategory`, `set_id`, `figure_id`, `question_id`, `question`, `gt_answer` (1 or 0 as
text) and `image`. The first five tell a row; the split "image" has the 951 that have a picture.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from reassess.benchmarks import _rows
from reassess.benchmarks.item import Item, Outcome, Row
from reassess.example import Example
from reassess.sources import fields
from reassess.sources.published import Card, Hub

VERSION = 1
# The licence of the authors' repository. The data set was lmms-lab/HallusionBench before, at the same commit.
SOURCE = Hub(
    "lmms-lab-encoder/HallusionBench",
    "image",
    "cd417161857aefb23d878d42cf1bb53aa9dd646f",
    licence="BSD-3-Clause",
    rows=951,
)
MODALITY = "visual"
CARD = Card(
    "Questions to be answered by yes or no about figures, many of them edited so that what is known of them is wrong.",
    traps=(
        "Here is the split image; the 178 questions without a picture are in the split non_image, and count in the "
        "authors' own scores.",
        "A figure or a pair of questions is right only if all its questions are: these scores are far below accuracy.",
        "The authors' script asks GPT-4 about every reply, VLMEvalKit (followed here) about few.",
    ),
    prompt="{question}",
    metric="Accuracy over questions (aAcc), figures (fAcc) and question pairs (qAcc), and their mean.",
)
METADATA: frozenset[str] = frozenset({"category", "subcategory", "set_id", "figure_id", "question_id"})

_GOLDS = {"1": "Yes", "yes": "Yes", "0": "No", "no": "No"}

# process_punctuation, which passes re.UNICODE, that is 32, as the number of full stops to remove.
_MARKS = ';/[]"{}()=+\\_-><@`,?!'
_FULL_STOP = re.compile(r"\.(?!\d)")
_FULL_STOPS = 32
_DIGIT_COMMA = re.compile(r"\d,\d")

_WORDS = {"1": "yes", "0": "no"}


def example(row: Mapping[str, Any]) -> Example:
    """Return a row as an example. Raises DataError where a column is missing, RowError where a value is odd."""
    names = ("category", "subcategory", "set_id", "figure_id", "question_id")
    columns = {name: _rows.word(row, name) for name in names}
    published = _rows.word(row, "gt_answer")
    return Example(
        id="_".join(columns.values()),
        images=fields.images(row, "image"),
        question=fields.text(row, "question"),
        options=(),
        gold=_WORDS.get(published.strip(), published),
        kind="text",
        rationales=(),
        source="hallusionbench",
        family=columns["subcategory"],
        difficulty=0,
        metadata=_rows.metadata(columns, gold=published),
    )


def judge(item: Item) -> Outcome:
    """The verdict of VLMEvalKit's rule."""
    gold = _GOLDS.get(item.gold.strip().lower())
    answer = _yes_or_no(item.reply)
    if answer:
        return Outcome(answer == gold, answer, "one of the words in the reply")
    if item.model_answer is None:
        return Outcome(None, None, "a model is asked: both words in the reply, or neither")
    answer = _yes_or_no(item.model_answer)
    if answer:
        return Outcome(answer == gold, answer, "the model's answer")
    return Outcome(None, None, "the model is asked again: both words in its answer, or neither")


def summary(rows: Sequence[Row]) -> dict[str, float]:
    """Accuracy over questions, figures and question pairs, and the mean of the three, VLMEvalKit's "Overall Acc"."""
    if not rows:
        return {}
    figures: dict[tuple[str, ...], bool] = {}
    pairs: dict[tuple[str, ...], bool] = {}
    for row in rows:
        for groups, last in ((figures, "figure_id"), (pairs, "question_id")):
            key = tuple(str(row.metadata[name]) for name in ("category", "subcategory", "set_id", last))
            groups[key] = groups.get(key, True) and row.correct is True
    result = {
        "aAcc": sum(row.correct is True for row in rows) / len(rows),
        "fAcc": sum(figures.values()) / len(figures),
        "qAcc": sum(pairs.values()) / len(pairs),
    }
    result["Overall Acc"] = sum(result.values()) / len(result)
    return result


def _yes_or_no(text: str) -> str | None:
    words = _without_punctuation(text.lower()).split()
    yes, no = "yes" in words, "no" in words
    if yes == no:
        return None
    return "Yes" if yes else "No"


def _without_punctuation(text: str) -> str:
    all_vanish = _DIGIT_COMMA.search(text) is not None
    result = text
    for mark in _MARKS:
        vanishes = all_vanish or f"{mark} " in text or f" {mark}" in text
        result = result.replace(mark, "" if vanishes else " ")
    return _FULL_STOP.sub("", result, count=_FULL_STOPS)
