"""Training in several processes, without starting any: who is started how, and which rows each of them sees."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reassess import graph
from reassess.data.shards import Shards
from reassess.example import Example
from reassess.graph import Graph, resources
from reassess.stages.sft import SftStage
from reassess.study.models import Model
from reassess.study.study import Study
from reassess.train import launch
from reassess.train.launch import CONFIG_FILES, CONFIGS, Launched, World
from reassess.train.plan import TrainError
from reassess.work import slurm, turns
from reassess.work.turns import Interrupted

SFT = "toy-xs/toy/seed1/sft@16"


def variant(base: Graph, resources: dict[str, Any], **model: Any) -> Graph:
    raw = base.study.model_dump(mode="json")
    raw["models"]["toy-xs"].update(resources={"sft": resources}, **model)
    return graph.parse(raw, "study")


def wanted(found: Graph) -> World:
    return launch.wanted(found.study, found["train", SFT])


def test_a_study_says_which_processes_train(tiny: Graph) -> None:
    assert wanted(tiny) == World(1, 1, "ddp", False)
    assert wanted(variant(tiny, {"gpu": 1})) == World(1, 1, "ddp", True)
    found = wanted(variant(tiny, {"gpu": 8, "nodes": 2}, distributed="zero2"))
    assert found == World(8, 2, "zero2", True)
    assert str(found) == "8 processes (zero2)"
    assert wanted(variant(tiny, {"processes": 4})) == World(4, 1, "ddp", False)


def test_a_model_too_large_for_one_gpu_is_sharded_by_default() -> None:
    def distribution(hub_id: str, **given: Any) -> str:
        model = Model(path=f"owner/{hub_id}", revision="0" * 40, dtype="bfloat16", **given)
        return resources.distribution(model, SftStage(kind="sft", batch_size=8))

    assert distribution("model-2B") == "ddp"
    assert distribution("model-7B") == "zero3"
    assert distribution("model-7B", distributed="zero2") == "zero2"


@pytest.mark.parametrize("kind", CONFIG_FILES)
def test_accelerate_reads_the_files(kind: Any) -> None:
    from accelerate.commands.config.config_args import load_config_from_file
    from accelerate.commands.launch import launch_command_parser

    loaded = load_config_from_file(str(CONFIGS / CONFIG_FILES[kind]))
    assert loaded.distributed_type == ("MULTI_GPU" if kind == "ddp" else "DEEPSPEED")
    assert loaded.deepspeed_config.get("zero_stage") == {"ddp": None, "zero2": 2, "zero3": 3}[kind]
    what = Launched(World(8, 2, kind, True), 1, "token", "outcome.json", ["train", SFT], "10.0.0.1", 12345)
    args = launch_command_parser().parse_args(launch.arguments(what, 1))
    assert (args.num_processes, args.num_machines, args.machine_rank) == (8, 2, 1)
    assert (args.main_process_ip, args.main_process_port) == ("10.0.0.1", 12345)
    assert (args.module, args.training_script, args.training_script_args) == (True, "reassess.cli", what.command)


@pytest.mark.parametrize(
    ("outcome", "asked", "error", "message"),
    [
        ({"why": "failed", "detail": "the disk is full", "step": 3}, None, TrainError, "^the disk is full$"),
        ({"why": "interrupted", "detail": "time_limit", "step": 3}, None, Interrupted, "before the time limit"),
        ({"why": "interrupted", "detail": "terminated", "step": 3}, "SIGTERM", Interrupted, "by SIGTERM"),
        (None, "SIGTERM", Interrupted, "by SIGTERM"),
        (None, None, TrainError, r"without a word \(exit status 1\)"),
    ],
)
def test_what_became_of_processes_is_said(
    outcome: Any, asked: str | None, error: type[Exception], message: str, tmp_path: Path
) -> None:
    turn: Any = SimpleNamespace(stop=SimpleNamespace(signal=asked), record=SimpleNamespace(step=0))
    file = tmp_path / "outcome.json"
    if outcome is not None:
        file.write_text(json.dumps(outcome))
    with pytest.raises(error, match=message):
        launch._judge(file, 1, turn)
    assert turn.record.step == (3 if outcome else 0)


def test_the_first_word_counts(tmp_path: Path) -> None:
    what = Launched(World(2), 1, "token", str(tmp_path / "outcome.json"), [])
    launch._tell(what, "failed", "the cause", 3)
    launch._tell(what, "failed", "what followed", 4)
    assert json.loads((tmp_path / "outcome.json").read_text()) == {"why": "failed", "detail": "the cause", "step": 3}


@pytest.mark.usefixtures("tiny_results")
def test_several_nodes_need_a_slurm_job_with_as_many(tiny: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(4, 2)

    def start() -> None:
        job = tiny["train", SFT]
        with turns.take(job.rule, job.key) as turn:
            launch.start(tiny.study, job, turn, world)

    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with pytest.raises(TrainError, match=r"resources.nodes is 2: .* needs a Slurm job"):
        start()
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setattr(slurm, "hosts", lambda job: ["n1"])
    with pytest.raises(TrainError, match=r"resources.nodes is 2, Slurm job 7 has 1: n1"):
        start()
    assert signal.signal(signal.SIGTERM, before) == signal.SIG_DFL


def test_nodes_and_their_addresses_come_from_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {
        "squeue": "gpu[1-2]\n",
        "hostnames": "gpu1\ngpu2\n",
        "node": "NodeName=gpu1 Arch=x86_64\n   NodeAddr=10.1.0.1 NodeHostName=gpu1\n",
    }

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        text = next(text for name, text in said.items() if name in command)
        return subprocess.CompletedProcess(command, 0, text, "")

    monkeypatch.setattr(slurm, "_run", run)
    assert slurm.hosts("7") == ["gpu1", "gpu2"]
    assert slurm.address("gpu1") == "10.1.0.1"
    assert slurm.is_for_inner_step("SLURM_JOB_ID")
    assert not slurm.is_for_inner_step("SLURM_NTASKS")


@pytest.mark.parametrize(
    ("rows", "per_device", "processes"), [(13, 2, 2), (16, 2, 2), (1, 4, 4), (30, 3, 4), (7, 8, 2)]
)
def test_every_row_is_seen_once(rows: int, per_device: int, processes: int) -> None:
    from accelerate.data_loader import BatchSamplerShard, SeedableRandomSampler
    from torch.utils.data import BatchSampler

    from reassess.train.sft import Even, missing

    def order(epoch: int) -> list[int]:
        sampler = SeedableRandomSampler(range(rows), data_seed=1)
        sampler.set_epoch(epoch)
        return list(sampler)

    def batches(epoch: int) -> BatchSampler:
        even = Even(SeedableRandomSampler(range(rows), data_seed=1), rows, per_device, processes)
        assert len(even) == rows + missing(rows, together)
        even.set_epoch(epoch)
        return BatchSampler(even, per_device, drop_last=False)

    together = per_device * processes
    for epoch in (0, 1):
        shards = [list(BatchSamplerShard(batches(epoch), processes, rank)) for rank in range(processes)]
        drawn = sorted(row for shard in shards for batch in shard for row in batch)
        assert drawn == list(range(rows + missing(rows, together)))
        seen: list[int] = []
        for step in zip(*shards, strict=True):
            real = [[row for row in batch if row < rows] for batch in step]
            assert max(map(len, real)) - min(map(len, real)) <= 1
            # The rows of a step are those of one process' step, whichever process has them.
            expected = order(epoch)[len(seen) : len(seen) + together]
            assert [row for share in real for row in share] == expected
            seen += expected
        assert sorted(seen) == list(range(rows))


def test_zero3_does_not_mix_images_and_text(
    tiny_study: Study, stored: Callable[[Iterable[Example]], Shards], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process without an image would never ask for the vision weights, and the others would wait for ever."""
    from reassess.models.reader import Reader
    from reassess.sources.toy import ToySource
    from reassess.train import data, ranks, sft

    examples = [*ToySource(kind="toy", n=2).read(), *ToySource(kind="toy", n=2, text_only=True).read()]
    rows = data.Rows(stored(examples), Reader(None, (), tiny_study.models["toy-xs"], tiny_study.prompt))
    monkeypatch.setattr(ranks, "world", lambda: World(2, distributed="zero3"))
    with pytest.raises(TrainError, match=r"2 of 4 examples have an image .*: ZeRO-3 cannot mix them"):
        sft.build(SimpleNamespace(args=None, model=None, rows=rows))  # type: ignore[arg-type]
