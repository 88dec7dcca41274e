"""Generation engines: what every one of them has."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from reassess import graph
from reassess.graph import Graph
from reassess.study.read import StudyError
from reassess.study.suites import ENGINES


@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_has_what_it_takes(name: str) -> None:
    module = importlib.import_module(ENGINES[name])
    assert module.__doc__
    for function in ("why_not", "version", "device", "start"):
        assert getattr(module, function).__doc__, function
    if not module.why_not(0):
        assert module.version()[0].isdecimal()


def test_naming_engines_loads_none() -> None:
    code = "import sys, reassess.engines; print(sorted({'torch', 'vllm', 'transformers'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_an_unknown_engine_is_refused_with_a_near_miss(tiny: Graph) -> None:
    raw = tiny.study.model_dump(mode="json")
    raw["evaluation"]["engine"] = "vlm"
    with pytest.raises(StudyError, match=r"evaluation\.engine: 'vlm' is no engine; did you mean vllm"):
        graph.parse(raw, "study")
