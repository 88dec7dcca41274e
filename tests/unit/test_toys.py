"""The families of toys: what Qwen2.5-VL has that Idefics3 has not, and batches that are what one prompt alone is."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from PIL import Image

from reassess import graph
from reassess.example import Example
from reassess.models import toy, toys
from reassess.models.base import ModelError, build_base
from reassess.models.load import fingerprint
from reassess.models.pretraining import Pretraining
from reassess.models.reader import Reader
from reassess.prompts import Prompt
from reassess.study.models import Model, ToyModel
from reassess.study.study import Study

PROMPT = Prompt(instruction="Think, then answer.")


class Built(NamedTuple):
    family: Any
    model: Any
    reader: Reader


@pytest.fixture(scope="module")
def built() -> Callable[[str], Built]:
    """A function that returns an untrained toy-xs of a family, and its reader."""
    found: dict[str, Built] = {}

    def build(name: str) -> Built:
        if name not in found:
            torch.manual_seed(0)
            family, spec = toys.FAMILIES[name], ToyModel.model_validate({"family": name, "size": "xs"})
            processor = family.build_processor(toy._corpus(PROMPT, random.Random(0)))
            model = family.build_model(family.SHAPES["xs"], processor.tokenizer).eval()
            found[name] = Built(
                family, model, Reader(processor, [processor.tokenizer.eos_token_id], Model(toy=spec), PROMPT)
            )
        return found[name]

    return build


def test_prompts_have_the_shape_of_qwen(built: Callable[[str], Built]) -> None:
    reader = built("qwen2_5_vl").reader
    assert reader.render(Example("", (b" ",), "What?", (), "1", "numeric", (), "", "", 0)) == (
        "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>What?\nThink, then answer.<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert reader.ending == "<|im_end|>"
    # Role and line break are one token each, and so are numbers and tags.
    assert len(reader.tokenizer.tokenize("<|im_start|>assistant\n")) == 3
    assert len(reader.tokenizer.tokenize("<think>12 + 5 = 17.</think><answer>17</answer>")) == 11


@pytest.mark.parametrize(
    ("size", "tokens"), [((32, 32), 4), ((16, 16), 1), ((64, 32), 8), ((64, 64), 16), ((400, 400), 16), ((8, 8), 1)]
)
def test_a_token_for_every_16_by_16_pixels(built: Callable[[str], Built], size: tuple[int, int], tokens: int) -> None:
    reader = built("qwen2_5_vl").reader
    assert reader.lengths(reader.processor.image_token, [Image.new("RGB", size)])[0] == tokens


def test_the_shared_matrix_is_an_embedding(built: Callable[[str], Built]) -> None:
    """Tied to the output head, it is trained by AdamW, once."""
    for name, is_tied in (("idefics3", False), ("qwen2_5_vl", True)):
        model = built(name).model
        embedding, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
        assert (embedding is head) == is_tied
        matrices, rest = toy.split(model)
        assert len({*map(id, matrices), *map(id, rest)}) == len(matrices) + len(rest)
        assert sum(parameter is embedding for parameter in rest) == 1
        assert not {id(embedding), id(head)} & set(map(id, matrices))
        assert sum(map(torch.numel, matrices)) > 0.5 * sum(map(torch.numel, model.parameters()))


@pytest.mark.parametrize("name", toys.FAMILIES)
def test_a_sequence_is_the_same_in_a_batch(built: Callable[[str], Built], name: str) -> None:
    """Padding, sequences without a picture and the pictures of others change nothing."""
    family, model, reader = built(name)
    stream = toy._lessons(PROMPT, random.Random(0))
    lessons = [next(stream) for _ in range(12)]
    assert {lesson.picture is None for lesson in lessons} == {True, False}
    batch = toy._batch(lessons, family, reader)
    with torch.no_grad():
        together = model(**batch).logits
        for i, lesson in enumerate(lessons):
            pictures = [] if lesson.picture is None else [lesson.picture]
            text = reader.render(lesson.example) + lesson.reply + family.END
            alone = model(**reader.encode([text], [pictures], return_tensors="pt")).logits[0]
            assert torch.allclose(together[i, : len(alone)], alone, atol=1e-4)
            assert batch["attention_mask"][i].sum() == len(alone)


def test_where_a_cell_is_changes_its_position(built: Callable[[str], Built]) -> None:
    """Of the four image tokens, two stand lower and two further to the right."""
    family, model, reader = built("qwen2_5_vl")
    stream = toy._lessons(PROMPT, random.Random(0))
    lesson = next(lesson for lesson in stream if lesson.picture is not None)
    batch = toy._batch([lesson], family, reader)
    positions, _ = model.model.get_rope_index(
        batch["input_ids"], batch["mm_token_type_ids"], batch["image_grid_thw"], attention_mask=batch["attention_mask"]
    )
    time, height, width = positions[:, 0, batch["mm_token_type_ids"][0] == 1] - positions[0, 0, 4]
    assert time.tolist() == [0, 0, 0, 0]
    assert height.tolist() == [0, 0, 1, 1]
    assert width.tolist() == [0, 1, 0, 1]


def test_a_stopped_pretraining_ends_with_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tied weights, their optimizer states and the order of lessons come back."""
    spec = ToyModel(family="qwen2_5_vl", size="xs", steps=6)

    def build(folder: str) -> str:
        toy.build(spec, PROMPT, tmp_path / folder / "model", Pretraining(tmp_path / folder, "id", None))
        return fingerprint(tmp_path / folder / "model")

    unbroken = build("unbroken")
    after_step = Pretraining.after_step

    def stop(self: Pretraining, parts: dict[str, Any], losses: list[float], steps: int) -> None:
        after_step(self, parts, losses, steps)
        if len(losses) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Pretraining, "after_step", stop)
        with pytest.raises(KeyboardInterrupt):
            build("stopped")
    assert not (tmp_path / "stopped/model").exists()
    assert build("stopped") == unbroken


def test_without_torchvision_the_message_says_what_to_do(
    tiny_study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "torchvision", None)
    data = json.loads(tiny_study.model_dump_json())
    data["models"] = {"mine": {"toy": {"family": "qwen2_5_vl", "size": "xs", "steps": 1}}}
    study = graph.parse(data, "test")
    with pytest.raises(ModelError, match=r"^models\.mine\.toy: the family qwen2_5_vl needs torchvision.*use idefics3"):
        build_base(study, study["model", "mine"])
