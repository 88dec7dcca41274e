"""How likely a model finds given responses: those that SFT would imitate, each by itself."""

from __future__ import annotations

import math
from collections.abc import Iterator

from reassess.engines.base import Given, Origin
from reassess.evaluate.generate import EvaluationError
from reassess.evaluate.measure import Found, Task
from reassess.models.load import positions
from reassess.models.reader import Unreadable, one_line
from reassess.work.progress import Progress

NO_RATIONALE = "no rationale"
TOO_LONG = "prompt and response longer than the model takes (max_position_embeddings)"
NOT_FINITE = "its likelihood is not finite"


def run(task: Task) -> Iterator[Found]:
    """Yield negative log-likelihoods by example, some at a time: in the mean of its tokens, how many, and summed.

    Raises:
        EvaluationError: the chat template ends a response with no token that ends generation.
    """
    try:
        task.reader.completion("")
    except ValueError as error:
        raise EvaluationError(
            f"{task.checkpoint.path}: {error}; give another template as models.<name>.chat_template"
        ) from None
    given: list[Given] = []
    limit = positions(task.checkpoint.path, task.reader.model)
    progress = Progress("reading examples", len(task.todo), "examples")
    for place in task.todo:
        progress.update(1)
        try:
            row = read(task, place)
            # vLLM needs a place for one more token.
            if limit is not None and row.origin.length + row.tokens >= limit:
                raise Unreadable(TOO_LONG)
        except Unreadable as reason:
            yield {place: str(reason)}
        else:
            given.append(row)
    progress.close()
    if not given:
        return
    # So that whoever has asked to stop meanwhile is heard.
    yield {}
    engine = task.start(1 + max(row.origin.length + row.tokens for row in given))
    for batch in engine.nll(given):
        found: Found = {}
        for key, said in batch.items():
            values = {"nll": said.nll / max(1, said.tokens), "tokens": said.tokens, "sum": said.nll}
            why = NOT_FINITE if said.error is None else one_line(said.error)
            found[int(key)] = values if math.isfinite(said.nll) else why
        yield found


def read(task: Task, place: int) -> Given:
    """Return an example's response as an engine is asked about it. Raises Unreadable."""
    example, reader = task.examples[place], task.reader
    if not example.rationales:
        raise Unreadable(NO_RATIONALE)
    if problem := reader.special(example.rationales[0], example.gold, *example.answers[:1]):
        raise Unreadable(problem)
    seen = reader.read(example)
    origin = Origin(task.examples, place, False, seen.length, bool(seen.pictures))
    return Given(str(place), origin, len(reader.response_ids(example)))
