"""What tables and figures were made from: their record, by which they are known to be current."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from reassess import grid, identity, paths
from reassess.data.build import write_json
from reassess.provenance import file_sha256, provenance
from reassess.study import Study


def record(study: Study, kind: Literal["tables", "figures"], written: list[str], partial: bool) -> str:
    """Write the record of tables or figures, and return its path.

    It has the hashes of what was written and of the runs and scores that are there.

    Args:
        study: the study.
        kind: which of the two.
        written: their files.
        partial: they were made from whatever was there.
    """
    path = paths.report(kind, partial)
    found = {
        "study": study.name,
        "spec": json.loads(identity.report_spec(study)),
        "made_from": {file: file_sha256(file) for file in grid.results(study) if Path(file).exists()},
        "files": {file: file_sha256(file) for file in written},
        "provenance": provenance(),
    }
    write_json(Path(path), found)
    return path
