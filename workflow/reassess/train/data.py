"""The training rows: the same examples, pixels and prompts for every stage, decoded as they are drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from datasets import Dataset

from reassess.data.shards import Shards
from reassess.example import Example, PutAside
from reassess.models.reader import TOO_LONG, Counted, Reader, Unreadable
from reassess.train import ranks
from reassess.train.plan import TrainError
from reassess.work.progress import Progress

# Rows of the preflight.
CHECKED = 8
# Column of rows that only fill a batch: the same examples as others, and not to be learnt from.
BLANK = "blank"
# Column of the prompt's text through the chat template, image tokens not expanded.
RENDERED = "rendered"


class Rows(NamedTuple):
    """The examples of a run, each read when it is drawn, and how a model sees them.

    Attributes:
        examples: the examples; one of which several rationales are imitated stands there as often.
        reader: how the model sees them.
        rationales: which rationale of each is imitated, None where the answer alone is; empty where it is the first.
    """

    examples: Shards
    reader: Reader
    rationales: Sequence[int | None] = ()

    def rationale(self, index: int) -> int | None:
        """Return which rationale of an example is imitated."""
        return self.rationales[index] if self.rationales else 0


class Usable(NamedTuple):
    """What of the examples of a subset a model can be trained on.

    Attributes:
        rows: the usable ones.
        out: the others, with the reason.
        image_tokens: what the images of the usable ones take.
        tokens: of the prompts and responses of the usable ones, 0 where they were not measured.
    """

    rows: Rows
    out: list[PutAside]
    image_tokens: Counted
    tokens: int = 0


def put_aside(rows: Rows, share: float, imitates: int = 1, measured: bool = False) -> Usable:
    """Take out what no method can train on: see `Reader.read`, and a response with a special token of the model.

    Each of several processes reads a part of the examples, and none holds any.

    Args:
        rows: the examples of a subset.
        share: the largest share of them that may be taken out.
        imitates: how many rationales of each are imitated, 0 where the gold alone is.
        measured: whether to count the tokens of what is imitated, and of the prompts before it.

    Raises:
        TrainError: more than `share`, or every example, would be taken out.
    """
    by_index: dict[int, PutAside] = {}
    counted, tokens = Counted(), 0
    mine = range(ranks.number(), len(rows.examples), ranks.world().processes)
    for found, theirs, many in ranks.gather(_unusable(rows, mine, imitates, measured)):
        by_index.update(found)
        counted.join(theirs)
        tokens += many
    out = [by_index[index] for index in sorted(by_index)]
    kept = [index for index in range(len(rows.examples)) if index not in by_index]
    if len(out) > share * len(rows.examples) or not kept:
        reasons = ", ".join(f"{n} x {reason}" for reason, n in Counter(item.reason for item in out).most_common())
        first = f"; the first is {out[0].id!r}" if out else ""
        raise TrainError(
            f"{len(out)} of {len(rows.examples)} examples cannot be used ({reasons or 'the subset is empty'}{first}), "
            f"more than the pool's max_put_aside {share}; {_advice(rows.reader, out)}"
        )
    return Usable(rows._replace(examples=rows.examples.take(kept)), out, counted, tokens)


def _unusable(
    rows: Rows, indices: Sequence[int], imitates: int, measured: bool
) -> tuple[dict[int, PutAside], Counted, int]:
    """Return what of some rows is put aside, by index, what the images of the others take, and their tokens of SFT."""
    out: dict[int, PutAside] = {}
    counted, tokens = Counted(), 0
    progress = Progress("reading examples", len(indices), "examples")
    for index in indices:
        progress.update(1)
        example = rows.examples[index]
        try:
            read = rows.reader.read(example)
            if problem := rows.reader.special(*example.rationales[: imitates or 1], example.gold, *example.answers):
                raise Unreadable(problem)
        except Unreadable as reason:
            out[index] = PutAside(example.id, example.source, str(reason))
        else:
            counted.add(read)
            for which in _imitated(len(example.rationales), imitates) if measured else ():
                completion = rows.reader.completion(rows.reader.response(example, which))
                tokens += read.length + len(rows.reader.encode([completion], [])["input_ids"][0])
    progress.close()
    return out, counted, tokens


def _advice(reader: Reader, out: Sequence[PutAside]) -> str:
    """Return what to do about examples that cannot be used."""
    if any(item.reason == TOO_LONG for item in out):
        how = "lower max_pixels or set processor_args, which decide how many tokens an image takes (docs/models.md)"
        images = f", or {how}" if reader.sees else ""
        return f"raise models.<name>.max_prompt_length ({reader.model.max_prompt_length}){images}"
    return "mend the examples, or raise max_put_aside"


def sft_dataset(rows: Rows, blanks: int = 0) -> Dataset:
    """Return rows whose loss is on the first rationale and the gold answer, in the prompt's format.

    They are written with the chat template here, and not left to it as messages: some templates move or leave out the
    thoughts of a response, or begin it otherwise than the prompt of evaluation ends.

    Args:
        rows: the training rows.
        blanks: fillers to add at the end; every row says then whether it is one, as `BLANK`.

    Returns:
        For a model that sees, `prompt`, `completion` (both text) and `images`; else `input_ids` and `labels`.
    """
    reader = rows.reader

    def row(index: int) -> dict[str, Any]:
        example = rows.examples[index]
        said = reader.response(example, rows.rationale(index))
        prompt, completion = reader.render(example), reader.completion(said)
        if reader.sees:
            return {"prompt": prompt, "completion": completion, "images": reader.pictures(example)}
        head, tail = reader.encode([prompt, completion], [])["input_ids"]
        return {"input_ids": head + tail, "labels": [-100] * len(head) + tail}

    return _lazy(len(rows.examples), row, blanks)


def imitated(rows: Rows, per_question: int) -> Rows:
    """Return rows as SFT sees them: an example as often as it has rationales that are imitated.

    Args:
        rows: the training rows, each example once.
        per_question: the most rationales of an example, 0 where the gold alone is imitated.

    Raises:
        TrainError: an example has no rationale, and is to be imitated with one.
    """
    if per_question == 0:
        return rows._replace(rationales=[None] * len(rows.examples))
    counts = rows.examples.lengths("rationales")
    if 0 in counts:
        raise TrainError(
            f"example {rows.examples[counts.index(0)].id!r} has no rationale to imitate; give every example of the "
            "pool one, say `target: answer`, or leave SFT out of its recipes"
        )
    if per_question == 1:
        return rows
    chosen = [(index, which) for index, n in enumerate(counts) for which in _imitated(n, per_question)]
    examples = rows.examples.take([index for index, _ in chosen])
    return rows._replace(examples=examples, rationales=[which for _, which in chosen])


def _imitated(rationales: int, per_question: int) -> Sequence[int | None]:
    """Return which of the rationales of an example are imitated, None standing for the gold alone."""
    return range(min(rationales, per_question)) if per_question else (None,)


def rl_dataset(rows: Rows, by_engine: bool) -> Dataset:
    """Return conversational rows with `prompt`, `images` and the judge's columns.

    Args:
        rows: the training rows.
        by_engine: whether an engine of ours samples. It wants the prompt's text (`rendered`) beside TRL's messages, and
            rows without an image may stand among others, with an empty list of `images`.

    Raises:
        TrainError: TRL samples, and some examples have an image and others have none.
    """
    reader = rows.reader
    if not by_engine:
        refuse_mixed(rows.examples, "TRL's own sampling cannot mix them")

    def row(index: int) -> dict[str, Any]:
        example = rows.examples[index]
        images = reader.pictures(example)
        return {
            "prompt": reader.messages(example),
            **({"images": images} if images or (by_engine and reader.sees) else {}),
            **({RENDERED: reader.render(example)} if by_engine else {}),
            "id": example.id,
            "gold": example.gold,
            "kind": example.kind,
            "options": list(example.options),
        }

    return _lazy(len(rows.examples), row)


def numbers(rows: Rows) -> Dataset:
    """Return a dataset of as many rows that says which is which, for a trainer that looks up what it needs."""
    return Dataset.from_dict({"prompt": [str(i) for i in range(len(rows.examples))]})


def refuse_mixed(examples: Shards, why: str) -> None:
    """Raise TrainError where some examples have an image and others have none."""
    has_image = [n > 0 for n in examples.lengths("images")]
    if True in has_image and False in has_image:
        visual, text_only = (examples[has_image.index(kind)].id for kind in (True, False))
        raise TrainError(
            f"{sum(has_image)} of {len(has_image)} examples have an image (such as {visual!r}), the others have none "
            f"(such as {text_only!r}): {why}; use a pool of one kind"
        )


def evaluation_ids(example: Example, reader: Reader) -> list[int]:
    """Return the prompt's token ids as evaluation has them, image tokens expanded."""
    ids: list[int] = list(reader.encode([reader.render(example)], [reader.pictures(example)])["input_ids"][0])
    return ids


def placeholders(config: Any) -> list[int]:
    """Return the token ids that stand for images, video or audio in a model's input."""
    names = ("image_token_id", "image_token_index", "video_token_id", "video_token_index", "audio_token_id")
    return sorted({value for name in names if isinstance(value := getattr(config, name, None), int)})


def check_prompt(example: Example, trained: Sequence[int], rows: Rows) -> None:
    """Compare the prompt tokens of training with those of evaluation. Raises TrainError."""
    evaluated = evaluation_ids(example, rows.reader)
    if list(trained) != evaluated:
        at = next((i for i, pair in enumerate(zip(trained, evaluated, strict=False)) if pair[0] != pair[1]), None)
        at = min(len(trained), len(evaluated)) if at is None else at
        decode = rows.reader.tokenizer.decode
        raise TrainError(
            f"example {example.id!r}: training and evaluation see different prompts ({len(trained)} and "
            f"{len(evaluated)} tokens): from token {at} training has {decode(trained[at : at + 8])!r} and evaluation "
            f"{decode(evaluated[at : at + 8])!r}; look at the checkpoint's chat template and tokenizer"
        )


def _lazy(n: int, row: Callable[[int], dict[str, Any]], blanks: int = 0) -> Dataset:
    """Return a dataset of `n` rows, each made when it is drawn; one drawn several times at once is made once."""

    def draw(index: int) -> dict[str, Any]:
        blank = index >= n
        return {**row(0 if blank else index), **({BLANK: blank} if blanks else {})}

    def columns(batch: dict[str, list[int]]) -> dict[str, list[Any]]:
        drawn = {index: draw(index) for index in set(batch["index"])}
        names = drawn[batch["index"][0]]
        return {name: [drawn[index][name] for index in batch["index"]] for name in names}

    return Dataset.from_dict({"index": list(range(n + blanks))}).with_transform(columns)
