"""Where the pretraining of a toy model stands, so that a stopped one goes on as if it had not stopped."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from reassess.work.turns import Interrupted, Turn

# A tenth of the steps is the most that a kill costs.
SAVES = 10


class Pretraining:
    """Saves what a pretraining needs to go on, in one file beside the model, and stops it where that is asked for.

    Args:
        root: the model's directory.
        identity: names the file, so that a changed model does not go on from another's weights.
        turn: the turn at the model, None where nobody can ask to stop.
    """

    def __init__(self, root: Path, identity: str, turn: Turn | None) -> None:
        self.file = root / f"pretraining-{identity}.pt"
        self.turn = turn
        self._moment = time.monotonic()
        if turn is not None:
            turn.stop.listen()

    def resume(self, parts: dict[str, Any]) -> list[float]:
        """Give `parts` (models, optimizers, schedules) the state they were saved in; return the losses up to there."""
        import torch

        for file in self.file.parent.glob("pretraining-*.pt"):
            if file != self.file:
                file.unlink()
        if not self.file.exists():
            return []
        try:
            saved = torch.load(self.file, weights_only=True)
            losses: list[float] = saved["losses"]
        # Torch has many words for a damaged file.
        except Exception as error:
            print(f"{self.file}: cannot be read ({error}); removed, starting over", flush=True)
            self.file.unlink()
            return []
        for name, part in parts.items():
            part.load_state_dict(saved[name])
        print(f"pretraining goes on at step {len(losses)}", flush=True)
        if self.turn is not None:
            self.turn.record.begin(len(losses))
        return losses

    def after_step(self, parts: dict[str, Any], losses: list[float], steps: int) -> None:
        """Save where it is time to. Raises Interrupted where it was asked to stop."""
        done = len(losses)
        why = None
        if self.turn is not None:
            now = time.monotonic()
            self.turn.record.step = done
            self.turn.stop.step, self._moment = max(self.turn.stop.step, now - self._moment), now
            why = self.turn.stop.requested()
        if done < steps and (why or done % max(1, steps // SAVES) == 0):
            self._save({**{name: part.state_dict() for name, part in parts.items()}, "losses": losses})
        if why and done < steps:
            raise Interrupted(why)

    def _save(self, state: dict[str, Any]) -> None:
        import torch

        self.file.parent.mkdir(parents=True, exist_ok=True)
        aside = self.file.with_suffix(".tmp")
        with aside.open("wb") as handle:
            torch.save(state, handle)
            handle.flush()
            os.fsync(handle.fileno())
        aside.replace(self.file)
