"""What a stage of RL samples with vLLM is what the model in training says, whatever happened to its weights before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .test_matrix import CLOSE, families, in_process

# Tied weights and mRoPE; tiles.
ALWAYS_SAMPLED = ("qwen2.5-vl-tied", "idefics3")


@pytest.mark.parametrize("name", families(ALWAYS_SAMPLED))
def test_completions_are_those_of_the_trained_model(name: str, family: Callable[[str], Path], tmp_path: Path) -> None:
    """Text, odd pictures and several pictures in one batch."""
    found = in_process("sampled", name, family(name), tmp_path)
    if found is None:
        return
    for state in ("loaded", "synced", "reloaded", "adapter"):
        row = found[state]
        assert row["greedy"] == row["asked"], state
        # One repeated completion would say little.
        assert row["different"] > row["asked"] // 2, state
        assert row["difference"] < CLOSE, state
    # Seeds belong to completions, not to batches; and to merge an adapter for the engine changes nothing.
    assert found["order"]
    assert found["untouched"]
    # Each of these would be learnt from without a word.
    for state in ("stale", "prefix kept", "images kept"):
        assert state not in found or found[state]["difference"] > 100 * CLOSE, state
    assert "stale" in found
