"""What every benchmark that is known by name has, and what its module costs to import."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from reassess.benchmarks import KNOWN, has_rows, module
from reassess.benchmarks.item import Item, Outcome
from reassess.example import DataError
from reassess.sources.published import Card, Hub

WITH_ROWS = [name for name in KNOWN if has_rows(name)]
HEAVY = ("PIL", "datasets", "numpy", "pandas", "pyarrow", "sympy", "torch", "transformers")


def test_importing_all_of_them_is_light() -> None:
    code = (
        "import sys, reassess.benchmarks as b\n"
        "assert not [name for name in b.KNOWN.values() if name in sys.modules], 'imported before it is named'\n"
        "[b.module(name) for name in b.KNOWN]\n"
        f"print(*[name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("name", KNOWN)
def test_a_module_names_its_source_and_has_a_rule(name: str) -> None:
    found = module(name)
    assert found.__name__ == KNOWN[name] == f"reassess.benchmarks.{name}"
    assert found.__doc__ is not None
    assert re.search(r"^Sources?: \S", found.__doc__, re.MULTILINE), "which code or paper the rule follows"
    assert re.match(r"[^:\n]+: \S", found.__doc__), "the rule in a few words, for docs/data.md"
    assert isinstance(found.METADATA, frozenset)
    assert isinstance(found.judge(Item("", "", (), dict.fromkeys(found.METADATA, "1"))), Outcome)
    assert callable(getattr(found, "summary", len))


@pytest.mark.parametrize("name", KNOWN)
def test_a_module_knows_all_about_its_rows_or_nothing(name: str) -> None:
    there = {key for key in ("SOURCE", "MODALITY", "VERSION", "CARD", "example") if hasattr(module(name), key)}
    assert len(there) in (0, 5), there


@pytest.mark.parametrize("name", WITH_ROWS)
def test_rows_are_pinned_and_their_columns_checked(name: str) -> None:
    found = module(name)
    assert isinstance(found.SOURCE, Hub)
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", found.SOURCE.path)
    assert found.SOURCE.split
    assert found.SOURCE.revision is None or re.fullmatch(r"[0-9a-f]{40}", found.SOURCE.revision)
    assert found.SOURCE.licence != ""
    assert found.MODALITY in ("visual", "text")
    assert found.VERSION >= 1
    assert isinstance(found.CARD, Card)
    assert found.CARD.what
    assert found.CARD.prompt
    assert found.CARD.metric
    assert re.search(r"^Rows: \S", found.__doc__ or "", re.MULTILINE), "which card or code the columns are from"
    with pytest.raises(DataError, match="no column '"):
        found.example({})
