"""One training run: from a parent checkpoint and a subset to a checked checkpoint and `run.json`, written last."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from reassess import paths
from reassess.data.shards import read_shards
from reassess.data.subset import ids_sha256
from reassess.graph import Graph, Job, Run, resources
from reassess.judge import JUDGE_VERSION
from reassess.models.load import fingerprint
from reassess.prompts import prompt_sha256
from reassess.stages import Stage
from reassess.stages.sft import TRAINING_BYTES
from reassess.stages.trainer_args import accumulation
from reassess.study.models import Model
from reassess.train import checkpoints, launch, ranks
from reassess.train.plan import Plan, Resumed, TrainError, plan
from reassess.work import records, turns
from reassess.work.provenance import costs, provenance
from reassess.work.records import file_sha256

if TYPE_CHECKING:
    from reassess.example import PutAside
    from reassess.train.callbacks import Checkpointing
    from reassess.train.checkpoints import Checkpoint, Clock
    from reassess.train.data import Rows
    from reassess.work.turns import Turn

__all__ = ["TrainError", "train"]

# Bytes per second at which a checkpoint is thought to be written until one was: a busy network file system.
SAVED_PER_SECOND = 200e6


class Task(NamedTuple):
    """A run and what it starts from.

    Attributes:
        graph: the study.
        job: the job.
        turn: the turn at it.
        parent: the Hugging Face directory of the parent checkpoint.
        fingerprint: the parent's fingerprint.
        subset: the record of the subset file.
    """

    graph: Graph
    job: Job
    turn: Turn
    parent: Path
    fingerprint: str
    subset: dict[str, Any]

    @property
    def run(self) -> Run:
        return self.graph.runs[self.job.key]

    @property
    def model(self) -> Model:
        return self.graph.study.models[self.run.model]

    @property
    def stage(self) -> Stage:
        return self.graph.study.stages[self.run.stage]

    @property
    def directory(self) -> Path:
        return Path(self.job.record).parent

    @property
    def identity(self) -> str:
        """Names the checkpoint directory, so that a changed stage never resumes from another's checkpoints."""
        depends = {
            "spec": json.loads(self.job.spec),
            "parent": self.fingerprint,
            "ids": self.subset["ids_sha256"],
            "content": self.subset["pool_content_sha256"],
            "seed": self.run.seed,
        }
        return records.digest(records.canonical(depends))

    @property
    def checkpoints(self) -> Path:
        return self.directory / "checkpoints" / self.identity

    @property
    def attempt(self) -> Path:
        """Where this attempt writes; nobody else ever does."""
        return self.checkpoints / f"attempt-{self.turn.record.number}"


def train(graph: Graph, job: Job, turn: Turn | None = None) -> None:
    """Train one run of a study, continuing where a stopped one left off, under `results/runs/`.

    Args:
        graph: the study.
        job: the training.
        turn: the turn at it, where the caller has taken it.

    Raises:
        TrainError: the run cannot start, continue, or count as finished.
        Interrupted: it was asked to stop, and has saved a checkpoint.
    """
    if turn is None:
        with launch.join(job.key) if launch.launched() else turns.take(job.rule, job.key) as taken:
            train(graph, job, taken)
        return
    directory = Path(job.record).parent
    world = launch.wanted(graph.study, job)
    try:
        if launch.launched():
            _train(_task(graph, job, turn))
            return
        directory.mkdir(parents=True, exist_ok=True)
        Path(job.record).unlink(missing_ok=True)
        task = _task(graph, job, turn)
        if _take_over(task):
            return
        _start_over(task)
        if world.processes > 1:
            launch.start(graph.study, job, turn, world)
        else:
            _train(task)
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


def _take_over(task: Task) -> bool:
    """Publish what another job has finished; return whether there was such.

    After the death of a Snakemake its jobs may work on, and the next Snakemake submits the same ones again. And a
    parent that was trained again may have come out the same.
    """
    finished = turns.read_finished(task.checkpoints)
    if finished is None:
        return False
    run = finished["run"]
    made = {(task.directory / "model").as_posix(): run["fingerprint"]}
    made |= {item["path"]: item["fingerprint"] for item in run["trajectory"]}
    if not all(_is_whole(path, expected) for path, expected in made.items()):
        return False
    (task.directory / checkpoints.METRICS).write_text(finished["metrics"], encoding="utf-8")
    records.write(task.job.record, run)
    task.turn.is_reuse = True
    # The job that has made it may have died before it did this.
    checkpoints.clean(task.checkpoints)
    print(f"{task.job.key}: finished before, from the same parent, examples and options; nothing to train", flush=True)
    return True


def _is_whole(checkpoint: str, expected: str) -> bool:
    try:
        return fingerprint(checkpoint) == expected
    except OSError:
        return False


def _start_over(task: Task) -> None:
    """Leave nothing of a finished run, which is to be trained again: neither its record nor checkpoints at its end."""
    finished = task.checkpoints / turns.FINISHED
    if finished.exists():
        for path in task.checkpoints.glob("checkpoint-*"):
            shutil.rmtree(path)
        finished.unlink()


def _task(graph: Graph, job: Job, turn: Turn) -> Task:
    """Check what a run starts from."""
    record, subset_file = (Path(file) for file in job.inputs)
    run = graph.runs[job.key]
    pool = Path(paths.pool(run.pool, "manifest.json"))
    for path, what in ((record, "parent checkpoint"), (subset_file, "subset"), (pool, "pool")):
        if not path.exists():
            raise TrainError(f"the {what} is not there or not finished: no {path}")
    model = record.parent / "model"
    recorded = str((records.read(record, fingerprint=str) or {})["fingerprint"])
    # Read by the process that has started the training processes, if there are several.
    if launch.launched() is None and fingerprint(model) != recorded:
        raise TrainError(f"{model} is not the checkpoint that {record} describes; make it again")
    subset = records.read(subset_file, ids=list, pool_content_sha256=str) or {}
    if subset["pool_content_sha256"] != (records.read(pool, content_sha256=str) or {})["content_sha256"]:
        raise TrainError(f"{subset_file} was drawn from another state of pool {run.pool!r}; make it again")
    return Task(graph, job, turn, model, recorded, subset)


def _train(task: Task) -> None:
    # Before huggingface_hub is imported: TRL would report every run.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import torch
    from transformers.utils.logging import disable_progress_bar

    from reassess.models import load
    from reassess.train import data

    # Of loading and saving weights: one per checkpoint.
    disable_progress_bar()
    clock = checkpoints.Clock()
    task.turn.stop.listen()
    if "OMP_NUM_THREADS" in os.environ:
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    spec = task.model
    examples = read_shards(paths.pool(task.run.pool), task.subset["ids"])
    rows, out = data.put_aside(
        data.Rows(examples, task.graph.study.prompt, spec, load.load_processor(task.parent, spec)),
        task.graph.study.pools[task.run.pool].max_put_aside,
    )
    if ranks.is_first():
        data.write_put_aside(task.directory / "put_aside.jsonl", out)

    stage: Any
    if task.stage.kind == "sft":
        from reassess.train import sft as stage
    else:
        from reassess.train import grpo as stage
    options = _options(task)
    try:
        args = stage.config(task.stage, options)
    except ValueError as error:
        raise TrainError(f"stages.{task.run.stage}.args: {error}") from None
    ranks.check(args)
    planned = plan(task.stage, args, len(rows.examples), ranks.world().processes)
    args.save_steps, args.logging_steps = planned.save_steps, planned.logging_steps

    checkpoint, tokens = ranks.share(_look_back(task) if ranks.is_first() else (None, 0))
    resumed = Resumed()
    # Optimizer and reference model work in float32 whatever the study's precision: updates as small as those of RL
    # vanish in bfloat16 weights. bfloat16 computes under autocast, and the export is in the study's precision.
    model = load.load_model(task.parent, spec.model_copy(update={"dtype": "float32"}))
    if checkpoint:
        clock.add(checkpoint.seconds, checkpoint.cpu_seconds)
        if not ranks.is_sharded():
            # DeepSpeed's engine loads its own files.
            checkpoints.restore(model, checkpoint.path, spec)
        resumed = Resumed(checkpoint.step, checkpoint.step // planned.steps_per_epoch, tokens, checkpoint.path)
    task.turn.record.begin(resumed.step, ranks.world().nodes)
    _announce(task, planned, len(out), resumed)
    if resumed.step < planned.steps:
        trainer = stage.build(task.stage, args, model, rows, resumed)
        checkpointing = _attach(trainer, task, planned, resumed, clock)
        trainer.train(resume_from_checkpoint=str(checkpoint.path) if checkpoint else None)
        if checkpointing.interrupted:
            raise turns.Interrupted(checkpointing.interrupted)
        if trainer.state.global_step != planned.steps:
            raise TrainError(f"stopped at step {trainer.state.global_step} of {planned.steps}")
        weights = ranks.weights(trainer)
        clock.gather()
    elif checkpoint and ranks.is_sharded():
        with ranks.unsharded():
            model = checkpoints.load_exactly(checkpoint.path, spec, model.dtype)
        weights = model.state_dict()
    else:
        weights = model.state_dict()
    ranks.part()
    if ranks.is_first():
        with ranks.unsharded():
            _finish(task, planned, rows, out, model, weights, clock)


def _look_back(task: Task) -> tuple[Checkpoint | None, int]:
    """Return the checkpoint to go on from and the tokens seen up to there; what else a stopped run left is taken back.

    Raises:
        TrainError: the checkpoint is one of other processes, and the study does not say to start over then.
    """
    task.checkpoints.mkdir(parents=True, exist_ok=True)
    checkpoint = checkpoints.newest_readable(task.checkpoints)
    if checkpoint and checkpoint.world != str(ranks.world()):
        if task.model.other_processes == "refuse":
            raise TrainError(
                f"{checkpoint.path} was written by {checkpoint.world} and cannot be continued by {ranks.world()}; "
                f"train with as many again, or set models.{task.run.model}.other_processes to restart to start over"
            )
        verb = "starts" if ranks.world().processes == 1 else "start"
        print(f"{checkpoint.path}: written by {checkpoint.world}; {ranks.world()} {verb} over", flush=True)
        for path in task.checkpoints.glob("checkpoint-*"):
            shutil.rmtree(path)
        checkpoint = None
    return checkpoint, checkpoints.rewind(task.checkpoints, task.attempt, checkpoint)


def _options(task: Task) -> dict[str, Any]:
    """Return the options of TRL's config: this project's, the user's, and those that the study decides."""
    import torch

    spec, stage = task.model, task.stage
    world = launch.wanted(task.graph.study, task.job)
    gpu, here = world.gpu, world.processes // world.nodes
    if gpu and (visible := torch.cuda.device_count()) < here:
        seen = f"only {visible} of {here} GPUs are visible here" if visible else "no GPU is visible here"
        raise TrainError(
            f"models.{task.run.model}.resources.{stage.kind}.gpu is {world.processes} but {seen}; set it to 0 to "
            "train on the CPU"
        )
    per_device, accumulation_steps = accumulation(stage.args, stage.batch_size, world.processes)
    defaults: dict[str, Any] = {"report_to": "none", "bf16": gpu and spec.dtype == "bfloat16"}
    if not gpu:
        # TRL switches it on: it saves memory of a GPU and costs time.
        defaults |= {"gradient_checkpointing": False, "dataloader_pin_memory": False}
    if world.processes > 1 and world.distributed == "ddp":
        # Rows without an image use no vision weights, and LLaVA never its vision tower's last layer.
        defaults["ddp_find_unused_parameters"] = True
    decided = {
        "output_dir": str(task.attempt),
        "run_name": task.job.key,
        "seed": task.run.seed,
        "data_seed": task.run.seed,
        "per_device_train_batch_size": per_device,
        "gradient_accumulation_steps": accumulation_steps,
        "remove_unused_columns": False,
        "save_strategy": "steps",
        # Trainer would remove the older checkpoint before the newer is known to be complete.
        "save_total_limit": None,
        "use_cpu": not gpu,
    }
    return {**defaults, **stage.args, **decided}


def _attach(trainer: Any, task: Task, planned: Plan, resumed: Resumed, clock: Clock) -> Checkpointing:
    """Put this project's callbacks in place of Trainer's own progress."""
    from transformers import PrinterCallback, ProgressCallback

    from reassess.train import callbacks

    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    task.turn.stop.saving = TRAINING_BYTES * resources.weights(task.model) / SAVED_PER_SECOND
    checkpointing = callbacks.Checkpointing(trainer, planned, task.turn, clock, resumed)
    checkpointing.limit = task.stage.args.get("save_total_limit") or checkpointing.limit
    trainer.add_callback(checkpointing)
    if ranks.is_first():
        trainer.add_callback(callbacks.Metrics(task.attempt / checkpoints.METRICS, planned, resumed))
    kept = task.checkpoints / checkpoints.TRAJECTORY
    trainer.add_callback(callbacks.Trajectory(trainer, planned, kept, task.parent, task.model))
    return checkpointing


def _announce(task: Task, planned: Plan, out: int, resumed: Resumed) -> None:
    """Say what the run will cost."""
    of = "sequences" if task.stage.kind == "sft" else "completions"
    parts = [
        f"{planned.rows} examples ({out} put aside)",
        f"{planned.steps} optimizer steps of {planned.batch_size} {of}",
    ]
    if task.stage.kind == "grpo":
        parts.append(f"{planned.samples} completions to generate")
    if planned.left_over:
        parts.append(f"{planned.left_over} examples left over by each epoch of {planned.steps_per_epoch} steps")
    if ranks.world().processes > 1:
        parts.append(str(ranks.world()))
    parts.append(f"resuming at step {resumed.step}" if resumed.step else "from the start")
    print(f"{task.job.key}: {', '.join(parts)}", flush=True)


def _finish(
    task: Task, planned: Plan, rows: Rows, out: list[PutAside], model: Any, weights: dict[str, Any], clock: Clock
) -> None:
    """Export, check, and only then write `run.json`; what is no longer needed goes last."""
    import torch

    from reassess.train.export import check, export

    spec = task.model
    aside = task.attempt / "model"
    export(model, weights, task.parent, spec, aside)
    check(aside, weights, spec, rows)
    kept = []
    for step in planned.trajectory:
        path = task.checkpoints / checkpoints.TRAJECTORY / f"step-{step}"
        kept.append({"step": step, "path": path.as_posix(), "fingerprint": fingerprint(path)})
    metrics = task.attempt / checkpoints.METRICS
    tokens = checkpoints.tokens_seen(metrics)
    task.turn.lock.check()
    shutil.rmtree(task.directory / "model", ignore_errors=True)
    aside.replace(task.directory / "model")
    shutil.copyfile(metrics, task.directory / checkpoints.METRICS)
    seconds, cpu_seconds = clock.spent()
    cuda = next(model.parameters()).is_cuda
    record = {
        "model": task.run.model,
        "pool": task.run.pool,
        "seed": task.run.seed,
        "name": task.run.name,
        "stage": task.run.stage,
        "kind": task.stage.kind,
        "spec": json.loads(task.job.spec),
        "identity": task.identity,
        "parents": [{"path": task.parent.as_posix(), "fingerprint": task.fingerprint}],
        "subset": {
            "path": task.job.inputs[-1],
            "n": task.subset["n"],
            "ids_sha256": task.subset["ids_sha256"],
            "content_sha256": task.subset["pool_content_sha256"],
        },
        "put_aside": dict(Counter(item.reason for item in out)),
        "trained_ids_sha256": ids_sha256(example.id for example in rows.examples),
        "prompt_sha256": prompt_sha256(task.graph.study.prompt),
        "pixels": {"min": spec.min_pixels, "max": spec.max_pixels},
        "judge_version": JUDGE_VERSION,
        "steps_planned": planned.steps,
        "steps_done": planned.steps,
        "samples_seen": planned.samples,
        "tokens_seen": tokens,
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu_seconds, 2),
        "processes": ranks.world().processes,
        "distributed": ranks.world().distributed if ranks.world().processes > 1 else None,
        "device": torch.cuda.get_device_name() if cuda else "cpu",
        "files": {checkpoints.METRICS: file_sha256(task.directory / checkpoints.METRICS)},
        "provenance": provenance(),
        "costs": costs(task.job.rule, task.job.key),
        "fingerprint": fingerprint(task.directory / "model"),
        "trajectory": kept,
    }
    finished = {"time": time.time(), "run": record, "metrics": metrics.read_text(encoding="utf-8")}
    records.write(task.checkpoints / turns.FINISHED, finished)
    records.write(task.job.record, record)
    checkpoints.clean(task.checkpoints)
    print(f"{task.job.key}: {planned.steps} steps done in {seconds:.0f} s", flush=True)
