"""What every stage goes through: from checked inputs to a checked checkpoint and `run.json`, which is written last."""

from __future__ import annotations

import importlib
import json
import os
import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from reassess.graph import Graph, Job, Run, changes
from reassess.graph.choice import chosen
from reassess.judge import JUDGE_VERSION
from reassess.models.load import fingerprint
from reassess.prompts import prompt_sha256
from reassess.stages.base import AnyStage, Trained
from reassess.study.models import Model
from reassess.train import checkpoints, launch, published, ranks
from reassess.train.launch import World
from reassess.train.plan import TrainError, work
from reassess.work import records, turns
from reassess.work.provenance import costs, provenance

if TYPE_CHECKING:
    from collections.abc import Callable

    from reassess.train.checkpoints import Clock
    from reassess.work.turns import Turn

__all__ = ["Made", "Parent", "Task", "TrainError", "train"]


class Parent(NamedTuple):
    """A checkpoint that a stage starts from.

    Attributes:
        path: its Hugging Face directory.
        fingerprint: what its record says that it is.
        step: the optimizer step of a kept checkpoint, None for a finished model.
    """

    path: Path
    fingerprint: str
    step: int | None = None


class Task(NamedTuple):
    """A run and what it starts from.

    Attributes:
        graph: the study.
        job: the job.
        turn: the turn at it.
        world: the training processes that the study gives it.
        parents: the checkpoints that it starts from.
        base: the base model, where the stage reads it beside them.
        subset: the record of the subset file; empty where the stage reads no examples.
        examples: the directory of the pool, or the set, that the subset was drawn from; says nothing without a subset.
        cost: what the stage is to cost, None where its options decide.
    """

    graph: Graph
    job: Job
    turn: Turn
    world: World
    parents: tuple[Parent, ...]
    base: Parent | None
    subset: dict[str, Any]
    examples: Path
    cost: int | None = None

    @property
    def run(self) -> Run:
        return self.graph.runs[self.job.key]

    @property
    def model(self) -> Model:
        return self.graph.study.models[self.run.model]

    @property
    def stage(self) -> AnyStage:
        return self.graph.stage(self.job)

    @property
    def directory(self) -> Path:
        return Path(self.job.record).parent

    @property
    def identity(self) -> str:
        """Names the directory of the run, so that a changed stage never resumes from another's checkpoints."""
        depends = {
            "spec": json.loads(self.job.spec),
            "parents": [parent.fingerprint for parent in (*self.parents, *([self.base] if self.base else ()))],
            "ids": self.subset.get("ids_sha256"),
            "content": self.subset.get("pool_content_sha256"),
            "seed": self.run.seed,
            **({} if self.cost is None else {"match": self.cost}),
        }
        return records.digest(records.canonical(depends))

    @property
    def checkpoints(self) -> Path:
        return self.directory / "checkpoints" / self.identity

    @property
    def attempt(self) -> Path:
        """Where this attempt writes; nobody else ever does."""
        return self.checkpoints / f"attempt-{self.turn.record.number}"


class Made(NamedTuple):
    """What a stage has made; of several processes, the first one's is what counts.

    Attributes:
        write: writes the model to a directory that is not there yet, and makes sure that it answers.
        facts: what `run.json` says of the stage beside what it says of every one.
        work: what was done for it, in a word for people.
        metrics: the file of logged lines, None where nothing is logged.
        adapter: the directory to which `write` also writes what was merged into the model, None where nothing was.
    """

    write: Callable[[Path], None]
    facts: dict[str, Any]
    work: str
    metrics: Path | None = None
    adapter: Path | None = None


def train(graph: Graph, job: Job, turn: Turn | None = None) -> None:
    """Run one stage of a study, continuing where a stopped attempt left off, under `results/runs/`.

    Args:
        graph: the study.
        job: the run.
        turn: the turn at it, where the caller has taken it.

    Raises:
        TrainError: the run cannot start, continue, or count as finished.
        Interrupted: it was asked to stop, and has saved a checkpoint.
    """
    directory, is_launched = Path(job.record).parent, launch.launched() is not None
    with turns.take(job.rule, job.key) if turn is None else nullcontext(turn) as turn:
        try:
            if is_launched:
                _run(_check(graph, job, turn))
                return
            directory.mkdir(parents=True, exist_ok=True)
            Path(job.record).unlink(missing_ok=True)
            task = _check(graph, job, turn)
            if _take_over(task):
                return
            _start_over(task)
            if task.world.processes > 1:
                launch.start(graph.study, job, turn, task.world)
            else:
                _run(task)
        except TrainError as error:
            raise TrainError(f"{job.key}: {error}") from None
        except Exception as error:
            kept = directory / "checkpoints"
            if not checkpoints.is_disk_full(error, kept):
                raise
            for attempt in kept.glob(f"*/attempt-{turn.record.number}"):
                checkpoints.leave(attempt)
            raise TrainError(
                f"{job.key}: the disk of {directory} is full ({error}); free some space and start again: the run "
                "continues from its last whole checkpoint"
            ) from error


def _check(graph: Graph, job: Job, turn: Turn) -> Task:
    """Check what a run starts from."""
    run, stage = graph.runs[job.key], graph.stage(job)
    parents = tuple(_parent(graph, job, maker) for maker in graph.parents(job))
    base = _parent(graph, job, graph["model", run.model]) if stage.needs_base else None
    subset: dict[str, Any] = {}
    drawn_from = "."
    for need in graph.needed(job, "subset"):
        drawn_from = need.inputs[0]
        for file, what in ((need.record, "subset"), (drawn_from, "pool" if not run.on else "set of examples")):
            _be_there(file, what)
        subset = records.read(need.record, ids=list, pool_content_sha256=str) or {}
        if subset["pool_content_sha256"] != (records.read(drawn_from, content_sha256=str) or {})["content_sha256"]:
            what = f"{need.record} was drawn from another state of {run.on or run.pool!r}"
            raise TrainError(f"{what}; make it again: {changes.again(graph, need)}")
    world = launch.wanted(graph.study, job)
    return Task(graph, job, turn, world, parents, base, subset, Path(drawn_from).parent, _cost(graph, job))


def _cost(graph: Graph, job: Job) -> int | None:
    """Return what the recipe has cost that a stage matches, None where it matches none."""
    stage = graph.stage(job)
    if not isinstance(stage, Trained) or stage.match is None:
        return None
    cost = 0
    for need in graph.matched(job):
        _be_there(need.record, f"run of recipe {stage.match.recipe}, which is matched,")
        found = (records.read(need.record, work=dict) or {})["work"].get(stage.match.by)
        if not isinstance(found, int):
            raise TrainError(
                f"{need.record}: has no `work.{stage.match.by}`; make it again: {changes.again(graph, need)}"
            )
        cost += found
    return cost


def _be_there(file: str, what: str) -> None:
    if not Path(file).exists():
        raise TrainError(f"the {what} is not there or not finished: no {file}")


def _parent(graph: Graph, job: Job, maker: Job) -> Parent:
    """Return a model that a run reads, checked: the finished one, or of those that were kept the one to choose."""
    _be_there(maker.record, "parent checkpoint")
    record = records.read(maker.record, fingerprint=str) or {}
    found = Parent(Path(maker.record).parent / "model", record["fingerprint"])
    if graph.stage(job).CHOOSES:
        for need in graph.needed(job, "score"):
            _be_there(need.record, "score of the checkpoints to choose from")
        kept = chosen(graph, job, record, {need.key: records.read(need.record) for need in graph.needed(job, "score")})
        found = Parent(Path(kept["path"]), kept["fingerprint"], kept["step"])
    # Read by the process that has started the training processes, if there are several.
    if launch.launched() is None and (problem := _problem(found)):
        what = f"{found.path} is {problem} that {maker.record} describes"
        raise TrainError(f"{what}; make it again: {changes.again(graph, maker)}")
    return found


def _problem(parent: Parent) -> str:
    try:
        return "" if fingerprint(parent.path) == parent.fingerprint else "not the checkpoint"
    except (FileNotFoundError, NotADirectoryError):
        return "gone, the checkpoint"


def _take_over(task: Task) -> bool:
    """Show what is finished already; return whether there was such.

    After the death of a Snakemake its jobs may work on, and the next Snakemake submits the same ones again. A parent
    that was trained again may have come out the same. And an option that was changed may have been changed back.
    """
    try:
        run = _finished_before(task)
    except OSError as error:
        raise TrainError(
            f"{task.checkpoints} cannot be read ({error}), so that a finished run in it would be lost by training "
            "again; start again once it can be read, or remove the directory to train anew"
        ) from error
    if run is None:
        return False
    published.take_back(task.checkpoints, task.job.record, run)
    task.turn.is_reuse = True
    # The job that has made it may have died before it did this.
    published.clean(task.checkpoints)
    print(f"{task.job.key}: finished before, from the same parent, examples and options; nothing to train", flush=True)
    return True


def _finished_before(task: Task) -> dict[str, Any] | None:
    """Return the record of a run that need not be made, None where it is not there, or not what was written.

    Raises:
        OSError: it cannot be told, because files that are there cannot be read.
    """
    run = published.read_finished(task.checkpoints, task.job.rule, task.job.record)
    if run is None:
        return None
    if task.stage.CHOOSES and not published.links_to(task.checkpoints, task.parents[0].path):
        # Another run has kept the same weights, and the one that the link points into is set aside: it may be removed.
        return None
    made = {(task.checkpoints / published.MODEL).as_posix(): run["fingerprint"]}
    made |= {item["path"]: item["fingerprint"] for item in run.get("trajectory", ())}
    try:
        return run if all(fingerprint(path) == expected for path, expected in made.items()) else None
    except (FileNotFoundError, NotADirectoryError):
        return None


def _start_over(task: Task) -> None:
    """Forget that a run was finished which is to be made again, and remove checkpoints at its end."""
    finished = task.checkpoints / turns.FINISHED
    if finished.exists():
        for path in task.checkpoints.glob("checkpoint-*"):
            shutil.rmtree(path)
        finished.unlink()


def _run(task: Task) -> None:
    """Have the stage's own function make the model; the first process then publishes it."""
    # Before huggingface_hub is imported: TRL would report every run.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import torch
    from transformers.utils.logging import disable_progress_bar

    # Of loading and saving weights: one per checkpoint.
    disable_progress_bar()
    clock = checkpoints.Clock()
    task.turn.stop.listen()
    if "OMP_NUM_THREADS" in os.environ:
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    module, _, function = task.stage.RUN.partition(":")
    made: Made = getattr(importlib.import_module(module), function)(task, clock)
    if ranks.is_first():
        with ranks.unsharded():
            _finish(task, made, clock)


def _finish(task: Task, made: Made, clock: Clock) -> None:
    """Export, check, and only then write `run.json`; what is no longer needed goes last."""
    task.attempt.mkdir(parents=True, exist_ok=True)
    aside, model = task.attempt / published.MODEL, task.checkpoints / published.MODEL
    published.remove(aside)
    made.write(aside)
    task.turn.lock.check()
    published.put(aside, model)
    files = {}
    if made.adapter is not None:
        published.put(made.adapter, task.checkpoints / published.ADAPTER)
        for file in sorted((task.checkpoints / published.ADAPTER).iterdir()):
            files[f"{published.ADAPTER}/{file.name}"] = records.file_sha256(file)
    if made.metrics is not None:
        shutil.copyfile(made.metrics, task.checkpoints / checkpoints.METRICS)
        files[checkpoints.METRICS] = records.file_sha256(made.metrics)
    seconds, cpu_seconds = clock.spent()
    record = {
        **_made_from(task),
        **_TRAINED_NOTHING,
        **made.facts,
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu_seconds, 2),
        "processes": task.world.processes,
        "distributed": task.world.distributed if task.world.processes > 1 else None,
        "files": files,
        "provenance": provenance(),
        "costs": costs(task.job.rule, task.job.key),
        "fingerprint": fingerprint(model),
    }
    if task.cost is not None:
        assert isinstance(task.stage, Trained)
        assert task.stage.match is not None
        # `wanted` and `actual` differ by half a step at most, and by what single rows have more or less than the mean.
        actual = {"wanted": task.cost, "actual": record["work"][task.stage.match.by], "steps": record["steps_done"]}
        record["match"] = {**task.stage.match.model_dump(), **actual}
    published.finish(task.checkpoints, record)
    published.publish(task.checkpoints, task.job.record, record)
    published.clean(task.checkpoints)
    print(f"{task.job.key}: {made.work} done in {seconds:.0f} s", flush=True)


# What a record says of a stage that has no training.
_TRAINED_NOTHING: dict[str, Any] = {
    "put_aside": {},
    "image_tokens": None,
    "weights": None,
    "trained_ids_sha256": None,
    **dict.fromkeys(("steps_planned", "steps_done", "samples_seen", "tokens_seen"), 0),
    "work": work(0, 0, 0, 0),
    "trajectory": [],
    "device": "cpu",
}


def _made_from(task: Task) -> dict[str, Any]:
    """Return what a record says of what a run was asked for and started from."""
    parents = [
        {"path": parent.path.as_posix(), "fingerprint": parent.fingerprint}
        | ({} if parent.step is None else {"step": parent.step})
        for parent in task.parents
    ]
    base = {"base": {"path": task.base.path.as_posix(), "fingerprint": task.base.fingerprint}} if task.base else {}
    subset = {
        "path": task.job.inputs[-1],
        "n": task.subset["n"],
        "ids_sha256": task.subset["ids_sha256"],
        "content_sha256": task.subset["pool_content_sha256"],
    } if task.subset else None  # fmt: skip
    return {
        "model": task.run.model,
        "pool": task.run.pool,
        "seed": task.run.seed,
        "name": task.run.name,
        "stage": task.run.stage,
        "kind": task.stage.kind,
        "spec": json.loads(task.job.spec),
        "identity": task.identity,
        "parents": parents,
        **base,
        "subset": subset,
        "prompt_sha256": prompt_sha256(task.graph.study.prompt),
        "pixels": {"min": task.model.min_pixels, "max": task.model.max_pixels},
        "judge_version": JUDGE_VERSION,
    }
