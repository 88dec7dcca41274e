"""Whether the files of a checkpoint are whole: what lies there, what its JSON says, and every weight a number."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from reassess.work.progress import Progress

if TYPE_CHECKING:
    import torch

CONFIG = "config.json"
SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
# The first line of what Git LFS leaves in place of a file (git-lfs, docs/spec.md).
_POINTER = b"version https://git-lfs.github.com/spec/"
# What transformers reads of a checkpoint; a picture for its page may be anything.
_READ = {".json", ".safetensors", ".jinja", ".txt", ".model", ".py"}
_JSON = (
    *("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
    *("added_tokens.json", "vocab.json", "preprocessor_config.json", "processor_config.json"),
    *("video_preprocessor_config.json", "chat_template.json"),
)
_PICKLED = ("pytorch_model*.bin", "model*.bin", "*.pt", "*.pth", "*.ckpt")
# Numbers that are looked at together; so many more are in memory, not a whole embedding.
_PIECE = 1 << 24


class ModelError(ValueError):
    """A base model that cannot be used: the message says which file, what was expected, and what to do."""


class Files(NamedTuple):
    """A checkpoint on the disk.

    Attributes:
        directory: where it lies.
        told: what a person calls it: the path of the study, or the hub's name of it.
    """

    directory: Path
    told: str

    def name(self, file: str) -> str:
        """Return what a person calls a file of it."""
        return f"{self.told}/{file}"


def check(files: Files, origin: Path | None) -> None:
    """Make sure that a checkpoint is a whole model in a form that is loaded here; no weight is read.

    Args:
        files: the checkpoint.
        origin: the directory that it was copied from, without files of other formats; None where there is none.

    Raises:
        ModelError: a file is missing, cut off, or stands for another one.
    """
    for file in sorted(file for file in files.directory.iterdir() if file.is_file() and file.suffix in _READ):
        with file.open("rb") as handle:
            if handle.read(len(_POINTER)) == _POINTER:
                raise ModelError(
                    f"{files.name(file.name)}: a Git LFS pointer in place of the file; run `git lfs pull` in its "
                    "repository, or fetch the file from the hub"
                )
    _check_adapter(files)
    for name in _JSON:
        read(files, name)
    config = read(files, CONFIG)
    if config is None:
        raise ModelError(
            f"{files.name(CONFIG)}: is not there; `path` is the directory of a model as `save_pretrained` writes it"
        )
    for name in _JSON:
        for place in ((read(files, name) or {}).get("auto_map") or {}).values():
            if any("--" in str(code) for code in (place if isinstance(place, list) else [place])):
                raise ModelError(
                    f"{files.name(name)}: its code lies in another repository ({place}), at no fixed commit; copy that "
                    "code beside the weights, and take the repository out of `auto_map`"
                )
    if "quantization_config" in config:
        raise ModelError(
            f"{files.name(CONFIG)}: the weights are quantised (`quantization_config`), and such weights are not "
            "trained; take the checkpoint that they were made from"
        )
    for shard in shards(files, origin):
        _header(files, shard)


def read(files: Files, name: str) -> dict[str, Any] | None:
    """Return the object in a JSON file, None where there is none. Raises ModelError where it is broken."""
    try:
        found = json.loads((files.directory / name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise ModelError(
            f"{files.name(name)}: no valid JSON ({error}); is it cut off? Fetch or copy it again"
        ) from None
    # Lists belong to tokenizers of old; what is read here are objects.
    return found if isinstance(found, dict) else {}


def shards(files: Files, origin: Path | None = None) -> list[str]:
    """Return the weight files that transformers reads. Raises ModelError where there is none, or one is missing."""
    if (files.directory / SINGLE).exists():
        return [SINGLE]
    index = read(files, INDEX)
    if index is None:
        _raise_no_weights(files, origin)
    weight_map = (index or {}).get("weight_map")
    names = sorted(set(weight_map.values())) if isinstance(weight_map, dict) else []
    if not names:
        raise ModelError(f"{files.name(INDEX)}: names no weights (`weight_map`); fetch or copy it again")
    for name in names:
        if Path(str(name)).name != name or not (files.directory / name).is_file():
            raise ModelError(f"{files.name(INDEX)}: names {name}, which is not there; fetch or copy that file")
    return names


def dtypes(files: Files) -> dict[str, int]:
    """Return how many numbers are stored in each precision, such as `{"BF16": 3754622976}`."""
    found: Counter[str] = Counter()
    for shard in shards(files):
        for _, dtype, shape in _header(files, shard):
            found[dtype] += math.prod(shape)
    return dict(found)


def check_finite(files: Files) -> None:
    """Make sure that every stored weight is a finite number, a piece at a time.

    Raises:
        ModelError: one is not; names tensor and file.
    """
    from safetensors import safe_open

    names = shards(files)
    size = sum((files.directory / name).stat().st_size for name in names)
    progress = Progress(f"{files.told}: looking at every weight", math.ceil(size / 1e6), "MB")
    seen = 0
    for shard in names:
        with safe_open(files.directory / shard, framework="pt") as handle:
            for name in handle.keys():  # noqa: SIM118 (it is no mapping)
                for piece in _pieces(handle, name):
                    if (odd := _odd(piece)) is not None:
                        raise ModelError(
                            f"{files.name(shard)}: {name} holds {odd}; nothing can be trained from that: take an "
                            "earlier checkpoint, or fetch the file again"
                        )
                    before, seen = seen, seen + piece.numel() * piece.element_size()
                    progress.update(seen // 10**6 - before // 10**6)
    progress.close()


def _check_adapter(files: Files) -> None:
    """Refuse an adapter: transformers would apply one that lies beside weights, and vLLM would not."""
    found = [name for name in ("adapter_config.json", "adapter_model.safetensors") if (files.directory / name).exists()]
    if not found:
        return
    merge = "merge it into its base with PEFT (`model.merge_and_unload().save_pretrained(...)`)"
    if not (files.directory / CONFIG).exists():
        base = (read(files, "adapter_config.json") or {}).get("base_model_name_or_path")
        raise ModelError(
            f"{files.name(found[0])}: an adapter alone, without the model that it was trained on"
            f"{f' ({base})' if base else ''}; {merge}, and give that directory"
        )
    raise ModelError(
        f"{files.name(found[0])}: an adapter beside the weights, which some engines apply and others do not; {merge} "
        f"and give that directory, or remove {' and '.join(found)} for the model without it"
    )


def _raise_no_weights(files: Files, origin: Path | None) -> None:
    pickled = sorted({file.name for pattern in _PICKLED for file in (origin or files.directory).glob(pattern)})
    if pickled:
        raise ModelError(
            f"{files.name(pickled[0])}: a pickle, which may run code when it is loaded; load the model once where you "
            "trust it and write it with `save_pretrained`, as *.safetensors"
        )
    other = sorted(file.name for file in files.directory.glob("*.safetensors"))
    beside = f" (only {other[0]}, which transformers does not read)" if other else ""
    raise ModelError(
        f"{files.told}: no *.safetensors: neither {SINGLE} nor {INDEX} is there{beside}; give a directory as "
        "`save_pretrained` writes it, or a repository and revision with safetensors"
    )


def _header(files: Files, shard: str) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """Return name, precision and shape of the tensors of a file. Raises ModelError where it is not all there."""
    from safetensors import SafetensorError, safe_open

    found = []
    try:
        with safe_open(files.directory / shard, framework="pt") as handle:
            for name in handle.keys():  # noqa: SIM118 (it is no mapping)
                tensor = handle.get_slice(name)
                found.append((name, str(tensor.get_dtype()), tuple(tensor.get_shape())))
    except SafetensorError as error:
        size = (files.directory / shard).stat().st_size
        raise ModelError(
            f"{files.name(shard)}: no whole safetensors file ({error}); it has {size:,} bytes: compare with where it "
            "came from, and fetch or copy it again"
        ) from None
    return iter(found)


def _pieces(handle: Any, name: str) -> Iterator[torch.Tensor]:
    """Yield a tensor of floating point numbers in pieces along its first axis; nothing of others."""
    tensor = handle.get_slice(name)
    shape = tensor.get_shape()
    if not str(tensor.get_dtype()).startswith(("F", "BF")):
        return
    if not shape:
        yield handle.get_tensor(name)
        return
    rows = max(1, _PIECE // max(1, math.prod(shape[1:])))
    for first in range(0, shape[0], rows):
        yield tensor[first : first + rows]


def _odd(piece: torch.Tensor) -> str | None:
    """Return what a tensor has that is no finite number. One pass, without a copy: both pass on what is odd."""
    import torch

    if not piece.numel():
        return None
    if piece.element_size() == 1:
        piece = piece.float()
    least, most = torch.aminmax(piece)
    if torch.isnan(least):
        return "NaN"
    return None if torch.isfinite(least) and torch.isfinite(most) else "infinity"
