"""Plan: the longest chain, the wall time with so many jobs at a time, times of jobs, and what is left of a study."""

from __future__ import annotations

import itertools
import json
import random
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from reassess import cli, graph, paths
from reassess.console.durations import SHARE_OF_LIMIT, Durations
from reassess.console.plan import clock, left, overview
from reassess.console.schedule import critical_path, wall
from reassess.console.workload import Workload, tokens
from reassess.graph import Coordinates, Graph, Job
from reassess.graph.state import States
from snake import ROOT, planned

Needs = dict[str, list[str]]


def drawn(seed: int) -> tuple[Needs, dict[str, float]]:
    """A graph of a dozen jobs with their times."""
    draw = random.Random(seed)
    names = [f"job{i}" for i in range(draw.randint(1, 12))]
    needs = {name: draw.sample(names[:i], draw.randint(0, min(i, 3))) for i, name in enumerate(names)}
    return needs, {name: draw.choice([0.0, 1.0, draw.uniform(0.1, 20)]) for name in names}


def chains(needs: Needs) -> list[tuple[str, ...]]:
    """Every chain of the graph that cannot be made longer at its front."""
    found = []

    def walk(chain: tuple[str, ...]) -> None:
        found.append(chain)
        for name in needs[chain[0]]:
            walk((name, *chain))

    for name in needs:
        walk((name,))
    return found


def test_the_critical_path_is_the_longest_and_no_schedule_beats_it() -> None:
    for seed in range(500):
        needs, seconds = drawn(seed)
        path = critical_path(needs, seconds)
        length = sum(seconds[name] for name in path)
        assert length == pytest.approx(max(sum(seconds[name] for name in chain) for chain in chains(needs))), seed
        assert all(before in needs[after] for before, after in itertools.pairwise(path)), seed
        work = sum(seconds.values())
        ends = [wall(needs, seconds, slots) for slots in range(1, len(needs) + 1)]
        assert ends[0] == pytest.approx(work), seed
        assert ends[-1] == pytest.approx(length), seed
        for slots, end in enumerate(ends, 1):
            assert end >= max(length, work / slots) - 1e-9, seed
            # Graham's bound: a slot is idle only while the longest chain that is left runs.
            assert end <= work / slots + length + 1e-9, seed


def test_two_slots_by_hand() -> None:
    needs: Needs = {"a": [], "b": [], "c": ["a"], "d": ["b", "c"]}
    seconds = {"a": 2.0, "b": 5.0, "c": 4.0, "d": 1.0}
    assert critical_path(needs, seconds) == ["a", "c", "d"]
    assert [wall(needs, seconds, slots) for slots in (1, 2)] == [12.0, 7.0]
    assert critical_path({}, {}) == []
    assert wall({}, {}, 4) == 0


@pytest.mark.parametrize("name", ["config.yaml", "studies/tiny.yaml"])
def test_the_graph_has_the_jobs_of_the_rules_in_an_order_that_can_run(name: str, root: Path) -> None:
    found = graph.load(root / name)
    assert Counter(job.rule for job in found.jobs.values()) == Counter(found.counts())
    before: set[str] = set()
    for job in found.jobs.values():
        assert set(job.needs) <= before
        before.add(job.name)
    if found.study.name == "tiny":
        child = found["train", "toy-xs/toy/seed1/sft@32/grpo@32"]
        assert child.needs == ("train toy-xs/toy/seed1/sft@32", "subset toy/seed1/32")
        assert (child.at.model, child.at.stage, child.at.size) == ("toy-xs", "grpo", 32)


def timed(*records: dict[str, Any]) -> None:
    """Write what earlier jobs cost, a second of CPU time for each two of wall time."""
    folder = Path("results/times")
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        json.dumps({"ok": True, "started": 1000.0 + i, "cpu_seconds": record["seconds"] / 2, **record})
        for i, record in enumerate(records)
    ]
    # A line that a kill has cut says nothing.
    (folder / "node1.jsonl").write_text("\n".join([*lines, '{"rule": "train", "sec']))


def cost(rule: str, key: str, seconds: float, at: Coordinates, **more: Any) -> dict[str, Any]:
    """What a command has written of a job."""
    return {"rule": rule, "key": key, "at": at._asdict(), "seconds": seconds, **more}


def trained(name: str, seconds: float, model: str = "toy-xs", seed: int = 1, **more: Any) -> dict[str, Any]:
    key = f"{model}/toy/seed{seed}/{name}"
    stage, _, size = name.rpartition("/")[2].partition("@")
    return cost("train", key, seconds, Coordinates(model, "toy", seed, int(size), stage, key), **more)


def answered(cell: str, suite: str, seconds: float) -> dict[str, Any]:
    at = Coordinates(cell.partition("/")[0], cell=cell, suite=suite)
    return cost("generate", f"{cell}/{suite}", seconds, at)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def study(root: Path) -> Graph:
    """Two toys and two real models."""
    data = yaml.safe_load((root / "config.yaml").read_text(encoding="utf-8"))
    real = {"revision": "0" * 40, "resources": {"sft": {"gpu": 2, "threads": 4, "runtime": 100}}}
    for size in (3, 7):
        data["models"][f"real-{size}b"] = {**real, "path": f"someone/Model-{size}B"}
    return graph.parse(data, "study")


def duration(study: Graph, name: str) -> tuple[float, float, str]:
    found = Durations(study).of(study.jobs[name])
    return round(found.seconds, 3), round(found.cpu_seconds, 3), found.source


def test_a_job_takes_as_long_as_its_own_last_result(here: Path, study: Graph) -> None:
    timed(
        trained("sft@200", 50.0),
        trained("sft@200", 30.0, ok=False),
        trained("sft@200", 40.0),
        trained("sft@200", 7.0, ok=False),
    )
    # The second result took an attempt that was broken off; what was tried since has no result yet.
    assert duration(study, "train toy-xs/toy/seed1/sft@200") == (70, 35, "measured")


def test_a_job_that_never_ran_takes_as_long_as_its_like(here: Path, study: Graph) -> None:
    timed(trained("sft@200", 50.0), trained("sft@200", 70.0, seed=2), trained("sft@200/grpo@200", 10.0))
    assert duration(study, "train toy-xs/toy/seed2/grpo@200") == (10, 5, "like")
    assert duration(study, "train toy-xs/toy/seed1/sft@2000") == (600, 300, "like")
    assert duration(study, "train toy-s/toy/seed1/sft@200") == (60, 30, "like"), "of another toy"
    seconds = SHARE_OF_LIMIT * 6000
    assert duration(study, "train real-3b/toy/seed1/sft@200") == (seconds, 4 * seconds, "guess"), "a toy is no model"
    timed(trained("sft@200", 3000.0, "real-7b"))
    assert duration(study, "train real-3b/toy/seed1/sft@200") == (3000, 1500, "like")


def test_a_line_through_two_sizes_knows_the_start_up(here: Path, study: Graph) -> None:
    timed(trained("sft@100", 20.0), trained("sft@200", 30.0))
    assert duration(study, "train toy-xs/toy/seed2/sft@2000") == (210, 105, "like")
    timed(trained("sft@100", 30.0), trained("sft@200", 20.0))
    assert duration(study, "train toy-xs/toy/seed2/sft@2000") == (200, 100, "like"), "no line that falls"


def test_a_variant_that_never_ran_takes_as_long_as_its_kind(here: Path, study: Graph) -> None:
    raw = study.study.model_dump(mode="json")
    raw["stages"]["varied"] = {**raw["stages"]["sft"], "vary": {"weight_decay": [0.1, 0.2]}}
    raw["recipes"]["varied"] = ["varied"]
    timed(trained("sft@200", 10.0))
    found = graph.parse(raw, "varied")
    assert duration(found, "train toy-xs/toy/seed1/varied.wd0.1@200") == (10, 5, "like")


def test_other_commands_are_like_their_own(here: Path, study: Graph) -> None:
    cell = "toy-xs/toy/seed1/sft@200"
    timed(
        answered(cell, "main", 12.0),
        answered("toy-xs/base", "held-out", 99.0),
        cost("pool", "other", 3.0, Coordinates()),
        cost("tables", "partial", 50.0, Coordinates()),
        cost("tables", "all", 5.0, Coordinates()),
        cost("subset", "toy/seed1/200", 1.0, Coordinates(pool="toy", seed=1, size=200)),
    )
    assert duration(study, f"generate {cell}/main") == (12, 6, "measured")
    assert duration(study, "generate toy-s/base/main") == (12, 6, "like")
    assert duration(study, "pool toy") == (3, 1.5, "like")
    assert duration(study, "tables all") == (5, 2.5, "measured")
    assert duration(study, "subset toy/seed1/200") == (1, 0.5, "measured")
    assert duration(study, "score toy-s/base/main")[2] == "guess"


def test_of_a_run_that_has_begun_the_rest_is_left(here: Path, study: Graph) -> None:
    timed(trained("sft@200", 100.0, seed=2))
    checkpoint = Path(paths.run("toy-xs/toy/seed1/sft@200"), "checkpoints/0badcafe/checkpoint-5")
    checkpoint.mkdir(parents=True)
    (checkpoint / "complete.json").write_text('{"step": 5, "seconds": 30.0}')
    assert duration(study, "train toy-xs/toy/seed1/sft@200") == (70, 35, "like")


def test_the_text_adds_up(here: Path, study: Graph, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    timed(trained("sft@200", 3000.0, "real-7b"))
    text = overview(study, slots=3)
    total = len(study.jobs)
    assert not [line for line in text.splitlines() if line != line.rstrip()]
    assert text.startswith(f"study toy: {total} of {total} jobs are left\n")
    # Two models at two seeds, at 200 examples and ten times as many.
    hours = 2 * 4 * (3000 + 30_000) / 3600
    assert re.search(rf"^  train sft +16 .* {hours:.2f} ", text, re.MULTILINE), "two models on two GPUs each"
    assert re.search(r"^critical path: .*, however many jobs run at a time$", text, re.MULTILINE)
    path = re.findall(r"^ +\S+  guess +(.*)$", text, re.MULTILINE)
    assert path[0].startswith("model real-")
    assert path[-1] in ("tables", "figures")
    durations = Durations(study)
    seconds = {name: durations.of(job).seconds for name, job in study.jobs.items()}
    end = clock(wall({name: job.needs for name, job in study.jobs.items()}, seconds, 3))
    assert re.search(rf"^with 3 jobs at a time: {end}$", text, re.MULTILINE)
    assert "jobs at a time: " not in overview(study)
    assert "to end sooner, shorten `" in text
    assert "(with 3 jobs at a time)" in text
    assert cli.main(["plan", str(root / "studies/tiny.yaml")]) == 0
    said = capsys.readouterr().out
    assert "study tiny: 28 of 28 jobs are left" in said
    assert "hours are not known" in said, "a real model's time says nothing of a toy"
    assert cli.main(["plan", str(root / "studies/tiny.yaml"), "--slots", "0"]) == 1
    assert capsys.readouterr().err == "reassess: --slots 0: at least one job at a time\n"


def test_the_advice_depends_on_how_many_jobs_run_at_a_time(here: Path, tiny: Graph) -> None:
    times = [trained("sft@32", 100.0), trained("sft@32/grpo@32", 60.0), trained("grpo@32", 60.0)]
    timed(*times, answered("toy-xs/base", "main", 70.0), cost("model", "toy-xs", 1.0, Coordinates("toy-xs")))
    assert "shorten `train sft`" in overview(tiny)
    assert "shorten `generate main`" in overview(tiny, slots=1)


def counted(text: str) -> dict[str, list[str]]:
    """The rows of a table of work: by what they are of, the numbers."""
    rows = [re.split(r"  +", line.strip()) for line in text.splitlines() if line.startswith("  ")]
    return {row[0]: row[1:] for row in rows if len(row) == 9}


def test_where_nothing_ran_the_work_is_counted_and_no_hours_are_guessed(here: Path, tiny: Graph) -> None:
    text = overview(tiny, slots=2)
    assert counted(text) == {
        "kind of job": ["jobs", "GPUs each", "prompts", "completions", "tokens", "steps", "sequences", "tokens"],
        # 16 and 32 examples in batches of 8, twice; a person's rationales have no limit.
        "train sft": ["2", "-", "-", "-", "-", "12", "96", "15k+"],
        # 32 prompts with 4 completions each, 8 of them a step; of the base model, and of SFT's.
        "train grpo": ["2", "-", "64", "256", "16k", "32", "256", "47k"],
        # Two benchmarks of 32; and two checkpoints of each run, asked one of them.
        "generate main": ["6", "-", "384", "384", "74k", "-", "-", "-"],
        "generate held-out": ["2", "-", "128", "128", "25k", "-", "-", "-"],
        "all": ["12", "-", "576", "768", "115k", "44", "352", "62k+"],
    }
    assert "1 pool, 2 benchmark, 1 model, 2 subset, 8 score, 1 tables, 1 figures" in text
    assert "hours are not known" in text
    assert not re.search(r"guess|critical path|\d+h|at a time", text)
    assert not [line for line in text.splitlines() if line != line.rstrip()]
    timed(answered("toy-xs/base", "main", 12.0))
    assert "critical path" in overview(tiny)


def test_the_work_of_the_published_size(here: Path, root: Path) -> None:
    found = graph.load(root / "studies/full/reassessing.yaml")
    text = overview(found)
    shown, _, _ = text.partition("\n\n  model ")
    assert shown in (root / "docs/quickstart.md").read_text(encoding="utf-8"), "docs/quickstart.md shows another plan"
    rows = counted(text)
    examples, runs = (2000, 10_000, 20_000), 4 * 3
    # Of the published rows those that are not held out, each asked four times.
    asked = 2101 + 38_870 - 512
    assert rows["generate from-32b"][2:4] == [f"{asked:,}", f"{4 * asked:,}"]
    assert rows["train sft"][5:7] == [
        f"{runs * 3 * sum(-(-n // 128) for n in examples):,}",
        f"{runs * 3 * sum(examples):,}",
    ]
    # From the base model and from SFT's, two epochs of draws of 512 prompts, each parted into four steps.
    draws = 2 * runs * 2 * sum(n // 512 for n in examples)
    assert rows["train grpo"][2:4] + rows["train grpo"][5:7] == [
        f"{512 * draws:,}",
        f"{2560 * draws:,}",
        f"{4 * draws:,}",
        f"{2560 * draws:,}",
    ]
    # DAPO draws ten times as many at most, and learns from as many.
    assert rows["train dapo"][2:4] + rows["train dapo"][6:7] == [
        f"{512 * draws // 2 * 10:,}",
        f"{2560 * draws // 2 * 10:,}",
        f"{2560 * draws // 2:,}",
    ]
    assert [name for name in rows if name in found.study.speakers] == list(found.study.speakers)
    assert rows["generate trajectory"][2] == f"{3 * runs * 3 * 5 * (512 + 1000):,}"


def work_of(graph_: Graph, name: str, todo: list[str]) -> list[str]:
    return Workload(graph_, todo).of(graph_.jobs[name]).row()[2:4]


def test_a_record_counts_before_what_is_published(here: Path, tiny: Graph) -> None:
    base = "generate toy-xs/base/main"
    assert work_of(tiny, base, [base, "benchmark toy-id", "benchmark toy-text"]) == ["64", "64"]
    folder = Path(paths.benchmark("toy-text"))
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text('{"n": 7}')
    assert work_of(tiny, base, [base, "benchmark toy-id"]) == ["39", "39"]


def test_what_only_reading_tells_is_a_question_mark(here: Path, root: Path) -> None:
    data = yaml.safe_load((root / "studies/tiny.yaml").read_text(encoding="utf-8"))
    Path("mine.jsonl").write_text("{}")
    data["benchmarks"]["toy-id"] = {"sources": [{"kind": "jsonl", "path": "mine.jsonl", "licence": "CC0"}]}
    text = overview(graph.parse(data, "test"))
    assert counted(text)["generate main"][2:5] == ["192+", "192+", "37k+"]
    assert counted(text)["generate held-out"][2:5] == ["?", "?", "?"]
    assert "only reading tells how many rows there are in benchmarks.toy-id" in text


def test_a_size_that_fills_no_draw_is_said(here: Path, root: Path) -> None:
    data = yaml.safe_load((root / "studies/tiny.yaml").read_text(encoding="utf-8"))
    data["stages"]["grpo"]["batch_size"] = 160
    text = overview(graph.parse(data, "test"))
    assert "cannot run as it is: stages.grpo: 32 examples do not fill one generation batch of 40 prompts" in text


def test_sets_of_examples_are_asked_as_often_as_their_steps_say(here: Path, root: Path) -> None:
    data = yaml.safe_load((root / "studies/tiny.yaml").read_text(encoding="utf-8"))
    ask = {"on": "toy", "model": "toy-xs", "temperature": 1.0, "max_tokens": 24}
    data["examples"] = {
        "few": {"kind": "distill", "samples": 3, "questions": 40, **ask},
        "all": {"kind": "distill", "samples": 2, **ask, "on": "few"},
        "both": {"kind": "mix", "of": {"few": 1, "all": 1}, "n": 32},
    }
    data["stages"]["sft"]["on"] = "both"
    data["stages"]["once"] = {"kind": "sft", "on": "few", "batch_size": 8, "args": {"num_train_epochs": 1}}
    data["recipes"]["once"] = ["once@all"]
    data["pools"]["toy"]["only_with"] = ["both", "few"]
    data["measures"] = {
        "nll": {"kind": "nll", "on": "both", "recipes": ["base"]},
        "held": {"kind": "nll", "on": "union", "recipes": ["base"]},
    }
    data["examples"]["union"] = {"kind": "mix", "of": {"few": 1, "all": 1}}
    data["teachers"] = {"gpt": {"endpoint": "http://localhost:1/v1", "name": "gpt"}}
    data["examples"]["told"] = {"kind": "distill", "on": "toy", "model": "gpt", "max_tokens": 24}
    data["examples"]["likely"] = {"kind": "score", "on": "few", "model": "toy-xs"}
    data["pools"]["toy"]["only_with"] += ["told", "likely"]
    found = graph.parse(data, "test")
    text = overview(found)
    rows = counted(text)
    assert [rows[f"generate {name}"][2:4] for name in ("few", "all")] == [["40", "120"], ["40", "80"]]
    assert rows["measure nll"][2:5] == ["32", "-", tokens(32 * (160 + 24))], "a question with its answer is read once"
    assert rows["measure likely"][2:5] == ["40", "-", tokens(40 * (160 + 24))]
    assert rows["measure held"][2] == "64", "no more than the pool has, however many sets of it are mixed"
    assert rows["generate told"][2:5] == ["64", "64", f"{tokens(64 * 24)}+"], "its prompts it alone can count"
    assert rows["gpt"][0] == "1"
    assert "+ behind tokens: and more, in texts whose length only reading tells" in text
    assert rows["train once"][5:7] == ["5", "40"]
    assert rows["train sft"][5:] == ["12", "96", tokens(96 * (160 + 24))], "a trace is as long as a response may be"


@pytest.mark.parametrize(
    ("count", "text"), [(999, "999"), (1000, "1.0k"), (45_000_000, "45M"), (1_250_000_000, "1.2B"), (10**12, "1.0T")]
)
def test_tokens_for_people(count: int, text: str) -> None:
    assert tokens(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0s"), (59.6, "1m00s"), (3599, "59m59s"), (7800, "2h10m"), (273_600, "3d04h")]
)
def test_times_for_people(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def _nothing(folder: Path, data: dict[str, Any]) -> None:
    pass


def _rate(folder: Path, data: dict[str, Any]) -> None:
    data["stages"]["sft"]["args"].update(learning_rate=1e-4)


def _benchmark(folder: Path, data: dict[str, Any]) -> None:
    data["benchmarks"]["more"] = {"sources": [{"kind": "toy", "n": 8, "split": "test", "seed": 7}]}
    data["suites"]["main"]["benchmarks"].append("more")


def _size(folder: Path, data: dict[str, Any]) -> None:
    data["sizes"] = [16, 24, 32]
    data["exclude"] = [{"size": [16, 24], "recipe": ["grpo", "sft-grpo"]}]


def _score(folder: Path, data: dict[str, Any]) -> None:
    (folder / paths.evaluation("toy-xs/base/main", "scores.parquet")).unlink()


def _gone(folder: Path, data: dict[str, Any]) -> None:
    for path in ("pools/toy", "runs/toy-xs/toy/seed1/sft@32", "tables"):
        shutil.rmtree(folder / "results" / path)


def _seed(folder: Path, data: dict[str, Any]) -> None:
    data["seed"] = 5


def _sources(folder: Path, data: dict[str, Any]) -> None:
    data["pools"]["toy"]["sources"][0]["n"] = 96
    data["benchmarks"]["toy-id"]["sources"][0]["n"] = 40


def _report(folder: Path, data: dict[str, Any]) -> None:
    data["report"] = {"resamples": 100}


def _run_gone(folder: Path, data: dict[str, Any]) -> None:
    """As an interrupted `-R` leaves it: what was made from it is still there."""
    (folder / paths.run("toy-xs/toy/seed1/grpo@32", "run.json")).unlink()


def _responses_gone(folder: Path, data: dict[str, Any]) -> None:
    (folder / paths.evaluation("toy-xs/base/main", "responses.json")).unlink()


CHANGES = [_nothing, _rate, _benchmark, _size, _score, _gone, _seed, _sources, _report, _run_gone, _responses_gone]


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_left_is_what_snakemake_would_run(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path, dict[str, Any]], None]
) -> None:
    folder = tmp_path / "work"
    subprocess.run(["cp", "-a", str(finished), str(folder)], check=True)
    data = yaml.safe_load((ROOT / "studies/tiny.yaml").read_text(encoding="utf-8"))
    change(folder, data)
    file = tmp_path / "edited.yaml"
    file.write_text(yaml.safe_dump(data), encoding="utf-8")
    edited = graph.load(file)
    monkeypatch.chdir(folder)
    found = Counter(edited.jobs[name].rule for name in left(edited, States(edited)))
    assert dict(found) == planned(folder, study=file)


def test_a_finished_study_has_nothing_left(finished: Path, tiny: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished)
    assert "0 of 28 jobs are left\nnothing to do" in overview(tiny)


def test_a_name_of_a_job() -> None:
    job = Job("train", "a/b", (), (), ("run.json", "metrics.jsonl"), "{}")
    assert (job.name, job.kind, job.record) == ("train a/b", "train", "run.json")
    assert job._replace(at=Coordinates(stage="sft")).kind == "train sft"
    assert job._replace(rule="generate", at=Coordinates(suite="main")).kind == "generate main"
