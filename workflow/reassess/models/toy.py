"""Toy base models: Idefics3 built from its config classes and pretrained here, saved as Hugging Face checkpoints.

Idefics3 is the smallest family that runs as saved in transformers, TRL and vLLM, and SmolVLM is its near kin.
Pretraining gives a base that perceives and sometimes reasons: it captions, answers directly, and answers with a chain
of thought, on scenes that no pool and no benchmark uses.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from reassess.example import Example
from reassess.models.reader import Reader
from reassess.prompts import THINK, Prompt, target
from reassess.sources import scenes as toy
from reassess.sources.toy import FAMILIES
from reassess.study.models import Model, ToyModel
from reassess.work.progress import Progress

if TYPE_CHECKING:
    from PIL.Image import Image

    from reassess.models.pretraining import Pretraining

PATCH = 16
END = "<end_of_utterance>"
CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>"
    "{% if message['role'] == 'assistant' %}{% generation %}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{{ part['text'] }}{% endfor %}{% endif %}"
    "<end_of_utterance>{% endgeneration %}"
    "{% else %}{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<end_of_utterance>{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


class Shape(NamedTuple):
    """Sizes of a toy model. Head size is 32, the smallest that vLLM's CPU attention has."""

    hidden: int
    layers: int
    heads: int
    ffn: int
    vision_hidden: int
    initializer_range: float
    learning_rate: float


# Weights start at about half of 1 / sqrt(hidden). With transformers' 0.02, which is meant for wide models, attention
# of models this narrow stays flat for hundreds of steps.
SHAPES = {
    "xs": Shape(96, 3, 3, ffn=256, vision_hidden=64, initializer_range=0.06, learning_rate=3e-3),
    "s": Shape(128, 4, 4, ffn=320, vision_hidden=96, initializer_range=0.05, learning_rate=2e-3),
}
MATRIX_LEARNING_RATE = 1e-2
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
    """
    torch.manual_seed(spec.seed)
    rng = random.Random(f"toy model {spec.seed}")
    processor = build_processor(prompt, rng)
    model = build_model(spec, processor.tokenizer)
    losses = pretrain(model, processor, spec, _lessons(prompt, rng), prompt, state)
    model.save_pretrained(directory)
    processor.save_pretrained(directory)
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "steps": spec.steps,
        "loss_first": losses[0],
        "loss_last": sum(losses[-20:]) / len(losses[-20:]),
    }


def build_processor(prompt: Prompt, rng: random.Random) -> Any:
    """Return an Idefics3 processor: 32 x 32 pixels, four image tokens, a byte-level BPE learnt from toy text."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import Idefics3ImageProcessorPil, Idefics3Processor, PreTrainedTokenizerFast

    special = ["<|pad|>", END, "<image>", "<fake_token_around_image>", "<global-img>", "<|user|>", "<|assistant|>"]
    special.append("<|system|>")
    # Not special: decoding keeps them, as it keeps a real model's tags.
    tags = [THINK, "</think>", "<answer>", "</answer>", "\\boxed{"]
    tokenizer = Tokenizer(models.BPE())
    # A number or a sign and the space before it are one token, so that arithmetic facts are one step.
    words = Regex(r" ?[A-Za-z]+[0-9]?| ?[0-9]+| ?[^\sA-Za-z0-9]|\s")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(words, "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=640,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(prompt, rng), trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<|pad|>", eos_token=END, padding_side="left", model_max_length=512
    )
    fast.add_tokens(tags)
    image_processor = Idefics3ImageProcessorPil(
        do_image_splitting=False,
        do_resize=True,
        size={"longest_edge": toy.SIDE},
        max_image_size={"longest_edge": toy.SIDE},
        return_row_col_info=True,
    )
    return Idefics3Processor(image_processor, fast, image_seq_len=(toy.SIDE // PATCH) ** 2, chat_template=CHAT_TEMPLATE)


def build_model(spec: ToyModel, tokenizer: Any) -> Any:
    """Return an Idefics3 with random weights, in float32."""
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration

    shape = SHAPES[spec.size]
    ids = {name: tokenizer.convert_tokens_to_ids(name) for name in ("<image>", "<|pad|>", END)}
    vocabulary = 32 * math.ceil(len(tokenizer) / 32)
    config = Idefics3Config(
        text_config={
            "model_type": "llama",
            "vocab_size": vocabulary,
            "hidden_size": shape.hidden,
            "num_hidden_layers": shape.layers,
            "num_attention_heads": shape.heads,
            "num_key_value_heads": shape.heads,
            "intermediate_size": shape.ffn,
            "max_position_embeddings": 512,
            "bos_token_id": None,
            "eos_token_id": ids[END],
            "pad_token_id": ids["<|pad|>"],
            "tie_word_embeddings": False,
            "initializer_range": shape.initializer_range,
        },
        vision_config={
            "initializer_range": shape.initializer_range,
            "hidden_size": shape.vision_hidden,
            "intermediate_size": 2 * shape.vision_hidden,
            "num_hidden_layers": 1,
            "num_attention_heads": shape.vision_hidden // 32,
            "image_size": toy.SIDE,
            "patch_size": PATCH,
        },
        image_token_id=ids["<image>"],
        pad_token_id=ids["<|pad|>"],
        scale_factor=1,
        tie_word_embeddings=False,
        initializer_range=shape.initializer_range,
    )
    model = Idefics3ForConditionalGeneration(config)
    model.generation_config.eos_token_id = ids[END]
    model.generation_config.pad_token_id = ids["<|pad|>"]
    model.generation_config.bos_token_id = None
    return model


def pretrain(
    model: Any, processor: Any, spec: ToyModel, lessons: Iterator[_Lesson], prompt: Prompt, state: Pretraining
) -> list[float]:
    """Train in place on captions, direct answers, chains of thought and drills; return the loss of every step.

    Only the reply carries loss. Matrices of the layers are trained with Muon, whose orthogonalised steps reach the
    same loss as AdamW in about a third of the steps here, the rest with AdamW; cosine schedule with 5% warm-up.
    """
    matrices: list[torch.nn.Parameter] = []
    rest: list[torch.nn.Parameter] = []
    for name, parameter in model.named_parameters():
        inner = parameter.dim() == 2 and "embed" not in name and "lm_head" not in name
        (matrices if inner else rest).append(parameter)
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.Muon(matrices, lr=MATRIX_LEARNING_RATE, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=SHAPES[spec.size].learning_rate, betas=(0.9, 0.95), weight_decay=0.0),
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
    reader = Reader(processor, [processor.tokenizer.eos_token_id], Model(toy=spec), prompt)
    progress = Progress(f"pretraining toy-{spec.size}", spec.steps, "steps", done=len(losses))
    while len(losses) < spec.steps:
        loss = model(**_batch([next(lessons) for _ in range(BATCH)], reader)).loss
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


def _batch(lessons: list[_Lesson], reader: Reader) -> dict[str, torch.Tensor]:
    """Return a padded batch with labels on the reply alone."""
    processor, tokenizer = reader.processor, reader.tokenizer
    heads = [reader.render(lesson.example) for lesson in lessons]
    replies = tokenizer([lesson.reply + END for lesson in lessons], add_special_tokens=False)["input_ids"]
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
        # One row per picture: Idefics3 takes the rows in order, whatever sequence they belong to.
        pixels = torch.as_tensor(inputs["pixel_values"])
        batch["pixel_values"] = pixels.reshape(1, -1, *pixels.shape[2:])
    return batch
