"""The table source: questions of your own in a CSV file or an Excel workbook."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import field_validator

from reassess.example import DataError, PutAside
from reassess.sources import delimited
from reassess.sources.base import FileSource, Row
from reassess.spec import RowsFile

_SUFFIXES = (".csv", ".xlsx")


class TableSource(FileSource):
    """Questions of your own, a row each, in a CSV file or an Excel workbook; the first row names the columns."""

    kind: Literal["table"]
    """Read from a table."""
    path: RowsFile
    """A `.csv` file (parted by commas or semicolons; UTF-8, UTF-16 or Windows-1252), or an `.xlsx` workbook of one
    sheet."""

    @field_validator("path")
    @classmethod
    def _is_table(cls, path: str) -> str:
        if Path(path).suffix.lower() not in _SUFFIXES:
            raise ValueError(f"{path!r} is neither of {', '.join(_SUFFIXES)}")
        return path

    @property
    def files(self) -> list[str]:
        return [self.path]

    def rows(self) -> Iterator[Row | PutAside]:
        return table_rows(Path(self.path), self.called)


def table_rows(file: Path, name: str, *, keeps_formulas: bool = False) -> Iterator[Row | PutAside]:
    """Yield the rows of a CSV file or a workbook.

    Args:
        file: the table.
        name: what the examples are called by.
        keeps_formulas: take formulas of a workbook as they are written, and not what Excel has worked out.

    Raises:
        DataError: it cannot be read.
    """
    if file.suffix.lower() == ".xlsx":
        yield from _of_workbook(file, name, keeps_formulas)
        return
    form = delimited.format_of(file)
    try:
        with file.open(encoding=form.encoding, newline="") as lines:
            yield from delimited.rows(lines, form.delimiter, name, file)
    except OSError as error:
        raise DataError(f"{file}: {error.strerror}") from None


def _of_workbook(file: Path, name: str, keeps_formulas: bool) -> Iterator[Row | PutAside]:
    """Yield the rows of the one sheet of a workbook that has any. Raises DataError."""
    import zipfile

    import openpyxl
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = openpyxl.load_workbook(file, read_only=True, data_only=not keeps_formulas)
        try:
            for sheet in book.worksheets:
                # Some programs write sizes that are too small.
                sheet.reset_dimensions()
            sheets = [sheet for sheet in book.worksheets if any(_filled(row) for row in sheet.iter_rows(max_row=100))]
            if len(sheets) > 1:
                titles = ", ".join(sheet.title for sheet in sheets)
                raise DataError(f"{file}: more than one sheet has rows ({titles}); keep one in the file")
            for sheet in sheets:
                yield from _of_sheet(sheet, file, name)
        finally:
            book.close()
    # openpyxl lets through what the parts of a damaged file raise.
    except (OSError, KeyError, ValueError, TypeError, EOFError, SyntaxError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{file}: not a readable workbook ({error})") from None
    except (zipfile.BadZipFile, InvalidFileException) as error:
        raise DataError(f"{file}: not a readable workbook ({error})") from None


def _filled(row: tuple[Any, ...]) -> bool:
    return any(cell.value is not None for cell in row)


def _of_sheet(sheet: Any, file: Path, name: str) -> Iterator[Row | PutAside]:
    columns: list[str] = []
    for number, cells in enumerate(sheet.iter_rows(), 1):
        if not _filled(cells):
            continue
        place = f"{file.name}:{number}"
        if not columns:
            columns = _header(cells, file)
            continue
        if any(cell.value is not None for cell in cells[len(columns) :]):
            yield PutAside(place, name, delimited.RAGGED)
            continue
        values: dict[str, Any] = dict.fromkeys(columns)
        values.update(zip(columns, (cell.value for cell in cells), strict=False))
        # What Excel shows of a formula that failed, such as #N/A.
        wrong = next((column for column, cell in zip(columns, cells, strict=False) if cell.data_type == "e"), None)
        yield Row(place, values) if wrong is None else PutAside(place, name, "a formula that failed", wrong)


def _header(cells: tuple[Any, ...], file: Path) -> list[str]:
    named = [str(cell.value).strip() if cell.value is not None else "" for cell in cells]
    while named and not named[-1]:
        named.pop()
    twice = sorted({column for column in named if named.count(column) > 1})
    if twice:
        raise DataError(f"{file}: columns that stand twice: {', '.join(map(repr, twice))}")
    return named
