"""Writes the responses of a cell to a suite in the layout of lm-eval, for tools that read its logs.

Source: EleutherAI/lm-evaluation-harness, lm_eval/loggers/evaluation_tracker.py (names of files, how samples are written
and hashed) and lm_eval/evaluator.py (keys of results and samples). A sample has two keys that lm-eval has not,
`finish_reason` and `n_tokens`, each with one value per response.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pyarrow.parquet as pq

from reassess import paths
from reassess.data.shards import read_columns
from reassess.graph import Graph, Job
from reassess.prompts import question_text
from reassess.work import records

_COLUMNS = ("id", "question", "options", "gold", "kind", "family")
_METRIC, _FILTER = "acc", "none"


class ExportError(ValueError):
    """Results that cannot be written for others: the message names them and says why."""


def export(graph: Graph, job: Job, to: Path) -> list[Path]:
    """Write `results_<date>.json` and a `samples_<benchmark>_<date>.jsonl` per benchmark, and return their paths.

    The date is that of scores.json, so that the same results give the same files.

    Args:
        graph: the study.
        job: the scoring.
        to: the directory.

    Raises:
        ExportError: there are no scores, or they are of checkpoints on the way.
    """
    if graph.study.suites[job.at.suite].checkpoints == "trajectory":
        raise ExportError(f"{job.key}: a suite of checkpoints on the way, which lm-eval's files have no place for")
    folder = Path(job.record).parent
    record = records.read(job.record, benchmarks=dict, scores=dict, decoding=dict)
    if record is None:
        raise ExportError(f"{job.record}: not there; make it first: reassess score {job.key}")
    made = datetime.fromtimestamp(Path(job.record).stat().st_mtime, UTC)
    date = made.replace(tzinfo=None).isoformat(timespec="microseconds").replace(":", "-")
    said = _by_question(folder / "responses.parquet")
    verdicts = _by_question(folder / "scores.parquet")
    written, hashes, numbers = [], {}, {}
    for benchmark in record["benchmarks"]:
        examples = read_columns(paths.benchmark(benchmark), _COLUMNS)
        samples = [
            _sample(graph, record, number, example, said[benchmark, id_], verdicts[benchmark, id_])
            for number, (id_, example) in enumerate(examples.items())
            if (benchmark, id_) in said
        ]
        file = to / f"samples_{benchmark}_{date}.jsonl"
        records.write_lines(file, samples)
        written.append(file)
        hashes[benchmark] = _sha256(
            "".join(item["doc_hash"] + item["prompt_hash"] + item["target_hash"] for item in samples)
        )
        numbers[benchmark] = _numbers(samples, len(examples))
        if benchmark in graph.study.circular:
            # Of samples that are rotations the mean is another number than the share of questions.
            numbers[benchmark]["results"] = _accuracy(record["scores"][benchmark]["accuracy"], "N/A")
    results = to / f"results_{date}.json"
    records.write(results, _results(graph, job, record, numbers) | {"task_hashes": hashes, "date": made.timestamp()})
    return [results, *written]


def _by_question(file: Path) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Return the rows of responses or scores by benchmark and id, samples in order. Raises ExportError."""
    if not file.is_file():
        raise ExportError(f"{file}: not there; run the study again, then export")
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in pq.read_table(file).to_pylist():
        found.setdefault((row["benchmark"], row["id"]), []).append(row)
    return {key: sorted(rows, key=lambda row: row["sample"]) for key, rows in found.items()}


def _sample(
    graph: Graph,
    record: Mapping[str, Any],
    number: int,
    example: Mapping[str, Any],
    said: list[dict[str, Any]],
    verdicts: list[dict[str, Any]],
) -> dict[str, Any]:
    """Return one question as lm-eval logs it. What was not scored has no accuracy."""
    doc = {name: example[name] for name in _COLUMNS}
    prompt = question_text(example["question"], example["options"] or (), graph.study.prompt)
    texts = [row["response"] for row in said]
    scored = [float(row["correct"]) for row in verdicts if row["correct"] is not None]
    return {
        "doc_id": number,
        "doc": doc,
        "target": example["gold"],
        "arguments": {"gen_args_0": {"arg_0": prompt, "arg_1": _generation(record["decoding"])}},
        "resps": [texts],
        "filtered_resps": [texts[0] if len(texts) == 1 else texts],
        "filter": _FILTER,
        "metrics": [_METRIC],
        "doc_hash": _sha256(json.dumps(doc, indent=2, ensure_ascii=False)),
        "prompt_hash": _sha256(prompt),
        "target_hash": _sha256(example["gold"]),
        _METRIC: fmean(scored) if scored else None,
        "finish_reason": [row["finish_reason"] for row in said],
        "n_tokens": [row["n_tokens"] for row in said],
    }


def _generation(decoding: Mapping[str, Any]) -> dict[str, Any]:
    """Return decoding under lm-eval's names."""
    renamed = {"stop": "until", "max_tokens": "max_gen_toks"}
    drawn = {"do_sample": decoding.get("temperature", 0) > 0}
    return {renamed.get(name, name): value for name, value in decoding.items() if name != "n"} | drawn


def _numbers(samples: list[dict[str, Any]], original: int) -> dict[str, Any]:
    """Return the results of one benchmark as lm-eval names them, and how many questions there are."""
    values = [item[_METRIC] for item in samples if item[_METRIC] is not None]
    error = stdev(values) / math.sqrt(len(values)) if len(values) > 1 else "N/A"
    return {
        "results": _accuracy(fmean(values) if values else None, error),
        "n-samples": {"original": original, "effective": len(samples)},
    }


def _accuracy(mean: float | None, error: float | str) -> dict[str, Any]:
    return {f"{_METRIC},{_FILTER}": mean, f"{_METRIC}_stderr,{_FILTER}": error}


def _results(graph: Graph, job: Job, record: Mapping[str, Any], numbers: Mapping[str, Any]) -> dict[str, Any]:
    decoding = record["decoding"]
    provenance = record.get("provenance") or {}
    return {
        "results": {name: {"alias": name, **found["results"]} for name, found in numbers.items()},
        "group_subtasks": {name: [] for name in numbers},
        "configs": dict(_configs(numbers, decoding)),
        "versions": dict.fromkeys(numbers, f"judge {record['judge_version']}"),
        "n-shot": dict.fromkeys(numbers, 0),
        "higher_is_better": {name: {_METRIC: True} for name in numbers},
        "n-samples": {name: found["n-samples"] for name, found in numbers.items()},
        "config": {
            "model": (record.get("engine") or {}).get("name"),
            "model_args": {"checkpoints": record.get("checkpoints"), "cell": job.at.cell},
            "gen_kwargs": _generation(decoding),
            "random_seed": graph.study.seed,
        },
        "git_hash": provenance.get("commit"),
        "model_source": "reassess",
        "model_name": job.at.cell,
        # lm-eval's sanitize_model_name keeps these characters alone.
        "model_name_sanitized": "".join(c if c.isalnum() or c in "-._" else "__" for c in job.at.cell),
        "system_instruction": graph.study.prompt.system,
    }


def _configs(numbers: Mapping[str, Any], decoding: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in numbers:
        yield (
            name,
            {
                "task": name,
                "output_type": "generate_until",
                "repeats": decoding.get("n", 1),
                "generation_kwargs": _generation(decoding),
                "metric_list": [{"metric": _METRIC, "aggregation": "mean", "higher_is_better": True}],
            },
        )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
