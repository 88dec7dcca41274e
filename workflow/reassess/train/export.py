"""Writes a trained model as a plain Hugging Face checkpoint, and makes sure that it is the trained one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reassess.example import Example
from reassess.models import load
from reassess.models.reader import PLAIN, Reader
from reassess.prompts import Prompt
from reassess.study.models import Model
from reassess.train.plan import TrainError
from reassess.work import records

# Of the parent's files, those beside the weights: configs, tokenizer, processor, chat template, code.
_SUFFIXES = {".json", ".jinja", ".txt", ".model", ".py"}
_INDEX = "model.safetensors.index.json"


def export(model: Any, weights: dict[str, Any], parent: Path, spec: Model, directory: Path) -> None:
    """Write `weights` of `model` in the study's precision to `directory`, aside first and then renamed.

    Configs and processor are the parent's own files (see `copy_beside`).
    """
    import torch

    aside = directory.with_name(f".{directory.name}.tmp")
    shutil.rmtree(aside, ignore_errors=True)
    # A copy: of a model with tied embeddings transformers takes the second name out of the dict that it is given.
    model.save_pretrained(aside, state_dict=dict(weights))
    dtype = getattr(torch, spec.dtype)
    if model.dtype != dtype:
        load_exactly(aside, spec, dtype).save_pretrained(aside)
    copy_beside(parent, aside, spec)
    for path in [*aside.iterdir(), aside]:
        records.sync(path)
    shutil.rmtree(directory, ignore_errors=True)
    aside.replace(directory)
    records.sync(directory.parent)


def copy_beside(parent: Path, directory: Path, spec: Model) -> None:
    """Copy what a checkpoint has beside its weights: configs, tokenizer, processor, chat template, code.

    A trainer changes them in memory (it switches off `use_cache`, for one), and every model of a study must read and
    answer alike.
    """
    for file in sorted(parent.iterdir()):
        if file.is_file() and file.suffix in _SUFFIXES and file.name != _INDEX:
            shutil.copyfile(file, directory / file.name)
    config = json.loads((parent / "config.json").read_text(encoding="utf-8"))
    if config.get("dtype") != spec.dtype:
        sections = [config, *(value for value in config.values() if isinstance(value, dict) and "dtype" in value)]
        for section in sections:
            section["dtype"] = spec.dtype
        records.write(directory / "config.json", config)


def load_exactly(directory: Path, spec: Model, dtype: Any) -> Any:
    """Return the model in `directory`, of which every weight was there.

    Raises:
        TrainError: weights are missing, left over, or of another shape.
    """
    # On the CPU, where an attention kernel for GPUs does not run.
    plain = spec.model_copy(update={"attn_implementation": None})
    model, info = load.load_model(directory, plain, dtype=dtype, output_loading_info=True)
    problems = []
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        names = sorted(str(name) for name in info[kind])
        if names:
            problems.append(f"{len(names)} {kind.replace('_', ' ')} (such as {names[0]})")
    if problems:
        raise TrainError(
            f"{directory}: the weights do not fit the model's {len(model.state_dict())} tensors: "
            f"{', '.join(problems)}; remove this directory, and report the model family if it happens again"
        )
    return model


def check(directory: Path, trained: Mapping[str, Any], spec: Model) -> Any:
    """Return an exported model, having loaded it and found every trained weight in it.

    Raises:
        TrainError: it has not.
    """
    import torch

    reloaded = load_exactly(directory, spec, getattr(torch, spec.dtype))
    weights = reloaded.state_dict()
    different = [
        name
        for name, tensor in trained.items()
        if name not in weights or not torch.equal(tensor.detach().cpu().to(weights[name].dtype), weights[name])
    ]
    if different or len(weights) != len(trained):
        first = different[0] if different else sorted(set(weights) - set(trained))[0]
        raise TrainError(
            f"{directory}: {len(different)} of {len(trained)} tensors differ from the trained ones, as {first}"
        )
    return reloaded


def check_answers(model: Any, directory: Path, spec: Model, prompt: Prompt, example: Example = PLAIN) -> None:
    """Make sure that a model answers an example.

    Args:
        model: the model.
        directory: where it lies.
        spec: what the study says of it.
        prompt: the study's prompt.
        example: the example.

    Raises:
        TrainError: it generates nothing.
    """
    import torch

    reader = Reader.of(directory, spec, prompt)
    asked = reader.encode([reader.render(example)], [reader.pictures(example)], return_tensors="pt")
    inputs = load.inputs_for(model, asked)
    with torch.no_grad():
        output = model.generate(**inputs, max_new_tokens=2, do_sample=False)
    if output.shape[1] == inputs["input_ids"].shape[1]:
        raise TrainError(f"{directory}: the model generates no token on example {example.id!r}")
