"""Which checkpoints a stopped run continues from, and what it takes back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reassess.train import checkpoints, published
from reassess.work import turns


class Clock(checkpoints.Clock):
    def spent(self) -> tuple[float, float]:
        return 1.5, 1.0


def checkpoint(root: Path, step: int, complete: bool = True) -> Path:
    path = root / "attempt-1" / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "model.safetensors").write_bytes(b"weights")
    (path / "optimizer.pt").write_bytes(b"moments" * step)
    (path / "logged-0.json").write_text(json.dumps({"tokens": 100 * step}))
    (path / checkpoints.METRICS).write_text(json.dumps({"step": step}) + "\n")
    return checkpoints.publish(path, root, Clock()) if complete else path


def test_the_newest_readable_checkpoint_counts_and_it_is_said_what_is_wrong_with_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for step in (9, 10):
        checkpoint(tmp_path, step)
    unfinished = checkpoint(tmp_path, 11, complete=False)
    cut = checkpoint(tmp_path, 12)
    (cut / "optimizer.pt").write_bytes(b"mom")
    lacking = checkpoint(tmp_path, 13)
    (lacking / "model.safetensors").unlink()
    torn = checkpoint(tmp_path, 14)
    (torn / checkpoints.COMPLETE).write_text('{"step": 14, "files"')
    flipped = checkpoint(tmp_path, 15)
    (flipped / "optimizer.pt").write_bytes(b"moments" * 14 + b"moMents")
    found = checkpoints.newest_readable(tmp_path)
    assert found is not None
    assert (found.path.name, found.step, found.seconds, found.cpu_seconds) == ("checkpoint-10", 10, 1.5, 1.0)
    assert not any(path.exists() for path in (unfinished, cut, lacking, torn, flipped))
    said = capsys.readouterr().out
    assert "attempt-1/checkpoint-11: incomplete, removed" in said
    assert "checkpoint-12: optimizer.pt is not what was written; removed, falling back" in said
    assert "checkpoint-13: model.safetensors is missing; removed" in said
    assert "checkpoint-14: cannot be read" in said
    assert "checkpoint-15: optimizer.pt is not what was written; removed" in said


def test_nothing_to_resume_from(tmp_path: Path) -> None:
    assert checkpoints.newest_readable(tmp_path) is None
    checkpoint(tmp_path, 3, complete=False)
    assert checkpoints.newest_readable(tmp_path) is None
    assert not list(tmp_path.iterdir())


def test_the_newest_are_kept_by_step_not_by_name(tmp_path: Path) -> None:
    for step in (8, 9, 10, 11):
        checkpoint(tmp_path, step)
    checkpoints.keep_newest(tmp_path, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["attempt-1", "checkpoint-10", "checkpoint-11"]


def test_rewinding_takes_back_what_came_after(tmp_path: Path) -> None:
    checkpoint(tmp_path, 4)
    found = checkpoints.newest_readable(tmp_path)
    for name in ("step-3", "step-6", ".step-9.tmp"):
        (tmp_path / checkpoints.TRAJECTORY / name).mkdir(parents=True)
    attempt = tmp_path / "attempt-2"
    assert checkpoints.rewind(tmp_path, attempt, found) == 400
    assert (attempt / checkpoints.METRICS).read_text() == '{"step": 4}\n'
    assert [path.name for path in (tmp_path / checkpoints.TRAJECTORY).iterdir()] == ["step-3"]
    assert checkpoints.rewind(tmp_path, tmp_path / "attempt-3", None) == 0
    assert not list((tmp_path / "attempt-3").iterdir())
    assert not list((tmp_path / checkpoints.TRAJECTORY).iterdir())


def test_a_finished_run_keeps_its_trajectory_and_what_is_set_aside(tmp_path: Path) -> None:
    root = tmp_path / "mine"
    checkpoint(root, 4)
    checkpoint(tmp_path / "unfinished", 2)
    (root / checkpoints.TRAJECTORY / "step-4").mkdir(parents=True)
    (tmp_path / "aside").mkdir()
    (tmp_path / "aside" / turns.FINISHED).write_text("{}")
    published.clean(root)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["aside", "mine"]
    assert [path.name for path in root.iterdir()] == [checkpoints.TRAJECTORY]


def test_a_chosen_checkpoint_is_the_one_that_its_link_points_to(tmp_path: Path) -> None:
    root = tmp_path / "best" / "checkpoints" / "11111111"
    kept, other = (
        tmp_path / "checkpoints" / identity / "trajectory" / "step-4" for identity in ("aaaaaaaa", "bbbbbbbb")
    )
    for path in (root, kept, other):
        path.mkdir(parents=True)
    (root / published.MODEL).symlink_to("../../../checkpoints/aaaaaaaa/trajectory/step-4")
    assert published.links_to(root, kept)
    assert not published.links_to(root, other)
