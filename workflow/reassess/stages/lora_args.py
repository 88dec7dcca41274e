"""Checks `lora:` of a stage against the installed `peft.LoraConfig`, without importing it."""

from __future__ import annotations

from typing import Any

from reassess.stages.config_class import ConfigClass, config_fields, typed

LORA = ConfigClass(
    "peft/tuners/lora/config.py",
    "LoraConfig",
    (("peft/config.py", "PeftConfigMixin"), ("peft/config.py", "PeftConfig")),
)
_BY_THE_STUDY = "the study sets it"
_START = "`init_lora_weights` that need it are refused, because training would not start from the parent"
_VARIANT = "of LoRA's variants only DoRA is known to merge into the parent's weights and to resume exactly"
# Options that a study may not set under `lora`, and why.
REFUSED = {
    "task_type": _BY_THE_STUDY,
    "peft_type": _BY_THE_STUDY,
    "auto_mapping": _BY_THE_STUDY,
    "peft_version": _BY_THE_STUDY,
    "base_model_name_or_path": "it is the stage's parent",
    "revision": "the parent is pinned by its fingerprint",
    "inference_mode": _BY_THE_STUDY,
    "bias": "biases would be trained in place, so the reference of GRPO, the model without its adapter, would move too",
    "lora_bias": "a bias cannot be merged into a layer that has none",
    "trainable_token_indices": "a study adds no tokens",
    "ensure_weight_tying": "tied weights get no adapter",
    "layer_replication": "the merged model would be of another architecture than its parent",
    "runtime_config": "adapters are trained where the model is",
    "megatron_config": "models are not Megatron's",
    "megatron_core": "models are not Megatron's",
    "loftq_config": _START,
    "eva_config": _START,
    "corda_config": _START,
    "lora_ga_config": _START,
    "use_qalora": "it is for quantised models alone",
    "qalora_group_size": "it is for quantised models alone",
    "alora_invocation_tokens": _VARIANT,
    "arrow_config": _VARIANT,
    "kasa_config": _VARIANT,
    "monteclora_config": _VARIANT,
    "use_bdlora": _VARIANT,
    "velora_config": _VARIANT,
}
# Ways to begin under which the model with its adapter is the parent, and without it too: PiSSA, OLoRA and others take
# something out of the parent's weights, and `false` begins anywhere.
STARTS = (True, "gaussian", "orthogonal")


def check_lora(given: dict[str, Any]) -> dict[str, Any]:
    """Return options of `peft.LoraConfig`, brought to their types.

    Raises:
        ValueError: an option is unknown, refused, of the wrong type, or out of its range.
    """
    checked = {key: typed(LORA, key, value, REFUSED, "lora") for key, value in given.items()}
    for key in ("r", "lora_alpha"):
        if checked.get(key, 1) < 1:
            raise ValueError(f"lora.{key}: {checked[key]} is not at least 1")
    for key in ("rank_pattern", "alpha_pattern"):
        for name, value in (checked.get(key) or {}).items():
            if type(value) is not int or value < 1:
                raise ValueError(f"lora.{key}.{name}: {value!r} is not a whole number of at least 1")
    if not 0 <= checked.get("lora_dropout", 0) < 1:
        raise ValueError(f"lora.lora_dropout: {checked['lora_dropout']} is not between 0 and 1")
    if (start := checked.get("init_lora_weights", True)) not in STARTS:
        raise ValueError(
            f"lora.init_lora_weights: with {start!r} training would not start from the parent's weights; "
            "valid: true, gaussian, orthogonal"
        )
    for key in ("target_modules", "target_parameters"):
        if checked.get(key) == []:
            raise ValueError(f"lora.{key}: names nothing; leave it out")
    return checked


def changed_lora(given: dict[str, Any]) -> dict[str, Any]:
    """Return the options that are not at PEFT's defaults, in the form of a job's identity."""
    defaults = config_fields(LORA)
    found = {key: value for key, value in given.items() if value != defaults[key][1]}
    # PEFT makes sets of lists of names.
    return {key: sorted(set(value), key=str) if isinstance(value, list) else value for key, value in found.items()}
