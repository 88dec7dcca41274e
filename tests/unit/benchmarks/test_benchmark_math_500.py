"""MATH-500: MATH's normalisation, and what the harness's two tasks and simple-evals say beside it."""

import time

import pytest

from reassess.benchmarks.item import Item
from reassess.benchmarks.math_500 import METADATA, judge

EQUAL = [
    # content of the box, gold, correct, why
    ("5", "5", True, "equal texts"),
    ("5.0", "5", False, "numbers are texts"),
    ("1,000", "1000", False, "commas stay"),
    ("1000", "1{,}000", False, "commas in braces stay too"),
    ("\\dfrac{1}{2}", "\\frac{1}{2}", True, "\\dfrac is \\frac"),
    ("\\tfrac12", "\\frac{1}{2}", True, "\\frac12 gets braces"),
    ("\\frac1{72}", "\\frac{1}{72}", True, "\\frac1{72} gets braces"),
    ("\\frac{72}1", "\\frac{72}{1}", False, "\\frac{72}1 does not"),
    ("1/2", "\\frac{1}{2}", True, "a quotient of whole numbers is a fraction"),
    ("-1/2", "-\\frac{1}{2}", False, "with a minus sign it is another fraction"),
    ("0.5", "\\frac{1}{2}", True, "0.5 is one half"),
    (".5", "1/2", True, "a leading point gets a zero"),
    ("0.25", "\\frac{1}{4}", False, "other decimals are no fractions"),
    ("\\sqrt3", "\\sqrt{3}", True, "\\sqrt3 gets braces"),
    ("\\sqrt 3", "\\sqrt{3}", False, "\\sqrt takes the space for its content"),
    ("\\left(1,2\\right)", "(1, 2)", True, "\\left, \\right and spaces do not matter"),
    ("(2, 1)", "(1, 2)", False, "order matters"),
    ("90^\\circ", "90", True, "degrees do not matter"),
    ("90^{\\circ}", "90", True, "degrees in braces do not either"),
    ("90°", "90", False, "the degree sign does"),
    ("50\\%", "50", True, "an escaped percent sign does not matter"),
    ("50%", "50", False, "a bare one does"),
    ("\\$5", "5", True, "an escaped dollar sign does not matter"),
    ("$5$", "5", False, "dollar signs inside of a box do"),
    ("5\\text{ cm}", "5", True, "a unit in \\text with a space is cut off"),
    ("5\\text{cm}", "5", False, "a unit in \\text without a space is not"),
    ("5 cm", "5", False, "a bare unit is not"),
    ("5\\text{ cm}\\text{ or so}", "5", False, "two units make the raw texts be compared"),
    ("x = 5", "5", True, "one letter before = is cut off"),
    ("5", "k=5", True, "in the gold too"),
    ("x_1=5", "5", False, "three characters are not"),
    ("x=y=5", "5", False, "two equality signs are not"),
    ("\\pi/4", "\\pi / 4", False, "a quotient of anything else makes the raw texts be compared"),
    ("\\pi/4", "\\pi/4", True, "and raw texts may be equal"),
    ("\\frac", "\\frac ", False, "an unfinished fraction makes the raw texts be compared"),
    ("2\\sqrt", "2 \\sqrt", False, "an unfinished root does too"),
    ("\\frac 1", "\\frac1", True, "a fraction of one character is left alone"),
    ("10\\!000", "10000", True, "\\! does not matter"),
    ("10\\,000", "10000", False, "\\, does"),
    ("a\\\\b", "a\\b", True, "a doubled backslash is one"),
    ("x+1", "1+x", False, "terms keep their order"),
    ("", "5", False, "an empty box is wrong"),
]

READ = [
    # reply, gold, answer read, correct, why
    ("First \\boxed{4}, then \\boxed{5}.", "5", "5", True, "the last box"),
    ("\\boxed{\\frac{1}{2}}", "\\frac12", "\\frac{1}{2}", True, "braces inside of the box"),
    ("$\\boxed{5}$", "5", "5", True, "the box wins over dollar signs"),
    ("\\boxed 5$ is it", "5", "5", True, "\\boxed and a space, up to the next dollar sign"),
    ("\\boxed 4$ and \\boxed{5}", "5", "4", False, "\\boxed and a space wins over a later box"),
    ("Put it in \\boxed !\n\\boxed{5}", "5", "!\n\\boxed{5}", False, "even where it only names the command"),
    ("\\boxed{\\}5}", "5", "\\", False, "an escaped brace closes the box"),
    ("so $5$ or \\boxed{5", "5", "5", True, "a box that does not close is none"),
    ("\\fbox{5}", "5", "\\fbox{5}", False, "\\fbox is none"),
    ("The answer is $x = 5$.", "5", "x = 5", True, "without a box what dollar signs hold"),
    ("$4$ and $5$", "5", "4$ and $5", False, "from the first dollar sign to the last"),
    ("5", "5", "5", True, "without dollar signs the whole reply"),
    ("It costs 5$", "5", "It costs 5$", False, "one dollar sign is none"),
    ("\\boxed{5}", "So we get $\\boxed{5}$.", "5", True, "the box of a gold that is a solution"),
    ("", "5", "", False, "an empty reply"),
]

MINERVA = [
    # reply, gold, verdict, why
    ("Final Answer: The final answer is $5$. I hope it is correct.", "5", "right", "the phrase"),
    ("Final Answer: The final answer is $5$.", "5", "wrong", "the end of the phrase is needed"),
    ("Final Answer: The final answer is $5$. ", "5", "right", "a space in place of the end will do"),
    (
        "Final Answer: The final answer is 5 I hope it is correct.",
        "5",
        "left to sympy",
        "without a stop a digit is lost",
    ),
    ("final answer: the final answer is $5$. I hope it is correct.", "5", "wrong", "in just this case"),
    ("Final Answer: The final answer is\n$5$. I hope it is correct.", "5", "wrong", "on one line"),
    ("\\boxed{5}", "5", "wrong", "a box is not read"),
    ("Final Answer: The final answer is (1, 2). I hope it is correct.", "(1,2)", "right", "spaces do not matter"),
    ("Final Answer: The final answer is $x = 5$. I hope it is correct.", "5", "right", "what follows the last ="),
    (
        "Final Answer: The final answer is 5 square feet. I hope it is correct.",
        "5",
        "right",
        "listed units are removed",
    ),
    ("Final Answer: The final answer is $\\frac12$. I hope it is correct.", "\\frac{1}{2}", "right", "\\frac12"),
    ("Final Answer: The final answer is $\\sqrt3$. I hope it is correct.", "\\sqrt{3}", "right", "\\sqrt3"),
    ("Final Answer: The final answer is 10,000. I hope it is correct.", "10000", "right", "commas of whole numbers"),
    ("Final Answer: The final answer is $\\text{east}$. I hope it is correct.", "east", "right", "\\text is unwrapped"),
    ("Final Answer: The final answer is $0.5$. I hope it is correct.", "\\frac12", "left to sympy", "other texts"),
    (
        "Final Answer: The final answer is $\\boxed{5}$. I hope it is correct.",
        "5",
        "right",
        "a box inside is unwrapped",
    ),
    ("Final Answer: The final answer is miles. I hope it is correct.", "miles", "right", "what is left of a word"),
    (
        "Final Answer: The final answer is feet. I hope it is correct.",
        "feet",
        "left to sympy",
        "nothing left is no match",
    ),
]


@pytest.mark.parametrize(("box", "gold", "correct"), [case[:3] for case in EQUAL], ids=[case[3] for case in EQUAL])
def test_normalisation(box: str, gold: str, correct: bool) -> None:
    assert judge(Item(f"\\boxed{{{box}}}", gold)).correct is correct


@pytest.mark.parametrize(
    ("reply", "gold", "answer", "correct"), [case[:4] for case in READ], ids=[case[4] for case in READ]
)
def test_reading(reply: str, gold: str, answer: str, correct: bool) -> None:
    assert judge(Item(reply, gold))[:2] == (correct, answer)


@pytest.mark.parametrize(
    ("reply", "gold", "verdict"), [case[:3] for case in MINERVA], ids=[case[3] for case in MINERVA]
)
def test_minerva_math_is_in_the_reason(reply: str, gold: str, verdict: str) -> None:
    assert judge(Item(reply, gold)).reason.endswith(f"minerva_math500: {verdict}")


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [("5", "right"), ("It is $5$", "right"), ("\\boxed{5}", "wrong"), ("$\\boxed{5}$", "wrong"), ("It is 5", "wrong")],
)
def test_hendrycks_math_of_the_harness_reads_no_box(reply: str, verdict: str) -> None:
    assert f"hendrycks_math500: {verdict};" in judge(Item(reply, "5")).reason


@pytest.mark.parametrize(
    ("model_answer", "correct"), [("Yes", True), (" yes\n", True), ("No", False), ("Yes.", False), ("", False)]
)
def test_simple_evals_takes_exactly_yes_from_its_model(model_answer: str, correct: bool) -> None:
    outcome = judge(Item("Answer: 5.0\n\\boxed{6}", "5", model_answer=model_answer))
    assert outcome[:2] == (correct, "5.0")
    assert outcome.reason.startswith("simple-evals")


def test_simple_evals_asks_its_model_without_an_answer_too() -> None:
    assert judge(Item("5", "5", model_answer="Yes"))[:2] == (True, None)


def test_needs_no_metadata() -> None:
    assert not METADATA


@pytest.mark.parametrize(
    "piece",
    [
        "\\boxed{",
        "\\boxed ",
        "{",
        "}",
        "$",
        "\\text{",
        "\\text{ ",
        "\\frac",
        "\\sqrt",
        "1",
        "1/1",
        "=",
        "Answer: ",
        " ",
    ],
)
def test_long_replies_take_little_time(piece: str) -> None:
    text = piece * (100_000 // len(piece))
    start = time.process_time()
    for reply in (text, f"\\boxed{{{text}}}", f"Final Answer: The final answer is {text}. I hope it is correct."):
        judge(Item(reply, text))
    assert time.process_time() - start < 20
