"""Reads which options a config class of an installed library has, without importing it.

Importing TRL or PEFT takes seconds and a Snakefile is parsed once per job, so the fields are read from the source of
the dataclasses. The real class is constructed, and checks once more, when the job starts.
"""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
from functools import cache, reduce
from operator import or_
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import TypeAdapter, ValidationError

from reassess.spec import near


class ConfigClass(NamedTuple):
    """A config class of a library.

    Attributes:
        file: its file under site-packages.
        name: its name.
        bases: file and name of each class that it inherits fields from, outermost first.
    """

    file: str
    name: str
    bases: tuple[tuple[str, str], ...] = ()


@cache
def config_fields(config: ConfigClass) -> dict[str, tuple[Any, Any]]:
    """Return the fields of a config class and its bases as `{name: (type, default)}`.

    A type that is not made of builtins is `Any`; a default that is not a literal is `...`.
    """
    fields: dict[str, tuple[Any, Any]] = {}
    for file, class_name in (*config.bases, (config.file, config.name)):
        for node in _class_body(file, class_name):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                fields[node.target.id] = (_type(node.annotation), _default(node.value))
    return fields


def typed(config: ConfigClass, key: str, value: Any, refused: dict[str, str], where: str) -> Any:
    """Return the value of an option, brought to its type in a config class.

    YAML reads `1e-3` as text, so numbers in text form are taken as numbers.

    Args:
        config: the config class.
        key: the option.
        value: its value in the study.
        refused: options that a study may not set, each with the reason.
        where: the key that options of this class stand under.

    Raises:
        ValueError: the option is unknown, refused, or of the wrong type.
    """
    fields = config_fields(config)
    if key not in fields:
        hint = f"; {meant}" if (meant := near(key, fields.keys() - refused.keys()).strip()) else ""
        package = Path(config.file).parts[0]
        version = importlib.metadata.version(package)
        raise ValueError(f"{where}.{key}: {package} {version} {config.name} has no such option{hint}")
    if key in refused:
        raise ValueError(f"{where}.{key} cannot be set in a study: {refused[key]}")
    try:
        return TypeAdapter(fields[key][0]).validate_python(value)
    except ValidationError as error:
        raise ValueError(f"{where}.{key}: {value!r} is not valid: {error.errors()[0]['msg']}") from None


@cache
def members(file: str, class_name: str) -> tuple[str, ...]:
    """Return the values of an enumeration of strings."""
    values = [node.value for node in _class_body(file, class_name) if isinstance(node, ast.Assign)]
    return tuple(str(value.value) for value in values if isinstance(value, ast.Constant))


def _class_body(file: str, class_name: str) -> list[ast.stmt]:
    """Return the statements of a class of an installed package."""
    return next(node.body for node in parsed(file).body if isinstance(node, ast.ClassDef) and node.name == class_name)


def parsed(file: str) -> ast.Module:
    """Return the syntax of a file of an installed package, whose import would take seconds."""
    package = Path(file).parts[0]
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{package} is not installed; run `make setup`")
    return ast.parse((Path(spec.origin).parents[1] / file).read_text(encoding="utf-8"))


_SIMPLE: dict[str, type] = {"int": int, "float": float, "str": str, "bool": bool, "dict": dict, "list": list}


def _type(annotation: ast.expr) -> Any:
    """Return the type that an annotation spells, `Any` where it needs more than builtins."""
    match annotation:
        case ast.Name(id=name) if name in _SIMPLE:
            return _SIMPLE[name]
        case ast.Constant(value=None):
            return None
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _either([_type(left), _type(right)])
        case ast.Subscript(value=ast.Name(id="Optional"), slice=inner):
            return _either([_type(inner), None])
        case ast.Subscript(value=ast.Name(id="Union"), slice=ast.Tuple(elts=parts)):
            return _either([_type(part) for part in parts])
        case ast.Subscript(value=ast.Name(id="Literal"), slice=inner):
            values = ast.literal_eval(inner)
            return Literal[values]
        case ast.Subscript(value=ast.Name(id="list"), slice=ast.Name(id=name)) if name in _SIMPLE:
            return list[_SIMPLE[name]]  # type: ignore[valid-type]
        case ast.Subscript(value=ast.Name(id="dict")):
            return dict
    return Any


def _either(sides: list[Any]) -> Any:
    """Return the type of what is of one of several types, `Any` where one of them is."""
    if Any in sides:
        return Any
    known = [side for side in sides if side is not None]
    return reduce(or_, [*known, *([None] if len(known) < len(sides) else [])])


def _default(value: ast.expr | None) -> Any:
    """Return the literal default of a dataclass field, `...` where it is computed."""
    if isinstance(value, ast.Call):
        value = next((keyword.value for keyword in value.keywords if keyword.arg == "default"), None)
    try:
        return ... if value is None else ast.literal_eval(value)
    except ValueError:
        return ...
