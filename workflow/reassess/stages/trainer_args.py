"""Checks `args:` of a stage against the installed TRL config class, without importing it.

Importing TRL takes seconds and a Snakefile is parsed once per job, so the fields are read from the source of the
dataclasses. The real class is constructed, and checks once more, when the job starts.
"""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from reassess.spec import near

_BASES = (("transformers/training_args.py", "TrainingArguments"), ("trl/trainer/base_config.py", "_BaseConfig"))


class ConfigClass(NamedTuple):
    """A config class of TRL.

    Attributes:
        file: its file under site-packages.
        name: its name.
    """

    file: str
    name: str


_BY_THE_STUDY = "the study sets it"
# Options that a study may not set under `args`, and what to do instead.
REFUSED = {
    "output_dir": _BY_THE_STUDY,
    "run_name": _BY_THE_STUDY,
    "seed": "training seeds are the axis `seeds`",
    "data_seed": "training seeds are the axis `seeds`",
    "gradient_accumulation_steps": "it follows from `batch_size` and `per_device_train_batch_size`",
    "auto_find_batch_size": "it would change the batch between cells; set `per_device_train_batch_size`",
    "generation_batch_size": "it follows from `batch_size` and `steps_per_generation`",
    "resume_from_checkpoint": "a stopped run always continues from its own checkpoint",
    "save_strategy": "checkpoints are saved by steps; set `save_steps`",
    "average_tokens_across_devices": "it would make the loss depend on how a batch is split over devices",
    "deepspeed": "how processes share a model is `models.<name>.distributed`",
    "fsdp": "how processes share a model is `models.<name>.distributed`",
    "fsdp_config": "how processes share a model is `models.<name>.distributed`",
    "accelerator_config": "how batches are split over processes is fixed, so that every row is seen once",
    "parallelism_config": "how processes share a model is `models.<name>.distributed`",
    "save_only_model": "a checkpoint without optimizer state can't be resumed",
    "load_best_model_at_end": "the last step is the result; use `trajectory` to look at earlier ones",
    "ignore_data_skip": "a resumed run would see other data than an unbroken one",
    "dataloader_drop_last": "every row of the subset is used",
    "remove_unused_columns": "the reward functions need the columns",
    "model_init_kwargs": "set dtype, attn_implementation and trust_remote_code under `models`",
    "trust_remote_code": "set it under `models`",
    "reward_weights": "use the stage's `rewards`",
    "push_to_hub": "training never uploads",
    "hub_token": "secrets do not belong in a study",
    "use_cpu": "the device is chosen by `models.<name>.resources.<stage>.gpu`",
    # Every sequence is kept whole: TRL cuts at max_length without a word, and where the whole completion is cut
    # it trains on nothing, with loss 0. Rows too long for a model are put aside by `max_prompt_length` instead.
    "max_length": "sequences are never cut; `models.<name>.max_prompt_length` puts long rows aside",
    "truncation_mode": "sequences are never cut; `models.<name>.max_prompt_length` puts long rows aside",
    "packing": "TRL has no packing for vision-language models",
    "padding_free": "TRL has no padding-free batches for vision-language models",
    "assistant_only_loss": "data are prompt and completion; the loss is on the completion already",
    "completion_only_loss": "the loss is on the completion; a loss on image tokens is not meant",
    "use_transformers_continuous_batching": "not available for vision-language models",
    "use_transformers_paged": "not available for vision-language models",
    # TRL 1.16 hands prompts with expanded image tokens to vLLM, which expands them again: rollouts come from a
    # corrupted prompt without an error (TRL issues 6294 and 6401).
    "use_vllm": "TRL expands image tokens twice on the way to vLLM, so rollouts would answer a corrupted prompt",
    # The moving reference is not in a checkpoint, so a resumed run would differ from an unbroken one.
    "sync_ref_model": "TRL does not save the moving reference, so a stopped run could not be resumed exactly",
    "chat_template_kwargs": "set `models.<name>.template_args`, which evaluation reads too",
    "chat_template_path": "set `models.<name>.chat_template`, which evaluation reads too",
}

# Options that do not change what is learnt: changing one of them reruns nothing.
NEUTRAL = frozenset(
    {
        "per_device_train_batch_size",
        "gradient_checkpointing",
        "gradient_checkpointing_kwargs",
        "dataloader_num_workers",
        "dataloader_pin_memory",
        "dataloader_persistent_workers",
        "dataloader_prefetch_factor",
        "ddp_backend",
        "ddp_bucket_cap_mb",
        "ddp_find_unused_parameters",
        "ddp_timeout",
        "disable_tqdm",
        "ds3_gather_for_generation",
        "log_completions",
        "log_level",
        "log_level_replica",
        "logging_steps",
        "num_completions_to_print",
        "project",
        "report_to",
        "save_steps",
        "save_total_limit",
        "skip_memory_metrics",
        "trackio_space_id",
    }
)


@cache
def config_fields(config: ConfigClass) -> dict[str, tuple[Any, Any]]:
    """Return the fields of a config class and its bases as `{name: (type, default)}`.

    A type that is not made of builtins is `Any`; a default that is not a literal is `...`.
    """
    fields: dict[str, tuple[Any, Any]] = {}
    for file, class_name in (*_BASES, config):
        for node in _class_body(file, class_name):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                fields[node.target.id] = (_type(node.annotation), _default(node.value))
    return fields


def check_args(config: ConfigClass, args: dict[str, Any], batch_size: int) -> dict[str, Any]:
    """Return `args` with values brought to the types of a config class.

    YAML reads `1e-3` as text, so numbers in text form are taken as numbers.

    Raises:
        ValueError: an option is unknown, refused, of the wrong type, or does not divide `batch_size`.
    """
    fields = config_fields(config)
    checked: dict[str, Any] = {}
    for key, value in args.items():
        if key not in fields:
            hint = f"; {meant}" if (meant := near(key, fields).strip()) else ""
            version = importlib.metadata.version("trl")
            raise ValueError(f"args.{key}: trl {version} {config.name} has no such option{hint}")
        if key in REFUSED:
            raise ValueError(f"args.{key} cannot be set in a study: {REFUSED[key]}")
        try:
            checked[key] = TypeAdapter(fields[key][0]).validate_python(value)
        except ValidationError as error:
            raise ValueError(f"args.{key}: {value!r} is not valid: {error.errors()[0]['msg']}") from None
        if key in _ENUMS and str(checked[key]) not in _members(*_ENUMS[key]):
            known = ", ".join(_members(*_ENUMS[key]))
            raise ValueError(f"args.{key}: {value!r} is not valid; transformers has {known}")
    if checked.get("learning_rate", 1) <= 0:
        raise ValueError(f"args.learning_rate: {checked['learning_rate']} is not above 0")
    _check_batches(checked, batch_size)
    return checked


# Options whose values are the members of an enumeration.
_ENUMS = {
    "lr_scheduler_type": ("transformers/trainer_utils.py", "SchedulerType"),
    "optim": ("transformers/training_args.py", "OptimizerNames"),
}


@cache
def _members(file: str, class_name: str) -> tuple[str, ...]:
    """Return the values of an enumeration of strings."""
    values = [node.value for node in _class_body(file, class_name) if isinstance(node, ast.Assign)]
    return tuple(str(value.value) for value in values if isinstance(value, ast.Constant))


def _class_body(file: str, class_name: str) -> list[ast.stmt]:
    """Return the statements of a class of an installed package, whose import would take seconds."""
    package = Path(file).parts[0]
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{package} is not installed; run `make setup`")
    tree = ast.parse((Path(spec.origin).parents[1] / file).read_text(encoding="utf-8"))
    return next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == class_name)


def changed(config: ConfigClass, args: dict[str, Any], batch_size: int, processes: int) -> dict[str, Any]:
    """Return the options that decide what is learnt and are not at their defaults, in the form of a job's identity.

    Args:
        config: the config class.
        args: a stage's options.
        batch_size: the stage's global batch.
        processes: training processes.
    """
    defaults = config_fields(config)
    found = {key: value for key, value in args.items() if key not in NEUTRAL and value != defaults[key][1]}
    per_device, _ = accumulation(args, batch_size, processes)
    if "steps_per_generation" in found:
        # What matters is how many completions are generated at once, however they are split.
        found["generation_batch_size"] = found.pop("steps_per_generation") * per_device * processes
    if found.get("loss_type") == "bnpo":
        # This loss divides by the tokens of a device's batch, so here the split is not neutral.
        found["per_device_train_batch_size"] = per_device
    return found


def accumulation(args: dict[str, Any], batch_size: int, processes: int = 1) -> tuple[int, int]:
    """Return (per-device batch size, accumulation steps), which with `processes` multiply to `batch_size`."""
    per_device = int(args.get("per_device_train_batch_size", batch_size // processes))
    return per_device, batch_size // (per_device * processes)


def split_problem(args: dict[str, Any], batch_size: int, processes: int) -> str | None:
    """Return what keeps a batch from being split evenly over processes, None where nothing does."""
    if batch_size % processes:
        return f"batch_size: {batch_size} cannot be split evenly over {processes} training processes"
    per_device, steps = accumulation(args, batch_size, processes)
    if per_device * steps * processes != batch_size:
        return (
            f"args.per_device_train_batch_size: {per_device} x {processes} training processes does not divide "
            f"batch_size {batch_size}"
        )
    return None


def _check_batches(args: dict[str, Any], batch_size: int) -> None:
    per_device = int(args.get("per_device_train_batch_size", batch_size))
    if per_device < 1 or batch_size % per_device:
        raise ValueError(f"args.per_device_train_batch_size: {per_device} does not divide batch_size {batch_size}")
    save_steps = args.get("save_steps")
    if save_steps is not None and (save_steps < 1 or save_steps != int(save_steps)):
        raise ValueError(f"args.save_steps: {save_steps} must be a whole number of steps")


def _type(annotation: ast.expr) -> Any:
    """Return the type that an annotation spells, `Any` where it needs more than builtins."""
    simple = {"int": int, "float": float, "str": str, "bool": bool, "dict": dict, "list": list}
    match annotation:
        case ast.Name(id=name) if name in simple:
            return simple[name]
        case ast.Constant(value=None):
            return None
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            sides = (_type(left), _type(right))
            return Any if Any in sides else sides[0] | sides[1] if sides[0] is not None else sides[1] | None
        case ast.Subscript(value=ast.Name(id="list"), slice=ast.Name(id=name)) if name in simple:
            return list[simple[name]]  # type: ignore[valid-type]
        case ast.Subscript(value=ast.Name(id="dict")):
            return dict
    return Any


def _default(value: ast.expr | None) -> Any:
    """Return the literal default of a dataclass field, `...` where it is computed."""
    if isinstance(value, ast.Call):
        value = next((keyword.value for keyword in value.keywords if keyword.arg == "default"), None)
    try:
        return ... if value is None else ast.literal_eval(value)
    except ValueError:
        return ...
