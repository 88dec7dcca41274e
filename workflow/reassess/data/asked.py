"""What models are asked, of a benchmark or for a set of examples, and what they said to it with the judge's word."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from reassess.data.held_out import trainable
from reassess.data.parquet import read_parquet
from reassess.data.shards import Shards
from reassess.data.subset import shuffled
from reassess.example import DataError, Example, Said, Scored
from reassess.graph.sets import Sheet
from reassess.judge import Case, Judges
from reassess.steps.base import Asks
from reassess.work.progress import Progress

# Beside the record of responses, or of a measure: one JSON line per row that the model could not be asked.
PUT_ASIDE = "put_aside.jsonl"
# Responses that are judged at a time: of 4,096 tokens, 16 KB each, 16 MB.
BATCH = 1024
_COLUMNS = ("id", "response", "finish_reason", "n_tokens")


class Questions(Sequence[Example]):
    """Examples as they are asked; each is read when it is drawn.

    Args:
        examples: the examples.
        step: the step of the set that they are asked for, None for those of a benchmark.
    """

    def __init__(self, examples: Shards, step: Asks | None = None) -> None:
        self.examples = examples
        self._step = step

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: Any) -> Any:
        """Return an example. Raises RowError where it lacks what the prompt file wants."""
        example: Example = self.examples[index]
        return example if self._step is None else self._step.question(example)

    def column(self, name: str) -> list[Any]:
        """Return a column of the examples; nothing else of them is read."""
        return self.examples.column(name)


def questions(sheet: Sheet, seed: int) -> dict[str, Questions]:
    """Return what is asked, by the name of the benchmark, pool or set: of a pool, what may be trained on.

    Args:
        sheet: what is asked.
        seed: the study's, for the shuffle of which a step asks the first ones.
    """
    if sheet.step is None:
        return {name: Questions(Shards(folder)) for name, folder in sheet.folders.items()}
    return {name: Questions(asked_of(folder, sheet.step, seed), sheet.step) for name, folder in sheet.folders.items()}


def asked_of(folder: str | Path, step: Asks, seed: int) -> Shards:
    """Return the examples of a pool, set or benchmark that a step asks, in the order of the files."""
    found = trainable(folder)
    if step.questions is None:
        return found
    ids = found.column("id")
    first = set(shuffled(step.on, seed, ids)[: step.questions])
    return found.take([index for index, id_ in enumerate(ids) if id_ in first])


class Answered:
    """The examples that a model was asked, with what it said: the input of a step.

    Gone through once, a few thousand responses at a time.

    Args:
        examples: the examples that were asked, in their order.
        responses: `responses.parquet`: those of an example follow each other, in the order of the examples.
        is_judged: whether the judge's word is wanted.
        workers: processes that judge.
    """

    def __init__(self, examples: Shards, responses: Path, is_judged: bool, workers: int) -> None:
        self._examples = examples
        self._responses = responses
        self._is_judged = is_judged
        self._workers = workers

    def ids(self) -> list[str]:
        """Return the ids of the examples."""
        return self._examples.column("id")

    def __iter__(self) -> Iterator[Scored]:
        """Yield those that were asked.

        Raises:
            DataError: the responses are to other examples, or cannot be read.
        """
        n_rows = pq.read_metadata(self._responses).num_rows
        progress = Progress("judging" if self._is_judged else "reading", n_rows, "responses")
        rows = read_parquet(self._responses, _COLUMNS)
        by_example = ((id_, list(found)) for id_, found in itertools.groupby(rows, lambda row: row["id"]))
        places = {id_: index for index, id_ in enumerate(self.ids())}
        waiting: list[tuple[int, list[dict[str, Any]]]] = []
        n = 0
        with Judges(self._workers) as judges:
            for id_, found in by_example:
                if id_ not in places:
                    raise DataError(f"{self._responses}: {id_!r} was answered and is not asked now; ask again")
                waiting.append((places[id_], found))
                n += len(found)
                if n >= BATCH:
                    yield from self._scored(waiting, judges, progress)
                    waiting, n = [], 0
            yield from self._scored(waiting, judges, progress)
        progress.close()

    def _scored(
        self, waiting: list[tuple[int, list[dict[str, Any]]]], judges: Judges, progress: Progress
    ) -> Iterator[Scored]:
        cases = []
        for index, found in waiting if self._is_judged else ():
            # Drawn again below: thousands of examples would hold thousands of pictures.
            example = self._examples[index]
            asked = example.gold, example.kind, example.options or None
            cases += [Case(row["response"], *asked) for row in found if row["finish_reason"] != "error"]
        verdicts = iter(judges.judge(cases))
        for index, found in waiting:
            said = []
            for row in found:
                correct = next(verdicts).correct if self._is_judged and row["finish_reason"] != "error" else None
                said.append(Said(row["response"], row["finish_reason"], row["n_tokens"], correct))
            progress.update(len(found))
            yield Scored(self._examples[index], tuple(said))
