"""What a study says of a checkpoint's template, processor and config is in the files of the base model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig, AutoProcessor

from families.rows import visual
from reassess.models.amend import AmendError, amend
from reassess.models.reader import PLAIN, Reader
from reassess.prompts import Prompt
from reassess.study.models import Model

Copy = Callable[[str], Path]
SPEC = Model(path=".")


@pytest.fixture
def copy(family: Callable[[str], Path], tmp_path: Path) -> Copy:
    """A function that returns a copy of a family's checkpoint."""
    return lambda name: Path(shutil.copytree(family(name), tmp_path / name))


def amended(directory: Path, **options: Any) -> Reader:
    spec = SPEC.model_copy(update=options)
    amend(directory, spec)
    return Reader.of(directory, spec, Prompt())


def test_a_variable_of_the_template_holds_wherever_it_is_read(copy: Copy) -> None:
    directory = copy("qwen3")
    before = Reader.of(directory, SPEC, Prompt()).render(PLAIN)
    reader = amended(directory, template_args={"enable_thinking": False})
    assert reader.render(PLAIN) == before + "<think>\n\n</think>\n\n"
    # Plain transformers, as TRL and whoever takes the model home have it.
    chat = [{"role": "user", "content": "Hi"}]
    plain = AutoProcessor.from_pretrained(directory).apply_chat_template(
        chat, tokenize=False, add_generation_prompt=True
    )
    assert plain.endswith("<think>\n\n</think>\n\n")


def test_a_template_of_the_study_takes_the_place_of_the_checkpoints(copy: Copy, tmp_path: Path) -> None:
    file = tmp_path / "mine.jinja"
    file.write_text("{% for m in messages %}<{{ m.role }}>{{ m.content }}<|im_end|>{% endfor %}{{ word or 'go' }}:")
    reader = amended(copy("qwen3"), chat_template=str(file), template_args={"word": 'say "it"\n'})
    assert reader.takes_strings
    assert reader.render(PLAIN).endswith('<|im_end|>say "it"\n:')
    # The hub's older file for it, which comes first for transformers, does not count any more.
    legacy = copy("qwen2.5-vl-hub")
    assert (legacy / "chat_template.json").exists()
    file.write_text("{% for m in messages %}{{ m.content[-1].text }}{% endfor %}<|im_end|>")
    assert amended(legacy, chat_template=str(file)).render(PLAIN).startswith("What is 1 + 1?")


def test_options_of_the_processor_decide_how_many_tokens_an_image_takes(copy: Copy) -> None:
    row = visual("v", 1, kinds=("jpeg",))[0]
    for name, options in (
        ("internvl3", {"max_patches": 1}),
        ("idefics3", {"do_image_splitting": False}),
        ("qwen2.5-vl-hub", {"max_pixels": 3136}),
    ):
        directory = copy(name)
        before = Reader.of(directory, SPEC, Prompt()).read(row).length
        assert amended(directory, processor_args=options).read(row).length < before, name


def test_values_of_the_config_are_found_where_they_stand(copy: Copy) -> None:
    directory = copy("qwen2.5-vl-tied")
    amended(directory, config={"rope_theta": 5e5, "max_position_embeddings": 4096})
    text = AutoConfig.from_pretrained(directory).get_text_config()
    assert (text.rope_parameters["rope_theta"], text.max_position_embeddings) == (5e5, 4096)
    flat = copy("qwen2.5")
    amended(flat, config={"rope_theta": 5e5})
    assert AutoConfig.from_pretrained(flat).rope_parameters["rope_theta"] == 5e5
    legacy = copy("qwen2.5-vl-hub")
    amended(legacy, config={"rope_theta": 5e5})
    assert AutoConfig.from_pretrained(legacy).get_text_config().rope_parameters["rope_theta"] == 5e5


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("qwen3", {"template_args": {"enable_thought": True}}, "template_args.enable_thought: .* did you mean enable_"),
        ("idefics3", {"processor_args": {"max_patches": 1}}, "processor_args.max_patches: Idefics3ImageProcessor.* no"),
        ("internvl3", {"processor_args": {"crop_to_patches": False}}, "InternVLProcessor sets it itself .* to True"),
        ("qwen3", {"processor_args": {"max_patches": 1}}, "processor_args: the checkpoint has no image processor"),
        (
            "qwen3",
            {"config": {"max_position_embeddings": "many"}},
            "config: the config class does not take these values",
        ),
        (
            "qwen3",
            {"config": {"tie_word_embeddings": True}},
            "config.tie_word_embeddings: it says what the weights are",
        ),
        ("qwen3", {"config": {"rope_teta": 1.0}}, r"config.rope_teta: config.json has no such value; did you mean"),
    ],
)
def test_what_a_checkpoint_does_not_take_is_one_error(
    copy: Copy, name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(AmendError, match=message):
        amended(copy(name), **options)


def test_a_template_that_is_none_is_an_error(copy: Copy, tmp_path: Path) -> None:
    (tmp_path / "bad.jinja").write_text("{% for %}")
    (tmp_path / "latin.jinja").write_bytes("{{ 'é' }}".encode("latin-1"))
    with pytest.raises(AmendError, match=r"chat_template: .*latin\.jinja is not UTF-8"):
        amended(copy("llama3.2"), chat_template=str(tmp_path / "latin.jinja"))
    with pytest.raises(AmendError, match="chat_template: not a Jinja template: Expected"):
        amended(copy("qwen3"), chat_template=str(tmp_path / "bad.jinja"))
    directory = copy("qwen2.5")
    (directory / "chat_template.jinja").unlink()
    settings = json.loads((directory / "tokenizer_config.json").read_text())
    settings.pop("chat_template", None)
    (directory / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(AmendError, match="template_args: the checkpoint has no chat template; give one as"):
        amended(directory, template_args={"enable_thinking": False})
