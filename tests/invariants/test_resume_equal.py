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
from reassess.graph.grid import Run

from reassess.study import read as config
from reassess.study.study import Study
from reassess.train.run import TrainError, train
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


def case(study: Study, name: str) -> tuple[Study, Run]:
    lineage, args = CASES[name]
    raw = study.model_dump(mode="json")
    raw["stages"][lineage.partition("@")[0]]["args"].update(args)
    return config.parse(raw, name), Run("toy-xs", "toy", 1, lineage)


def result(run: Run) -> dict[str, Any]:
    """Return what must be equal between two runs."""
    root = Path("results/runs") / run.cell
    record = json.loads((root / "run.json").read_text())
    lines = [json.loads(line) for line in (root / "metrics.jsonl").read_text().splitlines()]
    return {
        "metrics": [{name: value for name, value in line.items() if name not in TIMING} for line in lines],
        **{key: record[key] for key in ("fingerprint", "trajectory", "steps_done", "samples_seen", "tokens_seen")},
    }


@pytest.fixture(scope="module")
def unbroken(tiny_base: Path, tiny_study: Study, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The results of the cases without a stop."""
    folder = tmp_path_factory.mktemp("unbroken") / "work"
    shutil.copytree(tiny_base, folder)
    before = Path.cwd()
    os.chdir(folder)
    results = {}
    for name in CASES:
        study, run = case(tiny_study, name)
        train(study, run)
        results[name] = result(run)
    os.chdir(before)
    return results


def start(script: list[str], study: Study, run: Run) -> subprocess.Popen[bytes]:
    config.dump(study, "study.json")
    arguments = ["train", "--study", "study.json", "--model", run.model, "--pool", run.pool, "--seed", str(run.seed)]
    command = [sys.executable, "-c", *script, *arguments, "--lineage", run.lineage]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def saved(run: Run) -> int:
    """The step of the newest checkpoint."""
    found = (Path("results/runs") / run.cell).glob("checkpoints/*/checkpoint-*")
    return max((int(path.name.rpartition("-")[2]) for path in found), default=0)


@pytest.mark.usefixtures("tiny_results")
@pytest.mark.parametrize("name", CASES)
def test_killed_at_a_random_moment(name: str, tiny_study: Study, unbroken: dict[str, dict[str, Any]]) -> None:
    study, run = case(tiny_study, name)
    total = unbroken[name]["steps_done"]
    rng = random.Random(f"kill {name}")
    moment, delay = rng.randint(total // 2, total - 5), rng.uniform(0, 0.1)
    process = start([PLAIN], study, run)
    while saved(run) < moment and process.poll() is None:
        time.sleep(0.002)
    time.sleep(delay)
    process.kill()
    assert process.wait() == -signal.SIGKILL, "the run ended before it was killed"
    assert not (Path("results/runs") / run.cell / "run.json").exists()
    assert list((Path("results/runs") / run.cell).glob("checkpoints/*/checkpoint-*/complete.json"))
    train(study, run)
    assert result(run) == unbroken[name]


@pytest.mark.usefixtures("tiny_results")
@pytest.mark.parametrize(("name", "step"), [("sft", 9), ("grpo with reference", 12)])
def test_killed_while_a_checkpoint_is_written(
    name: str, step: int, tiny_study: Study, unbroken: dict[str, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    study, run = case(tiny_study, name)
    process = start([KILLED_WHILE_SAVING, str(step)], study, run)
    assert process.wait() == -signal.SIGKILL
    [cut] = (Path("results/runs") / run.cell).glob(f"checkpoints/*/attempt-1/checkpoint-{step}")
    assert not (cut / "complete.json").exists()
    train(study, run)
    said = capsys.readouterr().out
    assert f"checkpoint-{step}: incomplete, removed" in said
    assert f"resuming at step {step - (3 if name == 'sft' else 2)}" in said
    assert result(run) == unbroken[name]


@pytest.mark.usefixtures("tiny_results")
@pytest.mark.parametrize("name", CASES)
def test_asked_to_stop_at_any_step(
    name: str, tiny_study: Study, unbroken: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped twice by a signal, between two logged lines too: weights and every logged value are those of one run."""
    from reassess.train.callbacks import Checkpointing

    study, run = case(tiny_study, name)
    last = unbroken[name]["steps_done"]
    rng = random.Random(f"stop {name}")
    moments = sorted(rng.sample(range(2, last - 1), 2))
    on_step_end = Checkpointing.on_step_end

    def stop(self: Checkpointing, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if moments and state.global_step == moments[0]:
            moments.pop(0)
            os.kill(os.getpid(), signal.SIGTERM)
        on_step_end(self, args, state, control, **kwargs)

    monkeypatch.setattr(Checkpointing, "on_step_end", stop)
    for _ in range(2):
        with pytest.raises(Interrupted, match="stopped by SIGTERM"):
            train(study, run)
        assert not (Path("results/runs") / run.cell / "run.json").exists()
    train(study, run)
    assert not moments
    assert result(run) == unbroken[name]
    found = attempts.read("train", run.cell)
    assert [attempt.why for attempt in found] == ["terminated", "terminated", "finished"]
    assert found[1].start_step == found[0].end_step > 0
    assert found[2].start_step == found[1].end_step
    assert found[2].end_step == last


@pytest.fixture
def stopped(tiny_results: Path, tiny_study: Study, monkeypatch: pytest.MonkeyPatch) -> tuple[Study, Run, Path]:
    """The SFT case after its last checkpoint, killed before the export; and its checkpoint directory."""
    from reassess.train import run as module

    study, run = case(tiny_study, "sft")
    with monkeypatch.context() as context:
        context.setattr(module, "_finish", lambda *args: None)
        train(study, run)
    [root] = (tiny_results / "results/runs" / run.cell).glob("checkpoints/*")
    return study, run, root


def test_killed_after_the_last_step(
    stopped: tuple[Study, Run, Path], unbroken: dict[str, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    study, run, root = stopped
    assert sorted(path.name for path in root.glob("checkpoint-*")) == ["checkpoint-18", "checkpoint-20"]
    train(study, run)
    assert "resuming at step 20" in capsys.readouterr().out
    assert result(run) == unbroken["sft"]


def test_an_unreadable_checkpoint_falls_back_to_the_one_before(
    stopped: tuple[Study, Run, Path], unbroken: dict[str, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    study, run, root = stopped
    optimizer = root / "checkpoint-20/optimizer.pt"
    content = bytearray(optimizer.read_bytes())
    content[len(content) // 2] ^= 1
    optimizer.write_bytes(content)
    train(study, run)
    said = capsys.readouterr().out
    assert "checkpoint-20: optimizer.pt is not what was written; removed, falling back to the checkpoint before" in said
    assert "resuming at step 18" in said
    assert result(run) == unbroken["sft"]


def test_a_disk_that_fills_up_while_a_checkpoint_is_written(
    tiny_results: Path, tiny_study: Study, unbroken: dict[str, dict[str, Any]]
) -> None:
    study, run = case(tiny_study, "sft")
    folder = tiny_results / "results/runs" / run.cell
    folder.mkdir(parents=True)
    # Room for one checkpoint (5.3 MB) and for half of the next.
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=9m", "tmpfs", folder], check=False).returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        with pytest.raises(TrainError, match=r"the disk of .* is full .*; free some space and start again"):
            train(study, run)
        [root] = (folder / "checkpoints").iterdir()
        assert [path.name for path in root.iterdir()] == ["checkpoint-3"]
        subprocess.run(["mount", "-o", "remount,size=90m", folder], check=True)
        train(study, run)
        assert result(run) == unbroken["sft"]
        assert [attempt.why for attempt in attempts.read("train", run.cell)] == ["failed", "finished"]
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_changed_stage_starts_over(stopped: tuple[Study, Run, Path], capsys: pytest.CaptureFixture[str]) -> None:
    study, run, root = stopped
    raw = study.model_dump(mode="json")
    raw["stages"]["sft"]["args"].update(learning_rate=5e-4, num_train_epochs=1)
    train(config.parse(raw, "changed"), run)
    assert "from the start" in capsys.readouterr().out
    # What the old stage left is gone, and nothing of it is in the new run's metrics.
    assert not root.exists()
    assert [line["step"] for line in result(run)["metrics"]] == [2]


def test_a_checkpoint_that_does_not_fit_the_model_is_refused(stopped: tuple[Study, Run, Path]) -> None:
    from safetensors.torch import load_file, save_file

    from reassess.train import checkpoints

    study, run, root = stopped
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
        train(study, run)
    assert not (Path("results/runs") / run.cell / "run.json").exists()
