"""Makes the base model of a study: a toy built here, a copy of a local checkpoint, or a pinned hub snapshot."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import time
from pathlib import Path
from typing import Any

from reassess import identity, paths
from reassess.data.build import write_json
from reassess.models.load import fingerprint
from reassess.study import Study

# A checkpoint in another format (pickle) could run code when it is loaded.
HUB_FILES = ["*.json", "*.safetensors", "*.jinja", "*.txt", "*.model", "*.py"]


class ModelError(ValueError):
    """A base model that cannot be used: the message says which and what was expected."""


def build_base(study: Study, name: str) -> None:
    """Make `results/models/{name}/model` and, last, its `manifest.json`. Raises ModelError."""
    start, cpu = time.monotonic(), time.process_time()
    spec = study.models[name]
    root = Path(paths.model(name))
    shutil.rmtree(root / "model", ignore_errors=True)
    details: dict[str, Any] = {}
    if spec.toy is not None:
        from reassess.models import toy

        details = toy.build(spec.toy, study.prompt, root / "model")
    elif spec.path is not None and Path(spec.path).is_dir():
        shutil.copytree(spec.path, root / "model", ignore=shutil.ignore_patterns("*.bin", "*.pt", "*.pth", "*.pkl"))
    elif spec.path is not None:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

        patterns = HUB_FILES if spec.trust_remote_code else [item for item in HUB_FILES if item != "*.py"]
        try:
            snapshot_download(spec.path, revision=spec.revision, allow_patterns=patterns, local_dir=root / "model")
        except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
            raise ModelError(f"models.{name}.path: {spec.path} at {spec.revision} cannot be fetched: {error}") from None
    try:
        print_ = fingerprint(root / "model")
    except FileNotFoundError as error:
        raise ModelError(f"models.{name}.path: {error}") from None
    versions = {package: importlib.metadata.version(package) for package in ("torch", "transformers")}
    record = {
        "model": name,
        "spec": json.loads(identity.model_spec(study, name)),
        "fingerprint": print_,
        **details,
        "versions": versions,
        "seconds": round(time.monotonic() - start, 2),
        "cpu_seconds": round(time.process_time() - cpu, 2),
    }
    write_json(root / "manifest.json", record)
