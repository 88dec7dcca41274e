"""What tests share: one thread, no hub, one briefly pretrained toy model and one finished tiny study per session."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

# Before torch or vllm is imported, here and in every process that a test starts.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest

import slurm_cluster
from once import once
from reassess import graph, paths
from reassess.data.shards import Shards, write_shards
from reassess.example import Example
from reassess.graph import Graph
from reassess.study import read
from reassess.study.study import Study
from reassess.work.records import digest
from snake import to_the_end

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _every_module() -> Iterator[None]:
    """Commands that train hide scikit-learn from transformers, in a process that is theirs and here is everybody's."""
    yield
    if sys.modules.get("sklearn", sys) is None:
        del sys.modules["sklearn"]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def tiny() -> Graph:
    """What follows from `studies/tiny.yaml`."""
    return graph.load(ROOT / "studies" / "tiny.yaml")


@pytest.fixture(scope="session")
def tiny_study(tiny: Graph) -> Study:
    """`studies/tiny.yaml`."""
    return tiny.study


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory, tiny: Graph) -> Path:
    """A working directory with the base model, pool, benchmarks and subsets of the tiny study; do not write here."""
    from reassess.data.pool import build_examples
    from reassess.data.subset import build_subset
    from reassess.models.base import build_base

    def make(folder: Path) -> None:
        before = Path.cwd()
        os.chdir(folder)
        try:
            read.dump(tiny.study, paths.study(tiny.study.name, digest(tiny.study.model_dump_json())))
            for job in (*tiny.of("pool"), *tiny.of("benchmark")):
                build_examples(tiny, job)
            for job in tiny.of("subset"):
                build_subset(job)
            for job in tiny.of("model"):
                build_base(tiny, job)
        finally:
            os.chdir(before)

    return once(tmp_path_factory, "tiny", make)


@pytest.fixture(scope="session")
def toy_checkpoint(tiny_base: Path) -> Path:
    """A briefly pretrained toy-xs as a Hugging Face directory; do not write here."""
    return tiny_base / "results/models/toy-xs/model"


@pytest.fixture
def tiny_results(tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of `tiny_base` as the current directory."""
    folder = tmp_path / "work"
    shutil.copytree(tiny_base, folder)
    monkeypatch.chdir(folder)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which the tiny study has run to its end; do not write here."""

    return once(tmp_path_factory, "finished", lambda folder: to_the_end(folder, ROOT / "studies" / "tiny.yaml"))


@pytest.fixture(scope="session")
def family(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function that returns the tiny checkpoint of a family of `families.FAMILIES`; do not write there."""
    from families import build

    return lambda name: once(tmp_path_factory, f"family-{name}", lambda folder: build(name, folder / "model")) / "model"


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[slurm_cluster.Cluster]:
    """A played Slurm cluster; each worker has its own."""
    if lacking := slurm_cluster.missing():
        # A laptop need not have it, but CI must not pass without these tests.
        stop = pytest.fail if os.environ.get("REASSESS_REQUIRE_SLURM") == "1" else pytest.skip
        stop(f"Slurm is not installed: no {', '.join(lacking)}")
    with slurm_cluster.Cluster(tmp_path_factory.mktemp("slurm")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Iterable[Example]], Shards]:
    """A function that writes examples as shards and returns them as training has them."""

    def store(examples: Iterable[Example]) -> Shards:
        folder = tmp_path_factory.mktemp("stored")
        write_shards(folder / "shards", examples)
        return Shards(folder)

    return store


@pytest.fixture(scope="session")
def toy_examples() -> list[Example]:
    """Thirty-two visual toy examples of the test split."""
    from reassess.sources.toy import ToySource

    return list(ToySource(kind="toy", n=32, split="test").read())
