"""Which files of a copy on the disk hold the rows of a published data set."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from reassess.sources.archives import grouped
from reassess.sources.formats import format_of
from reassess.sources.repository import Hub

# The words by which `datasets` knows a split in the name of a file or a directory.
# Source: datasets 5.2, data_files.py (SPLIT_KEYWORDS, NON_WORDS_CHARS).
WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}


def row_files(root: Path, hub: Hub) -> list[str]:
    """Return the files of a copy that hold the rows, in order; none where none of them is of the split.

    A file is taken as it is. Of a directory, such as a snapshot of the hub, it is what the repository's own list, else
    the `configs` of its card, else the names of files and directories say. Where no name has to do with a split, it is
    all data files.
    """
    if not root.is_dir():
        return [str(root)]
    there = {str(file.relative_to(root)): file for file in sorted(root.rglob("*")) if _is_data(file, root)}
    chosen = (
        [name for pattern in hub.files for name in there if fnmatchcase(name, pattern)]
        # A file alone, without the folders that it has in the repository.
        or [name for pattern in hub.files for name in there if fnmatchcase(name, Path(pattern).name)]
        or list(_of_card(root, hub, list(there)))
        or _of_names(hub, list(there))
    )
    return [str(there[name]) for name in dict.fromkeys(chosen)]


def archive_files(root: Path, hub: Hub) -> dict[str, list[Path]]:
    """Return the files of each archive in a copy, by name; none where it has none of them, such as unpacked ones."""
    folder = root if root.is_dir() else root.parent
    found = [
        file
        for pattern in hub.archives
        for file in sorted(folder.glob(pattern)) or sorted(folder.glob(Path(pattern).name))
    ]
    return {name: [Path(part) for part in parts] for name, parts in grouped(map(str, found)).items()}


def _is_data(file: Path, root: Path) -> bool:
    is_hidden = any(part.startswith(".") for part in file.relative_to(root).parts)
    return bool(format_of(file.name)) and not is_hidden and file.is_file()


def _of_card(root: Path, hub: Hub, there: list[str]) -> Iterator[str]:
    """Yield the files that the card in a copy names for the split."""
    configs = {str(item.get("config_name")): item for item in _configs(root)}
    first = next((name for name, item in configs.items() if name == "default" or item.get("default")), None)
    for config in hub.configs or (first or (next(iter(configs)) if len(configs) == 1 else ""),):
        stated = configs.get(config, {}).get("data_files")
        for item in stated if isinstance(stated, list) else [stated]:
            if isinstance(item, dict) and item.get("split") == hub.split:
                paths = item.get("path")
                for pattern in paths if isinstance(paths, list) else [paths]:
                    yield from (name for name in there if fnmatchcase(name, str(pattern)))


def _configs(root: Path) -> list[dict[str, Any]]:
    """Return the `configs` in the head of a copy's card, none where there are none or they cannot be read."""
    import yaml

    try:
        text = (root / "README.md").read_text(encoding="utf-8")
        head = yaml.safe_load(text.split("---", 2)[1]) if text.startswith("---") else None
    except (OSError, ValueError, IndexError, yaml.YAMLError):
        return []
    found = head.get("configs") if isinstance(head, dict) else None
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _of_names(hub: Hub, there: list[str]) -> list[str]:
    """Return the files that are of the split by name: called like it, else having it as a word; all where none has."""
    of_config = [name for name in there if set(Path(name).parts[:-1]) & set(hub.configs)]
    of_config = of_config or there
    called = [
        name for name in of_config if hub.split in (*Path(name).parts[:-1], Path(name).name.split(".")[0].split("-")[0])
    ]
    if called:
        return called
    own = next((words for split, words in WORDS.items() if hub.split in (split, *words)), (hub.split,))
    if worded := [name for name in of_config if _has_word(name, own)]:
        return worded
    others = tuple(word for words in WORDS.values() for word in words if word not in own)
    return [] if any(_has_word(name, others) for name in of_config) else of_config


def _has_word(name: str, words: tuple[str, ...]) -> bool:
    return re.search(rf"(?:^|[-._ 0-9/])(?:{'|'.join(map(re.escape, words))})(?:[-._ 0-9/]|$)", name) is not None
