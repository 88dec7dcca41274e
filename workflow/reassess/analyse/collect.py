"""Reads what the jobs of a study left: scores of every item, run manifests, training logs, and what is missing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from reassess import paths
from reassess.analyse.circular import by_question
from reassess.graph import Cell, Graph
from reassess.graph.state import States
from reassess.study.study import Study
from reassess.work.progress import Progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

# What is read of scores.parquet. Texts become dictionary columns: 10^7 rows then take a few hundred MB.
_COLUMNS = {
    "benchmark": pa.string(),
    "id": pa.string(),
    "sample": pa.int32(),
    "step": pa.int32(),
    "family": pa.string(),
    "difficulty": pa.int64(),
    "gold": pa.string(),
    "correct": pa.bool_(),
    "format_ok": pa.bool_(),
    "truncated": pa.bool_(),
    "n_tokens": pa.int32(),
}
_DTYPES = {pa.int32(): pd.Int32Dtype(), pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}


class ResultsError(ValueError):
    """A result file is broken or missing: the message names it and says what to do."""


class MissingError(ResultsError):
    """Results that a full report needs are not there: the message names the cells."""


class Missing(NamedTuple):
    """Something that is not there.

    Attributes:
        cell: key of the cell.
        what: the file or benchmark, for people.
        benchmarks: benchmarks whose scores are missing with it, as (suite, benchmark); none for a run's own files.
    """

    cell: str
    what: str
    benchmarks: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return f"{self.cell}: {self.what}"


@dataclass(frozen=True)
class Collected:
    """Everything that tables and figures are made of.

    Attributes:
        graph: the study.
        items: one row per judged response of a finished model. Columns: `cell` (its key), `model`, `recipe` (with the
            variant of its stages; `base` and `base-think` are the controls), `pool`, `size`, `seed` (null for
            controls), `suite`, `benchmark`, `modality`, `id`, `sample`, `family`, `difficulty`, `gold`, `correct`
            (null: not scored), `format_ok`,
            `truncated`, `n_tokens`.
        trajectory: the same for intermediate checkpoints, with `step` (optimizer step) and `point` (1 for a run's first
            kept checkpoint: steps of two seeds may differ, points do not). `recipe` is the lineage where no
            recipe ends there.
        scores: scores.json by (cell key, suite).
        runs: run.json by cell key, parents included.
        models: manifest.json of base models by name, where there is one.
        metrics: logged training steps of runs that learn from rewards, by cell key, one mapping per step.
        sets: manifest.json of sets of examples by key.
        measured: measure.json by (cell key, measure).
        values: by measure the rows of values.parquet of all cells: `cell`, `id`, and the values.
        imported: other people's results by name: scores.json, and the rows of scores.parquet.
        missing: what is not there.
    """

    graph: Graph
    items: pd.DataFrame
    trajectory: pd.DataFrame
    scores: dict[tuple[str, str], dict[str, Any]]
    runs: dict[str, dict[str, Any]]
    models: dict[str, dict[str, Any]]
    metrics: dict[str, list[dict[str, Any]]]
    sets: dict[str, dict[str, Any]]
    measured: dict[tuple[str, str], dict[str, Any]]
    values: dict[str, pd.DataFrame]
    imported: dict[str, tuple[dict[str, Any], pd.DataFrame]]
    missing: tuple[Missing, ...]

    @property
    def study(self) -> Study:
        return self.graph.study

    @cached_property
    def questions(self) -> pd.DataFrame:
        """One row per question: `benchmark`, `id`, `family`, `difficulty`, `gold`, in benchmark order."""
        frames = [frame[["benchmark", "id", "family", "difficulty", "gold"]] for frame in (self.items, self.trajectory)]
        unique = [frame[~frame.duplicated(["benchmark", "id"])].astype({"difficulty": "Int64"}) for frame in frames]
        both = pd.concat([frame.astype(dict.fromkeys(_TEXTS, "object")) for frame in unique], ignore_index=True)
        return both.drop_duplicates(["benchmark", "id"], ignore_index=True)


_TEXTS = ("benchmark", "id", "family", "gold")


def collect(graph: Graph, partial: bool = False) -> Collected:
    """Read all results of a study under the current directory, but for suites that choose.

    Args:
        graph: the study.
        partial: take what is outdated for missing.

    Raises:
        ResultsError: a file that is there cannot be read, or lacks a column or key.
    """
    missing: list[Missing] = []
    study = graph.study
    states = States(graph) if partial else None
    runs, metrics = _runs(graph, states, missing)
    # By whose scores something was chosen, that is no result.
    wanted = [job for job in graph.of("score") if job.at.suite not in study.choosing]
    progress = Progress("reading scores", len(wanted), "evaluations")
    scores: dict[tuple[str, str], dict[str, Any]] = {}
    parts: dict[str, list[pa.Table]] = {"final": [], "trajectory": []}
    for job in wanted:
        progress.update(1)
        key, suite = job.at.cell, job.at.suite
        spec = study.suites[suite]
        folder = Path(job.record).parent
        is_there = (folder / "scores.json").is_file() and (folder / "scores.parquet").is_file()
        if not is_there or (states is not None and states.of(job) == "outdated"):
            why = f"{'outdated' if is_there else 'no'} scores of suite {suite}"
            missing.append(Missing(key, why, tuple((suite, name) for name in spec.benchmarks)))
            continue
        record = _json(folder / "scores.json", ("checkpoints", "decoding", "benchmarks", "judge_version", "scores"))
        scores[key, suite] = record
        table = _parquet(folder / "scores.parquet")
        table = table.append_column("suite", _constant(suite, len(table)))
        there = set(record["benchmarks"])
        for name in spec.benchmarks:
            if name not in there:
                missing.append(Missing(key, f"no scores of benchmark {name} in suite {suite}", ((suite, name),)))
        table = _labelled(table, graph.cell(key))
        parts[spec.checkpoints].append(table)
    progress.close()
    items = _frame(study, parts["final"]).drop(columns="step")
    trajectory = _frame(study, parts["trajectory"])
    trajectory["point"] = _points(trajectory, scores)
    models = {}
    for name in dict.fromkeys(cell.model for cell in graph.cells):
        manifest = Path(paths.model(name)) / "manifest.json"
        if manifest.is_file():
            models[name] = _json(manifest, ("fingerprint",))
    sets = _sets(graph, states, missing)
    measured, values = _measured(graph, states, missing)
    imported = _imported(graph, states, missing)
    return Collected(
        graph=graph,
        items=items,
        trajectory=trajectory,
        scores=scores,
        runs=runs,
        models=models,
        metrics=metrics,
        sets=sets,
        measured=measured,
        values=values,
        imported=imported,
        missing=tuple(missing),
    )


def require_complete(collected: Collected, partial: bool) -> None:
    """Print what is missing where a partial report may go on, and stop a full one.

    Raises:
        MissingError: something is missing and `partial` is false.
    """
    if not collected.missing:
        return
    lines = [str(item) for item in collected.missing]
    if not partial:
        shown = "\n".join(f"  {line}" for line in lines[:20])
        more = f"\n  and {len(lines) - 20} more" if len(lines) > 20 else ""
        raise MissingError(
            f"{len(lines)} results of study {collected.study.name} are missing; "
            f"run the study to the end, or ask for a partial report:\n{shown}{more}"
        )
    print(f"{len(lines)} results are missing; the report is partial:", flush=True)
    for line in lines:
        print(f"  {line}", flush=True)


def _runs(
    graph: Graph, states: States | None, missing: list[Missing]
) -> tuple[dict[str, dict[str, Any]], dict[str, list[dict[str, Any]]]]:
    runs, metrics = {}, {}
    for run in graph.runs.values():
        folder = Path(paths.run(run.key))
        if not (folder / "run.json").is_file():
            missing.append(Missing(run.key, "no run.json"))
            continue
        if states is not None and states.of(graph["train", run.key]) == "outdated":
            missing.append(Missing(run.key, "outdated run.json"))
            continue
        runs[run.key] = _json(folder / "run.json", ("subset", "fingerprint", "steps_done"))
        if graph.study.all_stages[run.stage].REWARDED:
            if not (folder / "metrics.jsonl").is_file():
                missing.append(Missing(run.key, "no metrics.jsonl"))
                continue
            metrics[run.key] = list(_lines(folder / "metrics.jsonl"))
    return runs, metrics


def _sets(graph: Graph, states: States | None, missing: list[Missing]) -> dict[str, dict[str, Any]]:
    found = {}
    for job in graph.of("examples"):
        is_there = Path(job.record).is_file()
        if not is_there or (states is not None and states.of(job) == "outdated"):
            missing.append(Missing(f"examples {job.key}", f"{'outdated' if is_there else 'no'} manifest.json"))
            continue
        found[job.key] = _json(Path(job.record), ("n", "dropped", "content_sha256"))
    return found


def _measured(
    graph: Graph, states: States | None, missing: list[Missing]
) -> tuple[dict[tuple[str, str], dict[str, Any]], dict[str, pd.DataFrame]]:
    records: dict[tuple[str, str], dict[str, Any]] = {}
    parts: dict[str, list[pd.DataFrame]] = {}
    for job in (job for job in graph.of("measure") if job.at.measure):
        cell, name = job.at.cell, job.at.measure
        is_there = Path(job.record).is_file() and Path(job.outputs[1]).is_file()
        if not is_there or (states is not None and states.of(job) == "outdated"):
            missing.append(Missing(cell, f"{'outdated' if is_there else 'no'} values of measure {name}"))
            continue
        records[cell, name] = _json(Path(job.record), ("model", "engine", "read", "values", "put_aside"))
        frame = _values(Path(job.outputs[1]), ("id", *graph.study.measures[name].COLUMNS))
        parts.setdefault(name, []).append(frame.assign(cell=cell))
    return records, {name: pd.concat(frames, ignore_index=True) for name, frames in parts.items()}


def _values(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    try:
        found: pd.DataFrame = pq.read_table(path, columns=list(columns)).select(columns).to_pandas()
    except (OSError, KeyError, pa.ArrowException) as error:
        raise ResultsError(f"{path}: cannot be read ({error}); delete its directory and run the study again") from None
    return found


def _imported(
    graph: Graph, states: States | None, missing: list[Missing]
) -> dict[str, tuple[dict[str, Any], pd.DataFrame]]:
    found = {}
    for job in graph.of("import"):
        is_there = Path(job.record).is_file() and Path(job.outputs[1]).is_file()
        if not is_there or (states is not None and states.of(job) == "outdated"):
            missing.append(Missing(f"imported {job.key}", f"{'outdated' if is_there else 'no'} scores"))
            continue
        record = _json(Path(job.record), ("imported", "benchmarks", "judge_version", "scores"))
        found[job.key] = record, _parquet(Path(job.outputs[1])).to_pandas(types_mapper=_DTYPES.get)
    return found


def _json(path: Path, keys: tuple[str, ...]) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ResultsError(f"{path}: cannot be read ({error}); delete it and run the study again") from None
    lacking = [key for key in keys if not isinstance(record, dict) or key not in record]
    if lacking:
        raise ResultsError(f"{path}: no key {lacking[0]!r}; delete it and run the study again")
    found: dict[str, Any] = record
    return found


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise ResultsError(f"{path}:{number}: not JSON ({error}); rerun the cell") from None
        if isinstance(record, dict) and "step" in record:
            yield record


def _parquet(path: Path) -> pa.Table:
    try:
        names = pq.read_schema(path).names
        lacking = [name for name in _COLUMNS if name not in names]
        if lacking:
            raise ResultsError(f"{path}: no column {lacking[0]!r}; delete its directory and run the study again")
        table = pq.read_table(path, columns=list(_COLUMNS))
        columns = []
        for name, wanted in _COLUMNS.items():
            column = table[name].cast(wanted)
            columns.append(column.dictionary_encode() if wanted == pa.string() else column)
    except (OSError, pa.ArrowException) as error:
        raise ResultsError(f"{path}: cannot be read ({error}); delete its directory and run the study again") from None
    return pa.table(columns, names=list(_COLUMNS))


def _labelled(table: pa.Table, cell: Cell) -> pa.Table:
    n = len(table)
    for name, value in (
        ("cell", cell.key),
        ("model", cell.model),
        ("recipe", cell.method),
        ("pool", cell.pool),
    ):
        table = table.append_column(name, _constant(value, n))
    for name, number in (("size", cell.size), ("seed", cell.seed)):
        table = table.append_column(name, pa.array([number] * n, pa.int64()))
    return table


def _constant(value: str | None, n: int) -> pa.DictionaryArray:
    index = pa.array([0 if value is not None else None] * n, pa.int32())
    return pa.DictionaryArray.from_arrays(index, pa.array([value or ""], pa.string()))


def _frame(study: Study, parts: list[pa.Table]) -> pd.DataFrame:
    if parts:
        table = pa.concat_tables(parts).unify_dictionaries()
    else:
        empty = pa.table({name: pa.array([], kind) for name, kind in _COLUMNS.items()})
        table = empty.append_column("suite", _constant("", 0))
        table = _labelled(table, Cell("", "", ""))
        for name in _TEXTS:
            table = table.set_column(table.schema.get_field_index(name), name, table[name].dictionary_encode())
    frame: pd.DataFrame = table.to_pandas(types_mapper=_DTYPES.get)
    modality = {name: study.benchmarks[name].modality for name in study.benchmarks}
    # A benchmark that the study has dropped is still in an old scores.parquet.
    frame = frame[frame["benchmark"].isin(list(modality))]
    frame = by_question(frame, study.circular)
    frame["modality"] = frame["benchmark"].map(modality).astype("category")
    return frame.reset_index(drop=True)


def _points(trajectory: pd.DataFrame, scores: dict[tuple[str, str], dict[str, Any]]) -> NDArray[Any]:
    """Number a run's kept checkpoints from 1, by step."""
    order: dict[tuple[str, int], int] = {}
    for (key, _), record in scores.items():
        steps = sorted({c["step"] for c in record["checkpoints"] if c["step"] is not None})
        order.update({(key, step): point for point, step in enumerate(steps, 1)})
    pairs = trajectory[["cell", "step"]].drop_duplicates()
    unknown = [pair for pair in pairs.itertuples(index=False, name=None) if pair not in order]
    if unknown:
        cell, step = unknown[0]
        raise ResultsError(
            f"{cell}: scores of step {step}, which its scores.json does not list; delete it and run the study again"
        )
    pairs["point"] = [order[pair] for pair in pairs.itertuples(index=False, name=None)]
    merged = trajectory[["cell", "step"]].merge(pairs, how="left", on=["cell", "step"])
    return merged["point"].to_numpy(dtype="int64")
