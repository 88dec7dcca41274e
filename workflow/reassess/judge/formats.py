"""Whether a response keeps to the form that it was asked for."""

import re

from reassess.judge.extract import boxed_spans

TEMPLATES = ("think_answer", "think_boxed")

_THINK_ANSWER = re.compile(r"\s*<think>(.*?)</think>\s*<answer>(.*?)</answer>\s*", re.DOTALL)
_THINK_REST = re.compile(r"\s*<think>(.*?)</think>(.*)", re.DOTALL)


def follows_format(response: str, template: str) -> bool:
    """Whether a response keeps to a template, letter by letter: tags are lower-case and white space may surround them.

    `think_answer` is <think>...</think> <answer>...</answer> and nothing else, with each tag once and neither part
    blank. `think_boxed` is <think>...</think>, not blank, with each tag once, and then text that holds a \\boxed{} with
    balanced braces and something in it.

    Raises:
        ValueError: the template is none of these.
    """
    if template not in TEMPLATES:
        raise ValueError(f"unknown template {template!r}; the templates are {', '.join(TEMPLATES)}")
    if template == "think_answer":
        parts = _parts(response, ("<think>", "</think>", "<answer>", "</answer>"), _THINK_ANSWER)
        return parts is not None and bool(parts[1].strip())
    parts = _parts(response, ("<think>", "</think>"), _THINK_REST)
    return parts is not None and any(content.strip() for _, _, content in boxed_spans(parts[1]))


def _parts(response: str, tags: tuple[str, ...], pattern: re.Pattern[str]) -> tuple[str, str] | None:
    """The reasoning, not blank, and what follows it."""
    # Counting first also keeps the pattern linear.
    if any(response.count(tag) != 1 for tag in tags):
        return None
    match = pattern.fullmatch(response)
    return (match[1], match[2]) if match and match[1].strip() else None
