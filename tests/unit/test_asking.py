"""What an evaluation asks: read once, a row at a time, and held without texts and pictures until its turn comes."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from families.rows import text, visual
from reassess import paths
from reassess.data.asked import Questions
from reassess.data.shards import Shards, write_shards
from reassess.decoding import Decoding
from reassess.engines.base import EngineInfo, sample_seed
from reassess.evaluate import generate
from reassess.evaluate.store import key
from reassess.example import Example, images_sha256
from reassess.models.reader import Reader
from reassess.prompts import THINK, Prompt
from reassess.study.models import Model
from reassess.study.study import Study


def benchmarks(*names: str) -> dict[str, Questions]:
    return {name: Questions(Shards(paths.benchmark(name))) for name in names}


@pytest.mark.parametrize("think", [False, True])
def test_prompts_are_held_without_texts_and_pictures(
    family: Callable[[str], Path], tiny_study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, think: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    broken = Example("broken", (b"no picture",), "Which?", (), "1", "numeric", (), "mine", "", 0)
    good = {"toy-id": visual("v", 8), "toy-text": text("t", 3)}
    write_shards(paths.benchmark("toy-id", "shards"), [*good["toy-id"][:5], broken, *good["toy-id"][5:]])
    write_shards(paths.benchmark("toy-text", "shards"), good["toy-text"])
    reader = Reader.of(family("idefics3"), Model(path=".", max_pixels=20_000, max_prompt_length=2048), Prompt())
    decoding = Decoding(n=2, temperature=1.0)
    info = EngineInfo("transformers", "5", "float32", "cpu")
    found = [generate.Checkpoint(step, "model", f"print{step}") for step in (1, 2)]
    asking = generate._Asking(tiny_study, info, decoding, found)
    asked = generate._read(asking, reader, benchmarks("toy-id", "toy-text"), think)

    assert asked.prompts == 11
    assert asked.put_aside == [generate.Aside("toy-id", "broken", "mine", "image cannot be decoded")]
    expected = [
        (checkpoint, name, item, sample)
        for checkpoint in found
        for name, examples in good.items()
        for item in examples
        for sample in range(2)
    ]
    ids = {name: Shards(paths.benchmark(name)).column("id") for name in good}
    for row, (checkpoint, name, item, sample) in zip(asked.rows, expected, strict=True):
        origin = row.request.origin
        assert (row.checkpoint, row.benchmark, row.sample) == (checkpoint, name, sample)
        assert ids[name][origin.place] == item.id
        # As it was when texts and pictures were held.
        read = reader.read(item)
        prompt = read.text + THINK if think else read.text
        seen = {"checkpoint": checkpoint.fingerprint, "prompt": prompt, "images": images_sha256(read.pictures)}
        seed = sample_seed(tiny_study.seed, seen, sample)
        engine = {"name": "transformers", "version": "5", "dtype": "float32"}
        depends = {"decoding": decoding.drawn(), "seed": seed, "sample": sample, "engine": engine}
        assert (row.request.key, row.request.seed) == (key({**seen, **depends}), seed)
        assert (origin.length, origin.is_visual) == (read.length, bool(item.images))
        question = origin.draw(reader)
        assert question.prompt == prompt
        assert [picture.tobytes() for picture in question.pictures] == [picture.tobytes() for picture in read.pictures]
    held = len(pickle.dumps(asked.rows)) / len(asked.rows)
    assert held < 300 < sum(len(image) for item in good["toy-id"] for image in item.images) / 8
