"""What came of asking a model for a set of examples: right, judged and kept, by source, family and difficulty."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from reassess.data.asked import Answered
from reassess.data.collection import counted_as
from reassess.example import Example, Scored

# Beside the manifest of the set: every example that was asked, also those that are left out.
ASKED = "asked.parquet"
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("family", pa.string()),
        ("difficulty", pa.int64()),
        ("samples", pa.int64()),
        ("judged", pa.int64()),
        ("right", pa.int64()),
        ("tokens", pa.int64()),
    ]
)
GROUPED = ("source", "family", "difficulty")
_BATCH = 10_000


class Tally:
    """The examples that were asked, counted as a step goes through them, with a row for each in a file.

    Args:
        answered: the examples, with what was said to them.
        file: the file, Parquet with the columns of `SCHEMA`.
    """

    def __init__(self, answered: Answered, file: Path) -> None:
        self._answered = answered
        self._file = file
        self._counts: dict[str, dict[str, Counter[str]]] = {name: {} for name in GROUPED}
        self._whole: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()

    def ids(self) -> list[str]:
        """Return the ids of the examples."""
        return self._answered.ids()

    def __iter__(self) -> Iterator[Scored]:
        rows: list[dict[str, Any]] = []
        with pq.ParquetWriter(self._file, SCHEMA) as writer:
            for scored in self._answered:
                rows.append(self._count(scored))
                yield scored
                if len(rows) == _BATCH:
                    writer.write_table(pa.Table.from_pylist(rows, SCHEMA))
                    rows = []
            writer.write_table(pa.Table.from_pylist(rows, SCHEMA))

    def _count(self, scored: Scored) -> dict[str, Any]:
        example, said, _ = scored
        judged = [item.correct for item in said if item.correct is not None]
        tokens = sum(item.n_tokens for item in said)
        found = {"samples": len(said), "judged": len(judged), "right": sum(judged), "tokens": tokens}
        self._add(example, Counter({"asked": 1, "solved": int(any(judged)), **found}))
        self._reasons.update(item.finish_reason for item in said)
        return {name: getattr(example, name) for name in ("id", *GROUPED)} | found

    def keep(self, example: Example) -> None:
        """Count an example that is kept."""
        self._add(example, Counter({"kept": 1, "rationales": len(example.rationales)}))

    def _add(self, example: Example, more: Counter[str]) -> None:
        self._whole.update(more)
        for name, groups in self._counts.items():
            value = counted_as(str(getattr(example, name)), groups)
            groups.setdefault(value, Counter()).update(more)

    def described(self) -> dict[str, Any]:
        """Return the counts: of all, by source, family and difficulty, and of how responses ended.

        `asked` and `kept` are examples, `solved` those with a right response, `rationales` of those that are kept;
        `samples`, `judged` and `right` are responses, and `tokens` those that were generated.
        """
        by = {
            name: {value: dict(found) for value, found in sorted(groups.items())}
            for name, groups in self._counts.items()
        }
        return {**self._whole, "ended": dict(self._reasons), "by": by}
