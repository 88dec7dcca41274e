"""Hub models, fetched by the real client from a hub played on this machine."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from hub_server import PIECE, REVISION, Hub, serving, use
from reassess import graph, paths
from reassess.models.base import ModelError, build_base
from reassess.models.load import fingerprint
from reassess.study import read


@pytest.fixture
def hub(toy_checkpoint: Path, tmp_path: Path) -> Iterator[Hub]:
    folder = tmp_path / "repository"
    shutil.copytree(toy_checkpoint, folder)
    (folder / "long.txt").write_bytes(bytes(range(256)) * (24 << 12))
    (folder / "pytorch_model.bin").write_bytes(b"code that loading would run")
    (folder / "modeling.py").write_bytes(b"raise SystemExit")
    with serving(folder, "owner/toy") as server:
        yield server


@pytest.fixture
def command(root: Path, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command of the rule for a hub model, in an empty directory."""
    monkeypatch.chdir(tmp_path)
    use(hub, tmp_path / "home", monkeypatch)
    raw = yaml.safe_load((root / "studies/tiny.yaml").read_text(encoding="utf-8"))
    raw["models"] = {"hub": {"path": "owner/toy", "revision": REVISION, "parameters": 500_000}}
    read.dump(read.parse(raw, "study"), "study.json")
    return [sys.executable, "-m", "reassess.cli", "model", "hub", "--study", "study.json"]


def fetched(root: Path) -> set[str]:
    """The files that are whole so far."""
    return {file.name for file in root.glob("fetched-*/*") if file.is_file()}


def test_a_killed_download_goes_on_with_the_next_file(command: list[str], hub: Hub) -> None:
    root = Path(paths.model("hub"))
    hub.held = "long.txt"
    process = subprocess.Popen(command)
    deadline = time.monotonic() + 60
    while not any(file.stat().st_size >= PIECE for file in root.rglob("*.incomplete")) or not fetched(root):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (root / "model").exists()
    hub.held = ""
    whole = fetched(root)
    hub.fetched.clear()
    subprocess.run(command, check=True)
    assert "long.txt" in hub.fetched
    assert whole.isdisjoint(hub.fetched)
    (hub.folder / "pytorch_model.bin").unlink()
    (hub.folder / "modeling.py").unlink()
    assert {file.name for file in root.iterdir()} == {"model", "manifest.json", "checkpoints"}
    assert {file.name for file in (root / "model").iterdir()} == {file.name for file in hub.folder.iterdir()}
    record = json.loads((root / "manifest.json").read_text())
    assert record["fingerprint"] == fingerprint(hub.folder) == fingerprint(root / "model")


def refused(command: list[str]) -> str:
    """Run the command, which refuses the model; return its message."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    (line,) = (line for line in done.stderr.splitlines() if "models.hub" in line)
    return line


@pytest.fixture
def build(command: list[str]) -> Callable[[], None]:
    """Makes the model in this process."""
    study = graph.load("study.json")
    return lambda: build_base(study, study["model", "hub"])


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        ((404, "RevisionNotFound"), "no such commit; take one of its list of commits for `revision`"),
        ((401, "RepoNotFound"), "no such repository, or it is private; check the name, or log in"),
        ((403, "GatedRepo"), "access is granted by its owners; ask for it on the model's page, and log in"),
    ],
)
def test_what_the_hub_refuses_is_said_with_what_to_do(
    build: Callable[[], None], hub: Hub, refusal: tuple[int, str], said: str
) -> None:
    hub.refusal = refusal
    with pytest.raises(ModelError) as caught:
        build()
    assert str(caught.value).startswith(f"models.hub.path: owner/toy at {REVISION} cannot be fetched: ")
    assert said in str(caught.value)


def test_what_is_refused_is_not_fetched_again(build: Callable[[], None], hub: Hub) -> None:
    """Such as a model that only lacks an option."""
    (hub.folder / "chat_template.jinja").rename("template.jinja")
    with pytest.raises(ModelError, match="no chat template"):
        build()
    root = Path(paths.model("hub"))
    assert "model.safetensors" in fetched(root)
    hub.fetched.clear()
    raw = json.loads(Path("study.json").read_text(encoding="utf-8"))
    raw["models"]["hub"]["chat_template"] = "template.jinja"
    study = graph.parse(raw, "study")
    build_base(study, study["model", "hub"])
    assert hub.fetched == []
    assert not list(root.glob("fetched-*"))
    assert fingerprint(root / "model") == json.loads((root / "manifest.json").read_text())["fingerprint"]


def test_pointers_in_place_of_weights(build: Callable[[], None], hub: Hub) -> None:
    (hub.folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n")
    with pytest.raises(ModelError, match=rf"owner/toy@{REVISION[:8]}/model.safetensors: a Git LFS pointer"):
        build()


def test_a_model_that_is_not_there_is_one_line(command: list[str], hub: Hub) -> None:
    shutil.rmtree(hub.folder)
    hub.folder.mkdir()
    assert "models.hub.path" in refused(command)
