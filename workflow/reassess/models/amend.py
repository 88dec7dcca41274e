"""Writes what a study says of a checkpoint's chat template, image processor and config into the checkpoint's files.

So everything that reads a base model or what is made of it has them: TRL, vLLM, and whoever takes an export home.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reassess.models import load
from reassess.spec import near
from reassess.study.models import Model
from reassess.work import records

TEMPLATE = "chat_template.jinja"
# Where a processor's options lie: of itself with its parts, and in the older form of its image processor alone.
_PROCESSOR, _PREPROCESSOR = "processor_config.json", "preprocessor_config.json"
# In transformers 5 parts of config.json; in older files beside them.
_SECTIONS = ("text_config", "rope_parameters")


# What a study does not change, and why.
_WEIGHTS = "it says what the weights are"
_OF_THE_WEIGHTS = {
    **dict.fromkeys(("model_type", "architectures", "vocab_size", "tie_word_embeddings"), _WEIGHTS),
    **dict.fromkeys(("auto_map", "quantization_config"), "it is the checkpoint's own"),
    **dict.fromkeys(("dtype", "torch_dtype"), "set `models.<name>.dtype`"),
    **dict.fromkeys(("eos_token_id", "bos_token_id", "pad_token_id"), "tokenizer and generation_config.json say it"),
}


class AmendError(ValueError):
    """An option of a model that its checkpoint does not take; the message begins with its key."""


def amend(directory: Path, model: Model) -> None:
    """Change the files of a checkpoint as the study says.

    Raises:
        AmendError: the checkpoint has no such option, or does not take the value.
    """
    if model.config:
        _config(directory, model)
    if model.processor_args:
        _processor(directory, model)
    if model.chat_template or model.template_args:
        _template(directory, model)


def _config(directory: Path, model: Model) -> None:
    """Write values into config.json where it, or its text part, has them."""
    from transformers import AutoConfig

    file = directory / "config.json"
    written = json.loads(file.read_text(encoding="utf-8"))
    known = AutoConfig.from_pretrained(directory, trust_remote_code=model.trust_remote_code).to_dict()
    for key, value in model.config.items():
        if key in _OF_THE_WEIGHTS:
            raise AmendError(f"config.{key}: {_OF_THE_WEIGHTS[key]}")
        place, there = written, known
        while key not in there and key not in place:
            section = next((name for name in _SECTIONS if isinstance(there.get(name), dict)), None)
            if section is None:
                raise AmendError(f"config.{key}: config.json has no such value; {near(key, _keys(known))}".rstrip("; "))
            there = there[section]
            # Files of before transformers 5 have what stands in parts now at the top.
            place = place.get(section, place)
        _put(place, key, value)
    records.write(file, written)
    try:
        amended = AutoConfig.from_pretrained(directory, trust_remote_code=model.trust_remote_code).to_dict()
    # Configs check themselves, each in its own way.
    except Exception as error:
        said = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise AmendError(f"config: the config class does not take these values ({said})") from None
    for key, value in model.config.items():
        if not _holds(amended, key, value):
            raise AmendError(f"config.{key}: {value!r} has no effect on this checkpoint")


def _keys(config: Mapping[str, Any]) -> set[str]:
    """Return the keys of a config and of its parts."""
    return set(map(str, config)).union(*(_keys(part) for part in config.values() if isinstance(part, dict)))


def _put(place: dict[str, Any], key: str, value: Any) -> None:
    """Set a value, of a mapping the given keys alone."""
    if isinstance(value, dict) and isinstance(place.get(key), dict):
        for name, item in value.items():
            _put(place[key], name, item)
    else:
        place[key] = value


def _holds(config: Mapping[str, Any], key: str, value: Any) -> bool:
    """Return whether a config or a part of it has a value."""
    if key in config and _has(config[key], value):
        return True
    return any(_holds(part, key, value) for part in config.values() if isinstance(part, dict))


def _has(found: Any, value: Any) -> bool:
    if isinstance(value, dict) and isinstance(found, dict):
        return all(name in found and _has(found[name], item) for name, item in value.items())
    return bool(found == value)


def _processor(directory: Path, model: Model) -> None:
    """Write options of the image processor where the checkpoint keeps them."""
    from transformers import AutoImageProcessor

    trust = {"trust_remote_code": model.trust_remote_code}
    if not any((directory / name).is_file() for name in (_PROCESSOR, _PREPROCESSOR)):
        raise AmendError(f"processor_args: the checkpoint has no image processor ({_PREPROCESSOR})")
    before = AutoImageProcessor.from_pretrained(directory, **trust)
    # Those that it keeps, and those that it makes others of, such as Qwen's `max_pixels`.
    known = {*before.to_dict(), *getattr(type(before).valid_kwargs, "__annotations__", ())}
    name = type(before).__name__
    processor = load.load_processor(directory, model)
    fixed = getattr(getattr(processor, "valid_processor_kwargs", None), "_defaults", {}).get("images_kwargs", {})
    for key in model.processor_args:
        if key in fixed:
            raise AmendError(
                f"processor_args.{key}: {type(processor).__name__} sets it itself in every call, to {fixed[key]!r}, so "
                "it would have no effect"
            )
        if key not in known:
            raise AmendError(
                f"processor_args.{key}: {name} has no such option; {near(key, known)}known: {', '.join(sorted(known))}"
            )
    for file in (directory / _PROCESSOR, directory / _PREPROCESSOR):
        if not file.is_file():
            continue
        written = json.loads(file.read_text(encoding="utf-8"))
        place = written.get("image_processor") if file.name == _PROCESSOR else written
        if place is not None:
            place.update(model.processor_args)
            records.write(file, written)
    try:
        amended = AutoImageProcessor.from_pretrained(directory, **trust).to_dict()
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise AmendError(f"processor_args: {name} does not take them: {error}") from None
    for key, value in model.processor_args.items():
        if key in amended and not _has(amended[key], value):
            raise AmendError(
                f"processor_args.{key}: {value!r} becomes {amended[key]!r} in {name}; give it in the form in which "
                "that has it"
            )


def _template(directory: Path, model: Model) -> None:
    """Write the chat template with its variables set; what a checkpoint has in other files no longer counts."""
    if model.chat_template is not None:
        try:
            text = Path(model.chat_template).read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise AmendError(f"chat_template: {model.chat_template} is not UTF-8 ({error})") from None
    else:
        text = own_template(directory, model) or ""
        if not text:
            raise AmendError("template_args: the checkpoint has no chat template; give one as `chat_template`")
    variables = _variables(text)
    for key in model.template_args:
        if key not in variables:
            raise AmendError(
                f"template_args.{key}: the chat template reads no such variable; {near(key, variables)}it reads "
                f"{', '.join(sorted(variables)) or 'none'}"
            )
    # Of the line break that follows it, transformers' Jinja takes one away (`trim_blocks`).
    head = "".join(f"{{%- set {key} = {_literal(value)} %}}\n" for key, value in model.template_args.items())
    (directory / "chat_template.json").unlink(missing_ok=True)
    (directory / TEMPLATE).write_text(head + text, encoding="utf-8")
    if (found := own_template(directory, model)) != head + text:
        raise AmendError(
            f"chat_template: transformers reads another one from {directory} ({(found or '')[:60]!r}...); remove "
            "`chat_template` from the checkpoint's tokenizer_config.json and processor_config.json"
        )


def own_template(directory: Path, model: Model) -> str | None:
    """Return the chat template that transformers reads from a checkpoint, None where it has none."""
    processor = load.load_processor(directory, model)
    found = getattr(processor, "chat_template", None) or load.tokenizer_of(processor).chat_template
    # Older checkpoints have several, by name.
    return found.get("default") if isinstance(found, dict) else found


def _variables(template: str) -> set[str]:
    """Return the variables that a template reads and that are not given by every call."""
    from jinja2 import TemplateError, meta
    from transformers.utils.chat_template_utils import _compile_jinja_template

    try:
        environment = _compile_jinja_template(template).environment
        names = meta.find_undeclared_variables(environment.parse(template))
    except TemplateError as error:
        raise AmendError(f"chat_template: not a Jinja template: {error}") from None
    return names - {"messages", "add_generation_prompt", "raise_exception", "strftime_now", "bos_token", "eos_token"}


def _literal(value: Any) -> str:
    """Return a value of YAML as Jinja writes it: as JSON, for which it knows `true`, `false` and `none`."""
    text = json.dumps(value, ensure_ascii=False)
    return re.sub(r'("(?:[^"\\]|\\.)*")|\bnull\b', lambda found: found[1] or "none", text)
