"""Makes the base model of a study: a toy built here, a copy of a local checkpoint, or a pinned hub snapshot."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

from reassess.graph import Graph, Job
from reassess.models.amend import AmendError, amend
from reassess.models.load import fingerprint
from reassess.models.pretraining import Pretraining
from reassess.study.models import Model
from reassess.work import records, turns
from reassess.work.provenance import provenance
from reassess.work.turns import Turn

# A checkpoint in another format (pickle) could run code when it is loaded.
HUB_FILES = ["*.json", "*.safetensors", "*.jinja", "*.txt", "*.model", "*.py"]


class ModelError(ValueError):
    """A base model that cannot be used: the message says which and what was expected."""


def build_base(graph: Graph, job: Job, turn: Turn | None = None) -> None:
    """Make `results/models/{name}/model` and, last, its `manifest.json`.

    Args:
        graph: the study.
        job: the making of one of its models.
        turn: the turn at it, where the caller has taken one; it may ask to stop.

    Raises:
        ModelError: the model cannot be used.
        Interrupted: pretraining was asked to stop, and has saved where it was.
    """
    start, cpu = time.monotonic(), time.process_time()
    name = job.key
    spec = graph.study.models[name]
    root = Path(job.record).parent
    digest = records.digest(job.spec)
    if _is_finished(job, spec.files):
        print(f"{name}: made before, of the same files and options; nothing to do")
        if turn is not None:
            turn.is_reuse = True
        return
    (root / turns.FINISHED).unlink(missing_ok=True)
    shutil.rmtree(root / "model", ignore_errors=True)
    details: dict[str, Any] = {}
    if spec.toy is not None:
        from reassess.models import toy

        details = toy.build(spec.toy, graph.study.prompt, root / "model", Pretraining(root, digest, turn))
    elif spec.path is not None and Path(spec.path).is_dir():
        shutil.copytree(spec.path, root / "model", ignore=shutil.ignore_patterns("*.bin", "*.pt", "*.pth", "*.pkl"))
    elif spec.path is not None:
        _fetch(spec, name, root, digest)
    try:
        amend(root / "model", spec)
    except AmendError as error:
        raise ModelError(f"models.{name}.{error}") from None
    try:
        print_ = fingerprint(root / "model")
    except FileNotFoundError as error:
        raise ModelError(f"models.{name}.path: {error}") from None
    record = {
        "model": name,
        "spec": json.loads(job.spec),
        "fingerprint": print_,
        **details,
        "provenance": provenance(),
        "seconds": round(time.monotonic() - start, 2),
        "cpu_seconds": round(time.process_time() - cpu, 2),
    }
    records.write(root / turns.FINISHED, {"time": time.time(), "record": record})
    records.write(job.record, record)
    for file in root.glob("pretraining-*.pt"):
        file.unlink()


def _fetch(spec: Model, name: str, root: Path, digest: str) -> None:
    """Download a hub model. The files that a killed download has fetched as a whole stay."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    patterns = HUB_FILES if spec.trust_remote_code else [item for item in HUB_FILES if item != "*.py"]
    folder = root / f"fetched-{digest}"
    for other in root.glob("fetched-*"):
        if other != folder:
            shutil.rmtree(other)
    # The client never takes up the half of a file that a kill has left.
    for half in folder.rglob("*.incomplete"):
        half.unlink()
    try:
        snapshot_download(str(spec.path), revision=spec.revision, allow_patterns=patterns, local_dir=folder)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ModelError(f"models.{name}.path: {spec.path} at {spec.revision} cannot be fetched: {error}") from None
    # The client's own notes on what it has fetched.
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    folder.replace(root / "model")


def _is_finished(job: Job, files: list[str]) -> bool:
    """Publish what another job has made of the same files; return whether there was such."""
    root = Path(job.record).parent
    found = turns.read_finished(root, job.rule, job.record)
    if found is None or found["record"]["spec"] != json.loads(job.spec) or not (root / "model").exists():
        return False
    if any(Path(file).stat().st_mtime > found["time"] for file in files):
        return False
    if fingerprint(root / "model") != found["record"]["fingerprint"]:
        return False
    records.write(job.record, found["record"])
    return True
