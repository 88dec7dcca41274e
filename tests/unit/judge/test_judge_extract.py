"""Where the answer of a response stands."""

import pytest

from reassess.judge import judge
from reassess.judge.extract import find_answer

FOUND = [
    ("<think>2 + 3</think><answer>5</answer>", "5", "an answer element"),
    ("<answer>4</answer> wait <answer>5</answer>", "5", "the last of two answer elements"),
    ("<answer>\n5\n</answer>", "5", "line breaks inside the element"),
    ("<ANSWER>5</ANSWER>", "5", "capital tags"),
    ("\\boxed{6} <answer>5</answer>", "5", "the element before a box outside it"),
    ("<answer>so it is \\boxed{5}</answer>", "5", "a box inside the element"),
    ("<answer>The answer is 5.</answer>", "5", "a phrase inside the element"),
    ("<think>a</think><answer>5", "5", "a stop word that cut off the end tag"),
    ("<answer>5</answer> or <answer>", "5", "a closed element before an open one"),
    ("\\boxed{4}, no, in fact it comes to \\boxed{5}", "5", "the last of two boxes"),
    ("\\boxed{\\frac{1}{2}}", "\\frac{1}{2}", "braces inside a box"),
    ("\\boxed{\\{1, 2\\}}", "\\{1, 2\\}", "escaped braces inside a box"),
    ("\\boxed{\\boxed{5}}", "5", "a box in a box"),
    ("\\boxed{5} and then \\boxed{", "5", "an unbalanced box after a balanced one"),
    ("\\fbox{5}", "5", "a frame box"),
    ("\\boxed {5}", "5", "a space before the brace"),
    ("\x08oxed{5}", "5", "a backslash that an escape swallowed"),
    ("\\boxed{1}, \\boxed{2}", "1, 2", "boxes in a row are a list"),
    ("$\\boxed{1}$ and $\\boxed{2}$", "1, 2", "boxes that only a word parts"),
    ("\\boxed{5}\n\n\\boxed{5}", "5", "one box written twice"),
    ("The answer is 5", "5", "a phrase"),
    ("The answer is 4. No: the answer is 5.", "5", "the last of two phrases"),
    ("Answer: 5", "5", "a colon"),
    ("**Answer:** 5", "5", "emphasis around the marker"),
    ("**Answer**: 5", "5", "emphasis before the colon"),
    ("## Final Answer\n\n5", "5", "a heading"),
    ("Final answer: **5**", "5", "emphasis around the answer"),
    ("Answer:\n5", "5", "the next line"),
    ("The answer is:\n\\[\nx = 5\n\\]", "x = 5", "displayed mathematics"),
    ("The answer is 3.5. Then we stop", "3.5", "the end of a sentence is not a decimal point"),
    ("The answer is 5 sq. cm", "5 sq. cm", "the point of an abbreviation"),
    ("The correct option is (B).", "(B)", "the correct option"),
    ("3 + 9 = 12\n#### 12", "12", "four hashes"),
    ("42", "42", "a bare reply"),
    ("42<|im_end|>", "42", "a special token at the end"),
    ("**42**", "42", "emphasis around a bare reply"),
    ("first I add </think> 5", "5", "a reasoning part that the prompt opened"),
    ("<think>x</think> y </think> 5", "5", "the last end of reasoning"),
    ("5 <think>or rather 6", "5", "reasoning that starts after the answer and does not end"),
    ("<think>\\boxed{4}</think> \\boxed{5}", "5", "a box in the reasoning and one after it"),
]


@pytest.mark.parametrize(("response", "answer", "why"), FOUND, ids=[case[2] for case in FOUND])
def test_finds_the_answer(response: str, answer: str, why: str) -> None:
    assert find_answer(response) == answer, why


NOT_FOUND = [
    ("", "an empty response"),
    (" \n\t ", "white space"),
    ("<think>\\boxed{5}</think>", "an answer in the reasoning alone"),
    ("<think>the answer is 5", "reasoning that never closes"),
    ("<think>a</think><think>the answer is 5", "a second reasoning part that never closes"),
    ("<answer></answer>", "an empty element"),
    ("<answer>  </answer> 5", "a blank element"),
    ("We look at the picture and count. " * 20, "a long text without an answer"),
    ("word " * 60 + "\\boxed{5", "a long text with an unbalanced box"),
    ("<|im_end|>", "a special token alone"),
]


@pytest.mark.parametrize(("response", "why"), NOT_FOUND, ids=[case[1] for case in NOT_FOUND])
def test_finds_no_answer(response: str, why: str) -> None:
    assert find_answer(response) is None, why


@pytest.mark.parametrize("kind", ["math", "numeric", "mcq", "text"])
def test_no_answer_is_wrong_and_says_so(kind: str) -> None:
    gold = "B" if kind == "mcq" else "5"
    assert judge("<think>B 5</think>", gold, kind) == (False, None, "no answer found")


def test_the_answer_comes_back_as_it_was_written() -> None:
    assert judge("<answer> $\\frac12$ </answer>", "0.5", "numeric").answer == "$\\frac12$"
