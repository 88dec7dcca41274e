"""Provenance: what it says of a checkout and of an environment, what it keeps to itself, and what attempts cost."""

from __future__ import annotations

import getpass
import importlib.metadata
import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from attempted import attempted
from reassess.work import provenance as module
from reassess.work.provenance import costs, provenance
from reassess.work.records import file_sha256

CELL = "toy-xs/toy/seed1/sft@16"


@pytest.fixture(autouse=True)
def _no_cache() -> Iterator[None]:
    module._environment.cache_clear()
    yield
    module._environment.cache_clear()


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of its own, whose package this process seems to run."""
    package = tmp_path / "checkout/workflow/reassess"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (tmp_path / "checkout/.gitignore").write_text(".venv\n")
    git(tmp_path / "checkout", "init", "--quiet")
    git(tmp_path / "checkout", "add", ".")
    git(tmp_path / "checkout", "commit", "--quiet", "-m", "first")
    monkeypatch.setattr(module, "__file__", str(package / "provenance.py"))
    return tmp_path / "checkout"


def test_it_names_code_environment_and_machine_and_nothing_private() -> None:
    found = provenance()
    assert set(found) == {"commit", "dirty", "versions", "environment_sha256", "host", "platform"}
    assert found["versions"]["torch"] == importlib.metadata.version("torch")
    assert re.fullmatch(r"3\.\d+\.\d+", found["versions"]["python"])
    assert re.fullmatch(r"[0-9a-f]{64}", found["environment_sha256"])
    text = json.dumps(found)
    assert str(Path.home()) not in text
    assert str(Path.cwd()) not in text
    assert f'"{getpass.getuser()}"' not in text


def test_the_commit_and_whether_code_differs_from_it(checkout: Path) -> None:
    commit = git(checkout, "rev-parse", "HEAD")
    assert module._checkout() == {"commit": commit, "dirty": False}
    (checkout / "notes.md").write_text("no code")
    (checkout / "studies").mkdir()
    (checkout / "studies/mine.yaml").write_text("name: mine")
    assert module._checkout() == {"commit": commit, "dirty": False}
    (checkout / "workflow/reassess/new.py").write_text("")
    assert module._checkout() == {"commit": commit, "dirty": True}


def test_another_repository_in_the_environment_is_not_asked(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", str(checkout / "elsewhere"))
    assert module._checkout()["dirty"] is False


def test_a_copy_installed_inside_a_checkout_is_not_of_its_commit(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = checkout / ".venv/lib/reassess"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")
    monkeypatch.setattr(module, "__file__", str(installed / "provenance.py"))
    assert module._checkout() == {"commit": None, "dirty": None}


def test_no_checkout_no_git_and_a_git_that_hangs(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = {"commit": None, "dirty": None}
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        assert module._checkout() == nothing
    (tmp_path / "git").write_text("#!/bin/sh\nsleep 60\n")
    (tmp_path / "git").chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        patch.setattr(module, "_PATIENCE_SECONDS", 0.2)
        before = time.monotonic()
        assert module._checkout() == nothing
        assert time.monotonic() - before < 5
    (tmp_path / "plain").mkdir()
    monkeypatch.setattr(module, "__file__", str(tmp_path / "plain/provenance.py"))
    assert module._checkout() == nothing


def test_environments_differ_by_any_package_and_not_by_its_spelling(monkeypatch: pytest.MonkeyPatch) -> None:
    class Installed:
        def __init__(self, name: str, version: str) -> None:
            self.metadata, self.version = {"Name": name}, version

    def digest(*installed: Installed) -> str:
        monkeypatch.setattr(importlib.metadata, "distributions", lambda: installed)
        module._environment.cache_clear()
        return str(module._environment()["environment_sha256"])

    torch, other = Installed("torch", "2.13.0"), Installed("a_b.c", "1")
    assert digest(torch, other) == digest(Installed("A-b-c", "1"), torch)
    assert len({digest(torch), digest(torch, other), digest(torch, Installed("a_b.c", "2"))}) == 3
    assert module._environment()["versions"]["torch"] == "2.13.0"
    assert "trl" not in module._environment()["versions"]


def test_costs_are_those_of_all_attempts_at_one_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    attempted("train", CELL, "finished", seconds=1000.0, gpus="0")
    attempted("train", CELL, "time_limit", seconds=100.0, gpus="0,1", host="node2", job="7")
    attempted("train", CELL, "killed", seconds=None, gpus="0,1", host="node2", job="7")
    attempted("train", CELL, "finished", seconds=20.0, gpus="3", host="node1", job="8")
    assert costs("train", CELL) == {
        "attempts": 3,
        "hosts": ["node1", "node2"],
        "jobs": ["7", "8"],
        "seconds": 120.0,
        "gpu_seconds": 220.0,
        "unmeasured": 1,
    }


def test_an_attempt_that_is_still_running_counts_up_to_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    attempted("generate", f"{CELL}/main", "failed", seconds=60.0)
    attempted("generate", f"{CELL}/main", None, gpus="-1")
    found = costs("generate", f"{CELL}/main")
    assert found["seconds"] == pytest.approx(3660, abs=10)
    assert (found["attempts"], found["gpu_seconds"], found["unmeasured"]) == (2, 0, 0)
    assert costs("generate", "never/tried")["attempts"] == 0


def test_the_hash_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert file_sha256(tmp_path / "a").startswith("ba7816bf")
