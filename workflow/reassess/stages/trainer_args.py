"""Checks `args:` of a stage against the installed TRL config class, without importing it."""

from __future__ import annotations

from typing import Any

from reassess.stages.config_class import ConfigClass, config_fields, members, typed
from reassess.stages.schedules import check_schedule

# What the config class of every trainer inherits.
TRAINER = (("transformers/training_args.py", "TrainingArguments"), ("trl/trainer/base_config.py", "_BaseConfig"))
_BY_THE_STUDY = "the study sets it"
# Options of an engine that TRL starts itself.
_OF_TRLS_ENGINE = (
    *("vllm_mode", "vllm_model_impl", "vllm_enable_sleep_mode", "vllm_structured_outputs_regex", "vllm_group_port"),
    *("vllm_server_base_url", "vllm_server_host", "vllm_server_port", "vllm_server_timeout"),
    *("vllm_gpu_memory_utilization", "vllm_max_model_length", "vllm_tensor_parallel_size"),
)
# Options that a study may not set under `args`, and what to do instead.
REFUSED = {
    "output_dir": _BY_THE_STUDY,
    "run_name": _BY_THE_STUDY,
    "seed": "training seeds are the axis `seeds`",
    "data_seed": "training seeds are the axis `seeds`",
    "gradient_accumulation_steps": "it follows from `batch_size` and `per_device_train_batch_size`",
    "auto_find_batch_size": "it would change the batch between cells; set `per_device_train_batch_size`",
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
    # TRL 1.16 hands prompts with expanded image tokens to vLLM, which expands them again, and keeps the features of
    # images when the weights change (TRL issues 6294, 6401 and 7198): both without an error.
    "use_vllm": "TRL's own way to vLLM corrupts prompts with images; set `rollouts: {engine: vllm}` beside `args`",
    **dict.fromkeys(
        _OF_TRLS_ENGINE,
        "the engine is `rollouts`, beside `args`, with vLLM's own options: `rollouts: {engine_args: {...}}`",
    ),
    "vllm_importance_sampling_cap": "TRL has replaced it by `vllm_importance_sampling_clip_max`",
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


def check_args(config: ConfigClass, args: dict[str, Any], batch_size: int) -> dict[str, Any]:
    """Return `args` with values brought to the types of a config class.

    Raises:
        ValueError: an option is unknown, refused, of the wrong type, or does not divide `batch_size`.
    """
    checked: dict[str, Any] = {}
    for key, value in args.items():
        if key.startswith(("use_peft", "peft_", "lora_")):
            raise ValueError(f"args.{key}: low-rank adapters are the stage's own option `lora`, beside `args`")
        checked[key] = typed(config, key, _read_by_trl(key, value), REFUSED, "args")
        if key in _ENUMS and str(checked[key]) not in (known := members(*_ENUMS[key])):
            raise ValueError(f"args.{key}: {value!r} is not valid; transformers has {', '.join(known)}")
    _check_ranges(checked)
    if isinstance(schedule := checked.get("lr_scheduler_kwargs"), dict):
        check_schedule(str(checked.get("lr_scheduler_type", "linear")), schedule)
    _check_batches(checked, batch_size)
    return checked


def _read_by_trl(key: str, value: Any) -> Any:
    """Return an option as TRL takes it: its documentation has truth values where its annotation has text alone."""
    return {True: "group", False: "none"}[value] if key == "scale_rewards" and isinstance(value, bool) else value


# Options whose values are the members of an enumeration.
_ENUMS = {
    "lr_scheduler_type": ("transformers/trainer_utils.py", "SchedulerType"),
    "optim": ("transformers/training_args.py", "OptimizerNames"),
}


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
    generated = args.get("generation_batch_size")
    if generated and generated % (per_device * processes):
        return (
            f"args.generation_batch_size: {generated} completions cannot be split into batches of {per_device} for "
            f"each of {processes} training processes; set args.per_device_train_batch_size to a number that can be"
        )
    return None


# Options with which a run would do nothing, or fail at its first step.
_ABOVE_ZERO = (
    *("learning_rate", "num_train_epochs", "max_completion_length", "num_generations", "temperature"),
    *("generation_batch_size", "steps_per_generation", "num_iterations"),
)
_SHARES = ("top_p", "min_p")
_NOT_BELOW_ZERO = ("weight_decay", "warmup_ratio", "warmup_steps", "max_grad_norm", "beta", "label_smoothing_factor")


def _check_ranges(args: dict[str, Any]) -> None:
    given = {key: value for key, value in args.items() if isinstance(value, int | float)}
    for key in _ABOVE_ZERO:
        if given.get(key, 1) <= 0:
            raise ValueError(f"args.{key}: {given[key]} is not above 0")
    for key in _SHARES:
        if not 0 <= given.get(key, 0) <= 1:
            raise ValueError(f"args.{key}: {given[key]} is not between 0 and 1")
    for key in _NOT_BELOW_ZERO:
        if given.get(key, 0) < 0:
            raise ValueError(f"args.{key}: {given[key]} is below 0")


def _check_batches(args: dict[str, Any], batch_size: int) -> None:
    per_device = int(args.get("per_device_train_batch_size", batch_size))
    if per_device < 1 or batch_size % per_device:
        raise ValueError(f"args.per_device_train_batch_size: {per_device} does not divide batch_size {batch_size}")
    save_steps = args.get("save_steps")
    if save_steps is not None and (save_steps < 1 or save_steps != int(save_steps)):
        raise ValueError(f"args.save_steps: {save_steps} must be a whole number of steps")
    if args.get("generation_batch_size") is not None:
        _check_generation(args, batch_size)


def _check_generation(args: dict[str, Any], batch_size: int) -> None:
    generated, uses = args["generation_batch_size"], args.get("num_iterations", 1)
    if args.get("steps_per_generation") is not None:
        raise ValueError("args.generation_batch_size: says what args.steps_per_generation says too; leave one out")
    if (generated * uses) % batch_size and batch_size % (generated * uses):
        times = f" x num_iterations {uses}" if uses > 1 else ""
        raise ValueError(
            f"args.generation_batch_size: {generated}{times} must be a multiple or a divisor of batch_size {batch_size}"
        )
