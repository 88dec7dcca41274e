"""Collections of examples on the disk: written aside as they come, counted, hashed, and put in place as a whole."""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from reassess.data.shards import write_shards
from reassess.example import Example, PutAside, record_sha256
from reassess.work import records

# What a manifest counts its examples by.
COUNTED = ("source", "family", "difficulty", "kind")
# Values that are counted one by one: those that come first. A file may have a source or a family for each of its rows.
MOST_VALUES = 1000
OTHERS = "(others)"


class Collection:
    """A directory of shards in the making. What was there stays until `put_in_place`, and whatever fails before.

    Args:
        root: its directory.
        left_out: the file for those that are put aside: one JSON line each, with id, source and reason.
    """

    def __init__(self, root: Path, left_out: str) -> None:
        self.n = 0
        self.reasons: Counter[str] = Counter()
        self.first: PutAside | None = None
        self._root = root
        self._left_out = left_out
        self._names = [left_out, "shards"]
        self._aside = root / ".aside"
        self._counts: dict[str, Counter[str]] = {key: Counter() for key in COUNTED}
        self._content = hashlib.sha256()
        # As hashes of 16 bytes: ids may be long paths.
        self._ids: set[bytes] = set()

    def __enter__(self) -> Collection:
        # A killed attempt leaves its own.
        shutil.rmtree(self._aside, ignore_errors=True)
        self._aside.mkdir(parents=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        shutil.rmtree(self._aside, ignore_errors=True)

    @property
    def put_aside(self) -> int:
        """How many are put aside."""
        return self.reasons.total()

    @property
    def used(self) -> int:
        """How many rows are not put aside; several examples may be made of each."""
        return len(self._ids)

    def write(
        self,
        rows: Iterable[Example | PutAside],
        told: Callable[[Example], None] | None = None,
        become: Callable[[Example], Iterable[Example]] | None = None,
    ) -> None:
        """Write examples in the order in which they come, holding a few at a time; of an id the first one stays.

        Args:
            rows: the examples, and what is put aside.
            told: is called with each example that is written.
            become: returns the examples that are written in place of one, with ids that no other one has.
        """
        with (self._aside / self._left_out).open("w", encoding="utf-8") as left_out:
            used = self._used(rows, left_out)
            found = used if become is None else itertools.chain.from_iterable(map(become, used))
            write_shards(self._aside / "shards", self._examples(found, told))

    def _used(self, rows: Iterable[Example | PutAside], left_out: TextIO) -> Iterator[Example]:
        for item in rows:
            if isinstance(item, Example) and not self._is_new(item.id):
                item = PutAside(item.id, item.source, "id stands twice", "id")
            if isinstance(item, PutAside):
                self.first = self.first or item
                self.reasons[counted_as(item.reason, self.reasons)] += 1
                left_out.write(json.dumps(item._asdict(), ensure_ascii=False) + "\n")
            else:
                yield item

    def _examples(self, found: Iterable[Example], told: Callable[[Example], None] | None) -> Iterator[Example]:
        for item in found:
            self._content.update(_line(item.id, record_sha256(item)))
            for key, counter in self._counts.items():
                counter[counted_as(str(getattr(item, key)), counter)] += 1
            self.n += 1
            if told is not None:
                told(item)
            yield item

    def _is_new(self, id_: str) -> bool:
        """Whether an id comes for the first time."""
        before = len(self._ids)
        self._ids.add(hashlib.blake2b(id_.encode(), digest_size=16).digest())
        return len(self._ids) > before

    def beside(self, name: str) -> Path:
        """Return where a further file is written, which is put in place with the rest."""
        self._names.append(name)
        return self._aside / name

    def described(self) -> dict[str, Any]:
        """Return what a manifest says of the examples themselves."""
        counts = {key: dict(sorted(counter.items())) for key, counter in self._counts.items()}
        return {"n": self.n, "content_sha256": self._content.hexdigest(), "counts": counts}

    def put_in_place(self, manifest: dict[str, Any]) -> None:
        """Put what was written in place of what was there: without a manifest there is nothing, and it comes last."""
        (self._root / "manifest.json").unlink(missing_ok=True)
        shutil.rmtree(self._root / "shards", ignore_errors=True)
        # Of lists of rows, what was there may have had more.
        for file in self._root.glob("*.json*"):
            file.unlink()
        for name in self._names:
            (self._aside / name).replace(self._root / name)
        records.write(self._root / "manifest.json", manifest)

    def keep_left_out(self) -> Path:
        """Keep the list of those that are put aside, also if nothing else is put in place, and return the file."""
        kept = self._root / self._left_out
        shutil.copyfile(self._aside / self._left_out, kept)
        return kept

    def why(self) -> str:
        """Return the reasons for which examples are put aside with their numbers, the most frequent first."""
        return ", ".join(f"{n} x {reason}" for reason, n in self.reasons.most_common())


def counted_as(value: str, known: Mapping[str, Any]) -> str:
    """Return the value, or `OTHERS` where it is new to `MOST_VALUES` or more that are known."""
    return value if value in known or len(known) < MOST_VALUES else OTHERS


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a pool, benchmark or set. Raises RecordError where there is none, or a broken one."""
    file = folder / "manifest.json"
    found = records.read(file, n=int, content_sha256=str, licences=dict)
    if found is None:
        raise records.RecordError(f"{file}: is not there; run the study, which makes it first")
    return found


def described(folder: str | Path) -> dict[str, Any]:
    """Return what a record says of a benchmark, pool or set that was asked: `n`, `content_sha256` and `modality`."""
    manifest = read_manifest(Path(folder))
    return {field: manifest[field] for field in ("n", "content_sha256", "modality") if field in manifest}


def made_from(manifests: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return what a manifest says of the pools, benchmarks and sets that were read, by name."""
    told = ("n", "content_sha256", "held_out")
    return {name: {key: found[key] for key in told if key in found} for name, found in manifests.items()}


def content_sha256(hashes: Iterable[tuple[str, str]]) -> str:
    """Return the hash of a collection: over ids and hashes (`record_sha256`) of its examples, in order."""
    content = hashlib.sha256()
    for id_, digest in hashes:
        content.update(_line(id_, digest))
    return content.hexdigest()


def _line(id_: str, digest: str) -> bytes:
    return f"{id_}:{digest}\n".encode()
