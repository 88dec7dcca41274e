"""Whether checkpoints can be merged: their files and tensors are compared, and odd layouts written in the usual one."""

from __future__ import annotations

import gc
import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reassess.models import load
from reassess.study.models import Model

if TYPE_CHECKING:
    import torch

INDEX = "model.safetensors.index.json"
# Keys of configs that say nothing of the architecture or of how an image is prepared.
_NEUTRAL = {
    *("dtype", "torch_dtype", "transformers_version", "use_cache", "processor_class"),
    *("image_processor_type", "feature_extractor_type", "video_processor_type"),
}


class MergeError(ValueError):
    """Checkpoints that cannot be merged: the message names them, what differs, and what to do."""


@dataclass(frozen=True)
class Stored:
    """The tensors of a checkpoint on the disk.

    Attributes:
        directory: the checkpoint as messages name it; that of the user, where this is one written again.
        shapes: of every tensor.
        files: the safetensors file of every tensor.
    """

    directory: Path
    shapes: dict[str, tuple[int, ...]]
    files: dict[str, Path]

    @classmethod
    def of(cls, directory: Path, told: Path | None = None) -> Stored:
        """Read which tensors there are, from the files that transformers would read.

        Raises:
            MergeError: there are no safetensors, or one that the index names is not there.
        """
        from safetensors import SafetensorError, safe_open

        single = directory / "model.safetensors"
        names = (
            [single.name] if single.exists() else sorted(set(_json(directory / INDEX).get("weight_map", {}).values()))
        )
        if not names:
            raise MergeError(f"{directory}: no model.safetensors and no {INDEX}; a merge reads no other format")
        shapes, files = {}, {}
        for file in (directory / name for name in names):
            try:
                with safe_open(file, framework="pt") as handle:
                    for name in handle.keys():  # noqa: SIM118 (it is no mapping)
                        shapes[name], files[name] = tuple(handle.get_slice(name).get_shape()), file
            except (OSError, SafetensorError) as error:
                raise MergeError(f"{file}: cannot be read ({error}); make this checkpoint again") from None
        return cls(told or directory, shapes, files)

    def read(self, name: str) -> torch.Tensor:
        """Return a tensor as it is stored; it is mapped, and takes no memory once it is dropped."""
        from safetensors import safe_open

        with safe_open(self.files[name], framework="pt") as handle:
            tensor: torch.Tensor = handle.get_tensor(name)
        return tensor

    @property
    def has_tied_head(self) -> bool:
        """Whether an output layer is stored that its config ties to the embedding."""
        sections = [config := _json(self.directory / "config.json"), *config.values()]
        tied = any(isinstance(one, dict) and one.get("tie_word_embeddings") for one in sections)
        return tied and any(name.endswith("lm_head.weight") for name in self.shapes)


def compare_files(parents: Sequence[Path]) -> None:
    """Make sure that checkpoints are of one architecture, tokenizer, chat template and preprocessor.

    Raises:
        MergeError: two differ; names both, what differs, and what to do.
    """
    aspects: list[tuple[str, Callable[[Path, Path], str | None], str]] = [
        ("architectures", _architecture, "merge models of one family and size"),
        ("tokenizers", _tokenizer, "merge models that read and write the same tokens"),
        ("chat templates", _template, "merge models that are asked in the same form"),
        ("preprocessors", _preprocessor, "merge models that see images alike"),
    ]
    for what, differs, todo in aspects:
        for other in parents[1:]:
            if difference := differs(parents[0], other):
                raise MergeError(f"{parents[0]} and {other}: their {what} differ ({difference}); {todo}")


def compare_tensors(stored: Sequence[Stored]) -> None:
    """Make sure that the tensors of checkpoints have the same names and shapes; no weight is read.

    Raises:
        MergeError: two differ; names both, what differs, and what to do.
    """
    first = stored[0]
    for other in stored[1:]:
        if odd := sorted(first.shapes.keys() ^ other.shapes.keys()):
            where = first.directory if odd[0] in first.shapes else other.directory
            raise MergeError(
                f"{first.directory} and {other.directory}: their tensors differ in {len(odd)} names "
                f"({odd[0]} is in {where} alone); load and save both with the same version of transformers"
            )
        for name, shape in first.shapes.items():
            if shape != other.shapes[name]:
                raise MergeError(
                    f"{first.directory} and {other.directory}: the shapes of {name} differ ({list(shape)} and "
                    f"{list(other.shapes[name])}); merge models of one size and vocabulary"
                )


def rewrite(stored: Sequence[Stored], model: Model, scratch: Path) -> list[Stored]:
    """Return the checkpoints with names of tensors alike, as far as transformers can make them so.

    Those whose names are not the first one's, and those with a tied head (two copies would not stay equal), are loaded
    and saved into `scratch`, in the study's precision; if names differ still, so are the others.

    Raises:
        MergeError: one cannot be loaded, or lacks weights.
    """
    shutil.rmtree(scratch, ignore_errors=True)
    names = stored[0].shapes.keys()
    result = list(stored)
    odd = [i for i, one in enumerate(stored) if one.shapes.keys() != names or one.has_tied_head]
    for i in odd:
        result[i] = _again(stored[i], model, scratch / str(i))
    if any(one.shapes.keys() != result[0].shapes.keys() for one in result):
        for i in set(range(len(stored))).difference(odd):
            result[i] = _again(stored[i], model, scratch / str(i))
    return result


def _again(one: Stored, model: Model, scratch: Path) -> Stored:
    """Write a checkpoint as the study loads it (`reassess.models.load`)."""
    import torch

    print(f"{one.directory}: written once more, for names of tensors that are not those of the others", flush=True)
    todo = "make this checkpoint again, or load and save it with the installed transformers"
    try:
        loaded, info = load.load_model(one.directory, model, output_loading_info=True)
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise MergeError(
            f"{one.directory}: cannot be loaded to be written with other names ({error}); {todo}"
        ) from None
    if lacking := sorted(str(name) for name in info["missing_keys"]):
        raise MergeError(f"{one.directory}: lacks {len(lacking)} of the model's weights, such as {lacking[0]}; {todo}")
    # A loaded model would be saved with the names that it was loaded with. One without a past gives the family's.
    with torch.device("meta"):
        blank = load.auto_class(one.directory, model).from_config(
            loaded.config, trust_remote_code=model.trust_remote_code
        )
    blank.save_pretrained(scratch, state_dict=dict(loaded.state_dict()))
    del loaded
    gc.collect()
    return Stored.of(scratch, told=one.directory)


def _architecture(first: Path, other: Path) -> str | None:
    configs = [_plain(_json(directory / "config.json")) for directory in (first, other)]
    if configs[0] == configs[1]:
        return None if configs[0] else "neither has a config.json"
    # The same may be written in an older form: let transformers read both.
    from transformers import AutoConfig

    with suppress(OSError, ValueError, KeyError):
        configs = [_plain(AutoConfig.from_pretrained(one, trust_remote_code=False).to_dict()) for one in (first, other)]
    return _difference("config.json", *configs)


def _tokenizer(first: Path, other: Path) -> str | None:
    for name in ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "merges.txt"):
        files = [directory / name for directory in (first, other)]
        there = [file for file in files if file.exists()]
        if len(there) == 1:
            return f"{name} is in {there[0].parent} alone"
        if there and files[0].read_bytes() != files[1].read_bytes():
            return _difference(name, *map(_tokens, files)) if name == "tokenizer.json" else name
        if there and name == "tokenizer.json":
            return None  # Older files beside it are not read.
    return None


def _tokens(file: Path) -> dict[str, Any]:
    """Return a tokenizer in today's form, without how batches were last padded and cut, which is saved with it."""
    from tokenizers import Tokenizer

    try:
        found: dict[str, Any] = json.loads(Tokenizer.from_file(str(file)).to_str())
    except Exception as error:  # It raises nothing more special.
        raise MergeError(f"{file}: cannot be read ({error}); make this checkpoint again") from None
    return {key: item for key, item in found.items() if key not in ("padding", "truncation")}


def _template(first: Path, other: Path) -> str | None:
    templates = []
    for directory in (first, other):
        file = directory / "chat_template.jinja"
        found = file.read_text(encoding="utf-8") if file.exists() else None
        for name in ("chat_template.json", "processor_config.json", "tokenizer_config.json"):
            found = found or _json(directory / name).get("chat_template")
        templates.append(found)
    if templates[0] == templates[1]:
        return None
    if None in templates:
        return f"{(other if templates[0] else first)} has none"
    return "both have one, with other words"


def _preprocessor(first: Path, other: Path) -> str | None:
    found = []
    for directory in (first, other):
        nested = _json(directory / "processor_config.json")
        image = _json(directory / "preprocessor_config.json") or nested.get("image_processor", {})
        rest = {key: item for key, item in nested.items() if key not in ("image_processor", "chat_template")}
        found.append(_plain({**rest, "image_processor": image}))
    return _difference("processor", *found)


def _json(file: Path) -> dict[str, Any]:
    """Return the object in a JSON file, empty where there is no file."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise MergeError(f"{file}: cannot be read ({error}); make this checkpoint again") from None
    if not isinstance(found, dict):
        raise MergeError(f"{file}: holds no object; make this checkpoint again")
    return found


def _plain(config: Any) -> Any:
    """Return a config without what says nothing here, in all of its sections."""
    if not isinstance(config, dict):
        return config
    return {key: _plain(value) for key, value in config.items() if key not in _NEUTRAL and not str(key).startswith("_")}


def _difference(where: str, one: Any, other: Any) -> str | None:
    """Return the first place at which two readings of JSON differ, with what stands there; None for equal ones."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            if found := _difference(f"{where}, {key}", one.get(key), other.get(key)):
                return found
        return None
    return None if one == other else f"{where} is {str(one)[:60]!r} and {str(other)[:60]!r}"
