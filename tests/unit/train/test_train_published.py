"""A finished run is shown, found again and taken over, and is never lost unasked."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from reassess.graph import Graph
from reassess.models.load import fingerprint
from reassess.train import frame, published, select
from reassess.train.frame import Parent, Task
from reassess.train.plan import TrainError
from reassess.work import records, turns

KEY = "toy-xs/toy/seed1/sft@16"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(turns.SINCE, "0")
    monkeypatch.delenv(turns.FORCED, raising=False)


def model(path: Path, weights: str) -> str:
    path.mkdir(parents=True)
    (path / "model.safetensors").write_text(weights)
    return fingerprint(path)


def finished(file: str, identity: str, weights: str = "") -> Path:
    """A finished run of an identity, which nobody shows."""
    root = Path(file).parent / "checkpoints" / identity
    run = {"fingerprint": model(root / "model", weights or identity), "identity": identity, "trajectory": []}
    records.write(root / turns.FINISHED, {"time": time.time(), "run": run})
    return root


def show(root: Path, file: str) -> None:
    published.publish(root, file, json.loads((root / turns.FINISHED).read_text())["run"])


@pytest.fixture
def task(tiny: Graph) -> Task:
    """A run, and what it starts from."""
    turn = SimpleNamespace(record=SimpleNamespace(number=2), is_reuse=False)
    parents = (Parent(Path("results/models/toy-xs/model"), "fp"),)
    return Task(tiny, tiny["train", KEY], cast(Any, turn), frame.World(), parents, None, {}, Path())


def force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(turns.SINCE, str(time.time() + 1))
    monkeypatch.setenv(turns.FORCED, "train")


@pytest.mark.parametrize("how", ["link", "absolute link", "directory"])
def test_what_is_shown_is_what_is_asked_for_again(task: Task, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in a copy of results/, in which directories stand in place of links."""
    root, file = finished(task.job.record, "aaaaaaaa"), task.job.record
    other = finished(file, "bbbbbbbb")
    show(root, file)
    link = Path(file).with_name("model")
    if how != "link":
        link.unlink()
    if how == "absolute link":
        link.symlink_to((root / "model").resolve())
    elif how == "directory":
        shutil.copytree(root / "model", link)
    assert published.read_finished(root, "train", file) is not None
    force(monkeypatch)
    assert published.read_finished(root, "train", file) is None
    assert published.read_finished(other, "train", file) is not None


def test_a_job_that_is_tried_again_keeps_what_it_has_taken_back(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    file = task.job.record
    root, other = finished(file, task.identity), finished(file, "bbbbbbbb")
    show(other, file)
    monkeypatch.setenv(turns.SINCE, str(time.time()))
    monkeypatch.setenv(turns.FORCED, "train")
    for _ in range(2):
        Path(file).unlink()
        assert frame._take_over(task)
    assert published.is_shown(root, file)
    # The next one that asks gets it.
    force(monkeypatch)
    assert not frame._take_over(task)


def test_a_copy_is_linked_again_and_leaves_nothing_behind(task: Task) -> None:
    file = task.job.record
    root, other = finished(file, "aaaaaaaa"), finished(file, "bbbbbbbb")
    folder = Path(file).parent
    shutil.copytree(root / "model", folder / "model")
    # What a kill had left was a link.
    shutil.copytree(root / "model", folder / ".model.tmp")
    show(other, file)
    assert (folder / "model").readlink() == Path("checkpoints/bbbbbbbb/model")
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoints", "model", "run.json"]


def test_an_adapter_is_shown_with_its_model_alone(task: Task) -> None:
    """Also where a copy of results/ has a directory in place of the link."""
    file = task.job.record
    root, other = finished(file, "aaaaaaaa"), finished(file, "bbbbbbbb")
    folder = Path(file).parent
    (root / "adapter").mkdir()
    (root / "adapter/adapter_model.safetensors").write_text("trained")
    show(root, file)
    assert (folder / "adapter").readlink() == Path("checkpoints/aaaaaaaa/adapter")
    (folder / "adapter").unlink()
    shutil.copytree(root / "adapter", folder / "adapter")
    show(other, file)
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoints", "model", "run.json"]


def test_a_model_that_lies_nowhere_else_is_kept(task: Task, capsys: pytest.CaptureFixture[str]) -> None:
    """A copy of results/ without checkpoints/ has it in place of the link alone."""
    file = task.job.record
    only = model(Path(file).parent / "model", "copied")
    show(finished(file, "bbbbbbbb"), file)
    kept = Path(file).parent / f"model-{only[:8]}"
    assert fingerprint(kept) == only
    assert str(kept) in capsys.readouterr().out
    assert (Path(file).parent / "model").is_symlink()


def test_a_finished_run_that_cannot_be_read_is_not_trained_again(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    root = finished(task.job.record, task.identity)

    def fail(path: Path) -> str:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(frame, "fingerprint", fail)
    with pytest.raises(TrainError, match=r"cannot be read \(\[Errno 5\].*start again once it can be read"):
        frame._take_over(task)
    assert (root / turns.FINISHED).exists()


@pytest.mark.parametrize("note", ['{"time": 1}', '{"time": 1, "run": []}', '{"time": 1, "run": {}}', "["])
def test_a_damaged_note_is_none(task: Task, note: str) -> None:
    (finished(task.job.record, task.identity) / turns.FINISHED).write_text(note)
    assert not frame._take_over(task)


def test_a_finished_run_without_its_model_is_made_anew(task: Task) -> None:
    root = finished(task.job.record, task.identity)
    shutil.rmtree(root / "model")
    assert not frame._take_over(task)


def test_cleaning_leaves_what_may_be_finished(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    root, other = (finished(task.job.record, identity) for identity in ("aaaaaaaa", "bbbbbbbb"))
    elsewhere = Path("elsewhere")
    elsewhere.mkdir()
    (root.parent / "cccccccc").symlink_to(elsewhere.resolve())
    # As a network file system in trouble says it.
    with monkeypatch.context() as context:
        context.setattr(Path, "exists", lambda self: False)
        published.clean(root)
    assert (other / turns.FINISHED).exists()
    assert elsewhere.exists()


def test_a_parent_that_is_gone_is_named_with_what_to_do(tiny: Graph) -> None:
    maker = tiny["model", "toy-xs"]
    records.write(maker.record, {"fingerprint": "fp"})
    with pytest.raises(TrainError, match=r"is gone, the checkpoint that .* describes; make it again: snakemake .* -R"):
        frame._parent(tiny, tiny["train", KEY], maker)


def test_a_choice_holds_where_checkpoints_lie_on_another_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Path("results/runs/grpo/checkpoints/aaaaaaaa/trajectory/step-4")
    expected = model(kept, "kept")
    elsewhere, folder = Path("disk/deep/inside/checkpoints").resolve(), Path("results/runs/grpo/best/checkpoints")
    (elsewhere / "bbbbbbbb/attempt-1").mkdir(parents=True)
    folder.parent.mkdir(parents=True)
    folder.symlink_to(elsewhere)
    for name in ("load_exactly", "check_answers"):
        monkeypatch.setattr(select, name, lambda *arguments: None)
    root = folder / "bbbbbbbb"
    task = SimpleNamespace(
        parents=(Parent(kept, expected, 4),),
        checkpoints=root,
        model=SimpleNamespace(dtype="float32"),
        run=SimpleNamespace(parents=("grpo",)),
        graph=SimpleNamespace(study=SimpleNamespace(prompt=None)),
        turn=SimpleNamespace(record=SimpleNamespace(begin=lambda step, nodes: None)),
    )
    made = select.run(cast(Any, task), cast(Any, None))
    made.write(root / "attempt-1" / "model")
    published.put(root / "attempt-1" / "model", root / "model")
    assert fingerprint(root / "model") == expected
    assert published.links_to(root, kept)
