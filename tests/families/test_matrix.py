"""Families through every command, and the two engines against each other; `docs/models.md` says what works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from reassess import paths

from . import FAMILIES
from .cells import CELLS, OK, Family
from .matrix import PAGE, RECORD, ROOT, one, page

# Their faults differ: tied embeddings, a template that opens <think>, no pictures.
ALWAYS_RUN = ("qwen2.5-vl-tied", "qwen3-vl-thinking", "qwen3")
ALWAYS_COMPARED = ("llava-onevision", "idefics3")
# Of a log-probability in float32.
CLOSE = 1e-4
# Of weights that were trained in two ways of adding up the same gradients.
ALIKE = 1e-4
# What vLLM's CPU build cannot do for a family in float32, as the product says it.
REFUSED = {
    "gemma3": "attend to each other in both directions",
    "qwen3.5-think": "vLLM does not start with this model",
    "qwen3.5-nothink": "vLLM does not start with this model",
}
# Rows that vLLM makes other prompts of than transformers does, and why.
OTHER_PROMPTS = {
    # It cuts each of several pictures into tiles; transformers cuts a single one alone.
    "llava-onevision": {"s-two", "s-three"},
}


def families(always: tuple[str, ...]) -> list[object]:
    """All families, those that are not run always marked as slow."""
    return [pytest.param(name, marks=() if name in always else pytest.mark.slow) for name in FAMILIES]


def in_process(module: str, name: str, checkpoint: Path, folder: Path) -> dict[str, Any] | None:
    """Return what a module of this directory finds of a family in a process of its own, None where vLLM refuses it."""
    out = folder / "found.json"
    command = [sys.executable, "-m", f"tests.families.{module}", name, "--checkpoint", str(checkpoint)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    result = subprocess.run(
        [*command, "--out", str(out)], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True, check=False
    )
    if name in REFUSED:
        assert result.returncode == 1
        assert REFUSED[name] in result.stderr.splitlines()[-1]
        return None
    assert result.returncode == 0, result.stderr
    return dict(json.loads(out.read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", families(ALWAYS_RUN))
def test_a_family_goes_through_every_command(name: str, tmp_path: Path) -> None:
    """What the page says works, and what it says does not, still does not: else record the matrix anew."""
    recorded = json.loads(RECORD.read_text(encoding="utf-8"))["families"][name]["cells"]
    found = one(name, tmp_path)["cells"]
    works = {cell: result == OK for cell, result in found.items()}
    assert works == {cell: result == OK for cell, result in recorded.items()}, found


@pytest.mark.parametrize("name", families(ALWAYS_COMPARED))
def test_engines_agree_on_every_picture(name: str, family: Callable[[str], Path], tmp_path: Path) -> None:
    """Greedy answers token for token, and the log-probabilities of a text that is given."""
    found = in_process("compare", name, family(name), tmp_path)
    if found is None:
        return
    failed = {key: str(found.pop(key)["vllm"]["error"]) for key in OTHER_PROMPTS.get(name, ())}
    assert all("tokens of a prompt that has" in error for error in failed.values())
    assert [key for key, row in found.items() if row["vllm"] != row["transformers"]] == []
    # One row of one family is that far from float64 in transformers itself.
    far = {key: row for key, row in found.items() if row["difference"] > max(CLOSE, 2 * row["rounding"])}
    assert far == {}
    # One repeated token would say little.
    assert len({row["vllm"]["response"] for row in found.values()}) > len(found) // 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["qwen2.5-vl-tied", "qwen3"])
def test_two_processes_train_the_same_however_the_model_is_shared(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = {}
    for kind in ("ddp", "zero3"):
        folder = tmp_path / kind
        folder.mkdir()
        monkeypatch.chdir(folder)
        two = {"processes": 2}
        family = Family(name, Path("commands.log"), distributed=kind, resources={"sft": two, "grpo": two})
        assert family.load() == OK
        for recipe in ("sft", "grpo"):
            assert family.train(recipe) == OK
            assert family.export(family.runs[recipe]) == OK
            weights[kind, recipe] = load_file(paths.run(family.runs[recipe], "model/model.safetensors"))
    for recipe in ("sft", "grpo"):
        copied, shared = weights["ddp", recipe], weights["zero3", recipe]
        assert max(float((copied[key] - shared[key]).abs().max()) for key in copied) < ALIKE


def test_the_page_shows_the_record() -> None:
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    assert set(record["families"]) == set(FAMILIES)
    assert all(set(row["cells"]) == set(CELLS) for row in record["families"].values())
    text = PAGE.read_text(encoding="utf-8")
    assert page(text, record) == text, "python -m tests.families.matrix --record"
