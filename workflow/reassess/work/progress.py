"""Progress of long loops: a bar on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time

from tqdm import tqdm

# A log gets a line per tenth of the work, but not for work that is done in a moment.
LOG_SECONDS = 3.0


class Progress:
    """Counts up to `total` under a name; `update` after each piece of work, `close` at the end."""

    def __init__(self, name: str, total: int, unit: str) -> None:
        self.name, self.total, self.unit = name, total, unit
        self.done = 0
        self._start = time.monotonic()
        self._shown, self._shown_at = 0, self._start
        self._bar = tqdm(total=total, desc=name, unit=f" {unit}") if sys.stderr.isatty() else None

    def update(self, n: int) -> None:
        """Count `n` more."""
        self.done += n
        if self._bar is not None:
            self._bar.update(n)
            return
        now = time.monotonic()
        if (self.done - self._shown) * 10 >= self.total and now - self._shown_at >= LOG_SECONDS:
            self._shown, self._shown_at = self.done, now
            rate = self.done / (now - self._start)
            left = (self.total - self.done) / rate
            print(
                f"{self.name}: {self.done} of {self.total} {self.unit}, "
                f"{now - self._start:.0f} s, {rate:.1f} per second, {left:.0f} s left",
                flush=True,
            )

    def close(self) -> None:
        """End the bar."""
        if self._bar is not None:
            self._bar.close()
