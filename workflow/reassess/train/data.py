"""The training rows: the same examples, pixels and prompts for every stage, decoded as they are drawn."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from datasets import Dataset

from reassess import prompts
from reassess.example import Example, PutAside
from reassess.models import load
from reassess.prompts import Prompt
from reassess.study.models import Model
from reassess.train.plan import TrainError

# Rows of the preflight.
CHECKED = 8
# Column of rows that only fill a batch: the same examples as others, and not to be learnt from.
BLANK = "blank"


class Rows(NamedTuple):
    """The examples of a run and how a model sees them."""

    examples: list[Example]
    prompt: Prompt
    model: Model
    processor: Any


def put_aside(rows: Rows, share: float) -> tuple[Rows, list[PutAside]]:
    """Take out what no method can train on: prompts longer than `max_prompt_length`, broken images.

    Args:
        rows: the examples of a subset.
        share: the largest share of them that may be taken out.

    Raises:
        TrainError: more than `share`, or every example, would be taken out.
    """
    kept: list[Example] = []
    out: list[PutAside] = []
    lengths = load.Lengths(rows.processor, rows.model)
    for example in rows.examples:
        reason = _reason(example, rows, lengths)
        if reason is None:
            kept.append(example)
        else:
            out.append(PutAside(example.id, example.source, reason))
    if len(out) > share * len(rows.examples) or not kept:
        reasons = ", ".join(f"{n} x {reason}" for reason, n in Counter(item.reason for item in out).most_common())
        first = f"; the first is {out[0].id!r}" if out else ""
        raise TrainError(
            f"{len(out)} of {len(rows.examples)} examples cannot be used ({reasons or 'the subset is empty'}{first}), "
            f"more than the pool's max_put_aside {share}; raise models.<name>.max_prompt_length "
            f"({rows.model.max_prompt_length}) or lower max_pixels"
        )
    return rows._replace(examples=kept), out


def write_put_aside(path: Path, out: Sequence[PutAside]) -> None:
    """Write one JSON line per example that was taken out."""
    path.write_text("".join(json.dumps(item._asdict(), ensure_ascii=False) + "\n" for item in out), encoding="utf-8")


def sft_dataset(rows: Rows, blanks: int = 0) -> Dataset:
    """Return conversational rows with `prompt`, `completion` (the first rationale and the gold answer) and `images`.

    Args:
        rows: the training rows.
        blanks: fillers to add at the end; every row says then whether it is one, as `BLANK`.

    Raises:
        TrainError: an example has no rationale.
    """
    for example in rows.examples:
        if not example.rationales:
            raise TrainError(
                f"example {example.id!r} has no rationale to imitate; give every example of the pool one, "
                "or leave SFT out of its recipes"
            )

    def row(example: Example) -> dict[str, Any]:
        text = prompts.target(example.rationales[0], example.gold, rows.prompt)
        image = load.picture(example, rows.model)
        return {
            "prompt": messages(example, rows.prompt),
            "completion": [{"role": "assistant", "content": [{"type": "text", "text": text}]}],
            "images": [] if image is None else [image],
        }

    return _lazy(rows.examples, row, blanks)


def grpo_dataset(rows: Rows) -> Dataset:
    """Return conversational rows with `prompt`, `images` (where the examples have any) and the judge's columns.

    Raises:
        TrainError: some examples have an image and others have none.
    """
    refuse_mixed(rows.examples, "TRL's GRPO cannot mix them")

    def row(example: Example) -> dict[str, Any]:
        image = load.picture(example, rows.model)
        return {
            "prompt": messages(example, rows.prompt),
            **({} if image is None else {"images": [image]}),
            "id": example.id,
            "gold": example.gold,
            "kind": example.kind,
            "options": list(example.options),
        }

    return _lazy(rows.examples, row)


def refuse_mixed(examples: Sequence[Example], why: str) -> None:
    """Raise TrainError where some examples have an image and others have none."""
    with_image = [example for example in examples if example.image is not None]
    if with_image and len(with_image) < len(examples):
        text_only = next(example for example in examples if example.image is None)
        raise TrainError(
            f"{len(with_image)} of {len(examples)} examples have an image (such as {with_image[0].id!r}), the "
            f"others have none (such as {text_only.id!r}): {why}; use a pool of one kind"
        )


def messages(example: Example, prompt: Prompt) -> list[prompts.Message]:
    """Return the chat messages of an example's prompt."""
    return prompts.messages(example.question, example.options, example.image is not None, prompt)


def evaluation_ids(example: Example, rows: Rows) -> list[int]:
    """Return the prompt's token ids as evaluation has them, image tokens expanded."""
    image = load.picture(example, rows.model)
    text = load.render(example, rows.prompt, rows.processor)
    batch = rows.processor(text=[text], images=None if image is None else [[image]], return_tensors="pt")
    ids: list[int] = batch["input_ids"][0].tolist()
    return ids


def placeholders(config: Any) -> list[int]:
    """Return the token ids that stand for images, video or audio in a model's input."""
    names = ("image_token_id", "image_token_index", "video_token_id", "video_token_index", "audio_token_id")
    return sorted({value for name in names if isinstance(value := getattr(config, name, None), int)})


def check_prompt(example: Example, trained: Sequence[int], rows: Rows) -> None:
    """Compare the prompt tokens of training with those of evaluation. Raises TrainError."""
    evaluated = evaluation_ids(example, rows)
    if list(trained) != evaluated:
        at = next((i for i, pair in enumerate(zip(trained, evaluated, strict=False)) if pair[0] != pair[1]), None)
        at = min(len(trained), len(evaluated)) if at is None else at
        decode = rows.processor.tokenizer.decode
        raise TrainError(
            f"example {example.id!r}: training and evaluation see different prompts ({len(trained)} and "
            f"{len(evaluated)} tokens): from token {at} training has {decode(trained[at : at + 8])!r} and evaluation "
            f"{decode(evaluated[at : at + 8])!r}; look at the checkpoint's chat template and tokenizer"
        )


def _reason(example: Example, rows: Rows, lengths: load.Lengths) -> str | None:
    """Return why an example cannot be used, None where it can."""
    try:
        image = load.picture(example, rows.model)
    except OSError:
        return "image cannot be decoded"
    length = lengths.of(load.render(example, rows.prompt, rows.processor), image)
    return load.TOO_LONG if length > rows.model.max_prompt_length else None


def _lazy(examples: list[Example], row: Callable[[Example], dict[str, Any]], blanks: int = 0) -> Dataset:
    """Return a dataset that decodes a row when it is drawn; a row drawn several times at once is decoded once."""

    def draw(index: int) -> dict[str, Any]:
        blank = index >= len(examples)
        return {**row(examples[0 if blank else index]), **({BLANK: blank} if blanks else {})}

    def columns(batch: dict[str, list[int]]) -> dict[str, list[Any]]:
        drawn = {index: draw(index) for index in set(batch["index"])}
        names = drawn[batch["index"][0]]
        return {name: [drawn[index][name] for index in batch["index"]] for name in names}

    return Dataset.from_dict({"index": list(range(len(examples) + blanks))}).with_transform(columns)
