"""The one prompt that SFT, RL and evaluation share, and the one shape of a target response."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import field_validator

from reassess.spec import Strict

Message = dict[str, Any]

# Where an image stands in a question or an option, as Geometry3K, LLaVA's data and many others write it.
IMAGE = "<image>"
# What the forced-think control starts a response with: both formats open with it.
THINK = "<think>"
# What makes the shape of a response.
TAGS = (THINK, "</think>", "<answer>", "</answer>", "\\boxed{")
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

    @field_validator("system", "instruction")
    @classmethod
    def _has_no_places(cls, text: str | None) -> str | None:
        if text is not None and IMAGE in text:
            raise ValueError(f"{IMAGE} stands for an image, and only questions and options have any")
        return text


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


def messages(question: str, options: Sequence[str], images: int, prompt: Prompt) -> list[Message]:
    """Return the chat messages of one example, the content of each as a list of parts.

    Args:
        question: the question.
        options: its options.
        images: how many images it has. They stand where the text has `IMAGE`, or else before the text.
        prompt: the study's prompt.

    Raises:
        ValueError: the text has other than so many places for images.
    """
    pieces = question_text(question, options, prompt).split(IMAGE)
    if len(pieces) == 1:
        content = [{"type": "image"}] * images
    elif problem := misplaced(question, options, images):
        raise ValueError(problem)
    else:
        content = []
        for piece in pieces[:-1]:
            content += [*([_text(piece)] if piece else []), {"type": "image"}]
    content += [_text(pieces[-1])] if pieces[-1] else []
    system = [{"role": "system", "content": [_text(prompt.system)]}] if prompt.system else []
    return [*system, {"role": "user", "content": content}]


def misplaced(question: str, options: Sequence[str], images: int) -> str | None:
    """Return what is wrong with the places for images in a question and its options, None where they are right."""
    places = sum(text.count(IMAGE) for text in (question, *options))
    return None if places in (0, images) else f"{IMAGE} stands in its text {places} times, and it has {images} images"


def plain(chat: Sequence[Message]) -> list[Message]:
    """Return messages without images with the text of each as a string, which is all that some chat templates take."""
    return [{**message, "content": "".join(part["text"] for part in message["content"])} for message in chat]


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def target(rationale: str | None, gold: str, prompt: Prompt) -> str:
    """Return the response that SFT imitates, in the prompt's format; without a rationale the answer alone."""
    answer = rf"\boxed{{{gold}}}" if prompt.format == "think_boxed" else f"<answer>{gold}</answer>"
    return answer if rationale is None else f"<think>{rationale}</think>{answer}"


def prompt_sha256(prompt: Prompt) -> str:
    """Return the hash that run.json and scores.json carry, so that a parity check can compare prompts."""
    canonical = json.dumps(prompt.model_dump(), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
