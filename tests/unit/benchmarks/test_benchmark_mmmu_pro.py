"""MMMU-Pro's own rule: the letter behind the last "Answer:", else MMMU's reading with more forms."""

import time

import pytest

from reassess.benchmarks import mmmu_pro
from reassess.benchmarks.item import Item

PETS = ("dog", "cat", "fish", "bird")
TEN = ("1", "2", "3", "4", "5", "6", "7", "8", "9", "10")

CASES = [
    # reply, options, letter read (None: drawn at random), why
    ("Answer: B", PETS, "B", "the last line that the prompt asks for"),
    ("Answer: $B", PETS, "B", "a dollar sign before the letter"),
    ("Answer:\n**B**", PETS, "B", "a line break and asterisks"),
    ("Answer: A\nNo.\nAnswer: B", PETS, "B", "the last marker"),
    ("Answer: Both", PETS, "B", "the capital of a word"),
    ("Answer: the Cell", PETS, "C", "a capital inside the answer's text"),
    ("Answer: J", TEN, "J", "a tenth option"),
    ("Answer: J", PETS, None, "a tenth letter of four options"),
    ("Answer: J", ("x",) * 4, None, "no text of an option in a short reply"),
    ("(C)\nAnswer: B. Cells", PETS, "C", "two letters behind the marker: the whole reply is read"),
    ("Answer: B. Cells", PETS, "B", "then the dotted letter is found"),
    ("answer: Both", PETS, None, "the marker needs its capital"),
    ("I say (A), so (D)", PETS, "D", "the last in parentheses"),
    ("(A) or B ", PETS, "A", "parentheses win over a space"),
    ("B is right", PETS, "B", "a letter and a space"),
    ("DNA is it", PETS, "A", "the end of a word and a space"),
    ("DNA then BC \n", PETS, "A", "without any letter between spaces the first option wins"),
    ("DNA then C says", PETS, "C", "a letter between spaces beats the end of a word"),
    ("C now DNA is it", PETS, "C", "even one before it"),
    ("B.", PETS, "B", "a full stop at the end is stripped"),
    ("B.cat", PETS, "B", "a letter and a full stop"),
    ("C.or B.cat", PETS, "B", "of dotted letters the first option wins, not the last"),
    ("B cat, C.x", PETS, "B", "a space wins over a full stop"),
    ("B cat, C.", PETS, "C", "a last full stop is stripped and leaves a space"),
    ("**B**", PETS, None, "asterisks hide a letter"),
    ("b", PETS, None, "a small letter is none"),
    ("cat", PETS, None, "an option's text in a short reply"),
    ("what one can see is cat", PETS, "B", "an option's text in six words"),
    ("", PETS, None, "an empty reply"),
    ("Answer: B", (), None, "no options"),
]


@pytest.mark.parametrize(("reply", "options", "letter", "why"), CASES, ids=[case[3] for case in CASES])
def test_letter(reply: str, options: tuple[str, ...], letter: str | None, why: str) -> None:
    outcome = mmmu_pro.judge(Item(reply, letter or "A", options))
    assert outcome.answer == letter, why
    assert outcome.correct is (None if letter is None else True), why


def test_another_letter_is_wrong() -> None:
    assert mmmu_pro.judge(Item("Answer: C", "B", PETS)).correct is False
    assert mmmu_pro.judge(Item("(C)", "B", PETS)).correct is False


def test_the_gold_is_not_stripped() -> None:
    assert mmmu_pro.judge(Item("Answer: B", "B ", PETS)).correct is False


@pytest.mark.parametrize("reply", ["Answer:" * 14_000, "(A" * 50_000, "A." * 50_000, " " * 100_000])
def test_long_replies_take_bounded_time(reply: str) -> None:
    start = time.process_time()
    mmmu_pro.judge(Item(reply, "B", TEN))
    assert time.process_time() - start < 20
