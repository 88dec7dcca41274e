"""The tiny checkpoints are what they are said to be: whole, of their family's shape, and not degenerate."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor, GenerationConfig

from . import FAMILIES, rows
from .parts import template

# Of 64 greedy tokens of four answers.
MANY = 30
ASKED = {"grey": "How long is AC?", "palette": "Name 12 birds.", "animated": "3 + 4 = ?", "tiny": "Why is it so?"}


@pytest.fixture(params=FAMILIES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def checkpoint(name: str, family: Callable[[str], Path]) -> Path:
    return family(name)


def load(name: str, folder: Path) -> tuple[Any, dict[str, Any]]:
    kind = AutoModelForImageTextToText if FAMILIES[name].modality == "visual" else AutoModelForCausalLM
    model, info = kind.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    return model.eval(), info


def ask(name: str, processor: Any, question: str, picture: Image.Image) -> Any:
    """Return the inputs of one question, with the picture where the family sees."""
    content: Any = [{"type": "image"}, {"type": "text", "text": question}]
    if FAMILIES[name].modality == "text":
        content = question
    message = {"role": "user", "content": content}
    text = processor.apply_chat_template([message], tokenize=False, add_generation_prompt=True)
    shown = {"images": [[picture]]} if FAMILIES[name].modality == "visual" else {}
    return text, processor(text=[text], add_special_tokens=False, return_tensors="pt", **shown)


def test_a_family_is_whole(name: str, checkpoint: Path) -> None:
    model, info = load(name, checkpoint)
    assert {kind: keys for kind, keys in info.items() if keys} == {}
    assert sum(weight.numel() for weight in model.parameters()) < 1e6
    is_tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert is_tied == FAMILIES[name].tied
    with safe_open(checkpoint / "model.safetensors", "pt") as file:
        names = list(file.keys())
        assert not is_tied or not [key for key in names if "lm_head" in key]
        expected = getattr(torch, FAMILIES[name].dtype)
        assert {file.get_tensor(key).dtype for key in names} == {expected}


def test_a_family_has_its_template(name: str, checkpoint: Path) -> None:
    family = FAMILIES[name]
    processor = AutoProcessor.from_pretrained(checkpoint)
    if "written here" not in family.template:
        assert processor.chat_template == template(family.template)
    text, _ = ask(name, processor, "What is 1 + 1?", Image.new("RGB", (60, 60)))
    end = text[-30:]
    assert ("<think>" in end) == (family.thinking in ("open", "closed"))
    assert ("</think>" in end) == (family.thinking == "closed")
    tokenizer = getattr(processor, "tokenizer", processor)
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


def test_a_family_answers_differently(name: str, checkpoint: Path) -> None:
    """Equal answers of two engines say little where a model repeats one token whatever it sees."""
    model, _ = load(name, checkpoint)
    processor = AutoProcessor.from_pretrained(checkpoint)
    # Without an end: all answers have 16 tokens.
    model.generation_config = GenerationConfig(pad_token_id=model.generation_config.pad_token_id)
    answers = []
    for kind, question in ASKED.items():
        picture = Image.open(io.BytesIO(rows.pictures()[kind])).convert("RGB")
        _, inputs = ask(name, processor, question, picture)
        said = model.generate(**inputs, max_new_tokens=16, do_sample=False)
        answers.append(tuple(said[0, inputs["input_ids"].shape[1] :].tolist()))
    assert len(set(answers)) == len(answers)
    assert len({token for answer in answers for token in answer}) >= MANY
