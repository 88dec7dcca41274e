"""Makes the base model of a study: a toy built here, a copy of a local checkpoint, or a pinned hub snapshot.

It is made aside, checked (`reassess.models.sound`) and only then shown, so that a bad path never costs a good model.
Like a run, each lies whole in `checkpoints/{identity}/`, and `model` is a link to the one that is asked for.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

from reassess.graph import Graph, Job
from reassess.models import files, hub, published, sound
from reassess.models.amend import AmendError, amend
from reassess.models.files import Files, ModelError
from reassess.models.load import fingerprint
from reassess.models.pretraining import Pretraining
from reassess.study.models import Model
from reassess.work import records, turns
from reassess.work.progress import Progress
from reassess.work.provenance import Stopwatch, provenance
from reassess.work.turns import Turn

__all__ = ["ModelError", "build_base"]

# Where a model is made, beside the finished ones.
ASIDE = ".model.tmp"
# Weights in formats that are not loaded: pickles, which could run code, and those of other frameworks.
NOT_LOADED = {".bin", ".pt", ".pth", ".pkl", ".ckpt", ".h5", ".msgpack", ".onnx", ".gguf"}


def build_base(graph: Graph, job: Job, turn: Turn | None = None) -> None:
    """Make and check `results/models/{name}/model` and, last, its `manifest.json`.

    Args:
        graph: the study.
        job: the making of one of its models.
        turn: the turn at it, where the caller has taken one; it may ask to stop.

    Raises:
        ModelError: the model cannot be used; the one that was there is as it was.
        Interrupted: pretraining was asked to stop, and has saved where it was.
    """
    name, root = job.key, Path(job.record).parent
    if _take_back(job, graph.study.speakers[name].files):
        print(f"{name}: made before, of the same files and options; nothing to do")
        if turn is not None:
            turn.is_reuse = True
        _clean(root)
        return
    root.mkdir(parents=True, exist_ok=True)
    try:
        _build(graph, job, turn)
    except ModelError as error:
        raise ModelError(f"models.{name}.{'toy' if graph.study.speakers[name].toy else 'path'}: {error}") from None
    except AmendError as error:
        raise ModelError(f"models.{name}.{error}") from None
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ModelError(f"models.{name}: the disk of {root} is full ({error}); free some space and start again") from (
            error
        )
    finally:
        published.remove(root / ASIDE)


def _build(graph: Graph, job: Job, turn: Turn | None) -> None:
    watch = Stopwatch()
    root = Path(job.record).parent
    aside = root / ASIDE
    # A killed attempt leaves its own.
    published.remove(aside)
    made = _write(graph, job, aside, turn)
    model = graph.study.speakers[job.key]
    lies = Files(aside, _told(model))
    files.check(lies, Path(model.path) if model.path else None)
    sound.check_loads(lies, graph, job.key)
    amend(aside, model)
    found = sound.check(lies, graph, job.key)
    print_ = fingerprint(aside)
    identity = _identity(job, aside, print_)
    record = {
        "model": job.key,
        "spec": json.loads(job.spec),
        "identity": identity,
        "fingerprint": print_,
        **made,
        **found,
        "provenance": provenance(),
        **watch.spent(),
    }
    _put(aside, root / published.CHECKPOINTS / identity, record)
    published.publish(root / published.CHECKPOINTS / identity, job.record, record)
    _clean(root)
    how = "checked and asked a question" if found["answered"] else "checked"
    print(
        f"{job.key}: {found['class']} of {found['parameters']:,} weights, {how} in {record['seconds']:.0f} s",
        flush=True,
    )


def _clean(root: Path) -> None:
    """Remove what attempts have left that were killed."""
    for other in published.unfinished(root / published.CHECKPOINTS):
        shutil.rmtree(other)
    for file in root.glob("pretraining-*.pt"):
        file.unlink()
    hub.forget(root)
    published.remove(root / ASIDE)


def _write(graph: Graph, job: Job, aside: Path, turn: Turn | None) -> dict[str, Any]:
    """Write a model as it comes; return what its record says of how it was made."""
    spec = graph.study.speakers[job.key]
    if spec.toy is not None:
        from reassess.models import toy

        state = Pretraining(aside.parent, records.digest(job.spec), turn)
        return toy.build(spec.toy, graph.study.prompt, aside, state)
    assert spec.path is not None
    if Path(spec.path).is_dir():
        _copy(Path(spec.path), aside)
    else:
        hub.fetch(spec, aside)
    return {}


def _told(model: Model) -> str:
    """Return what messages call a model."""
    if model.toy is not None:
        return f"toy-{model.toy.size}"
    return str(model.path) if model.revision is None else f"{model.path}@{model.revision[:8]}"


def _copy(source: Path, directory: Path) -> None:
    """Copy a checkpoint's files; what lies in directories below (a trainer's checkpoints, for one) is no part of it.

    Raises:
        ModelError: a file cannot be read.
    """
    directory.mkdir()
    taken = [file for file in sorted(source.iterdir()) if not file.is_dir() and file.suffix not in NOT_LOADED]
    sizes = [file.stat().st_size // 10**6 if file.exists() else 0 for file in taken]
    progress = Progress(f"{source}: copying", sum(sizes), "MB")
    for file, size in zip(taken, sizes, strict=True):
        try:
            shutil.copyfile(file, directory / file.name)
            progress.update(size)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise ModelError(f"{file}: cannot be read ({error.strerror}); give the files, or links to files") from None
    progress.close()


def _identity(job: Job, directory: Path, print_: str) -> str:
    """Name the directory of a model: over its spec and every byte of it, so that two states of a path are two."""
    small = [file for file in sorted(directory.iterdir()) if file.suffix != ".safetensors"]
    files = {file.name: records.file_sha256(file) for file in small}
    return records.digest(records.canonical({"spec": json.loads(job.spec), "fingerprint": print_, "files": files}))


def _put(aside: Path, made: Path, record: dict[str, Any]) -> None:
    """Put a checked model in place, and note that it is finished.

    One that was made again and came out the same stays where it is: it may be shown, or read, at this moment.
    """
    made.mkdir(parents=True, exist_ok=True)
    target = made / published.MODEL
    if _is(target, record["fingerprint"]):
        published.remove(aside)
    else:
        for path in [*aside.iterdir(), aside]:
            records.sync(path)
        published.put(aside, target)
        records.sync(made.parent)
    published.finish(made, record)


def _is(model: Path, expected: str) -> bool:
    """Whether a directory holds the model of a fingerprint."""
    try:
        return fingerprint(model) == expected
    except (FileNotFoundError, NotADirectoryError):
        return False


def _take_back(job: Job, files: list[str]) -> bool:
    """Show what was made before of the same files and options; return whether there was such.

    Another job may have made it meanwhile, or an option was changed back.
    """
    folder = Path(job.record).parent / published.CHECKPOINTS
    newest = max((os.stat(file).st_mtime for file in files), default=0.0)  # noqa: PTH116
    found: list[tuple[float, Path, dict[str, Any]]] = []
    for root in folder.iterdir() if folder.is_dir() else ():
        note = turns.read_finished(root, job.rule, job.record, is_set_aside=not published.is_shown(root, job.record))
        run = note.get("run") if note is not None else None
        if note is None or not isinstance(run, dict) or run.get("spec") != json.loads(job.spec):
            continue
        if note["time"] >= newest and _is(root / published.MODEL, run.get("fingerprint", "")):
            found.append((note["time"], root, run))
    if not found:
        return False
    _, root, run = max(found, key=lambda item: item[0])
    published.take_back(root, job.record, run)
    return True
