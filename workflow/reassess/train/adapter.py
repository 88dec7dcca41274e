"""Low-rank adapters through PEFT: which layers have one, what a run keeps of it, and the model that it is merged in."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model_state_dict
from peft.tuners.tuners_utils import check_target_module_exists
from safetensors.torch import load_file

from reassess.models import load, parts
from reassess.spec import near
from reassess.stages.base import Trained
from reassess.study.models import Model
from reassess.train.export import export
from reassess.train.plan import TrainError
from reassess.work import records

WEIGHTS = "adapter_model.safetensors"
# Of layers, where the study names none and no parameters.
_TARGETS = ("target_modules", "target_parameters")


def config(stage: Trained, model: Any) -> LoraConfig | None:
    """Return PEFT's config of a stage for a model, None where its weights themselves are trained.

    Raises:
        TrainError: the options do not fit together, or the model.
        PartError: the model does not have a part that is frozen.
    """
    if stage.lora is None:
        return None
    options = dict(stage.lora)
    _look_up(options, model)
    if not any(options.get(key) for key in _TARGETS):
        try:
            options["target_modules"] = parts.linear_layers(model)
        except parts.PartError as error:
            raise TrainError(f"lora: {error}; give `target_modules`") from None
    if stage.freeze:
        frozen = parts.pattern(model, stage.freeze)
        _refuse_frozen(options, model, frozen)
        options["exclude_modules"] = "|".join([frozen, *_expressions(options.get("exclude_modules"))])
    try:
        found = LoraConfig(**options)
    except (ValueError, TypeError) as error:
        raise TrainError(f"lora: {error}") from None
    _refuse_tied(found, model)
    return found


def _look_up(options: dict[str, Any], model: Any) -> None:
    """Make sure that the model has all that is named: PEFT is content with one of several.

    Raises:
        TrainError: it does not.
    """
    modules, parameters = ([name for name, _ in of()] for of in (model.named_modules, model.named_parameters))
    for key in (*_TARGETS, "exclude_modules", "modules_to_save"):
        there = parameters if key == "target_parameters" else modules
        for name in options[key] if isinstance(options.get(key), list) else ():
            if not any(_is_called(other, name) for other in there):
                hint = near(name, {other.rpartition(".")[2] for other in there})
                raise TrainError(f"lora.{key}: {type(model).__name__} has no {name!r}{hint and '; ' + hint.strip()}")


def _is_called(full: str, name: str) -> bool:
    """Whether a name is that of a module or parameter, or the end of it."""
    return f".{full}".endswith(f".{name}")


def _refuse_frozen(options: dict[str, Any], model: Any, frozen: str) -> None:
    """Refuse to train in place what is frozen. Raises TrainError."""
    for key, of in (("modules_to_save", model.named_modules), ("target_parameters", model.named_parameters)):
        for name, _ in of():
            if any(_is_called(name, given) for given in options.get(key) or ()) and re.fullmatch(frozen, name):
                raise TrainError(f"lora.{key}: {name} is in a part that `freeze` names; leave it out of one of the two")


def _expressions(given: list[str] | str | None) -> list[str]:
    """Return regular expressions of modules that PEFT would find by their names, or the ends of these."""
    if isinstance(given, str):
        return [given]
    return [rf"(?:.*\.)?{re.escape(name)}" for name in given or ()]


def _refuse_tied(found: LoraConfig, model: Any) -> None:
    """Refuse to train one of two modules that have the same weights: merged, they would differ, or both change."""
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    if head is None or head.weight is not embedding.weight:
        return
    for name, module in model.named_modules():
        if module is not head and module is not embedding:
            continue
        saved = any(_is_called(name, other) for other in found.modules_to_save or ())
        is_named = found.target_modules is not None and found.target_modules != "all-linear"
        if saved or (is_named and check_target_module_exists(found, name)):
            key = "modules_to_save" if saved else "target_modules"
            raise TrainError(
                f"lora.{key}: {name} has its weights together with another layer (tie_word_embeddings), so it cannot "
                "be trained apart; leave it out"
            )


def check_loaded(model: Any, directory: Path) -> None:
    """Make sure that the adapter in a directory is the model's, each of its weights; PEFT leaves out what has no place.

    Raises:
        TrainError: it is not.
    """
    # PEFT loads in float32 what a sharded run on GPUs has saved in bfloat16.
    saved = load_file(directory / WEIGHTS)
    loaded = get_peft_model_state_dict(model, save_embedding_layers=False)
    odd = saved.keys() ^ loaded.keys()
    odd |= {name for name in saved.keys() - odd if not torch.equal(saved[name].float(), loaded[name].float().cpu())}
    if odd:
        raise TrainError(
            f"{directory / WEIGHTS}: {len(odd)} of {len(saved)} tensors are not those of the model's adapter, as "
            f"{min(odd)}; remove this directory, and report the model family if it happens again"
        )


def read(parent: Path, directory: Path, spec: Model) -> Any:
    """Return a parent in float32 on the CPU with the adapter that lies in a directory, trainable.

    Raises:
        TrainError: the adapter does not fit the parent.
    """
    # Its layers are filled with random numbers first, which are not to be missing in training.
    with torch.random.fork_rng(devices=[]):
        model = load.load_model(parent, spec.model_copy(update={"dtype": "float32"}))
        model = PeftModel.from_pretrained(model, directory, is_trainable=True)
    check_loaded(model, directory)
    return model


def export_merged(
    model: Any, weights: dict[str, Any], parent: Path, spec: Model, directory: Path, adapter: Path
) -> dict[str, Any]:
    """Write the adapter, and the model that it makes of the parent; return the latter's weights in float32.

    The file is what is merged, so whoever loads the adapter onto the parent has the exported model.

    Args:
        model: the model with its adapter.
        weights: its state, of all of it or of what is trained.
        parent: the checkpoint that it started from.
        spec: what the study says of it.
        directory: where the merged model is written, in the study's precision.
        adapter: where the adapter is written.

    Raises:
        TrainError: the adapter that was written does not fit the parent.
    """
    model.save_pretrained(adapter, state_dict=weights, save_embedding_layers=False)
    # PEFT's form for what people write of an adapter.
    (adapter / "README.md").unlink(missing_ok=True)
    for path in [*adapter.iterdir(), adapter]:
        records.sync(path)
    merged = read(parent, adapter, spec).merge_and_unload()
    found: dict[str, Any] = merged.state_dict()
    export(merged, found, parent, spec, directory)
    return found
