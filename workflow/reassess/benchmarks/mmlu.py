r"""MMLU: the letter behind the first "Answer:", after Markdown and LaTeX marks are taken off the reply.

Source: openai/simple-evals, mmlu_eval.py and common.py (normalize_response, MULTILINGUAL_ANSWER_REGEXES,
normalize_extracted_answer). The original script (hendrycks/test, evaluate.py) and EleutherAI/lm-evaluation-harness
(lm_eval/tasks/mmlu/default) compare the log-likelihoods of the four letters, which no reply contains.

Quirks kept:
- marks are taken off one kind after the other, opening ones only: "**Answer:** \boxed{B}" and "Answer: \(B\)" are read,
  "Answer: (B)" and "Answer: *B*" are not;
- "answer" may be in any case, but a small letter is wrong: "Answer: b" reads "b", which is not "B";
- line breaks may stand before the colon, not behind it;
- nothing has to end behind the letter: "Answer: Because" is B;
- the first "Answer:" with a letter behind it counts; other languages' words for it count only where English has none,
  in the order of the list and not of the reply;
- Arabic, Bengali and full-width letters stand for A to D; the Arabic range holds letters in between, which are wrong;
- a reply that names nothing is wrong.

Narrower than the original: its entry of "Answer:" and invisible characters is left out.

The summary has the original's measures: "score" over all questions and the mean of each category that occurs. Its table
of categories is not the harness's: anatomy is "other" in it, and so is every subject that it does not list.

Rows: the data set's card (cais/mmlu, README.md) and what lm_eval/tasks/mmlu reads: `question`, `subject`, `choices`
(four texts) and `answer` (0 to 3). The configuration `all` has the rows of all 57 subjects.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from reassess.benchmarks._choice import chosen, gold_letter, texts
from reassess.benchmarks.item import Item, Outcome, Row
from reassess.example import Example
from reassess.sources import fields
from reassess.sources.published import Card, Hub

VERSION = 1
SOURCE = Hub(
    "cais/mmlu",
    "test",
    "c30699e8356da336a370243923dbaf21066bb9fe",
    licence="MIT",
    configs=("all",),
    rows=14042,
)
MODALITY = "text"
CARD = Card(
    "Multiple-choice questions of 57 subjects from school to profession.",
    traps=(
        "Published scores are mostly log-likelihoods of the four letters after five examples, not generated answers.",
        '"Answer: (B)" and "Answer: b" are wrong by the rule that is followed here.',
    ),
    prompt=(
        "Answer the following multiple choice question. The last line of your response should be of the following "
        "format: 'Answer: $LETTER' (without quotes) where LETTER is one of ABCD. Think step by step before "
        "answering.\\n\\n{question}\\n\\nA) {A}\\nB) {B}\\nC) {C}\\nD) {D}"
    ),
    metric="Accuracy over all questions, and of four categories.",
)
METADATA: frozenset[str] = frozenset({"subject"})

# common.py, normalize_response: removed one after the other, in this order.
_MARKS = (
    "**",
    "$\\boxed{",
    "}$",
    "\\$",
    "$\\text{",
    "$",
    "\\mathrm{",
    "\\{",
    "\\text",
    "\\(",
    "\\mathbf{",
    "{",
    "\\boxed",
)
# common.py, MULTILINGUAL_ANSWER_REGEXES.
_MARKERS = (
    r"Answer\s*:",
    r"উত্তর\s*:",
    r"उत्तर\s*:",
    r"উত্তরঃ",
    r"Antwort\s*:",
    r"답변\s*:",
    r"정답\s*:",
    r"답\s*:",
    r"答案\s*：",
    r"答案\s*:",
    r"答\s*：",
    r"答\s*:",
    r"答复\s*：",
    r"答曰\s*：",
    r"الإجابة:",
    r"الجواب:",
    r"إجابة:",
    r"الإجابة النهائية:",
    r"الإجابة الصحيحة:",
    r"الإجابة الصحيحة هي:",
    r"الإجابة هي:",
    r"الجواب النهائي:",
    r"Respuesta\s*:",
    r"Risposta\s*:",
    r"答え\s*:",
    r"答え\s*：",
    r"回答\s*:",
    r"回答\s*：",
    r"解答\s*:",
    r"Jawaban\s*:",
    r"Réponse\s*:",
    r"Resposta\s*:",
    r"Jibu\s*:",
    r"Idahun\s*:",
    r"Ìdáhùn\s*:",
    r"Idáhùn\s*:",
    r"Àmọ̀nà\s*:",
    r"Àdáhùn\s*:",
    r"Ànúgọ\s*:",
    r"Àṣàyàn\s*:",
)
# common.py, MULTILINGUAL_ANSWER_PATTERN_TEMPLATE: Latin letters, an Arabic range, Bengali and full-width letters.
_LETTER = "[ \\t]*([A-D\u0623-\u062f\u0985\u09ac\u09a1\u09a2\uff21-\uff24])"
_PATTERNS = tuple(re.compile(marker + _LETTER, re.IGNORECASE) for marker in _MARKERS)
# common.py, normalize_extracted_answer.
_LATIN = str.maketrans("\u0623\u0628\u062c\u062f\u0985\u09ac\u09a1\u09a2\uff21\uff22\uff23\uff24", "ABCD" * 3)

# mmlu_eval.py, subject2category; every other subject is "other".
_CATEGORIES = {
    "stem": (
        "abstract_algebra",
        "astronomy",
        "college_biology",
        "college_chemistry",
        "college_computer_science",
        "college_mathematics",
        "college_physics",
        "computer_security",
        "conceptual_physics",
        "electrical_engineering",
        "elementary_mathematics",
        "high_school_biology",
        "high_school_chemistry",
        "high_school_computer_science",
        "high_school_mathematics",
        "high_school_physics",
        "high_school_statistics",
        "machine_learning",
    ),
    "humanities": (
        "formal_logic",
        "high_school_european_history",
        "high_school_us_history",
        "high_school_world_history",
        "international_law",
        "jurisprudence",
        "logical_fallacies",
        "moral_disputes",
        "moral_scenarios",
        "philosophy",
        "prehistory",
        "professional_law",
        "world_religions",
    ),
    "social_sciences": (
        "econometrics",
        "high_school_geography",
        "high_school_government_and_politics",
        "high_school_macroeconomics",
        "high_school_microeconomics",
        "high_school_psychology",
        "human_sexuality",
        "professional_psychology",
        "public_relations",
        "security_studies",
        "sociology",
        "us_foreign_policy",
    ),
}
_CATEGORY = {subject: category for category, subjects in _CATEGORIES.items() for subject in subjects}


def example(row: Mapping[str, Any]) -> Example:
    """Return a row as an example. Raises DataError where a column is missing, RowError where a value is not usable."""
    options, subject = texts(row, "choices"), fields.text(row, "subject")
    return Example(
        id="",
        images=(),
        question=fields.text(row, "question"),
        options=options,
        gold=chosen(row, "answer", options),
        kind="mcq",
        rationales=(),
        source="mmlu",
        family=subject,
        difficulty=0,
        metadata=json.dumps({"subject": subject}, ensure_ascii=False),
    )


def judge(item: Item) -> Outcome:
    """The verdict of simple-evals on MMLU."""
    reply = item.reply
    for mark in _MARKS:
        reply = reply.replace(mark, "")
    match = next(filter(None, (pattern.search(reply) for pattern in _PATTERNS)), None)
    if match is None:
        return Outcome(False, None, "no letter behind Answer:")
    letter = match[1].translate(_LATIN)
    return Outcome(letter == gold_letter(item.gold, item.options), letter, "the letter behind the first Answer:")


def summary(rows: Sequence[Row]) -> dict[str, float]:
    """Accuracy over all questions and of each category that occurs."""
    hits: dict[str, list[bool]] = {"score": []} if rows else {}
    for row in rows:
        for name in ("score", _CATEGORY.get(str(row.metadata["subject"]), "other")):
            hits.setdefault(name, []).append(row.correct is True)
    return {name: sum(part) / len(part) for name, part in hits.items()}
