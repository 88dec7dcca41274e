"""The jsonl source: examples of your own as JSON lines."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from reassess.example import DataError, Example, PutAside
from reassess.sources.base import SourceOptions
from reassess.spec import ExistingFile, Strict

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class JsonlSource(SourceOptions):
    """Examples of your own, one JSON object per line; images lie beside the file or inside it."""

    kind: Literal["jsonl"]
    """Read from JSON lines."""
    path: ExistingFile
    """A file of JSON lines. Keys of a line: `id`, `question`, `gold`, `kind` (`math`, `numeric`, `mcq` or `text`) and
    `source`; where there are any, `image` (a path from the file's folder and inside it, or a `data:` URI),
    `image_base64` or `images` (a list of paths or URIs), `options`, `rationales`, `family`, `difficulty` and
    `metadata`. After an image has changed under the same name, touch the file."""
    licence: str
    """Licence of the data, recorded in the manifest."""

    @property
    def files(self) -> list[str]:
        return [self.path]

    def read(self) -> Iterator[Example | PutAside]:
        """Yield the lines as examples; a line that is none is put aside under the file's name and its number.

        Raises:
            DataError: the file cannot be read.
        """
        file = Path(self.path)
        try:
            with file.open("rb") as lines:
                for number, line in enumerate(lines, 1):
                    text = line.removeprefix(_BYTE_ORDER_MARK).strip() if number == 1 else line.strip()
                    if not text:
                        continue
                    try:
                        yield _example(text, file.parent)
                    except _NoExampleError as error:
                        yield PutAside(f"{file.name}:{number}", self.path, str(error))
        except OSError as error:
            raise DataError(f"{file}: {error.strerror}") from None


class _NoExampleError(Exception):
    """A line is no example: the message says why."""


class _Line(Strict):
    """One line; what is optional may be null as well."""

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


def _example(text: bytes, folder: Path) -> Example:
    """Return the example in a line. Raises _NoExampleError."""
    try:
        line = _Line.model_validate_json(text)
    except ValidationError as error:
        raise _NoExampleError(_reason(error)) from None
    metadata = line.metadata or ""
    return Example(
        id=line.id,
        images=_images(line, folder),
        question=line.question,
        options=line.options or (),
        gold=line.gold,
        kind=line.kind,
        rationales=line.rationales or (),
        source=line.source,
        family=line.family or "",
        difficulty=line.difficulty or 0,
        metadata=metadata if isinstance(metadata, str) else json.dumps(metadata, ensure_ascii=False, sort_keys=True),
    )


def _reason(error: ValidationError) -> str:
    """Return what is wrong with a line, in words that do not depend on its values."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    if first["type"] == "json_invalid":
        return "not JSON"
    if not first["loc"]:
        return "not a JSON object"
    key = str(first["loc"][0])
    if first["type"] == "missing":
        return f"{key} is missing"
    if first["type"] == "extra_forbidden":
        return f"unknown key {key!r}"
    if key == "metadata":
        return "metadata: should be text or a JSON object"
    message = str(first["msg"]).removeprefix("Input ")
    return f"{key}: {message}"


def _images(line: _Line, folder: Path) -> tuple[bytes, ...]:
    """Return a line's encoded images. Raises _NoExampleError."""
    given = [key for key in ("image", "image_base64", "images") if getattr(line, key) is not None]
    if len(given) > 1:
        raise _NoExampleError(f"{' and '.join(given)}: give one of them")
    if line.image_base64 is not None:
        return (_decoded("image_base64", line.image_base64),)
    if line.image is not None:
        return (_image("image", line.image, folder),)
    return tuple(_image("images", text, folder) for text in line.images or ())


def _image(key: str, text: str, folder: Path) -> bytes:
    """Return the encoded image that a path or a `data:` URI stands for. Raises _NoExampleError."""
    if text.startswith("data:"):
        head, _, data = text.partition(",")
        if not head.endswith(";base64"):
            raise _NoExampleError(f"{key}: a data: URI should be of base64")
        return _decoded(key, data)
    try:
        file = (folder / text).resolve()
        if not file.is_relative_to(folder.resolve()):
            raise _NoExampleError(f"{key}: the path leads out of the file's folder")
        if not file.is_file():
            raise _NoExampleError(f"{key}: no such file")
        return file.read_bytes()
    except (OSError, RuntimeError, ValueError):
        # A circle of links is a RuntimeError before Python 3.13, a zero byte in a path a ValueError.
        raise _NoExampleError(f"{key}: cannot be read") from None


def _decoded(key: str, text: str) -> bytes:
    """Return what a text of base64 stands for. Raises _NoExampleError."""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        raise _NoExampleError(f"{key}: not base64") from None
