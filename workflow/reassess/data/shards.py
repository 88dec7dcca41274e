"""Directories of Arrow shards: examples are written a few at a time, and read from where they lie on the disk."""

from __future__ import annotations

import mmap
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reassess.example import DataError, Example
from reassess.sources.rows import SCHEMA, example, row

T = TypeVar("T")

# What is in memory when examples are written, and what is decoded at once when they are read one after the other.
BATCH_ROWS, BATCH_BYTES = 250, 8 * 2**20
# Not by rows too: a million short ones would be hundreds of files, and to open one costs as much as a hundred rows.
SHARD_BYTES = 256 * 2**20
# Shards that are mapped at a time: each map has a file descriptor, of which a process may have 1,024 on most machines.
OPEN = 64
# Bytes that are drawn before their pages are given back. They count as resident until then, and are in the page cache
# afterwards, which all processes share.
DRAWN = 32 * 2**20
# Of a row, besides its images: a page fault maps 16 pages (Linux's `fault_around_bytes`), and a row has its bytes in
# about four places.
ROW = 4 * 16 * 4096


def write_shards(directory: str | Path, examples: Iterable[Example]) -> list[str]:
    """Write examples as Arrow shards as they come, one shard at least, and return the file names.

    A shard has at most `SHARD_BYTES`, unless a single batch is larger.
    """
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    names: list[str] = []
    batches = _batches(examples)
    batch = next(batches, None)
    while batch is not None or not names:
        names.append(f"examples-{len(names):05d}.arrow")
        size = 0
        with pa.ipc.new_file(str(folder / names[-1]), SCHEMA) as writer:
            while batch is not None and (not size or size + batch.nbytes <= SHARD_BYTES):
                writer.write_batch(batch)
                size += batch.nbytes
                batch = next(batches, None)
    return names


def _batches(examples: Iterable[Example]) -> Iterator[pa.RecordBatch]:
    rows: list[dict[str, Any]] = []
    size = 0
    for item in examples:
        rows.append(row(item))
        size += sum(map(len, (*item.images, item.question, *item.options, *item.rationales, item.metadata)))
        if len(rows) == BATCH_ROWS or size >= BATCH_BYTES:
            yield pa.RecordBatch.from_pylist(rows, schema=SCHEMA)
            rows, size = [], 0
    if rows:
        yield pa.RecordBatch.from_pylist(rows, schema=SCHEMA)


class _Shard:
    """A shard that is mapped into memory: of the file, only what is looked at is read.

    Raises:
        DataError: it cannot be read.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            with file.open("rb") as handle:
                self._map = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
            self._reader = pa.ipc.open_file(pa.BufferReader(pa.py_buffer(self._map)))
        # An empty file cannot be mapped, which is a ValueError.
        except (OSError, ValueError, pa.ArrowException) as error:
            raise self._broken(error) from None
        if not self._reader.schema.equals(SCHEMA):
            raise self._broken("its columns are not those of an example record")

    def __len__(self) -> int:
        return int(self._reader.num_record_batches)

    def batch(self, number: int, columns: Sequence[str] = SCHEMA.names) -> pa.RecordBatch:
        """Return columns of a batch, whose values are read when they are looked at. Raises DataError."""
        try:
            found = self._reader.get_batch(number).select(columns)
            # Of damaged offsets Arrow would read beyond the file. The bytes of images are not looked at.
            found.validate(full=True)
        except (OSError, pa.ArrowException) as error:
            raise self._broken(error) from None
        return found

    def forget(self) -> None:
        """Give back the pages that were read; they are mapped again where they are looked at again."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)

    def _broken(self, why: Exception | str) -> DataError:
        said = (str(why).strip().splitlines() or [type(why).__name__])[0]
        return DataError(f"{self._file}: not readable ({said}); {_again(self._file.parent.parent)}")


class Shards(Sequence[Example]):
    """The examples of a pool, set or benchmark directory, or some of them; each is read when it is drawn.

    In memory are eight bytes for each, and what was drawn last. May be pickled, and used on in a forked process.

    Args:
        directory: the directory.
        ids: which of its examples, in which order; by default all of them, in file order.

    Raises:
        DataError: the directory has no shards, one cannot be read, or an id is not there.
    """

    def __init__(self, directory: str | Path, ids: Sequence[str] | None = None) -> None:
        self._directory = directory
        self._files = _files(directory)
        # Shard, number in it and first row of each batch.
        self._batches: list[tuple[int, int]] = []
        self._first: list[int] = []
        rows = 0
        for number, file in enumerate(self._files):
            shard = _Shard(file)
            for part in range(len(shard)):
                self._batches.append((number, part))
                self._first.append(rows)
                rows += shard.batch(part, ("id",)).num_rows
        self._open: dict[int, _Shard] = {}
        # Number and content of the batch that was drawn from last.
        self._last: tuple[int, pa.RecordBatch] | None = None
        self._drawn = 0
        self._rows = np.arange(rows)
        if ids is not None:
            self._rows = self._places(ids)

    def _places(self, ids: Sequence[str]) -> np.ndarray[Any, np.dtype[np.int64]]:
        wanted = pa.array(ids, pa.string())
        found = pc.index_in(wanted, value_set=pa.array(self.column("id"), pa.string()))
        if found.null_count:
            first = wanted.filter(found.is_null())[0].as_py()
            raise DataError(f"{self._directory}: {found.null_count} ids are not there, the first is {first!r}")
        return np.asarray(found, dtype=np.int64)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_open": {}, "_last": None, "_drawn": 0}

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Example: ...

    @overload
    def __getitem__(self, index: slice) -> Shards: ...

    def __getitem__(self, index: int | slice) -> Example | Shards:
        if isinstance(index, slice):
            return self.take(range(*index.indices(len(self))))
        place = int(self._rows[index])
        number = bisect_right(self._first, place) - 1
        if self._last is None or self._last[0] != number:
            shard, part = self._batches[number]
            self._last = number, self._shard(shard).batch(part)
        (fields,) = self._last[1].slice(place - self._first[number], 1).to_pylist()
        item = example(fields)
        self._drawn += ROW + sum(map(len, item.images))
        if self._drawn > DRAWN:
            self._drawn = 0
            for opened in self._open.values():
                opened.forget()
        return item

    def _shard(self, number: int) -> _Shard:
        shard = self._open.pop(number, None) or _Shard(self._files[number])
        self._open[number] = shard
        if len(self._open) > OPEN:
            del self._open[next(iter(self._open))]
        return shard

    def take(self, indices: Sequence[int]) -> Shards:
        """Return the examples at some indices, in their order."""
        found = object.__new__(Shards)
        found.__dict__.update(self.__getstate__())
        found._rows = self._rows[np.asarray(indices, dtype=np.int64)]
        return found

    def column(self, name: str) -> list[Any]:
        """Return a column of the examples; nothing else of them is read."""
        return self._each(lambda batch: batch[name].to_pylist(), name)

    def lengths(self, name: str) -> list[int]:
        """Return how many entries a column of lists has in each example, without reading these."""
        return self._each(lambda batch: pc.list_value_length(batch[name]).fill_null(0).to_pylist(), name)

    def words(self, name: str) -> list[list[int]]:
        """Return how many words each entry of a column of texts has, by example, keeping none of the texts."""

        def count(batch: pa.RecordBatch) -> list[list[int]]:
            return [[len(text.split()) for text in texts or ()] for texts in batch[name].to_pylist()]

        return self._each(count, name)

    def _each(self, what: Callable[[pa.RecordBatch], list[T]], *columns: str) -> list[T]:
        values = list(_scan(self._files, what, columns))
        return [values[place] for place in self._rows]


def stream(directory: str | Path) -> Iterator[Example]:
    """Yield the examples of a pool, set or benchmark directory in file order, holding a few at a time.

    Raises:
        DataError: the directory has no shards, or one cannot be read.
    """
    return _scan(_files(directory), lambda batch: map(example, batch.to_pylist()), SCHEMA.names)


def read_columns(directory: str | Path, columns: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return some columns of a pool, set or benchmark directory by id; nothing else is read.

    Args:
        directory: the directory.
        columns: their names, `id` among them.

    Raises:
        DataError: the directory has no shards, or one cannot be read.
    """
    return {fields["id"]: fields for fields in _scan(_files(directory), pa.RecordBatch.to_pylist, columns)}


def _scan(files: Iterable[Path], what: Callable[[pa.RecordBatch], Iterable[T]], columns: Sequence[str]) -> Iterator[T]:
    """Yield what is made of columns of each batch, in order."""
    for file in files:
        shard = _Shard(file)
        for number in range(len(shard)):
            yield from what(shard.batch(number, columns))
            shard.forget()


def _files(directory: str | Path) -> list[Path]:
    files = sorted(Path(directory).glob("shards/*.arrow"))
    if not files:
        raise DataError(f"{directory}: no shards/*.arrow; {_again(directory)}")
    return files


def _again(directory: str | Path) -> str:
    return f"delete {directory} and run the study again, which makes it again"
