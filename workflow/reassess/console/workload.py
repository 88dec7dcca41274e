"""What is left of a study in prompts, completions, sequences, steps and tokens: what is known before anything ran."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cache, reduce
from typing import NamedTuple

from reassess.graph import Graph, Job, Run, resources
from reassess.graph.recipes import measured
from reassess.graph.sets import ExampleSet, Origin
from reassess.work import records

# The rules whose jobs ask or train a model.
ASKING = ("train", "generate", "measure")
_ASKED, _LEARNT = "asked at most", "trained on at most"
_COLUMNS = ("jobs", "GPUs each", "prompts", "completions", "tokens", "steps", "sequences", "tokens")


class Count(NamedTuple):
    """A number, as far as it is known.

    Attributes:
        known: what is known of it.
        is_all: whether that is all.
    """

    known: int = 0
    is_all: bool = True

    def plus(self, other: Count) -> Count:
        """Return the sum."""
        return Count(self.known + other.known, self.is_all and other.is_all)

    def times(self, factor: int) -> Count:
        """Return so many times as much."""
        return Count(self.known * factor, self.is_all)

    def said(self, unit: Callable[[int], str] = "{:,}".format) -> str:
        """Return it for people: `-` for none, `?` where nothing is known, `1,200+` where not all is."""
        if not self.known:
            return "-" if self.is_all else "?"
        return f"{unit(self.known)}{'' if self.is_all else '+'}"


class Load(NamedTuple):
    """What jobs do at most.

    Attributes:
        gpus: GPUs that each asks for, the fewest and the most.
        jobs: how many jobs.
        prompts: prompts that are asked.
        completions: completions to them.
        asked: tokens of these prompts and completions.
        steps: optimizer steps.
        sequences: sequences that are trained on, those of every epoch counted.
        trained: tokens of these sequences.
    """

    gpus: tuple[int, int]
    jobs: int = 1
    prompts: Count = Count()
    completions: Count = Count()
    asked: Count = Count()
    steps: Count = Count()
    sequences: Count = Count()
    trained: Count = Count()

    def plus(self, other: Load) -> Load:
        """Return the sum."""
        gpus = (min(self.gpus[0], other.gpus[0]), max(self.gpus[1], other.gpus[1]))
        counts = (one.plus(another) for one, another in zip(self[2:], other[2:], strict=True))
        return Load(gpus, self.jobs + other.jobs, *counts)

    def unknown(self, samples: bool) -> Load:
        """Return what is known where nobody can tell how long one trains, which samples what it learns from or not."""
        nothing = Count(is_all=False)
        found = self._replace(steps=nothing, sequences=nothing, trained=nothing)
        return found._replace(prompts=nothing, completions=nothing, asked=nothing) if samples else found

    def row(self) -> list[str]:
        """Return what it says under the columns."""
        fewest, most = self.gpus
        gpus = "-" if most == 0 else str(most) if fewest == most else f"{fewest}-{most}"
        counted = [self.prompts.said(), self.completions.said(), self.asked.said(tokens)]
        return [f"{self.jobs:,}", gpus, *counted, self.steps.said(), self.sequences.said(), self.trained.said(tokens)]


class Workload:
    """What the jobs of a study do, as far as sizes and options tell.

    Args:
        graph: the study.
        todo: the names of the jobs that are left; of others the records count.
    """

    def __init__(self, graph: Graph, todo: Collection[str]) -> None:
        self._graph = graph
        self._todo = dict.fromkeys(todo)
        self._unread: dict[str, None] = {}
        self._problems: dict[str, None] = {}
        # Thousands of jobs have few questions.
        self._rows = cache(self._count)

    def lines(self) -> Iterator[str]:
        """Yield a table by kind of job and by model, and what has to be known of it."""
        jobs = [self._graph.jobs[name] for name in self._todo]
        loads = [(job, self.of(job)) for job in jobs if job.rule in ASKING]
        by_kind = _summed((job.kind, load) for job, load in loads)
        of_model, study = _summed((str(job.at.model), load) for job, load in loads), self._graph.study
        by_model = {name: of_model[name] for name in [*study.models, *study.teachers] if name in of_model}
        rows = [["kind of job", *_COLUMNS], *_rows(by_kind), *_rows(_summed(("all", load) for _, load in loads))]
        if len(by_model) > 1:
            rows += [["model", *_COLUMNS], *_rows(by_model)]
        yield from _aligned(rows)
        others = Counter(job.rule for job in jobs if job.rule not in ASKING)
        yield f"  and, with no prompt and no step: {', '.join(f'{n:,} {rule}' for rule, n in others.items())}"
        yield ""
        yield from self._notes(loads)

    def of(self, job: Job) -> Load:
        """Return what a job that asks or trains a model does at most."""
        asked = resources.asked_by(self._graph.study, job)
        load = Load((asked.gpu, asked.gpu))
        if job.rule == "train":
            return self._training(job, load, asked.training_processes)
        return self._measuring(job, load) if job.rule == "measure" else self._asking(job, load)

    def _training(self, job: Job, load: Load, processes: int) -> Load:
        stage, run, prompt = self._graph.stage(job), self._graph.runs[job.key], self._prompt(job)
        examples = self._examples(run)
        if not examples.is_all:
            return load.unknown(stage.REWARDED)
        try:
            work = stage.work(examples.known, processes)
        except ValueError as error:
            self._problems[f"stages.{job.at.stage}: {error}"] = None
            return load
        if stage.matches:
            return load.unknown(stage.REWARDED)
        answers = work.longest if work.completions else 0 if stage.imitates == 0 else self._longest(run.on)
        return load._replace(
            prompts=Count(work.prompts),
            completions=Count(work.completions),
            asked=prompt.times(work.prompts).plus(_each(work.longest).times(work.completions)),
            steps=Count(work.steps),
            sequences=Count(work.sequences),
            trained=prompt.plus(_each(answers)).times(work.sequences) if work.sequences else Count(),
        )

    def _asking(self, job: Job, load: Load) -> Load:
        made, sheet = self._graph.set_of(job), self._graph.sheet(job)
        if made is None:
            prompts = _total(self._rows(Origin("benchmark", name)) for name in sheet.folders)
            prompts = prompts.times(self._kept(job)) if sheet.is_trajectory else prompts
        else:
            prompts = self._made(made)
        completions = prompts.times(sheet.decoding.n)
        asked = self._prompt(job).times(prompts.known).plus(completions.times(sheet.decoding.max_tokens))
        return load._replace(prompts=prompts, completions=completions, asked=asked)

    def _measuring(self, job: Job, load: Load) -> Load:
        """Return what a measure reads: each example once, with its response where the measure is of that."""
        graph, made = self._graph, self._graph.set_of(job)
        _, spec = graph.measure(job)
        # A set is measured for another one, at its own path, or for the study.
        read = made.reads[0] if made else measured(graph.study, job.at.measure)
        prompts = self._rows(read)
        each = self._prompt(job).plus(_each(self._longest(read) if spec.READS_RESPONSES else 0))
        return load._replace(prompts=prompts, asked=each.times(prompts.known).plus(Count(0, prompts.is_all)))

    def _prompt(self, job: Job) -> Count:
        """Return the tokens that a prompt may have; how a model behind an endpoint counts them only that one tells."""
        spec = self._graph.study.speakers.get(str(job.at.model))
        return _each(None if spec is None else spec.max_prompt_length)

    def _kept(self, job: Job) -> int:
        """Return the checkpoints, kept by a run, that a job asks."""
        maker = self._graph.checkpoint(job.at.cell)
        processes = resources.asked_by(self._graph.study, maker).training_processes
        try:
            return self._graph.stage(maker).work(self._examples(self._graph.runs[maker.key]).known, processes).kept
        except ValueError:
            # Said of the run itself.
            return 0

    def _examples(self, run: Run) -> Count:
        """Return the training examples of a run."""
        return self._rows(run.on or Origin("pool", run.pool)) if run.takes_all else Count(run.size or 0)

    def _count(self, read: Origin | ExampleSet) -> Count:
        """Return the examples of a pool that may be trained on, or those of a set or a benchmark."""
        if f"{read.rule} {read.key}" not in self._todo:
            manifest = records.read(f"{read.folder}/manifest.json", n=int) or {"n": 0}
            held_out = manifest.get("held_out") or {} if read.rule == "pool" else {}
            return Count(manifest["n"] - held_out.get("n", 0) - held_out.get("rest", 0))
        if isinstance(read, ExampleSet):
            return self._made(read)
        study = self._graph.study
        if read.rule == "benchmark" and (pool := study.benchmarks[read.key].pool) is not None:
            return Count(study.pools[pool].held_out or 0)
        spec = study.pools[read.key] if read.rule == "pool" else study.benchmarks[read.key]
        sizes = [source.most for source in spec.origins]
        # A question with its options in every rotation: only reading tells how many options it has.
        is_all = None not in sizes and not (read.rule == "benchmark" and study.benchmarks[read.key].circular)
        if not is_all:
            self._unread[f"{read.rule}s.{read.key}"] = None
        held_out = study.pools[read.key].held_out or 0 if read.rule == "pool" else 0
        return Count(max(0, sum(filter(None, sizes)) - held_out), is_all)

    def _made(self, made: ExampleSet) -> Count:
        """Return the examples that a set may have, which are those that a model is asked for it."""
        step, read = self._graph.study.examples[made.name], _total(map(self._rows, made.reads))
        # Sets of one pool have the same examples, and a set has each of them once.
        whole = _total(map(self._rows, dict.fromkeys(made.origins())))
        read = min((read, whole), key=lambda count: (not count.is_all, count.known))
        most = step.most(read.known if read.is_all else None)
        return read if most is None else Count(most)

    def _longest(self, read: Origin | ExampleSet | None) -> int | None:
        """Return the tokens that a rationale may have, None where a person's own have no limit."""
        if not isinstance(read, ExampleSet):
            return None
        step = self._graph.study.examples[read.name]
        before = [self._longest(item) for item in read.reads]
        return step.longest(None if None in before else max(filter(None, before), default=None))

    def _notes(self, loads: Iterable[tuple[Job, Load]]) -> Iterator[str]:
        yield "at most: with every row usable, prompts of max_prompt_length, and responses as long as they may be"
        stages = dict.fromkeys(job.at.stage for job, _ in loads if job.rule == "train")
        for name in stages:
            stage = self._graph.study.all_stages[name]
            if stage.drawing:
                yield f"train {name}: {', '.join(stage.drawing)} (prompts and completions counted at their most)"
            if stage.matches:
                yield f"? and +: train {name} takes as long as {stage.matches} costs, which is known once that has run"
        if self._unread:
            yield f"? and +: only reading tells how many rows there are in {', '.join(self._unread)}"
        open_ended = [load for _, load in loads if not load.trained.is_all and load.trained.known]
        if open_ended or any(load.prompts.is_all and not load.asked.is_all for _, load in loads):
            yield "+ behind tokens: and more, in texts whose length only reading tells"
        yield from (f"cannot run as it is: {problem}" for problem in self._problems)


def tokens(count: int) -> str:
    """Return a number of tokens for people: `950k`, `1.2M`, `34B`."""
    for size, unit in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            value = count / size
            return f"{value:.1f}{unit}" if value < 10 else f"{value:,.0f}{unit}"
    return str(count)


def _each(longest: int | None) -> Count:
    return Count(longest or 0, longest is not None)


def _total(counts: Iterable[Count]) -> Count:
    return reduce(Count.plus, counts, Count())


def _summed(loads: Iterable[tuple[str, Load]]) -> dict[str, Load]:
    found: dict[str, Load] = {}
    for name, load in loads:
        found[name] = found[name].plus(load) if name in found else load
    return found


def _rows(loads: Mapping[str, Load]) -> list[list[str]]:
    return [[name, *load.row()] for name, load in loads.items()]


def _aligned(rows: list[list[str]]) -> Iterator[str]:
    """Yield a table whose columns belong to what is asked and to what is trained on, which a line above them says."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    ends = [sum(widths[: i + 1]) + 2 * i for i in range(len(widths))]
    yield f"  {'':{ends[2]}}{_ASKED:>{ends[5] - ends[2]}}{_LEARNT:>{ends[8] - ends[5]}}".rstrip()
    for number, row in enumerate(rows):
        if number and row[1] == _COLUMNS[0]:
            yield ""
        numbers = (f"{text:>{width}}" for text, width in zip(row[1:], widths[1:], strict=True))
        yield "  ".join([f"  {row[0]:{widths[0]}}", *numbers]).rstrip()
