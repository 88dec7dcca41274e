"""Predictions of VLMEvalKit: `{model}_{benchmark}.xlsx` or `.tsv`, and the files that its judges make of them.

Source: open-compass/VLMEvalKit, vlmeval/dataset/image_base.py and image_vqa.py: columns `index`, `question`, `answer`,
`prediction` and those of the benchmark; judged files add `hit` (multiple choice) or `score`. A prediction that failed
is the text "Failed to obtain answer via API." (vlmeval/dataset/utils/).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reassess.evaluate.formats.sample import Said, as_id, as_number, ids_of
from reassess.example import DataError, PutAside
from reassess.sources import delimited
from reassess.sources.base import Row
from reassess.sources.table import table_rows

SUFFIXES = (".xlsx", ".tsv")
FAILED = "Failed to obtain answer via API"
# The harness's own verdicts, the most exact first.
_OWN = ("hit", "score")
# Characters of a cell: openpyxl cuts off what is longer as it writes (openpyxl/cell/cell.py, check_string).
_LONGEST_CELL = 32_767


def rows(path: Path) -> Iterator[Said | PutAside]:
    """Yield what a file says, question by question.

    Raises:
        DataError: it cannot be read, or has not the columns of predictions.
    """
    columns: set[str] = set()
    for row in _rows(path):
        if isinstance(row, PutAside):
            yield row
            continue
        if not columns:
            columns = set(row.values)
            _check(path, columns)
        yield _said(path, row.place, row.values)


def _rows(path: Path) -> Iterator[Row | PutAside]:
    if path.suffix == ".xlsx":
        # A prediction that begins with "=" is a formula to whoever writes a workbook.
        yield from table_rows(path, str(path), keeps_formulas=True)
        return
    with path.open(encoding="utf-8-sig", newline="") as lines:
        yield from delimited.rows(lines, "\t", str(path), path)


def _check(path: Path, columns: set[str]) -> None:
    """Raise DataError where a table has not the columns of predictions."""
    for name in ("index", "prediction"):
        if name not in columns:
            raise DataError(
                f"{path}: no column {name!r}, which predictions of VLMEvalKit have; its columns are "
                f"{', '.join(sorted(filter(None, columns)))}"
            )


def _said(path: Path, place: str, row: dict[str, Any]) -> Said | PutAside:
    index = as_id(row.get("index"))
    if index is None:
        return PutAside(place, str(path), "no id", "index")
    value = row.get("prediction")
    # A table has no empty text: a model that said nothing has left an empty cell.
    text = "" if value is None or value != value else str(value)
    finish = "error" if text.strip().startswith(FAILED) else None
    if path.suffix == ".xlsx" and len(text) >= _LONGEST_CELL:
        finish = "length"
    question = row.get("question")
    own = {name: found for name in _OWN if (found := as_number(row.get(name))) is not None}
    texts = (question,) if isinstance(question, str) and question.strip() else ()
    target = str(row.get("answer") or "")
    return Said(place, {"index": index} | ids_of(row), texts, target, (text,), (finish,), own)
