"""Samples that lm-eval logs (`--log_samples`): `samples_<task>_<date>.jsonl`.

Source: EleutherAI/lm-evaluation-harness, lm_eval/evaluator.py (what a sample has: `doc_id`, the row's number; `doc`,
the row; `target`, `arguments`, `resps`, `filtered_resps`, `filter`, `metrics`, hashes, and a key per metric) and
lm_eval/loggers/evaluation_tracker.py (how it is written: every response as text, arguments as
`{"gen_args_0": {"arg_0": prompt, "arg_1": options}}`).

A task with several filters (gsm8k: strict-match, flexible-extract) logs each question once per filter, with the same
responses: its scores are gathered here, and the responses taken once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from reassess.evaluate.formats.sample import Said, log_likelihoods, own_scores, sample, texts_of
from reassess.example import PutAside
from reassess.sources.jsonl import json_rows


def rows(path: Path) -> Iterator[Said | PutAside]:
    """Yield what a file says, question by question.

    Raises:
        DataError: the model was not asked to write.
    """
    filters, scores = _scores(path)
    for row in json_rows(path, str(path)):
        if isinstance(row, PutAside):
            yield row
            continue
        place, logged = row
        if not _is_generated(logged.get("arguments")):
            raise log_likelihoods(path, place)
        if filters and logged.get("filter", filters[0]) != filters[0]:
            continue
        texts = (*texts_of(logged.get("doc")), *texts_of(logged.get("arguments")))
        found = sample(path, place, logged, texts)
        yield found if isinstance(found, PutAside) else found._replace(own=scores[repr(logged.get("doc_id"))])


def _scores(path: Path) -> tuple[list[Any], dict[str, dict[str, float]]]:
    """Return the names of a file's filters, in its order, and the scores of each question as lm-eval names them."""
    filters: dict[Any, None] = {}
    scores: dict[str, dict[str, float]] = defaultdict(dict)
    for row in json_rows(path, str(path)):
        if isinstance(row, PutAside):
            continue
        logged = row.values
        name = logged.get("filter")
        if isinstance(name, str):
            filters[name] = None
        for metric, value in own_scores(logged).items():
            scores[repr(logged.get("doc_id"))].setdefault(f"{metric},{name}" if name else metric, value)
    return list(filters), scores


def _is_generated(arguments: Any) -> bool:
    """Whether a request has options of generation: a log-likelihood has a continuation in their place, or nothing."""
    first = arguments.get("gen_args_0") if isinstance(arguments, Mapping) else None
    return not isinstance(first, Mapping) or any(isinstance(value, Mapping) for value in first.values())
