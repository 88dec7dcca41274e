"""The one list of jobs that follows from a study."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from reassess import paths
from reassess.graph import checks, contrasts, identity, report, resources, sets
from reassess.graph.cells import BASE, BASE_THINK, Cell, Grid, as_cell, lay_out
from reassess.graph.contrasts import Pair
from reassess.graph.job import Coordinates, Job, name
from reassess.graph.recipes import Run, fixed, measured
from reassess.graph.sets import ExampleSet, Origin, Sheet
from reassess.measures import Measure
from reassess.spec import near
from reassess.stages.base import AnyStage
from reassess.study import read
from reassess.study.recipes import ALL
from reassess.study.study import Study
from reassess.work.records import digest

# The rules in the order of a study's work.
RULES = (
    *("pool", "benchmark", "examples", "subset", "model", "train", "generate", "score", "measure", "import", "tables"),
    "figures",
)


class Graph:
    """A study and all that follows from it.

    Args:
        study: the study.
        source: its file, for messages.

    Raises:
        ValueError: something does not fit together that only the sizes of models or the whole grid tell.
    """

    def __init__(self, study: Study, source: str = "") -> None:
        self.study = study
        self.source = source
        problems = list(dict.fromkeys(checks.problems_of(study)))
        if problems:
            raise ValueError("; ".join(problems))
        self.grid: Grid = lay_out(study)
        self.contrasts: dict[str, tuple[Pair, ...]] = contrasts.pairs(study, self.grid.cells)

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The cells, in the study's order."""
        return self.grid.cells

    @property
    def runs(self) -> dict[str, Run]:
        """What is trained, by key, parents before children."""
        return self.grid.runs

    @cached_property
    def jobs(self) -> dict[str, Job]:
        """The jobs of a run from nothing by name, each after those that it needs."""
        found = {job.name: job for job in _work(self.study, self.grid)}
        spec = identity.report_spec(self.study, found.values())
        # Records are written last, and have the hashes of other files. Figures are of the results that the record of
        # the tables names. Each file that the two ask for takes its share of the time of a dry run.
        read = [job for job in found.values() if _is_reported(job)]
        names, results = tuple(job.name for job in read), tuple(job.record for job in read)
        # A study that asks for anything else has another stamp, whatever Snakemake knows of parameters.
        files = {kind: (*report.files(self.study, kind), paths.stamp(kind, digest(spec))) for kind in report.KINDS}
        tables = Job("tables", "all", names, results, files["tables"], spec)
        figures = Job("figures", "all", (tables.name,), (tables.record,), files["figures"], spec)
        found |= {job.name: job for job in (tables, figures)}
        return found

    def __getitem__(self, which: tuple[str, str]) -> Job:
        """Return the job of a rule and a key. Raises StudyError where the study has none such."""
        rule, key = which
        found = self.jobs.get(name(rule, key))
        if found is not None:
            return found
        known = [job.key for job in self.of(rule)]
        hint = near(key, known).strip() or f"known: {', '.join(known[:20]) or 'none'}"
        raise read.StudyError(f"study {self.study.name}: no job of rule {rule} has the key {key!r}; {hint}")

    def of(self, rule: str) -> list[Job]:
        """Return the jobs of a rule."""
        return [job for job in self.jobs.values() if job.rule == rule]

    def cell(self, key: str) -> Cell:
        """Return a cell, or a run on the way to one as if it were one. Raises StudyError where there is none such."""
        found = self._cells.get(key)
        if found is None:
            hint = f"{near(key, self._cells)}`reassess status` lists them"
            raise read.StudyError(f"study {self.study.name} has no cell {key!r}; {hint}")
        return found

    @cached_property
    def _cells(self) -> dict[str, Cell]:
        return {run.key: as_cell(run) for run in self.runs.values()} | {cell.key: cell for cell in self.cells}

    def checkpoint(self, key: str) -> Job:
        """Return the job that makes the checkpoint of a cell: a stage of a recipe, or the making of its base model."""
        maker, _ = _checkpoint(self.cell(key).key)
        return self.jobs[maker]

    def stage(self, job: Job) -> AnyStage:
        """Return the stage that a job of the rule `train` runs."""
        return self.study.all_stages[job.at.stage]

    @cached_property
    def sets(self) -> dict[str, ExampleSet]:
        """The sets of examples by key."""
        return {made.key: made for made in _Sets(self.study, self.grid).all}

    def set_of(self, job: Job) -> ExampleSet | None:
        """Return the set of examples that a job makes or asks a model for, None for any other job."""
        return self.sets[job.key.removeprefix("+")] if job.at.examples or job.rule == "examples" else None

    def sheet(self, job: Job) -> Sheet:
        """Return what a job of the rule `generate` asks."""
        return sets.sheet(self.study, job, self.set_of(job))

    def measure(self, job: Job) -> tuple[str, Measure]:
        """Return what a job of the rule `measure` is called, and what it takes: for the study, or for a set."""
        made = self.set_of(job)
        if made is None:
            return job.at.measure, self.study.measures[job.at.measure]
        return made.key, sets.measure(self.study, made)

    def needed(self, job: Job, *rules: str) -> list[Job]:
        """Return the jobs of some rules whose results a job reads."""
        return [need for name in job.needs if (need := self.jobs[name]).rule in rules]

    def parents(self, job: Job) -> list[Job]:
        """Return the jobs that make the models which a run starts from, in the order of its recipe."""
        return [self.checkpoint(key) for key in self.runs[job.key].parents]

    def matched(self, job: Job) -> list[Job]:
        """Return the jobs whose cost decides how long a run trains."""
        return [self["train", key] for key in self.runs[job.key].matched]

    def by_cell(self, rule: str, cell: str) -> list[Job]:
        """Return the jobs of a rule that work on one cell."""
        return self._by_cell.get((rule, cell), [])

    @cached_property
    def _by_cell(self) -> dict[tuple[str, str], list[Job]]:
        found: dict[tuple[str, str], list[Job]] = {}
        for job in self.jobs.values():
            if job.at.cell:
                found.setdefault((job.rule, job.at.cell), []).append(job)
        return found

    def counts(self) -> dict[str, int]:
        """Return the number of jobs of each rule in a run from nothing; rules without any are left out."""
        return {rule: n for rule in RULES if (n := len(self.of(rule)))}

    def results(self) -> list[str]:
        """Return the records of sets and runs, and the scores and values, that tables and figures are made from."""
        found = [job for rule in ("score", "measure", "import") for job in self.of(rule) if _is_reported(job)]
        judged = [file for job in found for file in job.outputs[:2]]
        return [job.record for rule in ("examples", "train") for job in self.of(rule)] + judged

    @property
    def uses_gpu(self) -> bool:
        """Whether any job asks for a GPU."""
        stages = [self.study.all_stages[name] for name in {run.stage for run in self.runs.values()}]
        wanted = [("model", None), ("generate", None), *((stage.kind, stage) for stage in stages)]
        trained = [(model, *which) for model in self.study.models.values() for which in wanted]
        asked = [(model, *which) for model in self.study.speakers.values() for which in wanted[:2]]
        return any(resources.asked(*which).gpu for which in (*trained, *asked))


def load(path: str | Path) -> Graph:
    """Return what follows from the study in a file. Raises StudyError."""
    return parse(read.read_yaml(path), str(path))


def parse(data: dict[str, Any], source: str) -> Graph:
    """Return what follows from the study in `data`.

    Args:
        data: the parsed file.
        source: the file's name, for messages.

    Raises:
        StudyError: with one line per mistake.
    """
    study = read.parse(data, source)
    try:
        return Graph(study, source)
    except ValueError as error:
        raise read.StudyError(f"{source}: {error}") from None


def _work(study: Study, grid: Grid) -> Iterator[Job]:
    """Yield every job but those of the report, each after those that it needs."""
    examples = _Sets(study, grid)
    yield from _collections(study, grid, examples)
    models = dict.fromkeys([cell.model for cell in grid.cells] + [made.model for made in examples.all if made.speaker])
    for model in models:
        outputs, inputs = (paths.model(model, "manifest.json"),), tuple(study.speakers[model].files)
        yield Job("model", model, (), inputs, outputs, identity.model_spec(study, model), Coordinates(model))
    for run in grid.runs.values():
        if not any(made.speaker in grid.runs for made in (run.on.tree() if run.on else ())):
            yield from examples.of(run)
    for made in examples.measured.values():
        if isinstance(made, ExampleSet):
            yield from examples.made(made)
    stages = {
        (model, stage): identity.stage_spec(study, model, stage)
        for model, stage in dict.fromkeys((run.model, run.stage) for run in grid.runs.values())
    }
    evaluations = _Evaluations(study, grid)
    for run in grid.runs.values():
        if (suite := study.all_stages[run.stage].chooses_by) is not None:
            yield from evaluations.of(as_cell(grid.runs[run.parents[0]]), suite)
        yield from examples.of(run)
        yield _train(study, run, stages[run.model, run.stage])
    for cell, suite in _pairs(study, grid):
        yield from evaluations.of(cell, suite)
    for item, made in examples.measured.items():
        yield from _measures(study, grid, item, made)
    for item in study.imported:
        yield _import(study, item)


def _collections(study: Study, grid: Grid, examples: _Sets) -> Iterator[Job]:
    """Yield the pools that are trained on and the benchmarks that are asked, each after what it reads."""
    wanted = [("pool", run.pool) for run in grid.runs.values()]
    asked = [item for suite in study.suites.values() for item in suite.benchmarks]
    read = [item for spec in study.imported.values() for item in spec.files]
    wanted += [("benchmark", item) for item in (*asked, *read)]
    sources = itertools.chain(examples.measured.values(), *(made.reads for made in examples.all))
    wanted += [(read.rule, read.key) for read in sources if isinstance(read, Origin)]
    found: dict[tuple[str, str], None] = {}

    def add(which: tuple[str, str]) -> None:
        if which not in found:
            for read in study.reads(*which):
                add(read)
            found[which] = None

    for which in dict.fromkeys(wanted):
        add(which)
    for rule, key in found:
        yield _collection(study, rule, key)


def _collection(study: Study, rule: str, key: str) -> Job:
    is_pool = rule == "pool"
    files = (study.pools if is_pool else study.benchmarks)[key].files
    spec = (identity.pool_spec if is_pool else identity.benchmark_spec)(study, key)
    reads = study.reads(rule, key)
    manifests = [f"{Origin(*read).folder}/manifest.json" for read in reads]
    outputs = tuple(f"{Origin(rule, key).folder}/{file}" for file in ("manifest.json", "shards"))
    return Job(rule, key, tuple(name(*read) for read in reads), (*files, *manifests), outputs, spec)


def _is_reported(job: Job) -> bool:
    """Whether tables read a job's result."""
    return job.rule in ("examples", "train", "score", "import") or (job.rule == "measure" and bool(job.at.cell))


class _Sets:
    """Makes the jobs of sets of examples and of the subsets of them and of pools, each once.

    Attributes:
        measured: what measures are taken on, by their names.
        all: the sets that are made, each after those that it is made from.
    """

    def __init__(self, study: Study, grid: Grid) -> None:
        self._study = study
        self._done: set[str] = set()
        pools = dict.fromkeys(run.pool for run in grid.runs.values())
        self._required = {pool: [fixed(study, name) for name in study.pools[pool].only_with] for pool in pools}
        self.measured = {name: measured(study, name) for name in study.measures}
        read = itertools.chain((run.on for run in grid.runs.values()), *self._required.values(), self.measured.values())
        tops = (made for made in read if isinstance(made, ExampleSet))
        self.all = tuple({made.key: made for top in tops for made in top.tree()}.values())

    def of(self, run: Run) -> Iterator[Job]:
        """Yield what has to be made for a run to read its examples, what was yielded before left out."""
        if run.size is None:
            return
        required = self._required[run.pool]
        for top in [*([run.on] if run.on else []), *required]:
            yield from self.made(top)
        shared = required if run.on is None or run.on in required else []
        yield from self._once([_subset(run, [made for made in shared if made != run.on])])

    def made(self, top: ExampleSet) -> Iterator[Job]:
        """Yield what makes a set, what was yielded before left out."""
        for made in top.tree():
            yield from self._once(sets.jobs(self._study, made, _checkpoint(made.speaker) if made.speaker else None))

    def _once(self, jobs: Iterable[Job]) -> Iterator[Job]:
        for job in jobs:
            if job.name not in self._done:
                self._done.add(job.name)
                yield job


def _subset(run: Run, shared: Sequence[ExampleSet]) -> Job:
    """Return the job that draws the examples of a run, which have to stand in the shared sets too."""
    key = _subset_key(run)
    at = Coordinates(pool=run.pool, seed=run.seed, size=None if run.takes_all else run.size)
    reads = [run.on or Origin("pool", run.pool), *shared]
    needs = tuple(name(read.rule, read.key) for read in reads)
    manifests = tuple(f"{read.folder}/manifest.json" for read in reads)
    return Job("subset", key, needs, manifests, (paths.subset(key),), "{}", at)


def _subset_key(run: Run) -> str:
    assert run.size is not None
    return paths.subset_key(run.pool, run.on.key if run.on else "", run.seed, ALL if run.takes_all else run.size)


def _checkpoint(cell: str) -> tuple[str, str]:
    """Return the name of the job that makes the checkpoint of a cell, and its record."""
    model, _, name_ = cell.partition("/")
    if name_ in (BASE, BASE_THINK):
        return name("model", model), paths.model(model, "manifest.json")
    return name("train", cell), paths.run(cell, "run.json")


def _train(study: Study, run: Run, spec: str) -> Job:
    stage = study.all_stages[run.stage]
    reads = [_checkpoint(key) for key in run.parents]
    if stage.needs_base:
        reads.append(_checkpoint(f"{run.model}/{BASE}"))
    if stage.chooses_by is not None:
        key = f"{run.parents[0]}/{stage.chooses_by}"
        reads.append((name("score", key), paths.evaluation(key, "scores.json")))
    reads += [_checkpoint(key) for key in run.matched]
    if run.size is not None:
        subset = _subset_key(run)
        reads.append((name("subset", subset), paths.subset(subset)))
    needs, inputs = (tuple(dict.fromkeys(found)) for found in zip(*reads, strict=True))
    at = Coordinates(run.model, run.pool, run.seed, run.size, run.stage, run.key)
    return Job("train", run.key, needs, inputs, (paths.run(run.key, "run.json"),), spec, at)


class _Evaluations:
    """Makes the jobs of evaluations; what many of them share is worked out once."""

    def __init__(self, study: Study, grid: Grid) -> None:
        models = dict.fromkeys(cell.model for cell in grid.cells)
        self._asked = {
            (model, suite): identity.suite_spec(study, model, suite) for model in models for suite in study.suites
        }
        self._scored = {suite: identity.score_spec(study, suite) for suite in study.suites}
        self._reads = {suite: _benchmarks(spec.benchmarks) for suite, spec in study.suites.items()}
        self._answers = {suite: _answers(study, spec.benchmarks) for suite, spec in study.suites.items()}

    def of(self, cell: Cell, suite: str) -> Iterator[Job]:
        """Yield the jobs that ask a cell a suite and judge what it says."""
        key = f"{cell.key}/{suite}"
        maker, record = _checkpoint(cell.key)
        at = Coordinates(cell.model, cell.pool, cell.seed, cell.size, "", cell.key, suite)
        needs, manifests = self._reads[suite]
        said = tuple(paths.evaluation(key, f"responses.{suffix}") for suffix in ("json", "parquet"))
        spec = self._asked[cell.model, suite]
        yield Job("generate", key, (maker, *needs), (record, *manifests), said, spec, at)
        judged = tuple(paths.evaluation(key, f"scores.{suffix}") for suffix in ("json", "parquet"))
        # The record of responses is written last, and has their hash.
        needed = (said[0], *self._answers[suite])
        yield Job("score", key, (name("generate", key),), needed, judged, self._scored[suite], at)


def _pairs(study: Study, grid: Grid) -> Iterator[tuple[Cell, str]]:
    """Yield every cell with the suites that it is asked: finished models first, then kept checkpoints of runs.

    A suite that chooses is asked where something is chosen by it, and nowhere else.
    """
    final = [suite for suite, spec in study.suites.items() if spec.checkpoints == "final"]
    for cell in grid.cells:
        if cell.is_asked:
            for suite in final:
                yield cell, suite
    watching = study.watching
    for run in grid.runs.values():
        if study.all_stages[run.stage].keeps and run.is_asked:
            for suite, spec in watching.items():
                if spec.sizes is None or run.size in spec.sizes:
                    yield as_cell(run), suite


def _measures(study: Study, grid: Grid, item: str, read: Origin | ExampleSet) -> Iterator[Job]:
    """Yield the jobs of a measure: of each model, and of each cell of its recipes."""
    spec = study.measures[item]
    asked = {model: identity.measure_spec(study, model, spec) for model in dict.fromkeys(c.model for c in grid.cells)}
    for cell in grid.cells:
        # Forced to think or not, the base model is one checkpoint.
        if not cell.is_asked or cell.think or (spec.recipes is not None and cell.recipe not in spec.recipes):
            continue
        key = f"{cell.key}/{item}"
        maker, record = _checkpoint(cell.key)
        at = Coordinates(cell.model, cell.pool, cell.seed, cell.size, "", cell.key, measure=item)
        outputs = tuple(paths.measure(key, file) for file in ("measure.json", "values.parquet"))
        needs, inputs = (maker, name(read.rule, read.key)), (record, f"{read.folder}/manifest.json")
        yield Job("measure", key, needs, inputs, outputs, asked[cell.model], at)


def _import(study: Study, item: str) -> Job:
    """Return the job that reads and judges other people's results."""
    spec = study.imported[item]
    needs, manifests = _benchmarks(spec.files)
    read = dict.fromkeys(file for files in spec.files.values() for file in files)
    inputs = (*manifests, *read, *_answers(study, spec.files))
    made = ("scores.json", "scores.parquet", "responses.parquet")
    outputs = tuple(paths.imported(item, file) for file in made)
    return Job("import", item, needs, inputs, outputs, identity.import_spec(study, item))


def _benchmarks(names: Collection[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the jobs that make benchmarks, and their records."""
    return tuple(name("benchmark", item) for item in names), tuple(
        paths.benchmark(item, "manifest.json") for item in names
    )


def _answers(study: Study, benchmarks: Collection[str]) -> tuple[str, ...]:
    """Return the files in which judge models have answered for benchmarks."""
    models = [study.benchmarks[item].judge_model for item in benchmarks]
    return tuple(model.answers for model in models if model is not None)
