"""What jobs ask for: by the size of the model, by what the study says, and after attempts that failed."""

from __future__ import annotations

import json
import struct
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from reassess import graph, paths
from reassess.graph import Graph, resources
from reassess.graph.resources import Asked, defaults, for_attempt, size_in_name, size_of_directory
from reassess.stages import KINDS
from reassess.stages.grpo import GrpoStage
from reassess.stages.sft import SftStage
from reassess.study.models import Model
from reassess.study.read import StudyError
from reassess.study.study import Study
from reassess.work import attempts
from reassess.work.attempts import Attempt

CPU = (0, 1, 4000, 240)


def hub(name: str, **keys: Any) -> Model:
    return Model.model_validate({"path": name, "revision": "0" * 40, "dtype": "bfloat16", **keys})


def with_model(study: Study, **keys: Any) -> Graph:
    """The study with one more model."""
    data = json.loads(study.model_dump_json())
    data["models"]["mine"] = {"revision": "0" * 40, **keys}
    return graph.parse(data, "my.yaml")


def asked(model: Model, kind: str) -> tuple[int, int, int, int]:
    found = resources.asked(model, kind)
    return found.gpu, found.threads, found.mem_mb, found.runtime


@pytest.mark.parametrize("kind", ["model", *KINDS, "generate"])
def test_a_toy_takes_one_cpu(tiny: Graph, kind: str) -> None:
    assert asked(tiny.study.models["toy-xs"], kind) == CPU
    assert not tiny.uses_gpu


# 80 GB GPUs, of which 64 GB are planned for.
@pytest.mark.parametrize(
    ("parameters", "kind", "gpu"),
    [
        (49_999_999, "sft", 0),
        (50_000_000, "sft", 1),
        (4_000_000_000, "sft", 1),  # 16 bytes: 64 GB
        (4_000_000_001, "sft", 2),
        (8_300_000_000, "sft", 4),  # 133 GB
        (3_400_000_000, "grpo", 2),  # 19 bytes: 65 GB
        (8_300_000_000, "generate", 1),  # 3 bytes: 25 GB
        (33_500_000_000, "generate", 2),
        (73_400_000_000, "generate", 4),
        (73_400_000_000, "model", 0),
    ],
)
def test_gpus_follow_from_memory(parameters: int, kind: str, gpu: int) -> None:
    assert defaults(parameters, kind).gpu == gpu


def test_evaluation_in_float32_takes_more() -> None:
    assert defaults(33_500_000_000, "generate", "float32").gpu == 4
    assert defaults(33_500_000_000, "sft", "float32") == defaults(33_500_000_000, "sft", "bfloat16")


def test_memory_and_time_grow_with_the_model() -> None:
    small, large = defaults(500_000_000, "sft"), defaults(3_000_000_000, "sft")
    assert small.mem_mb < large.mem_mb
    assert small.runtime < large.runtime <= resources.LONGEST
    assert defaults(73_400_000_000, "sft").runtime == resources.LONGEST


def test_threads_and_memory_are_those_of_a_node() -> None:
    one, two = defaults(8_300_000_000, "sft", gpu=8), defaults(8_300_000_000, "sft", gpu=8, nodes=2)
    assert (one.threads, two.threads) == (32, 16)
    assert two.mem_mb < one.mem_mb
    # Processes on a CPU, for a model that needs no more.
    assert defaults(500_000, "sft", processes=4, nodes=2) == (0, 2, 2, 8000, 240, None)


def test_every_process_keeps_the_weights_of_its_sleeping_engine_on_the_host() -> None:
    for gpu, nodes in ((1, 1), (8, 1), (16, 2)):
        rl, sft = (defaults(8_000_000_000, kind, gpu=gpu, nodes=nodes) for kind in ("grpo", "sft"))
        # In bfloat16, of each of the processes on a node.
        assert rl.mem_mb - sft.mem_mb == 2 * 8_000 * gpu // nodes


@pytest.mark.parametrize(
    ("kind", "keys", "gpu", "nodes"),
    [
        ("sft", {}, 32, 4),  # 73.5e9 weights of 16 bytes: 1.2 TB
        ("sft", {"gpu": 24}, 24, 3),
        ("sft", {"gpu": 16, "nodes": 1}, 16, 1),
        ("grpo", {"gpu": 8}, 8, 1),
        ("generate", {"gpu": 16}, 16, 1),
        ("generate", {}, 4, 1),
    ],
)
def test_a_node_has_eight_gpus_unless_the_study_says_otherwise(
    kind: str, keys: dict[str, int], gpu: int, nodes: int
) -> None:
    """A job that asks one node for more would wait for ever."""
    found = resources.asked(hub("Qwen/Qwen2.5-VL-72B-Instruct", resources={kind: keys}), kind)
    assert (found.gpu, found.nodes) == (gpu, nodes)


def test_an_engine_stays_on_one_node() -> None:
    assert (defaults(405_000_000_000, "generate").gpu, defaults(405_000_000_000, "generate").nodes) == (8, 1)


def test_gpus_that_do_not_spread_over_their_nodes_are_refused(tiny_study: Study) -> None:
    where = r"^my\.yaml: models\.mine\.resources\.sft: "
    with pytest.raises(StudyError, match=f"{where}9 processes cannot be spread evenly over 2 nodes"):
        with_model(tiny_study, path="Qwen/Qwen2.5-VL-72B-Instruct", resources={"sft": {"gpu": 9}})


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("Qwen/Qwen2.5-VL-3B-Instruct", 3_750_000_000),
        ("Qwen/Qwen2.5-VL-72B-Instruct", 73_500_000_000),
        ("HuggingFaceTB/SmolVLM-500M-Instruct", 625_000_000),
        ("HuggingFaceTB/SmolVLM2-2.2B-Instruct", 2_750_000_000),
        ("llava-hf/llava-1.5-7b-hf", 8_500_000_000),
        ("Qwen/Qwen3-VL-30B-A3B-Instruct", 31_500_000_000),
        ("mistralai/Mixtral-8x7B-v0.1", None),
        ("lab-7B/vision-4bit", None),
        ("owner/v1.5b2", None),
    ],
)
def test_the_size_in_a_name(name: str, size: int | None) -> None:
    # A quarter more, at most 1.5e9, for the vision encoder.
    assert size_in_name(name) == size


def write_safetensors(file: Path, **shapes: list[int]) -> None:
    """Write a file with a header and nothing behind it: nothing else must be read."""
    header = {name: {"dtype": "BF16", "shape": shape, "data_offsets": [0, 0]} for name, shape in shapes.items()}
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text)


def test_weights_are_counted_in_headers(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "a.safetensors", weight=[1000, 300], bias=[300], scale=[])
    assert size_of_directory(tmp_path) == 300_301
    write_safetensors(tmp_path / "b.safetensors", weight=[1000, 700])
    assert size_of_directory(tmp_path) == 1_000_301
    # What stands in the index counts, and not another form of the same weights beside it.
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"weight": "b.safetensors", "other": "b.safetensors"}}))
    assert size_of_directory(tmp_path) == 700_000
    write_safetensors(tmp_path / "model.safetensors", weight=[5])
    assert size_of_directory(tmp_path) == 5


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"\x00" * 8,
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        struct.pack("<Q", 10) + b"[1,2,3]",
        struct.pack("<Q", 13) + b'{"a": {"b":1}}',
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 1 << 40) + b"{}",
    ],
    ids=["none", "empty", "zeros", "a pointer", "a list", "no shape", "no weights", "endless"],
)
def test_a_directory_that_does_not_tell_its_size(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "model.safetensors").write_bytes(content)
    assert size_of_directory(tmp_path) is None
    with pytest.raises(ValueError, match=r"give `parameters`.*no readable \*\.safetensors"):
        resources.weights(Model(path=str(tmp_path)))
    assert resources.weights(Model(path=str(tmp_path), parameters=7)) == 7


def test_what_the_study_says_wins_and_the_rest_follows_from_the_size() -> None:
    model = hub("owner/name-7B", resources={"sft": {"runtime": 60}, "grpo": {"gpu": 8}, "generate": {"gpu": 0}})
    by_size = hub("owner/name-7B")
    assert asked(model, "sft") == (*asked(by_size, "sft")[:3], 60)
    assert asked(model, "grpo")[:2] == (8, 32)
    assert asked(model, "generate")[0] == 0
    assert asked(model, "model") == asked(by_size, "model")


def test_parameters_win_over_the_name() -> None:
    assert resources.asked(hub("owner/name-7B", parameters=10_000_000), "sft").gpu == 0
    assert resources.asked(hub("owner/name", parameters=3_000_000_000), "sft").gpu == 1


def test_a_large_model_makes_a_study_need_gpus(tiny_study: Study) -> None:
    assert with_model(tiny_study, path="owner/name-3B").uses_gpu
    none = {kind: {"gpu": 0} for kind in ("sft", "grpo", "generate")}
    assert not with_model(tiny_study, path="owner/name-3B", resources=none).uses_gpu


def test_a_model_is_shared_where_it_does_not_fit_one_gpu() -> None:
    small, large = hub("owner/name-3B"), hub("owner/name-7B")
    sft = SftStage(kind="sft", batch_size=8)
    grpo = GrpoStage(kind="grpo", batch_size=8, rewards={"accuracy": 1})
    assert [resources.distribution(model, sft) for model in (small, large)] == ["ddp", "zero3"]
    # Sampling takes more than SFT.
    between = hub("owner/name", parameters=3_400_000_000)
    assert [resources.distribution(between, stage) for stage in (sft, grpo)] == ["ddp", "zero3"]
    assert resources.distribution(hub("owner/name-7B", distributed="zero2"), sft) == "zero2"


def test_an_adapter_takes_less_than_all_weights() -> None:
    """Of 8.3e9 weights: 4.5 bytes each are 37 GB and fit one GPU of 80 GB, 16 are 133 GB and do not."""
    model = hub("Qwen/Qwen2.5-VL-7B-Instruct")
    whole, lora = (SftStage(kind="sft", batch_size=8, lora=given) for given in (None, {}))
    assert [resources.asked(model, "sft", stage).gpu for stage in (whole, lora)] == [4, 1]
    assert [resources.distribution(model, stage) for stage in (whole, lora)] == ["zero3", "ddp"]
    assert resources.asked(model, "sft", lora).mem_mb < resources.asked(model, "sft", whole).mem_mb
    # Sampling takes 3 bytes more: 62 GB.
    grpo = GrpoStage(kind="grpo", batch_size=8, rewards={"accuracy": 1}, lora={"r": 16})
    assert resources.asked(model, "grpo", grpo).gpu == 1


def ended(number: int, why: str | None, start_step: int = 0, end_step: int | None = 0) -> Attempt:
    return Attempt(number, "host", None, 0, "", datetime.now(UTC), start_step, end_step=end_step, why=why)


@pytest.mark.parametrize(
    ("attempted", "expected"),
    [
        ([], (1000, 100)),
        (["failed", "terminated", "node_lost", "preempted", "cancelled", "killed", "running", None], (1000, 100)),
        (["out_of_memory"], (2000, 100)),
        (["out_of_memory", "failed", "out_of_memory"], (4000, 100)),
        (["out_of_memory"] * 4, (4000, 100)),
        (["out_of_memory", "finished"], (1000, 100)),
        (["out_of_memory", "finished", "out_of_memory"], (2000, 100)),
        (["time_limit"], (1000, 150)),
        (["time_limit", "out_of_memory", "time_limit"], (2000, 225)),
        (["time_limit"] * 9, (1000, 400)),
    ],
)
def test_a_retry_asks_for_what_the_last_one_lacked(attempted: list[str | None], expected: tuple[int, int]) -> None:
    base = Asked(mem_mb=1000, runtime=100)
    assert for_attempt(base, [ended(i, why) for i, why in enumerate(attempted)]) == expected


def test_a_run_that_gets_on_needs_no_more_time() -> None:
    base = Asked(mem_mb=1000, runtime=100)
    assert for_attempt(base, [ended(1, "time_limit", 0, 5), ended(2, "time_limit", 5, 9)]) == (1000, 100)
    # It wrote no end, but the next one went on from step 4.
    assert for_attempt(base, [ended(1, "time_limit", 0, None), ended(2, "killed", 4, None)]) == (1000, 100)
    assert for_attempt(base, [ended(1, "time_limit", 0, 5), ended(2, "time_limit", 5, 5)]) == (1000, 150)


def test_a_rule_asks_with_one_call(tiny: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    cell = "toy-xs/toy/seed1/sft@32"

    def now(attempt: int = 1) -> tuple[int, int]:
        found = resources.of(tiny.study, tiny["train", cell], attempt)
        return found.mem_mb, found.runtime

    assert now() == (4000, 240)
    attempts.Record("train", cell).end("out_of_memory", "killed by the kernel")
    assert Path(f"{paths.attempts('train', cell)}.jsonl").exists()
    assert now() == (8000, 240)
    attempts.Record("train", cell).end("time_limit")
    assert now(2) == (8000, 360)
    # Another job's attempts are its own.
    assert resources.of(tiny.study, tiny["train", "toy-xs/toy/seed1/sft@16"]).mem_mb == 4000


def test_what_is_asked_of_slurm_is_asked_once_per_attempt(
    tiny: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    attempts.Record("model", "toy-xs")
    calls = []

    def why(command: str, key: str, attempt: Attempt) -> str:
        calls.append(key)
        return "out_of_memory"

    monkeypatch.setattr(attempts, "why", why)
    for attempt, asked_before in ((1, 1), (1, 1), (2, 2)):
        found = resources.of(tiny.study, tiny["model", "toy-xs"], attempt)
        assert (found.mem_mb, len(calls)) == (8000, asked_before)
