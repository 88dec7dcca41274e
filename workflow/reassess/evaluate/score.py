"""Judges the responses of one evaluation and sums them up. Needs no GPU and neither torch nor vLLM."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from reassess import paths
from reassess.data.circular import question_id
from reassess.data.shards import read_columns
from reassess.evaluate import official
from reassess.evaluate.write import write_parquet
from reassess.graph import Graph, Job
from reassess.judge import JUDGE_VERSION, Case, Judgement, follows_format, judge_many
from reassess.study.study import Study
from reassess.work import records
from reassess.work.progress import Progress
from reassess.work.provenance import provenance
from reassess.work.records import file_sha256

SCORES = pa.schema(
    [
        ("benchmark", pa.string()),
        ("id", pa.string()),
        ("sample", pa.int64()),
        ("step", pa.int64()),
        ("source", pa.string()),
        ("family", pa.string()),
        ("difficulty", pa.int64()),
        ("kind", pa.string()),
        ("gold", pa.string()),
        ("correct", pa.bool_()),
        ("answer", pa.string()),
        ("reason", pa.string()),
        ("official", pa.bool_()),
        ("official_answer", pa.string()),
        ("official_reason", pa.string()),
        ("format_ok", pa.bool_()),
        ("truncated", pa.bool_()),
        ("n_tokens", pa.int64()),
    ]
)
FAILED = "generation failed"
# What judging reads of a benchmark's examples.
COLUMNS = ("id", "source", "family", "difficulty", "kind", "gold", "options", "metadata")
# Of the generation alone; `provenance` here is the scoring's own.
_OF_RESPONSES = ("seconds", "cpu_seconds", "costs", "provenance")


class ScoreError(ValueError):
    """Responses that do not fit their benchmark: the message names both."""


def score(graph: Graph, job: Job, workers: int = 1) -> None:
    """Write `scores.parquet` and, last, `scores.json` beside the responses of a cell to a suite.

    Args:
        graph: the study.
        job: the scoring.
        workers: processes that judge.

    Raises:
        ScoreError: there are no responses, or one belongs to an example that the benchmark does not have.
        RuleError: the answers of a judge model cannot be read.
    """
    study, cell = graph.study, job.at.cell
    root = Path(job.record).parent
    record = records.read(root / "responses.json", benchmarks=dict)
    if record is None:
        raise ScoreError(f"{root / 'responses.json'}: not there; make it first: reassess generate {job.key}")
    read = file_sha256(root / "responses.parquet")
    responses = pq.read_table(root / "responses.parquet").to_pylist()
    examples = {name: read_columns(paths.benchmark(name), COLUMNS) for name in record["benchmarks"]}
    rows = judged(study, responses, examples, study.prompt.format, workers)
    digest = write_parquet(root / "scores.parquet", rows, SCORES)
    scores = {
        **{name: value for name, value in record.items() if name not in _OF_RESPONSES},
        "files": {"responses.parquet": read, "scores.parquet": digest},
        "provenance": provenance(),
        "spec": json.loads(job.spec),
        "judge_version": JUDGE_VERSION,
        "scores": summaries(rows, study.circular),
        "official": official.summaries(study, rows, examples),
    }
    records.write(job.record, scores)
    say(cell, scores)


def say(whose: str, scores: Mapping[str, Any]) -> None:
    """Print the sums of scores.json, a line per benchmark and per rule."""
    for name, found in scores["scores"].items():
        print(f"{whose} {name}: " + ", ".join(f"{what} {_shown(value)}" for what, value in found.items()), flush=True)
    for name, found in scores["official"].items():
        print(
            f"{whose} {name}: by the rule of {found['rule']} accuracy {found['accuracy']:.3f}, "
            f"{found['disagree']} unlike the judge, {found['undecided']} undecided",
            flush=True,
        )


def summaries(
    rows: Iterable[dict[str, Any]], circular: Container[str] = ()
) -> dict[str, dict[str, float | int | None]]:
    """Return the summary of each benchmark, or of each `{benchmark}@{step}` of a trajectory.

    Args:
        rows: rows of `SCORES`.
        circular: benchmarks whose questions were asked in several rotations, all of which have to be right.

    Returns:
        By name: `n` (responses), `accuracy` (the mean over examples of the mean over their scored samples; None where
        nothing was scored), `format` (share of generated responses in the format), `unscored` (the judge could not
        tell), `failed` (generation failed), `unparsed` (wrong for want of an answer), `truncated`, and
        `mean_tokens` (over generated responses). What is known of no response is None, but for counts.
    """
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["benchmark"] if row["step"] is None else f"{row['benchmark']}@{row['step']}"].append(row)
    return {name: _summary(group, group[0]["benchmark"] in circular) for name, group in groups.items()}


def _summary(rows: list[dict[str, Any]], is_circular: bool) -> dict[str, float | int | None]:
    generated = [row for row in rows if row["reason"] != FAILED]
    said: dict[tuple[str, int], list[bool | None]] = defaultdict(list)
    # Of a question asked in rotations, one that failed is not known to be right.
    for row in rows:
        said[question_id(row["id"]) if is_circular else row["id"], row["sample"]].append(row["correct"])
    by_example: dict[str, list[bool]] = defaultdict(list)
    for (id_, _), verdicts in said.items():
        scored = [verdict for verdict in verdicts if verdict is not None]
        if len(scored) == len(verdicts) or False in scored:
            by_example[id_].append(all(scored))
    return {
        "n": len(rows),
        "accuracy": _mean(fmean(samples) for samples in by_example.values()),
        "format": _mean(row["format_ok"] for row in generated),
        "unscored": sum(row["correct"] is None for row in generated),
        "failed": len(rows) - len(generated),
        "unparsed": sum(row["correct"] is False and row["answer"] is None for row in generated),
        "truncated": sum(row["truncated"] is True for row in generated),
        "mean_tokens": _mean(row["n_tokens"] for row in generated),
    }


def _mean(values: Iterable[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return fmean(found) if found else None


def _shown(value: float | int | None) -> str:
    return "-" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


def judged(
    study: Study,
    responses: list[dict[str, Any]],
    examples: Mapping[str, Mapping[str, dict[str, Any]]],
    template: str | None,
    workers: int,
) -> list[dict[str, Any]]:
    """Return the verdicts of the judge and of the benchmarks' own rules, rows of `SCORES`, in the order of responses.

    Args:
        study: the study.
        responses: rows of `generate.RESPONSES`.
        examples: rows of benchmarks with `COLUMNS`, by benchmark and id.
        template: the format that responses were asked for; None where they were asked by another prompt.
        workers: processes that judge.

    Raises:
        ScoreError: a response belongs to an example that the benchmark does not have.
        RuleError: the answers of a judge model cannot be read.
    """
    verdicts = _verdicts(responses, examples, workers)
    rows = []
    for response, verdict in zip(responses, verdicts, strict=True):
        example = examples[response["benchmark"]][response["id"]]
        failed = verdict.reason == FAILED
        rows.append(
            {
                **{name: response[name] for name in ("benchmark", "id", "sample", "step", "n_tokens")},
                **{name: example[name] for name in ("source", "family", "difficulty", "kind", "gold")},
                "correct": verdict.correct,
                "answer": verdict.answer,
                "reason": verdict.reason,
                **dict.fromkeys(("official", "official_answer", "official_reason")),
                "format_ok": None if failed or template is None else follows_format(response["response"], template),
                # Not every harness writes down how a response ended.
                "truncated": None if response["finish_reason"] is None else response["finish_reason"] == "length",
            }
        )
    said = [None if response["finish_reason"] == "error" else response["response"] for response in responses]
    official.add_verdicts(study, rows, said, examples)
    return rows


def _verdicts(
    responses: list[dict[str, Any]], examples: Mapping[str, Mapping[str, dict[str, Any]]], workers: int
) -> list[Judgement]:
    """Return the judge's verdict on each response, `FAILED` where generation failed."""
    asked = []
    for response in responses:
        example = examples[response["benchmark"]].get(response["id"])
        if example is None:
            raise ScoreError(
                f"{response['id']!r}: answered, but not in {paths.benchmark(response['benchmark'])}; "
                "the benchmark was built anew after generation: generate again"
            )
        if response["finish_reason"] != "error":
            options = tuple(example["options"] or ()) or None
            asked.append(Case(response["response"], example["gold"], example["kind"], options))
    progress = Progress("judging", len(asked), "responses")
    verdicts = iter(judge_many(asked, workers, progress.update))
    progress.close()
    failed = Judgement(None, None, FAILED)
    return [failed if response["finish_reason"] == "error" else next(verdicts) for response in responses]
