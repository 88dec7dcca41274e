"""What `reassess audit` prints: how far the verdicts behind scores and rewards can be trusted."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from reassess import paths
from reassess.analyse.layout import Block, Entry, Table, markdown
from reassess.benchmarks.rules import request_key
from reassess.console.status import mismatches
from reassess.data.shards import read_columns
from reassess.evaluate.score import FAILED
from reassess.graph import Graph
from reassess.graph.state import States
from reassess.judge import JUDGE_VERSION, contains_gold, reply_of
from reassess.study.read import StudyError
from reassess.study.study import Study

Rows = list[dict[str, Any]]
_SHOWN = 300


def audit(graph: Graph, cell: str | None = None, sample: int = 12) -> str:
    """Return the audit of a study's scored cells, or of one, in Markdown.

    Args:
        graph: the study.
        cell: a cell's key; all scored cells by default.
        sample: how many disagreements to print, drawn with the study's seed.

    Raises:
        StudyError: nothing is scored yet.
    """
    study = graph.study
    rows = _scored(graph, cell)
    parts = [
        f"# Audit of study {study.name}",
        "\n".join(mismatches(graph, States(graph))),
        f"{len(rows):,} judged responses of {len({row['cell'] for row in rows})} cells, judge version {JUDGE_VERSION}.",
        markdown(_verdicts(rows)),
        markdown(_reasons(rows)),
        markdown(_rewards(graph, cell)),
        _disagreements(study, rows, sample),
    ]
    return "\n\n".join(part.strip() for part in parts if part)


def requests(graph: Graph) -> list[dict[str, str]]:
    """Return what official rules leave to a large model: one request per response, with the key of its answer.

    Raises:
        StudyError: nothing is scored yet.
    """
    found: dict[str, dict[str, str]] = {}
    for row in _scored(graph, None):
        rule = graph.study.benchmarks[row["benchmark"]].rule
        if rule is not None and row["official"] is None and row["reason"] != FAILED:
            key = request_key(row["id"], row["response"])
            found[key] = {
                "key": key,
                "benchmark": row["benchmark"],
                "rule": rule,
                "question": row["question"],
                "gold": row["gold"],
                "reply": reply_of(row["response"]),
                "why": row["official_reason"] or "",
            }
    return list(found.values())


def _scored(graph: Graph, cell: str | None) -> Rows:
    """Return the score rows of all checkpoints, each with `cell`, `suite`, `response`, `missed` and its question."""
    study = graph.study
    evaluations = graph.of("score") if cell is None else graph.by_cell("score", graph.cell(cell).key)
    built = [name for name in study.benchmarks if Path(paths.benchmark(name), "shards").is_dir()]
    questions = {name: read_columns(paths.benchmark(name), ("id", "question", "options")) for name in built}
    found: Rows = []
    for job in evaluations:
        root = Path(job.record).parent
        if not (root / "scores.json").is_file():
            continue
        responses = pq.read_table(root / "responses.parquet", columns=["response"])["response"].to_pylist()
        rows = pq.read_table(root / "scores.parquet").to_pylist()
        for row, response in zip(rows, responses, strict=True):
            if row["benchmark"] in questions and row["id"] in questions[row["benchmark"]]:
                question = questions[row["benchmark"]][row["id"]]
                full = {
                    **dict.fromkeys(("official", "official_answer", "official_reason")),
                    **row,
                    "cell": job.at.cell,
                    "suite": job.at.suite,
                    "response": response,
                    **question,
                }
                found.append({**full, "missed": _missed(full)})
    if not found:
        raise StudyError(f"nothing of study {study.name} is scored yet; run it first")
    return found


def _missed(row: dict[str, Any]) -> bool:
    return row["correct"] is False and contains_gold(
        row["response"], row["gold"], row["kind"], tuple(row["options"] or ()) or None
    )


def _groups(rows: Rows, *names: str) -> list[tuple[tuple[Any, ...], Rows]]:
    found: dict[tuple[Any, ...], Rows] = {}
    for row in rows:
        found.setdefault(tuple(row[name] for name in names), []).append(row)
    return sorted(found.items(), key=lambda item: tuple(map(str, item[0])))


def _share(values: Iterable[bool]) -> Entry:
    found = list(values)
    return Entry(f"{sum(found)} ({sum(found) / len(found):.1%})") if found else Entry("—")


def _verdicts(rows: Rows) -> Table:
    table = Table(
        "verdicts",
        "Verdicts by benchmark, kind and source.",
        ["Benchmark", "Kind", "Source", "n", "Correct", "Unscored", "Unparsed", "Missed?", "Official", "Only judge",
         "Only official", "Undecided"],
        text_columns=3,
    )  # fmt: skip
    entries = []
    for (benchmark, kind, source), part in _groups(rows, "benchmark", "kind", "source"):
        ruled = [row for row in part if row["official_reason"] is not None]
        decided = [row for row in ruled if row["official"] is not None]
        row = [Entry(benchmark), Entry(kind), Entry(source), Entry(f"{len(part):,}")]
        row += [
            _share(item["correct"] is True for item in part),
            _share(item["correct"] is None for item in part),
            _share(item["correct"] is False and item["answer"] is None for item in part),
            _share(item["missed"] for item in part),
            _share(item["official"] is True for item in ruled),
            _share(item["correct"] is True and not item["official"] for item in decided),
            _share(item["official"] and item["correct"] is not True for item in decided),
            _share(item["official"] is None for item in ruled),
        ]
        entries.append(row)
    table.blocks = [Block("", entries)]
    table.notes = [
        "Unparsed: wrong for want of an answer. Missed?: judged wrong although the gold stands behind the reasoning: "
        "an upper estimate of the false negatives (hedges, lists and intermediate results contain it too).",
        "Official: the benchmark's own rule, if it has one. Undecided: it asks a large model or draws at random.",
    ]
    return table


def _reasons(rows: Rows) -> Table:
    columns = ["Kind", "Verdict", "Reason", "Responses"]
    table = Table("reasons", "Why the judge decided so.", columns, text_columns=3)
    verdicts = {True: "right", False: "wrong", None: "not scored"}
    entries = []
    for kind, part in _groups(rows, "kind"):
        counted = [(verdict, reason, len(found)) for (verdict, reason), found in _groups(part, "correct", "reason")]
        for verdict, reason, n in sorted(counted, key=lambda item: -item[2]):
            entries.append(
                [Entry(kind[0]), Entry(verdicts[verdict]), Entry(reason), Entry(f"{n:,} ({n / len(part):.1%})")]
            )
    table.blocks = [Block("", entries)]
    return table


def _rewards(graph: Graph, cell: str | None) -> Table:
    """The shares that RL logs of each batch of completions, over the first and the last third of a run."""
    table = Table(
        "rewards",
        "The accuracy reward during RL, first third of the steps and last.",
        ["Run", "Steps", "Reward", "Unscored", "Unparsed", "Missed?"],
    )
    names = ("rewards/accuracy/mean", "judge/unscored", "judge/unparsed", "judge/missed")
    entries: list[list[Entry]] = []
    for run in graph.runs.values():
        metrics = Path(paths.run(run.key, "metrics.jsonl"))
        if not graph.study.all_stages[run.stage].REWARDED or not metrics.is_file() or cell not in (None, run.key):
            continue
        lines = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
        lines = [line for line in lines if names[1] in line]
        third = max(1, len(lines) // 3)
        row = [Entry(run.key), Entry(f"{len(lines):,}")]
        row += [Entry(f"{_mean(lines[:third], name)} → {_mean(lines[-third:], name)}") for name in names]
        entries.append(row)
    table.blocks = [Block("", entries)]
    if not entries:
        table.notes = ["No run of RL has logged any."]
    return table


def _mean(lines: Sequence[dict[str, Any]], name: str) -> str:
    values = [line[name] for line in lines if line.get(name) is not None]
    return f"{sum(values) / len(values):.1%}" if values else "—"


def _disagreements(study: Study, rows: Rows, sample: int) -> str:
    """A seeded sample to read: where judge and official rule differ, and else where a wrong response has the gold."""
    differ = [row for row in rows if row["official"] is not None and row["official"] != row["correct"]]
    missed = [row for row in rows if row["missed"]]
    # The same words in answer to the same question are one case to read.
    pools: list[Rows] = []
    seen: set[tuple[str, ...]] = set()
    for pool in (differ, missed):
        by_words = {(row["benchmark"], row["id"], row["response"]): row for row in pool}
        pools.append([row for words, row in by_words.items() if words not in seen])
        seen.update(by_words)
    draw = random.Random(study.seed)
    chosen: Rows = []
    for pool in pools:
        chosen += draw.sample(pool, min(len(pool), sample - len(chosen)))
    lines = [f"## To read: {len(chosen)} of {sum(map(len, pools)):,} doubtful verdicts"]
    for row in chosen:
        official = f"; rule: {row['official']} ({_quoted(row['official_reason'])})" if row["official_reason"] else ""
        lines += [
            "",
            f"- {row['cell']}, {row['benchmark']} {row['id']}, {row['kind']}, gold {_quoted(row['gold'])}",
            f"  - judge: {row['correct']} ({_quoted(row['reason'])}), read {_quoted(row['answer'])}{official}",
            f"  - reply: {_quoted(row['response'][-_SHOWN:])}",
        ]
    if not chosen:
        lines += ["", "None."]
    return "\n".join(lines)


def _quoted(text: str | None) -> str:
    """Model output as one line of code, so that nothing in it is read as Markdown."""
    if text is None:
        return "nothing"
    return "`" + json.dumps(text, ensure_ascii=False).replace("`", "'") + "`"
