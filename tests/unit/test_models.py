"""Base models: built here, copied from a directory, or refused with a reason; and what a model sees."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from reassess import graph, paths
from reassess.example import Example
from reassess.graph import Graph, resources
from reassess.models.base import ModelError, build_base
from reassess.models.load import fingerprint, load_model
from reassess.models.reader import Reader, within
from reassess.study.models import Model, ToyModel
from reassess.study.study import Study


def with_model(study: Study, model: dict[str, Any]) -> Graph:
    data = json.loads(study.model_dump_json())
    data["models"] = {"mine": model}
    return graph.parse(data, "test")


def example(width: int, height: int) -> Example:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(buffer, format="PNG")
    return Example("a", (buffer.getvalue(),), "What?", (), "1", "numeric", (), "s", "f", 1)


@pytest.mark.parametrize("family", resources.TOYS)
@pytest.mark.parametrize(("size", "parameters"), [("xs", 500_000), ("s", 1_000_000)])
def test_toy_models_have_the_promised_size(
    tiny_study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str, size: str, parameters: int
) -> None:
    monkeypatch.chdir(tmp_path)
    study = with_model(tiny_study, {"toy": {"family": family, "size": size, "steps": 2}})
    build_base(study, study["model", "mine"])
    record = json.loads(Path(paths.model("mine", "manifest.json")).read_text())
    assert abs(record["parameters"] - parameters) < 0.15 * parameters
    # What resources are worked out from; a prompt with few words has a smaller vocabulary.
    assert record["parameters"] == pytest.approx(resources.TOYS[family][size], rel=0.03)
    assert resources.size_of_directory(paths.model("mine", "model")) == record["parameters"]
    assert record["fingerprint"] == fingerprint(paths.model("mine", "model"))
    # The same study builds the same weights again.
    build_base(study, study["model", "mine"])
    assert json.loads(Path(paths.model("mine", "manifest.json")).read_text())["fingerprint"] == record["fingerprint"]


def test_a_toy_base_loads_like_any_checkpoint(toy_checkpoint: Path, tiny_study: Study) -> None:
    model = tiny_study.models["toy-xs"]
    reader = Reader.of(toy_checkpoint, model, tiny_study.prompt)
    assert type(load_model(toy_checkpoint, model)).__name__ == "Idefics3ForConditionalGeneration"
    assert reader.render(example(32, 32)) == "<|user|><image>What?\nThink, then answer.<end_of_utterance><|assistant|>"
    # Numbers and tags are one token each, so that a reasoning step is a handful of tokens.
    tokens = reader.tokenizer.tokenize("<think>12 + 5 = 17.</think><answer>17</answer>")
    assert len(tokens) == 11


@pytest.mark.parametrize("limit", [100, 1000])
def test_lengths_are_those_of_the_processor(toy_checkpoint: Path, tiny_study: Study, limit: int) -> None:
    model = tiny_study.models["toy-xs"].model_copy(update={"max_prompt_length": limit})
    reader = Reader.of(toy_checkpoint, model, tiny_study.prompt)
    for size in ((32, 32), (90, 40), (32, 32), (90, 40)):
        for question in ("What?", "How many dots are there in all of the cells?"):
            shown = replace(example(*size), question=question)
            text, image = reader.render(shown), Image.new("RGB", size)
            exact = len(reader.processor(text=[text], images=[[image]], add_special_tokens=False)["input_ids"][0])
            assert reader.lengths(text, [image])[0] == exact
    assert reader.lengths("What?", []) == (len(reader.tokenizer("What?", add_special_tokens=False)["input_ids"]), 0)


def test_a_local_checkpoint_is_copied(
    toy_checkpoint: Path, tiny_study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(toy_checkpoint, "theirs")
    Path("theirs/training_args.bin").write_bytes(b"pickle")
    study = with_model(tiny_study, {"path": "theirs"})
    build_base(study, study["model", "mine"])
    assert fingerprint(paths.model("mine", "model")) == fingerprint(toy_checkpoint)
    assert not Path(paths.model("mine", "model/training_args.bin")).exists()


def test_a_hub_model_that_cannot_be_fetched_is_one_error(
    tiny_study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    study = with_model(tiny_study, {"path": "owner/no-such-model-1B", "revision": "0" * 40})
    with pytest.raises(ModelError, match=r"models\.mine\.path: owner/no-such-model-1B at 0{40} cannot be fetched"):
        build_base(study, study["model", "mine"])


def test_a_fingerprint_covers_weights_and_template_but_not_logs(toy_checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(toy_checkpoint, folder)
    before = fingerprint(folder)
    (folder / "README.md").write_text("a note")
    (folder / "optimizer.pt").write_bytes(b"state")
    assert fingerprint(folder) == before
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    assert fingerprint(folder) != before


@pytest.mark.parametrize(
    ("given", "limits", "expected"),
    [
        ((100, 50), {}, (100, 50)),
        ((100, 50), {"max_pixels": 1250}, (50, 25)),
        ((10, 20), {"min_pixels": 800}, (20, 40)),
        ((100, 50), {"min_pixels": 100, "max_pixels": 10_000}, (100, 50)),
        ((400, 1), {"max_pixels": 100}, (200, 1)),
    ],
)
def test_pixel_limits_keep_the_aspect_ratio(
    given: tuple[int, int], limits: dict[str, int], expected: tuple[int, int]
) -> None:
    model = Model(toy=ToyModel(size="xs"), **limits)  # type: ignore[arg-type]
    [image] = example(*given).pil()
    assert within(image, model).size == expected
