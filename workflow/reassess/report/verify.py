"""What `reassess verify` does: hashes a finished study again and says what its records do not describe."""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from reassess import grid, identity, paths
from reassess.data.build import content_sha256, ids_sha256, shuffled
from reassess.data.example import example, record_sha256
from reassess.evaluate.progress import Progress
from reassess.evaluate.score import summaries
from reassess.judge import JUDGE_VERSION
from reassess.models.load import fingerprint
from reassess.prompts import THINK, prompt_sha256
from reassess.provenance import file_sha256
from reassess.records import RecordError
from reassess.report import status
from reassess.report.jobs import jobs, outputs
from reassess.study import Decoding, Study

# Rows of a shard that are decoded at once: images are large.
_ROWS = 256
# What scores.json has from responses.json.
_COPIED = ("cell", "suite", "prefill", "checkpoints", "benchmarks", "prompt_sha256", "decoding")
_SUMMED = ("benchmark", "id", "step", "correct", "answer", "reason", "format_ok", "truncated", "n_tokens")
# What to do about a record, by what it is of.
_AGAIN = "restore the file, or delete the record and run the study again"
_RUN = "run the study again"
_SCORE = "delete scores.parquet and run the study again: it is scored again and nothing else"


class VerifyError(ValueError):
    """Records of a study do not describe what lies beside them: the message says how many."""


def verify(study: Study, say: Callable[[str], None] = print) -> None:
    """Check every record of a study against the files and the other records that it describes.

    Args:
        study: the study.
        say: gets a line per mismatch (file, what, found, expected, what to do) as it is found, and a summary.

    Raises:
        VerifyError: something does not match, or is not there.
    """
    check = _Verification(study, say)
    for name in dict.fromkeys(run.pool for run in grid.runs(study)):
        check.safely(check.examples, paths.pool(name), identity.pool_spec(study, name))
    for name in dict.fromkeys(name for suite in study.suites.values() for name in suite.benchmarks):
        check.safely(check.examples, paths.benchmark(name), identity.benchmark_spec(study, name))
    for pool, seed, size in dict.fromkeys((run.pool, run.seed, run.size) for run in grid.runs(study)):
        check.safely(check.subset, pool, seed, size)
    for model in dict.fromkeys(cell.model for cell in grid.cells(study)):
        check.safely(check.base, model)
    for run in grid.runs(study):
        check.safely(check.run, run)
    for cell, suite in grid.evaluations(study):
        check.safely(check.responses, cell, suite)
        check.safely(check.scores, cell, suite)
    check.safely(check.report, "tables")
    check.safely(check.report, "figures")
    check.end()


class _Verification:
    """The state of one verification: what was hashed, what was found, and what does not match."""

    def __init__(self, study: Study, say: Callable[[str], None]) -> None:
        self.study = study
        self.say = say
        self.checked: set[str] = set()
        self.wrong: set[str] = set()
        self.missing: list[str] = []
        self.without_hash = 0
        self._file_at_work = ""
        self._pool_ids: dict[str, list[str]] = {}
        self._megabytes = {folder: _megabytes(folder) for folder in _folders(study)}
        self._progress = Progress("reading", sum(self._megabytes.values()), "MB")

    def safely(self, check: Callable[..., None], *arguments: Any) -> None:
        """Make one check. A record in which something is not what it should be is noted, and the others are checked."""
        try:
            check(*arguments)
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            said = f"{type(error).__name__}: {_first_line(error)}"
            self._differs(self._file_at_work, "content", f"not readable ({said})", "a record", _AGAIN)

    def examples(self, folder: str, wanted: str) -> None:
        """Check the content of a pool or benchmark, and that it is of the sources `wanted`."""
        file = f"{folder}/manifest.json"
        record = self._record(file, "n", "content_sha256")
        if record is None:
            return
        if "spec" in record:
            self._same(file, "spec", record["spec"], json.loads(wanted), "delete it and run the study again")
        hashes: list[tuple[str, str]] = []
        shard = Path(folder)
        try:
            for shard in sorted(Path(folder).glob("shards/*.parquet")):
                for batch in pq.ParquetFile(shard).iter_batches(_ROWS):
                    hashes += [(item.id, record_sha256(item)) for item in map(example, batch.to_pylist())]
        except (OSError, pa.ArrowException) as error:
            self._differs(file, shard.as_posix(), f"not readable ({_first_line(error)})", "as written", _AGAIN)
            return
        self._read(f"{folder}/shards")
        self._pool_ids[folder] = [id_ for id_, _ in hashes]
        self._equal(file, "n", record["n"], len(hashes), _AGAIN)
        self._equal(file, "content_sha256 of the shards", content_sha256(hashes), record["content_sha256"], _AGAIN)

    def subset(self, pool: str, seed: int, size: int) -> None:
        """Check a subset's ids: their hash, their pool, and that they are the first of its shuffle."""
        file = paths.subset(pool, seed, size)
        record = self._record(file, "ids", "ids_sha256", "pool_content_sha256")
        if record is None:
            return
        again = "delete it and run the study again"
        ids: list[str] = record["ids"]
        self._equal(file, "ids_sha256", ids_sha256(ids), record["ids_sha256"], again)
        made = self._peek(f"{paths.pool(pool)}/manifest.json")
        if made is not None:
            self._equal(file, "pool_content_sha256", record["pool_content_sha256"], made["content_sha256"], again)
        if paths.pool(pool) not in self._pool_ids:
            return
        # All subsets of one seed are beginnings of one shuffle, so that a smaller one is a prefix of a larger.
        wanted = shuffled(pool, seed, self._pool_ids[paths.pool(pool)])[:size]
        self._equal(file, "number of ids", len(ids), size, again)
        for i, (found, expected) in enumerate(zip(ids, wanted, strict=False)):
            if found != expected:
                self._differs(file, f"ids[{i}]", found, f"{expected}, as the pool's shuffle has it", again)
                break

    def base(self, model: str) -> None:
        """Check a base model's options and files."""
        file = paths.model(model, "manifest.json")
        record = self._record(file, "spec", "fingerprint")
        if record is None:
            return
        wanted = json.loads(identity.model_spec(self.study, model))
        self._same(file, "spec", record["spec"], wanted, _RUN)
        self._checkpoint(file, paths.model(model, "model"), record["fingerprint"])

    def run(self, run: grid.Run) -> None:
        """Check a run's options, files, parent, subset and trajectory."""
        file = paths.run(run.cell, "run.json")
        record = self._record(file, "spec", "fingerprint", "parent", "subset", "trained_ids_sha256", "trajectory")
        if record is None:
            return
        wanted = json.loads(identity.stage_spec(self.study, run.model, run.stage))
        self._same(file, "spec", record["spec"], wanted, _RUN)
        self._equal(file, "prompt_sha256", record.get("prompt_sha256"), prompt_sha256(self.study.prompt), _RUN)
        self._equal(file, "steps_done", record.get("steps_done"), record.get("steps_planned"), "train it again")
        parent = self._peek(run.parent_record)
        if parent is not None:
            used, there = record["parent"]["fingerprint"], parent["fingerprint"]
            self._equal(file, f"parent.fingerprint (of {run.parent_record})", used, there, "train it again")
        self._trained_on(file, run, record)
        self._file(file, "metrics.jsonl", record, "delete the record and run the study again")
        self._checkpoint(file, paths.run(run.cell, "model"), record["fingerprint"])
        for item in record["trajectory"]:
            self._checkpoint(file, item["path"], item["fingerprint"])

    def responses(self, cell: str, suite: str) -> None:
        """Check what responses were asked of, and that they are the ones that were written."""
        file = paths.evaluation(cell, suite, "responses.json")
        record = self._record(file, "decoding", "benchmarks", "checkpoints", "prompt_sha256")
        if record is None:
            return
        spec = self.study.suites[suite]
        prefill = THINK if cell.endswith(f"/{grid.BASE_THINK}") else ""
        for name, expected in (("cell", cell), ("suite", suite), ("prefill", prefill)):
            self._equal(file, name, record.get(name), expected, "evaluate it again")
        if "spec" in record:
            wanted = json.loads(identity.suite_spec(self.study, grid.model_of(cell), suite))
            self._same(file, "spec", record["spec"], wanted, _RUN)
        try:
            # An option that is younger than the record takes its default.
            decoding = Decoding.model_validate(record["decoding"]).model_dump()
        except ValidationError:
            decoding = record["decoding"]
        self._same(file, "decoding", decoding, spec.decoding.model_dump(), _RUN)
        self._equal(file, "prompt_sha256", record["prompt_sha256"], prompt_sha256(self.study.prompt), _RUN)
        self._equal(file, "benchmarks", list(record["benchmarks"]), list(spec.benchmarks), _RUN)
        for name, described in record["benchmarks"].items():
            made = self._peek(f"{paths.benchmark(name)}/manifest.json")
            if made is not None:
                what = f"benchmarks.{name}.content_sha256"
                self._equal(file, what, described["content_sha256"], made["content_sha256"], "evaluate it again")
        checkpoints = {item["step"]: item["fingerprint"] for item in record["checkpoints"]}
        # A maker's record that is broken or missing is noted where it is checked.
        with contextlib.suppress(RecordError):
            there = status.made_checkpoints(cell, spec.checkpoints == "trajectory")
            if there:
                self._same(file, "checkpoints", _by_step(checkpoints), _by_step(there), "evaluate it again")
        self._file(file, "responses.parquet", record, "delete it and run the study again; responses are kept elsewhere")

    def scores(self, cell: str, suite: str) -> None:
        """Check who judged, what was judged, and that the sums are those of the rows."""
        file = paths.evaluation(cell, suite, "scores.json")
        record = self._record(file, "judge_version", "scores", *_COPIED)
        if record is None:
            return
        self._equal(file, "judge_version", record["judge_version"], JUDGE_VERSION, _SCORE)
        if "score_spec" in record:
            self._same(
                file, "score_spec", record["score_spec"], json.loads(identity.score_spec(self.study, suite)), _SCORE
            )
        responses = self._peek(paths.evaluation(cell, suite, "responses.json"))
        if responses is not None:
            judged, there = (item.get("files", {}).get("responses.parquet") for item in (record, responses))
            self._equal(file, "files.responses.parquet", judged, there, _SCORE)
            for key in _COPIED:
                self._same(file, key, record[key], responses.get(key), _SCORE)
        if not self._file(file, "scores.parquet", record, _SCORE):
            return
        try:
            rows = pq.read_table(Path(file).with_name("scores.parquet"), columns=list(_SUMMED)).to_pylist()
        except (OSError, pa.ArrowException) as error:
            self._differs(file, "scores.parquet", f"not readable ({_first_line(error)})", "as written", _SCORE)
            return
        self._same(file, "scores (summed up again)", record["scores"], summaries(rows), _SCORE)

    def report(self, kind: Literal["tables", "figures"]) -> None:
        """Check that tables or figures are of this study and of the results that are there, and as they were made."""
        state = status.report_state(self.study, kind)
        if state == "missing":
            self.missing.append(f"{paths.RESULTS}/{kind}")
            return
        file = paths.report(kind)
        record = self._record(file, "files", "made_from")
        if record is None:
            return
        if state == "outdated":
            self.wrong.add(file)
            self.say(f"{paths.RESULTS}/{kind}: {status.stale(self.study, kind)}; {_RUN}")
            return
        todo = "delete it and run the study again"
        for made, recorded in record["files"].items():
            self._equal(file, f"sha256 of {made}", file_sha256(made), recorded, todo)

    def end(self) -> None:
        """Print the summary. Raises VerifyError where something is wrong or missing."""
        self._progress.close()
        summary = f"{len(self.checked)} records checked, {len(self.wrong)} do not match"
        if self.missing:
            summary += f", {len(self.missing)} are not there"
            self.say(f"{self.missing[0]}: not there; run the study to its end (`reassess status` has the rest)")
        if self.without_hash:
            self.say(f"{self.without_hash} Parquet files have no recorded hash: an earlier version wrote their records")
        if self.wrong or self.missing:
            raise VerifyError(f"study {self.study.name}: {summary}")
        self.say(f"study {self.study.name}: {summary}")

    def _trained_on(self, file: str, run: grid.Run, record: dict[str, Any]) -> None:
        subset = self._peek(paths.subset(run.pool, run.seed, run.size))
        if subset is None:
            return
        used = record["subset"]
        self._equal(file, "subset.ids_sha256", used["ids_sha256"], ids_sha256(subset["ids"]), "train it again")
        self._equal(
            file, "subset.content_sha256", used["content_sha256"], subset["pool_content_sha256"], "train it again"
        )
        out: set[str] = set()
        aside = Path(paths.run(run.cell, "put_aside.jsonl"))
        if aside.exists():
            out = {json.loads(line)["id"] for line in aside.read_text(encoding="utf-8").splitlines()}
        trained = ids_sha256(id_ for id_ in subset["ids"] if id_ not in out)
        what = "trained_ids_sha256 (the subset less put_aside.jsonl)"
        self._equal(file, what, record["trained_ids_sha256"], trained, "train it again")

    def _checkpoint(self, file: str, folder: str, recorded: str) -> None:
        """Compare the files of a checkpoint with the fingerprint in a record."""
        try:
            found = fingerprint(folder)
        except OSError as error:
            self._differs(file, folder, f"not readable ({_first_line(error)})", recorded, _AGAIN)
            return
        self._read(folder)
        self._equal(file, f"fingerprint of {folder}", found, recorded, _AGAIN)

    def _file(self, file: str, name: str, record: dict[str, Any], todo: str) -> bool:
        """Compare a file beside a record with the hash in the record; return whether it is worth reading on."""
        target = Path(file).with_name(name)
        if not target.exists():
            self._differs(file, name, "not there", "the file that the record describes", todo)
            return False
        recorded = record.get("files", {}).get(name)
        if recorded is None:
            self.without_hash += 1
            return True
        return self._equal(file, f"sha256 of {name}", file_sha256(target), recorded, todo)

    def _record(self, file: str, *keys: str) -> dict[str, Any] | None:
        """Return a record with these keys; None where it is missing or broken, which is noted."""
        if not Path(file).exists():
            self.missing.append(file)
            return None
        self.checked.add(file)
        self._file_at_work = file
        record = self._peek(file)
        if record is None:
            self._differs(file, "content", "not JSON", "a record", _AGAIN)
            return None
        lacking = [key for key in keys if key not in record]
        if lacking:
            self._differs(file, lacking[0], "missing", "a value", _AGAIN)
        return None if lacking else record

    def _peek(self, file: str) -> dict[str, Any] | None:
        """Return a record that another one names, None where it is missing or broken."""
        try:
            found = json.loads(Path(file).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def _equal(self, file: str, what: str, found: Any, expected: Any, todo: str) -> bool:
        if found == expected:
            return True
        self._differs(file, what, found, expected, todo)
        return False

    def _same(self, file: str, what: str, found: Any, expected: Any, todo: str) -> None:
        """Compare nested values, and name the first one that differs."""
        for key, left, right in _differences(what, found, expected):
            self._differs(file, key, left, right, todo)
            return

    def _differs(self, file: str, what: str, found: Any, expected: Any, todo: str) -> None:
        self.wrong.add(file)
        self.say(f"{file}: {what} is {_short(found)}, expected {_short(expected)}; {todo}")

    def _read(self, folder: str) -> None:
        if folder in self._megabytes:
            self._progress.update(self._megabytes.pop(folder))


def _folders(study: Study) -> Iterator[str]:
    """Yield the directories that are read as a whole; a trajectory's checkpoints are as large as the model."""
    for job in jobs(study).values():
        record = Path(outputs(job)[0])
        if job.command in ("pool", "benchmark"):
            yield f"{record.parent.as_posix()}/shards"
        elif job.command in ("base-model", "train"):
            yield f"{record.parent.as_posix()}/model"
            yield from (path.as_posix() for path in record.parent.glob("checkpoints/*/trajectory/*"))


def _megabytes(folder: str) -> int:
    return 1 + sum(file.stat().st_size for file in Path(folder).glob("*") if file.is_file()) // 1_000_000


def _by_step(checkpoints: Mapping[int | None, str]) -> dict[str, str]:
    return {"final" if step is None else f"step {step}": digest for step, digest in checkpoints.items()}


def _differences(what: str, found: Any, expected: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield the places where two values of JSON differ, with both values; None stands for a missing one."""
    if isinstance(found, dict) and isinstance(expected, dict):
        for key in sorted({*found, *expected}):
            yield from _differences(f"{what}.{key}", found.get(key), expected.get(key))
    elif isinstance(found, float) and isinstance(expected, float):
        # The sum of the same numbers in another version of a library may differ in its last digit.
        if not math.isclose(found, expected, rel_tol=1e-9):
            yield what, found, expected
    elif found != expected:
        yield what, found, expected


def _short(value: Any) -> str:
    """Return a value in a line for people: of a hash, the digits that tell it from others."""
    text = str(value)
    if re.fullmatch(r"[0-9a-f]{64}", text):
        return text[:16]
    return text if len(text) <= 120 else f"{text[:117]}..."


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
