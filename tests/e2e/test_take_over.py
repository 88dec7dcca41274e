"""What a finished run leaves for a job that is to do the same, and what counts of it when it is asked for again."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from reassess import paths
from reassess.graph import Graph, parse
from reassess.models.load import fingerprint
from reassess.train import checkpoints
from reassess.train.frame import train
from reassess.work import attempts, turns

RUN = "toy-xs/toy/seed1/grpo@32"


@pytest.fixture
def graph(tiny: Graph) -> Graph:
    """Two checkpoints beside the end of the run, and a trajectory."""
    raw = tiny.study.model_dump(mode="json")
    raw["stages"]["grpo"]["args"]["save_steps"] = 4
    return parse(raw, "saves")


def kept() -> list[str]:
    """Names of the checkpoints that are there."""
    return [path.name for path in Path(paths.run(RUN)).glob("checkpoints/*/checkpoint-*")]


@pytest.fixture
def finished(tiny_results: Path, graph: Graph, monkeypatch: pytest.MonkeyPatch) -> str:
    """The fingerprint of a run whose job died before it could remove its checkpoints and publish its record."""
    with monkeypatch.context() as before_its_end:
        before_its_end.setattr(checkpoints, "clean", lambda root: None)
        train(graph, graph["train", RUN])
    assert kept()
    record = Path(paths.run(RUN, "run.json"))
    expected = str(json.loads(record.read_text())["fingerprint"])
    record.unlink()
    return expected


def test_what_is_finished_is_published_and_its_checkpoints_go(
    graph: Graph, finished: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(turns.SINCE, "0")
    train(graph, graph["train", RUN])
    record = json.loads(Path(paths.run(RUN, "run.json")).read_text())
    assert record["fingerprint"] == finished
    assert kept() == []
    assert all(fingerprint(item["path"]) == item["fingerprint"] for item in record["trajectory"])


def test_a_run_that_is_asked_for_again_starts_from_its_parent(
    graph: Graph, finished: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(turns.SINCE, str(time.time()))
    monkeypatch.setenv(turns.FORCED, "train")
    train(graph, graph["train", RUN])
    last = attempts.read("train", RUN)[-1]
    assert (last.start_step, last.is_success) == (0, True)
    record = json.loads(Path(paths.run(RUN, "run.json")).read_text())
    assert record["fingerprint"] == finished
    assert kept() == []


def test_a_run_with_a_damaged_trajectory_is_not_taken_for_finished(
    graph: Graph, finished: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(turns.SINCE, "0")
    weights = next(Path(paths.run(RUN)).glob("checkpoints/*/trajectory/*/model.safetensors"))
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    train(graph, graph["train", RUN])
    record = json.loads(Path(paths.run(RUN, "run.json")).read_text())
    assert record["fingerprint"] == finished
    assert all(fingerprint(item["path"]) == item["fingerprint"] for item in record["trajectory"])
