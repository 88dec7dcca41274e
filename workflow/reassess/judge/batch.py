"""Many judgements at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import NamedTuple

from reassess.judge.verdict import Judgement, judge

_CHUNK = 64


class Case(NamedTuple):
    """What `judge` is asked."""

    response: str
    gold: str
    kind: str
    options: tuple[str, ...] | None = None


def judge_many(
    cases: Iterable[Case], workers: int = 1, progress: Callable[[int], object] | None = None
) -> list[Judgement]:
    """Judge cases, in their order; a case that comes again is judged once.

    Args:
        cases: what to judge.
        workers: processes. With more than one, the calling script's own work has to stand under
            `if __name__ == "__main__":`, as `multiprocessing` asks.
        progress: called with the number of cases judged since the last call.

    Raises:
        ValueError: a kind is unknown.
        RuntimeError: a comparison needs the symbolic worker and that process cannot be started.
    """
    with Judges(workers) as judges:
        return judges.judge(cases, progress)


class Judges:
    """Processes that judge one list of cases after the other; they start with the first that is long enough.

    Args:
        workers: as of `judge_many`.
    """

    def __init__(self, workers: int = 1) -> None:
        self._workers = workers
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Judges:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def judge(self, cases: Iterable[Case], progress: Callable[[int], object] | None = None) -> list[Judgement]:
        """Judge cases as `judge_many` does."""
        asked = list(cases)
        distinct = list(dict.fromkeys(asked))
        chunks = [distinct[i : i + _CHUNK] for i in range(0, len(distinct), _CHUNK)]
        verdicts: list[Judgement] = []
        for found in self._all(chunks):
            verdicts += found
            if progress:
                progress(len(found))
        if progress and len(asked) > len(distinct):
            progress(len(asked) - len(distinct))
        known = dict(zip(distinct, verdicts, strict=True))
        return [known[case] for case in asked]

    def _all(self, chunks: list[list[Case]]) -> Iterable[list[Judgement]]:
        if self._workers < 2 or len(chunks) < 2:
            return map(_judge_all, chunks)
        if self._pool is None:
            # A fork would take over the locks of the caller's threads.
            self._pool = ProcessPoolExecutor(self._workers, mp_context=get_context("spawn"))
        return self._pool.map(_judge_all, chunks)


def _judge_all(cases: list[Case]) -> list[Judgement]:
    return [judge(*case) for case in cases]
