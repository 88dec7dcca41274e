"""What one row of somebody else's file says, and how JSON lines of samples are read."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from reassess.example import DataError, PutAside
from reassess.sources.base import Row
from reassess.sources.jsonl import json_rows

# What benchmarks call the id of a question.
IDS = ("id", "ID", "pid", "qid", "question_id", "problem_id", "unique_id", "sample_index", "index")
# Where lmms-eval has a verdict in a metric that is an object: mathvista, hallusion_bench and mmstar (tasks/*/utils.py).
_VERDICTS = ("true_false", "correct", "score")
# Objects and numbers of a sample that are no metrics.
_NO_METRICS = ("doc_id", "doc", "arguments", "submission")


class Said(NamedTuple):
    """What one row says of one question.

    Attributes:
        place: where it stands in the file.
        ids: what may be the question's id or number, by the name of the column.
        texts: texts among which the question is; none where the file does not have it.
        target: the right answer as the harness has it; empty where the file does not say.
        responses: the responses, one per sample.
        finish: how each ended: `stop`, `length`, `error` (there is none), or None where the file does not say.
        own: the harness's own scores, by name.
    """

    place: str
    ids: dict[str, str]
    texts: tuple[str, ...]
    target: str
    responses: tuple[str, ...]
    finish: tuple[str | None, ...]
    own: dict[str, float]


def first_object(path: Path) -> dict[str, Any]:
    """Return the first JSON object of a file of JSON lines.

    Raises:
        DataError: it has none.
    """
    found = next((row for row in json_rows(path, str(path)) if isinstance(row, Row)), None)
    if found is None:
        raise DataError(f"{path}: not one line of it is a JSON object; is the file empty or cut off?")
    return found.values


def as_id(value: Any) -> str | None:
    """Return an id as text, None where it is none: 12 and 12.0 are `12`, as tables write whole numbers either way."""
    if isinstance(value, float):
        value = int(value) if value.is_integer() else None
    if value is None or isinstance(value, bool) or not isinstance(value, int | str):
        return None
    return str(value).strip() or None


def ids_of(values: Mapping[str, Any]) -> dict[str, str]:
    """Return what may be the question's id among named values."""
    return {name: found for name in IDS if (found := as_id(values.get(name))) is not None}


def texts_of(value: Any) -> Iterator[str]:
    """Yield every text in a value of JSON, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for item in value if isinstance(value, list) else value.values():
            yield from texts_of(item)


def as_number(value: Any) -> float | None:
    """Return a score as a number, right and wrong as 1 and 0, None where it is none."""
    if isinstance(value, str):
        value = {"true": 1, "false": 0}.get(value.strip().lower(), value)
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def own_scores(sample: Mapping[str, Any]) -> dict[str, float]:
    """Return the metrics of a logged sample by name: numbers, and the verdicts in those that are objects."""
    named = sample.get("metrics")
    names = named if isinstance(named, list) else [name for name in sample if name not in _NO_METRICS]
    found: dict[str, float] = {}
    for name in names:
        value = sample.get(name)
        parts = {name: value}
        if isinstance(value, dict):
            parts = {f"{name}.{key}": value[key] for key in _VERDICTS if key in value}
        for key, part in parts.items():
            if isinstance(part, int | float) and (number := as_number(part)) is not None:
                found[key] = number
    return found


def responses_of(path: Path, place: str, sample: Mapping[str, Any]) -> tuple[str, ...] | str:
    """Return the responses of a logged sample, or why it has none.

    `resps` has a list per request, with a text per repeat; `filtered_resps` has a text, or a list, per request.

    Raises:
        DataError: there are log-likelihoods in place of responses.
    """
    said = sample.get("resps") or sample.get("filtered_resps")
    if not isinstance(said, list) or not said:
        return "no response"
    requests = [item if isinstance(item, list) else [item] for item in said]
    if any(isinstance(item, list) for request in requests for item in request):
        raise log_likelihoods(path, place)
    if len(requests) > 1:
        return "several requests for one question"
    if not requests[0] or any(item is None for item in requests[0]):
        return "no response"
    if not all(isinstance(item, str) for item in requests[0]):
        return "a response is no text"
    return tuple(requests[0])


def log_likelihoods(path: Path, place: str) -> DataError:
    """Return the error of a file whose model was not asked to write."""
    return DataError(
        f"{path.parent / place}: log-likelihoods of given answers, and no response that could be judged; run a "
        "version of the task that generates (in lm-eval, `output_type: generate_until`)"
    )


def sample(path: Path, place: str, logged: Mapping[str, Any], texts: tuple[str, ...]) -> Said | PutAside:
    """Return what a logged sample of lm-eval or lmms-eval says.

    Args:
        path: the file.
        place: where in it.
        logged: the sample.
        texts: texts among which the question is.

    Raises:
        DataError: there are log-likelihoods in place of responses.
    """
    said = responses_of(path, place, logged)
    doc = logged.get("doc")
    inside = [value for value in logged.values() if isinstance(value, dict)]
    ids: dict[str, str] = {}
    # What lmms-eval does not keep of the row often stands in a metric.
    for part in (doc if isinstance(doc, dict) else {}, *inside):
        ids = ids_of(part) | ids
    number = as_id(logged.get("doc_id"))
    if number is None and not ids:
        return PutAside(place, str(path), "no id", "doc_id")
    if isinstance(said, str):
        return PutAside(number or place, str(path), said, "resps")
    ended = logged.get("finish_reason")
    ends = ended if isinstance(ended, list) and len(ended) == len(said) else [None] * len(said)
    finish = tuple(item if isinstance(item, str) else None for item in ends)
    ids |= {"doc_id": number} if number else {}
    return Said(place, ids, texts, str(logged.get("target") or ""), said, finish, own_scores(logged))
