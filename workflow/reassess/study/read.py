"""Reads a study file and turns whatever is wrong with it into one clear error."""

from __future__ import annotations

import json
import types
import typing
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from reassess.spec import Short, near
from reassess.study.consistency import problems_of
from reassess.study.study import Study

# What YAML calls what pydantic calls by the names of Python.
_PLAIN = {"a valid tuple": "a list", "Tuple should": "List should", "a valid dictionary": "a mapping"}
_SHORT_FORMS = {"string": "a name, or ", "array": "a list, or ", "number": "a number, or "}

_TOO_DEEP = "nested too deep; an alias may stand inside of what it is an alias of"


class StudyError(ValueError):
    """A mistake in a study: the message names file, key path, value and what was expected."""


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, refusing a key that stands twice in one mapping (YAML would keep the last)."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        # As it is written: what `<<` merges in may be said again.
        node = super().compose_mapping_node(anchor)
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                continue
            is_merge = key_node.tag == "tag:yaml.org,2002:merge"
            key = key_node.value if is_merge else self.construct_object(key_node)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"duplicate key {key!r}", key_node.start_mark)
            seen.add(key)
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except ValueError as error:
            # 2026-99-99 is read as a date, whatever it was meant for.
            raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from None


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Return the mapping in a YAML (or JSON) file.

    Raises:
        StudyError: the file is missing, not YAML, has a duplicate key, or is not a mapping.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise StudyError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise StudyError(f"{path}: not UTF-8 text (byte {error.start})") from None
    try:
        data = _json(text) if Path(path).suffix == ".json" else yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        where = f" line {error.problem_mark.line + 1}:" if error.problem_mark else ""
        raise StudyError(f"{path}:{where} {error.problem}") from None
    except yaml.YAMLError as error:
        raise StudyError(f"{path}: not YAML: {error}") from None
    except RecursionError:
        raise StudyError(f"{path}: {_TOO_DEEP}") from None
    except ValueError as error:
        raise StudyError(f"{path}: not JSON: {error}") from None
    if not isinstance(data, dict):
        raise StudyError(f"{path}: expected a mapping with keys such as models, pools, stages")
    return data


def _json(text: str) -> Any:
    """Return what JSON says: to YAML 1e-05 would be text, and what JSON escapes beyond 16 bits two broken characters.

    Raises:
        ValueError: it is no JSON, or a key stands twice.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            keys = [key for key, _ in pairs]
            raise ValueError(f"duplicate key {next(key for key in keys if keys.count(key) > 1)!r}")
        return found

    return json.loads(text, object_pairs_hook=unique)


def parse(data: dict[str, Any], source: str) -> Study:
    """Return the study in `data`.

    Args:
        data: the parsed file.
        source: the file's name, for messages.

    Raises:
        StudyError: with one line per mistake.
    """
    try:
        study = Study.model_validate(_words(data))
    except StudyError as error:
        raise StudyError(f"{source}: {error}") from None
    except RecursionError:
        raise StudyError(f"{source}: {_TOO_DEEP}") from None
    except ValidationError as error:
        found = error.errors()
        # An invalid item leaves a list one shorter: "too short" would only repeat the item's own error.
        deeper = {details["loc"][: len(other["loc"])] for details in found for other in found if details is not other}
        lines = [_line(item) for item in found if not (item["type"] == "too_short" and item["loc"] in deeper)]
        raise StudyError("\n".join(f"{source}: {line}" for line in dict.fromkeys(lines))) from None
    problems = list(problems_of(study))
    if problems:
        raise StudyError(f"{source}: {'; '.join(problems)}")
    return study


def _words(data: Any) -> Any:
    """Return what a file holds with the key `on` as it was written, which YAML 1.1 takes for true.

    Raises:
        StudyError: a mapping has the key `on` with quotes and without.
    """
    if isinstance(data, dict):
        if True in data and "on" in data:
            raise StudyError("duplicate key 'on', with quotes and without")
        return {"on" if key is True else key: _words(value) for key, value in data.items()}
    return [_words(item) for item in data] if isinstance(data, list) else data


def dump(study: Study, path: str | Path) -> None:
    """Write the validated study for the jobs of a workflow, in its order; a file that says the same is left alone."""
    text = json.dumps(study.model_dump(mode="json"), indent=1) + "\n"
    target = Path(path)
    if target.exists() and target.read_text(encoding="utf-8") == text:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_suffix(".tmp")
    aside.write_text(text, encoding="utf-8")
    aside.replace(target)


def _line(details: Any) -> str:
    """Return `key.path: what is wrong` for one pydantic error."""
    model, shown, annotation = _walk(details["loc"])
    where = ".".join(shown)
    kind, message, value = details["type"], details["msg"], details["input"]
    prefix = f"{where}: " if where else ""
    if kind == "extra_forbidden" and model is not None:
        known = list(model.model_fields)
        return f"{prefix}unknown key; {near(shown[-1], known, n=1)}valid keys: {', '.join(known)}"
    if kind == "missing":
        return f"{prefix}required, but missing"
    if kind == "value_error":
        return prefix + str(message).removeprefix("Value error, ")
    if kind == "string_pattern_mismatch":
        return f"{prefix}{value!r} does not match {details['ctx']['pattern']}"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        ctx = details["ctx"]
        tag = ctx["discriminator"].strip("'")
        given = f"{ctx['tag']!r} is not valid" if "tag" in ctx else "required, but missing"
        valid = ", ".join(repr(value) for option in _models(annotation) for value in _tags(option, tag))
        return f"{prefix}{tag}: {given}; valid: {valid}"
    if kind == "model_type" and (options := _models(annotation)):
        keys = f"a mapping with the keys {', '.join(options[-1].model_fields)}"
        short = options[-1].SHORT["type"] if issubclass(options[-1], Short) else ""
        return f"{prefix}{_shorten(value)}: expected {_SHORT_FORMS.get(short, '')}{keys}"
    for python, plain in _PLAIN.items():
        message = message.replace(python, plain)
    return f"{prefix}{_shorten(value)}: {message[0].lower()}{message[1:]}"


def _tags(option: type[BaseModel], tag: str) -> tuple[Any, ...]:
    return typing.get_args(option.model_fields[tag].annotation)


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _walk(loc: tuple[int | str, ...]) -> tuple[type[BaseModel] | None, list[str], Any]:
    """Return the model that holds an error, the key path as a user writes it, and the type of what is there."""
    current: Any = Study
    model: type[BaseModel] | None = Study
    shown: list[str] = []
    for part in loc:
        options = _models(current)
        tagged = next((option for option in options if part == option.__name__ or _has_tag(option, part)), None)
        if len(options) > 1 and tagged is not None:
            current = tagged
            continue
        if part == "[key]":
            continue
        shown.append(str(part))
        if len(options) == 1:
            model = options[0]
            field = model.model_fields.get(str(part))
            current = field.annotation if field else None
        else:
            current = _inner(current)
    return model, shown, current


def _has_tag(option: type[BaseModel], tag: int | str) -> bool:
    return any(
        typing.get_origin(field.annotation) is typing.Literal and tag in typing.get_args(field.annotation)
        for field in option.model_fields.values()
    )


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Return the model classes that an annotation (not its container) stands for."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if typing.get_origin(annotation) is typing.Annotated:
        return _models(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [found for part in typing.get_args(annotation) for found in _models(part)]
    return []


def _inner(annotation: Any) -> Any:
    """Return what a container (dict value, tuple item, optional) holds."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _inner(args[0])
    if origin is dict:
        return args[1]
    if origin is tuple:
        return args[0]
    if origin in (typing.Union, types.UnionType):
        return next((_inner(part) for part in args if part is not type(None)), None)
    return None
