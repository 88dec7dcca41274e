"""What `reassess verify` does: hashes a finished study again and says what its records do not describe."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from reassess.data.collection import content_sha256
from reassess.data.parquet import read_parquet
from reassess.data.shards import Shards, stream
from reassess.data.subset import ids_sha256, shuffled, usable
from reassess.evaluate.measure import summed_up
from reassess.evaluate.score import summaries
from reassess.example import DataError, record_sha256
from reassess.graph import Graph, Job, changes
from reassess.graph.state import Difference, States, nested
from reassess.judge import JUDGE_VERSION
from reassess.models.load import fingerprint
from reassess.prompts import prompt_sha256
from reassess.work.progress import Progress
from reassess.work.records import RecordError, file_sha256

# What scores.json has from responses.json.
_COPIED = ("cell", "suite", "think", "prefill", "checkpoints", "benchmarks", "prompt_sha256", "decoding")
_SUMMED = ("benchmark", "id", "sample", "step", "correct", "answer", "reason", "format_ok", "truncated", "n_tokens")
# What to do about a record, by what it is of.
_AGAIN = "restore the file, or delete the record and run the study again"
_SCORE = "delete scores.parquet and run the study again: it is scored again and nothing else"


class VerifyError(ValueError):
    """Records of a study do not describe what lies beside them: the message says how many."""


def verify(graph: Graph, say: Callable[[str], None] = print) -> None:
    """Check every record of a study against the files and the other records that it describes.

    Args:
        graph: the study.
        say: gets a line per mismatch (file, what, found, expected, what to do) as it is found, and a summary.

    Raises:
        VerifyError: something does not match, or is not there.
    """
    check = _Verification(graph, say)
    for job in graph.jobs.values():
        check.job(job)
    check.end()


class _Verification:
    """The state of one verification: what was hashed, what was found, and what does not match."""

    def __init__(self, graph: Graph, say: Callable[[str], None]) -> None:
        self.graph = graph
        self.study = graph.study
        self.say = say
        self.checked: set[str] = set()
        self.wrong: set[str] = set()
        self.missing: list[str] = []
        self._states = States(graph)
        self._readable: set[str] = set()
        self._megabytes = {folder: _megabytes(folder) for folder in _folders(graph)}
        self._progress = Progress("reading", sum(self._megabytes.values()), "MB")

    def job(self, job: Job) -> None:
        """Check one result. A record that is not what it should be is noted, and the others are checked."""
        if not Path(job.record).exists():
            self.missing.append(job.record)
            return
        self.checked.add(job.record)
        try:
            record = self._states.record(job)
        except RecordError as error:
            self.wrong.add(job.record)
            self.say(str(error))
            return
        try:
            assert record is not None
            # A broken record of what it was made from is noted where that is checked.
            with contextlib.suppress(RecordError):
                for difference in self._states.differences(job):
                    self._say(job.record, str(difference), self._again(job))
            {
                "pool": self._examples,
                "benchmark": self._examples,
                "examples": self._examples,
                "subset": self._subset,
                "model": self._base,
                "train": self._run,
                "generate": self._responses,
                "score": self._scores,
                "measure": self._measured,
                "import": self._imported,
                "tables": self._report,
                "figures": self._report,
            }[job.rule](job, record)
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            said = f"{type(error).__name__}: {_first_line(error)}"
            self._differs(job.record, "content", f"not readable ({said})", "a record", _AGAIN)

    def _examples(self, job: Job, record: dict[str, Any]) -> None:
        """Check the content of a pool, benchmark or set."""
        folder = Path(job.record).parent
        try:
            found = content_sha256((item.id, record_sha256(item)) for item in stream(folder))
            ids = Shards(folder).column("id")
        # A picture that cannot be decoded is an OSError.
        except (OSError, DataError) as error:
            self._differs(job.record, "shards", f"not readable ({_first_line(error)})", "as written", _AGAIN)
            return
        self._read(f"{folder.as_posix()}/shards")
        self._readable.add(job.name)
        self._equal(job.record, "n", record["n"], len(ids), _AGAIN)
        self._equal(job.record, "content_sha256 of the shards", found, record["content_sha256"], _AGAIN)

    def _subset(self, job: Job, record: dict[str, Any]) -> None:
        """Check a subset's ids: their hash, and that they are the first of its pool's shuffle."""
        again = "delete it and run the study again"
        ids: list[str] = record["ids"]
        self._equal(job.record, "ids_sha256", ids_sha256(ids), record["ids_sha256"], again)
        pool, seed = job.at.pool, job.at.seed
        assert pool is not None
        assert seed is not None
        if not self._readable.issuperset(job.needs):
            return
        # All subsets of one seed are beginnings of one shuffle, so that a smaller one is a prefix of a larger.
        wanted = shuffled(pool, seed, usable(job))[: job.at.size]
        self._equal(job.record, "number of ids", len(ids), len(wanted), again)
        for i, (found, expected) in enumerate(zip(ids, wanted, strict=False)):
            if found != expected:
                self._differs(job.record, f"ids[{i}]", found, f"{expected}, as the pool's shuffle has it", again)
                break

    def _base(self, job: Job, record: dict[str, Any]) -> None:
        self._checkpoint(job.record, Path(job.record).with_name("model").as_posix(), record["fingerprint"])

    def _run(self, job: Job, record: dict[str, Any]) -> None:
        """Check a run's files, the rows that it was trained on, and its trajectory."""
        again = self._again(job)
        if self.graph.stage(job).READS_EXAMPLES:
            self._equal(job.record, "prompt_sha256", record["prompt_sha256"], prompt_sha256(self.study.prompt), again)
        self._equal(job.record, "steps_done", record["steps_done"], record["steps_planned"], again)
        self._trained_on(job, record)
        for name in record["files"]:
            self._file(job.record, name, record, "delete the record and run the study again")
        self._base(job, record)
        for item in record["trajectory"]:
            self._checkpoint(job.record, item["path"], item["fingerprint"])

    def _responses(self, job: Job, record: dict[str, Any]) -> None:
        """Check whose responses they are, and that they are the ones that were written."""
        made, sheet = self.graph.set_of(job), self.graph.sheet(job)
        think = sheet.step.think if sheet.step else self.graph.cell(job.at.cell).think
        whose = {"cell": job.at.cell, "suite": job.at.suite} if made is None else {"cell": made.speaker}
        for name, expected in (*whose.items(), ("think", think)):
            self._equal(job.record, name, record.get(name), expected, self._again(job))
        self._equal(job.record, "prompt_sha256", record["prompt_sha256"], prompt_sha256(sheet.prompt), self._again(job))
        self._same(job.record, "decoding", record["decoding"], sheet.decoding.recorded(), self._again(job))
        todo = "delete it and run the study again; responses are kept elsewhere"
        for name in record["files"]:
            self._file(job.record, name, record, todo)

    def _scores(self, job: Job, record: dict[str, Any]) -> None:
        """Check what was judged, and that the sums are those of the rows."""
        self._equal(job.record, "judge_version", record["judge_version"], JUDGE_VERSION, _SCORE)
        responses = self._peek(self.graph.jobs[job.needs[0]].record)
        for key in _COPIED if responses is not None else ():
            self._same(job.record, key, record[key], (responses or {}).get(key), _SCORE)
        self._summed(job, record)

    def _summed(self, job: Job, record: dict[str, Any]) -> None:
        """Check that the sums of scores.json are those of the rows beside it."""
        if not self._file(job.record, "scores.parquet", record, _SCORE):
            return
        try:
            rows = read_parquet(Path(job.record).with_name("scores.parquet"), _SUMMED)
            found = summaries(rows, self.graph.study.circular)
        except (OSError, pa.ArrowException) as error:
            problem = f"not readable ({_first_line(error)})"
            self._differs(job.record, "scores.parquet", problem, "as written", _SCORE)
            return
        self._same(job.record, "scores (summed up again)", record["scores"], found, _SCORE)

    def _measured(self, job: Job, record: dict[str, Any]) -> None:
        """Check whose values they are, and that they are those that were written and summed up."""
        again = self._again(job)
        made, (called, spec) = self.graph.set_of(job), self.graph.measure(job)
        for name, expected in (("cell", made.speaker if made else job.at.cell), ("measure", called)):
            self._equal(job.record, name, record.get(name), expected, again)
        self._equal(job.record, "prompt_sha256", record["prompt_sha256"], prompt_sha256(self.study.prompt), again)
        is_as_written = [self._file(job.record, name, record, again) for name in record["files"]]
        if not all(is_as_written):
            return
        try:
            rows = list(read_parquet(Path(job.outputs[1]), ("source", *spec.COLUMNS)))
        except (OSError, pa.ArrowException) as error:
            self._differs(job.record, "values.parquet", f"not readable ({_first_line(error)})", "as written", again)
            return
        columns = {name: np.array([row[name] for row in rows], dtype="float64") for name in spec.COLUMNS}
        sums = summed_up(spec, [row["source"] for row in rows], columns)
        self._same(job.record, "summed up again", {key: record[key] for key in sums}, sums, again)

    def _imported(self, job: Job, record: dict[str, Any]) -> None:
        """Check other people's results: their files, what was judged, and that the sums are those of the rows."""
        self._equal(job.record, "judge_version", record["judge_version"], JUDGE_VERSION, _SCORE)
        read = {file: digest for facts in record["imported"].values() for file, digest in facts["files"].items()}
        for file, digest in read.items():
            # It is the user's, who may have put it elsewhere.
            if Path(file).exists():
                self._equal(job.record, f"sha256 of {file}", file_sha256(file), digest, self._again(job))
        for name in [name for name in record["files"] if name != "scores.parquet"]:
            self._file(job.record, name, record, _SCORE)
        self._summed(job, record)

    def _report(self, job: Job, record: dict[str, Any]) -> None:
        """Check that tables or figures are as they were made."""
        for made, recorded in record["files"].items():
            if not Path(made).exists():
                self._differs(job.record, made, "not there", "the file that the record describes", self._again(job))
                continue
            self._equal(
                job.record, f"sha256 of {made}", file_sha256(made), recorded, "delete it and run the study again"
            )

    def _again(self, job: Job) -> str:
        return f"make it again: {changes.again(self.graph, job)}"

    def end(self) -> None:
        """Print the summary. Raises VerifyError where something is wrong or missing."""
        self._progress.close()
        summary = f"{len(self.checked)} records checked, {len(self.wrong)} do not match"
        if self.missing:
            summary += f", {len(self.missing)} are not there"
            self.say(f"{self.missing[0]}: not there; run the study to its end (`reassess status` has the rest)")
        if self.wrong or self.missing:
            raise VerifyError(f"study {self.study.name}: {summary}")
        self.say(f"study {self.study.name}: {summary}")

    def _trained_on(self, job: Job, record: dict[str, Any]) -> None:
        subset = next((self._peek(need.record) for need in self.graph.needed(job, "subset")), None)
        if subset is None:
            return
        out: set[str] = set()
        aside = Path(job.record).with_name("put_aside.jsonl")
        if aside.exists():
            out = {json.loads(line)["id"] for line in aside.read_text(encoding="utf-8").splitlines()}
        trained = ids_sha256(id_ for id_ in subset["ids"] if id_ not in out)
        what = "trained_ids_sha256 (the subset less put_aside.jsonl)"
        self._equal(job.record, what, record["trained_ids_sha256"], trained, self._again(job))

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
        target = Path(file).parent / name
        if not target.exists():
            self._differs(file, name, "not there", "the file that the record describes", todo)
            return False
        return self._equal(file, f"sha256 of {name}", file_sha256(target), record["files"][name], todo)

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
        for difference in nested(what, found, expected):
            self._say(file, str(difference), todo)
            return

    def _differs(self, file: str, what: str, found: Any, expected: Any, todo: str) -> None:
        self._say(file, str(Difference(what, found, expected)), todo)

    def _say(self, file: str, what: str, todo: str) -> None:
        self.wrong.add(file)
        self.say(f"{file}: {what}; {todo}")

    def _read(self, folder: str) -> None:
        if folder in self._megabytes:
            self._progress.update(self._megabytes.pop(folder))


def _folders(graph: Graph) -> Iterator[str]:
    """Yield the directories that are read as a whole; a trajectory's checkpoints are as large as the model."""
    for job in graph.jobs.values():
        folder = Path(job.record).parent
        if job.rule in ("pool", "benchmark", "examples"):
            yield f"{folder.as_posix()}/shards"
        elif job.rule in ("model", "train"):
            yield f"{folder.as_posix()}/model"
            shown = (folder / "model").resolve().parent
            yield from (path.as_posix() for path in folder.glob(f"checkpoints/{shown.name}/trajectory/*"))


def _megabytes(folder: str) -> int:
    return 1 + sum(file.stat().st_size for file in Path(folder).glob("*") if file.is_file()) // 1_000_000


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
