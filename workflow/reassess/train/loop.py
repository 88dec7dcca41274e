"""One run of a trainer of TRL: what is the same for all of them, before the trainer is built and after."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import PrinterCallback, ProgressCallback, Trainer

from reassess.data.shards import Shards
from reassess.data.subset import ids_sha256
from reassess.models import load, parts
from reassess.models.reader import Reader
from reassess.stages.base import Trained
from reassess.stages.epochs import steps_per_epoch
from reassess.stages.sft import TRAINING_BYTES
from reassess.stages.trainer_args import accumulation
from reassess.train import adapter, callbacks, checkpoints, data, published, ranks
from reassess.train.checkpoints import Checkpoint, Clock
from reassess.train.export import check, check_answers, export, load_exactly
from reassess.train.frame import Made, Task
from reassess.train.plan import Plan, Resumed, TrainError, epoch_of, matched_steps, plan, work
from reassess.work import records, turns

# Bytes per second at which a checkpoint is thought to be written until one was: a busy network file system.
SAVED_PER_SECOND = 200e6
# Of a weight in float32.
FROZEN_BYTES = 4


class Started(NamedTuple):
    """A run that is ready to train.

    Attributes:
        task: the run.
        stage: its stage.
        clock: its time so far.
        usable: the training rows, and the examples that are not trained on.
        args: TRL's config.
        plan: what it will do.
        resumed: where a stopped run continues.
        model: the weights to start from, in float32 on the CPU.
        lora: PEFT's config of the adapter that is trained in their place, None where there is none.
        weights: how many weights the model has.
    """

    task: Task
    stage: Trained
    clock: Clock
    usable: data.Usable
    args: Any
    plan: Plan
    resumed: Resumed
    model: Any
    lora: Any
    weights: int

    @property
    def rows(self) -> data.Rows:
        """The training rows."""
        return self.usable.rows

    @property
    def is_unfinished(self) -> bool:
        return self.resumed.step < self.plan.steps

    def trainer(self, kind: Callable[..., Any], **options: Any) -> Any:
        """Return a trainer of TRL for the run.

        Args:
            kind: its class.
            options: what it takes beside model, config, processor and adapter.

        Raises:
            TrainError: the adapter does not fit the model.
        """
        try:
            return kind(
                model=self.model,
                args=self.args,
                processing_class=self.rows.reader.processor,
                peft_config=self.lora,
                **options,
            )
        except ValueError as error:
            if self.lora is None:
                raise
            raise TrainError(f"stages.{self.task.run.stage}.lora: {error}") from None


def start(task: Task, clock: Clock, config: Callable[..., Any], **fixed: Any) -> Started:
    """Make config, rows and plan, and load the weights of the parent or of the checkpoint to go on from.

    Args:
        task: the run.
        clock: its time so far.
        config: the config class of TRL.
        fixed: options of the config that the kind of stage decides.

    Raises:
        TrainError: the run cannot start or continue.
    """
    spec, stage, parent, world = task.model, task.stage, task.parents[0].path, ranks.world()
    assert isinstance(stage, Trained)
    options = _options(task, stage)
    try:
        args = config(**options, **fixed)
    except ValueError as error:
        raise TrainError(f"stages.{task.run.stage}.args: {error}") from None
    ranks.check(args)
    _check_optimizer(args, f"stages.{task.run.stage}.args.optim")
    rows = data.Rows(Shards(task.examples, task.subset["ids"]), Reader.of(parent, spec, task.graph.study.prompt))
    measured = stage.match is not None and stage.match.by != "samples"
    imitates = 1 if stage.imitates is None else stage.imitates
    usable = data.put_aside(rows, task.graph.study.pools[task.run.pool].max_put_aside, imitates, measured)
    if stage.imitates is not None:
        usable = usable._replace(rows=data.imitated(usable.rows, imitates))
    if ranks.is_first():
        task.checkpoints.mkdir(parents=True, exist_ok=True)
        records.write_lines(task.checkpoints / published.PUT_ASIDE, (item._asdict() for item in usable.out))
    checkpoint, tokens = ranks.share(_look_back(task) if ranks.is_first() else (None, 0))
    resumed = Resumed()
    # Optimizer and reference model work in float32 whatever the study's precision: updates as small as those of RL
    # vanish in bfloat16 weights. bfloat16 computes under autocast, and the export is in the study's precision.
    try:
        model = load.load_model(parent, spec.model_copy(update={"dtype": "float32"}))
    except ImportError as error:
        raise TrainError(f"models.{task.run.model}.attn_implementation: {error}") from None
    planned = _plan(task, stage, args, usable, _count(model.parameters()))
    if checkpoint:
        clock.add(checkpoint.seconds, checkpoint.cpu_seconds)
        # DeepSpeed's engine loads its own files.
        if not ranks.is_sharded() and stage.lora is None:
            # Trainer's own resume matches raw names and skips those that differ, and families whose names change
            # between disk and memory would train on from the base model without a word.
            saved = load_exactly(checkpoint.path, spec, model.dtype)
            model.load_state_dict(saved.state_dict(), strict=True)
        resumed = Resumed(checkpoint.step, checkpoint.step // planned.steps_per_epoch, tokens, checkpoint.path)
    lora = _choose_weights(task, stage, model, usable.rows)
    task.turn.record.begin(resumed.step, world.nodes)
    _announce(task, stage, planned, len(usable.out), resumed)
    return Started(task, stage, clock, usable, args, planned, resumed, model, lora, _count(model.parameters()))


def _plan(task: Task, stage: Trained, args: Any, usable: data.Usable, weights: int) -> Plan:
    """Return what a run will do, and have TRL's config say so."""
    rows, processes = len(usable.rows.examples), ranks.world().processes
    if task.cost is not None:
        assert stage.match is not None
        epoch = epoch_of(stage, args, rows, processes)
        cost = work(epoch.samples, usable.tokens, 0, weights)[stage.match.by]
        args.max_steps = matched_steps(task.cost, cost, steps_per_epoch(args, epoch))
    planned = plan(stage, args, rows, processes)
    args.save_steps, args.logging_steps = planned.save_steps, planned.logging_steps
    return planned


def finish(started: Started, trainer: Any, ends_early: bool = False) -> Made:
    """Train to the end, and return what came out.

    Args:
        started: what `start` returned.
        trainer: the trainer of TRL, None where no step is left.
        ends_early: whether something else than the planned steps may end it.

    Raises:
        TrainError: the trainer did not do what was planned.
        Interrupted: it was asked to stop, and has saved a checkpoint.
    """
    task, planned, resumed, model = started.task, started.plan, started.resumed, started.model
    steps = resumed.step
    if trainer is not None:
        checkpointing = _attach(trainer, started)
        trainer.train(resume_from_checkpoint=str(resumed.checkpoint) if resumed.checkpoint else None)
        if checkpointing.interrupted:
            raise turns.Interrupted(checkpointing.interrupted)
        steps = trainer.state.global_step
        if steps != planned.steps and not ends_early:
            raise TrainError(f"stopped at step {steps} of {planned.steps}")
        weights, model = ranks.weights(trainer), trainer.model
        started.clock.gather()
    else:
        if resumed.checkpoint and (ranks.is_sharded() or started.lora):
            with ranks.unsharded():
                model = _saved(started, resumed.checkpoint)
        weights = model.state_dict()
    ranks.part()
    metrics = task.attempt / checkpoints.METRICS
    facts = _facts(started, model, steps) if ranks.is_first() else {}
    kept = None if started.lora is None else task.attempt / published.ADAPTER

    def write(directory: Path) -> None:
        parent, made = task.parents[0].path, weights
        if kept is None:
            export(model, made, parent, task.model, directory)
        else:
            made = adapter.export_merged(model, weights, parent, task.model, directory, kept)
        exported = check(directory, made, task.model)
        check_answers(exported, directory, task.model, started.rows.reader.prompt, started.rows.examples[0])

    return Made(write, facts, f"{steps} steps", metrics, kept)


def _saved(started: Started, checkpoint: Path) -> Any:
    """Return the model of a checkpoint, in float32 on the CPU."""
    task = started.task
    if started.lora is not None:
        return adapter.read(task.parents[0].path, checkpoint, task.model)
    model = load_exactly(checkpoint, task.model, torch.float32)
    parts.freeze(model, started.stage.freeze)
    return model


def _choose_weights(task: Task, stage: Trained, model: Any, rows: data.Rows) -> Any:
    """Have the weights trained that the stage says; return the config of its adapter, None without one.

    Raises:
        TrainError: the model has no such part or layer, or examples without an image have nothing to train.
    """
    where = f"stages.{task.run.stage}"
    if "language_model" in stage.freeze and 0 in rows.examples.lengths("images"):
        raise TrainError(f"{where}.freeze: examples without an image train the language model alone; leave it free")
    try:
        if stage.lora is None:
            parts.freeze(model, stage.freeze)
        return adapter.config(stage, model)
    except parts.PartError as error:
        raise TrainError(f"{where}.freeze: {error}") from None
    except TrainError as error:
        raise TrainError(f"{where}.{error}") from None


def _count(parameters: Iterable[Any]) -> int:
    """Return the numbers in parameters, of which ZeRO-3 leaves a share to each process."""
    return sum(getattr(item, "ds_numel", item.numel()) for item in parameters)


def _trainable(model: Any) -> int:
    return _count(item for item in model.parameters() if item.requires_grad)


def _check_optimizer(args: Any, where: str) -> None:
    """Make sure that the optimizer's package is installed, which Trainer asks for after all else was made.

    Raises:
        TrainError: it is not.
    """
    try:
        Trainer.get_optimizer_cls_and_kwargs(args)
    except (ImportError, ValueError) as error:
        # Some want the model too, which comes later.
        if isinstance(error, ImportError) or "install" in str(error):
            raise TrainError(f"{where}: {args.optim.value} cannot be used here: {error}") from None


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


def _options(task: Task, stage: Trained) -> dict[str, Any]:
    """Return the options of TRL's config: this project's, the user's, and those that the study decides."""
    spec, world = task.model, task.world
    here = world.processes // world.nodes
    if world.gpu and (visible := torch.cuda.device_count()) < here:
        seen = f"only {visible} of {here} GPUs are visible here" if visible else "no GPU is visible here"
        raise TrainError(
            f"models.{task.run.model}.resources.{stage.kind}.gpu is {world.processes} but {seen}; set it to 0 to "
            "train on the CPU"
        )
    per_device, accumulation_steps = accumulation(stage.args, stage.batch_size, world.processes)
    defaults: dict[str, Any] = {"report_to": "none", "bf16": world.gpu and spec.dtype == "bfloat16"}
    if not world.gpu:
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
        "use_cpu": not world.gpu,
    }
    return {**defaults, **stage.args, **decided}


def _announce(task: Task, stage: Trained, planned: Plan, out: int, resumed: Resumed) -> None:
    """Say what the run will cost."""
    parts = [
        f"{planned.rows} examples ({out} put aside)",
        f"{planned.steps} optimizer steps of {planned.batch_size} {stage.BATCH}",
    ]
    if stage.REWARDED:
        parts.append(f"{planned.samples} {stage.BATCH} to generate")
    if stage.match is not None:
        parts.append(f"as {stage.match.recipe} cost {task.cost} {stage.match.by}")
    if planned.left_over:
        parts.append(f"{planned.left_over} examples left over by each epoch of {planned.steps_per_epoch} steps")
    if ranks.world().processes > 1:
        parts.append(str(ranks.world()))
    parts.append(f"resuming at step {resumed.step}" if resumed.step else "from the start")
    print(f"{task.job.key}: {', '.join(parts)}", flush=True)


def _attach(trainer: Any, started: Started) -> callbacks.Checkpointing:
    """Put this project's callbacks in place of Trainer's own progress."""
    task, planned, resumed = started.task, started.plan, started.resumed
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    trainable = _trainable(trainer.model)
    # A checkpoint has frozen weights too, unless it holds an adapter alone.
    frozen = 0 if started.lora else started.weights - trainable
    task.turn.stop.saving = (TRAINING_BYTES * trainable + FROZEN_BYTES * frozen) / SAVED_PER_SECOND
    if resumed.checkpoint and started.lora is None:
        # `start` has loaded the weights, strictly. Trainer would load them once more by raw names, and warn of each.
        trainer._load_from_checkpoint = lambda *_: None
    checkpointing = callbacks.Checkpointing(trainer, planned, task.turn, started.clock, resumed)
    checkpointing.limit = started.stage.args.get("save_total_limit") or checkpointing.limit
    trainer.add_callback(checkpointing)
    if ranks.is_first():
        trainer.add_callback(callbacks.Metrics(task.attempt / checkpoints.METRICS, planned, resumed))
    kept = task.checkpoints / checkpoints.TRAJECTORY
    trainer.add_callback(callbacks.Trajectory(trainer, planned, kept, task.parents[0].path, task.model))
    return checkpointing


def _facts(started: Started, model: Any, steps: int) -> dict[str, Any]:
    """Return what the record of a run says of its training, given the model that was trained and its steps."""
    task, planned = started.task, started.plan
    root = task.checkpoints / checkpoints.TRAJECTORY
    kept = [(step, root / f"step-{step}") for step in planned.trajectory]
    tokens = checkpoints.tokens_seen(task.attempt / checkpoints.METRICS)
    is_cuda = next(model.parameters()).is_cuda
    return {
        "device": torch.cuda.get_device_name() if is_cuda else "cpu",
        "weights": {"trainable": _trainable(model), "total": started.weights},
        "put_aside": dict(Counter(item.reason for item in started.usable.out)),
        "image_tokens": started.usable.image_tokens.record(),
        "trained_ids_sha256": ids_sha256(dict.fromkeys(started.rows.examples.column("id"))),
        # Of a run that ended otherwise than by its steps, these were the ones to do.
        "steps_planned": steps,
        "steps_done": steps,
        "samples_seen": planned.samples,
        "tokens_seen": tokens,
        "work": work(planned.samples, tokens, 0, started.weights),
        "trajectory": [
            {"step": step, "path": path.as_posix(), "fingerprint": load.fingerprint(path)} for step, path in kept
        ],
    }
