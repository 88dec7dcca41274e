"""Sets of examples that a real model makes: sampled, judged, chosen, trained on, and continued after a kill."""

from __future__ import annotations

import json
import math
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from interrupted import signalled_while_it_answers, stored
from reassess import graph, paths
from reassess.console import verify
from reassess.data.examples import build_set
from reassess.data.shards import Shards, stream
from reassess.data.subset import build_subset
from reassess.evaluate.generate import generate
from reassess.evaluate.measure import measure
from reassess.graph import Graph
from reassess.graph.state import States
from reassess.judge import judge
from reassess.study import read
from reassess.train.frame import train

RUN = "toy-xs/toy/seed1/sft+traces@16"
MADE = ("pool toy", "generate +traces", "examples traces", "subset toy+traces/seed1/16", f"train {RUN}")
SAMPLES = 8
DRAW = {"on": "toy", "samples": SAMPLES, "temperature": 1.0, "max_tokens": 24, "think": True}


def study_of(tiny: Graph, **changes: Any) -> Graph:
    """The tiny study with traces that its own base model writes for half of the pool."""
    raw = tiny.study.model_dump(mode="json")
    raw["examples"] = {
        "traces": {"kind": "distill", "model": "toy-xs", "questions": 32, "per_question": 2, "keep": "all", **DRAW},
        "band": {"kind": "band", "model": "toy-xs", "pass_rate": [0, 0.5], **DRAW},
    }
    raw["stages"]["sft"] |= {"per_question": 2, "args": {"num_train_epochs": 1}}
    raw["recipes"] = {"base": [], "sft": [{"by": "sft", "on": "traces"}], "banded": [{"by": "sft", "on": "band"}]}
    raw |= {"other_data": ["sft", "banded"], "exclude": [], "evaluation": {"engine": "transformers"}}
    del raw["suites"]["held-out"]
    return graph.parse({**raw, **changes}, "test")


def make(study: Graph, *names: str) -> None:
    for name in names:
        generate(study, study["generate", f"+{name}"])
        build_set(study, study["examples", name])


def manifest(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(paths.examples(name, "manifest.json")).read_text(encoding="utf-8"))
    return found


def test_traces_are_sampled_judged_and_trained_on(tiny: Graph, tiny_results: Path) -> None:
    study = study_of(tiny)
    make(study, "traces", "band")
    traces, band = manifest("traces"), manifest("band")
    assert traces["asked"]["asked"] == 32
    assert (band["asked"]["asked"], band["asked"]["samples"]) == (64, 64 * SAMPLES)
    assert traces["n"] == traces["asked"]["kept"] == 32 - sum(traces["dropped"].values())
    assert sum(group["asked"] for group in traces["asked"]["by"]["family"].values()) == 32
    assert traces["asked"]["cell"] == "toy-xs/base"
    # What was drawn for the one is not drawn again for the other: 32 of the questions and their seeds are the same.
    assert band["asked"]["generated"] == 32 * SAMPLES
    pool = {item.id: item for item in stream(paths.pool("toy"))}
    said: dict[str, list[str]] = {}
    for row in pq.read_table(paths.evaluation("+traces", "responses.parquet")).to_pylist():
        said.setdefault(row["id"], []).append(row["response"])
    for item in stream(paths.examples("traces")):
        source = pool[item.id]
        assert (item.question, item.gold, item.images) == (source.question, source.gold, source.images)
        for rationale, answer in zip(item.rationales, item.answers, strict=True):
            assert any(rationale in text and answer in text for text in said[item.id])
    # Each example's pass count, also of those that are left out.
    counts = pq.read_table(paths.examples("band", "asked.parquet")).to_pylist()
    assert len(counts) == 64
    by_id = {row["id"]: row for row in counts}
    some = next(iter(stream(paths.examples("band"))))
    assert some.column("right") == by_id[some.id]["right"]
    asked = [(text, pool[id_]) for id_, texts in said.items() for text in texts]
    verdicts = [judge(text, item.gold, item.kind, item.options or None).correct for text, item in asked]
    assert sum(filter(None, verdicts)) == traces["asked"]["right"] > 0

    build_subset(study["subset", "toy+traces/seed1/16"])
    train(study, study["train", RUN])
    record = json.loads(Path(paths.run(RUN, "run.json")).read_text())
    ids = json.loads(Path(paths.subset("toy+traces/seed1/16")).read_text())["ids"]
    sequences = sum(min(2, n) for n in Shards(paths.examples("traces"), ids).lengths("rationales"))
    assert record["samples_seen"] == sequences > 16
    assert record["spec"]["per_question"] == 2
    states = States(study)
    for name in MADE:
        assert states.of(study.jobs[name]) == "done", name
        assert not states.differences(study.jobs[name])
    wrong: list[str] = []
    check = verify._Verification(study, wrong.append)
    for name in MADE:
        check.job(study.jobs[name])
    assert wrong == []
    assert len(check.checked) == len(MADE)
    # Another choice makes another set, and asks nothing again.
    raw = study.study.model_dump(mode="json")
    raw["examples"]["traces"]["choose"] = "shortest"
    other = graph.parse(raw, "test")
    assert States(other).of(other["generate", "+traces"]) == "done"
    assert States(other).of(other["examples", "traces"]) == "outdated"


def test_examples_are_chosen_by_their_likelihood(tiny: Graph, tiny_results: Path) -> None:
    raw = study_of(tiny).study.model_dump(mode="json")
    raw["examples"] = {
        "scored": {"kind": "score", "model": "toy-xs", "on": "toy"},
        "likely": {"kind": "where", "on": "scored", "columns": {"nll": [0, 99]}},
    }
    raw["recipes"] = {"base": [], "sft": [{"by": "sft", "on": "likely"}]}
    raw["other_data"] = ["sft"]
    study = graph.parse(raw, "test")
    measure(study, study["measure", "+scored"])
    build_set(study, study["examples", "scored"])
    values = pq.read_table(paths.measure("+scored", "values.parquet")).to_pylist()
    assert len(values) == manifest("scored")["n"] == 64
    found = {row["id"]: row["nll"] for row in values}
    for item in stream(paths.examples("scored")):
        assert item.column("nll") == found[item.id]
        assert item.column("perplexity") == pytest.approx(math.exp(found[item.id]))
    middle = sorted(found.values())[31]
    raw["examples"]["likely"]["columns"] = {"nll": [0, middle]}
    study = graph.parse(raw, "test")
    build_set(study, study["examples", "likely"])
    likely = {item.id for item in stream(paths.examples("likely"))}
    assert likely == {id_ for id_, nll in found.items() if nll <= middle}
    states = States(study)
    for name in ("measure +scored", "examples scored", "examples likely"):
        assert states.of(study.jobs[name]) == "done", name
    wrong: list[str] = []
    check = verify._Verification(study, wrong.append)
    check.job(study["measure", "+scored"])
    assert wrong == []


def test_a_teacher_that_is_never_right_is_an_error(tiny: Graph, tiny_results: Path) -> None:
    raw = study_of(tiny).study.model_dump(mode="json")
    raw["examples"]["traces"] |= {"keep": "correct", "max_tokens": 1, "questions": 4}
    study = graph.parse(raw, "test")
    generate(study, study["generate", "+traces"])
    with pytest.raises(ValueError, match=r"examples\.traces: no example of toy is kept \(4 x no response.*ask another"):
        build_set(study, study["examples", "traces"])
    assert not Path(paths.examples("traces", "manifest.json")).exists()


def test_a_killed_distillation_goes_on_at_the_last_response(tiny: Graph, tiny_results: Path) -> None:
    raw = study_of(tiny).study.model_dump(mode="json")
    # So slow that it cannot end between two looks at the store.
    raw["evaluation"]["batch_size"] = 2
    study = graph.parse(raw, "test")
    read.dump(study.study, "study.json")
    command = [sys.executable, "-m", "reassess.cli", "generate", "+traces", "--study", "study.json", "--threads", "1"]
    process = subprocess.Popen(command)
    signalled_while_it_answers(process, signal.SIGKILL)
    process.wait()
    assert process.returncode == -9, "it ended before it could be killed"
    before = stored()
    assert 0 < before < 32 * SAMPLES
    subprocess.run(command, check=True)
    record = json.loads(Path(paths.evaluation("+traces", "responses.json")).read_text())
    assert (record["reused"], record["generated"]) == (before, 32 * SAMPLES - before)
    build_set(study, study["examples", "traces"])
    made = manifest("traces")["content_sha256"]
    shutil.rmtree("results/responses")
    Path(paths.evaluation("+traces", "responses.json")).unlink()
    make(study, "traces")
    assert manifest("traces")["content_sha256"] == made


def test_two_cycles_of_sft_and_rl_on_the_last_models_traces(tiny: Graph, tiny_results: Path) -> None:
    raw = tiny.study.model_dump(mode="json")
    rollouts = {"kind": "distill", "recipe": "grpo", **DRAW}
    raw["examples"] = {"first": rollouts, "second": {**rollouts, "recipe": "cycle-1"}}
    raw["recipes"] = {
        "base": [],
        "grpo": ["grpo"],
        "cycle-1": [{"by": "sft", "on": "first"}, "grpo"],
        "cycle-2": [{"by": "sft", "on": "second"}, "grpo"],
    }
    raw |= {"sizes": [8], "exclude": [], "other_data": ["cycle-1", "cycle-2"], "evaluation": {"engine": "transformers"}}
    raw["stages"]["sft"]["args"] = {"num_train_epochs": 1}
    raw["stages"]["grpo"] |= {"trajectory": 0}
    del raw["suites"]["held-out"]
    study = graph.parse(raw, "test")
    run = {"subset": build_subset, "train": partial(train, study), "examples": partial(build_set, study)}
    for job in study.jobs.values():
        if job.rule == "generate" and job.at.examples:
            generate(study, job)
        elif job.rule in run:
            run[job.rule](job)
    one, two = "toy-xs/toy/seed1/sft+first@8/grpo@8", "toy-xs/toy/seed1/sft+second@8/grpo@8"
    prints = {key: json.loads(Path(paths.run(key, "run.json")).read_text())["fingerprint"] for key in (one, two)}
    assert prints[one] != prints[two]
    # Each starts from the base model again, on what the last cycle's model has said.
    assert manifest(f"{one}/second")["asked"]["checkpoints"][0]["fingerprint"] == prints[one]
    (parent,) = json.loads(Path(paths.run("toy-xs/toy/seed1/sft+second@8", "run.json")).read_text())["parents"]
    assert parent["path"] == "results/models/toy-xs/model"
    states = States(study)
    assert {states.of(job) for job in study.jobs.values() if job.rule in ("train", "examples")} == {"done"}
