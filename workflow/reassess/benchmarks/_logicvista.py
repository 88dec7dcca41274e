"""LogicVista's accuracy per reasoning skill, which its own scripts and VLMEvalKit compute alike under other names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reassess.benchmarks.item import Row


def accuracy_by_skill(rows: Sequence[Row], labels: Mapping[str, str]) -> dict[str, float]:
    """Accuracy over the rows whose `skill`, as text, contains the skill of a label; labels without rows are left out.

    The skill may be a list or its text, and a row that has several counts for each. The empty skill is that
    of all rows.
    """
    result = {}
    for label, skill in labels.items():
        hits = [row.correct is True for row in rows if skill in str(row.metadata.get("skill", ""))]
        if hits:
            result[label] = sum(hits) / len(hits)
    return result
