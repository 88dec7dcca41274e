"""Jobs that are stopped on the way: by a signal while a model answers, or at steps of training."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest


def stored() -> int:
    """Return the number of complete lines in all stores of responses below the current directory."""
    return sum(file.read_bytes().count(b"\n") for file in Path("results/responses").glob("*/*.jsonl"))


def signalled_while_it_answers(process: subprocess.Popen[Any], sent: signal.Signals) -> None:
    """Send a signal to a process once its first responses are stored, or it has ended."""
    while stored() == 0 and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(sent)


def stop_at(monkeypatch: pytest.MonkeyPatch, moments: list[int]) -> None:
    """Have training in this process asked to stop at steps, each of which is then taken out of the list."""
    from reassess.train.callbacks import Checkpointing

    on_step_end = Checkpointing.on_step_end

    def stop(self: Checkpointing, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if moments and state.global_step == moments[0]:
            moments.pop(0)
            os.kill(os.getpid(), signal.SIGTERM)
        on_step_end(self, args, state, control, **kwargs)

    monkeypatch.setattr(Checkpointing, "on_step_end", stop)
