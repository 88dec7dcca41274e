"""MMMU's own rule: letters, pieces of open replies, and the three kinds of accuracy."""

import time

import pytest

from reassess.benchmarks import mmmu
from reassess.benchmarks.item import Item, Row

PETS = ("dog", "cat", "fish", "bird")

CHOICES = [
    # reply, options, letter read (None: drawn at random), why
    ("B", PETS, "B", "a letter alone"),
    ("B.", PETS, "B", "a full stop at the end is stripped"),
    ("(B)", PETS, "B", "a letter in parentheses"),
    ("The answer is (B).", PETS, "B", "a letter in parentheses in a sentence"),
    ("I pick B here", PETS, "B", "a letter between spaces"),
    ("(A) is wrong, so (C)", PETS, "C", "the last of two in parentheses"),
    ("(C), for (A) is wrong", PETS, "A", "the last one however the reply goes on"),
    ("C or D", PETS, "D", "the last of two between spaces"),
    ("(A) but B is better", PETS, "A", "parentheses win over spaces"),
    ("A cat", PETS, "A", "the article is a letter"),
    ("B. cat", PETS, None, "a full stop behind the letter inside the reply hides it"),
    ("B) cat", PETS, None, "so does a parenthesis"),
    ("**B**", PETS, None, "so do asterisks"),
    ("so\nB\n", PETS, None, "a line break is no space"),
    ("b", PETS, None, "a small letter is none"),
    ("E", PETS, None, "a letter beyond the options is none"),
    ("'.B", PETS, None, "the quotation mark goes last and leaves a full stop"),
    (".'B", PETS, "B", "in the other order both marks go"),
    ("cat", PETS, None, "an option's text in a short reply is not looked for"),
    ("what one can see is cat", PETS, "B", "it is in a reply of six words"),
    ("it says that these are dogmatic", PETS, "A", "inside of a word too"),
    ("neither a dog nor a bird but cat", PETS, "B", "the last of several texts"),
    ("", PETS, None, "an empty reply"),
    ("there is no letter in this reply", ("", "cat"), "A", "an empty option is in every reply"),
    ("B", (), None, "no options"),
]

OPEN = [
    # reply, gold, correct, why
    ("1.06", "1.06", True, "a number"),
    ("The value is 1.06 m", "1.06", True, "a number with its unit"),
    ("1.064", "1.06", True, "two decimals decide"),
    ("1.066", "1.06", False, "the third decimal rounds up"),
    ("0.004", "0", True, "a small number is zero"),
    ("x = 5\ny = 6", "6", True, "an equation in the last line"),
    ("x = 5\nno idea", "5", True, "without any piece the whole reply is read"),
    ("x = 5\nthe rest is gone", "5", False, "an equation in another line is not read"),
    ("It is 3. So it is 4", "3", False, "sentences are one line: the last tail counts"),
    ("It is 3.\nIt is 4.", "3", True, "lines are pieces of their own"),
    ("so the answer is 12", "12", True, "the shortest tail"),
    ("so 5 is \n7", "5", True, "an empty tail is given up for a longer one"),
    ("1,000", "1000", True, "thousands"),
    ("it costs 1,000 dollars", "0", True, "the simple pattern reads 000 of 1,000"),
    ("5-3", "-3", True, "a minus between numbers is a sign"),
    ("2e3", "2000", True, "scientific notation"),
    ("1_000", "1000", True, "an underscore as Python has it"),
    ("I do not know", "no", True, "a text gold inside of a word"),
    ("The capital of France", "paris", False, "another text"),
    ("PARIS", "Paris", True, "case does not matter"),
    ("The answer is London or Rome", "London", True, "a hedge"),
    ("The answer is Paris or London", "Paris", False, "the piece begins behind the is of Paris"),
    ("The answer is Paris or London", "London", True, "and holds what follows"),
    ("no", "Paris", False, "the gold must be inside of the reply, not the other way round"),
    ("Paris", "", True, "an empty gold is always right"),
    ("", "Paris", False, "an empty reply"),
    ("x", "x", True, "one character alone"),
    ("the letter is x", "x", True, "one character as a piece"),
    ("axb", "x", False, "one character needs a space beside it"),
    ("nan", "nan", False, "nan equals nothing"),
    ("it is inf", "inf", True, "infinity is a number"),
    ("five", "5", False, "a number in words"),
    ("0.17", "['1/6', '0.17']", True, "a list of alternatives, as the answer file has it"),
    ("it is 1/6", "['1/6', '0.17']", True, "another alternative"),
    ("0.5", "['1/6', '0.17']", False, "no alternative"),
    ("[1, 2]", "[1, 2]", True, "a list of numbers is a text"),
]


@pytest.mark.parametrize(("reply", "options", "letter", "why"), CHOICES, ids=[case[3] for case in CHOICES])
def test_choice(reply: str, options: tuple[str, ...], letter: str | None, why: str) -> None:
    outcome = mmmu.judge(Item(reply, letter or "A", options, {"question_type": "multiple-choice"}))
    assert outcome.answer == letter, why
    assert outcome.correct is (None if letter is None else True), why


@pytest.mark.parametrize(("reply", "gold", "correct", "why"), OPEN, ids=[case[3] for case in OPEN])
def test_open(reply: str, gold: str, correct: bool, why: str) -> None:
    assert mmmu.judge(Item(reply, gold, (), {"question_type": "open"})).correct is correct, why


def test_another_letter_is_wrong() -> None:
    assert mmmu.judge(Item("(C)", "B", PETS, {"question_type": "multiple-choice"})).correct is False


def test_the_gold_of_a_choice_is_not_stripped_but_may_be_a_list() -> None:
    metadata = {"question_type": "multiple-choice"}
    assert mmmu.judge(Item("B", "B ", PETS, metadata)).correct is False
    assert mmmu.judge(Item("B", "['A', 'B']", PETS, metadata)).correct is True


def test_a_short_answer_has_the_open_rule_even_with_options() -> None:
    assert mmmu.judge(Item("cat", "cat", PETS, {"question_type": "short-answer"})).correct is True


def test_a_draw_is_told_from_a_question_without_options() -> None:
    metadata = {"question_type": "multiple-choice"}
    assert mmmu.judge(Item("?", "A", PETS, metadata)).reason == "no option read: drawn at random"
    assert mmmu.judge(Item("A", "A", (), metadata)).reason == "no options"


@pytest.mark.parametrize(
    "reply", ["1" * 100_000, "1" * 100_000 + "a", "1.2e" * 25_000, "1," * 50_000, "-" * 100_000, "is \n" * 25_000]
)
def test_long_replies_take_bounded_time(reply: str) -> None:
    start = time.process_time()
    assert mmmu.judge(Item(reply, "7.7", (), {"question_type": "open"})).correct is False
    assert time.process_time() - start < 20


@pytest.mark.parametrize("gold", ["[" * 9_000 + "]", "[\x00]", "['\\']", "[]", "[1", "\ud800"])
def test_no_gold_raises(gold: str) -> None:
    assert mmmu.judge(Item("?!", gold, (), {"question_type": "open"})).correct is False


def test_summary_by_hand() -> None:
    rows = [
        Row("validation_Art_1", True),
        Row("validation_Art_2", False),
        Row("validation_Art_Theory_1", None),
        Row("validation_Math_1", True),
        Row("mmmu-17", True, {"id": "validation_Math_2"}),
        Row("validation_Math_3", False),
        Row("validation_Alchemy_1", True),
    ]
    assert mmmu.summary(rows) == {
        "Overall-Art and Design": 0.333,  # 1 of 3, None being wrong
        "Art": 0.5,
        "Art_Theory": 0.0,
        "Overall-Science": 0.667,  # 2 of 3
        "Math": 0.667,
        "Overall": 0.5,  # 3 of 6: questions count, not subjects, and Alchemy is no subject
    }


def test_summary_of_nothing_is_empty() -> None:
    assert mmmu.summary([]) == {}
