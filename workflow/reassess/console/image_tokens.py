"""How many tokens a picture takes: of the first examples of each pool and benchmark, for the models that lie here."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import mean

from reassess import paths
from reassess.data.pool import problem
from reassess.data.shards import stream
from reassess.example import DataError, Example, PutAside
from reassess.graph import Graph
from reassess.models.amend import amend
from reassess.models.base import NOT_LOADED
from reassess.models.reader import Reader, Unreadable
from reassess.study.data import Benchmark, Pool
from reassess.study.models import Model
from reassess.study.study import Study

# Examples of a pool or benchmark that are looked at.
SAMPLE = 32


def overview(graph: Graph) -> list[str]:
    """Return a line for each model and each pool or benchmark: tokens of a picture and of a prompt, what is put aside.

    Nothing for a model that was not made yet and lies on the hub, nor for the toys before they are made.
    """
    study = graph.study
    there = {name: place for name, spec in study.models.items() if (place := _place(name, spec))}
    if not there:
        return []
    lines = [f"tokens, of the first {SAMPLE} examples of each:"]
    samples = {name: _sample(directory, spec) for name, directory, spec in _collections(study)}
    for name, directory in there.items():
        try:
            reader = _reader(directory, study.models[name], study)
        # Checkpoints are other people's, and nothing is wrong with the study if one cannot be read here.
        except Exception as error:
            lines.append(f"  {name}: cannot be told: {error}")
            continue
        for what, found in samples.items():
            lines.append(f"  {name:16} {what:16} {found if isinstance(found, str) else _measured(reader, found)}")
    return lines


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


def _collections(study: Study) -> Iterator[tuple[str, str, Pool | Benchmark]]:
    for name, pool in study.pools.items():
        yield name, paths.pool(name), pool
    for name, benchmark in study.benchmarks.items():
        yield name, paths.benchmark(name), benchmark


def _sample(directory: str, spec: Pool | Benchmark) -> list[Example] | str:
    """Return the first examples, or why they cannot be told."""
    try:
        if (Path(directory) / "manifest.json").is_file():
            return list(itertools.islice(stream(directory), SAMPLE))
        if isinstance(spec, Benchmark) and spec.pool is not None:
            return f"cannot be told before pool {spec.pool} is made"
        read = itertools.chain.from_iterable(source.read() for source in spec.origins)
        usable = (item for item in read if not isinstance(item, PutAside) and problem(item) is None)
        return list(itertools.islice(usable, SAMPLE))
    except (DataError, OSError) as error:
        return f"cannot be told: {error}"


def _measured(reader: Reader, examples: list[Example]) -> str:
    images, lengths, reasons = [], [], Counter[str]()
    for example in examples:
        try:
            read = reader.read(example)
        except Unreadable as reason:
            reasons[str(reason)] += 1
            continue
        lengths.append(read.length)
        if read.pictures:
            images += [read.image_tokens / len(read.pictures)] * len(read.pictures)
    parts = []
    if images:
        parts.append(f"a picture {min(images):.0f} to {max(images):.0f}, mean {mean(images):.0f}")
    if lengths:
        limit = reader.model.max_prompt_length
        parts.append(f"a prompt {min(lengths)} to {max(lengths)}, mean {mean(lengths):.0f}, of {limit} at most")
    parts += [f"put aside: {count} x {reason}" for reason, count in reasons.most_common()]
    return "; ".join(parts) or "no example"
