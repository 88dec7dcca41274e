"""How many tokens a picture and a prompt take, for the models whose files lie here."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from pathlib import Path

from reassess import paths
from reassess.example import Example
from reassess.models.amend import amend
from reassess.models.base import NOT_LOADED
from reassess.models.reader import Reader, Unreadable
from reassess.study.models import Model
from reassess.study.study import Study

# Examples of a pool or benchmark that are looked at.
SAMPLE = 32


class Told:
    """Tokens of pictures and prompts by model and pool or benchmark, of the examples that are added.

    Attributes:
        readers: by model; where a checkpoint cannot be read, why.
    """

    def __init__(self, readers: dict[str, Reader | str]) -> None:
        self.readers = readers
        self._measured: dict[tuple[str, str], _Measured] = {}

    def add(self, where: str, item: Example, every: bool) -> None:
        """Measure an example for every model; beyond the first ones of a pool or benchmark only where all are asked."""
        for name, reader in self.readers.items():
            if isinstance(reader, str):
                continue
            measured = self._measured.setdefault((name, where), _Measured(reader))
            if every or measured.n < SAMPLE:
                measured.add(item)

    def lines(self) -> list[str]:
        """Return a line for each model and each pool or benchmark: tokens of a picture and of a prompt, what is put
        aside."""
        found = [f"tokens, of the first {SAMPLE} examples of each:"]
        found += [f"  {name}: cannot be told: {why}" for name, why in self.readers.items() if isinstance(why, str)]
        return found + [f"  {name:16} {where:16} {said}" for (name, where), said in self._measured.items()]


def models(study: Study) -> Told:
    """Return the models whose files lie here: not those of the hub, nor the toys, before they were made."""
    readers: dict[str, Reader | str] = {}
    for name, spec in study.models.items():
        if place := _place(name, spec):
            try:
                readers[name] = _reader(place, spec, study)
            # Checkpoints are other people's, and nothing is wrong with the study if one cannot be read here.
            except Exception as error:
                readers[name] = str(error)
    return Told(readers)


def _place(name: str, spec: Model) -> Path | None:
    """Return where a model's files lie: as it was made, or the user's own directory."""
    made = Path(paths.model(name, "model"))
    if Path(paths.model(name, "manifest.json")).is_file() and made.is_dir():
        return made
    return Path(spec.path) if spec.path is not None and Path(spec.path).is_dir() else None


def _reader(directory: Path, spec: Model, study: Study) -> Reader:
    """Return the reader of a checkpoint, which a directory of the user's becomes when it is made the base model."""
    if spec.path is None or directory != Path(spec.path):
        return Reader.of(directory, spec, study.prompt)
    with tempfile.TemporaryDirectory() as folder:
        for file in directory.iterdir():
            if file.is_file() and file.suffix not in {".safetensors", *NOT_LOADED}:
                shutil.copy(file, folder)
        amend(Path(folder), spec)
        return Reader.of(folder, spec, study.prompt)


class _Measured:
    """Lengths of prompts, and of pictures in them."""

    def __init__(self, reader: Reader) -> None:
        self.n = 0
        self._reader = reader
        self._images, self._prompts = _Range(), _Range()
        self._reasons: Counter[str] = Counter()

    def add(self, item: Example) -> None:
        self.n += 1
        try:
            read = self._reader.read(item)
        except Unreadable as reason:
            self._reasons[str(reason)] += 1
            return
        self._prompts.add(read.length, 1)
        if read.pictures:
            self._images.add(read.image_tokens / len(read.pictures), len(read.pictures))

    def __str__(self) -> str:
        parts = []
        if self._images.n:
            parts.append(f"a picture {self._images}")
        if self._prompts.n:
            parts.append(f"a prompt {self._prompts}, of {self._reader.model.max_prompt_length} at most")
        parts += [f"put aside: {count} x {reason}" for reason, count in self._reasons.most_common()]
        return "; ".join(parts)


class _Range:
    """The least, the most and the mean of numbers."""

    def __init__(self) -> None:
        self.n, self._sum, self._least, self._most = 0, 0.0, float("inf"), 0.0

    def add(self, value: float, times: int) -> None:
        self.n += times
        self._sum += value * times
        self._least, self._most = min(self._least, value), max(self._most, value)

    def __str__(self) -> str:
        return f"{self._least:.0f} to {self._most:.0f}, mean {self._sum / self.n:.0f}"
