"""Exported models: what was trained is what is written."""

from __future__ import annotations

from pathlib import Path

from transformers import Idefics3Config, Idefics3ForConditionalGeneration

from reassess.models.load import load_model
from reassess.study.models import Model
from reassess.train.export import check, export

SPEC = Model(path=".")


def tied(root: Path) -> Path:
    """Return a tiny checkpoint whose output layer is its embedding."""
    config = Idefics3Config(
        text_config={"model_type": "llama", "vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 1,
                     "num_attention_heads": 1, "num_key_value_heads": 1, "intermediate_size": 32,
                     "tie_word_embeddings": True},
        vision_config={"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 32,
                       "image_size": 32, "patch_size": 16},
        tie_word_embeddings=True,
    )  # fmt: skip
    Idefics3ForConditionalGeneration(config).save_pretrained(root / "tied")
    return root / "tied"


def test_a_model_with_tied_embeddings_is_exported_whole(tmp_path: Path) -> None:
    parent = tied(tmp_path)
    model = load_model(parent, SPEC)
    model.get_input_embeddings().weight.data.mul_(2)
    weights = model.state_dict()
    names = set(weights)
    assert "lm_head.weight" in names
    export(model, weights, parent, SPEC, tmp_path / "made")
    assert set(weights) == names
    reloaded = check(tmp_path / "made", weights, SPEC)
    assert reloaded.lm_head.weight is reloaded.get_input_embeddings().weight
