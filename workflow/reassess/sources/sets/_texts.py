"""Takes the texts of training sets apart: turns of a conversation, tagged reasoning and answers, boxes, options."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from reassess import prompts
from reassess.example import Example, RowError
from reassess.judge.extract import boxed_spans, last_boxed
from reassess.judge.options import read_key
from reassess.sources import choices, fields
from reassess.sources.kinds import kind_of

# How the collections that many sets draw on ask for a form of answer; the study's own instruction takes its place.
# Source: the questions of R1-Onevision and of LLaVA-OneVision's data.
_BEFORE = re.compile(
    r"\s*(?:Hint: Please answer the question and provide the (?:correct option letter, e\.g\., A, B, C, D,"
    r"|final answer) at the end\.|First perform reasoning, then finally select the question from the choices in the "
    r"following format: Answer: xxx\.|Based on the image, directly select the correct answer for the following "
    r"question:)\s*"
)
_BEHIND = re.compile(
    r"\s*Answer (?:with (?:the given options|the option's letter from the given choices) directly"
    r"|the question (?:using a single word or phrase|with a short phrase|with Yes or No"
    r"|by selecting only one option from the given options))\.\s*$"
)
_ASKS, _ANSWERS = frozenset({"human", "user"}), frozenset({"gpt", "assistant"})


class Response(NamedTuple):
    """A response in two parts.

    Attributes:
        reasoning: what stands inside `<think>`.
        answer: what stands inside the last `<answer>`, else all that follows the reasoning.
    """

    reasoning: str
    answer: str


def asked(question: str, gold: str) -> Example:
    """Return a question and its answer as an example, to which a set adds what else it has.

    The question is without what it asks for as a form, and its options stand apart where the gold is one of them, by
    its letter or by its text.
    """
    question = _without_request(question)
    stem, options = choices.split(question)
    # A number that is no option is no index of one either: these sets have letters.
    is_index = gold.strip().isdigit() and gold.strip() not in options
    key = read_key(gold, options) if options and not is_index else None
    if key is None or not key.letters:
        return Example("", (), question, (), gold, kind_of(gold, (), question), (), "", "", 0)
    return Example("", (), stem, options, ", ".join(sorted(key.letters)), "mcq", (), "", "", 0)


def _without_request(question: str) -> str:
    start = len(prompts.IMAGE) if question.startswith(prompts.IMAGE) else 0
    found = _BEFORE.match(question, start)
    if found:
        question = question[:start] + question[found.end() :]
    return _BEHIND.sub("", question)


def element(text: str, tag: str) -> str | None:
    """Return the content of the last `<tag>...</tag>`, without white space at its ends; None where there is none."""
    found = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL | re.IGNORECASE)
    return found[-1].strip() if found else None


def response(text: str, column: str) -> Response:
    """Return a response in two parts. Raises RowError where it has no closed `<think>`."""
    before, end, after = text.rpartition("</think>")
    _, start, reasoning = before.rpartition("<think>")
    if not (start and end and reasoning.strip()):
        raise RowError("no reasoning inside <think>", column)
    answer = element(after, "answer")
    return Response(reasoning.strip(), after.strip() if answer is None else answer)


def boxed(text: str, column: str) -> str:
    r"""Return the content of the last `\boxed{}`. Raises RowError where there is none."""
    found = last_boxed(text)
    if found is None:
        raise RowError(r"no \boxed{} with the answer", column)
    return found


def without_boxes(text: str) -> str:
    r"""Return a text with the content of each `\boxed{}` in its place, so that a rationale holds no answer format."""
    for start, end, content in reversed(boxed_spans(text)):
        text = text[:start] + without_boxes(content) + text[end:]
    return text


def one_turn(row: Mapping[str, Any], column: str) -> tuple[str, str]:
    """Return the question and the response of a conversation: `from` and `value`, or `role` and `content`.

    Raises:
        DataError: there is no such column.
        RowError: it holds something else than one question and one response; a system message does not count.
    """
    said = fields.value(row, column)
    if not isinstance(said, Sequence) or not all(isinstance(turn, Mapping) for turn in said):
        raise RowError("not a list of turns", column)
    turns = [(turn.get("from") or turn.get("role"), turn.get("value") or turn.get("content")) for turn in said]
    turns = [(who, text) for who, text in turns if who != "system"]
    if len(turns) > 2:
        raise RowError("a conversation of several turns", column)
    if len(turns) != 2 or turns[0][0] not in _ASKS or turns[1][0] not in _ANSWERS:
        raise RowError("not one question and one response", column)
    question, answer = (text for _, text in turns)
    if not isinstance(question, str) or not isinstance(answer, str):
        raise RowError("a turn without text", column)
    return question, answer
