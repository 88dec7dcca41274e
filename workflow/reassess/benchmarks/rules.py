"""Applying a benchmark's own rule."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from reassess.benchmarks import module
from reassess.benchmarks.item import PUBLISHED, Item, Outcome
from reassess.judge import reply_of


class RuleError(ValueError):
    """Data that an official rule cannot read: the message names the file, row and key."""


def missing_metadata(name: str, metadata: str) -> list[str]:
    """Return the keys of an example's metadata that a rule needs and that are not there."""
    return sorted(module(name).METADATA - set(read_metadata(metadata)))


def read_metadata(text: str) -> dict[str, Any]:
    """Return an example's metadata, a JSON object as text. Raises RuleError where it is none."""
    try:
        found = json.loads(text) if text else {}
    except ValueError as error:
        raise RuleError(f"metadata is not JSON ({error}): {text[:80]!r}") from None
    if not isinstance(found, dict):
        raise RuleError(f"metadata is not a JSON object: {text[:80]!r}")
    return found


def apply(name: str, example: Mapping[str, Any], response: str, model_answers: Mapping[str, str]) -> Outcome:
    """Return the official verdict on one response.

    Args:
        name: the rule.
        example: a benchmark's row: `id`, `gold`, `options`, `metadata`. Gold and options as they were published, where
            the metadata has them, come before its own: those are what the rule was written for.
        response: all that the model wrote.
        model_answers: what a judge model answered, by `request_key`.
    """
    metadata = read_metadata(example["metadata"] or "")
    published = metadata.get(PUBLISHED)
    seen = {**example, **published} if isinstance(published, dict) else example
    item = Item(
        reply_of(response),
        seen["gold"],
        tuple(seen["options"] or ()),
        metadata,
        model_answers.get(request_key(example["id"], response)),
    )
    outcome: Outcome = module(name).judge(item)
    return outcome


def request_key(example_id: str, response: str) -> str:
    """Return what a judge model's answer is filed under: the example's id and a hash of the response."""
    return f"{example_id}:{hashlib.sha256(response.encode(errors='surrogatepass')).hexdigest()[:16]}"


def read_answers(path: str | Path) -> dict[str, str]:
    """Return the answers of a judge model by `request_key`: JSON lines with `key` and `answer`.

    Raises:
        RuleError: a line is not of this form, or a key has two answers.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            key, answer = record["key"], record["answer"]
        except (ValueError, KeyError, TypeError):
            raise RuleError(f"{path}:{number}: expected a JSON object with `key` and `answer`") from None
        if not isinstance(key, str) or not isinstance(answer, str):
            raise RuleError(f"{path}:{number}: `key` and `answer` have to be strings")
        if found.setdefault(key, answer) != answer:
            raise RuleError(f"{path}:{number}: a second answer for {key!r}")
    return found


def shares(outcomes: Iterable[bool | None]) -> float:
    """Return the official accuracy: undecided responses count as wrong. NaN of nothing."""
    found = list(outcomes)
    return sum(outcome is True for outcome in found) / len(found) if found else float("nan")
