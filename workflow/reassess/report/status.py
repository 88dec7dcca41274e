"""What `reassess status` prints: cells against what is done, outdated, failed, started or missing."""

from __future__ import annotations

import json
from pathlib import Path

from reassess import grid, identity, paths
from reassess.study import Study


def matrix(study: Study) -> str:
    """Return one line per cell: training and each suite's evaluation, and the reason of each failure below."""
    suites = list(study.suites)
    rows = []
    failures: list[str] = []
    evaluated = set(grid.evaluations(study))
    for cell in grid.cells(study):
        states = [_training(study, cell, failures)]
        states += [_evaluation(cell.key, suite) if (cell.key, suite) in evaluated else "" for suite in suites]
        rows.append([cell.key, *states])
    header = ["cell", "trained", *suites]
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = []
    for row in [header, *rows]:
        lines.append("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    done = sum(all(state in ("done", "-", "") for state in row[1:]) for row in rows)
    lines += ["", f"{done} of {len(rows)} cells are done"]
    return "\n".join(lines + failures)


def _training(study: Study, cell: grid.Cell, failures: list[str]) -> str:
    if cell.run is None:
        return "done" if Path(paths.model(cell.model), "manifest.json").exists() else "missing"
    root = Path(paths.run(cell.run.cell))
    if (root / "run.json").exists():
        made = json.loads((root / "run.json").read_text(encoding="utf-8"))["spec"]
        wanted = json.loads(identity.stage_spec(study, cell.model, cell.run.stage))
        return "done" if made == wanted else "outdated"
    failure = root / "failure.json"
    if failure.exists():
        record = json.loads(failure.read_text(encoding="utf-8"))
        failures.append(f"{cell.key} failed at step {record.get('step')}: {record['error']}")
        return "failed"
    steps = [int(path.name.split("-")[1]) for path in root.glob("checkpoints/*/checkpoint-*")]
    return f"started ({max(steps)})" if steps else "missing"


def _evaluation(cell: str, suite: str) -> str:
    root = Path(paths.evaluation(cell, suite))
    if (root / "scores.json").exists() and (root / "scores.parquet").exists():
        return "done"
    return "answered" if (root / "responses.parquet").exists() else "missing"
