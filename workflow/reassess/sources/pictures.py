"""Encoded images from the cells of files: bytes, paths, base64, `data:` URIs, and lists of these.

A cell that is none of them raises `RowError`, and its row is put aside.
"""

from __future__ import annotations

import ast
import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from reassess.example import RowError
from reassess.sources.values import is_missing, plain

Find = Callable[[str], bytes]
"""From the path of an image to its bytes. Raises RowError."""

# The base64 of the smallest PNG has more characters; VLMEvalKit takes what is not longer for something else too
# (vlmeval/dataset/image_base.py).
SHORT = 64


def pictures(value: Any, column: str, find: Find) -> tuple[bytes, ...]:
    """Return the encoded images in a cell, none where it is missing.

    A cell is bytes, `bytes` and `path` as `datasets.Image` writes them, a path, `file://` or `data:` URI, base64, a
    list of any of these, or the text of a list.

    Raises:
        RowError: it is none of these, or an image of a list is missing.
    """
    value = plain(value)
    if is_missing(value):
        return ()
    if isinstance(value, bytes | bytearray | memoryview):
        return (bytes(value),)
    if isinstance(value, list | tuple):
        return _listed(value, column, find)
    if isinstance(value, dict) and {"bytes", "path"} & value.keys():
        inside = value.get("bytes")
        return pictures(inside if inside is not None else value.get("path"), column, find)
    if not isinstance(value, str):
        raise RowError("not an image", column)
    stated = value.strip()
    listed = _list_in(stated)
    if listed is not None:
        return _listed(listed, column, find)
    return (_of_text(stated, column, find),)


def _listed(value: list[Any] | tuple[Any, ...], column: str, find: Find) -> tuple[bytes, ...]:
    found = [pictures(item, column, find) for item in value]
    if not all(found):
        raise RowError("an empty value in a list", column)
    return tuple(picture for item in found for picture in item)


def _list_in(stated: str) -> list[Any] | None:
    """Return the list that a text stands for, None where it stands for none."""
    if not (stated.startswith("[") and stated.endswith("]")):
        return None
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(stated)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        return found if isinstance(found, list) else None
    return None


def _of_text(stated: str, column: str, find: Find) -> bytes:
    """Return the encoded image that a path, a URI or base64 stands for. Raises RowError."""
    if stated[:5].lower() == "data:":
        head, _, data = stated.partition(",")
        if not head.endswith(";base64"):
            raise RowError("a data: URI that is not base64", column)
        return decoded(data, column)
    if stated[:7].lower().startswith(("http://", "https:/")):
        raise RowError("the address of an image on the web: download it first", column)
    # A path has a full stop before its suffix, and base64 has none anywhere.
    if len(stated) > SHORT and "." not in stated:
        return decoded(stated, column)
    try:
        return find(stated)
    except RowError as error:
        raise RowError(error.reason, column) from None


def decoded(stated: str, column: str) -> bytes:
    """Return what a text of base64 stands for, with or without white space in it. Raises RowError."""
    try:
        return base64.b64decode("".join(stated.split()), validate=True)
    except ValueError:
        raise RowError("not base64", column) from None


def below(root: Path, path: str) -> bytes:
    """Return the file that a path names below a directory.

    What begins with "/" or `file://` is looked up there too, and so is what Windows wrote with backslashes.

    Raises:
        RowError: there is none, or it lies outside, links followed.
    """
    stated = unquote(path[7:]) if path[:7].lower() == "file://" else path
    spelled = dict.fromkeys((stated, stated.replace("\\", "/"), stated.replace("\\", "/").lstrip("/")))
    leads_out = False
    try:
        inside = root.resolve()
        for text in filter(None, spelled):
            file = (inside / text).resolve()
            if not file.is_relative_to(inside):
                leads_out = True
            elif file.is_file():
                return file.read_bytes()
    except (OSError, RuntimeError, ValueError):
        # A circle of links is a RuntimeError before Python 3.13, a zero byte in a path a ValueError.
        raise RowError("the image file cannot be read") from None
    raise RowError("the path leads out of the folder of images" if leads_out else "no such image file")
