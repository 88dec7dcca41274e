"""A toy's pretraining that is stopped or killed ends with the weights of one that was not."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reassess.graph import Graph, parse
from reassess.models.base import build_base
from reassess.models.pretraining import Pretraining
from reassess.study import read
from reassess.work import attempts, turns
from reassess.work.records import digest
from reassess.work.turns import Interrupted

STEPS = 40


@pytest.fixture(scope="module")
def graph(tiny: Graph) -> Graph:
    raw = tiny.study.model_dump(mode="json")
    raw["models"]["toy-xs"]["toy"]["steps"] = STEPS
    return parse(raw, "study")


@pytest.fixture(scope="module")
def unbroken(graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The fingerprint of the model that was made in one go."""
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("unbroken"))
    build_base(graph, graph["model", "toy-xs"])
    found = fingerprint()
    os.chdir(before)
    return found


def fingerprint() -> str:
    return str(json.loads(Path("results/models/toy-xs/manifest.json").read_text())["fingerprint"])


def test_asked_to_stop(graph: Graph, unbroken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    moments = sorted(random.Random("stop").sample(range(1, STEPS - 1), 2))
    after_step = Pretraining.after_step

    def stop(self: Pretraining, parts: dict[str, object], losses: list[float], steps: int) -> None:
        if moments and len(losses) == moments[0]:
            moments.pop(0)
            os.kill(os.getpid(), signal.SIGTERM)
        after_step(self, parts, losses, steps)

    monkeypatch.setattr(Pretraining, "after_step", stop)
    for _ in range(2):
        with (
            pytest.raises(Interrupted, match="stopped by SIGTERM"),
            turns.take("model", "toy-xs") as turn,
        ):
            build_base(graph, graph["model", "toy-xs"], turn)
        assert not Path("results/models/toy-xs/manifest.json").exists()
    with turns.take("model", "toy-xs") as turn:
        build_base(graph, graph["model", "toy-xs"], turn)
    assert fingerprint() == unbroken
    found = attempts.read("model", "toy-xs")
    assert [attempt.why for attempt in found] == ["terminated", "terminated", "finished"]
    assert [attempt.start_step for attempt in found[1:]] == [attempt.end_step for attempt in found[:2]]
    assert not list(Path("results/models/toy-xs").glob("pretraining-*"))


def test_killed(graph: Graph, unbroken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    read.dump(graph.study, "study.json")
    command = [sys.executable, "-m", "reassess.cli", "model", "toy-xs", "--study", "study.json"]
    with Path("log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        while not list(Path("results/models/toy-xs").glob("pretraining-*.pt")):
            assert process.poll() is None, Path("log").read_text()
            time.sleep(0.01)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    assert not Path("results/models/toy-xs/manifest.json").exists()
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert "pretraining goes on at step" in again.stdout
    assert fingerprint() == unbroken
    assert [attempt.why for attempt in attempts.read("model", "toy-xs")] == ["killed", "finished"]


def test_a_damaged_file_is_said_and_left(
    graph: Graph, unbroken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    state = Pretraining(Path("results/models/toy-xs"), digest(graph["model", "toy-xs"].spec), None)
    state.file.parent.mkdir(parents=True)
    state.file.write_bytes(b"PK half of a file")
    build_base(graph, graph["model", "toy-xs"])
    assert "cannot be read" in capsys.readouterr().out
    assert fingerprint() == unbroken
