"""How an answer is compared where neither its row nor the study says."""

from __future__ import annotations

import re
from collections.abc import Sequence

from reassess.judge.extract import read_gold
from reassess.judge.quantity import read_quantity

# "(B)", "B.", "B" or "B, D": letters alone.
_LETTERS = re.compile(r"[(\[]?([A-Z])[)\].:]?(?:\s*(?:,|;|&|\band\b)\s*[(\[]?([A-Z])[)\].:]?)*")
# Where an option begins in a question: "(A) 3", "A. 3", "A: 3", "A、3".
_OPTION = re.compile(r"(?<![A-Za-z0-9])[(\[（]?([A-Z])[.:)\]．：、）](?!\w\.)")
_DATE = re.compile(r"\d{1,4}([/.-])\d{1,2}\1\d{1,4}")
_COMMAND = re.compile(r"\\[A-Za-z]+")
_WRAPPED_WORDS = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mbox|operatorname)\s*\{([^{}]*)\}")
# Commands of LaTeX, and signs that prose has not.
_FORMULA = re.compile(r"\\[A-Za-z]+|^\$.+\$$|[\^=<>≤≥≠≈±√π∞×÷·∪∩∈∠△⊥∥²³°]|[A-Za-z0-9)]_[{A-Za-z0-9]")
_FUNCTION = re.compile(r"(?:sin|cos|tan|cot|sec|csc|log|ln|exp|sqrt|pi|or|and)(?![A-Za-z])")
_WORD = re.compile(r"[^\W\d_]{2,}")
# "Q1 2020", "H2O".
_LABEL = re.compile(r"(?<![A-Za-z])[A-Za-z][0-9]")


def kind_of(gold: str, options: Sequence[str] = (), question: str = "") -> str:
    """Return one of `example.KINDS` for a right answer, as the judge would best compare it.

    `mcq` where there are options, or where the gold is a letter (or several) that begins an option inside the question;
    `numeric` for one number with or without a unit; `math` for a formula, point, interval, ratio or list of numbers;
    else `text`. Of several accepted answers the first decides.
    """
    if options:
        return "mcq"
    stated = next(iter(read_gold(gold)), gold).strip()
    if _is_letter_in(question, stated):
        return "mcq"
    if read_quantity(stated) is not None:
        return "numeric"
    return "math" if _is_formula(stated) else "text"


def _is_letter_in(question: str, stated: str) -> bool:
    """Whether a gold is letters, and the question has these among options that begin with A and B."""
    if not _LETTERS.fullmatch(stated):
        return False
    there = set(_OPTION.findall(question))
    return {"A", "B", *re.findall(r"[A-Z]", stated)} <= there


def _is_formula(stated: str) -> bool:
    if _DATE.fullmatch(stated):
        return False
    plain = _WRAPPED_WORDS.sub(r" \1 ", stated)
    has_sign = bool(_FORMULA.search(plain))
    if _COMMAND.search(plain):
        return True
    words = _WORD.findall(_FUNCTION.sub(" ", plain))
    if words:
        # "AB = 5" is one; "the car at 5 > 3 km" is none.
        return has_sign and all(word.isupper() for word in words)
    return has_sign or (re.search(r"\d", plain) is not None and _LABEL.search(plain) is None)
