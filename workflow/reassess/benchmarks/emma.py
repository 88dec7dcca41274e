"""EMMA: what a box or a phrase holds has to be the answer or its option's text, by text or by value.

Source: EMMA-Bench/EMMA, evaluation/evaluate.py (fast_extract_answer, "Fast-eval") and evaluation/utils.py (is_equal).
The leaderboard's other way ("LLMs-eval"), which lmms-eval follows first, asks a large model whether the reply is right.

Quirks kept in finding the answer:
- a reply that is a letter A to H in any case, or begins with a capital one and ":" or ".", is that letter: "A. no, C"
  is A;
- a reply that is a number is that number;
- of several boxes the last counts, and of one with `\\text{...}` the last such text;
- else what follows a phrase such as "answer is", in small letters, to the end of the line or to the first full stop, so
  that 3.14 is read as 3; the first of five phrases that the reply has decides;
- else nothing is read, which equals nothing.

Quirks kept in comparing:
- case and white space at the ends do not matter;
- values are rounded to two decimals: 0.001 is 0.004.

Narrower than the original: words for numbers ("five" for 5) are not read, and of formulas only arithmetic has a value
(see `reassess.benchmarks.mathvision`), where the original also compares what latex2sympy2 and SymPy simplify.

Rows: the authors' README.md and their results, which hold the rows without pictures: `pid`, `question`, `options` (a
list, empty or null for open questions), `answer` (a letter, in small letters for some; of one open question a list of
accepted answers, written out), `type` ("Multiple Choice" or "Open-ended", in two spellings), `subject`, `category`,
`task`, `context` (empty for most) and `image_1` to `image_5`. Question and options have marks such as `<image_1>`
where a picture belongs; marks of another form (`<image2>`) are of parts of one picture, and are left in the text.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from reassess.benchmarks import _rows
from reassess.benchmarks.item import Item, Outcome, Row
from reassess.benchmarks.mathvision import same_value
from reassess.example import Example
from reassess.judge.extract import boxed_spans
from reassess.sources import fields
from reassess.sources.published import Card, Hub

VERSION = 1
# One public project pins this commit, and counts as many rows. Its card was not seen to declare a licence.
SOURCE = Hub(
    "luckychao/EMMA",
    "test",
    "6c87aec9048c489108170088e50b768646b5bcf9",
    licence=None,
    configs=("Math", "Physics", "Chemistry", "Coding"),
    rows=2788,
)
MODALITY = "visual"
CARD = Card(
    "Mathematics, physics, chemistry and coding that need text and pictures together; options are often pictures.",
    traps=(
        "Published scores are of a large model's judgement or of rules (Fast-eval), which differ.",
        "EMMA-mini (luckychao/EMMA-mini, 100 questions a subject) has scores of its own.",
        "Some letters are small in the published answers.",
        "992 of the 2,788 questions are drawn from older benchmarks, such as MathVision.",
    ),
    prompt="{context}\\n{question}\\nA: {option} ...\\nAnswer with the option's letter from the given choices and put "
    'the letter in one "\\boxed{}". Please solve the problem step by step.',
    metric="Accuracy over all questions, and by subject, category and task.",
)
METADATA: frozenset[str] = frozenset({"subject"})

_PICTURES = range(1, 6)
_MARK = re.compile(r"<image_([1-5])>")
_LETTERS = "ABCDEFGH"
_TEXT = re.compile(r"\\text{(.*?)}")
# evaluate.py: tried in this order.
_PHRASES = ("final answer is", "correct answer is", "answer should be", "answer is", "answer:")


def example(row: Mapping[str, Any]) -> Example:
    """Return a row as an example. Raises DataError where a column is missing, RowError where a value is odd."""
    published, options = fields.text(row, "answer"), _rows.options(row, "options")
    is_choice = fields.text(row, "type").strip().lower() == "multiple choice"
    asked = "\n".join(filter(None, (fields.text(row, "context").strip(), fields.text(row, "question"))))
    pictures = {str(number): picture for number in _PICTURES for picture in fields.images(row, f"image_{number}")}
    question, shown, images = _rows.with_pictures(asked, options, pictures, _MARK)
    groups = {name: fields.text(row, name) for name in ("subject", "category", "task")}
    return Example(
        id=fields.text(row, "pid"),
        images=images,
        question=question,
        options=shown if is_choice else (),
        gold=_rows.letters(published.upper(), shown) if is_choice else published.strip(),
        kind="mcq" if is_choice else _rows.number_or_math(published),
        rationales=(),
        source="emma",
        family=groups["subject"],
        difficulty=0,
        metadata=_rows.metadata(groups, gold=published, options=options),
    )


def judge(item: Item) -> Outcome:
    """The verdict of Fast-eval."""
    answer = _extracted(item.reply.strip())
    index = ord(item.gold.upper()) - ord("A") if len(item.gold) == 1 else -1
    accepted = [item.gold, *([item.options[index]] if 0 <= index < len(item.options) else [])]
    for gold in accepted:
        if answer.lower().strip() == gold.lower().strip():
            return Outcome(True, answer, "equal text")
        if same_value(gold.lower(), answer.lower()):
            return Outcome(True, answer, "equal value")
    return Outcome(False, answer or None, "not equal" if answer else "nothing read")


def summary(rows: Sequence[Row]) -> dict[str, float]:
    """Accuracy over all questions ("average") and of each subject."""
    groups: dict[str, list[bool]] = defaultdict(list)
    for row in rows:
        groups["average"].append(row.correct is True)
        groups[str(row.metadata["subject"])].append(row.correct is True)
    return {name: sum(hits) / len(hits) for name, hits in groups.items()}


def _extracted(reply: str) -> str:
    for letter in _LETTERS:
        if reply.upper() == letter or reply.startswith((f"{letter}:", f"{letter}.")):
            return letter
    try:
        float(reply)
    except ValueError:
        pass
    else:
        return reply
    boxes = [content for _, _, content in boxed_spans(reply)]
    if boxes:
        texts = _TEXT.findall(boxes[-1])
        return (texts or boxes)[-1].strip()
    lower = reply.lower()
    for phrase in _PHRASES:
        if phrase in lower:
            return lower.split(phrase)[-1].strip().split("\n")[0].split(".")[0]
    return ""
