"""Takes a whole response apart: its reasoning, and the final answer, which is the gold."""

from __future__ import annotations

import re
from typing import NamedTuple

from reassess.example import RowError
from reassess.judge.extract import SHORT_REPLY_CHARACTERS, boxed_spans, last_boxed

NO_ANSWER = "no final answer stands in the response"

# Chat templates may have put the opening tag into the prompt.
_THINK = re.compile(r"(?:<think>)?(.*?)</think>(.*)", re.DOTALL | re.IGNORECASE)
_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(r"</?(?:think|answer)>", re.IGNORECASE)
# GSM8K (openai/grade-school-math): the work, then the answer on a line of its own.
_HASHES = re.compile(r"(?<!#)####(?!#)[ \t]*([^\n]+?)[ \t]*$", re.MULTILINE)
# A model that repeats itself writes very long responses, which are not searched for sentences.
_LAST_CHARACTERS = 300
# "So the final answer is (B)." as the last sentence.
_LAST = re.compile(
    r"(?:^|(?<=[.!?])\s+|\n\s*)[*#]*(?:(?:so|thus|hence|therefore)\b[, ]*)?(?:the |my )?(?:final |correct )?"
    r"answer(?: is|:)[\s*:]*([^\n]{1,100}?)[.*]*\s*$",
    re.IGNORECASE,
)


class Reading(NamedTuple):
    """A response taken apart.

    Attributes:
        gold: the final answer.
        rationale: the reasoning, as it stands but for the box around the answer; None where there is none.
    """

    gold: str
    rationale: str | None


def read_response(response: str, column: str) -> Reading:
    """Return the final answer of a response and the reasoning before it.

    In this order: `<answer>` (the last), the last `\\boxed{}`, `#### N`, a last sentence `The answer is N`; without any
    of them a response, or what follows `</think>`, of one line of at most 200 characters is the answer itself.
    Reasoning is what `<think>` holds, else what stands before the answer, or around it.

    Raises:
        RowError: there is no final answer, or its tags do not match.
    """
    thinking, reply = None, response
    if thought := _THINK.fullmatch(response.strip()):
        thinking, reply = thought[1], thought[2]
    found = _final(reply, column)
    return Reading(found.gold, thinking if thinking is not None else found.rationale)


def has_marks(text: str) -> bool:
    """Return whether a text is a response rather than an answer: it has tags, a box, or the `####` of GSM8K."""
    return _TAG.search(text) is not None or _HASHES.search(text) is not None or bool(boxed_spans(text))


def _final(reply: str, column: str) -> Reading:
    answers = list(_ANSWER.finditer(reply))
    if answers:
        before = reply[: answers[0].start()].strip()
        inside = answers[-1][1].strip()
        return _made(last_boxed(inside) or inside, before, column)
    if _TAG.search(reply):
        raise RowError("the tags of the response do not match", column)
    if boxed := last_boxed(reply):
        return _made(boxed, _unboxed(reply), column)
    if hashes := list(_HASHES.finditer(reply)):
        return _made(hashes[-1][1], reply[: hashes[-1].start()].strip(), column)
    reply = reply.strip()
    if stated := _LAST.search(reply, max(0, len(reply) - _LAST_CHARACTERS)):
        return _made(stated[1], reply[: stated.start()].strip(), column)
    # In several lines an answer is explained.
    if len(reply) > SHORT_REPLY_CHARACTERS or "\n" in reply:
        raise RowError(NO_ANSWER, column)
    return _made(reply, "", column)


def _made(gold: str, rationale: str, column: str) -> Reading:
    if not gold.strip():
        raise RowError(NO_ANSWER, column)
    return Reading(gold.strip(), rationale if rationale and rationale != gold.strip() else None)


def _unboxed(reply: str) -> str:
    """Return a reply with the content of each box in its place; nothing where it is a box alone."""
    pieces, end = [], 0
    spans = boxed_spans(reply)
    for start, stop, content in spans:
        pieces += [reply[end:start], content]
        end = stop
    around = "".join((*pieces[::2], reply[end:]))
    return "".join((*pieces, reply[end:])).strip() if around.strip("$ \t\n.") else ""
