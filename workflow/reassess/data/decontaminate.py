"""Takes rows out of a pool that stand in benchmarks of the study (`docs/decontamination.md`)."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from reassess.data.circular import question_id
from reassess.data.same_picture import Pictures
from reassess.data.same_text import Texts
from reassess.example import Example, PutAside
from reassess.study.data import Decontaminate

Rows = Iterator[Example | PutAside]


class Match(NamedTuple):
    """What a row has in common with a benchmark.

    Attributes:
        benchmark: the benchmark.
        text: the id of its row that says the same, None where none does.
        shared: the words that both have.
        image: the id of its row with a picture that looks the same, None where none does.
        distance: how many of 256 bits of the pictures' hashes differ.
    """

    benchmark: str
    text: str | None = None
    shared: str = ""
    image: str | None = None
    distance: int | None = None

    @property
    def what(self) -> str:
        """`text`, `image`, or `both`."""
        return "both" if self.text and self.image else "text" if self.text else "image"


class Decontamination:
    """The rows of some benchmarks, in which those of a pool are looked up.

    Args:
        options: what is compared.
        benchmarks: the rows of the benchmarks by name, which are read once.
        instruction: that of the study's prompt, which is no part of a question.
    """

    def __init__(
        self, options: Decontaminate, benchmarks: Mapping[str, Iterable[Example]], instruction: str = ""
    ) -> None:
        self._texts = Texts(instruction) if options.text else None
        self._pictures = Pictures() if options.images else None
        self.rows: list[tuple[str, str]] = []
        self.found: dict[str, Counter[str]] = {name: Counter() for name in benchmarks}
        self.removed = self.blank = 0
        for name, rows in benchmarks.items():
            # Of a question that is asked in rotations one is enough; all of them would pass for boilerplate.
            for _, rotations in itertools.groupby(rows, lambda item: question_id(item.id)):
                self._add(name, next(rotations))

    def _add(self, benchmark: str, item: Example) -> None:
        number = len(self.rows)
        self.rows.append((benchmark, item.id))
        if self._texts is not None:
            self._texts.add(number, benchmark, item)
        if self._pictures is not None:
            for image in item.images:
                self._pictures.add(number, benchmark, image)

    def count(self, rows: Iterable[Example | PutAside]) -> None:
        """Read the questions of a pool once, before any is looked up, to tell which words are boilerplate."""
        if self._texts is not None:
            for item in rows:
                if isinstance(item, Example):
                    self._texts.count(item)

    def matches(self, item: Example) -> list[Match]:
        """Return what a row of the pool has in common with each benchmark that has something of it."""
        looks = self.looks_like(item)
        matches: dict[str, Match] = {}
        for row in sorted(looks, key=lambda row: (looks[row], row)):
            benchmark, id_ = self.rows[row]
            matches.setdefault(benchmark, Match(benchmark, image=id_, distance=looks[row]))
        for same in self._texts.like(item, looks) if self._texts is not None else ():
            benchmark, id_ = self.rows[same.row]
            match = matches.get(benchmark, Match(benchmark))
            if match.text is None:
                matches[benchmark] = match._replace(text=id_, shared=same.shared)
        return list(matches.values())

    def looks_like(self, item: Example) -> dict[int, int]:
        """Return the rows of benchmarks with a picture like one of a row of the pool, with the distances."""
        looks: dict[int, int] = {}
        if self._pictures is not None:
            for image in item.images:
                found = self._pictures.like(image)
                self.blank += found is None
                for row, distance in (found or {}).items():
                    looks[row] = min(distance, looks.get(row, distance))
        return looks

    def kept(self, rows: Rows, file: Path) -> Rows:
        """Yield the rows that stand in no benchmark, and what is put aside; the others are listed in a file.

        Args:
            rows: those of the pool.
            file: gets a JSON line for each row and benchmark that has it.
        """
        with file.open("w", encoding="utf-8") as lines:
            for item in rows:
                matches = self.matches(item) if isinstance(item, Example) else []
                self.removed += bool(matches)
                for match in matches:
                    self.found[match.benchmark][match.what] += 1
                    said = {"id": item.id, "source": item.source, "matched": match.what, **match._asdict()}
                    lines.write(json.dumps({k: v for k, v in said.items() if v not in (None, "")}, ensure_ascii=False))
                    lines.write("\n")
                if not matches:
                    yield item

    def described(self) -> dict[str, Any]:
        """Return what a manifest says of it: rows by benchmark and by what matched, and what was not compared."""
        return {
            "decontaminated": {name: counts(found) for name, found in self.found.items()},
            "decontamination": {
                "removed": self.removed,
                "blank_pictures": {"pool": self.blank, "benchmarks": self._pictures.blank if self._pictures else 0},
                "boilerplate": self._texts.ignored if self._texts else 0,
            },
        }


def counts(found: Counter[str]) -> dict[str, int]:
    """Return how many rows have a text, a picture, or both in common with a benchmark."""
    return {what: found[what] for what in ("text", "image", "both")}
