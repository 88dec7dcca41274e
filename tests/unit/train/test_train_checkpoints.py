"""Which checkpoints a stopped run continues from, and what it takes back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reassess.train import checkpoints


def checkpoint(root: Path, step: int, complete: bool = True) -> Path:
    path = root / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "model.safetensors").write_bytes(b"weights")
    (path / "optimizer.pt").write_bytes(b"moments" * step)
    if complete:
        checkpoints.mark_complete(path, 1.5, 1.0)
    return path


def test_the_newest_complete_checkpoint_counts_and_incomplete_ones_go(tmp_path: Path) -> None:
    for step in (9, 10):
        checkpoint(tmp_path, step)
    unfinished = checkpoint(tmp_path, 11, complete=False)
    cut = checkpoint(tmp_path, 12)
    (cut / "optimizer.pt").write_bytes(b"mom")
    lacking = checkpoint(tmp_path, 13)
    (lacking / "model.safetensors").unlink()
    torn = checkpoint(tmp_path, 14)
    (torn / checkpoints.COMPLETE).write_text('{"step": 14, "files"')
    found = checkpoints.newest_complete(tmp_path)
    assert found is not None
    assert (found.path.name, found.step, found.seconds, found.cpu_seconds) == ("checkpoint-10", 10, 1.5, 1.0)
    assert not any(path.exists() for path in (unfinished, cut, lacking, torn))


def test_nothing_to_resume_from(tmp_path: Path) -> None:
    assert checkpoints.newest_complete(tmp_path) is None
    checkpoint(tmp_path, 3, complete=False)
    assert checkpoints.newest_complete(tmp_path) is None


def test_the_newest_are_kept_by_step_not_by_name(tmp_path: Path) -> None:
    for step in (8, 9, 10, 11):
        checkpoint(tmp_path, step)
    checkpoints.keep_newest(tmp_path, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-10", "checkpoint-11"]


def test_rewinding_drops_what_came_after_and_a_torn_line(tmp_path: Path) -> None:
    lines = [json.dumps({"step": step, "num_tokens": 100.0 * step}) + "\n" for step in (2, 4, 6)]
    (tmp_path / checkpoints.METRICS).write_text("".join(lines) + '{"step": 8, "lo')
    for name in ("step-3", "step-6", ".step-9.tmp"):
        (tmp_path / checkpoints.TRAJECTORY / name).mkdir(parents=True)
    assert checkpoints.rewind(tmp_path, 4) == 400
    assert (tmp_path / checkpoints.METRICS).read_text() == "".join(lines[:2])
    assert [path.name for path in (tmp_path / checkpoints.TRAJECTORY).iterdir()] == ["step-3"]


def test_a_torn_only_line_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / checkpoints.METRICS).write_text('{"step": 8')
    assert checkpoints.rewind(tmp_path, 4) == 0
    assert (tmp_path / checkpoints.METRICS).read_text() == ""


@pytest.mark.parametrize("left", ["0ther1d3", "0ther1d4"])
def test_a_finished_run_keeps_its_trajectory_alone(tmp_path: Path, left: str) -> None:
    root = tmp_path / "mine"
    checkpoint(root, 4)
    checkpoint(tmp_path / left, 2)
    (root / checkpoints.TRAJECTORY / "step-4").mkdir(parents=True)
    checkpoints.clean(root)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    assert [path.name for path in root.iterdir()] == [checkpoints.TRAJECTORY]
