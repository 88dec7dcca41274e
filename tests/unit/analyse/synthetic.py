"""A study with synthetic results: the files that jobs would leave, with scores that a test chooses."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from reassess import paths
from reassess.evaluate.score import SCORES
from reassess.graph import Graph, Job, parse

Correct = Callable[[str, int | None, str, int], list[bool | None]]
"""(cell key, step, benchmark, items) -> whether each item is correct."""


class Said(NamedTuple):
    """What is known of a response beside its verdict; one without a format is one whose generation failed."""

    n_tokens: int = 12
    truncated: bool = False
    format_ok: bool | None = True


Lengths = Callable[[str, str, int], Said]
"""(cell key, benchmark, item) -> the response."""


def make_study(**changes: Any) -> Graph:
    """Two models, two seeds, two sizes; the recipe `sft-grpo` keeps two checkpoints."""
    toy: dict[str, Any] = {"kind": "toy", "n": 40}
    fields: dict[str, Any] = {
        "name": "synthetic",
        "models": {"m1": {"toy": {"size": "xs"}}, "m2": {"toy": {"size": "s"}}},
        "pools": {"pool": {"sources": [toy]}},
        "sizes": [10, 20],
        "seeds": [1, 2],
        "stages": {
            "sft": {"kind": "sft", "batch_size": 2},
            "grpo": {
                "kind": "grpo",
                "batch_size": 8,
                "rewards": {"accuracy": 1.0, "format": 0.5},
                "trajectory": 2,
                "args": {"num_generations": 4},
            },
        },
        "recipes": {"base": [], "sft": ["sft"], "sft-grpo": ["sft", "grpo"]},
        "benchmarks": {
            "vis-a": {"sources": [{**toy, "split": "test"}]},
            "vis-b": {"sources": [{**toy, "split": "test", "ood": True}]},
            "txt": {"modality": "text", "sources": [{**toy, "split": "test", "text_only": True}]},
        },
        "suites": {
            "main": {"benchmarks": ["vis-a", "vis-b", "txt"]},
            "held-out": {"checkpoints": "trajectory", "benchmarks": ["vis-a"]},
        },
        "report": {"resamples": 200},
    }
    return parse({**fields, **changes}, "synthetic.yaml")


def small_study(**changes: Any) -> Graph:
    """One model, one seed, one size, one recipe, one visual benchmark."""
    fields: dict[str, Any] = {
        "models": {"m1": {"toy": {"size": "xs"}}},
        "sizes": [10],
        "seeds": [1],
        "stages": {"sft": {"kind": "sft", "batch_size": 2}},
        "recipes": {"base": [], "sft": ["sft"]},
        "benchmarks": {"vis-a": {"sources": [{"kind": "toy", "n": 40, "split": "test"}]}},
        "suites": {"main": {"benchmarks": ["vis-a"]}},
    }
    return make_study(**{**fields, **changes})


def sets_study(**changes: Any) -> Graph:
    """Two models that SFT trains on what a teacher wrote and on the data's own rationales, and what is compared."""
    asks = {"kind": "distill", "model": "t", "on": "pool", "samples": 2, "temperature": 1.0, "max_tokens": 8}
    fields: dict[str, Any] = {
        "teachers": {"t": {"toy": {"size": "s", "steps": 900}}},
        "pools": {"pool": {"sources": [{"kind": "toy", "n": 40}], "only_with": ["traces"]}},
        "examples": {"traces": asks, "short": {"kind": "where", "on": "traces", "words": [0, 9]}},
        "recipes": {
            "base": [],
            "sft": ["sft"],
            "distilled": [{"by": "sft", "on": "traces"}],
            "short": [{"by": "sft", "on": "short"}],
            "sft-grpo": ["sft", "grpo"],
        },
        "other_data": ["short"],
        "contrasts": {
            "headline": {"a": {"recipe": "sft", "size": 10}, "b": {"recipe": "sft-grpo", "size": 20}},
            "gain": {"a": {"recipe": "distilled", "size": 20, "model": "m2"}, "b": {"recipe": "base"}},
            "across": {
                "a": {"recipe": "sft", "size": 10, "model": "m1"},
                "b": {"recipe": "sft-grpo", "size": 10, "model": "m2"},
            },
        },
        "report": {"resamples": 200, "in_distribution": ["vis-a"]},
    }
    return make_study(**{**fields, **changes})


def random_scores(cell: str, step: int | None, benchmark: str, n: int) -> list[bool | None]:
    """Plausible scores: the base at 30%, SFT at 50%, RL at 60%, sizes and benchmarks apart by some points."""
    rng = np.random.default_rng([len(cell), sum(cell.encode()), step or 0, sum(benchmark.encode())])
    rate = 0.3 + 0.2 * ("sft" in cell) + 0.1 * ("grpo" in cell) + 0.05 * ("@20" in cell) - 0.1 * (benchmark == "vis-b")
    return [bool(value) for value in rng.random(n) < rate]


def same_length(cell: str, benchmark: str, item: int) -> Said:
    """Every response has twelve tokens; the last of forty was cut."""
    return Said(truncated=item == 39)


def write_results(graph: Graph, correct: Correct = random_scores, n: int = 40, lengths: Lengths = same_length) -> None:
    """Write every record of a finished study under the current directory.

    Item i of a benchmark has family f0 or f1 by parity and difficulty 1 + i % 3; its gold is "7" where i % 4 < 2 or
    i % 8 == 2, else the item's number.
    """
    for job in graph.of("model"):
        write(job, {"fingerprint": f"base-{job.key}"})
    for job in graph.of("examples"):
        write_set(graph, job)
    for job in graph.of("train"):
        write_run(graph, job)
    for job in graph.of("generate"):
        if job.at.cell:
            write_evaluation(graph, job, correct, n, lengths)
    for job in graph.of("measure"):
        write_measure(graph, job)


def write_set(graph: Graph, job: Job) -> None:
    """Write the manifest of a set: of 40 questions 30 are kept where a model was asked, half of them of each family."""
    half = {"asked": 20, "solved": 16, "samples": 40, "judged": 40, "right": 20, "tokens": 400, "kept": 15}
    half["rationales"] = 15
    asked = {
        **{name: 2 * count for name, count in half.items()},
        "cell": "t/base",
        "costs": {"seconds": 5.0},
        "ended": {"stop": 79, "length": 1},
        "by": {"family": {"f0": half, "f1": half}},
    }
    was_asked = bool(graph.needed(job, "generate"))
    record = {
        "n": 30 if was_asked else 20,
        "content_sha256": f"content {job.key}",
        "dropped": {"no response is right": 8, "no response has reasoning before an answer": 2}
        if was_asked
        else {"not 0 to 9 words": 10},
        "read": {},
        "seconds": 2.5,
    }
    write(job, record | ({"asked": asked} if was_asked else {}))


def write_run(graph: Graph, job: Job) -> None:
    """Write run.json and metrics.jsonl of one training."""
    run = graph.runs[job.key]
    steps = [10 * (i + 1) for i in range(graph.stage(job).keeps)]
    lines = [
        {"step": step, "loss": 1.0, "reward": step / 20, "rewards/accuracy/mean": step / 40} for step in range(5, 21, 5)
    ]
    record = {
        "fingerprint": f"fp {run.key}",
        "parents": [{"fingerprint": f"fp {key}" if key in graph.runs else f"base-{run.model}"} for key in run.parents],
        "subset": {"ids_sha256": f"ids {run.seed} {run.size}", "content_sha256": f"content {run.seed} {run.size}"},
        "trained_ids_sha256": f"trained {run.seed} {run.size}",
        "put_aside": {"too long": 1},
        "prompt_sha256": "prompt",
        "pixels": {"min": None, "max": None},
        "judge_version": 1,
        "steps_planned": 20,
        "steps_done": 20,
        "samples_seen": (run.size or 0) * run.seed,
        "tokens_seen": 1000 * (run.size or 0),
        "work": {"samples": (run.size or 0) * run.seed, "tokens": 1000 * (run.size or 0), "flops": 10**12},
        "seconds": 100.0,
        "cpu_seconds": 200.0,
        "device": "cpu",
        "trajectory": [{"step": step, "fingerprint": f"fp {run.key} {step}"} for step in steps],
    }
    write(job, record)
    Path(paths.run(run.key, "metrics.jsonl")).write_text("".join(json.dumps(line) + "\n" for line in lines))


def write_evaluation(graph: Graph, job: Job, correct: Correct, n: int, lengths: Lengths) -> None:
    """Write responses.json, scores.parquet and scores.json of one cell and suite."""
    key, suite = job.at.cell, job.at.suite
    spec = graph.study.suites[suite]
    steps: list[int | None] = [None]
    if spec.checkpoints == "trajectory":
        steps = [10 * (i + 1) for i in range(graph.study.all_stages[graph.runs[key].stage].keeps)]
    rows, counts, checkpoints = [], {}, []
    cell = graph.cell(key)
    made = f"base-{cell.model}" if cell.is_control else f"fp {key}"
    for step in steps:
        checkpoints.append({"step": step, "path": "model", "fingerprint": made if step is None else f"{made} {step}"})
        for benchmark in spec.benchmarks:
            values = correct(key, step, benchmark, n)
            said = [lengths(key, benchmark, i) for i in range(n)]
            rows += [_row(benchmark, step, i, value, said[i]) for i, value in enumerate(values)]
            name = benchmark if step is None else f"{benchmark}@{step}"
            unscored = sum(value is None for value in values)
            cut = sum(response.truncated for response in said)
            counts[name] = {"n": n, "unscored": unscored, "unparsed": 2, "truncated": cut}
    record = {
        "cell": key,
        "suite": suite,
        "model": cell.model,
        "checkpoints": checkpoints,
        "engine": {"name": "transformers", "version": "5.16"},
        "decoding": {"temperature": 0.0, "max_tokens": 64},
        "think": cell.think,
        "prefill": "<think>" if cell.think else "",
        "prompt_sha256": "prompt",
        "pixels": {"min": None, "max": None},
        "benchmarks": {name: {"n": n, "content_sha256": f"content {name}"} for name in spec.benchmarks},
        "put_aside": {},
        "files": {"responses.parquet": f"responses {key}"},
    }
    write(job, record)
    Path(job.outputs[1]).touch()
    pq.write_table(pa.Table.from_pylist(rows, schema=SCORES), paths.evaluation(job.key, "scores.parquet"))
    write(graph["score", job.key], {**record, "judge_version": 1, "scores": counts})


def write_measure(graph: Graph, job: Job) -> None:
    """Write measure.json and values.parquet: in four examples 2 nats per token of the base model, 1 of what was trained
    with seed 1, and so on, and a half more in every other one."""
    cell = graph.cell(job.at.cell)
    start = 2.0 if cell.is_control else float(cell.seed or 0)
    rows = [{"id": f"e{i}", "nll": start + 0.5 * (i % 2), "tokens": 10 + i, "sum": 10.0} for i in range(4)]
    Path(job.record).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), job.outputs[1])
    record = {
        "model": cell.model,
        "checkpoint": {"fingerprint": f"base-{cell.model}" if cell.is_control else f"fp {cell.key}"},
        "engine": {"name": "transformers", "version": "5.16"},
        "prompt_sha256": "prompt",
        "pixels": {"min": None, "max": None},
        "read": {},
        "values": {"n": 4},
        "put_aside": {"no rationale": 2} if cell.seed == 1 else {},
    }
    write(job, record)


def write(job: Job, record: dict[str, Any]) -> None:
    """Write the record of a job, of what the study asks for."""
    path = Path(job.record)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**record, "spec": json.loads(job.spec)}))


def edit_json(path: str, **changes: Any) -> None:
    """Change keys of a JSON file; a key with dots goes into nested mappings."""
    record = json.loads(Path(path).read_text())
    for key, value in changes.items():
        inner = record
        *parents, last = key.split("__")
        for parent in parents:
            inner = inner[int(parent) if isinstance(inner, list) else parent]
        inner[last] = value
    Path(path).write_text(json.dumps(record))


def _row(benchmark: str, step: int | None, i: int, correct: bool | None, said: Said) -> dict[str, Any]:
    common = i % 4 < 2 or i % 8 == 2
    return {
        "benchmark": benchmark,
        "id": f"{benchmark}-{i}",
        "sample": 0,
        "step": step,
        "source": "toy",
        "family": f"f{i % 2}",
        "difficulty": 1 + i % 3,
        "kind": "numeric",
        "gold": "7" if common else f"other {i}",
        "correct": correct,
        "answer": "7",
        "reason": "equal",
        **said._asdict(),
    }


def first(correct: dict[str, int], other: int = 0) -> Correct:
    """The first k of the items are correct, k by the last stage of the cell."""

    def scores(cell: str, step: int | None, benchmark: str, n: int) -> list[bool | None]:
        k = correct.get(cell.split("/")[-1].split("@")[0], other)
        return [i < k for i in range(n)]

    return scores


def row(name: str, method: str, partial: bool = False, block: str = "", at: int = 0) -> list[str]:
    """The entries of the row of a method, without its name; of several such rows the one `at`."""
    text = Path(paths.table(name, "md", partial)).read_text()
    lines = text[text.index(block) :].splitlines()
    line = [line for line in lines if re.match(rf"\| {re.escape(method)}[ ¹²³]", line)][at]
    return [entry.strip() for entry in line.strip("|").split("|")][1:]


def csv(name: str, partial: bool = False) -> pd.DataFrame:
    return pd.read_csv(paths.table(name, "csv", partial))
