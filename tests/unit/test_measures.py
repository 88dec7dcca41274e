"""What checkpoints are asked beside answers: kinds of measures, their jobs, and values that are kept as they come."""

from __future__ import annotations

import inspect
import json
import math
import subprocess
import sys
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, get_args

import numpy as np
import pytest
from pydantic import ValidationError

from reassess import graph
from reassess.evaluate.values import Values
from reassess.graph import Graph, resources
from reassess.measures import Measure
from reassess.measures.nll import Nll
from reassess.study.read import StudyError, read_yaml

# One alone is no union.
KINDS = get_args(get_args(Measure)[0]) if get_args(Measure) else (Measure,)
REFUSED = {"nll": {"kind": "nll", "on": "toy", "recipes": []}}
LOSS = {"kind": "nll", "on": "toy"}


def study_of(root: Path, measures: dict[str, Any], **changes: Any) -> Graph:
    """The tiny study with measures."""
    return graph.parse({**read_yaml(root / "studies/tiny.yaml"), **changes, "measures": measures}, "test")


@pytest.mark.parametrize("kind", KINDS)
def test_what_every_measure_has(kind: type[Any]) -> None:
    (name,) = get_args(kind.model_fields["kind"].annotation)
    assert inspect.getdoc(kind)
    assert kind.VERSION >= 1
    assert kind.UNIT
    assert "tokens" in kind.COLUMNS[1:]
    assert inspect.getdoc(resolve_name(kind.RUN))
    spec = kind(kind=name, on="toy")
    json.dumps(spec.identity())
    found = spec.summary(2, dict.fromkeys(kind.COLUMNS, 4.0))
    assert found[kind.COLUMNS[0]] == found["tokens"] == 2.0
    with pytest.raises(ValidationError):
        kind.model_validate(REFUSED[name])


def test_naming_measures_loads_nothing_heavy() -> None:
    code = "import sys, reassess.measures; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"numpy", "pyarrow", "PIL", "torch"} & set(loaded)


def test_nll_is_summed_up_over_examples_and_over_tokens() -> None:
    # Two tokens of 1 nat each, and eight of 2.
    found = Nll(kind="nll", on="toy").summary(2, {"nll": 3.0, "tokens": 10, "sum": 18.0})
    assert found == {"nll": 1.5, "nll_over_tokens": 1.8, "perplexity": pytest.approx(math.exp(1.8)), "tokens": 5.0}
    assert math.isfinite(Nll(kind="nll", on="toy").summary(1, {"nll": 1e4, "tokens": 1, "sum": 1e4})["perplexity"])


def test_a_measure_is_taken_of_the_base_model_once_and_of_every_cell(root: Path) -> None:
    study = study_of(
        root, {"loss": LOSS, "few": {**LOSS, "recipes": ["base", "sft"]}, "text": {**LOSS, "on": "toy-text"}}
    )
    made = "toy-xs/toy/seed1"
    few = ["toy-xs/base", f"{made}/sft@16", f"{made}/sft@32"]
    every = [*few, f"{made}/grpo@32", f"{made}/sft@32/grpo@32"]
    for name, cells in (("loss", every), ("few", few), ("text", every)):
        assert sorted(job.key for job in study.of("measure") if job.at.measure == name) == sorted(
            f"{cell}/{name}" for cell in cells
        )
    job = study["measure", f"{made}/sft@32/loss"]
    assert job.needs == (f"train {made}/sft@32", "pool toy")
    assert job.inputs == (f"results/runs/{made}/sft@32/run.json", "results/pools/toy/manifest.json")
    assert job.record == f"results/measures/{made}/sft@32/loss/measure.json"
    assert (job.kind, job.at.cell, job.at.suite) == ("measure loss", f"{made}/sft@32", "")
    assert study["measure", "toy-xs/base/text"].needs == ("model toy-xs", "benchmark toy-text")
    assert set(job.outputs) <= set(study["tables", "all"].inputs) | {job.outputs[1]}
    assert job.outputs[1] in study.results()
    # Who is measured says nothing about values; what it is measured on, and with which engine, does.
    assert study["measure", "toy-xs/base/few"].spec == study["measure", "toy-xs/base/loss"].spec
    assert study["measure", "toy-xs/base/text"].spec != job.spec
    one = study_of(root, {"loss": LOSS}, evaluation={"engine": "transformers", "batch_size": 2})
    other = study_of(root, {"loss": LOSS}, evaluation={"engine": "transformers", "batch_size": 4})
    assert job.spec != one["measure", job.key].spec == other["measure", job.key].spec


def test_what_only_a_measure_reads_is_made(root: Path) -> None:
    toys = [{"kind": "toy", "n": 48, "seed": 3}]
    pools = {**read_yaml(root / "studies/tiny.yaml")["pools"], "other": {"sources": toys, "held_out": 2}}
    benchmarks = {**read_yaml(root / "studies/tiny.yaml")["benchmarks"], "held": {"pool": "other"}}
    examples = {"hard": {"kind": "where", "on": "other", "difficulty": [2]}}
    measures = {"set": {**LOSS, "on": "hard"}, "rows": {**LOSS, "on": "held"}}
    study = study_of(root, measures, pools=pools, benchmarks=benchmarks, examples=examples, only=[{"pool": "toy"}])
    made = [job.name for job in study.jobs.values()]
    assert study["measure", "toy-xs/base/set"].needs == ("model toy-xs", "examples hard")
    assert study["measure", "toy-xs/base/rows"].needs == ("model toy-xs", "benchmark held")
    assert made.index("pool other") < made.index("examples hard") < made.index("measure toy-xs/toy/seed1/sft@32/set")
    assert made.index("pool other") < made.index("benchmark held")


def test_a_set_that_is_made_once_is_measured_and_one_of_every_cell_is_not(root: Path) -> None:
    by_base = {"kind": "distill", "on": "toy", "model": "toy-xs"}
    study = study_of(root, {"set": {**LOSS, "on": "said"}}, examples={"said": by_base})
    job = study["measure", "toy-xs/toy/seed1/sft@32/set"]
    (made,) = study.of("examples")
    assert job.needs == ("train toy-xs/toy/seed1/sft@32", made.name)
    order = list(study.jobs)
    assert order.index("model toy-xs") < order.index(f"generate +{made.key}") < order.index(made.name)
    by_each = {"kind": "distill", "on": "toy", "recipe": "sft"}
    with pytest.raises(StudyError, match=r"measures\.set\.on: 'said' is made by each cell's own model"):
        study_of(root, {"set": {**LOSS, "on": "said"}}, examples={"said": by_each})


def test_a_measure_asks_for_what_answers_ask_for(root: Path) -> None:
    hub = {"path": "owner/name-7B", "revision": "0" * 40, "resources": {"generate": {"gpu": 2, "runtime": 7}}}
    alone = {"suites": {"main": {"benchmarks": ["toy-id"]}}, "stages": {}, "recipes": {"base": []}, "exclude": []}
    study = study_of(root, {"loss": LOSS}, models={"big": hub}, **alone)
    jobs = study["generate", "big/base/main"], study["measure", "big/base/loss"]
    answers, measure = (resources.asked_by(study.study, job) for job in jobs)
    assert answers == measure
    assert (measure.gpu, measure.runtime) == (2, 7)


@pytest.mark.parametrize(
    ("measures", "said"),
    [
        ({"loss": {**LOSS, "on": "tyo"}}, ["measures.loss.on: no pool, set of examples or benchmark is called 'tyo'"]),
        ({"loss": {**LOSS, "on": "tyo"}}, ["did you mean toy", "known: toy, both, toy-id, toy-text"]),
        ({"loss": {**LOSS, "on": "both"}}, ["measures.loss.on: 'both' is the name of several (examples, benchmark)"]),
        ({"loss": {**LOSS, "recipes": ["stf"]}}, ["measures.loss.recipes: 'stf' is no recipe", "did you mean sft"]),
        ({"loss": {**LOSS, "recipes": ["base-think"]}}, ["'base-think' is no recipe that is evaluated"]),
        ({"loss": {**LOSS, "recipes": []}}, ["measures.loss.recipes", "at least 1 item"]),
        ({"loss": {**LOSS, "recipe": 1}}, ["measures.loss.recipe: unknown key; did you mean recipes?"]),
        ({"loss": {**LOSS, "kind": "nl"}}, ["measures.loss", "kind", "'nl'", "'nll'"]),
        ({"a/b": LOSS}, ["measures", "'a/b' does not match"]),
    ],
)
def test_a_mistake_in_a_measure_is_one_error(root: Path, measures: dict[str, Any], said: list[str]) -> None:
    benchmarks = read_yaml(root / "studies/tiny.yaml")["benchmarks"]
    both = {"kind": "where", "on": "toy", "difficulty": [2]}
    changes = {"examples": {"both": both}, "benchmarks": {**benchmarks, "both": benchmarks["toy-id"]}}
    with pytest.raises(StudyError) as error:
        study_of(root, measures, **changes)
    assert len(str(error.value).splitlines()) == 1
    for part in said:
        assert part in str(error.value)


def test_values_are_kept_as_they_come_and_begun_anew_for_something_else(tmp_path: Path) -> None:
    file = tmp_path / "cell" / "values.jsonl"
    columns = ("nll", "tokens")
    with Values(file, {"of": "a"}, columns, 4) as values:
        assert values.missing() == [0, 1, 2, 3]
        values.add({2: {"nll": 0.1, "tokens": 3}, 0: {"nll": 1.0, "tokens": 5}})
        # On the disk, whatever becomes of this process.
        assert len(file.read_bytes().splitlines()) == 3
    # A kill has cut the next line.
    with file.open("ab") as handle:
        handle.write(b"[1, 0.25, 4")
    with Values(file, {"of": "a"}, columns, 4) as values:
        assert values.missing() == [1, 3]
        values.add({3: {"nll": 0.5, "tokens": 2}})
    with Values(file, {"of": "a"}, columns, 4) as values:
        assert values.missing() == [1]
        assert np.array_equal(values.columns["nll"], [1.0, np.nan, 0.1, 0.5], equal_nan=True)
        assert np.array_equal(values.columns["tokens"], [5, np.nan, 3, 2], equal_nan=True)
    with Values(file, {"of": "b"}, columns, 4) as values:
        assert values.missing() == [0, 1, 2, 3]
    assert len(file.read_bytes().splitlines()) == 1
    values.remove()
    assert not file.exists()
