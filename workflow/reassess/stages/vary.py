"""Variants of a stage: an axis of a study, each with one value of every varied option."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from typing import Any

from reassess.spec import NAME, near

# What the papers call them for short; other options stand with their whole name before a number.
SHORT = {
    "batch_size": "b",
    "beta": "beta",
    "density": "d",
    "learning_rate": "lr",
    "max_steps": "steps",
    "num_generations": "g",
    "num_train_epochs": "e",
    "temperature": "t",
    "trajectory": "kept",
    "warmup_steps": "warmup",
    "weight_decay": "wd",
}


def combinations(data: Any) -> list[dict[str, Any]]:
    """Return each combination of the values under `vary`, the last option changing fastest; none without any.

    Raises:
        ValueError: a value stands twice.
    """
    varied = data.get("vary") if isinstance(data, dict) else None
    # What is not of its type is left to the field.
    if not isinstance(varied, dict) or not varied or not all(isinstance(key, str) for key in varied):
        return []
    if not all(isinstance(values, list | tuple) and values for values in varied.values()):
        return []
    for key, values in varied.items():
        if twice := [value for i, value in enumerate(values) if value in values[:i]]:
            raise ValueError(f"vary.{key}: {twice[0]!r} stands twice")
    return [dict(zip(varied, values, strict=True)) for values in itertools.product(*varied.values())]


def fields(
    data: Mapping[str, Any], values: Mapping[str, Any], own: Iterable[str], args: Iterable[str]
) -> dict[str, Any]:
    """Return what a study says of a stage where it says other values for some options.

    Args:
        data: the stage as it is written.
        values: values of options.
        own: the names of options of the stage itself.
        args: the names of options that stand under `args`.

    Raises:
        ValueError: an option is unknown, or has a value of its own beside those under `vary`.
    """
    own, args = list(own), list(args)
    given = data.get("args", {})
    under = given if isinstance(given, dict) else {}
    for key in values:
        place = data if key in own else under
        if key not in own and key not in args:
            hint = near(key, [*own, *args]) or f"its own: {', '.join(own)} "
            raise ValueError(f"vary.{key}: the stage has no such option; {hint.strip()}")
        if key in place:
            raise ValueError(f"vary.{key}: has a value of its own too, {place[key]!r}; give it under `vary` alone")
    found = {key: value for key, value in values.items() if key in own}
    changed = {key: value for key, value in values.items() if key not in own}
    # Any other `args` are no mapping, which its field says.
    return found | ({"args": under | changed} if changed and given is under else {})


def without(data: Mapping[str, Any], varied: Iterable[str]) -> dict[str, Any]:
    """Return what a study says of a stage without the values that the first variant has given it."""
    varied = set(varied)
    found = {key: value for key, value in data.items() if key not in varied}
    if varied and isinstance(under := found.get("args"), dict):
        found["args"] = {key: value for key, value in under.items() if key not in varied}
    return found


def spelt(values: Mapping[str, Any]) -> str:
    """Return the name of a variant, such as `e1.short` for one epoch on the set `short`.

    Raises:
        ValueError: a value cannot be part of a name.
    """
    return ".".join(_spelt(key, value) for key, value in values.items())


def _spelt(key: str, value: Any) -> str:
    if value is None or isinstance(value, bool):
        text = f"{SHORT.get(key, key)}-{'none' if value is None else str(value).lower()}"
    elif isinstance(value, str):
        text = value
    elif isinstance(value, int | float):
        # In a path "+" stands before a set of examples.
        number = f"{value:g}" if float(f"{value:g}") == value else repr(value)
        text = f"{SHORT.get(key, key)}{number.replace('e-0', 'e-').replace('e+', 'e')}"
    elif isinstance(value, list | tuple) and value and all(isinstance(item, int | float | str) for item in value):
        text = f"{SHORT.get(key, key)}{'-'.join(str(item) for item in value)}"
    else:
        raise ValueError(f"{key}: {value!r} cannot be part of a name; vary numbers, words, true and false")
    if not re.fullmatch(NAME, text):
        raise ValueError(f"{key}: {text!r} cannot be part of a path; names there match {NAME}")
    return text
