"""Every job of a study with what it needs: the graph that the rules describe, without Snakemake."""

from __future__ import annotations

from typing import Literal, NamedTuple

from reassess import grid, paths
from reassess.study import Model, Study


class Job(NamedTuple):
    """One job of a study.

    Attributes:
        command: the subcommand of `reassess` that does it.
        key: what it works on, as in `results/attempts/{command}/{key}.jsonl`.
        needs: names of the jobs whose results it reads.
        model: the model, None where there is none.
        stage: the last training stage, or the suite; empty where there is neither.
        examples: training examples; 0 where it trains nothing.
        threads: CPU threads.
        gpus: GPUs.
        runtime: time limit in minutes; 0 where the study sets none.
    """

    command: str
    key: str
    needs: tuple[str, ...] = ()
    model: str | None = None
    stage: str = ""
    examples: int = 0
    threads: int = 1
    gpus: int = 0
    runtime: int = 0

    @property
    def name(self) -> str:
        return name(self.command, self.key)

    @property
    def kind(self) -> str:
        """The command with its stage or suite: what a person can make shorter."""
        return f"{self.command} {self.stage}".rstrip()

    def on(self, model: Model, kind: Literal["model", "sft", "grpo", "generate"]) -> Job:
        """Return the job with what the study gives one kind of job on a model."""
        asked = model.resources_for(kind)
        # A study gives GPUs over all nodes, threads on each.
        return self._replace(threads=asked.threads * asked.nodes, gpus=asked.gpu, runtime=asked.runtime)


def name(command: str, key: str) -> str:
    """Return the name of a job."""
    return f"{command} {key}"


def subset_key(pool: str, seed: int, n: int) -> str:
    """Return the key of a subset's job."""
    return f"{pool}/seed{seed}/{n}"


def jobs(study: Study) -> dict[str, Job]:
    """Return the jobs of a run from nothing by name, each after those that it needs."""
    runs = grid.runs(study)
    evaluations = grid.evaluations(study)
    found = [Job("pool", pool) for pool in dict.fromkeys(run.pool for run in runs)]
    found += [Job("benchmark", benchmark) for benchmark in _benchmarks(study)]
    for model in dict.fromkeys(cell.model for cell in grid.cells(study)):
        found.append(Job("base-model", model, model=model).on(study.models[model], "model"))
    for subset in dict.fromkeys((run.pool, run.seed, run.size) for run in runs):
        found.append(Job("subset", subset_key(*subset), (name("pool", subset[0]),)))
    found += [_train(study, run) for run in runs]
    for cell, suite in evaluations:
        found.append(_generate(study, cell, suite))
        needs = (name("generate", f"{cell}/{suite}"),)
        found.append(Job("score", f"{cell}/{suite}", needs, grid.model_of(cell), suite))
    read = [name("score", f"{cell}/{suite}") for cell, suite in evaluations]
    read += [name("train", run.cell) for run in runs]
    found += [Job(command, "all", tuple(read)) for command in ("tables", "figures")]
    return {job.name: job for job in found}


def outputs(job: Job) -> list[str]:
    """Return the files by which a job's result is known: records, and what is declared beside them."""
    if job.command in ("tables", "figures"):
        return paths.tables() if job.command == "tables" else paths.figures()
    if job.command in ("generate", "score"):
        cell, _, suite = job.key.rpartition("/")
        kind = "responses" if job.command == "generate" else "scores"
        return [paths.evaluation(cell, suite, f"{kind}.{suffix}") for suffix in ("json", "parquet")]
    if job.command == "subset":
        pool, seed, n = job.key.rsplit("/", 2)
        return [paths.subset(pool, seed.removeprefix("seed"), n)]
    if job.command == "train":
        return [paths.run(job.key, "run.json")]
    folder = {"pool": paths.pool, "benchmark": paths.benchmark, "base-model": paths.model}[job.command]
    return [folder(job.key, "manifest.json")]


def _train(study: Study, run: grid.Run) -> Job:
    parent = name("train", run.parent.cell) if run.parent else name("base-model", run.model)
    needs = (parent, name("subset", subset_key(run.pool, run.seed, run.size)))
    job = Job("train", run.cell, needs, run.model, run.stage, run.size)
    return job.on(study.models[run.model], study.stages[run.stage].trainer)


def _generate(study: Study, cell: str, suite: str) -> Job:
    model = grid.model_of(cell)
    checkpoint = name("base-model", model) if grid.is_base(cell) else name("train", cell)
    needs = (checkpoint, *(name("benchmark", benchmark) for benchmark in study.suites[suite].benchmarks))
    return Job("generate", f"{cell}/{suite}", needs, model, suite).on(study.models[model], "generate")


def _benchmarks(study: Study) -> list[str]:
    return list(dict.fromkeys(benchmark for suite in study.suites.values() for benchmark in suite.benchmarks))
