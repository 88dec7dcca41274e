"""What `reassess status` prints: cells against what is done, outdated, failed, started or missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from reassess import grid, identity, paths
from reassess.judge import JUDGE_VERSION
from reassess.study import Study

LEGEND = (
    "outdated: made for other options, by an older judge, or from a checkpoint that is outdated; "
    "answered: responses are there, scores are not; started (n): stopped after step n"
)


def matrix(study: Study) -> str:
    """Return one line per cell: training and each suite's evaluation, and the reason of each failure below."""
    suites = list(study.suites)
    rows = []
    failures: list[str] = []
    evaluated = set(grid.evaluations(study))
    for cell in grid.cells(study):
        states = [_training(study, cell, failures)]
        states += [
            _evaluation(cell.key, suite, states[0]) if (cell.key, suite) in evaluated else "" for suite in suites
        ]
        rows.append([cell.key, *states])
    header = ["cell", "trained", *suites]
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = []
    for row in [header, *rows]:
        lines.append("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    done = sum(all(state in ("done", "-", "") for state in row[1:]) for row in rows)
    lines += ["", f"{done} of {len(rows)} cells are done", LEGEND]
    return "\n".join(lines + failures)


def _training(study: Study, cell: grid.Cell, failures: list[str]) -> str:
    if cell.run is None:
        return _base(study, cell.model)
    root = Path(paths.run(cell.run.cell))
    if (root / "run.json").exists():
        return "done" if _is_current(study, cell.run) else "outdated"
    failure = root / "failure.json"
    if failure.exists():
        record = json.loads(failure.read_text(encoding="utf-8"))
        failures.append(f"{cell.key} failed at step {record.get('step')}: {record['error']}")
        return "failed"
    steps = [int(path.name.split("-")[1]) for path in root.glob("checkpoints/*/checkpoint-*")]
    return f"started ({max(steps)})" if steps else "missing"


def _base(study: Study, model: str) -> str:
    record = _json(Path(paths.model(model), "manifest.json"))
    if record is None:
        return "missing"
    return "done" if record["spec"] == json.loads(identity.model_spec(study, model)) else "outdated"


def _is_current(study: Study, run: grid.Run) -> bool:
    """Whether a finished run, and all that it was trained from, is what the study asks for now."""
    record = _json(Path(paths.run(run.cell), "run.json"))
    wanted = json.loads(identity.stage_spec(study, run.model, run.stage))
    if record is None or record["spec"] != wanted:
        return False
    parent = _json(Path(run.parent_record))
    if parent is None or parent["fingerprint"] != record["parent"]["fingerprint"]:
        return False
    return _is_current(study, run.parent) if run.parent else _base(study, run.model) == "done"


def _evaluation(cell: str, suite: str, trained: str) -> str:
    root = Path(paths.evaluation(cell, suite))
    if not (root / "responses.json").exists():
        return "missing"
    if trained != "done":
        return "outdated"
    record = _json(root / "scores.json")
    if record is None or not (root / "scores.parquet").exists():
        return "answered"
    return "done" if record.get("judge_version") == JUDGE_VERSION else "outdated"


def _json(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
