"""Conversations as data sets hold them: one question, and the answer to it where it is there."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from reassess.example import RowError
from reassess.prompts import IMAGE
from reassess.sources.values import is_missing, plain, text

_USER = ("human", "user")
_ASSISTANT = ("gpt", "assistant", "model", "chatgpt", "bot")
_SYSTEM = ("system", "developer")
# Where a content part of an image has the image; where none of them is filled, a column of the row has it.
_IN_PART = ("image", "image_url", "url", "path", "bytes", "base64", "data", "image_bytes")


class Exchange(NamedTuple):
    """One question and its answer.

    Attributes:
        question: with `<image>` where the content of the message had an image part.
        images: what the image parts hold, where they hold anything.
        response: the answer, None where there is none.
    """

    question: str
    images: list[Any]
    response: str | None


def exchange(value: Any, column: str) -> Exchange | None:
    """Return the one exchange of a conversation: a list of turns, or the JSON text of one. None where it is none.

    System messages are left out: the study's own prompt takes their place.

    Raises:
        RowError: there are more turns than a question and an answer, or a turn cannot be read.
    """
    turns = _turns(value)
    if turns is None:
        return None
    said = [turn for turn in (_turn(turn, column) for turn in turns) if turn[0] not in _SYSTEM]
    roles = ["user" if role in _USER else "assistant" if role in _ASSISTANT else role for role, _ in said]
    if roles == ["assistant"]:
        return Exchange("", [], _content(said[0][1], column)[0])
    if roles not in (["user"], ["user", "assistant"]):
        has_more = roles[:2] == ["user", "assistant"] and set(roles) == {"user", "assistant"}
        raise RowError(
            "a conversation of more than one exchange" if has_more else "not one question and one answer", column
        )
    question, images = _content(said[0][1], column)
    return Exchange(question, images, _content(said[1][1], column)[0] if len(said) > 1 else None)


def _turns(value: Any) -> list[Any] | None:
    value = plain(value)
    if isinstance(value, str) and value.lstrip()[:1] == "[":
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    if isinstance(value, list | tuple) and value and all(isinstance(turn, dict) for turn in value):
        return list(value)
    return None


def _turn(turn: dict[str, Any], column: str) -> tuple[str, Any]:
    role, content = ("from", "value") if turn.get("from") is not None else ("role", "content")
    if not isinstance(turn.get(role), str) or content not in turn:
        raise RowError("a turn without role and content", column)
    return turn[role].strip().lower(), turn[content]


def _content(content: Any, column: str) -> tuple[str, list[Any]]:
    """Return the text of a message and what its image parts hold. Raises RowError."""
    content = plain(content)
    if not isinstance(content, list | tuple):
        return text(content, column), []
    pieces: list[str] = []
    images: list[Any] = []
    for part in content:
        if not isinstance(part, dict):
            pieces.append(text(part, column))
            continue
        # A struct of Parquet has every key of the file, those that a part lacks as null.
        there = {key: item for key, item in part.items() if not is_missing(item) or key == "text"}
        kind = there.get("type") or ("text" if there.get("text") is not None else "image")
        if kind == "text":
            pieces.append(text(there.get("text"), column))
        elif kind in ("image", "image_url"):
            pieces.append(IMAGE)
            images += [_in_part(there[key]) for key in _IN_PART if key in there][:1]
        else:
            raise RowError("a part of a message that is neither text nor image", column)
    return "".join(pieces), images


def _in_part(value: Any) -> Any:
    return value.get("url") if isinstance(value, dict) and "url" in value else value
