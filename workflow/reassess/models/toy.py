"""Toy base models: built from their family's config classes and pretrained here, saved as Hugging Face checkpoints.

Pretraining gives a base that perceives and sometimes reasons: it captions, answers directly, and answers with a chain
of thought, on scenes that no pool and no benchmark uses.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from reassess.example import Example
from reassess.models import toys
from reassess.models.reader import Reader
from reassess.models.toys.family import Family
from reassess.prompts import Prompt, target
from reassess.sources import scenes as toy
from reassess.sources.toy import FAMILIES
from reassess.study.models import Model, ToyModel
from reassess.work.progress import Progress

if TYPE_CHECKING:
    from PIL.Image import Image

    from reassess.models.pretraining import Pretraining

# Shares of pretraining sequences. A picture is answered directly more often than with a chain of thought, so that the
# base reasons only sometimes; captions teach to see, drills teach single steps.
MIX = {"caption": 0.25, "direct": 0.25, "direct text": 0.06, "think": 0.19, "think text": 0.07, "drill": 0.18}
BATCH = 32
CAPTION_QUESTION = "What does the picture show?"


def build(spec: ToyModel, prompt: Prompt, directory: str | Path, state: Pretraining) -> dict[str, Any]:
    """Build and pretrain a toy model and save it, with its processor, as a Hugging Face checkpoint.

    A stopped pretraining goes on from `state`, and ends with the same weights.

    Returns:
        What the manifest records: parameters, steps, first and last loss.

    Raises:
        ModelError: this machine lacks what the family needs.
    """
    family = toys.FAMILIES[spec.family]
    torch.manual_seed(spec.seed)
    rng = random.Random(f"toy model {spec.seed}")
    processor = family.build_processor(_corpus(prompt, rng))
    model = family.build_model(family.SHAPES[spec.size], processor.tokenizer)
    reader = Reader(processor, [processor.tokenizer.eos_token_id], Model(toy=spec), prompt)
    batch = partial(_batch, family=family, reader=reader)
    losses = pretrain(model, spec, _lessons(prompt, rng), batch, state)
    model.save_pretrained(directory)
    processor.save_pretrained(directory)
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "steps": spec.steps,
        "loss_first": losses[0],
        "loss_last": sum(losses[-20:]) / len(losses[-20:]),
    }


def pretrain(
    model: Any,
    spec: ToyModel,
    lessons: Iterator[_Lesson],
    batch: Callable[[list[_Lesson]], dict[str, torch.Tensor]],
    state: Pretraining,
) -> list[float]:
    """Train in place on captions, direct answers, chains of thought and drills; return the loss of every step.

    Only the reply carries loss. Matrices of the layers are trained with Muon, whose orthogonalised steps reach the
    same loss as AdamW in about a third of the steps here, the rest with AdamW; cosine schedule with 5% warm-up.

    Args:
        model: the model.
        spec: its family and size, and how many steps to take.
        lessons: what it learns from.
        batch: makes model inputs of lessons.
        state: where a stopped pretraining stands.
    """
    shape = toys.FAMILIES[spec.family].SHAPES[spec.size]
    matrices, rest = split(model)
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.Muon(matrices, lr=shape.matrix_learning_rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=shape.learning_rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]
    warmup = max(1, spec.steps // 20)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, spec.steps - warmup)))

    schedules = [torch.optim.lr_scheduler.LambdaLR(optimizer, factor) for optimizer in optimizers]
    parts = {"model": model}
    for i, (optimizer, schedule) in enumerate(zip(optimizers, schedules, strict=True)):
        parts |= {f"optimizer{i}": optimizer, f"schedule{i}": schedule}
    losses = state.resume(parts)
    for _ in range(len(losses) * BATCH):
        next(lessons)
    model.train()
    progress = Progress(f"pretraining toy-{spec.size}", spec.steps, "steps", done=len(losses))
    while len(losses) < spec.steps:
        loss = model(**batch([next(lessons) for _ in range(BATCH)])).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            schedule.step()
        model.zero_grad()
        losses.append(loss.item())
        progress.update(1)
        state.after_step(parts, losses, spec.steps)
    progress.close()
    model.eval()
    return losses


def split(model: Any) -> tuple[list[torch.nn.Parameter], list[torch.nn.Parameter]]:
    """Return the matrices of the layers, which map activations to activations, and all other weights.

    Embeddings and the output head are none of the former, and stand once among the latter where they are tied: a row
    belongs to a token, and orthogonal steps would move the rows of tokens that a batch does not have as far as others.
    """
    matrices: list[torch.nn.Parameter] = []
    rest: list[torch.nn.Parameter] = []
    for name, parameter in model.named_parameters():
        inner = parameter.dim() == 2 and "embed" not in name and "lm_head" not in name
        (matrices if inner else rest).append(parameter)
    return matrices, rest


class _Lesson(NamedTuple):
    example: Example
    picture: Image | None
    reply: str


def _lessons(prompt: Prompt, rng: random.Random) -> Iterator[_Lesson]:
    """Yield pretraining sequences: pretraining scenes alone, in the shares of `MIX`."""
    for found in toy.scenes(toy.slots(FAMILIES), "pretrain", rng):
        (kind,) = rng.choices(list(MIX), list(MIX.values()))
        if kind == "drill":
            question, reply = toy.drill(rng)
            yield _Lesson(Example("", (), question, (), "", "", (), "", "", 0), None, reply)
            continue
        text_only = kind.endswith("text")
        picture = None if text_only else toy.paint(found, rng, "pretrain")
        item = toy.example(found, "", rng, "pretrain", text_only=True)
        question = item.question if text_only else found.question
        reply = target(found.rationale, found.gold, prompt)
        if kind == "caption":
            question, reply = CAPTION_QUESTION, found.caption
        elif kind.startswith("direct"):
            reply = reply[reply.index("</think>") + len("</think>") :]
        options = () if kind == "caption" else found.options
        # The image bytes only say that there is an image; the picture itself goes to the processor undecoded.
        yield _Lesson(
            Example("", () if text_only else (b" ",), question, options, found.gold, found.kind, (), "", "", 0),
            picture,
            reply,
        )


def _corpus(prompt: Prompt, rng: random.Random) -> Iterator[str]:
    """Yield text that has every word, cell and number the toy tasks use, out-of-distribution ones included."""
    for ood in (False, True):
        stream = toy.scenes(toy.slots(FAMILIES, ood), "pretrain", rng, ood)
        for _ in range(4000):
            found = next(stream)
            yield f"{found.question}\n{CAPTION_QUESTION} The picture shows {found.caption}.\n{prompt.instruction}"
            yield "\n".join([found.rationale, found.gold, *found.options, *(f" {option}" for option in found.options)])
    yield from [" ".join(f" {number} {number}" for number in range(41))] * 20
    yield from [prompt.system or ""] * 20


def _batch(lessons: list[_Lesson], family: Family, reader: Reader) -> dict[str, torch.Tensor]:
    """Return a padded batch with labels on the reply alone."""
    processor, tokenizer = reader.processor, reader.tokenizer
    heads = [reader.render(lesson.example) for lesson in lessons]
    replies = tokenizer([lesson.reply + family.END for lesson in lessons], add_special_tokens=False)["input_ids"]
    images = [[lesson.picture] for lesson in lessons if lesson.picture is not None]
    shown = [head for head, lesson in zip(heads, lessons, strict=True) if lesson.picture is not None]
    inputs = processor(text=shown, images=images) if shown else {"input_ids": []}
    with_image, text_only = (
        iter(inputs["input_ids"]),
        iter(
            tokenizer([head for head, lesson in zip(heads, lessons, strict=True) if lesson.picture is None] or [""])[
                "input_ids"
            ]
        ),
    )
    ids = [list(next(text_only if lesson.picture is None else with_image)) for lesson in lessons]
    width = max(len(head) + len(reply) for head, reply in zip(ids, replies, strict=True))
    input_ids = torch.full((len(lessons), width), tokenizer.pad_token_id)
    labels = torch.full((len(lessons), width), -100)
    mask = torch.zeros((len(lessons), width), dtype=torch.long)
    for row, (head, reply) in enumerate(zip(ids, replies, strict=True)):
        end = len(head) + len(reply)
        input_ids[row, :end] = torch.tensor(head + reply)
        labels[row, len(head) : end] = torch.tensor(reply)
        mask[row, :end] = 1
    batch = {"input_ids": input_ids, "labels": labels, "attention_mask": mask}
    if shown:
        batch |= family.vision_inputs(processor, inputs, input_ids)
    return batch
