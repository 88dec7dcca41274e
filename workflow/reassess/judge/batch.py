"""Many judgements at once."""

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
    asked = list(cases)
    distinct = list(dict.fromkeys(asked))
    chunks = [distinct[i : i + _CHUNK] for i in range(0, len(distinct), _CHUNK)]
    verdicts: list[Judgement] = []
    if workers > 1 and len(chunks) > 1:
        # A fork would take over the locks of the caller's threads.
        with ProcessPoolExecutor(min(workers, len(chunks)), mp_context=get_context("spawn")) as pool:
            for found in pool.map(_judge_all, chunks):
                verdicts += found
                if progress:
                    progress(len(found))
    else:
        for chunk in chunks:
            verdicts += _judge_all(chunk)
            if progress:
                progress(len(chunk))
    if progress and len(asked) > len(distinct):
        progress(len(asked) - len(distinct))
    known = dict(zip(distinct, verdicts, strict=True))
    return [known[case] for case in asked]


def _judge_all(cases: list[Case]) -> list[Judgement]:
    return [judge(*case) for case in cases]
