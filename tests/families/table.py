"""The families: what each stands for, what of it is real, and how it is built."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import torch

from . import qwen, text, vision
from .parts import Made, legacy, rename

# The names that the hub's weights have where a fresh save of transformers has others; patterns of `re.match`.
LLAVA_KEYS = (
    (r"model\.language_model\.", "language_model.model."),
    (r"lm_head\.", "language_model.lm_head."),
    (r"(model\.)?vision_tower\.(?!vision_model)", "vision_tower.vision_model."),
    (r"model\.", ""),
)
INTERNVL_KEYS = (*LLAVA_KEYS[:2], (r"model\.", ""))
QWEN_KEYS = ((r"model\.language_model\.", "model."), (r"model\.visual\.", "visual."))


class Family(NamedTuple):
    """One family in one shape.

    Attributes:
        stands_for: a checkpoint of the hub that has this shape.
        build: makes the model and its processor.
        modality: `text` or `visual`.
        template: the chat template of that name that TRL ships, or `written here`.
        thinking: what the generation prompt holds: nothing, an open `<think>`, or a closed one. `optional` is a
            template with `enable_thinking` whose model opens `<think>` itself.
        tied: whether input and output embeddings are one.
        keys: renames the weights to the hub's names.
        dtype: the precision of the weights.
        is_legacy: whether config and processor lie in the hub's older files.
    """

    stands_for: str
    build: Callable[[], Made]
    modality: Literal["text", "visual"] = "visual"
    template: str = "written here"
    thinking: Literal["none", "open", "closed", "optional"] = "none"
    tied: bool = False
    keys: tuple[tuple[str, str], ...] = ()
    dtype: Literal["float32", "bfloat16"] = "float32"
    is_legacy: bool = False


FAMILIES = {
    "qwen2-vl": Family("Qwen/Qwen2-VL-7B-Instruct", qwen.qwen2_vl, template="qwen2_5_vl"),
    "qwen2-vl-tied": Family(
        "Qwen/Qwen2-VL-2B-Instruct", partial(qwen.qwen2_vl, tied=True), template="qwen2_5_vl", tied=True
    ),
    "qwen2.5-vl": Family("Qwen/Qwen2.5-VL-7B-Instruct", qwen.qwen2_5_vl, template="qwen2_5_vl"),
    "qwen2.5-vl-tied": Family(
        "Qwen/Qwen2.5-VL-3B-Instruct", partial(qwen.qwen2_5_vl, tied=True), template="qwen2_5_vl", tied=True
    ),
    "qwen2.5-vl-hub": Family(
        "Qwen/Qwen2.5-VL-3B-Instruct",
        partial(qwen.qwen2_5_vl, tied=True),
        template="qwen2_5_vl",
        tied=True,
        keys=QWEN_KEYS,
        dtype="bfloat16",
        is_legacy=True,
    ),
    "qwen3-vl": Family("Qwen/Qwen3-VL-8B-Instruct", qwen.qwen3_vl, template="qwen3_vl"),
    "qwen3-vl-thinking": Family(
        "Qwen/Qwen3-VL-4B-Thinking",
        partial(qwen.qwen3_vl, tied=True, thinking=True),
        template="qwen3_vl, its end written here",
        thinking="open",
        tied=True,
    ),
    "qwen3.5-think": Family("Qwen/Qwen3.5-9B", qwen.qwen3_5, template="qwen3_5_think", thinking="open"),
    "qwen3.5-nothink": Family(
        "Qwen/Qwen3.5-2B", partial(qwen.qwen3_5, thinking=False), template="qwen3_5_nothink", thinking="closed"
    ),
    "internvl3": Family("OpenGVLab/InternVL3-8B-hf", vision.internvl3, keys=INTERNVL_KEYS),
    "idefics3": Family("HuggingFaceM4/Idefics3-8B-Llama3", vision.idefics3, template="idefics3"),
    "smolvlm": Family("HuggingFaceTB/SmolVLM-Instruct", vision.smolvlm, template="smolvlm"),
    "llava-onevision": Family("llava-hf/llava-onevision-qwen2-7b-ov-hf", vision.llava_onevision, keys=LLAVA_KEYS),
    "gemma3": Family("google/gemma-3-4b-it", vision.gemma3, template="gemma3", tied=True, keys=LLAVA_KEYS),
    "qwen2.5": Family("Qwen/Qwen2.5-7B-Instruct", text.qwen2_5, "text", template="qwen2_5"),
    "qwen3": Family("Qwen/Qwen3-4B", text.qwen3, "text", template="qwen3", thinking="optional", tied=True),
    "llama3.2": Family("meta-llama/Llama-3.2-1B-Instruct", text.llama, "text", template="llama3_2", tied=True),
}


def build(name: str, folder: Path) -> Path:
    """Write the tiny checkpoint of a family to a directory, as the hub would have it, and return the directory."""
    family = FAMILIES[name]
    torch.manual_seed(0)
    made = family.build()
    shutil.rmtree(folder, ignore_errors=True)
    made.model.to(getattr(torch, family.dtype)).save_pretrained(folder)
    made.processor.save_pretrained(folder)
    if family.is_legacy:
        legacy(folder)
    if family.keys:
        rename(folder, family.keys)
    return folder
