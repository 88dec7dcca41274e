"""A run that is killed at any moment, and started again, ends like one that was never stopped: bit for bit."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from interrupted import stop_at
from reassess.graph import Graph, Job, parse
from reassess.study import read
from reassess.train.frame import TrainError, train
from reassess.work import attempts
from reassess.work.turns import Interrupted

# Fields of a metrics line that say how fast it went.
TIMING = {"tokens_per_second", "samples_per_second", "step_time"}
# Kills the process while it writes a checkpoint: half of the optimizer's state is on the disk.
KILLED_WHILE_SAVING = """
import os, signal, sys
import torch
save, step = torch.save, sys.argv.pop(1)
def cut(state, path, *args, **kwargs):
    save(state, path, *args, **kwargs)
    if str(path).endswith(f"checkpoint-{step}/optimizer.pt"):
        os.truncate(path, os.path.getsize(path) // 2)
        os.kill(os.getpid(), signal.SIGKILL)
torch.save = cut
from reassess.cli import main
sys.exit(main(sys.argv[1:]))
"""
PLAIN = "import sys; from reassess.cli import main; sys.exit(main(sys.argv[1:]))"

CASES = {
    # Logged at other steps than saved.
    "sft": ("sft@16", {"num_train_epochs": 10, "save_steps": 3, "logging_steps": 5}),
    "grpo": ("grpo@32", {"save_steps": 3}),
    # Ends in its second epoch, whose order of prompts must be that of an unbroken run; two steps share their
    # completions, and the reference model is the parent, not what the run resumes from.
    "grpo with reference": (
        "grpo@16",
        {"num_train_epochs": 2, "steps_per_generation": 2, "save_steps": 2, "beta": 0.04, "save_total_limit": 1},
    ),
}


class KilledError(BaseException):
    """Stands for a kill: nothing that handles errors handles it."""


def case(tiny: Graph, name: str) -> tuple[Graph, Job]:
    step, args = CASES[name]
    raw = tiny.study.model_dump(mode="json")
    # GRPO at the smaller size too.
    raw["exclude"] = []
    raw["stages"][step.partition("@")[0]]["args"].update(args)
    graph = parse(raw, name)
    return graph, graph["train", f"toy-xs/toy/seed1/{step}"]


def result(job: Job) -> dict[str, Any]:
    """Return what must be equal between two runs."""
    root = directory(job)
    record = json.loads((root / "run.json").read_text())
    lines = [json.loads(line) for line in (root / "metrics.jsonl").read_text().splitlines()]
    return {
        "metrics": [{name: value for name, value in line.items() if name not in TIMING} for line in lines],
        **{
            key: record[key]
            for key in ("fingerprint", "trajectory", "steps_done", "samples_seen", "tokens_seen", "work")
        },
    }


@pytest.fixture(scope="module")
def unbroken(tiny_base: Path, tiny: Graph, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The results of the cases without a stop."""
    folder = tmp_path_factory.mktemp("unbroken") / "work"
    shutil.copytree(tiny_base, folder)
    before = Path.cwd()
    os.chdir(folder)
    results = {}
    for name in CASES:
        graph, job = case(tiny, name)
        train(graph, job)
        results[name] = result(job)
    os.chdir(before)
    return results


def directory(job: Job) -> Path:
    return Path(job.record).parent


def start(script: list[str], graph: Graph, job: Job) -> subprocess.Popen[bytes]:
    read.dump(graph.study, "study.json")
    command = [sys.executable, "-c", *script, "train", job.key, "--study", "study.json"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def saved(job: Job) -> int:
    """The step of the newest checkpoint."""
    found = directory(job).glob("checkpoints/*/checkpoint-*")
    return max((int(path.name.rpartition("-")[2]) for path in found), default=0)


@pytest.mark.usefixtures("tiny_results")
@pytest.mark.parametrize("name", CASES)
def test_killed_at_a_random_moment(name: str, tiny: Graph, unbroken: dict[str, dict[str, Any]]) -> None:
    graph, job = case(tiny, name)
    total = unbroken[name]["steps_done"]
    rng = random.Random(f"kill {name}")
    moment, delay = rng.randint(total // 2, total - 5), rng.uniform(0, 0.1)
    process = start([PLAIN], graph, job)
    while saved(job) < moment and process.poll() is None:
        time.sleep(0.002)
    time.sleep(delay)
    process.kill()
    assert process.wait() == -signal.SIGKILL, "the run ended before it was killed"
    assert not Path(job.record).exists()
    assert list(directory(job).glob("checkpoints/*/checkpoint-*/complete.json"))
    train(graph, job)
    assert result(job) == unbroken[name]


@pytest.mark.usefixtures("tiny_results")
@pytest.mark.parametrize(("name", "step"), [("sft", 9), ("grpo with reference", 12)])
def test_killed_while_a_checkpoint_is_written(
    name: str, step: int, tiny: Graph, unbroken: dict[str, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    graph, job = case(tiny, name)
    process = start([KILLED_WHILE_SAVING, str(step)], graph, job)
    assert process.wait() == -signal.SIGKILL
    [cut] = directory(job).glob(f"checkpoints/*/attempt-1/checkpoint-{step}")
    assert not (cut / "complete.json").exists()
    train(graph, job)
    said = capsys.readouterr().out
    assert f"checkpoint-{step}: incomplete, removed" in said
    assert f"resuming at step {step - (3 if name == 'sft' else 2)}" in said
    assert result(job) == unbroken[name]


@pytest.mark.usefixtures("tiny_results")
@pytest.mark.parametrize("name", CASES)
def test_asked_to_stop_at_any_step(
    name: str, tiny: Graph, unbroken: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped twice by a signal, between two logged lines too: weights and every logged value are those of one run."""
    graph, job = case(tiny, name)
    last = unbroken[name]["steps_done"]
    rng = random.Random(f"stop {name}")
    moments = sorted(rng.sample(range(2, last - 1), 2))
    stop_at(monkeypatch, moments)
    for _ in range(2):
        with pytest.raises(Interrupted, match="stopped by SIGTERM"):
            train(graph, job)
        assert not Path(job.record).exists()
    train(graph, job)
    assert not moments
    assert result(job) == unbroken[name]
    found = attempts.read("train", job.key)
    assert [attempt.why for attempt in found] == ["terminated", "terminated", "finished"]
    assert found[1].start_step == found[0].end_step > 0
    assert found[2].start_step == found[1].end_step
    assert found[2].end_step == last


@pytest.fixture
def stopped(tiny_results: Path, tiny: Graph, monkeypatch: pytest.MonkeyPatch) -> tuple[Graph, Job, Path]:
    """The SFT case after its last checkpoint, killed before the export; and its checkpoint directory."""
    from transformers import PreTrainedModel

    graph, job = case(tiny, "sft")
    save = PreTrainedModel.save_pretrained

    def cut(model: Any, directory: Any, *args: Any, **kwargs: Any) -> None:
        if not Path(directory).name.startswith("checkpoint-"):
            raise KilledError
        save(model, directory, *args, **kwargs)

    with monkeypatch.context() as context:
        context.setattr(PreTrainedModel, "save_pretrained", cut)
        with pytest.raises(KilledError):
            train(graph, job)
    [root] = directory(job).glob("checkpoints/*")
    return graph, job, root


def test_killed_after_the_last_step(
    stopped: tuple[Graph, Job, Path], unbroken: dict[str, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    graph, job, root = stopped
    assert sorted(path.name for path in root.glob("checkpoint-*")) == ["checkpoint-18", "checkpoint-20"]
    train(graph, job)
    assert "resuming at step 20" in capsys.readouterr().out
    assert result(job) == unbroken["sft"]


def test_an_unreadable_checkpoint_falls_back_to_the_one_before(
    stopped: tuple[Graph, Job, Path], unbroken: dict[str, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    graph, job, root = stopped
    optimizer = root / "checkpoint-20/optimizer.pt"
    content = bytearray(optimizer.read_bytes())
    content[len(content) // 2] ^= 1
    optimizer.write_bytes(content)
    train(graph, job)
    said = capsys.readouterr().out
    assert "checkpoint-20: optimizer.pt is not what was written; removed, falling back to the checkpoint before" in said
    assert "resuming at step 18" in said
    assert result(job) == unbroken["sft"]


def test_a_disk_that_fills_up_while_a_checkpoint_is_written(
    tiny_results: Path, tiny: Graph, unbroken: dict[str, dict[str, Any]]
) -> None:
    graph, job = case(tiny, "sft")
    folder = directory(job).absolute()
    folder.mkdir(parents=True)
    # Room for one checkpoint (5.3 MB) and for half of the next.
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=9m", "tmpfs", folder], check=False).returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        with pytest.raises(TrainError, match=r"the disk of .* is full .*; free some space and start again"):
            train(graph, job)
        [root] = (folder / "checkpoints").iterdir()
        assert [path.name for path in root.iterdir() if path.is_dir()] == ["checkpoint-3"]
        subprocess.run(["mount", "-o", "remount,size=90m", folder], check=True)
        train(graph, job)
        assert result(job) == unbroken["sft"]
        assert [attempt.why for attempt in attempts.read("train", job.key)] == ["failed", "finished"]
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_changed_stage_starts_over(stopped: tuple[Graph, Job, Path], capsys: pytest.CaptureFixture[str]) -> None:
    graph, job, root = stopped
    raw = graph.study.model_dump(mode="json")
    raw["stages"]["sft"]["args"].update(learning_rate=5e-4, num_train_epochs=1)
    changed = parse(raw, "changed")
    train(changed, changed["train", job.key])
    assert "from the start" in capsys.readouterr().out
    # What the old stage left is gone, and nothing of it is in the new run's metrics.
    assert not root.exists()
    assert [line["step"] for line in result(job)["metrics"]] == [2]


def test_a_checkpoint_that_does_not_fit_the_model_is_refused(stopped: tuple[Graph, Job, Path]) -> None:
    from safetensors.torch import load_file, save_file

    from reassess.train import checkpoints

    graph, job, root = stopped
    path = root / "checkpoint-20"
    weights = load_file(path / "model.safetensors")
    save_file(
        {name.replace("text_model", "other"): tensor for name, tensor in weights.items()}, path / "model.safetensors"
    )
    attempt = root / "attempt-9"
    attempt.mkdir()
    (path / checkpoints.COMPLETE).unlink()
    checkpoints.publish(path.rename(attempt / path.name), root, checkpoints.Clock())
    with pytest.raises(TrainError, match=r"do not fit the model's 52 tensors: \d+ missing keys .* unexpected keys"):
        train(graph, job)
    assert not Path(job.record).exists()
