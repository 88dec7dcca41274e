"""Which question of a benchmark each row of somebody else's file is about.

A file names its questions by an id, or by their number in the harness's copy of the data. Which of the two, and by
which column, is decided once per file: by what lets the most rows find a question with the same text. A row whose
question is another one is put aside; it is never judged by another question's gold. Nor is a row whose right option has
another letter: some harnesses shuffle options (lm-eval those of GPQA), and a reply names theirs.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from reassess.evaluate.formats.sample import Said
from reassess.example import DataError, PutAside

# What stands for a picture: <image>, <image 1> (MMMU), <image1> (MathVision).
_PICTURE = re.compile(r"<image ?\d*>")
# Of a formula the operators stay: 2 + 3 is not 2 - 3.
_BETWEEN = re.compile(r"(?:[^\w+\-*/=<>^]|_)+")
_DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2212"), "-")
_LAST_NUMBER = re.compile(r"\d+$")
_LETTER = re.compile(r"\(?([A-Z])[).]?")
_UNKNOWN, _OTHER, _AMBIGUOUS, _SHUFFLED, TWICE = (
    "the benchmark has no question of this id",
    "its question is not that of the benchmark",
    "its number tells no question: rows of the benchmark were put aside, and the same is asked several times",
    "its right option has another letter",
    "a question that is answered above",
)


class Way(NamedTuple):
    """How a file names its questions: a column, and what that column has of a question."""

    column: str
    what: str

    def __str__(self) -> str:
        return f"{self.what} ({self.column})"


class Matched(NamedTuple):
    """The rows of a file that are about questions of a benchmark.

    Attributes:
        way: how the file names questions.
        rows: each row with the id of its question, in the file's order.
        put_aside: the other rows.
        unverified: how many rows have no question, so that the id alone speaks for them.
    """

    way: str
    rows: list[tuple[Said, str]]
    put_aside: list[PutAside]
    unverified: int


class _Row(NamedTuple):
    """A row of a file, without its texts.

    Attributes:
        said: what it says.
        found: the questions that it names and whose text it has, by the way in which it names them.
        named: the ways in which it names any question.
        is_asked: whether it had a question's text.
    """

    said: Said
    found: dict[Way, str]
    named: set[Way]
    is_asked: bool


class Questions:
    """The questions of a benchmark, and the ways in which a file may name them.

    Args:
        examples: rows with `question`, `kind` and `gold` by id, in the benchmark's order.
        is_whole: no row of the benchmark was put aside, so that the rows have the numbers of the data.
    """

    def __init__(self, examples: Mapping[str, Mapping[str, Any]], is_whole: bool) -> None:
        self._texts = {id_: plain(row["question"] or "") for id_, row in examples.items()}
        self._letters = {id_: row["gold"] for id_, row in examples.items() if row["kind"] == "mcq"}
        asked = Counter(self._texts.values())
        self._unique = {text: id_ for id_, text in self._texts.items() if text and asked[text] == 1}
        self._repeated = set() if is_whole else {id_ for id_, text in self._texts.items() if asked[text] > 1}
        ids = list(examples)
        numbers = [last[0] if (last := _LAST_NUMBER.search(id_)) else "" for id_ in ids]
        in_ids = {str(int(number)): id_ for number, id_ in zip(numbers, ids, strict=True) if number}
        self._by = {
            "id": {id_: id_ for id_ in ids},
            # Rows without an id of their own are numbered, those that were put aside included.
            "number in the id": in_ids if len(in_ids) == len(ids) else {},
            "row number": {str(i): id_ for i, id_ in enumerate(ids)},
            "row number from 1": {str(i): id_ for i, id_ in enumerate(ids, 1)},
        }

    def row(self, said: Said) -> _Row:
        """Return a row, without its texts, with the questions that it may be about."""
        texts = [text for text in map(plain, said.texts) if text]
        found: dict[Way, str] = {}
        named: set[Way] = set()
        for column, value in said.ids.items():
            for what, by in self._by.items():
                if (id_ := by.get(value)) is not None:
                    named.add(way := Way(column, what))
                    # A number alone, with no question beside it, tells nothing; `doc_id` is one by definition.
                    if self._is_in(id_, texts) if texts else what == "id" and column != "doc_id":
                        found[way] = id_
        for text in texts:
            if text in self._unique:
                found[Way("question", "text")] = self._unique[text]
        return _Row(said._replace(texts=()), found, named, bool(texts))

    def _is_in(self, id_: str, texts: Sequence[str]) -> bool:
        """Whether a question is in one of some texts, or most of it is one of them."""
        question = self._texts[id_]
        return any(question in text or (text in question and 2 * len(text) >= len(question)) for text in texts)

    def is_told(self, way: Way, id_: str) -> bool:
        """Whether a row number tells a question: not where numbers may have moved and others ask the same."""
        return not way.what.startswith("row number") or id_ not in self._repeated

    def has_target(self, id_: str, target: str) -> bool:
        """Whether a right answer does not speak against a question: a letter has to be that of the right option."""
        letter = _LETTER.fullmatch(target.strip())
        return letter is None or self._letters.get(id_, letter[1]) == letter[1]


def plain(text: str) -> str:
    """Return letters, digits and operators of a text, in small letters; spaces, marks and pictures differ by copy."""
    small = unicodedata.normalize("NFKC", text).casefold().translate(_DASHES)
    return _BETWEEN.sub("", _PICTURE.sub("", small)) or "".join(small.split())


def match(rows: Iterable[Said | PutAside], questions: Questions, file: str, benchmark: str) -> Matched:
    """Return which rows of a file are about which question of a benchmark.

    Args:
        rows: what the file says.
        questions: the benchmark's.
        file: the file, for messages.
        benchmark: the benchmark's name, for messages.

    Raises:
        DataError: no row of the file can be used, or fewer than half of them are about questions of the benchmark.
    """
    put_aside: list[PutAside] = []
    read: list[_Row] = []
    for item in rows:
        if isinstance(item, PutAside):
            put_aside.append(item)
        else:
            read.append(questions.row(item))
    if not read:
        first = f"the first: {put_aside[0].id}, {put_aside[0].reason}" if put_aside else "it has none"
        raise DataError(f"{file}: not one row of it can be used ({first})")
    way = _best(read)
    found: dict[str, _Row] = {}
    wrong: list[PutAside] = []
    for row in read:
        id_, reason = _decided(row, questions, way)
        if id_ in found:
            reason = TWICE
        if reason is None:
            found[id_] = row
        else:
            wrong.append(PutAside(_name(row.said, way), file, reason))
    others = [item for item in wrong if item.reason != TWICE]
    if len(found) < len(others):
        raise DataError(
            f"{file}: these are not the rows of {benchmark} as this study has them: {len(found)} of "
            f"{len(found) + len(others)} match, by {way}; the first that does not is {others[0].id!r}: "
            f"{others[0].reason}; is it the file of another benchmark, split or version?"
        )
    unverified = sum(not row.is_asked for row in found.values())
    return Matched(str(way), [(row.said, id_) for id_, row in found.items()], put_aside + wrong, unverified)


def _best(read: Sequence[_Row]) -> Way:
    """Return the way by which most rows have a question with their text; of equal ones, ids before numbers."""
    counts = Counter(way for row in read for way in row.found)
    if not counts:
        # Nothing fits: what names most questions gives the clearest message.
        counts = Counter(way for row in read for way in row.named)
    order = ("id", "number in the id", "row number", "row number from 1", "text")
    ways = sorted(counts, key=lambda way: (-counts[way], order.index(way.what)))
    return ways[0] if ways else Way(next(iter(read[0].said.ids), "id"), "id")


def _decided(row: _Row, questions: Questions, way: Way) -> tuple[str, str | None]:
    """Return the question of a row, or nothing and why it has none."""
    id_ = row.found.get(way)
    if id_ is None:
        return "", _OTHER if way in row.named or way.what == "text" else _UNKNOWN
    if not questions.is_told(way, id_):
        return "", _AMBIGUOUS
    return (id_, None) if questions.has_target(id_, row.said.target) else ("", _SHUFFLED)


def _name(said: Said, way: Way) -> str:
    return said.ids.get(way.column, said.place)
