"""What `reassess check` says of the tokens that pictures take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from families.rows import text, visual, write
from reassess import graph
from reassess.console import rows
from reassess.study.study import Study


def test_tokens_of_a_picture_are_told_before_anything_runs(
    family: Callable[[str], Path], tiny_study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "mine", visual("v", 40, kinds=("jpeg", "tiny")))
    write(tmp_path / "texts", text("t", 4))
    source = {"kind": "parquet", "licence": "MIT"}
    data = tiny_study.model_dump(mode="json")
    data["pools"] = {"mine": {"sources": [{**source, "path": str(tmp_path / "mine")}]}}
    data["benchmarks"] = {
        "toy-text": {"modality": "text", "sources": [{**source, "path": str(tmp_path / "texts")}]},
        "toy-id": {"sources": [{**source, "path": str(tmp_path / "mine")}]},
    }
    data["recipes"] = {"base": []}
    data["stages"], data["exclude"] = {}, []
    data["suites"] = {"main": {"benchmarks": ["toy-id", "toy-text"]}}
    idefics = {"path": str(family("idefics3")), "max_prompt_length": 2048}
    data["models"] = {
        "toy-xs": {"toy": {"size": "xs", "steps": 2}},
        "tiles": idefics,
        "whole": {**idefics, "processor_args": {"do_image_splitting": False}},
        "tight": {**idefics, "max_prompt_length": 40},
        "wrong": {**idefics, "processor_args": {"max_patches": 2}},
    }
    lines = rows.overview(graph.parse(data, "test")).lines
    start = lines.index("tokens, of the first 32 examples of each:")
    found = {tuple(line.split()[:2]): line.split(maxsplit=2)[2] for line in lines[start + 1 :]}
    tiles, whole = (float(found[name, "pools.mine"].split()[2]) for name in ("tiles", "whole"))
    assert tiles > whole > 0
    assert "of 2048 at most" in found["tiles", "pools.mine"]
    assert found["tiles", "benchmarks.toy-text"].startswith("a prompt ")
    assert found["tight", "pools.mine"] == "put aside: 32 x prompt longer than max_prompt_length"
    assert found["wrong:", "cannot"].startswith("be told: processor_args.max_patches: Idefics3ImageProcessor")
    # The toy is not made yet, so nothing is known of it.
    assert not any("toy-xs" in line for line in lines)
