"""What a stage of RL samples with vLLM is what the model in training says, whatever happened to its weights before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .matrix import ROOT
from .test_matrix import CLOSE, REFUSED, families

# Tied weights and mRoPE; tiles.
ALWAYS_SAMPLED = ("qwen2.5-vl-tied", "idefics3")


@pytest.mark.parametrize("name", families(ALWAYS_SAMPLED))
def test_completions_are_those_of_the_trained_model(name: str, family: Callable[[str], Path], tmp_path: Path) -> None:
    """Text, odd pictures and several pictures in one batch."""
    out = tmp_path / "found.json"
    command = [sys.executable, "-m", "tests.families.sampled", name, "--checkpoint", str(family(name))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    result = subprocess.run(
        [*command, "--out", str(out)], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True, check=False
    )
    if name in REFUSED:
        assert result.returncode == 1
        assert REFUSED[name] in result.stderr.splitlines()[-1]
        return
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
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
