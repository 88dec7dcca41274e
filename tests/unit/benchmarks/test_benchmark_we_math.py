"""We-Math's official rule: the first character behind the last "Answer", and the four dimensions."""

import pytest

from reassess.benchmarks.item import Item, Row
from reassess.benchmarks.we_math import _DOMAINS, METADATA, judge, summary

CASES = [
    # reply, letter read, why
    ("<Thought process>: <<x>> <Answer>: <<B>>", "B", "the form that the prompt asks for"),
    ("Answer: B", "B", "the word and a colon"),
    ("Answer:\n\nB. 12", "B", "the word and line breaks"),
    ("Answer: . <: B", "B", "marks before the letter"),
    ("Answer B", "B", "the word alone"),
    ("B", "B", "a letter without the word"),
    ("B. 12", "B", "a letter and its text without the word"),
    ("A triangle has three sides, so C", "A", "the first character without the word"),
    ("Hence C", "H", "letters to H count"),
    ("I think C", None, "letters beyond H do not"),
    ("The answer is B", None, "the word in lower case is not the word"),
    ("ANSWER: B", "A", "in capitals it is read as A"),
    ("Answer is B", None, "a word behind it"),
    ("Answers: B", None, "the plural"),
    ("Answer: Both", "B", "a word that begins with a letter"),
    ("Answer: b", None, "a small letter"),
    ("Answer: (B)", None, "parentheses"),
    ("Answer: **B**", None, "emphasis"),
    ("Answer: \\boxed{B}", None, "a box"),
    ("Answer: A. Final Answer: B", "B", "the last of two"),
    ("Answer: B. This Answer holds.", None, "the last of two even where the first has the letter"),
    ("Answer:", None, "nothing behind the word"),
    ("", None, "an empty reply"),
    ("<:.>" * 25_000, None, "nothing but marks"),
]


@pytest.mark.parametrize(("reply", "letter", "why"), CASES, ids=[case[2] for case in CASES])
def test_reply(reply: str, letter: str | None, why: str) -> None:
    found = judge(Item(reply, "B"))
    assert (found.answer, found.correct) == (letter, letter == "B"), why


@pytest.mark.parametrize("gold", ["B.", " B", "b", ""])
def test_the_gold_must_be_the_letter_and_nothing_else(gold: str) -> None:
    assert judge(Item("Answer: B", gold)).correct is False


def test_no_model_is_asked_or_heard() -> None:
    assert judge(Item("so (B)", "B", model_answer="B")).correct is False


def problem(name: str, steps: list[bool | None], whole: bool | None, concept: str = "Rotation") -> list[Row]:
    prefix = f"{len(steps)}steps"
    verdicts = [(f"{prefix}_{number}", step) for number, step in enumerate(steps, 1)]
    verdicts.append((f"{prefix}_multi", whole))
    return [
        Row(f"{name}_{key}", correct, {"ID": name, "key": key, "knowledge concept": concept})
        for key, correct in verdicts
    ]


def test_summary() -> None:
    rows = [
        *problem("2steps_1", [True, True], True),  # complete mastery in both forms
        *problem("2steps_2", [True, False], True),  # complete mastery, strictly rote memorization
        *problem("2steps_3", [False, None], True),  # rote memorization in both forms
        *problem("2steps_4", [True, True], False),  # inadequate generalization
        *problem("2steps_5", [True, False], None),  # insufficient knowledge
        *problem("3steps_1", [False, False, False], False),  # insufficient knowledge
        *problem("3steps_2", [False, False, True], True),  # complete mastery, strictly rote memorization
        *problem("3steps_3", [True, True, True], False),  # inadequate generalization
    ]
    assert set(rows[0].metadata) == METADATA
    assert summary(rows) == {
        "Score (Strict)": pytest.approx((8 - 0.5 * 2 - 3 - 2) / 8),
        "InsufficientKnowledge (Strict)": 2 / 8,
        "InadequateGeneralization (Strict)": 2 / 8,
        "CompleteMastery (Strict)": 1 / 8,
        "RoteMemorization (Strict)": 3 / 4,
        "Score (Loose)": pytest.approx((8 - 0.5 * 2 - 1 - 2) / 8),
        "InsufficientKnowledge (Loose)": 2 / 8,
        "InadequateGeneralization (Loose)": 2 / 8,
        "CompleteMastery (Loose)": 3 / 8,
        "RoteMemorization (Loose)": 1 / 4,
        "One-step(S1)": pytest.approx(10 / 19),
        "Two-step(S2)": 3 / 5,
        "Three-step(S3)": 1 / 3,
        "Basic Transformations of Figures": pytest.approx(10 / 19),
    }


def test_a_domain_is_the_mean_over_its_concepts() -> None:
    rows = [
        *problem("2steps_1", [True, True], True, "Rotation"),
        *problem("2steps_2", [True, True], True, "Rotation"),
        *problem("2steps_3", [False, False], False, "Translation"),
        *problem("2steps_4", [False, False], False, "rotation"),
    ]
    found = summary(rows)
    assert found["Basic Transformations of Figures"] == 0.5
    assert found["One-step(S1)"] == 0.5
    assert "Direction" not in found


def test_rote_memorization_of_no_right_problem_is_left_out() -> None:
    found = summary(problem("3steps_1", [True, True, True], False))
    assert "RoteMemorization (Strict)" not in found
    assert "Two-step(S2)" not in found
    assert found["Score (Loose)"] == 0.5


def test_a_problem_that_lacks_a_row_is_left_out() -> None:
    whole = problem("2steps_1", [True, True], True)
    for missing in range(3):
        part = problem("2steps_2", [False, False], False)
        del part[missing]
        assert summary([*whole, *part]) == summary(whole)
        assert summary(part) == {}
    assert summary([]) == {}


def test_the_order_of_the_rows_does_not_matter() -> None:
    rows = [*problem("2steps_1", [True, False], True), *problem("3steps_1", [True, True, True], False)]
    assert summary(rows[::-1]) == summary(rows)


def test_no_concept_is_of_two_domains() -> None:
    concepts = [concept for domain in _DOMAINS.values() for concept in domain]
    assert len(_DOMAINS) == 12
    assert len(set(concepts)) == len(concepts) == 67
