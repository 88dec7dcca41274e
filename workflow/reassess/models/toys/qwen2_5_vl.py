"""Toys of the family Qwen2.5-VL: pictures of any size, positions in three dimensions (mRoPE), tied embeddings."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Iterable
from typing import Any

import torch

from reassess.models.files import ModelError
from reassess.models.toys.family import Shape, build_tokenizer, set_generation, text_config
from reassess.sources.scenes import SIDE

SHAPES = {
    "xs": Shape(96, 3, 3, 256, 64, initializer_range=0.06, learning_rate=3e-3, matrix_learning_rate=1e-2),
    "s": Shape(128, 4, 4, 320, 96, initializer_range=0.05, learning_rate=2e-3, matrix_learning_rate=1e-2),
}
# Four patches make a token, so that a scene of 32 x 32 pixels has a token for each of its four cells.
PATCH, MERGE = 8, 2
# Pixels of a picture: one token at least, and four times a scene at most.
LEAST, MOST = (PATCH * MERGE) ** 2, 4 * SIDE**2
# Of the 16 pairs of a head: time, height, width, in the proportions of the real models.
SECTIONS = [4, 6, 6]
# The slowest pairs are those of the width, and cells of a scene are one position apart. From one to the next these
# pairs turn by 0.03 to 0.1 radians; with Llama's 10,000 by less than 0.004, and columns were hardly told apart.
THETA = 40.0
PAD = "<|endoftext|>"
END = "<|im_end|>"
IMAGE, VIDEO, VISION_START, VISION_END = "<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>"
SPECIAL = [PAD, "<|im_start|>", END, VISION_START, VISION_END, "<|vision_pad|>", IMAGE, VIDEO]
ROLES = "system\nuser\nassistant\n"
# The shape of the real one, without its default system message: as many tokens as a short question has.
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['role'] == 'assistant' %}{% generation %}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{{ part['text'] }}{% endfor %}{% endif %}"
    "<|im_end|>\n{% endgeneration %}"
    "{% else %}{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def build_processor(corpus: Iterable[str]) -> Any:
    """Return a Qwen2.5-VL processor: a token for every 16 x 16 pixels.

    Raises:
        ModelError: torchvision is missing, or does not import.
    """
    try:
        importlib.import_module("torchvision")
    # A build for another torch fails in many ways.
    except Exception as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"the family qwen2_5_vl needs torchvision, for the part of its processor that reads video ({first_line}); "
            "`make setup` installs the build that fits this torch; or use idefics3"
        ) from None
    from transformers import Qwen2_5_VLProcessor, Qwen2VLImageProcessorPil, Qwen2VLVideoProcessor

    tokenizer = build_tokenizer(SPECIAL, PAD, END, itertools.chain(corpus, [ROLES] * 20))
    sizes = {
        "patch_size": PATCH,
        "merge_size": MERGE,
        "temporal_patch_size": 2,
        "size": {"shortest_edge": LEAST, "longest_edge": MOST},
    }
    return Qwen2_5_VLProcessor(
        Qwen2VLImageProcessorPil(**sizes), tokenizer, Qwen2VLVideoProcessor(**sizes), chat_template=CHAT_TEMPLATE
    )


def build_model(shape: Shape, tokenizer: Any) -> Any:
    """Return a Qwen2.5-VL with random weights, in float32."""
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    config = Qwen2_5_VLConfig(
        text_config=text_config(
            shape,
            tokenizer,
            model_type="qwen2_5_vl_text",
            rope_parameters={"rope_type": "default", "mrope_section": SECTIONS, "rope_theta": THETA},
            tie_word_embeddings=True,
        ),
        vision_config={
            "depth": 1,
            "hidden_size": shape.vision_hidden,
            "out_hidden_size": shape.hidden,
            "num_heads": shape.vision_hidden // 32,
            "intermediate_size": 2 * shape.vision_hidden,
            "patch_size": PATCH,
            "spatial_merge_size": MERGE,
            "temporal_patch_size": 2,
            "window_size": SIDE,
            "fullatt_block_indexes": [0],
            "initializer_range": shape.initializer_range,
        },
        image_token_id=tokenizer.convert_tokens_to_ids(IMAGE),
        video_token_id=tokenizer.convert_tokens_to_ids(VIDEO),
        vision_start_token_id=tokenizer.convert_tokens_to_ids(VISION_START),
        vision_end_token_id=tokenizer.convert_tokens_to_ids(VISION_END),
        tie_word_embeddings=True,
    )
    model = Qwen2_5_VLForConditionalGeneration(config)
    set_generation(model, tokenizer)
    return model


def vision_inputs(processor: Any, processed: Any, input_ids: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the patches of all pictures one after another, the pictures' grids, and which tokens are image tokens."""
    return {
        "pixel_values": torch.as_tensor(processed["pixel_values"]),
        "image_grid_thw": torch.as_tensor(processed["image_grid_thw"]),
        "mm_token_type_ids": (input_ids == processor.image_token_id).int(),
    }
