"""Recognises which columns of a file hold what, in the shapes in which data sets are written.

Source of the shapes' names: trl (docs, dataset formats), LLaMA-Factory (data/README.md), VLMEvalKit
(vlmeval/dataset/image_base.py), EasyR1 (examples), verl (docs, prepare data), R1-V (src/r1-v),
openai/grade-school-math.
"""

from __future__ import annotations

import functools
import itertools
import re
import string
from collections.abc import Iterator
from typing import NamedTuple

from reassess.spec import Strict, near


class Columns(Strict):
    """Which columns of a file hold what; what is not said is recognised by the columns' usual names.

    `''` and `[]` say that none does.
    """

    id: str | None = None
    """The id, unique within the source; rows without one are numbered."""
    question: str | None = None
    """The question, or a conversation."""
    image: str | tuple[str, ...] | None = None
    """The image, as bytes, a path below `image_root`, base64 or a list of such; or several columns of images."""
    options: str | tuple[str, ...] | None = None
    """A list of the options, or a column for each."""
    gold: str | None = None
    """The right answer; of a multiple-choice question a letter, the text of an option, or its index from 0."""
    kind: str | None = None
    """How the answer is compared: `math`, `numeric`, `mcq` or `text`."""
    rationale: str | None = None
    """A chain of reasoning, or a list of them."""
    response: str | None = None
    """A whole response, or a conversation that ends in one, from which rationale and answer are read."""
    family: str | None = None
    """Task family or category."""
    difficulty: str | None = None
    """The source's own level, a whole number."""
    metadata: tuple[str, ...] = ()
    """Columns that are kept as they are, such as those that a benchmark's own rule reads."""

    def stated(self) -> Iterator[tuple[str, str]]:
        """Yield each column that is named, after what it holds."""
        for key in type(self).model_fields:
            named = getattr(self, key)
            for column in (named,) if isinstance(named, str) else named or ():
                if column:
                    yield key, column


class Roles(NamedTuple):
    """Which columns of a file hold what. `None` and nothing mean that no column does.

    Attributes:
        shape: what the shape is called.
        question: a text, or a conversation.
        context: columns that follow the question.
        hint: a column that stands before the question.
        response: a whole response, or a conversation with one.
        gold: the right answer, or a response with it.
        image: the first of them that has any in a row is read.
        numbered: columns of one image each, all of which are read.
        options: a list of options, or a column for each.
        rejected: columns of what no example has, such as videos: a row that has one cannot be used.
        is_named: what the study names itself, so that what it holds must be right.
    """

    shape: str
    question: str | None
    context: tuple[str, ...]
    hint: str | None
    response: str | None
    gold: str | None
    image: tuple[str, ...]
    numbered: tuple[str, ...]
    options: tuple[str, ...]
    id: str | None
    kind: str | None
    rationale: str | None
    family: str | None
    difficulty: str | None
    source: str | None
    metadata: tuple[str, ...]
    rejected: tuple[str, ...]
    is_named: frozenset[str]

    @property
    def missing(self) -> str | None:
        """What no column holds, in words; None where a row can be an example."""
        if self.question is None:
            return "the question"
        return "the right answer" if self.gold is None and self.response is None else None

    @property
    def described(self) -> str:
        """One line for a person: `ShareGPT: question and answer from `conversations`, image from `images``."""
        answer = self.gold or self.response
        images = self.numbered or self.image
        parts: list[tuple[str, tuple[str, ...]]] = [
            ("question and answer" if answer == self.question else "question", tuple(filter(None, (self.question,)))),
            ("input", self.context),
            ("hint", tuple(filter(None, (self.hint,)))),
            ("answer", (answer,) if answer and answer != self.question else ()),
            ("options", self.options),
            ("image", images),
            ("rationale", tuple(filter(None, (self.rationale or (self.response if self.gold else None),)))),
            ("id", tuple(filter(None, (self.id,)))),
            ("kind", tuple(filter(None, (self.kind,)))),
            ("family", tuple(filter(None, (self.family,)))),
            ("difficulty", tuple(filter(None, (self.difficulty,)))),
            ("metadata", self.metadata),
        ]
        joint = {"image": " or "} if not self.numbered else {}
        said = [f"{what} from {_quoted(columns, joint.get(what, ', '))}" for what, columns in parts if columns]
        return f"{self.shape}: {', '.join(said)}"


def _quoted(columns: tuple[str, ...], joint: str) -> str:
    return joint.join(f"`{column}`" for column in columns)


# Usual names, the surest first; case, spaces and hyphens do not count.
_CHATS = ("conversations", "conversation", "messages", "message")
_QUESTION = ("question", "problem", "query", "prompt", "instruction")
_GOLD = (
    *("gold", "ground_truth", "groundtruth", "gt", "gt_answer", "answer", "final_answer", "correct_answer", "answers"),
    *("label", "target", "reward_model", "solution"),
)
_RESPONSE = ("response", "completion", "output")
_RATIONALE = ("rationales", "rationale", "reasoning", "reasoning_content", "thinking", "cot", "explanation", "solution")
_IMAGE = (
    *("decoded_image", "images", "image", "img", "picture", "image_bytes", "image_base64", "image_path", "image_paths"),
    *("image_file", "image_file_name", "file_name", "file_names", "image_name", "imagename", "image_url"),
)
_OPTIONS = ("options", "choices", "option", "choice", "candidates")
_FAMILY = ("family", "category", "subject", "task", "l2_category")
_DIFFICULTY = ("difficulty", "level")
_ID = ("id", "index", "qid", "question_id", "pid", "uid", "uuid", "unique_id", "problem_id", "idx")
# Columns of options are lettered or numbered.
_NUMBERS = tuple(map(str, range(1, len(string.ascii_uppercase) + 1)))
# What no example has.
_REJECTED = ("videos", "video", "audios", "audio", "history")
_NUMBERED = re.compile(r"image_?(\d{1,2})")
# What makes a row an example record (`reassess.example`).
RECORD = frozenset({"id", "question", "gold", "kind", "source"})


@functools.lru_cache(maxsize=256)
def roles_of(columns: tuple[str, ...], given: Columns | None) -> Roles:
    """Return which of a file's columns hold what; a column that the study names counts before the usual names."""
    given = given or Columns()
    names = {_plain(column): column for column in reversed(columns)}
    is_record = names.keys() >= RECORD

    def find(known: tuple[str, ...], *taken: str | None) -> str | None:
        return next((names[name] for name in known if name in names and names[name] not in taken), None)

    def named(column: str | None, known: tuple[str, ...], *taken: str | None) -> str | None:
        return find(known, *taken) if column is None else column or None

    chat = find(_CHATS)
    plain_question = given.question or find(_QUESTION)
    gold = given.gold or (None if given.response else find(_GOLD, given.question))
    response = named(given.response, _RESPONSE, given.question, given.gold)
    if given.question is None and chat is not None and (plain_question is None or (gold is None and response is None)):
        question: str | None = chat
        response = given.response or chat
    else:
        question = plain_question
        response = response or (None if gold else question if _plain(question or "") in _CHATS else chat)
    alpaca = _plain(question or "") == "instruction"
    rationale = named(given.rationale, _RATIONALE, gold, question, response)
    numbered, single = _images(names, given)
    return Roles(
        shape=_shape(names, given, question, gold, response, is_record=is_record),
        question=question,
        context=tuple(filter(None, (names.get("input"),))) if alpaca and given.question is None else (),
        hint=names.get("hint") if names.keys() >= {"index", "question", "answer"} else None,
        response=response,
        gold=gold,
        image=single,
        numbered=numbered,
        options=_options(columns, names, given),
        id=named(given.id, _ID, question, gold),
        kind=given.kind or (names.get("kind") if is_record else None),
        rationale=rationale,
        family=named(given.family, _FAMILY, question, gold),
        difficulty=named(given.difficulty, _DIFFICULTY, question, gold),
        source=names["source"] if is_record else None,
        metadata=given.metadata or (("metadata",) if is_record and "metadata" in columns else ()),
        rejected=tuple(names[name] for name in _REJECTED if name in names),
        is_named=frozenset(column for _, column in given.stated()),
    )


def _plain(column: str) -> str:
    return re.sub(r"[\s-]+", "_", column.strip().lower())


def _images(names: dict[str, str], given: Columns) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the columns of images that are all read, and those of which one is."""
    if given.image is not None:
        return ((), (given.image,) if given.image else ()) if isinstance(given.image, str) else (given.image, ())
    found = sorted((int(match[1]), names[name]) for name in names if (match := _NUMBERED.fullmatch(name)))
    if not found:
        return (), tuple(names[name] for name in _IMAGE if name in names)
    # "image" beside "image_2" is the first.
    first = [names["image"]] if "image" in names and found[0][0] > 1 else []
    return (*first, *(column for _, column in found)), ()


def _options(columns: tuple[str, ...], names: dict[str, str], given: Columns) -> tuple[str, ...]:
    if given.options is not None:
        return tuple(filter(None, (given.options,))) if isinstance(given.options, str) else given.options
    listed = next((names[name] for name in _OPTIONS if name in names), None)
    if listed is not None:
        return (listed,)
    for form in ("option_{}", "choice_{}", "option{}", "choice{}"):
        found = _lettered(form, tuple(string.ascii_lowercase), names) or _lettered(form, _NUMBERS, names)
        if found:
            return found
    # A column `a` may be anything; one `A` beside `B` is an option.
    return _lettered("{}", tuple(string.ascii_uppercase), {column: column for column in columns})


def _lettered(form: str, letters: tuple[str, ...], names: dict[str, str]) -> tuple[str, ...]:
    """Return the columns that are called by a form and the letters from A, or numbers, of which there are two."""
    found = tuple(names[name] for name in itertools.takewhile(names.__contains__, map(form.format, letters)))
    return found if len(found) > 1 else ()


def _shape(
    names: dict[str, str], given: Columns, question: str | None, gold: str | None, response: str | None, is_record: bool
) -> str:
    asked = _plain(question or "")
    if given.question or given.gold or given.response:
        return "columns as the study names them"
    if is_record:
        return "example records"
    if asked in ("conversations", "conversation"):
        return "ShareGPT"
    if asked in ("messages", "message"):
        return "messages"
    if asked == "prompt":
        return "verl" if gold == names.get("reward_model") is not None else "TRL"
    if asked == "instruction" and response == names.get("output") is not None:
        return "Alpaca"
    if names.keys() >= {"index", "question", "answer"} and ("image" in names or {"a", "b"} <= names.keys()):
        return "VLMEvalKit"
    if asked == "problem" and gold == names.get("solution") and "image" in names:
        return "R1-V"
    if names.keys() >= {"problem", "answer", "images"}:
        return "EasyR1"
    return "columns by their usual names"


def unknown(given: Columns | None, columns: tuple[str, ...]) -> str | None:
    """Return what is wrong with the columns that a study names, None where a file has all of them."""
    for key, column in given.stated() if given else ():
        if column not in columns:
            return (
                f"columns.{key}: no column {column!r}; {near(column, columns, n=1)}the columns are {', '.join(columns)}"
            )
    return None


def unrecognised(roles: Roles, columns: tuple[str, ...]) -> str:
    """Return the message for a file whose columns do not say where question or answer is."""
    there = f"question: {roles.question}" if roles.question else "question: COLUMN"
    answer = f"gold: {roles.gold}" if roles.gold else "gold: COLUMN"
    return (
        f"no column is known to hold {roles.missing}; the columns are {', '.join(columns)}. Say which do: "
        f"`columns: {{{there}, {answer}}}` (or `response` in place of `gold`, for whole responses)"
    )
