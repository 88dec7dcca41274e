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
    if not isinstance(varied, dict) or not all(isinstance(item, list | tuple) and item for item in varied.values()):
        return []
    for key, values in varied.items():
        if twice := next((value for i, value in enumerate(values) if value in values[:i]), None):
            raise ValueError(f"vary.{key}: {twice!r} stands twice")
    return [dict(zip(varied, values, strict=True)) for values in itertools.product(*varied.values())] if varied else []


def fields(
    data: Mapping[str, Any], values: Mapping[str, Any], own: Iterable[str], args: Iterable[str] = ()
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
    under = dict(given) if isinstance(given := data.get("args") or {}, dict) else {}
    found: dict[str, Any] = {}
    for key, value in values.items():
        place = data if key in own else under
        if key not in own and key not in args:
            hint = near(key, [*own, *args]) or f"its own: {', '.join(own)} "
            raise ValueError(f"vary.{key}: the stage has no such option; {hint.strip()}")
        # A validated study has the values of the first variant there.
        if key in place and place[key] != data["vary"][key][0]:
            raise ValueError(f"vary.{key}: has a value of its own too, {place[key]!r}; give it under `vary` alone")
        if key in own:
            found[key] = value
    changed = {key: value for key, value in values.items() if key not in own}
    return found | ({"args": under | changed} if changed else {})


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
