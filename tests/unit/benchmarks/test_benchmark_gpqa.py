"""GPQA: the regular expression of simple-evals."""

import pytest

from reassess.benchmarks.gpqa import METADATA, judge
from reassess.benchmarks.item import Item

OPTIONS = ("10 eV", "20 eV", "30 eV", "20 eV")

CASES = [
    # reply, gold, options, answer read, correct, why
    ("Because of that.\nAnswer: B", "B", (), "B", True, "the letter behind Answer:"),
    ("ANSWER: B", "B", (), "B", True, "answer in any case"),
    ("Answer: b", "B", (), "b", False, "a small letter is read and wrong"),
    ("Answer: A\nNo.\nAnswer: B", "B", (), "A", False, "the first Answer: counts"),
    ("Answer: unclear\nAnswer: B", "B", (), "B", True, "an Answer: without a letter is passed over"),
    ("Answer : \tB", "B", (), "B", True, "spaces and tabs around the colon"),
    ("Answer:\nB", "B", (), None, False, "a line break stops it"),
    ("Answer: $B$", "B", (), "B", True, "one dollar sign before the letter"),
    ("Answer: $$B$$", "B", (), None, False, "two dollar signs stop it"),
    ("Answer: (B)", "B", (), None, False, "a parenthesis stops it"),
    ("**Answer:** B", "B", (), None, False, "emphasis behind the colon stops it"),
    ("**Answer: B**", "B", (), "B", True, "emphasis around it does not"),
    ("Answer: \\boxed{B}", "B", (), None, False, "a box stops it"),
    ("Answer: Because", "B", (), "B", True, "the letter may begin a word"),
    ("Answer: about 5", "A", (), "a", False, "a small first letter of a word is read"),
    ("Final answer: B", "B", (), "B", True, "words before it do not matter"),
    ("Answer: E", "E", (), None, False, "letters end at D"),
    ("B", "B", (), None, False, "a letter alone is wrong and not undecided"),
    ("The answer is B", "B", (), None, False, "the colon is needed"),
    ("Answer: C", "30 eV", OPTIONS, "C", True, "a gold that is an option's text"),
    ("Answer: D", "20 eV", OPTIONS, "D", False, "of equal options the first is right"),
    ("Answer: C", "2", OPTIONS, "C", True, "a gold that is an index"),
    ("Answer: C", "(C)", OPTIONS, "C", True, "a gold in parentheses"),
    ("Answer: C", "40 eV", OPTIONS, "C", False, "a gold that is no option"),
    ("Answer: A", "9", OPTIONS, "A", False, "an index beyond the options"),
    ("", "", (), None, False, "an empty reply and an empty gold"),
]


@pytest.mark.parametrize(
    ("reply", "gold", "options", "answer", "correct"), [case[:5] for case in CASES], ids=[case[5] for case in CASES]
)
def test_simple_evals(reply: str, gold: str, options: tuple[str, ...], answer: str | None, correct: bool) -> None:
    assert judge(Item(reply, gold, options))[:2] == (correct, answer)


def test_needs_no_metadata() -> None:
    assert not METADATA
