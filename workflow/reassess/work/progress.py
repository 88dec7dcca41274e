"""Progress of long loops: a bar on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time

from tqdm import tqdm

# A log gets a line per tenth of the work, but not for work that is done in a moment.
LOG_SECONDS = 3.0


class Progress:
    """Counts up to `total` under a name; `update` after each piece of work, `close` at the end.

    Args:
        name: what is counted.
        total: how many there are.
        unit: what they are called.
        done: how many were done before.
        bar: whether a terminal gets a bar.
    """

    def __init__(self, name: str, total: int, unit: str, done: int = 0, bar: bool = True) -> None:
        self.name, self.total, self.unit = name, total, unit
        self.done = self._begun = done
        self._start = time.monotonic()
        self._shown, self._shown_at = done, self._start
        on_terminal = bar and sys.stderr.isatty()
        self._bar = tqdm(total=total, initial=done, desc=name, unit=f" {unit}") if on_terminal else None

    def update(self, n: int, note: str = "") -> None:
        """Count `n` more; a note of how it goes is shown at once."""
        self.done += n
        if self._bar is not None:
            self._bar.update(n)
            if note:
                self._bar.set_postfix_str(note)
            return
        now = time.monotonic()
        if note or ((self.done - self._shown) * 10 >= self.total and now - self._shown_at >= LOG_SECONDS):
            self._shown, self._shown_at = self.done, now
            rate = (self.done - self._begun) / max(now - self._start, 1e-9)
            left = f", {(self.total - self.done) / rate:.0f} s left" if rate else ""
            print(
                f"{self.name}: {self.done} of {self.total} {self.unit}, "
                f"{now - self._start:.0f} s, {rate:.1f} per second{left}{note and f'; {note}'}",
                flush=True,
            )

    def close(self) -> None:
        """End the bar."""
        if self._bar is not None:
            self._bar.close()
