"""Qwen2-VL, Qwen2.5-VL, Qwen3-VL and Qwen3.5: dynamic resolution and rotary positions in three directions."""

from __future__ import annotations

from typing import Any

import transformers

from . import tokenizers
from .parts import HEADS, HIDDEN, Made, finish, ids, template, text_config

QWEN2_ROPE = {"rope_type": "default", "mrope_section": [4, 6, 6], "rope_theta": 1e6}
QWEN3_ROPE = {"rope_type": "default", "mrope_section": [6, 5, 5], "mrope_interleaved": True, "rope_theta": 5e6}
# A quarter of a head of 64 turns.
QWEN35_ROPE = {**QWEN3_ROPE, "mrope_section": [3, 3, 2], "partial_rotary_factor": 0.25, "rope_theta": 1e7}
PATCHES = {"spatial_merge_size": 2, "temporal_patch_size": 2}
VISION = {"depth": 2, "hidden_size": HIDDEN, "num_heads": HEADS, "intermediate_size": 128, **PATCHES}
# The end of the generation prompt in qwen3_vl.jinja, and of that in the template of the Thinking models, which is the
# same template but for this and for the reasoning of earlier turns.
INSTRUCT_PROMPT, THINKING_PROMPT = "{{- '<|im_start|>assistant\\n' }}", "{{- '<|im_start|>assistant\\n<think>\\n' }}"


def qwen2_vl(tied: bool = False) -> Made:
    """Return a Qwen2-VL."""
    tokenizer = tokenizers.qwen()
    config = transformers.Qwen2VLConfig(
        text_config=text_config(tokenizer, rope_parameters=QWEN2_ROPE, tie_word_embeddings=tied),
        vision_config={
            **PATCHES,
            "depth": 2,
            "embed_dim": HIDDEN,
            "hidden_size": HIDDEN,
            "num_heads": HEADS,
            "mlp_ratio": 2,
            "patch_size": 14,
        },
        tie_word_embeddings=tied,
        **_ids(tokenizer),
    )
    model = transformers.Qwen2VLForConditionalGeneration(config)
    processor = transformers.Qwen2VLProcessor(
        _image_processor(), tokenizer, transformers.Qwen2VLVideoProcessor(), chat_template=template("qwen2_5_vl")
    )
    return Made(finish(model, tokenizer, ["<|endoftext|>"]), processor)


def qwen2_5_vl(tied: bool = False) -> Made:
    """Return a Qwen2.5-VL, whose vision encoder attends within windows in its first layer."""
    tokenizer = tokenizers.qwen()
    vision = {**VISION, "out_hidden_size": HIDDEN, "patch_size": 14, "window_size": 112, "fullatt_block_indexes": [1]}
    config = transformers.Qwen2_5_VLConfig(
        text_config=text_config(tokenizer, rope_parameters=QWEN2_ROPE, tie_word_embeddings=tied),
        vision_config=vision,
        tie_word_embeddings=tied,
        **_ids(tokenizer),
    )
    model = transformers.Qwen2_5_VLForConditionalGeneration(config)
    processor = transformers.Qwen2_5_VLProcessor(
        _image_processor(), tokenizer, transformers.Qwen2VLVideoProcessor(), chat_template=template("qwen2_5_vl")
    )
    return Made(finish(model, tokenizer, ["<|endoftext|>"]), processor)


def qwen3_vl(tied: bool = False, thinking: bool = False) -> Made:
    """Return a Qwen3-VL; features of its vision encoder's layers go into those of the language model too."""
    tokenizer = tokenizers.qwen(tokenizers.QWEN3_PLAIN)
    vision = {**VISION, "out_hidden_size": HIDDEN, "patch_size": 16, "num_position_embeddings": 2304}
    config = transformers.Qwen3VLConfig(
        text_config=text_config(tokenizer, head_dim=32, rope_parameters=QWEN3_ROPE, tie_word_embeddings=tied),
        vision_config={**vision, "deepstack_visual_indexes": [0, 1]},
        tie_word_embeddings=tied,
        **_ids(tokenizer),
    )
    model = transformers.Qwen3VLForConditionalGeneration(config)
    chat_template = template("qwen3_vl")
    if thinking:
        assert chat_template.count(INSTRUCT_PROMPT) == 1
        chat_template = chat_template.replace(INSTRUCT_PROMPT, THINKING_PROMPT)
    return Made(finish(model, tokenizer, ["<|endoftext|>"]), _qwen3_processor(tokenizer, chat_template))


def qwen3_5(thinking: bool = True) -> Made:
    """Return a Qwen3.5: one layer of linear attention, one of softmax attention."""
    tokenizer = tokenizers.qwen(tokenizers.QWEN3_PLAIN)
    text = text_config(
        tokenizer,
        head_dim=64,
        layer_types=["linear_attention", "full_attention"],
        linear_key_head_dim=32,
        linear_value_head_dim=32,
        linear_num_key_heads=2,
        linear_num_value_heads=2,
        rope_parameters=QWEN35_ROPE,
    )
    vision = {**VISION, "out_hidden_size": HIDDEN, "patch_size": 16, "num_position_embeddings": 2304}
    config = transformers.Qwen3_5Config(
        text_config=text,
        vision_config={**vision, "deepstack_visual_indexes": []},
        tie_word_embeddings=False,
        **_ids(tokenizer),
    )
    model = transformers.Qwen3_5ForConditionalGeneration(config)
    chat_template = template("qwen3_5_think" if thinking else "qwen3_5_nothink")
    return Made(finish(model, tokenizer, ["<|endoftext|>"]), _qwen3_processor(tokenizer, chat_template))


def _ids(tokenizer: Any) -> dict[str, int]:
    return ids(
        tokenizer,
        image_token_id="<|image_pad|>",
        video_token_id="<|video_pad|>",
        vision_start_token_id="<|vision_start|>",
        vision_end_token_id="<|vision_end|>",
    )


def _image_processor() -> Any:
    return transformers.Qwen2VLImageProcessor(min_pixels=56 * 56, max_pixels=12845056)


def _qwen3_processor(tokenizer: Any, chat_template: str) -> Any:
    image = transformers.Qwen2VLImageProcessor(
        size={"shortest_edge": 65536, "longest_edge": 16777216},
        patch_size=16,
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )
    video = transformers.Qwen3VLVideoProcessor()
    return transformers.Qwen3VLProcessor(image, tokenizer, video, chat_template=chat_template)
