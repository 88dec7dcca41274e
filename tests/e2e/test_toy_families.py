"""The toys of two families through one study: trained by SFT and GRPO, and side by side in its tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from once import once
from reassess import graph, paths
from reassess.data.pool import build_examples
from reassess.data.subset import build_subset
from reassess.models.base import build_base
from reassess.models.load import load_model
from reassess.train.frame import train
from snake import ROOT, to_the_end

STUDY = ROOT / "studies/families.yaml"
SEED = "qwen-xs/toy/seed1"


def test_the_tied_toy_is_trained_by_sft_and_grpo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    raw: Any = graph.load(STUDY).study.model_dump(mode="json")
    raw["models"]["qwen-xs"]["toy"]["steps"] = 20
    raw["sizes"] = [16]
    # So that completions differ in their rewards, although none of a model so little trained is right.
    raw["stages"]["grpo"]["rewards"]["overlong"] = {"weight": 1.0, "buffer": 23}
    study = graph.parse(raw, "study")
    build_examples(study, study["pool", "toy"])
    build_subset(study["subset", "toy/seed1/16"])
    build_base(study, study["model", "qwen-xs"])
    model = study.study.models["qwen-xs"]
    base = load_file("results/models/qwen-xs/model/model.safetensors")
    # Under the names of the hub, with one matrix for embedding and output head.
    assert "lm_head.weight" not in base
    for stage in ("sft", "grpo"):
        key = f"{SEED}/{stage}@16"
        train(study, study["train", key])
        directory = Path(paths.run(key))
        record = json.loads((directory / "run.json").read_text(encoding="utf-8"))
        assert record["steps_done"] == record["steps_planned"] > 0
        trained = load_file(directory / "model/model.safetensors")
        assert trained.keys() == base.keys()
        assert not torch.equal(*(file["model.embed_tokens.weight"] for file in (trained, base)))
        exported = load_model(directory / "model", model)
        assert exported.get_output_embeddings().weight is exported.get_input_embeddings().weight


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study from nothing to its tables; do not write here."""

    return once(tmp_path_factory, "families", lambda folder: to_the_end(folder, STUDY))


@pytest.mark.slow
def test_two_families_stand_side_by_side(made: Path) -> None:
    capacity = pd.read_csv(made / "results/tables/capacity.csv")
    for name in ("idefics3-xs", "qwen-xs"):
        assert {"base", "base-think", "sft", "grpo"} <= set(capacity["method"][capacity["model"] == name])
        record = json.loads((made / f"results/evals/{name}/toy/seed1/grpo@32/main/responses.json").read_text())
        assert record["engine"]["name"] == "vllm"
