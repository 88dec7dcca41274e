"""Sets of examples as they are made: each once for all cells, or once for each model that makes it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from reassess import paths
from reassess.decoding import Decoding
from reassess.graph import identity
from reassess.graph.job import Coordinates, Job, name
from reassess.measures import Measure
from reassess.measures.nll import Nll
from reassess.prompts import Prompt
from reassess.steps.base import Asks
from reassess.steps.score import Score
from reassess.study.study import Study


class Origin(NamedTuple):
    """A pool, or a benchmark of a pool's held-out rows, that a set is made from.

    Attributes:
        rule: the rule that makes it.
        key: its name.
    """

    rule: str
    key: str

    @property
    def folder(self) -> str:
        return (paths.pool if self.rule == "pool" else paths.benchmark)(self.key)


class ExampleSet(NamedTuple):
    """A set of examples.

    Attributes:
        key: its path: its name, behind that of the cell whose model made it where it is not made for all cells.
        name: what the study calls it.
        model: the base model or the teacher that is asked, or from which what is asked was trained; empty for nobody.
        speaker: the cell whose model is asked; empty where that stands behind an endpoint.
        reads: what it is made from.
    """

    key: str
    name: str
    model: str
    speaker: str
    reads: tuple[Origin | ExampleSet, ...]

    @property
    def rule(self) -> str:
        return "examples"

    @property
    def folder(self) -> str:
        return paths.examples(self.key)

    @property
    def prefix(self) -> str:
        """The cell whose model made it, empty where it is made once for all cells."""
        return self.key.removesuffix(self.name).removesuffix("/")

    @property
    def asked(self) -> str:
        """The key of the job that asks."""
        return f"+{self.key}"

    def tree(self) -> Iterator[ExampleSet]:
        """Yield the sets that it is made from, each after its own, and itself."""
        for read in self.reads:
            if isinstance(read, ExampleSet):
                yield from read.tree()
        yield self

    def origins(self) -> Iterator[Origin]:
        """Yield the pools and held-out parts that it is made from in the end."""
        for read in self.reads:
            yield from read.origins() if isinstance(read, ExampleSet) else (read,)


class Sheet(NamedTuple):
    """What a job of the rule `generate` asks.

    Attributes:
        where: the key path of its decoding in the study.
        folders: the directories of what is asked, by name.
        decoding: how responses are drawn.
        prompt: the prompt.
        is_trajectory: whether the checkpoints that a run has kept are asked, and not the finished model.
        step: the step of a set of examples, None for a suite.
    """

    where: str
    folders: dict[str, str]
    decoding: Decoding
    prompt: Prompt
    is_trajectory: bool = False
    step: Asks | None = None


def sheet(study: Study, job: Job, made: ExampleSet | None) -> Sheet:
    """Return what a job of the rule `generate` asks: a suite, or what a set of examples is made from."""
    if made is None:
        spec = study.suites[job.at.suite]
        folders = {item: paths.benchmark(item) for item in spec.benchmarks}
        where = f"suites.{job.at.suite}.decoding"
        return Sheet(where, folders, spec.decoding, study.prompt, spec.checkpoints == "trajectory")
    step = study.examples[made.name]
    assert isinstance(step, Asks)
    prompt = (
        study.prompt if step.prompt is None else study.prompt.model_copy(update={"system": None, "instruction": ""})
    )
    folders = {read.key: read.folder for read in made.reads}
    return Sheet(f"examples.{made.name}", folders, step.decoding, prompt, step=step)


def measure(study: Study, made: ExampleSet) -> Measure:
    """Return what is measured for a set of examples."""
    step = study.examples[made.name]
    assert isinstance(step, Score)
    return Nll(kind="nll", on=step.on)


def jobs(study: Study, made: ExampleSet, maker: tuple[str, str] | None) -> Iterator[Job]:
    """Yield the jobs that make a set, but for what it reads.

    Args:
        study: the study.
        made: the set.
        maker: name and record of the job that makes the model which is asked, None where no job does.
    """
    step = study.examples[made.name]
    needs = tuple(name(read.rule, read.key) for read in made.reads)
    manifests = tuple(f"{read.folder}/manifest.json" for read in made.reads)
    inputs = (*manifests, *step.files)
    if made.model:
        makers, records = ((maker[0],), (maker[1],)) if maker else ((), ())
        if isinstance(step, Score):
            rule, files = (
                "measure",
                tuple(paths.measure(made.asked, file) for file in ("measure.json", "values.parquet")),
            )
            spec = identity.measure_spec(study, made.model, measure(study, made))
        else:
            rule = "generate"
            files = tuple(paths.evaluation(made.asked, f"responses.{suffix}") for suffix in ("json", "parquet"))
            spec = identity.asking_spec(study, made.name, made.model)
        at = Coordinates(model=made.model, examples=made.name)
        asks = Job(rule, made.asked, (*makers, *needs), (*records, *inputs), files, spec, at)
        yield asks
        needs, inputs = (*needs, asks.name), (*inputs, asks.record)
    outputs = tuple(paths.examples(made.key, file) for file in ("manifest.json", "shards"))
    yield Job("examples", made.key, needs, inputs, outputs, identity.examples_spec(study, made.name))
