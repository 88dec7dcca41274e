"""Samples that lmms-eval logs (`--log_samples`): `<date>_samples_<task>.jsonl`.

Source: EvolvingLMMs-Lab/lmms-eval, lmms_eval/loggers/evaluation_tracker.py: as lm-eval's, but without the row (`doc`)
and `arguments`, of which the prompt is kept as `input`; `resps` is left out where `filtered_resps` is the same. A
metric is a number, or an object that the task sums up.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from reassess.evaluate.formats.sample import Said, sample, texts_of
from reassess.example import PutAside
from reassess.sources.jsonl import json_rows


def rows(path: Path) -> Iterator[Said | PutAside]:
    """Yield what a file says, question by question.

    Raises:
        DataError: the model was not asked to write.
    """
    for row in json_rows(path, str(path)):
        if isinstance(row, PutAside):
            yield row
        else:
            texts = (*texts_of(row.values.get("input")), *texts_of(row.values.get("doc")))
            yield sample(path, row.place, row.values, texts)
