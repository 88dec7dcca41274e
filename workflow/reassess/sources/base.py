"""What every kind of source says of itself before it is read, and the rows of files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from reassess.example import PutAside
from reassess.spec import ExistingPath, Strict

Modality = Literal["visual", "text", "mixed"]


class Row(NamedTuple):
    """A row as a file has it.

    Attributes:
        place: the file's name and where in it the row stands: `train.csv:12`, `test.parquet row 3`.
        values: by column, of whatever type the file has.
    """

    place: str
    values: dict[str, Any]


class SourceOptions(Strict):
    """Base of the kinds of sources.

    A kind has besides `kind`, `licence` (of the data, for the manifest) and `read`, which yields its examples, and
    what cannot be one as `PutAside`, without holding more than a few.
    """

    @property
    def files(self) -> list[str]:
        """The user's files that are read: where one is newer than what was made from it, that is made again."""
        return []

    @property
    def size(self) -> int | None:
        """The number of examples, None where only reading tells."""
        return None

    def identity(self) -> dict[str, Any]:
        """Return what the examples depend on, besides the content of the user's files."""
        return self.model_dump(mode="json", exclude_defaults=True, exclude={"licence"})

    def provenance(self) -> dict[str, dict[str, Any]]:
        """Return what the manifest says of files that were read and are not the user's: size and hash by name."""
        return {}

    def misfits(self, modality: Modality, is_benchmark: bool) -> Iterator[str]:
        """Yield why the examples do not suit a pool or a benchmark of a modality."""
        yield from ()


class Columns(Strict):
    """Which columns of a file hold what; what is not said is recognised by the columns' usual names."""

    id: str | None = None
    """The id, unique within the source; by default the rows are numbered."""
    question: str | None = None
    """The question."""
    image: str | tuple[str, ...] | None = None
    """The image, as bytes, a path below `image_root`, base64 or a list of such; or several columns of images."""
    options: str | tuple[str, ...] | None = None
    """A list of the options, or a column for each."""
    gold: str | None = None
    """The right answer; of a multiple-choice question a letter, the text of an option, or its index from 0."""
    kind: str | None = None
    """How the answer is compared: `math`, `numeric`, `mcq` or `text`."""
    rationale: str | None = None
    """A chain of reasoning, or a list of them."""
    response: str | None = None
    """A whole response, from which rationale and answer are read."""
    family: str | None = None
    """Task family or category."""
    difficulty: str | None = None
    """The source's own level, a whole number."""
    metadata: tuple[str, ...] = ()
    """Columns that are kept as they are, such as those that a benchmark's own rule reads."""


class RowsSource(SourceOptions):
    """Base of the kinds of sources that read rows of files, whatever their columns are."""

    licence: str
    """Licence of the data, recorded in the manifest."""
    name: str = ""
    """What the examples are called by in tables and manifests; by default the file's or the data set's name."""
    columns: Columns | None = None
    """Which columns hold what; by default they are recognised by their usual names."""
    answers: Literal["math", "numeric", "mcq", "text"] | None = None
    """How all answers are compared; by default this is told from each row."""
    image_root: ExistingPath | None = None
    """The directory below which paths of images are looked up; by default that of the file."""

    def rows(self) -> Iterator[Row | PutAside]:
        """Yield the rows as the files have them, and what is damaged as put aside.

        Raises:
            DataError: a file cannot be read.
        """
        raise NotImplementedError
