"""Generates the responses of one cell to one suite, asking a model only for what the store has not."""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from reassess import engines, paths
from reassess.data.asked import PUT_ASIDE, Questions, questions
from reassess.data.circular import question_id
from reassess.data.collection import described
from reassess.data.parquet import write_parquet
from reassess.decoding import Decoding
from reassess.engines.base import Answers, Engine, EngineInfo, Origin, Request, Response, Setting, sample_seed
from reassess.evaluate.speaker import Checkpoint, Reads, Served, Speaker, behind
from reassess.evaluate.store import Store, key
from reassess.example import RowError, images_sha256
from reassess.graph import Graph, Job, changes
from reassess.models.load import fingerprint
from reassess.models.reader import Counted, Reader, Unreadable
from reassess.prompts import prompt_sha256
from reassess.stages import engine_args
from reassess.study.study import Study
from reassess.work import records
from reassess.work.progress import Progress
from reassess.work.provenance import Stopwatch, costs, provenance
from reassess.work.records import file_sha256
from reassess.work.turns import Interrupted

if TYPE_CHECKING:
    from reassess.work.turns import Turn

RESPONSES = pa.schema(
    [
        ("benchmark", pa.string()),
        ("id", pa.string()),
        ("sample", pa.int64()),
        ("step", pa.int64()),
        ("response", pa.string()),
        ("finish_reason", pa.string()),
        ("n_tokens", pa.int64()),
        ("seed", pa.int64()),
        ("prompt_tokens", pa.int64()),
    ]
)


class EvaluationError(ValueError):
    """An evaluation that cannot run: the message names the file or cell and what was expected."""


class Aside(NamedTuple):
    """A row of a benchmark that the model cannot be asked, and why."""

    benchmark: str
    id: str
    source: str
    reason: str


class Wanted(NamedTuple):
    """One row of responses.parquet before its response."""

    checkpoint: Checkpoint
    benchmark: str
    sample: int
    request: Request


class Asked(NamedTuple):
    """What a suite asks.

    Attributes:
        prompts: how many prompts there are.
        rows: the responses that are wanted, those of one checkpoint after those of another.
        put_aside: the rows of benchmarks that the model cannot be asked.
        image_tokens: what the images of the others take.
    """

    prompts: int
    rows: list[Wanted]
    put_aside: list[Aside]
    image_tokens: Counted


def generate(graph: Graph, job: Job, gpus: int = 0, turn: Turn | None = None) -> None:
    """Answer the benchmarks of a suite with the checkpoint(s) of a cell.

    Writes `responses.parquet` and, last, `responses.json`. Responses that the store of a checkpoint has already are
    reused; where it has all of them no engine is started.

    Args:
        graph: the study that names model, benchmarks and decoding.
        job: the evaluation.
        gpus: GPUs of the job; 0 runs on the CPU.
        turn: the turn at this evaluation, where the caller has taken one; it may ask to stop.

    Raises:
        Interrupted: it was asked to stop; what was answered is in the store.
        EvaluationError: a checkpoint is missing, is not the one that its record describes, or fails on every prompt.
        EngineError: the engine cannot run here.
    """
    watch = Stopwatch()
    study, sheet = graph.study, graph.sheet(job)
    think = sheet.step.think if sheet.step else graph.cell(job.at.cell).think
    speaker = _speaker(graph, job, think, gpus)
    found, info = speaker.checkpoints, speaker.info
    read_from = questions(sheet, study.seed)
    asked = _read(_Asking(study, info, sheet.decoding, found), speaker.reader, read_from, think)
    _stop_if_asked(turn)
    wanted, put_aside = asked.rows, asked.put_aside
    stores = {item.fingerprint: Store(paths.store(item.fingerprint)) for item in found}
    missing = {row.request.key: row for row in wanted if row.request.key not in stores[row.checkpoint.fingerprint]}
    print(
        f"{job.key}: {asked.prompts} prompts ({len(put_aside)} put aside) x {sheet.decoding.n} samples x "
        f"{len(found)} checkpoints: {len(wanted) - len(missing)} responses reused, {len(missing)} to generate "
        f"with {', '.join(filter(None, (f'{info.name} {info.version}'.strip(), info.dtype, info.device)))}",
        flush=True,
    )
    if turn is not None:
        turn.stop.listen()
        turn.record.begin(len(wanted) - len(missing))
        turn.is_reuse = not missing
    errors = _ask(speaker, missing, stores, sheet.decoding, turn)
    if errors and len(errors) == len({row.request.key for row in wanted}):
        raise EvaluationError(f"all {len(errors)} responses failed; {_first(errors)}")
    ids = {name: examples.column("id") for name, examples in read_from.items()}
    served = Served()
    said = _responses(wanted, stores, errors, served, speaker.held, ids)
    files = {"responses.parquet": write_parquet(Path(job.outputs[1]), said, RESPONSES)}
    aside = Path(job.record).with_name(PUT_ASIDE)
    records.write_lines(aside, [item._asdict() for item in put_aside])
    record = {
        **_described(graph, job, speaker),
        **served.record(),
        "think": think,
        "prefill": speaker.held,
        "put_aside": _reasons(sheet.folders, put_aside),
        "image_tokens": asked.image_tokens.record(),
        "generated": len(missing),
        "reused": len(wanted) - len(missing),
        "files": {**files, PUT_ASIDE: file_sha256(aside)},
        "provenance": provenance(),
        "costs": costs(job.rule, job.key),
        **watch.spent(),
    }
    records.write(job.record, record)
    print(f"{job.key}: {len(missing)} generated, {len(errors)} failed, {record['seconds']} s", flush=True)


def _speaker(graph: Graph, job: Job, think: bool, gpus: int) -> Speaker:
    """Return who is asked. Raises as `generate` does."""
    study, sheet, model = graph.study, graph.sheet(job), job.at.model
    assert model is not None
    if model in study.endpoints:
        return behind(study.endpoints[model], sheet.prompt, f"teachers.{model}")
    found, how = checkpoints(graph, job), study.speakers[model]
    # The checkpoints of a run share one processor: training does not change it.
    reader = Reader.of(found[0].path, how, sheet.prompt)
    check_stop(sheet.decoding.stop, reader, f"{sheet.where}.stop")
    info, held = engines.choose(study, model, gpus), reader.held(think)
    return Speaker(
        checkpoints=found,
        reader=reader,
        info=info,
        held=held,
        facts={"pixels": {"min": how.min_pixels, "max": how.max_pixels}},
        start=_starting(info, _setting(study, reader, sheet.decoding.max_tokens, held, gpus)),
    )


def _starting(info: EngineInfo, setting: Setting) -> Callable[[str], Answers]:
    """Return what starts an engine on a first checkpoint, and changes it to each other one."""
    started: list[Engine] = []

    def start(path: str) -> Answers:
        if started:
            started[0].load(path)
        else:
            begun = time.monotonic()
            started.append(engines.start(info, path, setting))
            print(f"engine started in {time.monotonic() - begun:.1f} s", flush=True)
        return started[0]

    return start


def _setting(study: Study, reader: Reader, max_tokens: int, held: str, gpus: int) -> Setting:
    """Return what an engine is started with."""
    return Setting(
        reader=reader,
        max_model_len=reader.model.max_prompt_length + len(reader.tokenizer(held)["input_ids"]) + max_tokens,
        seed=study.seed,
        gpus=gpus,
        batch_size=study.evaluation.batch_size,
        engine_args=study.evaluation.engine_args,
    )


def _described(graph: Graph, job: Job, speaker: Speaker) -> dict[str, Any]:
    """Return what the record of responses says of who was asked what, and how."""
    study, sheet, made = graph.study, graph.sheet(job), graph.set_of(job)
    args = speaker.info.args
    whose = {"cell": job.at.cell, "suite": job.at.suite} if made is None else {"cell": made.speaker}
    return {
        **whose,
        "model": job.at.model,
        "spec": json.loads(job.spec),
        "checkpoints": [item._asdict() for item in speaker.checkpoints],
        "engine": {
            **speaker.info._asdict(),
            "args": engine_args.counting(study.evaluation.engine_args) if args is None else args,
        },
        "decoding": sheet.decoding.recorded(),
        "prompt_sha256": prompt_sha256(sheet.prompt),
        **speaker.facts,
        "benchmarks": {name: described(folder) for name, folder in sheet.folders.items()},
    }


def checkpoints(graph: Graph, job: Job) -> list[Checkpoint]:
    """Return the checkpoints that an evaluation asks, each compared with its record on disk.

    Raises:
        EvaluationError: there is none, or one is not the checkpoint that its record describes.
        RecordError: the record is broken.
    """
    trajectory = graph.sheet(job).is_trajectory
    maker = graph.jobs[job.needs[0]]
    if not trajectory:
        return [final(graph, job)]
    record = _made(maker, job)
    found = [Checkpoint(row["step"], row["path"], row["fingerprint"]) for row in record.get("trajectory", [])]
    if not found:
        raise EvaluationError(
            f"{maker.record}: no trajectory, but suite {job.at.suite!r} asks for one; set `trajectory` on the last "
            "stage"
        )
    for item in found:
        _check(graph, maker, item)
    return found


def final(graph: Graph, job: Job) -> Checkpoint:
    """Return the finished model that a job asks, compared with its record on disk. Raises as `checkpoints` does."""
    maker = graph.jobs[job.needs[0]]
    made = _made(maker, job, fingerprint=str)
    found = Checkpoint(None, str(Path(maker.record).parent / "model"), made["fingerprint"])
    _check(graph, maker, found)
    return found


def _made(maker: Job, job: Job, **kinds: type) -> dict[str, Any]:
    record = records.read(maker.record, **kinds)
    if record is None:
        raise EvaluationError(f"{maker.record}: not there; it has to be made before {job.key} is asked")
    return record


def _check(graph: Graph, maker: Job, found: Checkpoint) -> None:
    """Raise EvaluationError where the files of a checkpoint are not those that its record describes."""
    try:
        actual = fingerprint(found.path)
    except FileNotFoundError as error:
        raise EvaluationError(f"{maker.record} describes a checkpoint that is not there: {error}") from None
    if actual != found.fingerprint:
        raise EvaluationError(
            f"{found.path}: the files have fingerprint {actual[:16]}, {maker.record} says {found.fingerprint[:16]}; "
            f"the checkpoint was changed after it was made; make it again: {changes.again(graph, maker)}"
        )


def check_stop(stop: Sequence[str], reader: Reader, where: str) -> None:
    """Check that a model can write the strings at which its responses end.

    Args:
        stop: the strings.
        reader: the model's.
        where: their place in the study.

    Raises:
        EvaluationError: one has a special token in it, which no response shows as text.
    """
    for text in stop:
        if problem := reader.special(text):
            raise EvaluationError(
                f"{where}: {text!r} would end no response: {problem}, which responses do not show; leave it out (a "
                "token ends them where generation_config.json of the model has it in eos_token_id)"
            )


class _Asking:
    """Makes what is wanted of a prompt: a row for each checkpoint and sample, with its key and seed.

    Args:
        study: the study.
        info: the engine.
        decoding: the suite's.
        checkpoints: whom to ask.
    """

    def __init__(self, study: Study, info: EngineInfo, decoding: Decoding, checkpoints: list[Checkpoint]) -> None:
        self.checkpoints = checkpoints
        self._seed, self._decoding, self._drawn = study.seed, decoding, decoding.drawn()
        self._circular = study.circular
        self._engine = {"name": info.name, "version": info.version, "dtype": info.dtype}
        if info.args is not None:
            self._engine["args"] = json.dumps(info.args, sort_keys=True)
        if info.attention is not None:
            self._engine["attention"] = info.attention

    def groups(self, benchmark: str, ids: Sequence[str]) -> Iterator[list[int]]:
        """Yield the indices of examples that are asked together or not at all: the rotations of a question."""

        def question(index: int) -> int | str:
            return question_id(ids[index]) if benchmark in self._circular else index

        for _, found in itertools.groupby(range(len(ids)), question):
            yield list(found)

    def of(self, checkpoint: Checkpoint, benchmark: str, origin: Origin, seen: dict[str, str]) -> Iterator[Wanted]:
        """Yield the rows of one checkpoint; `seen` has the prompt's text and the hash of its pictures' pixels."""
        asked = {"checkpoint": checkpoint.fingerprint, **seen}
        for sample in range(self._decoding.n):
            seed = None if self._decoding.temperature == 0 else sample_seed(self._seed, asked, sample)
            depends = {"decoding": self._drawn, "seed": seed, "sample": sample, "engine": self._engine}
            yield Wanted(checkpoint, benchmark, sample, Request(key({**asked, **depends}), origin, seed))


def _read(asking: _Asking, reader: Reads, read_from: Mapping[str, Questions], think: bool) -> Asked:
    """Read what is asked, a row at a time, and return what of it can be."""
    rows: list[list[Wanted]] = [[] for _ in asking.checkpoints]
    put_aside: list[Aside] = []
    prompts, counted = 0, Counted()
    progress = Progress("reading prompts", sum(map(len, read_from.values())), "prompts")
    for name, examples in read_from.items():
        ids, sources = examples.column("id"), examples.column("source")
        for group in asking.groups(name, ids):
            progress.update(len(group))
            try:
                found = [reader.read(examples[index]) for index in group]
            except (Unreadable, RowError) as reason:
                put_aside += [Aside(name, ids[index], sources[index], str(reason)) for index in group]
                continue
            for index, read in zip(group, found, strict=True):
                prompts += 1
                counted.add(read)
                origin = Origin(examples, index, think, read.length, bool(read.pictures))
                text = reader.forced(read.text) if think else read.text
                seen = {"prompt": text, "images": images_sha256(read.pictures)}
                for checkpoint, its in zip(asking.checkpoints, rows, strict=True):
                    its += asking.of(checkpoint, name, origin, seen)
    progress.close()
    return Asked(prompts, [row for its in rows for row in its], put_aside, counted)


def _reasons(benchmarks: Iterable[str], put_aside: list[Aside]) -> dict[str, dict[str, int]]:
    """Return the counts of rows that are put aside by benchmark and reason."""
    return {name: dict(Counter(row.reason for row in put_aside if row.benchmark == name)) for name in benchmarks}


def _ask(
    speaker: Speaker,
    missing: dict[str, Wanted],
    stores: dict[str, Store],
    decoding: Decoding,
    turn: Turn | None,
) -> dict[str, Response]:
    """Generate what is missing into the stores, one checkpoint after the other, and return what failed by key."""
    errors: dict[str, Response] = {}
    if not missing:
        return errors
    by_checkpoint: dict[Checkpoint, list[Request]] = {}
    for row in missing.values():
        by_checkpoint.setdefault(row.checkpoint, []).append(row.request)
    for checkpoint, requests in by_checkpoint.items():
        engine = speaker.start(checkpoint.path)
        _stop_if_asked(turn)
        name = "responses" if checkpoint.step is None else f"responses at step {checkpoint.step}"
        progress = Progress(name, len(requests), "responses")
        with stores[checkpoint.fingerprint] as store:
            for batch in engine.answer(requests, decoding):
                store.append(batch)
                failed = {name: item for name, item in batch.items() if item.finish_reason == "error"}
                errors.update(failed)
                progress.update(len(batch))
                if turn is not None:
                    # What has failed is asked again by the next attempt.
                    turn.record.step += len(batch) - len(failed)
                _stop_if_asked(turn)
                if speaker.patience is not None and len(errors) >= speaker.patience and not len(store):
                    raise EvaluationError(f"{len(errors)} requests failed and none was answered; {_first(errors)}")
        progress.close()
    if errors:
        first = next(iter(errors))
        origin = missing[first].request.origin
        print(f"{len(errors)} responses failed, the first is {origin.examples[origin.place].id}: {errors[first].error}")
    return errors


def _first(errors: Mapping[str, Response]) -> str:
    return f"the first: {next(iter(errors.values())).error}"


def _stop_if_asked(turn: Turn | None) -> None:
    if turn is not None and (why := turn.stop.requested()):
        raise Interrupted(why)


def _responses(
    wanted: Sequence[Wanted],
    stores: Mapping[str, Store],
    errors: Mapping[str, Response],
    served: Served,
    held: str,
    ids: Mapping[str, list[str]],
) -> Iterator[dict[str, Any]]:
    """Yield the rows of responses.parquet, with what a prompt already holds of a response before it; count by whom."""
    for row in wanted:
        response = stores[row.checkpoint.fingerprint].get(row.request.key) or errors[row.request.key]
        served.add(response)
        yield _row(row, ids[row.benchmark][row.request.origin.place], held, response)
    for store in stores.values():
        store.close()


def _row(row: Wanted, id_: str, held: str, response: Response) -> dict[str, Any]:
    return {
        "benchmark": row.benchmark,
        "id": id_,
        "sample": row.sample,
        "step": row.checkpoint.step,
        "response": held + response.response,
        "finish_reason": response.finish_reason,
        "n_tokens": response.n_tokens,
        "seed": row.request.seed,
        "prompt_tokens": response.prompt_tokens,
    }
