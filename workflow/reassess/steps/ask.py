"""What a model says to a prompt of one's own: captions, rewriting, checking."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StringConstraints

from reassess.example import Example
from reassess.spec import ExistingFile
from reassess.steps.base import Asks, Made, Read, left_out

# What a model thought before it answered; chat templates may have put the opening tag into the prompt.
_THOUGHT = re.compile(r"^.*</think>", re.DOTALL | re.IGNORECASE)
_YES_NO = re.compile(r"\b(yes|no)\b", re.IGNORECASE)
# Models put JSON into a fence.
_FENCE = re.compile(r"```(?:json)?\s*(.*?)```", re.DOTALL)
# Fields of the example that an answer may take the place of.
_REPLACED = ("question", "rationale")

Column = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]


class Ask(Asks):
    """The examples with what a model answered to a prompt file."""

    VERSION: ClassVar[int] = 1

    kind: Literal["ask"]
    """What a model answers to a prompt of one's own."""
    prompt: ExistingFile
    parse: Literal["text", "yes_no", "json"] = "text"
    """`text`: the answer as it is. `yes_no`: its last `yes` or `no`. `json`: an object with the keys of `into`."""
    into: Column | Annotated[tuple[Column, ...], Field(min_length=1)]
    """The column of the answer, which later prompt files and `where` can read; with `json` a list of keys. `rationale`
    and `question` take the place of the example's own."""

    @property
    def fills(self) -> tuple[str, ...]:
        return tuple(name for name in self.names if name not in _REPLACED)

    @property
    def writes(self) -> bool:
        return "rationale" in self.names

    def longest(self, read: int | None) -> int | None:
        return self.max_tokens if "rationale" in self.names else read

    def identity(self) -> dict[str, Any]:
        return {"parse": self.parse, "into": list(self.names)}

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that it fills."""
        return (self.into,) if isinstance(self.into, str) else self.into

    def make(self, inputs: Mapping[str, Read], seed: int) -> Made:
        for example, said, _ in inputs[self.on]:
            for item in said:
                if item.finish_reason != "stop":
                    why = "is cut off" if item.finish_reason == "length" else "failed"
                    yield left_out(example, f"the answer {why}")
                    continue
                try:
                    found = self._read(_THOUGHT.sub("", item.text).strip())
                except ValueError as reason:
                    yield left_out(example, str(reason))
                else:
                    yield _filled(example, found)

    def _read(self, answer: str) -> dict[str, Any]:
        """Return what an answer says by column. Raises ValueError."""
        if not answer:
            raise ValueError("the answer is empty")
        if self.parse == "json":
            return self._object(answer)
        if self.parse == "yes_no":
            words = _YES_NO.findall(answer)
            if not words:
                raise ValueError("the answer is neither yes nor no")
            answer = words[-1].lower()
        return {self.names[0]: answer}

    def _object(self, answer: str) -> dict[str, Any]:
        fenced = _FENCE.search(answer)
        try:
            found = json.loads(fenced[1] if fenced else answer)
        except (ValueError, RecursionError):
            raise ValueError("the answer is no JSON") from None
        if not isinstance(found, dict) or (lacking := [name for name in self.names if name not in found]):
            lacking = list(self.names) if not isinstance(found, dict) else lacking
            raise ValueError(f"the answer has no {lacking[0]!r}")
        values = {name: found[name] for name in self.names}
        for name, value in values.items():
            if isinstance(value, bool) or not isinstance(value, str | int | float):
                raise ValueError(f"{name!r} of the answer is neither text nor a number")
        return values


def _filled(example: Example, found: Mapping[str, Any]) -> Example:
    columns = {name: value for name, value in found.items() if name not in _REPLACED}
    item = example.with_columns(**columns) if columns else example
    if "rationale" in found:
        item = replace(item, rationales=(str(found["rationale"]),), answers=item.answers[:1])
    return replace(item, question=str(found["question"])) if "question" in found else item
