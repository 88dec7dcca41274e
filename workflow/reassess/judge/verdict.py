"""The verdict on one response."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from reassess.judge import worker
from reassess.judge.equality import Comparison, assigned, compare_math, is_constant
from reassess.judge.extract import find_answer, read_gold
from reassess.judge.normalize import same_text
from reassess.judge.options import Key, read_choice, read_key, same_choice
from reassess.judge.quantity import Quantity, compare_quantities, read_quantity
from reassess.judge.statement import claim, shortened

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
    try:
        with worker.limited():
            return _verdict(answer, gold, kind, options)
    except worker.ExhaustedError:
        return Judgement(False, answer, "comparison stopped")


def _verdict(answer: str | None, gold: str, kind: str, options: Sequence[str] | None) -> Judgement:
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


_RESTATED = re.compile(r"([^()=]{1,60}?)\s*\(\s*(?:or|i\.e\.,?|that is,?|=|≈)?\s*([^()]{1,60})\)\.?")


def _readings(answer: str) -> Iterator[str]:
    """The answer as it stands, and what it claims where it is a short sentence or says the same thing twice."""
    yield answer
    twice = _RESTATED.fullmatch(answer.strip())
    if twice:
        first, second = (read_quantity(text, number_expected=True) for text in twice.groups())
        if first and second and (compare_quantities(first, second)[0] or compare_quantities(second, first)[0]):
            yield twice[1]
    said = claim(answer)
    if said is None:
        return
    if said != answer:
        yield said
    shorter = shortened(said)
    measured = next((text for text in shorter if read_quantity(text)), None)
    yield from dict.fromkeys(text for text in (measured, *shorter[-1:]) if text)


def _compare_formula(gold: str, answer: str) -> Comparison:
    first: Comparison | None = None
    for reading in _readings(answer):
        comparison = compare_math(gold, reading)
        if comparison.equal:
            return comparison
        first = first or comparison
    assert first is not None
    return first


def _judge_number(answer: str | None, golds: list[str]) -> Judgement:
    usable = [(gold, number) for gold in golds if (number := _read_number(gold)) or _is_numeric(gold)]
    if not usable:
        return Judgement(None, answer, "gold is not a number")
    if answer is None:
        return _NO_ANSWER
    stated = next((number for text in _readings(answer) if (number := _read_number(text))), None)

    def compare(gold: str, number: Quantity | None) -> Comparison:
        # With a name on both sides, as in "x = 5" and "y = 5", the name counts.
        named = "=" in gold and "=" in answer
        return _compare_numbers(number, stated) if number and stated and not named else _compare_formula(gold, answer)

    return _first_equal(answer, (compare(gold, number) for gold, number in usable))


def _read_number(text: str) -> Quantity | None:
    """The number that a text states, "x = 5" and "∠ABC = 35°" included."""
    return read_quantity(assigned(text) or text, number_expected=True)


def _is_numeric(gold: str) -> bool:
    """Whether a gold that is no plain number is a formula with a value, such as 4π or 10√3."""
    value = assigned(gold) or gold
    return bool(_HAS_NUMBER.search(value)) and is_constant(value)


_HAS_NUMBER = re.compile(r"[0-9π√]|\\(?:pi|sqrt)(?![A-Za-z])")


def _compare_numbers(gold: Quantity, stated: Quantity) -> Comparison:
    return Comparison(*compare_quantities(gold, stated))


_YES_NO = re.compile(r"\s*(yes|no|true|false)\b(?=\s*[,.;:!]|\s+[-–—]\s|[–—]|\s*$)", re.IGNORECASE)
_OPPOSITE = {"yes": "no", "no": "yes", "true": "false", "false": "true"}


def _compare_text(gold: str, answer: str) -> Comparison:
    if same_text(gold, answer):
        return Comparison(True, "same text")
    answer = answer.replace("**", "")
    word, first = _YES_NO.fullmatch(gold), _YES_NO.match(answer)
    if word and first and word[1].lower() == first[1].lower():
        # "Yes, there is one." and "Yes, there are no others" say yes; "Yes, or rather no" and "Yes. No." say nothing.
        opposite = _OPPOSITE[first[1].lower()]
        hedged = re.search(
            rf"\b(?:or|and|but|rather|actually)\s+(?:rather\s+)?{opposite}\b|\b{opposite}\s*(?:[,.;:!?/]|$)"
            rf"|/\s*{opposite}\b",
            answer,
            re.IGNORECASE,
        )
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
