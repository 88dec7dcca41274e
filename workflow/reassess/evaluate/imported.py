"""Reads other people's responses to the benchmarks of a study, and judges them as the study's own."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from reassess import paths
from reassess.data.collection import described
from reassess.data.parquet import write_parquet
from reassess.data.shards import read_columns
from reassess.evaluate import formats, official
from reassess.evaluate.formats import Format
from reassess.evaluate.formats.sample import Said
from reassess.evaluate.generate import RESPONSES
from reassess.evaluate.matching import TWICE, Matched, Questions, match
from reassess.evaluate.score import COLUMNS, SCORES, judged, say, summaries
from reassess.example import PutAside
from reassess.graph import Graph, Job
from reassess.judge import JUDGE_VERSION
from reassess.work import records
from reassess.work.provenance import provenance
from reassess.work.records import file_sha256

# Beside scores.json: a JSON line per row that is not used, and per verdict that is not the harness's own.
PUT_ASIDE, DIFFERS = "put_aside.jsonl", "differs.jsonl"


def import_results(graph: Graph, job: Job, workers: int = 1) -> None:
    """Write `responses.parquet`, `scores.parquet` and, last, `scores.json` of other people's results.

    Args:
        graph: the study.
        job: the import.
        workers: processes that judge.

    Raises:
        DataError: a file cannot be read, or is not about its benchmark.
        RuleError: the answers of a judge model cannot be read.
    """
    study, spec = graph.study, graph.study.imported[job.key]
    root = Path(job.record).parent
    examples: dict[str, dict[str, dict[str, Any]]] = {}
    facts: dict[str, dict[str, Any]] = {}
    found: dict[str, Matched] = {}
    for benchmark, listed in spec.files.items():
        examples[benchmark] = read_columns(paths.benchmark(benchmark), (*COLUMNS, "question"))
        files = {file: formats.recognise(Path(file)) for file in listed}
        for file, kind in files.items():
            print(f"{job.key} {benchmark}: {file} is of {kind.name}", flush=True)
        found[benchmark] = _matched(benchmark, files, examples[benchmark])
        facts[benchmark] = {
            "files": {file: file_sha256(file) for file in files},
            "format": ", ".join(dict.fromkeys(kind.name for kind in files.values())),
        }
    own = official.Official(study, examples)
    n = sum(len(said.responses) for matched in found.values() for said, _ in matched.rows)
    rows = list(judged(_responses(found), n, examples, own, None, workers))
    differing: list[dict[str, Any]] = []
    for benchmark, matched in found.items():
        mine = [row for row in rows if row["benchmark"] == benchmark]
        facts[benchmark] |= _facts(matched, len(examples[benchmark])) | _compared(matched, mine, differing)
    records.write_lines(root / PUT_ASIDE, [row._asdict() for matched in found.values() for row in matched.put_aside])
    records.write_lines(root / DIFFERS, differing)
    written = {
        "responses.parquet": write_parquet(root / "responses.parquet", _responses(found), RESPONSES),
        "scores.parquet": write_parquet(root / "scores.parquet", rows, SCORES),
        **{name: file_sha256(root / name) for name in (PUT_ASIDE, DIFFERS)},
    }
    record = {
        "name": job.key,
        "spec": json.loads(job.spec),
        "benchmarks": {benchmark: described(paths.benchmark(benchmark)) for benchmark in spec.files},
        "imported": facts,
        "judge_version": JUDGE_VERSION,
        "scores": summaries(rows, study.circular),
        "official": own.summaries(),
        "files": written,
        "provenance": provenance(),
    }
    records.write(job.record, record)
    _say(job.key, record)


def _matched(benchmark: str, files: Mapping[str, Format], examples: Mapping[str, dict[str, Any]]) -> Matched:
    """Return the rows of some files that are about questions of a benchmark. Raises DataError."""
    questions = Questions(examples, _is_whole(benchmark))
    parts = [match(kind.rows(Path(file)), questions, file, benchmark) for file, kind in files.items()]
    rows: dict[str, Said] = {}
    put_aside = [row for part in parts for row in part.put_aside]
    for file, part in zip(files, parts, strict=True):
        put_aside += [PutAside(said.place, file, TWICE) for said, id_ in part.rows if id_ in rows]
        rows = {id_: said for said, id_ in part.rows} | rows
    ways = ", ".join(dict.fromkeys(part.way for part in parts))
    return Matched(ways, [(said, id_) for id_, said in rows.items()], put_aside, sum(part.unverified for part in parts))


def _is_whole(benchmark: str) -> bool:
    """Whether a benchmark has every row of its data."""
    manifest = records.read(paths.benchmark(benchmark, "manifest.json")) or {}
    return not manifest.get("put_aside")


def _responses(found: Mapping[str, Matched]) -> Iterator[dict[str, Any]]:
    """Yield rows of `RESPONSES`; what another harness does not say is None."""
    for benchmark, matched in found.items():
        for said, id_ in matched.rows:
            for sample, (response, finish) in enumerate(zip(said.responses, said.finish, strict=True)):
                yield {
                    **dict.fromkeys(RESPONSES.names),
                    "benchmark": benchmark,
                    "id": id_,
                    "sample": sample,
                    "response": response,
                    "finish_reason": finish,
                }


def _facts(matched: Matched, questions: int) -> dict[str, Any]:
    """Return what was matched, and how."""
    return {
        "matched": len(matched.rows),
        "matched_by": matched.way,
        "unverified": matched.unverified,
        "missing": questions - len(matched.rows),
        "put_aside": dict(Counter(row.reason for row in matched.put_aside)),
    }


def _compared(matched: Matched, rows: list[dict[str, Any]], differing: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the harness's own scores of the matched questions, and how many of its verdicts are not the judge's.

    Verdicts are compared where both are right or wrong of a single response.

    Args:
        matched: the rows of the file.
        rows: the judge's verdicts on them.
        differing: gets a row for each verdict that differs.
    """
    names = dict.fromkeys(name for said, _ in matched.rows for name in said.own)
    own = {name: fmean(said.own[name] for said, _ in matched.rows if name in said.own) for name in names}
    name = next(iter(names), None)
    by_id = {row["id"]: row for row in rows}
    compared = differ = 0
    for said, id_ in matched.rows:
        theirs, row = said.own.get(name or ""), by_id[id_]
        if len(said.responses) > 1 or theirs not in (0, 1) or row["correct"] is None:
            continue
        compared += 1
        if row["correct"] != bool(theirs):
            differ += 1
            differing.append({**_verdict(row), "response": said.responses[0], "theirs": theirs})
    return {"own": own, "own_score": name, "compared": compared, "differ": differ}


def _verdict(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("benchmark", "id", "gold", "correct", "answer", "reason")}


def _say(name: str, record: Mapping[str, Any]) -> None:
    say(name, record)
    for benchmark, facts in record["imported"].items():
        theirs = "no score of its own"
        if facts["own_score"] is not None:
            theirs = f"{facts['own_score']} {facts['own'][facts['own_score']]:.3f}"
        aside = sum(facts["put_aside"].values())
        print(
            f"{name} {benchmark}: {facts['matched']} questions matched by {facts['matched_by']}, {facts['missing']} "
            f"missing, {aside} rows put aside; {facts['format']}: {theirs}, {facts['differ']} of {facts['compared']} "
            "verdicts unlike the judge's",
            flush=True,
        )
