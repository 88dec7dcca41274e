"""One training run: from a parent checkpoint and a subset to a checked checkpoint and `run.json`, written last."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from reassess import identity, paths
from reassess.data.build import ids_sha256, write_json
from reassess.data.example import read_shards
from reassess.grid import Run
from reassess.judge import JUDGE_VERSION
from reassess.prompts import prompt_sha256
from reassess.study import Stage, Study
from reassess.train.plan import Plan, Resumed, TrainError, plan
from reassess.trainer_args import accumulation

if TYPE_CHECKING:
    from reassess.train.checkpoints import Clock
    from reassess.train.data import PutAside, Rows

__all__ = ["TrainError", "train"]

# Complete checkpoints beside each other where the stage does not say.
KEPT_CHECKPOINTS = 2
PACKAGES = ("torch", "transformers", "trl", "accelerate", "datasets")


class Job(NamedTuple):
    """A run and what it starts from.

    Attributes:
        study: the study.
        run: the run.
        directory: the run's directory.
        parent: the Hugging Face directory of the parent checkpoint.
        fingerprint: the parent's fingerprint.
        subset: the record of the subset file.
    """

    study: Study
    run: Run
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


def train(study: Study, run: Run) -> None:
    """Train one run of a study, continuing where a stopped one left off, under `results/runs/`.

    Raises:
        TrainError: the run cannot start, continue, or count as finished.
        Exception: whatever else stopped it; in either case `failure.json` says what.
    """
    directory = Path(paths.run(run.cell))
    directory.mkdir(parents=True, exist_ok=True)
    for name in ("run.json", "failure.json"):
        (directory / name).unlink(missing_ok=True)
    try:
        _train(_job(study, run, directory))
    except Exception as error:
        lines = str(error).strip().splitlines()
        failure = {
            "error": lines[0] if lines else type(error).__name__,
            "type": type(error).__name__,
            "step": _last_step(directory),
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        write_json(directory / "failure.json", failure)
        if isinstance(error, TrainError):
            raise TrainError(f"{run.cell}: {error}") from None
        raise


def _job(study: Study, run: Run, directory: Path) -> Job:
    from reassess.models.load import fingerprint

    record = Path(run.parent_record)
    root = record.parent
    subset_file = Path(paths.subset(run.pool, run.seed, run.size))
    pool = Path(paths.pool(run.pool)) / "manifest.json"
    for path, what in ((record, "parent checkpoint"), (subset_file, "subset"), (pool, "pool")):
        if not path.exists():
            raise TrainError(f"the {what} is not there or not finished: no {path}")
    actual = fingerprint(root / "model")
    if actual != json.loads(record.read_text(encoding="utf-8"))["fingerprint"]:
        raise TrainError(f"{root / 'model'} is not the checkpoint that {record} describes; make it again")
    subset = json.loads(subset_file.read_text(encoding="utf-8"))
    if subset["pool_content_sha256"] != json.loads(pool.read_text(encoding="utf-8"))["content_sha256"]:
        raise TrainError(f"{subset_file} was drawn from another state of pool {run.pool!r}; make it again")
    return Job(study, run, directory, root / "model", actual, subset)


def _train(job: Job) -> None:
    # Before huggingface_hub is imported: TRL would report every run.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import torch
    from transformers.utils.logging import disable_progress_bar

    from reassess.models import load
    from reassess.train import checkpoints, data

    # Of loading and saving weights: one per checkpoint.
    disable_progress_bar()
    clock = checkpoints.Clock()
    if "OMP_NUM_THREADS" in os.environ:
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    spec = job.study.models[job.run.model]
    examples = read_shards(paths.pool(job.run.pool), job.subset["ids"])
    rows, out = data.put_aside(
        data.Rows(examples, job.study.prompt, spec, load.load_processor(job.parent, spec)),
        job.study.pools[job.run.pool].max_put_aside,
    )
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
    planned = plan(job.stage, args, len(rows.examples))
    args.save_steps, args.logging_steps = planned.save_steps, planned.logging_steps

    job.checkpoints.mkdir(parents=True, exist_ok=True)
    checkpoint = checkpoints.newest_complete(job.checkpoints)
    resumed = Resumed()
    # Optimizer and reference model work in float32 whatever the study's precision: updates as small as those of RL
    # vanish in bfloat16 weights. bfloat16 computes under autocast, and the export is in the study's precision.
    model = load.load_model(job.parent, spec.model_copy(update={"dtype": "float32"}))
    if checkpoint:
        clock.add(checkpoint.seconds, checkpoint.cpu_seconds)
        checkpoints.restore(model, checkpoint.path, spec)
        tokens = checkpoints.rewind(job.checkpoints, checkpoint.step)
        resumed = Resumed(checkpoint.step, checkpoint.step // planned.steps_per_epoch, tokens)
    else:
        checkpoints.rewind(job.checkpoints, 0)
    _announce(job, planned, len(out), resumed)
    if resumed.step < planned.steps:
        trainer = stage.build(job.stage, args, model, rows, resumed)
        _attach(trainer, job, planned, resumed, clock)
        trainer.train(resume_from_checkpoint=str(checkpoint.path) if checkpoint else None)
        if trainer.state.global_step != planned.steps:
            raise TrainError(f"stopped at step {trainer.state.global_step} of {planned.steps}")
    _finish(job, planned, rows, out, model, clock)


def _options(job: Job) -> dict[str, Any]:
    """Return the options of TRL's config: this project's, the user's, and those that the study decides."""
    import torch

    spec, stage = job.study.models[job.run.model], job.stage
    resources = spec.resources.get(stage.trainer)
    gpu = resources is not None and resources.gpu > 0
    if gpu and not torch.cuda.is_available():
        raise TrainError(
            f"models.{job.run.model}.resources.{stage.trainer}.gpu is 1 but no GPU is visible here; set it to 0 to "
            "train on the CPU"
        )
    per_device, accumulation_steps = accumulation(stage.args, stage.batch_size)
    defaults: dict[str, Any] = {"report_to": "none", "bf16": gpu and spec.dtype == "bfloat16"}
    if not gpu:
        # TRL switches it on: it saves memory of a GPU and costs time.
        defaults |= {"gradient_checkpointing": False, "dataloader_pin_memory": False}
    decided = {
        "output_dir": str(job.checkpoints),
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


def _attach(trainer: Any, job: Job, planned: Plan, resumed: Resumed, clock: Clock) -> None:
    """Put this project's callbacks in place of Trainer's own progress."""
    from transformers import PrinterCallback, ProgressCallback

    from reassess.train import callbacks, checkpoints

    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    limit = job.stage.args.get("save_total_limit") or KEPT_CHECKPOINTS
    trainer.add_callback(callbacks.Checkpointing(planned, limit, clock))
    trainer.add_callback(callbacks.Metrics(job.checkpoints / checkpoints.METRICS, planned, resumed))
    trainer.add_callback(callbacks.Trajectory(planned, job.parent, job.study.models[job.run.model]))


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
    parts.append(f"resuming at step {resumed.step}" if resumed.step else "from the start")
    print(f"{job.run.cell}: {', '.join(parts)}", flush=True)


def _finish(job: Job, planned: Plan, rows: Rows, out: list[PutAside], model: Any, clock: Clock) -> None:
    """Export, check, and only then write `run.json`; what is no longer needed goes last."""
    import torch

    from reassess.models.load import fingerprint
    from reassess.train import checkpoints
    from reassess.train.export import check, export

    spec = job.study.models[job.run.model]
    aside = job.checkpoints / "model"
    export(model, job.parent, spec, aside)
    check(aside, model, spec, rows)
    kept = []
    for step in planned.trajectory:
        path = job.checkpoints / checkpoints.TRAJECTORY / f"step-{step}"
        kept.append({"step": step, "path": path.as_posix(), "fingerprint": fingerprint(path)})
    metrics = job.checkpoints / checkpoints.METRICS
    tokens = checkpoints.tokens_seen(metrics)
    shutil.rmtree(job.directory / "model", ignore_errors=True)
    aside.replace(job.directory / "model")
    shutil.copyfile(metrics, job.directory / "metrics.jsonl")
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
        "device": torch.cuda.get_device_name() if cuda else "cpu",
        "host": platform.node(),
        "versions": {package: importlib.metadata.version(package) for package in PACKAGES},
        "fingerprint": fingerprint(job.directory / "model"),
        "trajectory": kept,
    }
    write_json(job.directory / "run.json", record)
    checkpoints.clean(job.checkpoints)
    print(f"{job.run.cell}: {planned.steps} steps done in {seconds:.0f} s", flush=True)


def _last_step(directory: Path) -> int:
    """Return the last logged step of an unfinished run, 0 where none is."""
    from reassess.train.checkpoints import METRICS, last_line

    logs = sorted(directory.glob(f"checkpoints/*/{METRICS}"), key=lambda path: path.stat().st_mtime)
    return int(last_line(logs[-1]).get("step", 0)) if logs else 0
