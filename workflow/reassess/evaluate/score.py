"""Judges the responses of one evaluation and sums them up. Needs no GPU and neither torch nor vLLM."""

from __future__ import annotations

import itertools
import json
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from reassess import paths
from reassess.data.circular import question_id
from reassess.data.parquet import read_parquet, write_parquet
from reassess.data.shards import read_columns
from reassess.evaluate import official
from reassess.graph import Graph, Job
from reassess.judge import JUDGE_VERSION, Case, Judgement, Judges, follows_format
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
# What judging reads of responses.
READ = ("benchmark", "id", "sample", "step", "response", "finish_reason", "n_tokens")
# Responses that are judged, and in memory, together: with 4,096 tokens each, 16 KB, they are 16 MB.
BATCH = 1024
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
    examples = {name: read_columns(paths.benchmark(name), COLUMNS) for name in record["benchmarks"]}
    own, sums = official.Official(study, examples), Sums(study.circular)
    responses = read_parquet(root / "responses.parquet", READ)
    n = pq.read_metadata(root / "responses.parquet").num_rows
    rows = judged(responses, n, examples, own, study.prompt.format, workers)
    digest = write_parquet(root / "scores.parquet", map(sums.add, rows), SCORES)
    scores = {
        **{name: value for name, value in record.items() if name not in _OF_RESPONSES},
        "files": {"responses.parquet": read, "scores.parquet": digest},
        "provenance": provenance(),
        "spec": json.loads(job.spec),
        "judge_version": JUDGE_VERSION,
        "scores": sums.summaries(),
        "official": own.summaries(),
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


@dataclass
class _Sum:
    """What is kept of the rows of one benchmark, of one step of a trajectory."""

    n: int = 0
    failed: int = 0
    unscored: int = 0
    unparsed: int = 0
    truncated: int = 0
    format_ok: list[int] = field(default_factory=lambda: [0, 0])
    tokens: list[int] = field(default_factory=lambda: [0, 0])
    # By question and sample: False where a response was wrong, else None where one was not scored, else True.
    verdicts: dict[str, dict[int, bool | None]] = field(default_factory=dict)


class Sums:
    """Sums up score rows, one after the other.

    Args:
        circular: benchmarks whose questions were asked in several rotations, all of which have to be right.
    """

    def __init__(self, circular: Container[str] = ()) -> None:
        self._circular = circular
        self._sums: dict[str, _Sum] = {}

    def add(self, row: dict[str, Any]) -> dict[str, Any]:
        """Add a row of `SCORES`, and return it."""
        benchmark, step, correct = row["benchmark"], row["step"], row["correct"]
        found = self._sums.setdefault(benchmark if step is None else f"{benchmark}@{step}", _Sum())
        found.n += 1
        # Of a question asked in rotations, one that failed is not known to be right.
        id_ = question_id(row["id"]) if benchmark in self._circular else row["id"]
        samples = found.verdicts.setdefault(id_, {})
        samples[row["sample"]] = _and(samples.get(row["sample"], True), correct)
        if row["reason"] == FAILED:
            found.failed += 1
            return row
        found.unscored += correct is None
        found.unparsed += correct is False and row["answer"] is None
        found.truncated += row["truncated"] is True
        for total, value in ((found.format_ok, row["format_ok"]), (found.tokens, row["n_tokens"])):
            if value is not None:
                total[0] += value
                total[1] += 1
        return row

    def summaries(self) -> dict[str, dict[str, float | int | None]]:
        """Return the summary of each benchmark, or of each `{benchmark}@{step}` of a trajectory.

        Returns:
            By name: `n` (responses), `accuracy` (the mean over examples of the mean over their scored samples; None
            where nothing was scored), `format` (share of generated responses in the format), `unscored` (the judge
            could not tell), `failed` (generation failed), `unparsed` (wrong for want of an answer), `truncated`, and
            `mean_tokens` (over generated responses). What is known of no response is None, but for counts.
        """
        return {name: _summary(found) for name, found in self._sums.items()}


def summaries(
    rows: Iterable[dict[str, Any]], circular: Container[str] = ()
) -> dict[str, dict[str, float | int | None]]:
    """Return `Sums.summaries` of rows of `SCORES`, which may be a stream."""
    sums = Sums(circular)
    for row in rows:
        sums.add(row)
    return sums.summaries()


def _and(one: bool | None, other: bool | None) -> bool | None:
    """Whether both are right; None where that is not known."""
    return False if one is False or other is False else None if one is None or other is None else True


def _summary(found: _Sum) -> dict[str, float | int | None]:
    scored = ([said for said in samples.values() if said is not None] for samples in found.verdicts.values())
    return {
        "n": found.n,
        "accuracy": _mean(fmean(samples) for samples in scored if samples),
        "format": found.format_ok[0] / found.format_ok[1] if found.format_ok[1] else None,
        "unscored": found.unscored,
        "failed": found.failed,
        "unparsed": found.unparsed,
        "truncated": found.truncated,
        "mean_tokens": found.tokens[0] / found.tokens[1] if found.tokens[1] else None,
    }


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return fmean(found) if found else None


def _shown(value: float | int | None) -> str:
    return "-" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


def judged(
    responses: Iterable[dict[str, Any]],
    n: int,
    examples: Mapping[str, Mapping[str, dict[str, Any]]],
    own: official.Official,
    template: str | None,
    workers: int,
) -> Iterator[dict[str, Any]]:
    """Yield the verdicts of the judge and of the benchmarks' own rules, rows of `SCORES`, in the order of responses.

    Args:
        responses: rows of `generate.RESPONSES`, with `READ` at least.
        n: how many there are.
        examples: rows of benchmarks with `COLUMNS`, by benchmark and id.
        own: the rules of these benchmarks.
        template: the format that responses were asked for; None where they were asked by another prompt.
        workers: processes that judge.

    Raises:
        ScoreError: a response belongs to an example that the benchmark does not have.
    """
    rest = iter(responses)
    progress = Progress("judging", n, "responses")
    with Judges(workers) as judges:
        while some := list(itertools.islice(rest, BATCH)):
            for response, verdict in zip(some, _verdicts(some, examples, judges, progress), strict=True):
                yield _row(response, verdict, examples[response["benchmark"]][response["id"]], own, template)
    progress.close()


def _row(
    response: Mapping[str, Any],
    verdict: Judgement,
    example: Mapping[str, Any],
    own: official.Official,
    template: str | None,
) -> dict[str, Any]:
    failed = verdict.reason == FAILED
    row = {
        **{name: response[name] for name in ("benchmark", "sample", "step", "n_tokens")},
        **{name: example[name] for name in ("id", "source", "family", "difficulty", "kind", "gold")},
        "correct": verdict.correct,
        "answer": verdict.answer,
        "reason": verdict.reason,
        "format_ok": None if failed or template is None else follows_format(response["response"], template),
        # Not every harness writes down how a response ended.
        "truncated": None if response["finish_reason"] is None else response["finish_reason"] == "length",
    }
    own.judge(row, None if failed else response["response"])
    return row


def _verdicts(
    responses: list[dict[str, Any]],
    examples: Mapping[str, Mapping[str, dict[str, Any]]],
    judges: Judges,
    progress: Progress,
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
    verdicts = iter(judges.judge(asked, progress.update))
    failed = Judgement(None, None, FAILED)
    found = [failed if response["finish_reason"] == "error" else next(verdicts) for response in responses]
    progress.update(len(responses) - len(asked))
    return found
