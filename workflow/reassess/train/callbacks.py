"""What happens while a stage trains: metrics, progress, complete checkpoints, and the trajectory."""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm
from transformers import TrainerCallback, TrainerControl, TrainerState

from reassess.study import Model
from reassess.train import checkpoints
from reassess.train.export import export
from reassess.train.plan import Plan, Resumed, TrainError

# Of the metrics, those that a progress line shows.
_SHOWN = ("loss", "reward", "rewards/accuracy/mean", "mean_token_accuracy", "completions/mean_length")


class Checkpointing(TrainerCallback):  # type: ignore[misc]
    """Marks a checkpoint complete once it is, and only then removes older ones.

    Every saved step is logged first, so that no sum of unlogged steps is lost with the process: Trainer and TRL
    keep them in memory alone, and a resumed run would log other values than an unbroken one.
    """

    def __init__(self, plan: Plan, limit: int, clock: checkpoints.Clock) -> None:
        self.plan = plan
        self.limit = limit
        self.clock = clock

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.max_steps != self.plan.steps:
            raise TrainError(f"the trainer means to do {state.max_steps} steps, {self.plan.steps} were planned")

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        control.should_log = control.should_log or control.should_save

    def on_save(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        root = Path(args.output_dir)
        checkpoints.mark_complete(root / f"checkpoint-{state.global_step}", *self.clock.spent())
        checkpoints.keep_newest(root, self.limit)


class Metrics(TrainerCallback):  # type: ignore[misc]
    """Appends one line per log to `metrics.jsonl` and shows progress: a bar on a terminal, lines in a log.

    Beside what the trainer logs a line has `tokens_per_second` and `samples_per_second` since the line before.
    """

    def __init__(self, path: Path, plan: Plan, resumed: Resumed) -> None:
        self.path = path
        self.plan = plan
        self.tokens = float(resumed.tokens)
        self.bar: Any = None
        self.last = (0.0, 0, 0.0)
        self.first = (0.0, 0)

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        now = time.monotonic()
        self.first = (now, state.global_step)
        self.last = (now, state.global_step, self.tokens)
        terminal = sys.stderr.isatty() and not args.disable_tqdm
        self.bar = tqdm(total=state.max_steps, initial=state.global_step, disable=not terminal)

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.bar.update(1)

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
        self._show(row, now)

    def on_train_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.bar.close()

    def _show(self, row: dict[str, Any], now: float) -> None:
        values = {name: row[name] for name in _SHOWN if isinstance(row.get(name), float)}
        if not self.bar.disable:
            self.bar.set_postfix({name.split("/")[-2 if "/" in name else 0]: f"{v:.3g}" for name, v in values.items()})
            return
        step, total = row["step"], self.plan.steps
        left = (now - self.first[0]) / max(step - self.first[1], 1) * (total - step)
        shown = " ".join(f"{name} {value:.4g}" for name, value in values.items())
        print(f"step {step}/{total} {shown} ({row['tokens_per_second']:.0f} tokens/s, {left:.0f} s left)", flush=True)


class Trajectory(TrainerCallback):  # type: ignore[misc]
    """Keeps plain Hugging Face checkpoints of the planned steps in `trajectory/step-{k}/`."""

    def __init__(self, plan: Plan, parent: Path, spec: Model) -> None:
        self.plan = plan
        self.parent = parent
        self.spec = spec

    def on_step_end(
        self, args: Any, state: TrainerState, control: TrainerControl, model: Any = None, **kwargs: Any
    ) -> None:
        if state.global_step in self.plan.trajectory:
            root = Path(args.output_dir) / checkpoints.TRAJECTORY
            root.mkdir(exist_ok=True)
            export(model, self.parent, self.spec, root / f"step-{state.global_step}")


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: they become null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
