"""Takes a measure of a checkpoint: values by example, kept as they come, and the record of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from reassess import engines
from reassess.data.asked import PUT_ASIDE
from reassess.data.collection import counted_as, made_from, read_manifest
from reassess.data.held_out import trainable
from reassess.data.parquet import write_parquet
from reassess.data.shards import Shards
from reassess.engines.base import Engine, Setting
from reassess.evaluate.generate import EvaluationError, final
from reassess.evaluate.speaker import Checkpoint
from reassess.evaluate.values import Values
from reassess.example import Example, PutAside
from reassess.graph import Graph, Job
from reassess.measures import Measure
from reassess.models.reader import Reader
from reassess.prompts import prompt_sha256
from reassess.stages import engine_args
from reassess.work import records
from reassess.work.progress import Progress
from reassess.work.provenance import Stopwatch, costs, provenance
from reassess.work.records import file_sha256
from reassess.work.turns import Interrupted

if TYPE_CHECKING:
    from reassess.work.turns import Turn

# Columns of values.parquet before the values.
ROWS = {"id": pa.string(), "source": pa.string(), "family": pa.string(), "difficulty": pa.int64()}
# vLLM has the logits of a prompt's tokens in memory three times: in float32, with a vocabulary of 150 thousand, 3.7 GB.
STEP_TOKENS = 2048
# What a measure finds: by the place of an example its values by column, or the reason why it has none.
Found = dict[int, Mapping[str, float] | str]


class Task(NamedTuple):
    """What a measure is taken of, and how.

    Attributes:
        spec: the measure.
        checkpoint: the model.
        reader: its reader.
        examples: the examples; each is read when it is drawn.
        todo: the places of those that have no values yet.
        start: starts the study's engine on the checkpoint, given the most tokens of a prompt and what follows it.
    """

    spec: Measure
    checkpoint: Checkpoint
    reader: Reader
    examples: Sequence[Example]
    todo: Sequence[int]
    start: Callable[[int], Engine]


def measure(graph: Graph, job: Job, gpus: int = 0, turn: Turn | None = None) -> None:
    """Take a measure of the finished model of a cell.

    Writes `values.parquet` and, last, `measure.json`. Values are kept as they come, so that an attempt goes on where an
    earlier one was stopped; of an example without a value there is the reason, in `put_aside.jsonl`.

    Args:
        graph: the study.
        job: the measure of a cell.
        gpus: GPUs of the job; 0 runs on the CPU.
        turn: the turn at this job, where the caller has taken one; it may ask to stop.

    Raises:
        Interrupted: it was asked to stop; what was found is kept.
        EvaluationError: a checkpoint is missing, is not the one that its record describes, or no example has a value.
        EngineError: the engine cannot run here.
    """
    watch = Stopwatch()
    study, made, (name, spec) = graph.study, graph.set_of(job), graph.measure(job)
    assert job.at.model is not None
    checkpoint = final(graph, job)
    reader = Reader.of(checkpoint.path, study.speakers[job.at.model], study.prompt)
    info = engines.choose(study, job.at.model, gpus)
    examples, read = _examples(graph, job)
    engine = {**info._asdict(), "args": engine_args.counting(study.evaluation.engine_args)}
    identity = {"spec": job.spec, "checkpoint": checkpoint.fingerprint, "read": read, "engine": engine}
    with Values(Path(job.record).with_name("values.jsonl"), identity, spec.COLUMNS, len(examples)) as values:
        todo = values.missing()
        print(
            f"{job.key}: {len(examples)} examples of {spec.on}, {len(examples) - len(todo)} have values, "
            f"{len(todo)} are measured with {info.name} {info.version}, {info.dtype}, {info.device}",
            flush=True,
        )

        def start(longest: int) -> Engine:
            setting = Setting(reader, longest, study.seed, gpus, study.evaluation.batch_size, _args(graph, gpus))
            return engines.start(info, checkpoint.path, setting)

        task = Task(spec, checkpoint, reader, examples, todo, start)
        reasons = _take(task, values, turn)
    if len(reasons) == len(examples):
        said = ", ".join(f"{n} x {reason}" for reason, n in Counter(reasons.values()).most_common(3))
        where = f"examples.{made.name}" if made else f"measures.{name}"
        raise EvaluationError(f"{where}: not one of {len(examples)} examples has a value ({said})")
    out = [PutAside(examples[i].id, examples[i].source, reasons[i]) for i in sorted(reasons)]
    aside, parquet = Path(job.record).with_name(PUT_ASIDE), Path(job.outputs[1])
    records.write_lines(aside, [item._asdict() for item in out])
    files = {parquet.name: write_parquet(parquet, rows(examples, values.columns), schema(spec))}
    record = {
        "cell": made.speaker if made else job.at.cell,
        "model": job.at.model,
        "measure": name,
        "spec": json.loads(job.spec),
        "checkpoint": {"path": checkpoint.path, "fingerprint": checkpoint.fingerprint},
        "engine": engine,
        "prompt_sha256": prompt_sha256(study.prompt),
        "pixels": {"min": reader.model.min_pixels, "max": reader.model.max_pixels},
        "read": read,
        **summed_up(spec, examples.column("source"), values.columns),
        "put_aside": dict(Counter(reasons.values())),
        "files": {**files, PUT_ASIDE: file_sha256(aside)},
        "provenance": provenance(),
        "costs": costs(job.rule, job.key),
        **watch.spent(),
    }
    records.write(job.record, record)
    values.remove()
    print(f"{job.key}: {record['values']}, {len(out)} put aside, {record['seconds']} s", flush=True)


def _examples(graph: Graph, job: Job) -> tuple[Shards, dict[str, Any]]:
    """Return what is measured on, of a pool what may be trained on, and what records say of it."""
    need = graph.jobs[job.needs[1]]
    folder = Path(need.record).parent
    return trainable(folder), made_from({need.key: read_manifest(folder)})


def _args(graph: Graph, gpus: int) -> dict[str, Any]:
    """Return the engine's arguments. On a GPU a step has fewer tokens than where the logits of the last one will do."""
    return {**({"max_num_batched_tokens": STEP_TOKENS} if gpus else {}), **graph.study.evaluation.engine_args}


def _take(task: Task, values: Values, turn: Turn | None) -> dict[int, str]:
    """Take the measure of what has no value yet; return, by their places, why others will have none."""
    if turn is not None:
        turn.stop.listen()
        turn.record.begin(len(task.examples) - len(task.todo))
        turn.is_reuse = not task.todo
    reasons: dict[int, str] = {}
    run: Callable[[Task], Iterator[Found]] = resolve_name(task.spec.RUN)
    progress = Progress("measuring", len(task.todo), "examples")
    for found in run(task):
        reasons |= {place: said for place, said in found.items() if isinstance(said, str)}
        new = {place: said for place, said in found.items() if not isinstance(said, str)}
        values.add(new)
        progress.update(len(new))
        if turn is not None:
            turn.record.step += len(new)
            if why := turn.stop.requested():
                raise Interrupted(why)
    progress.close()
    return reasons


def schema(spec: Measure) -> pa.Schema:
    """Return the columns of values.parquet."""
    return pa.schema({**ROWS, **{name: pa.int64() if name == "tokens" else pa.float64() for name in spec.COLUMNS}})


def rows(examples: Shards, columns: Mapping[str, NDArray[np.float64]]) -> Iterator[dict[str, Any]]:
    """Yield the rows of values.parquet: those that have values."""
    told = {name: examples.column(name) for name in ROWS}
    (first, *_) = columns.values()
    for i in np.flatnonzero(~np.isnan(first)):
        values = {name: int(column[i]) if name == "tokens" else float(column[i]) for name, column in columns.items()}
        yield {**{name: column[i] for name, column in told.items()}, **values}


def summed_up(
    spec: Measure, sources: Sequence[str], columns: Mapping[str, NDArray[np.float64]]
) -> dict[str, dict[str, Any]]:
    """Return what a record says of its values: `values` of all, and the same `by_source`.

    Args:
        spec: the measure.
        sources: the source of each example.
        columns: its values by column, NaN where it has none.
    """
    (first, *_) = columns.values()
    there = ~np.isnan(first)
    groups: dict[str, list[int]] = {}
    for i in np.flatnonzero(there):
        groups.setdefault(counted_as(sources[i], groups), []).append(int(i))

    def of(places: Any) -> dict[str, float]:
        n = len(places)
        return {"n": n, **spec.summary(n, {name: float(column[places].sum()) for name, column in columns.items()})}

    return {
        "values": of(np.flatnonzero(there)),
        "by_source": {source: of(places) for source, places in sorted(groups.items())},
    }
