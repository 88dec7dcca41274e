"""Training in several processes over gloo: the same results however the model is shared, stopped or killed."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file

from reassess import paths
from reassess.data.subset import build_subset
from reassess.graph import Graph, parse
from reassess.study import read
from reassess.train.frame import train
from reassess.train.plan import TrainError
from slurm_cluster import Cluster, wait_for

KINDS = ("ddp", "zero2", "zero3")
# Fields of a metrics line that say how fast it went.
TIMING = {"tokens_per_second", "samples_per_second", "step_time"}
RUNS = {
    # 13 rows leave one for the last batch of an epoch, in which one of the processes has none. Both take four steps per
    # epoch, and are stopped within the second.
    "sft": "toy-xs/toy/seed1/sft@13",
    "grpo": "toy-xs/toy/seed1/grpo@8",
}
ARGS = {
    "sft": {"num_train_epochs": 2, "per_device_train_batch_size": 1, "max_grad_norm": 0.5},
    "grpo": {"max_steps": 9, "num_train_epochs": 3, "beta": 0.04},
}
# Sums of other orders: the largest difference of a loss or of a gradient's norm seen was 2e-6 of it.
CLOSE = 2e-5


def variant(tiny: Graph, kind: str, processes: int = 2, **model: Any) -> Graph:
    raw = tiny.study.model_dump(mode="json")
    raw["sizes"] = [8, 13, 16, 32]
    raw["stages"]["sft"]["batch_size"] = 4
    resources = {"processes": processes}
    raw["models"]["toy-xs"].update(distributed=kind, resources={"sft": resources, "grpo": resources}, **model)
    for stage, args in ARGS.items():
        raw["stages"][stage]["args"].update(args, save_steps=1, logging_steps=1)
    return parse(raw, kind)


def run(graph: Graph, key: str) -> None:
    train(graph, graph["train", key])


def subsets(tiny: Graph) -> None:
    for job in variant(tiny, "ddp").of("subset"):
        build_subset(job)


def result(folder: Path, key: str) -> dict[str, Any]:
    """Return what must be equal between a run and the same one that was stopped."""
    root = folder / paths.run(key)
    record = json.loads((root / "run.json").read_text())
    lines = [json.loads(line) for line in (root / "metrics.jsonl").read_text().splitlines()]
    return {
        "metrics": [{name: value for name, value in line.items() if name not in TIMING} for line in lines],
        **{
            key: record[key]
            for key in ("fingerprint", "trajectory", "steps_done", "samples_seen", "tokens_seen", "work")
        },
    }


@pytest.fixture(scope="module")
def trained(tiny_base: Path, tiny: Graph, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Directories in which the runs have been trained: by kind, and by one process as `one` (SFT alone)."""
    folders = {}
    before = Path.cwd()
    for kind in (*KINDS, "one"):
        folders[kind] = tmp_path_factory.mktemp(kind) / "work"
        shutil.copytree(tiny_base, folders[kind])
        os.chdir(folders[kind])
        subsets(tiny)
        if kind == "one":
            run(variant(tiny, "ddp", 1), RUNS["sft"])
        else:
            for key in RUNS.values():
                run(variant(tiny, kind), key)
    os.chdir(before)
    return folders


@pytest.mark.parametrize("kind", KINDS)
def test_sft_learns_what_one_process_learns(kind: str, trained: dict[str, Path]) -> None:
    several, one = (result(trained[name], RUNS["sft"]) for name in (kind, "one"))
    assert len(several["metrics"]) == 8
    for line, expected in zip(several["metrics"], one["metrics"], strict=True):
        for name in ("loss", "grad_norm"):
            assert line[name] == pytest.approx(expected[name], rel=CLOSE), f"{name} of step {line['step']}"
    assert several["samples_seen"] == one["samples_seen"] == 2 * 13
    record = json.loads((trained[kind] / paths.run(RUNS["sft"], "run.json")).read_text())
    assert (record["processes"], record["distributed"]) == (2, kind)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_grpo_learns_the_same_however_the_model_is_shared(kind: str, trained: dict[str, Path]) -> None:
    shared, copied = (result(trained[name], RUNS["grpo"]) for name in (kind, "ddp"))
    for line, expected in zip(shared["metrics"], copied["metrics"], strict=True):
        assert line["completions/mean_length"] == expected["completions/mean_length"]
        for name in ("loss", "reward", "kl", "grad_norm"):
            assert line[name] == pytest.approx(expected[name], rel=CLOSE, abs=1e-6), f"{name} of step {line['step']}"
    assert any(line["reward_std"] > 0 for line in shared["metrics"])


def test_what_is_saved_is_a_whole_model(trained: dict[str, Path], tiny: Graph) -> None:
    from reassess.train.export import load_exactly

    spec = tiny.study.models["toy-xs"]
    weights = {kind: {name: load_file(model_file(trained[kind], key)) for name, key in RUNS.items()} for kind in KINDS}
    base = load_file(trained["ddp"] / "results/models/toy-xs/model/model.safetensors")
    for kind in KINDS:
        for name, key in RUNS.items():
            found = weights[kind][name]
            assert {k: t.shape for k, t in found.items()} == {k: t.shape for k, t in base.items()}
            largest = max((found[k] - weights["ddp"][name][k]).abs().max().item() for k in found)
            assert largest < 1e-4
            load_exactly(model_file(trained[kind], key).parent, spec, next(iter(base.values())).dtype)
    assert max((weights["ddp"]["sft"][k] - base[k]).abs().max().item() for k in base) > 1e-3


def test_what_was_sharded_is_answered(trained: dict[str, Path], tiny: Graph, tmp_path: Path) -> None:
    """A checkpoint of several processes goes through evaluation like any other."""
    folder = tmp_path / "work"
    shutil.copytree(trained["zero3"], folder)
    read.dump(variant(tiny, "zero3").study, folder / "study.json")
    key = f"{RUNS['sft']}/main"
    line = [sys.executable, "-m", "reassess.cli", "generate", key, "--study", "study.json"]
    subprocess.run(line, cwd=folder, check=True)
    root = folder / paths.evaluation(key)
    record = json.loads((root / "responses.json").read_text())
    if importlib.util.find_spec("vllm") is not None:
        assert record["engine"]["name"] == "vllm"
    rows = pq.read_table(root / "responses.parquet").to_pylist()
    assert len(rows) == record["generated"] > 0
    assert {row["finish_reason"] for row in rows} <= {"stop", "length"}


def model_file(folder: Path, key: str) -> Path:
    return folder / paths.run(key, "model/model.safetensors")


def start(graph: Graph, key: str) -> subprocess.Popen[bytes]:
    read.dump(graph.study, "study.json")
    command = [sys.executable, "-m", "reassess.cli", "train", key, "--study", "study.json"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def logged(key: str) -> int:
    files = list(Path(paths.run(key)).glob("checkpoints/*/attempt-*/metrics.jsonl"))
    return len(files[0].read_text().splitlines()) if files else 0


def here() -> list[int]:
    """Return the processes of `reassess` that work in this directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if (entry / "cwd").readlink() == Path.cwd() and b"reassess" in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


@pytest.fixture
def stopped(
    tiny_results: Path, tiny: Graph, trained: dict[str, Path], request: pytest.FixtureRequest
) -> tuple[Graph, str, dict[str, Any]]:
    """A run whose processes were ended in its middle: its study, its key, and what it comes to without that."""
    kind, name, number = request.param
    subsets(tiny)
    graph, key = variant(tiny, kind), RUNS[name]
    expected = result(trained[kind], key)
    rng = random.Random(f"{kind} {name}")
    moment, delay = rng.randint(5, 6), rng.uniform(0, 0.2)
    process = start(graph, key)
    while logged(key) < moment and process.poll() is None:
        time.sleep(0.005)
    time.sleep(delay)
    assert len(here()) >= 4, "the run ended too early, or it was one process"
    process.send_signal(number)
    assert process.wait() == (-number if number == signal.SIGKILL else 75)
    while here():
        # The kernel ends them with the one that started them.
        time.sleep(0.05)
    assert not (tiny_results / paths.run(key, "run.json")).exists()
    return graph, key, expected


KILLED = [("ddp", "grpo", signal.SIGKILL), ("zero2", "sft", signal.SIGKILL), ("zero3", "grpo", signal.SIGKILL)]


@pytest.mark.parametrize("stopped", [*KILLED, ("zero2", "grpo", signal.SIGTERM)], indirect=True, ids=str)
def test_stopped_at_a_random_moment(
    stopped: tuple[Graph, str, dict[str, Any]], capfd: pytest.CaptureFixture[str]
) -> None:
    graph, key, expected = stopped
    run(graph, key)
    assert "resuming at step" in capfd.readouterr().out
    assert result(Path(), key) == expected


@pytest.mark.parametrize("stopped", [("zero3", "sft", signal.SIGKILL)], indirect=True, ids=str)
def test_other_processes_do_not_continue_a_run(
    stopped: tuple[Graph, str, dict[str, Any]],
    trained: dict[str, Path],
    tiny: Graph,
    capfd: pytest.CaptureFixture[str],
) -> None:
    _, key, _ = stopped
    with pytest.raises(
        TrainError, match=r"checkpoint-\d was written by 2 processes \(zero3\) and cannot be continued by 1 process;"
    ):
        run(variant(tiny, "zero3", 1), key)
    with pytest.raises(TrainError, match=r"by 2 processes \(zero3\) .* by 2 processes \(ddp\); .*other_processes"):
        run(variant(tiny, "ddp"), key)
    capfd.readouterr()
    run(variant(tiny, "ddp", 1, other_processes="restart"), key)
    said = capfd.readouterr().out
    assert "written by 2 processes (zero3); 1 process starts over" in said
    assert "from the start" in said
    assert result(Path(), key) == result(trained["one"], key)


def test_on_two_nodes(slurm: Cluster, tiny_results: Path, tiny: Graph, trained: dict[str, Path]) -> None:
    """Stopped once on the way, as before a time limit, and requeued."""
    subsets(tiny)
    raw = variant(tiny, "zero3").study.model_dump(mode="json")
    raw["models"]["toy-xs"]["resources"]["sft"]["nodes"] = 2
    key = RUNS["sft"]
    read.dump(parse(raw, "nodes").study, "study.json")
    options = ["--nodes=2", "--ntasks-per-node=1", "--mem=2500", "--time=10", "--parsable", "--output=log", "--requeue"]
    command = f"--wrap=reassess train {key} --study study.json"
    job = slurm.run("sbatch", *options, f"--chdir={tiny_results}", command).strip()
    wait_for("a few steps", lambda: logged(key) >= 5, 120)
    slurm.run("scancel", "--signal=TERM", job)
    wait_for("the end of an attempt", lambda: '"ended"' in attempts(key), 60)
    assert "stopped by SIGTERM" in attempts(key)
    slurm.run("scontrol", "requeue", job)
    wait_for("the end", lambda: slurm.state(job)["JobState"] in ("COMPLETED", "FAILED"), 180)
    assert result(Path(), key) == result(trained["zero3"], key), Path("log").read_text()


def attempts(key: str) -> str:
    return Path(f"{paths.attempts('train', key)}.jsonl").read_text()


@pytest.mark.usefixtures("tiny_results")
def test_what_stops_a_training_process_is_said_once(tiny: Graph, capfd: pytest.CaptureFixture[str]) -> None:
    subsets(tiny)
    raw = variant(tiny, "ddp").study.model_dump(mode="json")
    raw["stages"]["grpo"]["args"]["hub_strategy"] = "nonsense"
    key = RUNS["grpo"]
    with pytest.raises(TrainError, match=rf"^{key}: stages.grpo.args: .*nonsense"):
        run(parse(raw, "wrong"), key)
    assert "Traceback" not in capfd.readouterr().err
    assert not here()
