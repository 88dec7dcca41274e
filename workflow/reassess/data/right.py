"""Whether a row is right: one form that SFT, RL and evaluation can all use, or the reason why they cannot.

A row is rewritten where its meaning is sure, so that what SFT imitates is what the judge calls right and RL is paid
for; every kind of rewriting is counted for the manifest. What is not sure is put aside.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from reassess import prompts
from reassess.example import KINDS, Example, PutAside
from reassess.judge import follows_format, judge
from reassess.judge.extract import last_boxed, read_gold
from reassess.judge.formats import TEMPLATES
from reassess.judge.options import read_choice, read_key
from reassess.judge.options_sentence import Hedge
from reassess.prompts import MAX_OPTIONS, THINK, Prompt, misplaced

if TYPE_CHECKING:
    from PIL.Image import Image

# What programs write where there is no value, and spreadsheets where a formula failed; in capitals or not.
_NO_VALUE = {"nan", "<na>", "nat", "null", "#n/a", "#name?", "#value!", "#ref!", "#div/0!", "#num!", "#null!"}
# The same, but where it may be an answer to a question.
_NO_NUMBER = {"none", "n/a"}
# Where reasoning with tags of its own ends.
_END = re.compile(r"</think>|(?=<answer>)")
# The tags of a response, as nobody else writes them.
_TAG = re.compile(r"<\s*/?\s*(?:think|answer)\s*>", re.IGNORECASE)
# Golds of which no format and no judge makes anything else.
_PLAIN = re.compile(r"[\w.,%° -]+")
# Options that stand in the question itself, by their letters.
_IN_QUESTION = re.compile(r"\bA\b.*\bB\b", re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")
_SHAPES = {template: Prompt(format=template) for template in TEMPLATES}


def right(item: Example, noted: Counter[str]) -> Example | PutAside:
    """Return an example in the form that every arm of a study uses, or as put aside with a reason.

    The gold becomes a letter for multiple choice, and loses the packaging of data sets elsewhere; a rationale loses the
    tags of a response. The judge then accepts the gold as an answer, and a response made of a rationale and the gold
    has the shape that the format reward asks for.

    Args:
        item: the example as its source has it.
        noted: counts what was rewritten, and pictures of a single colour.
    """
    problem = _structure(item) or _options(item)
    if problem is not None:
        return _aside(item, *problem)
    gold = _gold(item)
    if gold is None:
        return _aside(item, "gold", _why_no_option(item))
    if unmatched := _unmatched(item, gold):
        return _aside(item, "gold", unmatched)
    kept = _rationales(item, gold)
    if not kept and any(map(str.strip, item.rationales)):
        return _aside(item, "rationales", "no rationale that leads to the gold and has no tags of its own")
    if problem := _pictures(item, noted):
        return _aside(item, *problem)
    if gold != item.gold:
        noted["gold rewritten"] += 1
    if kept != item.rationales:
        noted["rationales rewritten or left out"] += 1
    return replace(item, gold=gold, rationales=kept)


def answer(gold: str) -> str:
    """Return what a gold that may be a list of accepted answers says first: the one that SFT imitates."""
    return next(iter(read_gold(gold)), gold)


def _aside(item: Example, column: str, reason: str) -> PutAside:
    return PutAside(item.id, item.source, reason, column)


def _structure(item: Example) -> tuple[str, str] | None:
    """Return column and reason where something is missing or of no known kind."""
    if not item.id:
        return "id", "id is empty"
    if item.kind not in KINDS:
        return "kind", f"kind is not one of {', '.join(KINDS)}"
    if _is_blank(item.question):
        return "question", "question is empty"
    if item.question.strip().lower() in _NO_VALUE:
        return "question", "question is no value"
    gold = item.gold.strip().lower()
    if _is_blank(gold):
        return "gold", "gold is empty"
    if gold in _NO_VALUE or (gold in _NO_NUMBER and item.kind in ("numeric", "math")):
        return "gold", "gold is no value"
    if not -(2**63) <= item.difficulty < 2**63:
        return "difficulty", "difficulty is no number of 64 bits"
    for name in ("id", "question", "gold", "options", "rationales", "source", "family", "metadata"):
        found = getattr(item, name)
        if not all(map(_is_unicode, (found,) if isinstance(found, str) else found)):
            return name, f"{name} is not Unicode text"
    return None


def _is_blank(text: str) -> bool:
    """Whether a text shows nothing: it has white space, and what takes no space, such as U+200B, alone."""
    return all(character.isspace() or unicodedata.category(character) == "Cf" for character in text)


def _is_unicode(text: str) -> bool:
    """Whether a text can be written to a file: half of a pair of surrogates, as JSON escapes it, cannot."""
    return _SURROGATE.search(text) is None


def _options(item: Example) -> tuple[str, str] | None:
    if item.kind == "mcq" and len(item.options) == 1:
        return "options", "mcq with a single option"
    if item.kind == "mcq" and not item.options and not _IN_QUESTION.search(item.question):
        return "options", "mcq without options"
    if len(item.options) > MAX_OPTIONS:
        return "options", f"more than {MAX_OPTIONS} options"
    if any(map(_is_blank, item.options)):
        return "options", "an option is empty"
    if any(option.strip().lower() in _NO_VALUE for option in item.options):
        return "options", "an option is no value"
    return None


def _gold(item: Example) -> str | None:
    """Return the gold without packaging, for multiple choice as letters; None where it is no choice."""
    if item.kind != "mcq":
        found = read_gold(item.gold)
        # Several are accepted, and stay a list.
        return found[0].strip() if len(found) == 1 else item.gold.strip()
    options = item.options or None
    stated = [(gold, key.letters) for gold in read_gold(item.gold) if (key := read_key(gold, options))]
    if any(len(letters) > 1 and not _names_all(letters, gold, options) for gold, letters in stated):
        return None
    keys = {letters for _, letters in stated}
    # Several sets of letters of which one is enough, and texts of options that are not known.
    letters = keys.pop() if len(keys) == 1 else frozenset()
    return ", ".join(sorted(letters)) or None


def _names_all(letters: frozenset[str], gold: str, options: tuple[str, ...] | None) -> bool:
    """Whether a gold names all of several letters: "B or C" does not, nor does "B. A or C"."""
    chosen = read_choice(gold, options)
    return chosen == letters and not isinstance(chosen, Hedge)


def _why_no_option(item: Example) -> str:
    if not item.options:
        return "gold is no letter"
    # Where golds count from 1, this is the row that gives it away.
    is_index = item.gold.strip().isdecimal() and item.gold.strip() not in item.options
    return "gold is none of the options, whose indices count from 0" if is_index else "gold is none of the options"


def _unmatched(item: Example, gold: str) -> str | None:
    """Return why no response could be right, None where one can."""
    said = answer(gold)
    shown = [f"<answer>{said}</answer>"] + ([] if _PLAIN.fullmatch(said) else [rf"\boxed{{{said}}}"])
    for text in shown:
        verdict = judge(text, gold, item.kind, item.options or None)
        if verdict.correct is None:
            return verdict.reason
        if not verdict.correct:
            return "the judge does not accept the gold as an answer"
    return None


def _rationales(item: Example, gold: str) -> tuple[str, ...]:
    """Return the rationales that a response can be made of, without tags of their own."""
    found = (_rationale(text, item, gold) for text in item.rationales)
    return tuple(text for text in found if text is not None)


def _rationale(text: str, item: Example, gold: str) -> str | None:
    """Return a rationale without tags of its own, None where it cannot be used."""
    parts = _END.split(text.strip().removeprefix(THINK), maxsplit=1)
    text = parts[0].strip() if len(parts) > 1 else text
    # What follows the reasoning is an answer of its own.
    if parts[1:] and parts[1].strip() and not _is_right(parts[1], item, gold):
        return None
    if not text.strip() or _TAG.search(text):
        return None
    if (boxed := last_boxed(text)) and judge(boxed, gold, item.kind, item.options or None).correct is False:
        return None
    for template, prompt in _SHAPES.items():
        target = prompts.target(text, answer(gold), prompt)
        # Without tags it is the gold that is judged, which was done.
        if not follows_format(target, template) or ("<" in text and not _is_right(target, item, gold)):
            return None
    return text


def _is_right(said: str, item: Example, gold: str) -> bool:
    return judge(said, gold, item.kind, item.options or None).correct is True


def _pictures(item: Example, noted: Counter[str]) -> tuple[str, str] | None:
    try:
        pictures = item.pil()
    except OSError:
        return "images", "image cannot be decoded"
    noted["pictures of a single colour"] += sum(map(_is_plain, pictures))
    problem = misplaced(item.question, item.options, len(item.images))
    return None if problem is None else ("question", problem)


def _is_plain(picture: Image) -> bool:
    return all(low == high for low, high in cast("tuple[tuple[int, int], ...]", picture.getextrema()))
