"""Multiple choice: letters, option texts and hedges."""

import pytest

from reassess.judge import judge

LENGTHS = ["12 cm", "10 cm", "14 cm", "16 cm"]
PETS = ["dog", "cat"]
DIGITS = ["1", "2", "3", "4"]
VITAMINS = ["Vitamin D", "Vitamin C"]

CASES = [
    # response, gold, options, correct, why
    ("B", "B", None, True, "a letter"),
    ("(B)", "B", None, True, "in parentheses"),
    ("[B]", "B", None, True, "in square brackets"),
    ("B.", "B", None, True, "with a full stop"),
    ("B)", "B", None, True, "with one parenthesis"),
    ("b", "B", None, True, "a small letter"),
    ("(b)", "B", None, True, "a small letter in parentheses"),
    ("**B**", "B", None, True, "emphasised"),
    ("**(B)** 12 cm", "B", None, True, "emphasised, with the text"),
    ("$B$", "B", None, True, "in dollars"),
    ("\\text{B}", "B", None, True, "in \\text"),
    ("\\boxed{\\text{B}}", "B", None, True, "in a box and \\text"),
    ("\\boxed{\\text{(B) } 12}", "B", None, True, "in a box with its text"),
    ("$\\mathbf{B}$", "B", None, True, "bold"),
    ("Ｂ", "B", None, True, "a full-width letter"),
    ("B) 12", "B", None, True, "with its text"),
    ("B. 12", "B", None, True, "with a full stop and its text"),
    ("B: 12", "B", None, True, "with a colon and its text"),
    ("b) 12", "B", None, True, "a small letter with its text"),
    ("Option B", "B", None, True, "the word option"),
    ("option b", "B", None, True, "the word option and a small letter"),
    ("Choice (B)", "B", None, True, "the word choice"),
    ("The answer is B", "B", None, True, "a phrase"),
    ("The correct option is (B).", "B", None, True, "the correct option"),
    ("Answer: B. 10 cm", "B", LENGTHS, True, "a marker, a letter and its text"),
    ("B is correct", "B", None, True, "a letter that begins a sentence"),
    ("The figure shows that (C) holds", "C", None, True, "a letter in parentheses in a sentence"),
    ("C", "B", None, False, "another letter"),
    ("(C)", "B", None, False, "another letter in parentheses"),
    ("The answer is C", "B", None, False, "a phrase with another letter"),
    ("A or B", "B", None, False, "a hedge"),
    ("B or C", "B", None, False, "a hedge that begins right"),
    ("(B) or (C)", "C", None, False, "a hedge in parentheses"),
    ("B, C", "B", None, False, "a list"),
    ("BC", "B", None, False, "letters run together"),
    ("B) 12 or C) 14", "B", None, False, "a hedge with texts"),
    ("Both B and C", "B", None, False, "both"),
    ("It is either A or B", "A", None, False, "either"),
    ("A, B, C, D", "D", None, False, "every letter"),
    ("A", "A", None, True, "A alone is the option"),
    ("a", "A", None, True, "a alone is the option"),
    ("A dog is there", "A", None, False, "A as the article"),
    ("I think so", "I", None, False, "I as the pronoun"),
    ("I", "I", None, True, "I alone is the option"),
    ("I think it is (B)", "B", None, True, "the pronoun beside a letter"),
    ("f(A) is small", "A", None, False, "the argument of a function"),
    ("the big cat", "C", None, False, "a letter inside a word"),
    ("12", "B", None, False, "a text whose options are unknown"),
    ("B, D", "B, D", None, True, "two letters"),
    ("D and B", "B, D", None, True, "two letters in another order"),
    ("BD", "B, D", None, True, "two letters run together"),
    ("(B) and (D)", "B, D", None, True, "two letters in parentheses"),
    ("A, C", "A\nC", None, True, "two letters on two lines in the gold"),
    ("B", "B, D", None, False, "one of two letters"),
    ("A, B, D", "B, D", None, False, "one letter too many"),
    ("B", "(B)", None, True, "a gold in parentheses"),
    ("B", "B. 12", None, True, "a gold with its text"),
    ("B", "\\boxed{B}", None, True, "a gold in a box"),
    ("False", "False", None, True, "a gold that is no letter"),
    ("True", "False", None, False, "another word"),
    ("3", "3", None, True, "a gold that is a number"),
    ("12 cm", "A", LENGTHS, True, "an option's text"),
    ("12", "A", LENGTHS, True, "an option's text without its unit"),
    ("$12$ cm", "A", LENGTHS, True, "an option's text in LaTeX"),
    ("12 m", "A", LENGTHS, False, "an option's number with another unit"),
    ("10 cm", "A", LENGTHS, False, "another option's text"),
    ("11 cm", "A", LENGTHS, False, "a text that is no option"),
    ("(A) 14 cm", "A", LENGTHS, True, "the letter wins over a conflicting text"),
    ("(A) 14 cm", "C", LENGTHS, False, "the conflicting text loses"),
    ("B 10 cm", "B", LENGTHS, True, "a letter and its text without a mark"),
    ("A", "12 cm", LENGTHS, True, "a gold that is an option's text"),
    ("B", "12 cm", LENGTHS, False, "another letter than that of the text"),
    ("12 cm", "12 cm", LENGTHS, True, "text for text"),
    ("E", "A", LENGTHS, False, "a letter beyond the options"),
    ("C", "2", LENGTHS, True, "a gold that is an index"),
    ("A", "0", LENGTHS, True, "an index counts from zero"),
    ("B", "2", DIGITS, True, "a digit that is an option's text is no index"),
    ("C", "2", DIGITS, False, "nor is it the letter at that index"),
    ("2", "B", DIGITS, True, "a digit as an option's text"),
    ("A cat", "B", PETS, True, "the article before an option's text"),
    ("a cat", "cat", PETS, True, "a small article"),
    ("A dog", "A", PETS, True, "the article and the option agree"),
    ("The cat.", "B", PETS, True, "the definite article"),
    ("cat or dog", "B", PETS, False, "two option texts"),
    ("Vitamin C", "B", VITAMINS, True, "a letter inside an option's text"),
    ("B. Vitamin C", "B", VITAMINS, True, "a letter and a text with another letter"),
    ("C", "D", ["1", "2", "5", "5"], True, "a repeated option has two letters"),
    ("5", "D", ["1", "2", "5", "5"], True, "the text of a repeated option"),
    ("A", "D", ["1", "2", "5", "5"], False, "an option that is not repeated"),
    ("Yes", "A", ["Yes", "No"], True, "yes as an option"),
    ("<think>A</think><answer>B</answer>", "B", None, True, "the reasoning does not count"),
]


@pytest.mark.parametrize(("response", "gold", "options", "correct", "why"), CASES, ids=[case[4] for case in CASES])
def test_mcq(response: str, gold: str, options: list[str] | None, correct: bool, why: str) -> None:
    assert judge(response, gold, "mcq", options).correct is correct, why


def test_the_answer_is_the_letter_that_was_read() -> None:
    assert judge("I choose 10 cm, so (B).", "B", "mcq", LENGTHS).answer == "B"
    assert judge("10 cm", "B", "mcq", LENGTHS).answer == "B"
    assert judge("D or B", "B", "mcq", LENGTHS) == (False, "B, D", "several options")


def test_an_empty_list_of_options_is_no_list() -> None:
    assert judge("B", "B", "mcq", []).correct is True
