"""Studies of real architectures from their checkpoints to their tables, with rows that no model can be asked."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from families.rows import pictures, text, visual, write
from once import once
from reassess import paths
from reassess.example import Example
from snake import to_the_end

STAGES: dict[str, Any] = {
    "sft": {"kind": "sft", "batch_size": 4, "args": {"learning_rate": 1.0e-3, "num_train_epochs": 1}},
    "grpo": {
        "kind": "grpo",
        "batch_size": 4,
        "rewards": {"accuracy": 1.0, "format": 0.5},
        "args": {"num_generations": 4, "max_completion_length": 8, "learning_rate": 1.0e-3, "temperature": 1.0},
    },
}


def odd(prefix: str) -> list[Example]:
    """Return rows that Qwen's processors cannot take, and one with two images."""
    thin = io.BytesIO()
    Image.new("RGB", (3000, 10)).save(thin, "PNG")
    row, two = visual(prefix, 1)[0], (pictures()["tiny"], pictures()["wide"])
    return [
        replace(row, id=f"{prefix}-thin", images=(thin.getvalue(),)),
        replace(row, id=f"{prefix}-token", question="What is <|image_pad|>?"),
        replace(row, id=f"{prefix}-two", images=two, question="<image> or <image>?"),
    ]


def source(path: Path) -> dict[str, Any]:
    return {"sources": [{"kind": "parquet", "path": str(path), "licence": "MIT"}], "max_put_aside": 0.3}


def study(models: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "name": "real",
        "models": models,
        "seeds": [1],
        "stages": STAGES,
        "recipes": {"base": [], "sft": ["sft"], "grpo": ["grpo"], "sft-grpo": ["sft", "grpo"]},
        "evaluation": {"engine": "transformers"},
        "report": {"resamples": 100},
        **more,
    }


@pytest.fixture(scope="module")
def made(family: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of Qwen2.5-VL-3B's shape (tied) and of Qwen3-VL-4B-Thinking's, run to its tables."""

    def make(folder: Path) -> None:
        write(folder / "pool", [*visual("p", 10), *odd("p")])
        write(folder / "bench", [*visual("b", 6), *odd("b")])
        write(folder / "texts", text("t", 4))
        models = {
            name: {"path": str(family(name)), "max_pixels": 20000, "max_prompt_length": 400}
            for name in ("qwen2.5-vl-tied", "qwen3-vl-thinking")
        }
        texts = {**source(folder / "texts"), "modality": "text"}
        data = study(
            models,
            pools={"odd": source(folder / "pool")},
            sizes=[13],
            benchmarks={"pictures": source(folder / "bench"), "texts": texts},
            suites={"main": {"benchmarks": ["pictures", "texts"], "decoding": {"max_tokens": 8}}},
        )
        (folder / "study.yaml").write_text(yaml.safe_dump(data))
        to_the_end(folder, folder / "study.yaml")

    return once(tmp_path_factory, "real", make)


def test_two_real_architectures_come_to_their_tables(made: Path) -> None:
    capacity = pd.read_csv(made / "results/tables/capacity.csv")
    for model in ("qwen2.5-vl-tied", "qwen3-vl-thinking"):
        methods = set(capacity[capacity["model"] == model]["method"])
        assert methods == {"floor", "base", "base-think", "sft", "grpo", "sft-grpo"}
    note = "base-think of qwen3-vl-thinking repeats base: the chat template opens the thought."
    assert note in (made / "results/tables/capacity.md").read_text()


def test_a_thought_that_the_template_opens_is_the_responses(made: Path) -> None:
    responses: dict[str, list[str]] = {}
    for name in ("base", "base-think"):
        root = made / paths.evaluation(f"qwen3-vl-thinking/{name}/main")
        record = json.loads((root / "responses.json").read_text())
        assert (record["think"], record["prefill"]) == (name == "base-think", "<think>\n")
        responses[name] = pq.read_table(root / "responses.parquet")["response"].to_pylist()
        assert all(said.startswith("<think>\n") and said.count("<think>") == 1 for said in responses[name])
    assert responses["base"] == responses["base-think"]
    # The second evaluation asks nothing: the prompts are those of the first.
    assert record["generated"] == 0


def test_rows_that_cannot_be_asked_are_put_aside_with_id_and_reason(made: Path) -> None:
    reasons = {
        "thin": "the processor refuses it: absolute aspect ratio must be smaller than N, got N",
        "token": "the text has the model's special token <|image_pad|>",
    }
    for model in ("qwen2.5-vl-tied", "qwen3-vl-thinking"):
        runs = [made / paths.run(f"{model}/odd/seed1/{name}@13") for name in ("sft", "grpo")]
        for file, prefix in ((runs[0], "p"), (runs[1], "p"), (made / paths.evaluation(f"{model}/base/main"), "b")):
            lines = [json.loads(line) for line in (file / "put_aside.jsonl").read_text().splitlines()]
            assert {row["id"]: row["reason"] for row in lines} == {f"{prefix}-{k}": v for k, v in reasons.items()}
        records = [json.loads((run / "run.json").read_text()) for run in runs]
        # The same rows for every method, the one with two images among them.
        assert records[0]["trained_ids_sha256"] == records[1]["trained_ids_sha256"]
        assert [record["image_tokens"]["images"] for record in records] == [12, 12]
        asked = pq.read_table(made / paths.evaluation(f"{model}/base/main", "responses.parquet"))["id"].to_pylist()
        assert "b-two" in asked


@pytest.mark.slow
def test_text_models_come_to_their_tables(family: Callable[[str], Path], tmp_path: Path) -> None:
    write(tmp_path / "pool", text("p", 8))
    write(tmp_path / "bench", text("b", 4))
    models = {
        "qwen2.5": {"path": str(family("qwen2.5"))},
        "qwen3": {"path": str(family("qwen3")), "template_args": {"enable_thinking": False}},
    }
    data = study(
        models,
        pools={"texts": {**source(tmp_path / "pool"), "modality": "text"}},
        sizes=[8],
        benchmarks={"bench": {**source(tmp_path / "bench"), "modality": "text"}},
        suites={"main": {"benchmarks": ["bench"], "decoding": {"max_tokens": 8}}},
    )
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(data))
    to_the_end(tmp_path, tmp_path / "study.yaml")
    capacity = pd.read_csv(tmp_path / "results/tables/capacity.csv")
    assert set(capacity["model"]) == set(models)
    think = json.loads((tmp_path / paths.evaluation("qwen3/base-think/main", "responses.json")).read_text())
    assert (think["think"], think["prefill"], think["generated"]) == (True, "<think>", 4)
