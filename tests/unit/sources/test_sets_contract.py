"""What every training set that is known by name has, and what its module costs to import."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from types import ModuleType

import pytest

from reassess.example import DataError
from reassess.sources.published import Card, Hub
from reassess.sources.sets import SETS

HEAVY = ("PIL", "datasets", "numpy", "pandas", "pyarrow", "sympy", "torch", "transformers")


def module(name: str) -> ModuleType:
    return importlib.import_module(SETS[name])


def test_importing_all_of_them_is_light() -> None:
    code = (
        "import importlib, sys, reassess.sources.sets as s\n"
        "assert not [name for name in s.SETS.values() if name in sys.modules], 'imported before it is named'\n"
        "[importlib.import_module(path) for path in s.SETS.values()]\n"
        f"print(*[name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_names_are_in_order() -> None:
    assert list(SETS) == sorted(SETS)


@pytest.mark.parametrize("name", SETS)
def test_what_a_set_has(name: str) -> None:
    found = module(name)
    assert SETS[name] == f"reassess.sources.sets.{name.replace('-', '_')}"
    assert re.search(r"^Rows: \S", found.__doc__ or "", re.MULTILINE), "which card or code the columns are from"
    assert isinstance(found.SOURCE, Hub)
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", found.SOURCE.path)
    assert found.SOURCE.split
    assert found.SOURCE.revision is None or re.fullmatch(r"[0-9a-f]{40}", found.SOURCE.revision)
    assert found.SOURCE.licence != ""
    assert found.MODALITY in ("visual", "text", "mixed")
    assert found.VERSION >= 1
    assert isinstance(found.CARD, Card)
    assert found.CARD.what.endswith(".")
    assert all(trap.endswith(".") for trap in found.CARD.traps)
    assert bool(found.SOURCE.archives) <= bool(getattr(found, "PICTURES", ())), "archives without a column of paths"
    with pytest.raises(DataError, match="no column '"):
        found.example({})
