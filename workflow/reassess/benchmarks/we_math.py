"""We-Math: the first character behind the last "Answer", and how the steps of a problem fare against the whole.

Source: We-Math/We-Math, evaluation/accuracy.py, evaluation/four_dimensional_metrics.py and
data/knowledge_structure_nodes.json. VLMEvalKit, vlmeval/dataset/utils/wemath.py, has the same rule where it runs
without a model and its rule for multiple choice where it runs with one; lmms-eval scores replies with its own reward.
Both have the same four dimensions.

Quirks kept:
- only "Answer" in this spelling counts: of "The answer is B" the "T" is read and of "ANSWER: B" the "A";
- without the word the reply's first character is read, so "A triangle" is A;
- behind the word white space, "<", ">", ":" and "." are removed and one of A to H must come first: "Answer: Both" is B,
  "Answer: Hence C" is H, "Answer: (B)", "Answer: **B**", "Answer is B" and "Answers: B" are nothing;
- the gold must be that letter and nothing else;
- no model is asked, and the answer of one is not looked at;
- InsufficientKnowledge and InadequateGeneralization are the same in the strict and the loose form;
- RoteMemorization is a share of the problems whose whole was right, the other dimensions are shares of all problems;
- loose, one right step is enough for CompleteMastery, and all must be wrong for RoteMemorization;
- a domain's accuracy is the mean over its knowledge concepts whatever their numbers of questions; a step whose concept
  is not spelt as in the table counts for no domain, but for the one-step accuracy.

The original divides by 525, the number of problems of the full set; here it is by the problems there are. A problem
whose rows are not all there is left out, and there is to be one row for an ID and a key. Measures of nothing are left
out.

Rows: the data set's card (We-Math/We-Math, README.md), the authors' data/testmini.json, and what lmms-eval's utils.py
reads of them: `ID`, `key` (2steps_1, 2steps_2, 2steps_multi, 3steps_1, ...), `knowledge concept`, `question`,
`option`, `answer` (a letter) and `image_path`, which is the picture itself on the hub. `option` is one text, "A. 9
cm;B. 15 cm; C. No correct answer", with commas in options and semicolons in some; where the labels cannot be told for
sure (4 of 1,740), it stays in the question.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from reassess.benchmarks import _rows
from reassess.benchmarks.item import Item, Outcome, Row
from reassess.example import Example
from reassess.sources import fields
from reassess.sources.published import Card, Hub

VERSION = 1
# One public project pins this commit, and counts as many rows. Its card was not seen to declare a licence.
SOURCE = Hub("We-Math/We-Math", "testmini", "527c44d4d94c4e3c7c98157460146a8b18c8420a", licence=None, rows=1740)
MODALITY = "visual"
CARD = Card(
    "525 school problems of two or three steps, each asked as a whole and step by step.",
    traps=(
        "The score needs all three or four questions of a problem: one that misses a row is left out.",
        'The last option, "No correct answer", is never the right one.',
        "Rote memorization is a share of the problems whose whole was right, the other dimensions of all.",
        "The official rule reads the first character behind the word Answer: Answer: (B) is nothing.",
    ),
    prompt="{question}\\n{option}\\n... <Thought process>: <<...>> <Answer>: <<...>>",
    metric="A score of four dimensions (insufficient knowledge, inadequate generalization, complete mastery, rote "
    "memorization), strict and loose; accuracy by number of steps.",
)
METADATA: frozenset[str] = frozenset({"ID", "key", "knowledge concept"})

_REMOVED = re.compile("[<>:.]")
_LETTERS = "ABCDEFGH"

# knowledge_structure_nodes.json: `root2`, and the last part of `full node`.
_DOMAINS = {
    "Understanding and Conversion of Units": (
        "Conversion Rates and Calculations Between Area Units",
        "Conversion Rates and Calculations Between Volume Units (Including Liters and Milliliters)",
        "Conversion Rates and Calculations Between Length Units",
    ),
    "Angles and Length": ("Understanding Angles (Using a Protractor)", "Understanding Length (Using a Ruler)"),
    "Calculation of Plane Figures": (
        "Sum of Interior Angles of Other Polygons",
        "Sum of Interior Angles of Triangles",
        "Calculation and Comparison of Angles",
        "Area of Parallelograms",
        "Area of Triangles",
        "Area of Sectors",
        "Area of Trapezoids",
        "Area of Circles",
        "Area of Rectangles",
        "Area of Squares",
        "Perimeter of Parallelograms",
        "Perimeter of Triangles",
        "Perimeter of Trapezoids",
        "Circumference of Circles",
        "Perimeter of Rectangles",
        "Perimeter of Squares",
    ),
    "Understanding of Plane Figures": (
        "Properties and Understanding of Parallelograms",
        "Properties and Understanding of Triangles",
        "Properties and Understanding of Trapezoids",
        "Properties and Understanding of Rectangles",
        "Properties and Understanding of Squares",
        "Understanding Triangular Rulers",
        "Understanding and Representing Angles",
        "Distance Between Two Points",
        "Understanding Line Segments, Lines, and Rays",
        "perpendicularity",
        "Parallel",
        "Understanding Sectors",
        "Understanding Circles",
        "Observing Figures",
    ),
    "Calculation of Solid Figures": (
        "Surface Area of Cylinders",
        "Surface Area of Rectangular Cuboids",
        "Surface Area of Cubes",
        "Volume and Capacity of Cylinders",
        "Volume and Capacity of Cones",
        "Volume and Capacity of Rectangular Cuboids",
        "Volume and Capacity of Cubes",
    ),
    "Understanding of Solid Figures": (
        "Expanded View of Cylinders",
        "Expanded View of Rectangular Cuboids",
        "Expanded View of Cubes",
        "Properties of Cylinders",
        "Properties of Cones",
        "Properties and Understanding of Rectangular Cuboids",
        "Properties and Understanding of Cubes",
        "Observing Objects",
    ),
    "Basic Transformations of Figures": ("Axial Symmetry", "Translation", "Rotation"),
    "Cutting and Combining of Figures": (
        "Combining and Dividing Solids",
        "Division of Plane Figures",
        "Combining Plane Figures",
        "Tessellation of Figures",
        "Folding Problems of Figures",
    ),
    "Direction": (
        "Southeast, Southwest, Northeast, Northwest Directions",
        "Cardinal Directions (East, South, West, North)",
    ),
    "Position": ("Front-Back Position", "Up-Down Position", "Left-Right Position"),
    "Route Map": (
        "Determining the Positions of Objects Based on Direction, Angle, and Distance",
        "Describing Simple Routes Based on Direction and Distance",
    ),
    "Correspondence of Coordinates and Positions": (
        "Representing Positions Using Ordered Pairs",
        "Finding Positions Based on Ordered Pairs",
    ),
}


class _Problem(NamedTuple):
    """Whether a problem's steps and its whole were right, and the knowledge concept of each step."""

    steps: tuple[bool, ...]
    whole: bool
    concepts: tuple[str, ...]


# A label begins the text or follows a semicolon, and something stands behind it: not so in "to point ;C.;B. Move it".
_LABEL = re.compile(r"(?:^|;)\s*([A-H])[.\uff0e]\s*(?=[^\s;])")


def example(row: Mapping[str, Any]) -> Example:
    """Return a row as an example. Raises DataError where a column is missing, RowError where a value is odd."""
    columns = {name: fields.text(row, name) for name in sorted(METADATA)}
    question, published = fields.text(row, "question"), fields.text(row, "answer")
    options = _options(fields.text(row, "option"))
    key = columns["key"]
    return Example(
        id="-".join(filter(None, (columns["ID"], key))),
        images=fields.images(row, "image_path"),
        question=question if options else f"{question}\n{fields.text(row, 'option')}",
        options=options,
        gold=published.strip(),
        kind="mcq",
        rationales=(),
        source="we_math",
        family=columns["knowledge concept"],
        difficulty=int(key[0]) if key.endswith("_multi") and key[0].isdecimal() else 1,
        metadata=_rows.metadata(columns, gold=published),
    )


def _options(text: str) -> tuple[str, ...]:
    """Return the options that a text lists, none where their labels are not A, B, C and so on."""
    labels = list(_LABEL.finditer(text))
    letters = "".join(label[1] for label in labels)
    if len(letters) < 2 or not _LETTERS.startswith(letters):
        return ()
    ends = [label.start() for label in labels[1:]] + [len(text)]
    return tuple(text[label.end() : end].strip(" ;\n") for label, end in zip(labels, ends, strict=True))


def judge(item: Item) -> Outcome:
    """The verdict of We-Math's own rule."""
    text = _REMOVED.sub("", item.reply.rpartition("Answer")[2].strip()).strip()
    letter = text[:1]
    if not letter or letter not in _LETTERS:
        return Outcome(False, None, 'no letter from A to H behind the last "Answer"')
    return Outcome(letter == item.gold, letter, 'the first character behind the last "Answer"')


def summary(rows: Sequence[Row]) -> dict[str, float]:
    """The four dimensions and the score, strict and loose, and the accuracies by number of steps and by domain."""
    problems = _problems(rows)
    if not problems:
        return {}
    total = len(problems)
    insufficient = sum(not problem.whole and not all(problem.steps) for problem in problems)
    inadequate = sum(not problem.whole and all(problem.steps) for problem in problems)
    result = {}
    for form, enough in (("Strict", all), ("Loose", any)):
        mastered = sum(problem.whole and enough(problem.steps) for problem in problems)
        rote = sum(problem.whole and not enough(problem.steps) for problem in problems)
        result[f"Score ({form})"] = (total - 0.5 * inadequate - rote - insufficient) / total
        result[f"InsufficientKnowledge ({form})"] = insufficient / total
        result[f"InadequateGeneralization ({form})"] = inadequate / total
        result[f"CompleteMastery ({form})"] = mastered / total
        if mastered + rote:
            result[f"RoteMemorization ({form})"] = rote / (mastered + rote)
    return result | _accuracies(problems)


def _problems(rows: Sequence[Row]) -> list[_Problem]:
    found = {(str(row.metadata["ID"]), str(row.metadata["key"])): row for row in rows}
    problems = []
    for steps in (2, 3):
        keys = [f"{steps}steps_{step}" for step in range(1, steps + 1)]
        for name in [name for name, key in found if key == keys[0]]:
            parts = [found[name, key] for key in keys if (name, key) in found]
            whole = found.get((name, f"{steps}steps_multi"))
            if whole is not None and len(parts) == steps:
                concepts = tuple(str(part.metadata["knowledge concept"]) for part in parts)
                problems.append(
                    _Problem(tuple(part.correct is True for part in parts), whole.correct is True, concepts)
                )
    return problems


def _accuracies(problems: Sequence[_Problem]) -> dict[str, float]:
    """The accuracy of the single steps and of the problems of two and three steps, and that of each domain."""
    steps = [step for problem in problems for step in problem.steps]
    result = {"One-step(S1)": _mean(steps)}
    for name, number in (("Two-step(S2)", 2), ("Three-step(S3)", 3)):
        wholes = [problem.whole for problem in problems if len(problem.steps) == number]
        if wholes:
            result[name] = _mean(wholes)
    by_concept: dict[str, list[bool]] = {}
    for problem in problems:
        for concept, step in zip(problem.concepts, problem.steps, strict=True):
            by_concept.setdefault(concept, []).append(step)
    for domain, concepts in _DOMAINS.items():
        means = [_mean(by_concept[concept]) for concept in concepts if concept in by_concept]
        if means:
            result[domain] = _mean(means)
    return result


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
