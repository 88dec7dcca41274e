"""The parquet source: example records of your own."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from reassess.example import DataError, Example, PutAside
from reassess.sources.base import SourceOptions
from reassess.spec import ExistingPath

# Rows that are decoded at once: images are large.
ROWS = 256
# Bytes read at once: without a limit a column of a whole row group is, and many files have one row group. With
# `pre_buffer`, pyarrow's default, it would keep the whole file until its end.
BUFFER = 2**20


class ParquetSource(SourceOptions):
    """Examples of your own, in Parquet files with the columns of an example record."""

    kind: Literal["parquet"]
    """Read from files."""
    path: ExistingPath
    """A Parquet file or a directory of them."""
    licence: str
    """Licence of the data, recorded in the manifest."""

    @property
    def files(self) -> list[str]:
        root = Path(self.path)
        return [str(file) for file in (sorted(root.rglob("*.parquet")) if root.is_dir() else [root])]

    def read(self) -> Iterator[Example | PutAside]:
        """Yield the rows as examples, file by file.

        Raises:
            DataError: there is no file, one is not Parquet, its columns are not those of an example record, or a row
                names its image by path.
        """
        from reassess.sources.rows import IMAGES, example

        if not self.files:
            raise DataError(f"{self.path}: no *.parquet files")
        for file in self.files:
            for row in _rows(file):
                lost = next((image for image in row[IMAGES] or () if image and image["bytes"] is None), None)
                if lost and lost["path"]:
                    raise DataError(
                        f"{file}: row {row['id']!r} names an image by path ({lost['path']!r}); put the bytes into "
                        "the file, as `datasets` does with `embed_external_files=True`"
                    )
                empty = next((key for key in ("options", "rationales") if None in (row[key] or ())), None)
                empty = IMAGES if lost or None in (row[IMAGES] or ()) else empty
                if empty:
                    yield PutAside(row["id"] or "", row["source"] or "", f"{empty} has an empty value")
                    continue
                yield example(row)


def _rows(file: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file with the columns of an example record, a few of a row group at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from reassess.sources.rows import IMAGE, IMAGES, OPTIONAL, SCHEMA

    schema = pa.schema(list(SCHEMA))
    try:
        with pq.ParquetFile(file, buffer_size=BUFFER, pre_buffer=False) as opened:
            there = opened.schema_arrow.names
            is_single = IMAGE in there and IMAGES not in there
            names = [IMAGE if is_single and name == IMAGES else name for name in schema.names]
            missing = [name for name in names if name not in (*there, *OPTIONAL)]
            twice = [name for name in (IMAGE, *schema.names) if there.count(name) > 1]
            if IMAGE in there and IMAGES in there:
                raise DataError(f"{file}: columns {IMAGE} and {IMAGES}: give one of them")
            if twice:
                raise DataError(f"{file}: columns that stand twice: {', '.join(twice)}")
            if missing:
                raise DataError(f"{file}: columns missing: {', '.join(missing)}; expected {', '.join(schema.names)}")
            for batch in opened.iter_batches(ROWS, columns=[name for name in names if name in there]):
                table = pa.Table.from_batches([batch])
                if is_single:
                    table = table.append_column(IMAGES, _listed(table[IMAGE]))
                for name in OPTIONAL:
                    if name not in there:
                        table = table.append_column(name, pa.nulls(len(table), schema.field(name).type))
                try:
                    rows = table.select(schema.names).cast(schema).to_pylist()
                except (pa.ArrowException, ValueError) as error:
                    raise DataError(f"{file}: columns are not of the types of an example record ({error})") from None
                yield from rows
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file}: not a readable Parquet file ({error})") from None


def _listed(images: Any) -> Any:
    """Return a column of images as a column of lists of at most one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = images.combine_chunks()
    there = column.is_valid()
    if pa.types.is_struct(column.type):
        # What was null comes from some writers as a struct of nulls.
        there = pc.and_(there, functools.reduce(pc.or_, (field.is_valid() for field in column.flatten())))
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(there.cast(pa.int32()))])
    return pa.ListArray.from_arrays(offsets, column.filter(there))
