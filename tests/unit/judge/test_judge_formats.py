"""Response templates."""

import pytest

from reassess.judge import follows_format

THINK_ANSWER = [
    ("<think>a</think><answer>b</answer>", True, "the template"),
    ("\n<think>\na\n</think>\n\n<answer>\nb\n</answer>\n", True, "white space around and inside"),
    ("<think>a <b> c</think><answer>{x}</answer>", True, "other marks inside"),
    ("<think>a</think> so <answer>b</answer>", False, "text between the parts"),
    ("so <think>a</think><answer>b</answer>", False, "text before"),
    ("<think>a</think><answer>b</answer> so", False, "text behind"),
    ("<think></think><answer>b</answer>", False, "an empty reasoning"),
    ("<think> \n</think><answer>b</answer>", False, "a blank reasoning"),
    ("<think>a</think><answer> </answer>", False, "a blank answer"),
    ("<think>a</think><answer>b</answer><answer>c</answer>", False, "two answers"),
    ("<think>a</think><think>a</think><answer>b</answer>", False, "two reasonings"),
    ("<think>a<think>b</think></think><answer>c</answer>", False, "a reasoning in a reasoning"),
    ("<answer>b</answer><think>a</think>", False, "the wrong order"),
    ("<think>a<answer>b</answer></think>", False, "the answer inside the reasoning"),
    ("<think>a</think>", False, "no answer"),
    ("<answer>b</answer>", False, "no reasoning"),
    ("a</think><answer>b</answer>", False, "no opening tag"),
    ("<think>a</think><answer>b", False, "no closing tag"),
    ("<Think>a</Think><Answer>b</Answer>", False, "capital tags"),
    ("", False, "nothing"),
]

THINK_BOXED = [
    ("<think>a</think>\\boxed{5}", True, "the template"),
    ("<think>a</think>\nSo the answer is $\\boxed{\\frac{1}{2}}$.\n", True, "text around the box"),
    ("<think>\\boxed{5}</think> 5", False, "a box in the reasoning alone"),
    ("<think>a</think>\\boxed{}", False, "an empty box"),
    ("<think>a</think>\\boxed{ }", False, "a blank box"),
    ("<think>a</think>\\boxed{5", False, "an unbalanced box"),
    ("<think>a</think>boxed{5}", False, "no backslash"),
    ("<think>a</think>5", False, "no box"),
    ("\\boxed{5}", False, "no reasoning"),
    ("<think> </think>\\boxed{5}", False, "a blank reasoning"),
    ("so <think>a</think>\\boxed{5}", False, "text before"),
    ("<think>a</think></think>\\boxed{5}", False, "two closing tags"),
    ("a</think>\\boxed{5}", False, "no opening tag"),
]


@pytest.mark.parametrize(("response", "follows", "why"), THINK_ANSWER, ids=[case[2] for case in THINK_ANSWER])
def test_think_answer(response: str, follows: bool, why: str) -> None:
    assert follows_format(response, "think_answer") is follows, why


@pytest.mark.parametrize(("response", "follows", "why"), THINK_BOXED, ids=[case[2] for case in THINK_BOXED])
def test_think_boxed(response: str, follows: bool, why: str) -> None:
    assert follows_format(response, "think_boxed") is follows, why


def test_an_unknown_template_names_the_valid_ones() -> None:
    with pytest.raises(ValueError, match="think_answer, think_boxed"):
        follows_format("<think>a</think><answer>b</answer>", "think")
