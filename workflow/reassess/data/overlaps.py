"""What a pool has in common with benchmarks that it is not decontaminated against: reported, and not taken out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from reassess import paths
from reassess.data.decontaminate import Decontamination, counts
from reassess.data.pool import rows
from reassess.data.shards import stream
from reassess.example import Example, PutAside
from reassess.graph import Graph
from reassess.study.data import Decontaminate, FromSources


def overlaps(graph: Graph, pool: str) -> dict[str, dict[str, int]]:
    """Return how many rows of a pool have a text, a picture or both in common with each other benchmark of the study.

    Read as they were built, or from their sources where they were not yet; what another pool holds out is known once
    that was built. Those that the pool is decontaminated against are left out, and so is what it holds out itself.

    Raises:
        DataError: a source cannot be read.
    """
    study = graph.study
    spec = study.pools[pool]
    against = spec.decontaminate.against if spec.decontaminate else ()
    others = {
        name: _examples(paths.benchmark(name), benchmark)
        for name, benchmark in study.benchmarks.items()
        if name not in against and benchmark.pool != pool
    }
    if not others:
        return {}
    options = Decontaminate(against=tuple(others))
    found = Decontamination(options, others, study.prompt.instruction)
    found.count(_examples(paths.pool(pool), spec))
    seen: dict[str, Counter[str]] = {name: Counter() for name in others}
    for item in _examples(paths.pool(pool), spec):
        for match in found.matches(item):
            seen[match.benchmark][match.what] += 1
    return {name: counts(counted) for name, counted in seen.items()}


def _examples(directory: str, spec: FromSources) -> Iterator[Example]:
    """Yield the examples of a pool or a benchmark, as it was built or from its sources."""
    if (Path(directory) / "manifest.json").is_file():
        yield from stream(directory)
        return
    for item in rows(spec, {}, Counter()):
        if not isinstance(item, PutAside):
            yield item
