"""What tables and figures were made from: their record, by which they are known to be current."""

from __future__ import annotations

import json
from pathlib import Path

from reassess import paths
from reassess.graph import Graph
from reassess.graph.report import Kind
from reassess.work import records
from reassess.work.provenance import provenance
from reassess.work.records import file_sha256


def record(graph: Graph, kind: Kind, written: list[str], partial: bool) -> str:
    """Write the record of tables or figures, and return its path.

    It has the hashes of what was written and of the runs and scores that are there.

    Args:
        graph: the study.
        kind: which of the two.
        written: their files.
        partial: they were made from whatever was there.
    """
    path = paths.report(kind, partial)
    job = graph[kind, "all"]
    if not partial:
        stamp = Path(job.outputs[-1])
        for old in stamp.parent.glob(Path(paths.stamp(kind, "*")).name):
            old.unlink()
        stamp.touch()
    found = {
        "study": graph.study.name,
        "spec": json.loads(job.spec),
        "made_from": {file: file_sha256(file) for file in graph.results() if Path(file).exists()},
        "files": {file: file_sha256(file) for file in written},
        "provenance": provenance(),
    }
    records.write(Path(path), found)
    return path
