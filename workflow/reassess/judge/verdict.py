"""The verdict on one response."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from reassess.judge.equality import Comparison, compare_math
from reassess.judge.extract import find_answer, read_gold
from reassess.judge.normalize import same_text
from reassess.judge.options import Key, read_choice, read_key, same_choice
from reassess.judge.quantity import Quantity, compare_quantities, read_quantity

# Part of every score's identity: raise it when any verdict changes.
JUDGE_VERSION = "1"

KINDS = ("math", "numeric", "mcq", "text")


class Judgement(NamedTuple):
    """The verifier's word on one response.

    `correct` is None where the gold cannot be used, which depends on the gold alone and never on the response. `answer`
    is what was read from the response: the letters for multiple choice, else the text as it stands. `reason` is a few
    words for a person.
    """

    correct: bool | None
    answer: str | None
    reason: str


def judge(response: str, gold: str, kind: str, options: Sequence[str] | None = None) -> Judgement:
    """Judges a response against a gold answer; rewards and scores both come from here.

    The kinds are `math` (numbers, formulas, points, intervals, sets, relations), `numeric` (one number with or without
    a unit), `mcq` (a letter or an option's text; `options` are the option texts in order, if known) and `text` (equal
    but for case, white space and punctuation). A gold that is the text of a list of strings accepts any of them.

    A response without an answer, and one that hedges between several, is wrong. No text is executed and no file is
    read or written, and no pair of strings raises.

    Raises:
        ValueError: the kind is none of these.
        RuntimeError: a comparison needs the symbolic worker and that process cannot be started.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind {kind!r}; the kinds are {', '.join(KINDS)}")
    answer = find_answer(response)
    golds = read_gold(gold)
    if not golds:
        return Judgement(None, answer, "gold is empty")
    if kind == "mcq":
        return _judge_choice(answer, golds, options or None)
    if kind == "numeric":
        return _judge_number(answer, golds)
    if answer is None:
        return _NO_ANSWER
    return _first_equal(answer, ((_compare_text if kind == "text" else _compare_formula)(g, answer) for g in golds))


_NO_ANSWER = Judgement(False, None, "no answer found")


def _first_equal(answer: str, comparisons: Iterable[Comparison]) -> Judgement:
    reason = ""
    for comparison in comparisons:
        if comparison.equal:
            return Judgement(True, answer, comparison.reason)
        reason = reason or comparison.reason
    return Judgement(False, answer, reason)


_RESTATED = re.compile(r"\b(?:is|are|was|were|equals|has|have|be)\b(?:\s+equal\s+to\b|\s*:)?", re.IGNORECASE)
_COMMITTED = re.compile(r"[0-9]|\b(?:not|or|if|either|maybe|perhaps)\b|n't\b", re.IGNORECASE)
_SENTENCE_CHARACTERS = 200


def _stated_last(answer: str) -> str | None:
    """What a plain sentence such as "The area is 12 cm" says at its end; None where it may say two things."""
    if len(answer) > _SENTENCE_CHARACTERS:
        return None
    verbs = list(_RESTATED.finditer(answer))
    if len(verbs) != 1 or _COMMITTED.search(answer[: verbs[0].start()]):
        return None
    return answer[verbs[0].end() :].strip() or None


def _compare_formula(gold: str, answer: str) -> Comparison:
    comparison = compare_math(gold, answer)
    if comparison.equal:
        return comparison
    stated = _stated_last(answer)
    return compare_math(gold, stated) if stated else comparison


def _judge_number(answer: str | None, golds: list[str]) -> Judgement:
    readable = [(gold, number) for gold in golds if (number := read_quantity(gold, glued_letters_are_units=True))]
    if not readable:
        return Judgement(None, answer, "gold is not a number")
    if answer is None:
        return _NO_ANSWER
    stated = read_quantity(answer, glued_letters_are_units=True)
    if stated is None:
        return _first_equal(answer, (_compare_formula(gold, answer) for gold, _ in readable))
    return _first_equal(answer, (_compare_numbers(number, stated) for _, number in readable))


def _compare_numbers(gold: Quantity, stated: Quantity) -> Comparison:
    return Comparison(*compare_quantities(gold, stated))


_YES_NO = re.compile(r"\s*(yes|no|true|false)\b(?=\s*[,.;:!]|\s*$)", re.IGNORECASE)
_OPPOSITE = {"yes": "no", "no": "yes", "true": "false", "false": "true"}


def _compare_text(gold: str, answer: str) -> Comparison:
    if same_text(gold, answer):
        return Comparison(True, "same text")
    word, first = _YES_NO.fullmatch(gold), _YES_NO.match(answer)
    if word and first and word[1].lower() == first[1].lower():
        # "Yes, there is one." is a yes; "Yes, or rather no" is none.
        hedged = re.search(rf"\b{_OPPOSITE[first[1].lower()]}\b", answer, re.IGNORECASE)
        return Comparison(not hedged, "different text" if hedged else "same word")
    return Comparison(False, "different text")


def _judge_choice(answer: str | None, golds: list[str], options: Sequence[str] | None) -> Judgement:
    keys = [key for gold in golds if (key := read_key(gold, options))]
    if not keys:
        return Judgement(None, answer, "gold is none of the options")
    if answer is None:
        return _NO_ANSWER
    chosen = read_choice(answer, options)
    read = ", ".join(sorted(chosen)) or answer
    return _first_equal(read, (_compare_choice(key, chosen, answer, options) for key in keys))


def _compare_choice(key: Key, chosen: frozenset[str], answer: str, options: Sequence[str] | None) -> Comparison:
    if key.text is not None:
        return _compare_formula(key.text, answer)
    if not chosen:
        return Comparison(False, "no option found")
    if same_choice(key, chosen, options):
        return Comparison(True, "same option")
    return Comparison(False, "different option" if len(chosen) == 1 else "several options")
