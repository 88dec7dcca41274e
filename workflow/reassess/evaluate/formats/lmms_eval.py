"""Samples that lmms-eval logs (`--log_samples`): `<date>_samples_<task>.jsonl`.

Source: EvolvingLMMs-Lab/lmms-eval, lmms_eval/loggers/evaluation_tracker.py: as lm-eval's, but without the row (`doc`)
and `arguments`, of which the prompt is kept as `input`; `resps` is left out where `filtered_resps` is the same. A
metric is a number, or an object that the task sums up.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from reassess.evaluate.formats.sample import Said, objects, sample, texts_of
from reassess.example import PutAside


def rows(path: Path) -> Iterator[Said | PutAside]:
    """Yield what a file says, question by question.

    Raises:
        DataError: the model was not asked to write.
    """
    for place, logged in objects(path):
        if isinstance(logged, PutAside):
            yield logged
        else:
            yield sample(path, place, logged, (*texts_of(logged.get("input")), *texts_of(logged.get("doc"))))
