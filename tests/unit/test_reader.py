"""What a model is asked, and why it is not: templates that think, places of images, texts and pictures that fit not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from families.rows import pictures, text, visual
from reassess.data.shards import Shards
from reassess.example import Example
from reassess.models.amend import amend
from reassess.models.reader import PLAIN, TOO_LONG, Reader, Unreadable
from reassess.prompts import IMAGE, Prompt, misplaced, target
from reassess.study.models import Model
from reassess.train import data

Family = Callable[[str], Path]
Stored = Callable[[Iterable[Example]], Shards]
SPEC = Model(path=".", max_pixels=20_000)
PROMPT = Prompt(instruction="Think first.")
RESPONSE = target("1 + 1 = 2.", "2", PROMPT)


def reader(directory: Path, **options: Any) -> Reader:
    return Reader.of(directory, SPEC.model_copy(update=options), PROMPT)


# The prompt's last words, what it holds of a response, and what it ends with where a thought is forced.
THINKING = {
    "qwen2.5-vl": ("assistant\n", "", "assistant\n<think>"),
    "qwen3-vl-thinking": ("assistant\n<think>\n", "<think>\n", "assistant\n<think>\n"),
    "qwen3.5-nothink": ("</think>\n\n", "", "assistant\n<think>"),
    "qwen3": ("assistant\n", "", "assistant\n<think>"),
}


@pytest.mark.parametrize("name", THINKING)
def test_what_a_template_holds_of_a_response_counts(family: Family, name: str) -> None:
    found = reader(family(name))
    end, held, forced = THINKING[name]
    prompt = found.render(PLAIN)
    assert prompt.endswith(end)
    assert found.held(think=False) == held
    assert found.held(think=True) == (held or "<think>")
    assert found.forced(prompt).endswith(forced)
    # What SFT teaches is what evaluation goes on from: together they are the response, which opens one thought.
    taught = found.completion(RESPONSE)
    assert (held or "") + taught == held + RESPONSE.removeprefix("<think>" if held else "") + "<|im_end|>"
    assert (held + taught).count("<think>") == 1


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("qwen2.5-vl", "<|im_end|>"),
        ("gemma3", "<end_of_turn>"),
        ("idefics3", "<end_of_utterance>"),
        ("llava-onevision", "<|im_end|>"),
        ("llama3.2", "<|eot_id|>"),
    ],
)
def test_a_response_ends_where_generation_stops(family: Family, name: str, ending: str) -> None:
    found = reader(family(name))
    assert found.completion("so 2") == f"so 2{ending}"
    assert found.tokenizer.convert_tokens_to_ids(ending) in found.stops


def test_text_models_get_the_text_as_their_templates_take_it(family: Family) -> None:
    for name in ("qwen2.5", "qwen3", "llama3.2"):
        found = reader(family(name))
        assert not found.sees
        assert "What is 1 + 1?\nThink first." in found.render(PLAIN)
        assert found.lengths("a b", []) == (len(found.encode(["a b"], [])["input_ids"][0]), 0)
    assert [type(message["content"]) for message in reader(family("qwen3")).messages(PLAIN)] == [str]


def test_text_rows_of_sft_have_their_loss_on_the_response(family: Family, stored: Stored) -> None:
    found = reader(family("qwen3"))
    [row, *_] = data.sft_dataset(data.Rows(stored(text("t", 2)), found))
    learnt = [token for token in row["labels"] if token != -100]
    assert row["labels"][-len(learnt) :] == row["input_ids"][-len(learnt) :] == learnt
    assert found.tokenizer.decode(learnt).endswith("</answer><|im_end|>")
    assert found.tokenizer.decode(row["input_ids"][: -len(learnt)]) == found.render(text("t", 1)[0])


def test_images_stand_where_the_text_has_them(family: Family) -> None:
    found = reader(family("qwen2.5-vl"))
    one, two = pictures()["jpeg"], pictures()["tiny"]
    shown = Example("a", (one, two), f"Is {IMAGE} larger than {IMAGE}?", (), "1", "numeric", (), "", "", 0)
    place = "<|vision_start|><|image_pad|><|vision_end|>"
    assert f"user\nIs {place} larger than {place}?\nThink first." in found.render(shown)
    read = found.read(shown)
    assert [picture.size for picture in read.pictures] == [(163, 122), (20, 20)]
    ids = found.encode([read.text], [read.pictures])["input_ids"][0]
    assert read.length == len(ids)
    assert read.image_tokens == list(ids).count(found.tokenizer.convert_tokens_to_ids("<|image_pad|>"))
    # Without places they stand before the text; in options they may stand too.
    assert f"user\n{place}{place}Which?" in found.render(replace(shown, question="Which?"))
    chosen = replace(shown, question="Which?", options=(IMAGE, IMAGE))
    assert f"Which?\n(A) {place}\n(B) {place}" in found.render(chosen)
    assert misplaced("Which?", (IMAGE,), 2) == "<image> stands in its text 1 times, and it has 2 images"
    with pytest.raises(Unreadable, match="the chat template refuses it: <image> stands in its text N times"):
        found.read(replace(shown, options=(IMAGE,)))


def test_a_template_that_moves_images_is_not_asked_where_they_stand(family: Family) -> None:
    found = reader(family("llava-onevision"))
    shown = Example("a", (pictures()["tiny"],), "Which?", (), "1", "numeric", (), "", "", 0)
    assert found.read(shown).image_tokens > 1
    assert reader(family("gemma3")).keeps_places
    with pytest.raises(Unreadable, match="does not leave images where they stand"):
        found.read(replace(shown, question=f"Is {IMAGE} red?"))
    with pytest.raises(ValueError, match="only questions and options have any"):
        Prompt(instruction=f"Look at {IMAGE}.")


def test_several_images_train_like_they_are_evaluated(family: Family, stored: Stored) -> None:
    found = reader(family("idefics3"))
    one, two = pictures()["jpeg"], pictures()["tiny"]
    shown = Example("a", (one, two), f"{IMAGE} or {IMAGE}?", (), "1", "numeric", ("1.",), "", "", 0)
    rows = data.Rows(stored([shown]), found)
    [taught], [reinforced] = data.sft_dataset(rows), data.rl_dataset(rows, by_engine=False)
    assert taught["prompt"] == found.render(shown)
    assert [image.tobytes() for image in taught["images"]] == [image.tobytes() for image in found.pictures(shown)]
    assert [part["type"] for part in reinforced["prompt"][0]["content"]] == ["image", "text", "image", "text"]
    assert len(reinforced["images"]) == 2


SPECIAL = {"qwen2.5-vl": "<|image_pad|>", "idefics3": "<end_of_utterance>", "gemma3": "<start_of_image>"}


@pytest.mark.parametrize("name", SPECIAL)
def test_special_tokens_in_a_text_put_it_aside(family: Family, stored: Stored, name: str) -> None:
    found = reader(family(name))
    token = SPECIAL[name]
    good = visual("v", 4, kinds=("jpeg",))
    asked = replace(good[1], id="asked", question=f"What does {token} mean?")
    offered = replace(good[1], id="offered", options=("1", token))
    taught = replace(good[1], id="taught", rationales=(f"It is {token}.",))
    # Where it is text, it is no place of an image: of Idefics3 the place is the model's own token.
    told = replace(good[1], id="told", rationales=(f"In {IMAGE} it is so.",))
    rows = data.Rows(stored([*good, asked, offered, taught, told]), found)
    kept, out, counted, _ = data.put_aside(rows, share=0.5)
    expected = [(name, f"the text has the model's special token {token}") for name in ("asked", "offered", "taught")]
    expected += [("told", "the text has the model's special token <image>")] if name == "idefics3" else []
    assert [(item.id, item.reason) for item in out] == expected
    assert list(kept.examples[:4]) == good
    assert counted.record()["images"] == len(kept.examples)
    assert counted.record()["tokens"] == counted.most


def test_a_picture_that_a_processor_refuses_is_put_aside(family: Family) -> None:
    import io

    thin = io.BytesIO()
    Image.new("RGB", (3000, 10)).save(thin, "PNG")
    row = replace(visual("v", 1)[0], images=(thin.getvalue(),))
    with pytest.raises(Unreadable, match="the processor refuses it: absolute aspect ratio must be smaller than N"):
        reader(family("qwen2.5-vl"), max_pixels=None).read(row)
    assert reader(family("idefics3")).read(row).length > 0
    with pytest.raises(Unreadable, match=TOO_LONG):
        reader(family("qwen2.5-vl"), max_prompt_length=20).read(visual("v", 1)[0])


def test_a_template_with_todays_date_is_known(family: Family, tmp_path: Path) -> None:
    import shutil

    assert reader(family("llama3.2")).reads_clock
    assert not reader(family("qwen3")).reads_clock
    shutil.copytree(family("llama3.2"), tmp_path / "dated")
    amend(tmp_path / "dated", SPEC.model_copy(update={"template_args": {"date_string": "26 Jul 2024"}}))
    dated = reader(tmp_path / "dated")
    assert not dated.reads_clock
    assert "26 Jul 2024" in dated.render(PLAIN)
