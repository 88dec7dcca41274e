"""Circular evaluation: a multiple-choice question is asked once for each rotation of its options.

It counts as right where every rotation is (MMBench, arXiv 2307.06281, section 4.3), so that a model which prefers a
letter, or guesses, gains nothing.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace

from reassess.example import Example
from reassess.prompts import IMAGE, letter

# Between the id of a question and the number of its rotation.
MARK = "~rotated"
# Options that speak of others by their place or letter mean something else elsewhere, and bare letters stand in a
# picture.
_OF_OTHERS = re.compile(
    r"\b(?:all|none|neither|both|each|any|either) of (?:the )?(?:above|these|those|them|following)\b"
    r"|\b(?:above|below|preceding|previous)\b|^\W*[A-J]\W*(?:(?:,|and|or|&)\W*[A-J]\W*)*$"
    r"|\b[A-J] and [A-J]\b",
    re.IGNORECASE,
)


def rotations(item: Example) -> Iterator[Example]:
    """Yield a question with its options in every rotation, the published order first.

    What is not multiple choice with one right option, or has an option that speaks of others ("none of the above"), is
    asked as it is.
    """
    n = len(item.options)
    if item.kind != "mcq" or len(item.gold) != 1 or n < 2 or any(map(_OF_OTHERS.search, item.options)):
        yield item
        return
    place = ord(item.gold) - ord("A")
    # Images stand in the order of their places, those of the options last.
    rest = iter(item.images[len(item.images) - sum(option.count(IMAGE) for option in item.options) :])
    shown = [tuple(itertools.islice(rest, option.count(IMAGE))) for option in item.options]
    before = item.images[: len(item.images) - sum(map(len, shown))]
    for turn in range(n):
        options = item.options[turn:] + item.options[:turn]
        images = before + tuple(image for part in shown[turn:] + shown[:turn] for image in part)
        changed = replace(item, id=f"{item.id}{MARK}{turn}", options=options, gold=letter((place - turn) % n))
        yield replace(changed, images=images)


def question_id(id_: str) -> str:
    """Return the id of the question that a rotation asks."""
    return id_.rpartition(MARK)[0] or id_
