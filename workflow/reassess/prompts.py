"""The one prompt that SFT, RL and evaluation share, and the one shape of a target response."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Literal

from reassess.spec import Strict

Message = dict[str, Any]

# What the forced-think control starts a response with: both formats open with it.
THINK = "<think>"
# One letter each.
MAX_OPTIONS = 26


class Prompt(Strict):
    """The one prompt that SFT, RL and evaluation share."""

    system: str | None = None
    """System message; none by default."""
    instruction: str = (
        "Think about the question first, inside <think> </think>. Then give the final answer inside <answer> </answer>."
    )
    """Put after the question and its options."""
    format: Literal["think_answer", "think_boxed"] = "think_answer"
    """The shape of a response: what SFT targets have and what the format reward asks."""


def question_text(question: str, options: Sequence[str], prompt: Prompt) -> str:
    """Return question, lettered options and instruction, one per line."""
    lines = [question]
    lines += [f"({letter(i)}) {option}" for i, option in enumerate(options)]
    if prompt.instruction:
        lines.append(prompt.instruction)
    return "\n".join(lines)


def letter(index: int) -> str:
    """Return the letter of an option: 0 is A.

    Raises:
        ValueError: more than 26 options.
    """
    if not 0 <= index < MAX_OPTIONS:
        raise ValueError(f"option {index}: only {MAX_OPTIONS} options have a letter")
    return chr(ord("A") + index)


def messages(question: str, options: Sequence[str], has_image: bool, prompt: Prompt) -> list[Message]:
    """Return the chat messages of one example; the image stands before the text."""
    content: list[dict[str, str]] = [{"type": "image"}] if has_image else []
    content.append({"type": "text", "text": question_text(question, options, prompt)})
    system = [{"role": "system", "content": [{"type": "text", "text": prompt.system}]}] if prompt.system else []
    return [*system, {"role": "user", "content": content}]


def target(rationale: str, gold: str, prompt: Prompt) -> str:
    """Return the response that SFT imitates, in the prompt's format."""
    answer = rf"\boxed{{{gold}}}" if prompt.format == "think_boxed" else f"<answer>{gold}</answer>"
    return f"<think>{rationale}</think>{answer}"


def prompt_sha256(prompt: Prompt) -> str:
    """Return the hash that run.json and scores.json carry, so that a parity check can compare prompts."""
    canonical = json.dumps(prompt.model_dump(), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
