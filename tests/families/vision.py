"""Families that cut pictures into tiles or squeeze them into a square: InternVL3, Idefics3, SmolVLM, LLaVA, Gemma 3."""

from __future__ import annotations

from typing import Any

import transformers

from . import tokenizers
from .parts import HEAD, SIGLIP, VISION, Made, finish, ids, template, text_config

TILE = {"height": 56, "width": 56}
# Written here, from memory of the hub's.
INTERNVL_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for content in message['content'] %}"
    "{% if content['type'] == 'image' %}{{ '<IMG_CONTEXT>\\n' }}"
    "{% elif content['type'] == 'video' %}{{ '<video>\\n' }}"
    "{% elif content['type'] == 'text' %}{{ content['text'] }}{% endif %}{% endfor %}{% endif %}"
    "{{ '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
# Written here, from memory of the hub's: a turn of the assistant begins with "assistant \n", the generation prompt
# ends with "assistant\n".
LLAVA_ONEVISION_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + ' ' }}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>' }}{% endfor %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'video') %}{{ '<video>' }}{% endfor %}"
    "{% if message['role'] != 'assistant' %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}"
    "{{ '\\n' + content['text'] }}{% endfor %}{% else %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}"
    "{% generation %}{{ '\\n' + content['text'] }}{% endgeneration %}{% endfor %}{% endif %}"
    "{{ '<|im_end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
GRID = [[56, 56], [56, 112], [112, 56], [112, 112], [56, 168], [168, 56]]


def internvl3() -> Made:
    """Return an InternVL3: up to twelve tiles and a thumbnail, four tokens each."""
    tokenizer = tokenizers.internvl()
    config = transformers.InternVLConfig(
        vision_config={**VISION, "image_size": [56, 56], "patch_size": [14, 14]},
        text_config=text_config(tokenizer, model_type="qwen2"),
        image_seq_length=4,
        downsample_ratio=0.5,
        tie_word_embeddings=False,
        **ids(tokenizer, image_token_id="<IMG_CONTEXT>"),
    )
    model = transformers.InternVLForConditionalGeneration(config)
    image = transformers.GotOcr2ImageProcessor(size=TILE, crop_to_patches=True, min_patches=1, max_patches=12)
    processor = transformers.InternVLProcessor(
        image,
        tokenizer,
        transformers.InternVLVideoProcessor(size=TILE),
        image_seq_length=4,
        chat_template=INTERNVL_TEMPLATE,
    )
    return Made(finish(model, tokenizer, ["<|endoftext|>"]), processor)


def idefics3() -> Made:
    """Return an Idefics3: tiles of a grid and the whole picture, four tokens each."""
    tokenizer = tokenizers.idefics3()
    config = transformers.Idefics3Config(**_split(tokenizer))
    model = transformers.Idefics3ForConditionalGeneration(config)
    image = transformers.Idefics3ImageProcessor(size={"longest_edge": 256}, max_image_size={"longest_edge": 64})
    processor = transformers.Idefics3Processor(image, tokenizer, image_seq_len=4, chat_template=template("idefics3"))
    return Made(finish(model, tokenizer, ["<end_of_utterance>"]), processor)


def smolvlm() -> Made:
    """Return a SmolVLM, Idefics3's small kin, whose processor takes videos too."""
    tokenizer = tokenizers.smolvlm()
    config = transformers.SmolVLMConfig(**_split(tokenizer))
    model = transformers.SmolVLMForConditionalGeneration(config)
    side = {"longest_edge": 64}
    processor = transformers.SmolVLMProcessor(
        transformers.SmolVLMImageProcessor(size={"longest_edge": 256}, max_image_size=side),
        tokenizer,
        transformers.SmolVLMVideoProcessor(size=side, max_image_size=side),
        image_seq_len=4,
        chat_template=template("smolvlm"),
    )
    return Made(finish(model, tokenizer), processor)


def llava_onevision() -> Made:
    """Return a LLaVA-OneVision: the whole picture and a grid of tiles whose padding is cut off again."""
    tokenizer = tokenizers.qwen(more=["<image>", "<video>"])
    config = transformers.LlavaOnevisionConfig(
        text_config=text_config(tokenizer, model_type="qwen2"),
        vision_config=SIGLIP,
        image_grid_pinpoints=GRID,
        vision_feature_select_strategy="full",
        vision_aspect_ratio="anyres_max_9",
        tie_word_embeddings=False,
        **ids(tokenizer, image_token_id="<image>", video_token_id="<video>"),
    )
    model = transformers.LlavaOnevisionForConditionalGeneration(config)
    processor = transformers.LlavaOnevisionProcessor(
        transformers.LlavaOnevisionImageProcessor(size=TILE, image_grid_pinpoints=GRID),
        tokenizer,
        transformers.LlavaOnevisionVideoProcessor(size=TILE),
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        vision_aspect_ratio="anyres_max_9",
        chat_template=LLAVA_ONEVISION_TEMPLATE,
    )
    return Made(finish(model, tokenizer), processor)


def gemma3() -> Made:
    """Return a Gemma 3: a square of four tokens for every picture, one layer that attends within a window."""
    tokenizer = tokenizers.gemma3()
    text = text_config(
        tokenizer,
        model_type="gemma3_text",
        head_dim=HEAD,
        query_pre_attn_scalar=HEAD,
        layer_types=["sliding_attention", "full_attention"],
        sliding_window=512,
        tie_word_embeddings=True,
    )
    config = transformers.Gemma3Config(
        text_config=text,
        vision_config=SIGLIP,
        mm_tokens_per_image=4,
        tie_word_embeddings=True,
        **ids(tokenizer, image_token_index="<image_soft_token>", image_token_id="<image_soft_token>"),
        **ids(tokenizer, boi_token_index="<start_of_image>", eoi_token_index="<end_of_image>"),
    )
    model = transformers.Gemma3ForConditionalGeneration(config)
    image = transformers.Gemma3ImageProcessor(size=TILE)
    processor = transformers.Gemma3Processor(image, tokenizer, chat_template=template("gemma3"), image_seq_length=4)
    return Made(finish(model, tokenizer, ["<end_of_turn>"]), processor)


def _split(tokenizer: Any) -> dict[str, Any]:
    """Return the options of Idefics3's and SmolVLM's configs: four tokens for a tile of 64 x 64 pixels."""
    return {
        "text_config": text_config(tokenizer, model_type="llama"),
        "vision_config": {**VISION, "image_size": 64, "patch_size": 16},
        "scale_factor": 2,
        "pad_token_id": tokenizer.pad_token_id,
        "tie_word_embeddings": False,
        **ids(tokenizer, image_token_id="<image>"),
    }
