"""How an answer is compared where nothing says so."""

from __future__ import annotations

import pytest

from reassess.sources.kinds import kind_of

# Most stand in real data sets.
GOLDS = {
    "numeric": [
        *(
            "4 cm",
            r"\frac{1}{2}",
            "two",
            "1,000",
            "3 dogs",
            "$42$",
            r"\boxed{42}",
            "145°",
            "12 meters.",
            "1/2",
            "$$6$$",
        ),
        *(
            "$$6$$",
            "<answer> 145° </answer>",
            "She has 3 + 4. #### 7",
            "['5','6']",
            "4 cm²",
            "-2",
            "0.5%",
            "1e5",
            "25%",
        ),
        *("$5",),
    ],
    "math": [
        *("2:30", r"10\sqrt{3}", "x=5", "(1,2)", "2x+1", "5m", "4π", "5:0", "10√{2}", r"S 23.5 ^\circ W", "AB=CD"),
        *("x<3", r"[0, \infty)", "(-∞, 4]", "a<b or c", "sin(x)/2", "$x$", r"Area $=9 \pi \mathrm{cm}^{2}$", "3,4,5"),
        *(">-2", "(1)3;(2)3", "[1, 6, 2, 0, 5]", "2^{10}"),
    ],
    "text": [
        *(
            "red",
            "x",
            "yes",
            "12/12/2011",
            "Paris",
            "A",
            "AB",
            "12 apples and pears",
            r"\text{red}",
            "R&B",
            "iPhone 12",
        ),
        *("iPhone 12", "Q1 2020", "H2O", "C++", "It is 5 = 5 since the dog", "Aug 2014", "42 people, 3 dogs", ""),
    ],
}


@pytest.mark.parametrize(("kind", "gold"), [(kind, gold) for kind, golds in GOLDS.items() for gold in golds])
def test_the_kind_of_an_answer_follows_from_its_form(kind: str, gold: str) -> None:
    assert kind_of(gold) == kind


def test_options_make_a_choice() -> None:
    assert kind_of("4", ("3", "4")) == "mcq"


@pytest.mark.parametrize(
    ("question", "gold", "kind"),
    [
        ("Find x.\nChoices:\nA:4\nB:2\nC:3\nD:1", "B", "mcq"),
        ("Find x.\nChoices:\nA:4\nB:2\nC:3\nD:1", "B, D", "mcq"),
        ("Find x.\nChoices:\nA:4\nB:2\nC:3\nD:1", "(C)", "mcq"),
        ("Find x.\nChoices:\nA:4\nB:2\nC:3\nD:1", "4", "numeric"),
        ("Find x.\nChoices:\nA:4\nB:2\nC:3\nD:1", "E", "text"),
        ("Is it? (A) yes (B) no", "A", "mcq"),
        ("A. 1.5 B. 2.5", "A", "mcq"),
        ("求x：A、4 B、2", "B", "mcq"),
        ("Which vertex of the triangle A.B. is right?", "A", "text"),
        ("Which point is nearest?", "B", "text"),
    ],
)
def test_a_letter_is_a_choice_where_the_question_has_the_options(question: str, gold: str, kind: str) -> None:
    assert kind_of(gold, (), question) == kind
