"""GSM8K: strict-match and flexible-extract of the harness."""

import pytest

from reassess.benchmarks.gsm8k import METADATA, flexible, judge
from reassess.benchmarks.item import Item

STRICT = [
    # reply, gold, answer read, correct, why
    ("6 * 12 = 72\n#### 72", "72", "72", True, "the number behind four marks"),
    ("#### 72", "6*12=<<6*12=72>>72\n#### 72", "72", True, "the gold's work is cut off"),
    ("#### 72", "#### 5\n#### 72", "72", True, "the gold's last mark counts"),
    ("#### 71\n#### 72", "72", "71", False, "the first mark counts"),
    ("#### 72.", "72", "72.", True, "one full stop at the end is removed"),
    ("#### 72..", "72", "72..", False, "a second full stop is not"),
    ("#### 72.0", "72", "72.0", False, "texts and no numbers are compared"),
    ("#### 1,000", "1000", "1,000", True, "commas are removed from the reply"),
    ("#### 1000", "1,000", "1000", True, "commas are removed from the gold"),
    ("#### 10,00", "1000", "10,00", True, "commas anywhere are removed"),
    ("#### 72", "$72", "72", True, "dollar signs are removed from the gold"),
    ("#### $72", "72", None, False, "a dollar sign behind the marks stops strict-match"),
    ("#### $71\n#### 72", "72", "72", True, "marks without a number are passed over"),
    ("####72", "72", None, False, "the space is needed"),
    ("##### 72", "72", "72", True, "five marks hold four"),
    ("#### about 72", "72", None, False, "a word before the number stops strict-match"),
    ("#### 72 dollars", "72", "72", True, "words behind the number do not matter"),
    ("#### -72", "-72", "-72", True, "a minus sign is read"),
    ("#### −72", "-72", None, False, "a typographic minus sign is not"),
    ("#### .", "72", ".", False, "a full stop alone counts as a number"),
    ("The answer is 72.", "72", None, False, "without marks a reply is wrong and not undecided"),
    ("", "72", None, False, "an empty reply is wrong"),
    ("\\boxed{72}", "72", None, False, "a box is not read"),
]

FLEXIBLE = [
    ("The answer is 72.", "72", "72.", True, "the last number, with its full stop"),
    ("72 of 100", "72", "100", False, "the last number counts"),
    ("#### 72 in 3 days", "72", "3", False, "marks mean nothing"),
    ("It costs $1,000", "1000", "$1,000", True, "dollar signs and commas are part of it"),
    ("It costs -$5", "-5", "-$5", True, "a minus sign before the dollar sign"),
    ("72 and so on ...", "72", "...", False, "an ellipsis is read as a number"),
    ("72, I think.", "72", "72,", True, "a comma behind the number is removed"),
    ("7 and one more.", "7", "7", True, "one digit"),
    ("72.00", "72", "72.00", False, "texts and no numbers are compared"),
    ("1/2", "0.5", "2", False, "fractions fall apart"),
    ("none", "72", None, False, "without a number a reply is wrong"),
]


@pytest.mark.parametrize(
    ("reply", "gold", "answer", "correct"), [case[:4] for case in STRICT], ids=[c[4] for c in STRICT]
)
def test_strict_match(reply: str, gold: str, answer: str | None, correct: bool) -> None:
    assert judge(Item(reply, gold))[:2] == (correct, answer)


@pytest.mark.parametrize(
    ("reply", "gold", "answer", "correct"), [case[:4] for case in FLEXIBLE], ids=[c[4] for c in FLEXIBLE]
)
def test_flexible_extract(reply: str, gold: str, answer: str | None, correct: bool) -> None:
    assert flexible(Item(reply, gold))[:2] == (correct, answer)


@pytest.mark.parametrize(
    ("reply", "end"),
    [
        ("The answer is 72.", "no number behind ####; flexible-extract: right, reads '72.'"),
        ("#### 72 in 3 days", "the number behind the first ####; flexible-extract: wrong, reads '3'"),
        ("none", "no number behind ####; flexible-extract: wrong, no number"),
    ],
)
def test_reason_says_what_flexible_extract_says(reply: str, end: str) -> None:
    assert judge(Item(reply, "72")).reason == end


def test_needs_no_metadata() -> None:
    assert not METADATA
