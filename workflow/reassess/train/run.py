"""One training run: from a parent checkpoint and a subset to a checked checkpoint and `run.json`, written last."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from reassess import identity, paths, turns
from reassess.data.build import ids_sha256, write_json
from reassess.data.example import read_shards
from reassess.grid import Run
from reassess.judge import JUDGE_VERSION
from reassess.models.load import fingerprint
from reassess.prompts import prompt_sha256
from reassess.provenance import costs, file_sha256, provenance
from reassess.records import read
from reassess.resources import TRAINING_BYTES
from reassess.study import Stage, Study
from reassess.train import checkpoints, launch, ranks
from reassess.train.plan import Plan, Resumed, TrainError, plan
from reassess.trainer_args import accumulation

if TYPE_CHECKING:
    from reassess.train.callbacks import Checkpointing
    from reassess.train.checkpoints import Checkpoint, Clock
    from reassess.train.data import PutAside, Rows
    from reassess.turns import Turn

__all__ = ["TrainError", "train"]

# Bytes per second at which a checkpoint is thought to be written until one was: a busy network file system.
SAVED_PER_SECOND = 200e6


class Job(NamedTuple):
    """A run and what it starts from.

    Attributes:
        study: the study.
        run: the run.
        turn: the turn at it.
        directory: the run's directory.
        parent: the Hugging Face directory of the parent checkpoint.
        fingerprint: the parent's fingerprint.
        subset: the record of the subset file.
    """

    study: Study
    run: Run
    turn: Turn
    directory: Path
    parent: Path
    fingerprint: str
    subset: dict[str, Any]

    @property
    def stage(self) -> Stage:
        return self.study.stages[self.run.stage]

    @property
    def spec(self) -> str:
        """What the result depends on beside parent, subset and seed."""
        return identity.stage_spec(self.study, self.run.model, self.run.stage)

    @property
    def identity(self) -> str:
        """Names the checkpoint directory, so that a changed stage never resumes from another's checkpoints."""
        depends = {
            "spec": json.loads(self.spec),
            "parent": self.fingerprint,
            "ids": self.subset["ids_sha256"],
            "content": self.subset["pool_content_sha256"],
            "seed": self.run.seed,
        }
        return identity.digest(identity.canonical(depends))

    @property
    def checkpoints(self) -> Path:
        return self.directory / "checkpoints" / self.identity

    @property
    def attempt(self) -> Path:
        """Where this attempt writes; nobody else ever does."""
        return self.checkpoints / f"attempt-{self.turn.record.number}"


def train(study: Study, run: Run, turn: Turn | None = None) -> None:
    """Train one run of a study, continuing where a stopped one left off, under `results/runs/`.

    Args:
        study: the study.
        run: the run.
        turn: the turn at this run, where the caller has taken it.

    Raises:
        TrainError: the run cannot start, continue, or count as finished.
        Interrupted: it was asked to stop, and has saved a checkpoint.
    """
    if turn is None:
        with launch.join(run.cell) if launch.launched() else turns.take("train", run.cell) as taken:
            train(study, run, taken)
        return
    directory = Path(paths.run(run.cell))
    world = launch.wanted(study, run)
    try:
        if launch.launched():
            _train(_job(study, run, directory, turn))
            return
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "run.json").unlink(missing_ok=True)
        job = _job(study, run, directory, turn)
        if _take_over(job):
            return
        _start_over(job)
        if world.processes > 1:
            launch.start(study, run, turn, world)
        else:
            _train(job)
    except TrainError as error:
        raise TrainError(f"{run.cell}: {error}") from None
    except Exception as error:
        kept = directory / "checkpoints"
        if not checkpoints.is_disk_full(error, kept):
            raise
        for attempt in kept.glob(f"*/attempt-{turn.record.number}"):
            checkpoints.leave(attempt)
        raise TrainError(
            f"{run.cell}: the disk of {directory} is full ({error}); free some space and start again: the run "
            "continues from its last whole checkpoint"
        ) from error


def _take_over(job: Job) -> bool:
    """Publish what another job has finished; return whether there was such.

    After the death of a Snakemake its jobs may work on, and the next Snakemake submits the same ones again. And a
    parent that was trained again may have come out the same.
    """
    finished = turns.read_finished(job.checkpoints)
    if finished is None:
        return False
    run = finished["run"]
    made = {(job.directory / "model").as_posix(): run["fingerprint"]}
    made |= {item["path"]: item["fingerprint"] for item in run["trajectory"]}
    if not all(_is_whole(path, expected) for path, expected in made.items()):
        return False
    (job.directory / checkpoints.METRICS).write_text(finished["metrics"], encoding="utf-8")
    write_json(job.directory / "run.json", run)
    job.turn.is_reuse = True
    # The job that has made it may have died before it did this.
    checkpoints.clean(job.checkpoints)
    print(f"{job.run.cell}: finished before, from the same parent, examples and options; nothing to train", flush=True)
    return True


def _is_whole(checkpoint: str, expected: str) -> bool:
    try:
        return fingerprint(checkpoint) == expected
    except OSError:
        return False


def _start_over(job: Job) -> None:
    """Leave nothing of a finished run, which is to be trained again: neither its record nor checkpoints at its end."""
    finished = job.checkpoints / turns.FINISHED
    if finished.exists():
        for path in job.checkpoints.glob("checkpoint-*"):
            shutil.rmtree(path)
        finished.unlink()


def _job(study: Study, run: Run, directory: Path, turn: Turn) -> Job:
    record = Path(run.parent_record)
    root = record.parent
    subset_file = Path(paths.subset(run.pool, run.seed, run.size))
    pool = Path(paths.pool(run.pool)) / "manifest.json"
    for path, what in ((record, "parent checkpoint"), (subset_file, "subset"), (pool, "pool")):
        if not path.exists():
            raise TrainError(f"the {what} is not there or not finished: no {path}")
    recorded = str((read(record, fingerprint=str) or {})["fingerprint"])
    # Read by the process that has started the training processes, if there are several.
    if launch.launched() is None and fingerprint(root / "model") != recorded:
        raise TrainError(f"{root / 'model'} is not the checkpoint that {record} describes; make it again")
    subset = read(subset_file, ids=list, pool_content_sha256=str) or {}
    if subset["pool_content_sha256"] != (read(pool, content_sha256=str) or {})["content_sha256"]:
        raise TrainError(f"{subset_file} was drawn from another state of pool {run.pool!r}; make it again")
    return Job(study, run, turn, directory, root / "model", recorded, subset)


def _train(job: Job) -> None:
    # Before huggingface_hub is imported: TRL would report every run.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import torch
    from transformers.utils.logging import disable_progress_bar

    from reassess.models import load
    from reassess.train import data

    # Of loading and saving weights: one per checkpoint.
    disable_progress_bar()
    clock = checkpoints.Clock()
    job.turn.stop.listen()
    if "OMP_NUM_THREADS" in os.environ:
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    spec = job.study.models[job.run.model]
    examples = read_shards(paths.pool(job.run.pool), job.subset["ids"])
    rows, out = data.put_aside(
        data.Rows(examples, job.study.prompt, spec, load.load_processor(job.parent, spec)),
        job.study.pools[job.run.pool].max_put_aside,
    )
    if ranks.is_first():
        data.write_put_aside(job.directory / "put_aside.jsonl", out)

    stage: Any
    if job.stage.trainer == "sft":
        from reassess.train import sft as stage
    else:
        from reassess.train import grpo as stage
    options = _options(job)
    try:
        args = stage.config(job.stage, options)
    except ValueError as error:
        raise TrainError(f"stages.{job.run.stage}.args: {error}") from None
    ranks.check(args)
    planned = plan(job.stage, args, len(rows.examples), ranks.world().processes)
    args.save_steps, args.logging_steps = planned.save_steps, planned.logging_steps

    checkpoint, tokens = ranks.share(_look_back(job) if ranks.is_first() else (None, 0))
    resumed = Resumed()
    # Optimizer and reference model work in float32 whatever the study's precision: updates as small as those of RL
    # vanish in bfloat16 weights. bfloat16 computes under autocast, and the export is in the study's precision.
    model = load.load_model(job.parent, spec.model_copy(update={"dtype": "float32"}))
    if checkpoint:
        clock.add(checkpoint.seconds, checkpoint.cpu_seconds)
        if not ranks.is_sharded():
            # DeepSpeed's engine loads its own files.
            checkpoints.restore(model, checkpoint.path, spec)
        resumed = Resumed(checkpoint.step, checkpoint.step // planned.steps_per_epoch, tokens, checkpoint.path)
    job.turn.record.begin(resumed.step, ranks.world().nodes)
    _announce(job, planned, len(out), resumed)
    if resumed.step < planned.steps:
        trainer = stage.build(job.stage, args, model, rows, resumed)
        checkpointing = _attach(trainer, job, planned, resumed, clock)
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
            _finish(job, planned, rows, out, model, weights, clock)


def _look_back(job: Job) -> tuple[Checkpoint | None, int]:
    """Return the checkpoint to go on from and the tokens seen up to there; what else a stopped run left is taken back.

    Raises:
        TrainError: the checkpoint is one of other processes, and the study does not say to start over then.
    """
    job.checkpoints.mkdir(parents=True, exist_ok=True)
    checkpoint = checkpoints.newest_readable(job.checkpoints)
    if checkpoint and checkpoint.world != str(ranks.world()):
        if job.study.models[job.run.model].other_processes == "refuse":
            raise TrainError(
                f"{checkpoint.path} was written by {checkpoint.world} and cannot be continued by {ranks.world()}; "
                f"train with as many again, or set models.{job.run.model}.other_processes to restart to start over"
            )
        verb = "starts" if ranks.world().processes == 1 else "start"
        print(f"{checkpoint.path}: written by {checkpoint.world}; {ranks.world()} {verb} over", flush=True)
        for path in job.checkpoints.glob("checkpoint-*"):
            shutil.rmtree(path)
        checkpoint = None
    return checkpoint, checkpoints.rewind(job.checkpoints, job.attempt, checkpoint)


def _options(job: Job) -> dict[str, Any]:
    """Return the options of TRL's config: this project's, the user's, and those that the study decides."""
    import torch

    spec, stage = job.study.models[job.run.model], job.stage
    world = launch.wanted(job.study, job.run)
    gpu, here = world.gpu, world.processes // world.nodes
    if gpu and (visible := torch.cuda.device_count()) < here:
        seen = f"only {visible} of {here} GPUs are visible here" if visible else "no GPU is visible here"
        raise TrainError(
            f"models.{job.run.model}.resources.{stage.trainer}.gpu is {world.processes} but {seen}; set it to 0 to "
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
        "output_dir": str(job.attempt),
        "run_name": job.run.cell,
        "seed": job.run.seed,
        "data_seed": job.run.seed,
        "per_device_train_batch_size": per_device,
        "gradient_accumulation_steps": accumulation_steps,
        "remove_unused_columns": False,
        "save_strategy": "steps",
        # Trainer would remove the older checkpoint before the newer is known to be complete.
        "save_total_limit": None,
        "use_cpu": not gpu,
    }
    return {**defaults, **stage.args, **decided}


def _attach(trainer: Any, job: Job, planned: Plan, resumed: Resumed, clock: Clock) -> Checkpointing:
    """Put this project's callbacks in place of Trainer's own progress."""
    from transformers import PrinterCallback, ProgressCallback

    from reassess.train import callbacks

    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    job.turn.stop.saving = TRAINING_BYTES * job.study.models[job.run.model].size / SAVED_PER_SECOND
    checkpointing = callbacks.Checkpointing(trainer, planned, job.turn, clock, resumed)
    checkpointing.limit = job.stage.args.get("save_total_limit") or checkpointing.limit
    trainer.add_callback(checkpointing)
    if ranks.is_first():
        trainer.add_callback(callbacks.Metrics(job.attempt / checkpoints.METRICS, planned, resumed))
    kept = job.checkpoints / checkpoints.TRAJECTORY
    trainer.add_callback(callbacks.Trajectory(trainer, planned, kept, job.parent, job.study.models[job.run.model]))
    return checkpointing


def _announce(job: Job, planned: Plan, out: int, resumed: Resumed) -> None:
    """Say what the run will cost."""
    of = "sequences" if job.stage.trainer == "sft" else "completions"
    parts = [
        f"{planned.rows} examples ({out} put aside)",
        f"{planned.steps} optimizer steps of {planned.batch_size} {of}",
    ]
    if job.stage.trainer == "grpo":
        parts.append(f"{planned.samples} completions to generate")
    if planned.left_over:
        parts.append(f"{planned.left_over} examples left over by each epoch of {planned.steps_per_epoch} steps")
    if ranks.world().processes > 1:
        parts.append(str(ranks.world()))
    parts.append(f"resuming at step {resumed.step}" if resumed.step else "from the start")
    print(f"{job.run.cell}: {', '.join(parts)}", flush=True)


def _finish(
    job: Job, planned: Plan, rows: Rows, out: list[PutAside], model: Any, weights: dict[str, Any], clock: Clock
) -> None:
    """Export, check, and only then write `run.json`; what is no longer needed goes last."""
    import torch

    from reassess.train.export import check, export

    spec = job.study.models[job.run.model]
    aside = job.attempt / "model"
    export(model, weights, job.parent, spec, aside)
    check(aside, weights, spec, rows)
    kept = []
    for step in planned.trajectory:
        path = job.checkpoints / checkpoints.TRAJECTORY / f"step-{step}"
        kept.append({"step": step, "path": path.as_posix(), "fingerprint": fingerprint(path)})
    metrics = job.attempt / checkpoints.METRICS
    tokens = checkpoints.tokens_seen(metrics)
    job.turn.lock.check()
    shutil.rmtree(job.directory / "model", ignore_errors=True)
    aside.replace(job.directory / "model")
    shutil.copyfile(metrics, job.directory / checkpoints.METRICS)
    seconds, cpu_seconds = clock.spent()
    cuda = next(model.parameters()).is_cuda
    record = {
        "model": job.run.model,
        "pool": job.run.pool,
        "seed": job.run.seed,
        "lineage": job.run.lineage,
        "stage": job.run.stage,
        "trainer": job.stage.trainer,
        "spec": json.loads(job.spec),
        "identity": job.identity,
        "parent": {"path": job.parent.as_posix(), "fingerprint": job.fingerprint},
        "subset": {
            "path": paths.subset(job.run.pool, job.run.seed, job.run.size),
            "n": job.subset["n"],
            "ids_sha256": job.subset["ids_sha256"],
            "content_sha256": job.subset["pool_content_sha256"],
        },
        "put_aside": dict(Counter(item.reason for item in out)),
        "trained_ids_sha256": ids_sha256(example.id for example in rows.examples),
        "prompt_sha256": prompt_sha256(job.study.prompt),
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
        "files": {checkpoints.METRICS: file_sha256(job.directory / checkpoints.METRICS)},
        "provenance": provenance(),
        "costs": costs("train", job.run.cell),
        "fingerprint": fingerprint(job.directory / "model"),
        "trajectory": kept,
    }
    finished = {"time": time.time(), "run": record, "metrics": metrics.read_text(encoding="utf-8")}
    write_json(job.checkpoints / turns.FINISHED, finished)
    write_json(job.directory / "run.json", record)
    checkpoints.clean(job.checkpoints)
    print(f"{job.run.cell}: {planned.steps} steps done in {seconds:.0f} s", flush=True)
