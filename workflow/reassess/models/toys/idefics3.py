"""Toys of the family Idefics3: a fixed picture size, positions in one dimension, an output head of its own.

Idefics3 is the smallest family that runs as saved in transformers, TRL and vLLM, without torchvision, and SmolVLM is
its near kin.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from reassess.models.toys.family import Shape, build_tokenizer, set_generation, text_config
from reassess.sources.scenes import SIDE

# Weights start at about half of 1 / sqrt(hidden). With transformers' 0.02, which is meant for wide models, attention
# of models this narrow stays flat for hundreds of steps.
SHAPES = {
    "xs": Shape(96, 3, 3, 256, 64, initializer_range=0.06, learning_rate=3e-3, matrix_learning_rate=1e-2),
    "s": Shape(128, 4, 4, 320, 96, initializer_range=0.05, learning_rate=2e-3, matrix_learning_rate=1e-2),
}
PATCH = 16
PAD = "<|pad|>"
END = "<end_of_utterance>"
IMAGE = "<image>"
SPECIAL = [PAD, END, IMAGE, "<fake_token_around_image>", "<global-img>", "<|user|>", "<|assistant|>", "<|system|>"]
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


def build_processor(corpus: Iterable[str]) -> Any:
    """Return an Idefics3 processor: 32 x 32 pixels, four image tokens."""
    from transformers import Idefics3ImageProcessorPil, Idefics3Processor

    tokenizer = build_tokenizer(SPECIAL, PAD, END, corpus)
    image_processor = Idefics3ImageProcessorPil(
        do_image_splitting=False,
        do_resize=True,
        size={"longest_edge": SIDE},
        max_image_size={"longest_edge": SIDE},
        return_row_col_info=True,
    )
    return Idefics3Processor(
        image_processor, tokenizer, image_seq_len=(SIDE // PATCH) ** 2, chat_template=CHAT_TEMPLATE
    )


def build_model(shape: Shape, tokenizer: Any) -> Any:
    """Return an Idefics3 with random weights, in float32."""
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration

    config = Idefics3Config(
        text_config=text_config(
            shape,
            tokenizer,
            model_type="llama",
            tie_word_embeddings=False,
        ),
        vision_config={
            "initializer_range": shape.initializer_range,
            "hidden_size": shape.vision_hidden,
            "intermediate_size": 2 * shape.vision_hidden,
            "num_hidden_layers": 1,
            "num_attention_heads": shape.vision_hidden // 32,
            "image_size": SIDE,
            "patch_size": PATCH,
        },
        image_token_id=tokenizer.convert_tokens_to_ids(IMAGE),
        pad_token_id=tokenizer.pad_token_id,
        scale_factor=1,
        tie_word_embeddings=False,
        initializer_range=shape.initializer_range,
    )
    model = Idefics3ForConditionalGeneration(config)
    set_generation(model, tokenizer)
    return model


def vision_inputs(processor: Any, processed: Any, input_ids: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the pixels, one row per picture: Idefics3 takes them in order, whatever sequence they belong to."""
    pixels = torch.as_tensor(processed["pixel_values"])
    return {"pixel_values": pixels.reshape(1, -1, *pixels.shape[2:])}
