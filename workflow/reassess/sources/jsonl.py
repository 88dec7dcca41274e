"""The jsonl source: questions of your own as JSON lines, or as one JSON array."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

from pydantic import ConfigDict, Field, ValidationError

from reassess.example import DataError, Example, PutAside, RowError
from reassess.sources import pictures
from reassess.sources.base import FileSource, Row
from reassess.sources.json_files import begins_array, elements, lines, parsed
from reassess.sources.shapes import RECORD
from reassess.sources.values import Unreadable
from reassess.spec import RowsFile, Strict

# Lines that are looked at to tell example records from other shapes.
_HEAD = 32
NO_JSON = "not JSON"


class JsonlSource(FileSource):
    """Questions of your own, one JSON object per line, or in one array; images lie beside the file or inside it."""

    kind: Literal["jsonl"]
    """Read from JSON."""
    path: RowsFile
    """A file of JSON lines, or a `.json` file that holds one array. Example records have the keys `id`, `question`,
    `gold`, `kind` (`math`, `numeric`, `mcq` or `text`) and `source`; where there are any, `image` (a path from the
    file's folder and inside it, or a `data:` URI), `image_base64` or `images` (a list of paths or URIs), `options`,
    `rationales`, `family`, `difficulty` and `metadata`. Other shapes are recognised by their keys. After an image has
    changed under the same name, touch the file."""

    @property
    def files(self) -> list[str]:
        return [self.path]

    @property
    def is_uniform(self) -> bool:
        return False

    def described(self) -> str:
        """Return which shape the lines have, in one line. Raises DataError."""
        return "example records" if self._has_records() else super().described()

    def read(self) -> Iterator[Example | PutAside]:
        """Yield the lines as examples; a line that is none is put aside under the file's name and its number.

        Raises:
            DataError: the file cannot be read, or its keys do not say where question and answer are.
        """
        return self._records() if self._has_records() else super().read()

    def rows(self) -> Iterator[Row | PutAside]:
        return json_rows(Path(self.path), self.called)

    def _has_records(self) -> bool:
        """Whether one of the first objects is an example record, of which the study says nothing else."""
        if self.columns or self.answers or self.name:
            return False
        head = (row for row in itertools.islice(self.rows(), _HEAD) if isinstance(row, Row))
        return any(row.values.keys() >= RECORD for row in head)

    def _records(self) -> Iterator[Example | PutAside]:
        for place, item in _items(Path(self.path)):
            try:
                yield self._record(item, place)
            except RowError as error:
                yield PutAside(place, self.path, error.reason, error.column)

    def _record(self, item: bytes | Any, place: str) -> Example:
        """Return the example in an example record. Raises RowError."""
        if isinstance(item, bytes):
            item = _parsed(item)
        if isinstance(item, dict):
            for key, value in item.items():
                if isinstance(value, Unreadable):
                    raise RowError(value.reason, key)
        try:
            record = _Record.model_validate_json(json.dumps(item))
        except ValidationError as error:
            raise _refused(error) from None
        metadata = record.metadata or ""
        if not isinstance(metadata, str):
            metadata = json.dumps(metadata, ensure_ascii=False, sort_keys=True)
        return Example(
            id=record.id,
            images=self._images(record, place),
            question=record.question,
            options=record.options or (),
            gold=record.gold,
            kind=record.kind,
            rationales=record.rationales or (),
            source=record.source,
            family=record.family or "",
            difficulty=record.difficulty or 0,
            metadata=metadata,
        )

    def _images(self, record: _Record, place: str) -> tuple[bytes, ...]:
        """Return the encoded images of an example record. Raises RowError."""
        given = [key for key in ("image", "image_base64", "images") if getattr(record, key) is not None]
        if len(given) > 1:
            raise RowError(f"{' and '.join(given)}: give one of them", given[0])
        if record.image_base64 is not None:
            return (pictures.decoded(record.image_base64, "image_base64"),)
        return tuple(
            picture
            for key in given
            for picture in pictures.pictures(getattr(record, key), key, lambda path: self.picture(path, place))
        )


class _Record(Strict):
    """An example record; what is optional may be null as well."""

    model_config = ConfigDict(strict=True)

    id: str
    question: str
    gold: str
    kind: str
    source: str
    image: str | None = None
    image_base64: str | None = None
    images: tuple[str, ...] | None = None
    options: tuple[str, ...] | None = None
    rationales: tuple[str, ...] | None = None
    family: str | None = None
    # What a Parquet column of whole numbers holds.
    difficulty: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    metadata: str | dict[str, Any] | None = None


def json_rows(file: Path, name: str) -> Iterator[Row | PutAside]:
    """Yield the objects of a file of JSON lines, or of one array, and what is no object as put aside.

    Args:
        file: the file; one that is called `.json` may hold an array.
        name: what the examples are called by.

    Raises:
        DataError: it cannot be read.
    """
    for place, item in _items(file):
        try:
            found = _parsed(item) if isinstance(item, bytes) else item
        except RowError as error:
            yield PutAside(place, name, error.reason)
            continue
        yield Row(place, found) if isinstance(found, dict) else PutAside(place, name, "not a JSON object")


def _parsed(item: bytes) -> Any:
    """Return what a line of JSON holds. Raises RowError."""
    try:
        return parsed(item)
    except ValueError:
        raise RowError(NO_JSON) from None


def _items(file: Path) -> Iterator[tuple[str, bytes | Any]]:
    """Yield the place of each line and its text, or of each element of an array and the element."""
    is_json = file.suffix.lower() == ".json"
    try:
        with file.open("rb") as handle:
            if is_json and begins_array(handle):
                yield from _elements(handle, file)
                return
            for number, text in enumerate(lines(handle), 1):
                if is_json and number == 1 and not _is_json(text):
                    raise DataError(f"{file}: neither JSON lines nor one array of objects")
                if text:
                    yield f"{file.name}:{number}", text
    except OSError as error:
        raise DataError(f"{file}: {error.strerror}") from None


def _is_json(text: bytes) -> bool:
    try:
        parsed(text)
    except ValueError:
        return False
    return True


def _elements(handle: BinaryIO, file: Path) -> Iterator[tuple[str, Any]]:
    """Yield the elements of an array, one at a time. Raises DataError."""
    number = 0
    try:
        for number, item in enumerate(elements(handle), 1):
            yield f"{file.name}: element {number}", item
    except ValueError as error:
        raise DataError(f"{file}: not JSON behind element {number} of its array ({error})") from None


def _refused(error: ValidationError) -> RowError:
    """Return what is wrong with an example record, in words that do not depend on its values."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    if first["type"] == "json_invalid":
        return RowError(NO_JSON)
    if not first["loc"]:
        return RowError("not a JSON object")
    key = str(first["loc"][0])
    if first["type"] == "missing":
        return RowError(f"{key} is missing", key)
    if first["type"] == "extra_forbidden":
        return RowError(f"unknown key {key!r}", key)
    if key == "metadata":
        return RowError("metadata: should be text or a JSON object", key)
    return RowError(f"{key}: {str(first['msg']).removeprefix('Input ')}", key)
