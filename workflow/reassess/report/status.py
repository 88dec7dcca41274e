"""What `reassess status` prints: cells against what is done, outdated, failed, running or missing."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from reassess import grid, identity, paths
from reassess.judge import JUDGE_VERSION
from reassess.prompts import prompt_sha256
from reassess.report.failures import FAILED, STOPPED, Last, last, last_step, unfinished
from reassess.report.jobs import jobs
from reassess.study import Decoding, Filter, Study

STATES = ("done", "outdated", "failed", "stopped", "running", "waiting", "answered", "missing")
LEGEND = (
    "outdated: made for other options, by an older judge, or from a checkpoint that is outdated; "
    "answered: responses are there, scores are not; stopped (step n): interrupted after step n, the same command "
    "continues; waiting: for its turn or in the queue"
)
_EVERY = Filter()


class RecordError(ValueError):
    """A record of a job is broken: the message names it and says what to do."""


def matrix(study: Study, chosen: Filter = _EVERY, states: Collection[str] = ()) -> str:
    """Return one line per cell: training and each suite's evaluation, and the reason of each failure below.

    Args:
        study: the study.
        chosen: cells outside of it are left out; the base model has no pool, size or seed to match.
        states: of `STATES`; cells in none of them are left out. A cell is done where all of it is.

    Raises:
        RecordError: a record is broken.
    """
    suites = list(study.suites)
    evaluated = set(grid.evaluations(study))
    cells = [cell for cell in grid.cells(study) if _matches(chosen, cell)]
    found: dict[str, Last] = {}
    rows, done = [], 0
    for cell in cells:
        row = [_training(study, cell, found)]
        row += [
            _evaluation(study, cell.key, suite, row[0], found) if (cell.key, suite) in evaluated else ""
            for suite in suites
        ]
        words = {state.split()[0] for state in row if state}
        is_done = words == {"done"}
        done += is_done
        if not states or (is_done and "done" in states) or words & (set(states) - {"done"}):
            rows.append([cell.key, *row])
    lines = aligned([["cell", "trained", *suites], *rows]) if rows else []
    which = "cells" if chosen == _EVERY else "chosen cells"
    shown = f"; {len(rows)} {', '.join(states)}" if states else ""
    lines += ["", f"{done} of {len(cells)} {which} are done{shown}"]
    lines += [LEGEND] if rows else []
    if chosen == _EVERY:
        shared = (job for job in jobs(study).values() if job.command in ("pool", "benchmark", "subset"))
        found |= {job.name: item for job in shared if (item := unfinished(job)) is not None}
    return "\n".join([*lines, *(item.line for item in found.values())]).lstrip("\n")


def base_state(study: Study, model: str) -> str:
    """Return whether a base model is `done`, `outdated` or `missing`."""
    record = _json(Path(paths.model(model), "manifest.json"))
    if record is None:
        return "missing"
    return "done" if record["spec"] == json.loads(identity.model_spec(study, model)) else "outdated"


def run_state(study: Study, run: grid.Run) -> str:
    """Return whether a run, and all that it was trained from, is what the study asks for now."""
    record = _json(Path(paths.run(run.cell), "run.json"))
    if record is None:
        return "missing"
    if record["spec"] != json.loads(identity.stage_spec(study, run.model, run.stage)):
        return "outdated"
    parent = _json(Path(run.parent_record))
    if parent is None or parent["fingerprint"] != record["parent"]["fingerprint"]:
        return "outdated"
    above = run_state(study, run.parent) if run.parent else base_state(study, run.model)
    return "done" if above == "done" else "outdated"


def responses_state(study: Study, cell: str, suite: str, trained: str) -> str:
    """Return whether the responses of a cell whose checkpoint is `trained` are what the study asks for now."""
    root = Path(paths.evaluation(cell, suite))
    record = _json(root / "responses.json")
    if record is None or not (root / "responses.parquet").exists():
        return "missing"
    return "done" if trained == "done" and _is_asked(study, cell, suite, record) else "outdated"


def scores_state(study: Study, cell: str, suite: str, answered: str) -> str:
    """Return whether the scores of a cell whose responses are `answered` are there and by the present judge."""
    root = Path(paths.evaluation(cell, suite))
    record = _json(root / "scores.json")
    if record is None or not (root / "scores.parquet").exists():
        return "missing"
    responses = _json(root / "responses.json") or {}
    # Records of earlier versions have no hashes.
    judged, there = (item.get("files", {}).get("responses.parquet") for item in (record, responses))
    current = record.get("judge_version") == JUDGE_VERSION and judged == there
    return "done" if answered == "done" and current else "outdated"


def tables_state(study: Study) -> str:
    """Return whether the tables are this study's and younger than all that they are made from."""
    tables = [Path(file) for file in paths.tables()]
    if not all(file.exists() for file in tables):
        return "missing"
    if f"\nStudy {study.name}. " not in Path(paths.table("capacity", "md")).read_text(encoding="utf-8"):
        return "outdated"
    return "outdated" if newer(study, min(file.stat().st_mtime for file in tables)) else "done"


def figures_state(study: Study) -> str:
    """Return whether the figures are younger than all that they are made from."""
    figures = [Path(file) for file in paths.figures()]
    if not all(file.exists() for file in figures):
        return "missing"
    return "outdated" if newer(study, min(file.stat().st_mtime for file in figures)) else "done"


def newer(study: Study, written: float) -> str | None:
    """Return the first record of a run or score that was written after a time, None where there is none."""
    read = [paths.run(run.cell, "run.json") for run in grid.runs(study)]
    read += [paths.evaluation(cell, suite, "scores.parquet") for cell, suite in grid.evaluations(study)]
    return next((file for file in read if Path(file).exists() and Path(file).stat().st_mtime > written), None)


def _matches(chosen: Filter, cell: grid.Cell) -> bool:
    pairs = ((getattr(chosen, axis), getattr(cell, axis)) for axis in Filter.model_fields)
    return all(wanted is None or value in wanted for wanted, value in pairs)


def _training(study: Study, cell: grid.Cell, found: dict[str, Last]) -> str:
    if cell.run is None:
        return _attempted(base_state(study, cell.model), "base-model", cell.model, found)
    return _attempted(run_state(study, cell.run), "train", cell.key, found)


def _evaluation(study: Study, cell: str, suite: str, trained: str, found: dict[str, Last]) -> str:
    key = f"{cell}/{suite}"
    answered = _attempted(responses_state(study, cell, suite, trained), "generate", key, found)
    if answered != "done":
        return answered
    scored = _attempted(scores_state(study, cell, suite, answered), "score", key, found)
    return "answered" if scored == "missing" else scored


def _attempted(state: str, command: str, key: str, found: dict[str, Last]) -> str:
    """Return a state that a record alone gives, or what the last attempt says where it is not done."""
    if state == "done":
        return state
    attempt = last(command, key)
    step = last_step(key) if command == "train" else 0
    at = f" (step {step})" if step else ""
    if attempt is not None and attempt.why == "running":
        return f"running{at}"
    if attempt is not None and attempt.why == "waiting":
        return "waiting"
    # A failed attempt leaves no result: what is there, is older.
    if state == "missing" and attempt is not None and attempt.why in (*FAILED, *STOPPED):
        found[f"{command} {key}"] = attempt
        return "failed" if attempt.why in FAILED else f"stopped{at}"
    return f"stopped{at}" if state == "missing" and step else state


def _is_asked(study: Study, cell: str, suite: str, record: dict[str, Any]) -> bool:
    """Whether responses are of the study's prompt, decoding and benchmarks, and of the checkpoints that are there."""
    spec, model = study.suites[suite], study.models[grid.model_of(cell)]
    try:
        # An option that is younger than the record takes its default.
        same = Decoding.model_validate(record["decoding"]) == spec.decoding
    except (ValidationError, KeyError):
        return False
    same = same and record.get("prompt_sha256") == prompt_sha256(study.prompt)
    same = same and record.get("pixels") == {"min": model.min_pixels, "max": model.max_pixels}
    same = same and list(record["benchmarks"]) == list(spec.benchmarks)
    for name, described in record["benchmarks"].items():
        manifest = _json(Path(paths.benchmark(name), "manifest.json"))
        same = same and (manifest is None or manifest["content_sha256"] == described["content_sha256"])
    return same and made_checkpoints(cell, spec.checkpoints == "trajectory") == {
        item["step"]: item["fingerprint"] for item in record["checkpoints"]
    }


def made_checkpoints(cell: str, trajectory: bool) -> dict[int | None, str]:
    """Return the fingerprints of a cell's checkpoints by step (None: the finished model), as their makers wrote them.

    Empty where there is no record.
    """
    record = _json(Path(grid.checkpoint_record(cell)))
    if record is None:
        return {}
    if trajectory:
        return {item["step"]: item["fingerprint"] for item in record.get("trajectory", ())}
    return {None: record["fingerprint"]}


def aligned(rows: list[list[str]]) -> list[str]:
    """Return rows of text as lines, the columns under each other."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _json(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RecordError(f"{path}: cannot be read ({error}); delete it and run the study again") from None
    return found
