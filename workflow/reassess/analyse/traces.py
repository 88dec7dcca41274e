"""How long the traces are that SFT imitates."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from reassess.analyse.collect import Collected
from reassess.data.shards import Shards
from reassess.graph import Run


def words(collected: Collected, runs: Sequence[Run]) -> float | None:
    """Return the mean number of words of the rationales that runs imitate, None where their data is not there.

    The record of a run has the hashes of its subset and set: what has other ones by now is not read.

    Args:
        collected: the results.
        runs: runs of one method, one per seed.
    """
    counts = [count for run in runs for count in _counts(collected, run)]
    return sum(counts) / len(counts) if counts else None


def _counts(collected: Collected, run: Run) -> list[int]:
    used = (collected.runs.get(run.key) or {}).get("subset")
    (subset,) = collected.graph.needed(collected.graph["train", run.key], "subset")
    file, manifest = Path(subset.record), Path(subset.inputs[0])
    if not used or not file.is_file() or not manifest.is_file():
        return []
    chosen = json.loads(file.read_text(encoding="utf-8"))
    held = json.loads(manifest.read_text(encoding="utf-8"))
    if (chosen["ids_sha256"], held["content_sha256"]) != (used["ids_sha256"], used["content_sha256"]):
        return []
    imitated = collected.study.all_stages[run.stage].imitates or 1
    found = Shards(manifest.parent, chosen["ids"]).words("rationales")
    return [count for counts in found for count in islice(counts, imitated)]
