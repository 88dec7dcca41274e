"""Attempts at a job, written as a process that made one would."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from reassess import paths


def attempted(
    command: str,
    key: str,
    why: str | None,
    detail: str = "",
    step: int | None = 0,
    seconds: float | None = 5.0,
    **more: Any,
) -> None:
    """Append an attempt below the current directory that began an hour ago; one without `why` has no end."""
    file = Path(f"{paths.attempts(command, key)}.jsonl")
    file.parent.mkdir(parents=True, exist_ok=True)
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    number = 1 + text.count('"started"')
    began = datetime.now(UTC) - timedelta(hours=1)
    started = {"event": "started", "attempt": number, "command": command, "key": key, "time": began.isoformat()}
    started |= {"host": "node1", "pid": 1, "job": None, "restart": 0, "gpus": "", "step": 0, "log": None, **more}
    lines = [started]
    if why is not None:
        ended = (began + timedelta(seconds=seconds or 0)).isoformat()
        lines.append({"event": "ended", "attempt": number, "time": ended, "step": step, "why": why, "detail": detail})
        lines[-1] |= {"seconds": seconds}
    file.write_text(text + "".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
