"""What `reassess status` prints: cells against what is done, outdated, failed, running or missing."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from reassess import grid, identity, paths, slurm
from reassess.judge import JUDGE_VERSION
from reassess.prompts import prompt_sha256
from reassess.provenance import file_sha256
from reassess.records import read
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
    queued = {job.comment: job.state for job in slurm.queue()}
    rows, done = [], 0
    for cell in cells:
        row = [_training(study, cell, found, queued)]
        row += [
            _evaluation(study, cell.key, suite, row[0], found, queued) if (cell.key, suite) in evaluated else ""
            for suite in suites
        ]
        words = {state.split()[0] for state in row if state}
        is_done = words == {"done"}
        done += is_done
        if not states or (is_done and "done" in states) or words & (set(states) - {"done"}):
            rows.append([cell.key, *row])
    lines = aligned([["cell", "checkpoint", *suites], *rows]) if rows else []
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
    record = read(Path(paths.model(model), "manifest.json"), spec=dict, fingerprint=str)
    if record is None:
        return "missing"
    return "done" if record["spec"] == json.loads(identity.model_spec(study, model)) else "outdated"


def run_state(study: Study, run: grid.Run) -> str:
    """Return whether a run, and all that it was trained from, is what the study asks for now."""
    record = read(Path(paths.run(run.cell, "run.json")), spec=dict, parent=dict, fingerprint=str)
    if record is None:
        return "missing"
    if record["spec"] != json.loads(identity.stage_spec(study, run.model, run.stage)):
        return "outdated"
    parent = read(Path(run.parent_record), fingerprint=str)
    if parent is None or parent["fingerprint"] != record["parent"].get("fingerprint"):
        return "outdated"
    above = run_state(study, run.parent) if run.parent else base_state(study, run.model)
    return "done" if above == "done" else "outdated"


def responses_state(study: Study, cell: str, suite: str, trained: str) -> str:
    """Return whether the responses of a cell whose checkpoint is `trained` are what the study asks for now."""
    root = Path(paths.evaluation(cell, suite))
    record = read(root / "responses.json", decoding=dict, benchmarks=dict, checkpoints=list)
    if record is None or not (root / "responses.parquet").exists():
        return "missing"
    wanted = json.loads(identity.suite_spec(study, grid.model_of(cell), suite))
    asked = record.get("spec") in (None, wanted) and _is_asked(study, cell, suite, record)
    return "done" if trained == "done" and asked else "outdated"


def scores_state(study: Study, cell: str, suite: str, answered: str) -> str:
    """Return whether the scores of a cell whose responses are `answered` are there and by the present judge."""
    root = Path(paths.evaluation(cell, suite))
    record = read(root / "scores.json")
    if record is None or not (root / "scores.parquet").exists():
        return "missing"
    responses = read(root / "responses.json") or {}
    # Records of earlier versions have no hashes.
    judged, there = ((item.get("files") or {}).get("responses.parquet") for item in (record, responses))
    current = record.get("judge_version") == JUDGE_VERSION and judged == there
    current = current and record.get("score_spec") in (None, json.loads(identity.score_spec(study, suite)))
    return "done" if answered == "done" and current else "outdated"


def examples_state(wanted: str, folder: str) -> str:
    """Return whether a pool or benchmark is there and of the sources `wanted`, as `identity.pool_spec` has them."""
    record = read(Path(folder, "manifest.json"))
    if record is None or not Path(folder, "shards").exists():
        return "missing"
    # Records of earlier versions have no `spec`, here and below.
    return "done" if record.get("spec") in (None, json.loads(wanted)) else "outdated"


def subset_state(pool: str, seed: int, size: int) -> str:
    """Return whether a subset is there and drawn from the pool as it is now."""
    record = read(Path(paths.subset(pool, seed, size)), pool_content_sha256=str)
    if record is None:
        return "missing"
    made = read(Path(paths.pool(pool, "manifest.json")), content_sha256=str)
    return "done" if made is None or made["content_sha256"] == record["pool_content_sha256"] else "outdated"


def report_state(study: Study, kind: Literal["tables", "figures"]) -> str:
    """Return whether tables or figures are those of this study and of the results that are there."""
    files = paths.tables() if kind == "tables" else paths.figures()
    if not all(Path(file).exists() for file in files):
        return "missing"
    return "outdated" if stale(study, kind) else "done"


def stale(study: Study, kind: Literal["tables", "figures"]) -> str | None:
    """Return why tables or figures, whose record is there, are not current; None where they are."""
    path = Path(paths.report(kind))
    record = read(path, spec=dict, made_from=dict, files=dict) or {}
    if record["spec"] != json.loads(identity.report_spec(study)):
        same = record.get("study") == study.name
        return "made with other options" if same else f"of another study than {study.name}"
    made_from = record["made_from"]
    there = [file for file in grid.results(study) if Path(file).exists()]
    if lacking := next((file for file in there if file not in made_from), None):
        return f"made without {lacking}"
    if gone := next((file for file in made_from if file not in there), None):
        return f"made from {gone}, which is not there or not part of the study"
    written = path.stat().st_mtime
    # What was made again may have come out the same.
    newer = (file for file in there if Path(file).stat().st_mtime > written)
    changed = next((file for file in newer if file_sha256(file) != made_from[file]), None)
    return f"made from an earlier {changed}" if changed else None


def _matches(chosen: Filter, cell: grid.Cell) -> bool:
    pairs = ((getattr(chosen, axis), getattr(cell, axis)) for axis in Filter.model_fields)
    return all(wanted is None or value in wanted for wanted, value in pairs)


def _training(study: Study, cell: grid.Cell, found: dict[str, Last], queued: Mapping[str, str]) -> str:
    if cell.run is None:
        return _attempted(base_state(study, cell.model), "base-model", cell.model, found, queued)
    return _attempted(run_state(study, cell.run), "train", cell.key, found, queued)


def _evaluation(
    study: Study, cell: str, suite: str, trained: str, found: dict[str, Last], queued: Mapping[str, str]
) -> str:
    key = f"{cell}/{suite}"
    answered = _attempted(responses_state(study, cell, suite, trained), "generate", key, found, queued)
    if answered != "done":
        return answered
    scored = _attempted(scores_state(study, cell, suite, answered), "score", key, found, queued)
    return "answered" if scored == "missing" else scored


def _attempted(state: str, command: str, key: str, found: dict[str, Last], queued: Mapping[str, str]) -> str:
    """Return a state that a record alone gives, or what the last attempt and Slurm say where it is not done."""
    if state == "done":
        return state
    attempt = last(command, key)
    step = 0
    if command == "train":
        # An attempt that came to its end says where it stands; of one that works, the log may be behind.
        ended = attempt.attempt.end_step if attempt is not None and not attempt.attempt.is_success else None
        begun = attempt.attempt.start_step if attempt is not None else 0
        step = ended or max(last_step(key), begun)
    at = f" (step {step})" if step else ""
    if attempt is not None and attempt.why == "running":
        return f"running{at}"
    in_queue = queued.get(comment(command, key))
    if in_queue == "PENDING" or (in_queue is None and attempt is not None and attempt.why == "waiting"):
        return "waiting"
    if in_queue == "RUNNING":
        # Its command is about to start.
        return f"running{at}"
    # A failed attempt leaves no result: what is there, is older.
    if state == "missing" and attempt is not None and attempt.why in (*FAILED, *STOPPED):
        found[f"{command} {key}"] = attempt
        return "failed" if attempt.why in FAILED else f"stopped{at}"
    return f"stopped{at}" if state == "missing" and step else state


def comment(command: str, key: str) -> str:
    """Return what the executor writes on the Slurm job of a command: its rule and its wildcards."""
    if command == "train":
        model, pool, seed, rest = key.split("/", 3)
        key = "/".join((model, pool, seed.removeprefix("seed"), rest))
    return f"rule_{command.replace('-', '_')}_wildcards_{key.replace('/', '_')}"


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
        manifest = read(Path(paths.benchmark(name), "manifest.json"), content_sha256=str)
        same = same and (manifest is None or manifest["content_sha256"] == described["content_sha256"])
    return same and made_checkpoints(cell, spec.checkpoints == "trajectory") == {
        item["step"]: item["fingerprint"] for item in record["checkpoints"]
    }


def made_checkpoints(cell: str, trajectory: bool) -> dict[int | None, str]:
    """Return the fingerprints of a cell's checkpoints by step (None: the finished model), as their makers wrote them.

    Empty where there is no record.
    """
    record = read(Path(grid.checkpoint_record(cell)), fingerprint=str)
    if record is None:
        return {}
    if trajectory:
        return {item["step"]: item["fingerprint"] for item in record.get("trajectory", ())}
    return {None: record["fingerprint"]}


def aligned(rows: list[list[str]]) -> list[str]:
    """Return rows of text as lines, the columns under each other."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
