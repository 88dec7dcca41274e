"""Predictions of VLMEvalKit: `{model}_{benchmark}.xlsx` or `.tsv`, and the files that its judges make of them.

Source: open-compass/VLMEvalKit, vlmeval/dataset/image_base.py and image_vqa.py: columns `index`, `question`, `answer`,
`prediction` and those of the benchmark; judged files add `hit` (multiple choice) or `score`. A prediction that failed
is the text "Failed to obtain answer via API." (vlmeval/dataset/utils/).
"""

from __future__ import annotations

import csv
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from reassess.evaluate.formats.sample import Said, as_id, as_number, ids_of
from reassess.example import DataError, PutAside

SUFFIXES = (".xlsx", ".tsv")
FAILED = "Failed to obtain answer via API"
# What openpyxl raises of a damaged archive, of damaged XML (SyntaxError), and of parts that are not there.
_DAMAGED = (zipfile.BadZipFile, zlib.error, OSError, EOFError, SyntaxError, LookupError, ValueError, TypeError)
# The harness's own verdicts, the most exact first.
_OWN = ("hit", "score")
# Characters of a cell: openpyxl cuts off what is longer as it writes (openpyxl/cell/cell.py, check_string).
_LONGEST_CELL = 32_767


def rows(path: Path) -> Iterator[Said | PutAside]:
    """Yield what a file says, question by question.

    Raises:
        DataError: it cannot be read, or has not the columns of predictions.
    """
    lines = _sheet(path) if path.suffix == ".xlsx" else _tsv(path)
    header = [str(name).strip() if name is not None else "" for name in next(lines, (0, []))[1]]
    lacking = [name for name in ("index", "prediction") if name not in header]
    if lacking:
        raise DataError(
            f"{path}: no column {lacking[0]!r}, which predictions of VLMEvalKit have; its columns are "
            f"{', '.join(filter(None, header)) or 'none'}"
        )
    for number, values in lines:
        if all(value in (None, "") for value in values):
            continue
        place = f"row {number}"
        if len(values) > len(header):
            yield PutAside(place, str(path), "more values than columns")
        else:
            yield _said(path, place, dict(zip(header, values, strict=False)))


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


def _sheet(path: Path) -> Iterator[tuple[int, Sequence[Any]]]:
    """Yield the rows of the first sheet by number, the first of which is 1."""
    import openpyxl

    try:
        # A prediction that begins with "=" counts as a formula, and as it was written only here.
        book = openpyxl.load_workbook(path, read_only=True, data_only=False)
        try:
            sheet = book.worksheets[0]
            # Some writers say that a sheet has one cell.
            sheet.reset_dimensions()
            for number, values in enumerate(sheet.iter_rows(values_only=True), 1):
                yield number, _trimmed(values)
        finally:
            book.close()
    except _DAMAGED as error:
        raise DataError(f"{path}: not a readable .xlsx file ({error})") from None


def _trimmed(values: Sequence[Any]) -> Sequence[Any]:
    """Return a row without the empty cells at its end."""
    end = len(values)
    while end and values[end - 1] is None:
        end -= 1
    return values[:end]


def _tsv(path: Path) -> Iterator[tuple[int, Sequence[Any]]]:
    """Yield the rows of a table as pandas writes it, by number, the first of which is 1."""
    # The limit of a field is 128 kB otherwise.
    csv.field_size_limit(2**31 - 1)
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            yield from enumerate(csv.reader(handle, delimiter="\t"), 1)
    except (csv.Error, UnicodeError) as error:
        raise DataError(f"{path}: not a readable table with tabs ({error})") from None
