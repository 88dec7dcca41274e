"""What happens while a stage trains: metrics, progress, complete checkpoints, and the trajectory."""

from __future__ import annotations

import json
import math
import shutil
import time
from pathlib import Path
from typing import Any

from peft import PeftModel
from transformers import TrainerCallback, TrainerControl, TrainerState

from reassess.study.models import Model
from reassess.train import adapter, checkpoints, ranks
from reassess.train.export import export
from reassess.train.plan import Plan, Resumed, TrainError
from reassess.work import records
from reassess.work.progress import Progress
from reassess.work.turns import Turn

# Complete checkpoints beside each other where the stage does not say.
KEPT_CHECKPOINTS = 2
# Of the metrics, those that a progress line shows.
_SHOWN = ("loss", "reward", "rewards/accuracy/mean", "mean_token_accuracy", "completions/mean_length")


class Checkpointing(TrainerCallback):  # type: ignore[misc]
    """Publishes a checkpoint once it is whole, and stops the run, saved, when that is asked for.

    What Trainer and TRL have summed up since the last logged line is kept in memory alone; it goes into the checkpoint,
    so that a resumed run logs what an unbroken one would, wherever it was stopped.
    """

    def __init__(self, trainer: Any, plan: Plan, turn: Turn, clock: checkpoints.Clock, resumed: Resumed) -> None:
        self.trainer = trainer
        self.plan = plan
        self.turn = turn
        self.clock = clock
        self.resumed = resumed
        self.limit = KEPT_CHECKPOINTS
        self.interrupted: str | None = None
        self._has_saved = False
        self._moment = time.monotonic()

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.max_steps != self.plan.steps:
            raise TrainError(f"the trainer means to do {state.max_steps} steps, {self.plan.steps} were planned")
        if self.resumed.checkpoint is not None:
            if isinstance(self.trainer.model, PeftModel) and not ranks.is_sharded():
                adapter.check_loaded(self.trainer.model, self.resumed.checkpoint)
            summed = checkpoints.logged(self.resumed.checkpoint, args.process_index)
            self.trainer._tr_loss += summed["loss"]
            self.trainer._globalstep_last_logged = summed["last_logged"]
            for name, values in summed["metrics"].items():
                self.trainer._metrics["train"][name].extend(values)
        self._moment = time.monotonic()

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        now = time.monotonic()
        stop = self.turn.stop
        # The first step also sets things up, and a longer guess does no harm.
        stop.step, self._moment = max(stop.step, now - self._moment), now
        self.turn.record.step = state.global_step
        last = state.global_step >= self.plan.steps
        if last:
            control.should_log = True
        elif state.global_step % self.plan.boundary == 0 and (why := ranks.share(self._stop_requested())):
            print(f"stopping at step {state.global_step} ({why}): saving", flush=True)
            self.interrupted = why
            control.should_save = control.should_training_stop = True

    def _stop_requested(self) -> str | None:
        """Ask for all processes: they save at the same step, or none does."""
        return self.turn.stop.requested() if ranks.is_first() else None

    def on_save(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        attempt = Path(args.output_dir)
        path = attempt / f"checkpoint-{state.global_step}"
        trainer = self.trainer
        summed = {
            "loss": trainer._tr_loss.item(),
            "last_logged": trainer._globalstep_last_logged,
            "metrics": dict(trainer._metrics["train"]),
            "tokens": getattr(trainer, "_total_train_tokens", None) or state.num_input_tokens_seen,
        }
        records.write(path / f"logged-{args.process_index}.json", summed)
        self.clock.gather()
        ranks.wait_for_all()
        if ranks.is_first():
            if (attempt / checkpoints.METRICS).exists():
                shutil.copyfile(attempt / checkpoints.METRICS, path / checkpoints.METRICS)
            self.turn.lock.check()
            checkpoints.publish(path, attempt.parent, self.clock)
            checkpoints.keep_newest(attempt.parent, self.limit)
        ranks.wait_for_all()
        taken = time.monotonic() - self._moment
        # The first save replaces what was guessed from the model's size.
        self.turn.stop.saving = max(self.turn.stop.saving, taken) if self._has_saved else taken
        self._has_saved = True
        self._moment = time.monotonic()


class Metrics(TrainerCallback):  # type: ignore[misc]
    """Appends one line per log to `metrics.jsonl` and shows progress: a bar on a terminal, lines in a log.

    Beside what the trainer logs a line has `tokens_per_second` and `samples_per_second` since the line before.
    """

    def __init__(self, path: Path, plan: Plan, resumed: Resumed) -> None:
        self.path = path
        self.plan = plan
        self.tokens = float(resumed.tokens)
        self.last = (0.0, 0, 0.0)
        self._progress: Progress

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        step = state.global_step
        self.last = (time.monotonic(), step, self.tokens)
        self._progress = Progress("training", state.max_steps, "steps", done=step, bar=not args.disable_tqdm)

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._progress.update(1)

    def on_log(
        self, args: Any, state: TrainerState, control: TrainerControl, logs: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        if not logs or "train_runtime" in logs:  # the summary at the end
            return
        now, step = time.monotonic(), state.global_step
        elapsed = max(now - self.last[0], 1e-9)
        tokens = float(logs.get("num_tokens", self.last[2]))
        row = {
            "step": step,
            **{name: _finite(value) for name, value in logs.items()},
            "tokens_per_second": round((tokens - self.last[2]) / elapsed, 1),
            "samples_per_second": round((step - self.last[1]) * self.plan.batch_size / elapsed, 2),
        }
        self.last = (now, step, tokens)
        with self.path.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(row) + "\n")
        shown = [f"{name} {value:.4g}" for name in _SHOWN if isinstance(value := row.get(name), float)]
        self._progress.update(0, " ".join([*shown, f"({row['tokens_per_second']:.0f} tokens/s)"]))

    def on_train_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._progress.close()


class Trajectory(TrainerCallback):  # type: ignore[misc]
    """Keeps plain Hugging Face checkpoints of the planned steps in `{root}/step-{k}/`."""

    def __init__(self, trainer: Any, plan: Plan, root: Path, parent: Path, spec: Model) -> None:
        self.trainer = trainer
        self.plan = plan
        self.root = root
        self.parent = parent
        self.spec = spec

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.global_step in self.plan.trajectory:
            weights = ranks.weights(self.trainer)
            if ranks.is_first():
                self.root.mkdir(exist_ok=True)
                with ranks.unsharded():
                    self._keep(weights, f"step-{state.global_step}", Path(args.output_dir))

    def _keep(self, weights: dict[str, Any], step: str, attempt: Path) -> None:
        model = self.trainer.model
        if isinstance(model, PeftModel):
            adapter.export_merged(model, weights, self.parent, self.spec, self.root / step, attempt / f"adapter-{step}")
        else:
            export(model, weights, self.parent, self.spec, self.root / step)


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: they become null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
