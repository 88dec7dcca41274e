"""Adapters and frozen parts: what changes and what does not, what is exported, and runs that are stopped."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from reassess import paths
from reassess.console.verify import VerifyError, verify
from reassess.data.subset import build_subset
from reassess.graph import Graph, parse
from reassess.study import read
from reassess.train.callbacks import Checkpointing
from reassess.train.frame import TrainError, train
from reassess.work.turns import Interrupted

# Fields of a metrics line that say how fast it went.
TIMING = {"tokens_per_second", "samples_per_second", "step_time"}
ROOT = "toy-xs/toy/seed1"
BASE = "results/models/toy-xs/model"
SFT = {"kind": "sft", "batch_size": 8}
ARGS = {"num_train_epochs": 3, "learning_rate": 1e-3, "save_steps": 1, "logging_steps": 1}
STAGES: dict[str, dict[str, Any]] = {
    "lora": {**SFT, "args": ARGS, "trajectory": 2, "lora": {"r": 4, "lora_alpha": 8, "lora_dropout": 0.1}},
    "frozen": {**SFT, "args": ARGS, "freeze": ["vision_tower"]},
    "projector": {**SFT, "args": {**ARGS, "max_steps": 1}, "freeze": ["language_model", "vision_tower"]},
    # Everywhere but in the vision tower, and the output layer itself.
    "dora": {
        **SFT,
        "args": {**ARGS, "max_steps": 2, "gradient_checkpointing": True},
        "freeze": ["vision_tower"],
        "lora": {
            "target_modules": "all-linear",
            "exclude_modules": ["q_proj"],
            "modules_to_save": ["lm_head"],
            "use_dora": True,
        },
    },
    "grpo-lora": {
        "kind": "grpo",
        "batch_size": 8,
        "rewards": {"accuracy": 1.0, "format": 0.5},
        "args": {
            "max_steps": 4,
            "learning_rate": 1e-2,
            "num_generations": 4,
            "max_completion_length": 24,
            "save_steps": 1,
            "logging_steps": 1,
            "beta": 0.04,
        },
        "lora": {"init_lora_weights": "gaussian"},
    },
}


# What each of them changes.
CHANGES = {
    "lora": [f"text_model.layers.{i}.{of}" for i in range(9) for of in ("self_attn", "mlp")],
    "frozen": ["text_model", "connector", "lm_head"],
    "projector": ["connector"],
}
CHANGES["grpo-lora"] = CHANGES["lora"]


def study(tiny: Graph, **model: Any) -> Graph:
    raw = tiny.study.model_dump(mode="json")
    raw.update(sizes=[16], exclude=[], stages=STAGES, recipes={"base": [], **{name: [name] for name in STAGES}})
    raw["models"]["toy-xs"].update(model)
    return parse(raw, "study")


def make(graph: Graph, stage: str) -> None:
    train(graph, graph["train", f"{ROOT}/{stage}@16"])


def file(stage: str, name: str) -> Path:
    return Path(paths.run(f"{ROOT}/{stage}@16", name))


def record(stage: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file(stage, "run.json").read_text())
    return found


def result(stage: str) -> dict[str, Any]:
    """Return what must be equal between two runs."""
    lines = [json.loads(line) for line in file(stage, "metrics.jsonl").read_text().splitlines()]
    run = record(stage)
    return {
        "metrics": [{name: value for name, value in line.items() if name not in TIMING} for line in lines],
        "adapter": run["files"].get("adapter/adapter_model.safetensors"),
        **{key: run[key] for key in ("fingerprint", "trajectory", "steps_done", "samples_seen", "tokens_seen", "work")},
    }


def changed(stage: str) -> set[str]:
    """Return the tensors that are not the base model's, bit for bit."""
    base, found = (load_file(path) for path in (f"{BASE}/model.safetensors", file(stage, "model/model.safetensors")))
    assert base.keys() == found.keys()
    return {name for name, tensor in found.items() if not torch.equal(tensor, base[name])}


def names(*within: str) -> set[str]:
    return {name for name in load_file(f"{BASE}/model.safetensors") if any(part in name for part in within)}


def with_adapter(stage: str) -> Any:
    """Return the base model with a run's adapter, as plain transformers and PEFT load them."""
    from peft import PeftModel
    from transformers import AutoModelForImageTextToText

    base = AutoModelForImageTextToText.from_pretrained(BASE, dtype=torch.float32)
    return PeftModel.from_pretrained(base, file(stage, "adapter"))


def exported(stage: str) -> Any:
    from transformers import AutoModelForImageTextToText

    return AutoModelForImageTextToText.from_pretrained(file(stage, "model"), dtype="auto")


@pytest.fixture(scope="module")
def trained(tiny_base: Path, tiny: Graph, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    """The study, each of its stages trained in the current directory."""
    folder = tmp_path_factory.mktemp("trained") / "work"
    shutil.copytree(tiny_base, folder)
    with contextlib.chdir(folder):
        graph = study(tiny)
        for job in graph.of("subset"):
            build_subset(job)
        for stage in STAGES:
            make(graph, stage)
        yield graph


def test_an_adapter_changes_the_linear_layers_of_the_language_model_alone(trained: Graph) -> None:
    for stage in ("lora", "grpo-lora"):
        assert changed(stage) == names(
            *(f"text_model.layers.{i}.{of}" for i in range(9) for of in ("self_attn", "mlp"))
        )
    # Of all linear layers but `q_proj` and the vision tower, and the output layer itself.
    own = ("k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    expected = {name for name in names(*own) if "text_model" in name} | names("connector", "lm_head")
    assert changed("dora") == expected


def test_frozen_parts_stay_as_they_are_and_all_others_change(trained: Graph) -> None:
    for stage in ("frozen", "projector"):
        assert changed(stage) == names(*CHANGES[stage])


@pytest.mark.parametrize("stage", ["lora", "dora", "grpo-lora"])
def test_the_adapter_makes_the_exported_model(stage: str, trained: Graph) -> None:
    merged, model = with_adapter(stage).merge_and_unload().state_dict(), exported(stage).state_dict()
    assert all(torch.equal(merged[name], tensor) for name, tensor in model.items())
    for name in ("config.json", "generation_config.json", "tokenizer.json", "chat_template.jinja"):
        assert file(stage, f"model/{name}").read_bytes() == Path(BASE, name).read_bytes()
    assert file(stage, "adapter").is_symlink()
    assert json.loads(file(stage, "adapter/adapter_config.json").read_text())["base_model_name_or_path"] == BASE


def test_the_exported_model_says_what_the_adapter_says(trained: Graph) -> None:
    ids = torch.arange(5, 25)[None]
    with torch.no_grad():
        expected, found = (model.eval()(input_ids=ids).logits for model in (with_adapter("lora"), exported("lora")))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_the_record_says_how_many_weights_were_trained(trained: Graph) -> None:
    base = sum(tensor.numel() for tensor in load_file(f"{BASE}/model.safetensors").values())
    adapter = sum(tensor.numel() for tensor in load_file(file("lora", "adapter/adapter_model.safetensors")).values())
    tower = sum(tensor.numel() for name, tensor in load_file(f"{BASE}/model.safetensors").items() if "vision" in name)
    assert record("lora")["weights"] == {"trainable": adapter, "total": base}
    assert record("frozen")["weights"] == {"trainable": base - tower, "total": base}
    assert record("lora")["spec"]["lora"] == {"lora_dropout": 0.1, "r": 4}
    assert not file("frozen", "adapter").exists()


def test_a_changed_adapter_is_noticed(trained: Graph) -> None:
    lines: list[str] = []
    weights = file("lora", "adapter/adapter_model.safetensors")
    before = weights.read_bytes()
    # Nothing was evaluated here.
    for content in (before, before[:-1] + b"!"):
        weights.write_bytes(content)
        with pytest.raises(VerifyError):
            verify(trained, lines.append)
    weights.write_bytes(before)
    [line] = [line for line in lines if "adapter" in line]
    assert "lora@16/run.json: sha256 of adapter/adapter_model.safetensors" in line


def test_kept_checkpoints_are_plain_models(trained: Graph) -> None:
    first, last = record("lora")["trajectory"]
    assert last["fingerprint"] == record("lora")["fingerprint"] != first["fingerprint"]
    kept = load_file(f"{first['path']}/model.safetensors")
    assert kept.keys() == load_file(f"{BASE}/model.safetensors").keys()


def test_the_reference_of_grpo_is_the_model_without_its_adapter(trained: Graph) -> None:
    """The divergence from it is exactly 0 before the first update, and then it is not."""
    kl = [line["kl"] for line in result("grpo-lora")["metrics"]]
    assert kl[0] == 0
    assert max(kl[1:]) > 1e-5


def stop_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the first run that comes to a step be asked to stop there."""
    on_step_end, left = Checkpointing.on_step_end, [step]

    def stop(self: Checkpointing, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if left and state.global_step == left[0]:
            left.pop()
            os.kill(os.getpid(), signal.SIGTERM)
        on_step_end(self, args, state, control, **kwargs)

    monkeypatch.setattr(Checkpointing, "on_step_end", stop)


@pytest.fixture
def again(trained: Graph, tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new working directory; returns that of the trained runs."""
    before = Path.cwd()
    shutil.copytree(tiny_base, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    for job in trained.of("subset"):
        build_subset(job)
    return before


@pytest.mark.parametrize(("stage", "step"), [("lora", 3), ("frozen", 2), ("grpo-lora", 2)])
def test_a_stopped_run_ends_like_an_unbroken_one(
    stage: str, step: int, trained: Graph, again: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_at(step, monkeypatch)
    with pytest.raises(Interrupted):
        make(trained, stage)
    make(trained, stage)
    found = result(stage)
    monkeypatch.chdir(again)
    assert found == result(stage)


def test_a_run_that_is_killed_before_its_export_merges_what_it_has_saved(
    trained: Graph, again: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from reassess.train import adapter

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(adapter, "export_merged", killed)
        with pytest.raises(KeyboardInterrupt):
            make(trained, "grpo-lora")
    make(trained, "grpo-lora")
    assert "resuming at step 4" in capsys.readouterr().out
    found, weights = result("grpo-lora"), record("grpo-lora")["weights"]
    monkeypatch.chdir(again)
    assert (found, weights) == (result("grpo-lora"), record("grpo-lora")["weights"])


def test_an_adapter_that_does_not_fit_is_refused(trained: Graph, tmp_path: Path) -> None:
    """PEFT itself only warns of what it leaves out."""
    from safetensors.torch import save_file

    from reassess.train import adapter

    shutil.copytree(file("lora", "adapter"), tmp_path / "adapter")
    weights = load_file(tmp_path / "adapter" / adapter.WEIGHTS)
    renamed = {name.replace("text_model", "other"): tensor for name, tensor in weights.items()}
    save_file(renamed, tmp_path / "adapter" / adapter.WEIGHTS)
    with (
        pytest.warns(UserWarning, match="Found missing adapter keys"),
        pytest.raises(TrainError, match=r"tensors are not those of the model's adapter, as base_model"),
    ):
        adapter.read(Path(BASE), tmp_path / "adapter", trained.study.models["toy-xs"])


def test_an_export_in_bfloat16_is_rounded_once(
    trained: Graph, tiny: Graph, again: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(study(tiny, dtype="bfloat16"), "dora")
    merged, model = with_adapter("dora").merge_and_unload().state_dict(), exported("dora").state_dict()
    assert {tensor.dtype for tensor in model.values()} == {torch.bfloat16}
    assert all(torch.equal(merged[name].to(torch.bfloat16), tensor) for name, tensor in model.items())
    assert {tensor.dtype for tensor in load_file(file("dora", "adapter/adapter_model.safetensors")).values()} == {
        torch.float32
    }


def refused(tiny: Graph, options: dict[str, Any]) -> str:
    raw = study(tiny).study.model_dump(mode="json")
    raw["stages"]["lora"] = {**SFT, "trajectory": 1, **options}
    with pytest.raises(TrainError) as error:
        make(parse(raw, "refused"), "lora")
    assert "\n" not in str(error.value)
    return str(error.value).removeprefix(f"{ROOT}/lora@16: stages.lora.")


def test_what_the_model_does_not_have_is_one_error(trained: Graph, again: Path, tiny: Graph) -> None:
    def lora(**options: Any) -> str:
        return refused(tiny, {"lora": options})

    assert "lora.target_modules: Idefics3ForConditionalGeneration has no 'k_prj'; did you mean k_proj" in lora(
        target_modules=["q_proj", "k_prj"]
    )
    assert "lora.modules_to_save: Idefics3ForConditionalGeneration has no 'foo'" in lora(modules_to_save=["foo"])
    assert "lora: Applying a PEFT adapter to `lm_head` is not supported" in lora(target_modules=["lm_head"])
    assert "lora: When `layers_pattern` is specified" in lora(target_modules=["q_proj"], layers_pattern="layers")
    both = {"lora": {"modules_to_save": ["connector"]}, "freeze": ["projector"]}
    assert "lora.modules_to_save: model.connector is in a part that `freeze` names" in refused(tiny, both)
    nothing = {"lora": {"target_modules": ["q_proj"]}, "freeze": ["language_model", "vision_tower"]}
    assert "lora: No modules were targeted for adaptation" in refused(tiny, nothing)


def test_an_optimizer_whose_package_is_missing_is_one_error(trained: Graph, again: Path, tiny: Graph) -> None:
    try:
        import bitsandbytes  # noqa: F401
    except ImportError:
        said = refused(tiny, {"args": {"optim": "adamw_bnb_8bit"}})
        assert "args.optim: adamw_bnb_8bit cannot be used here: You need to install `bitsandbytes`" in said
        assert not list(Path(paths.run(f"{ROOT}/lora@16")).glob("checkpoints/*/checkpoint-*"))
    else:
        pytest.skip("bitsandbytes is installed")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "stage"),
    [("ddp", "grpo-lora"), ("zero2", "lora"), ("zero3", "lora"), ("zero3", "grpo-lora"), ("zero3", "frozen")],
)
def test_two_processes(kind: str, stage: str, trained: Graph, tiny: Graph, again: Path, tmp_path: Path) -> None:
    """They learn what one learns, and a run that is stopped ends like an unbroken one."""
    graph = study(tiny, distributed=kind, resources={"sft": {"processes": 2}, "grpo": {"processes": 2}})
    shutil.copytree(Path.cwd(), tmp_path / "stopped")
    make(graph, stage)
    assert changed(stage) == names(*CHANGES[stage])
    unbroken, run, one = result(stage), record(stage), again / paths.run(f"{ROOT}/{stage}@16")
    assert (run["processes"], run["distributed"]) == (2, kind)
    assert run["weights"] == json.loads((one / "run.json").read_text())["weights"]
    if "lora" in stage:
        merged, model = with_adapter(stage).merge_and_unload().state_dict(), exported(stage).state_dict()
        assert all(torch.equal(merged[name], tensor) for name, tensor in model.items())
    if stage == "frozen":
        lines = [json.loads(line) for line in (one / "metrics.jsonl").read_text().splitlines()]
        for found, expected in zip(unbroken["metrics"], lines, strict=True):
            assert found["loss"] == pytest.approx(expected["loss"], rel=2e-5)
    os.chdir(tmp_path / "stopped")
    process = start(graph, stage)
    while not list(Path().glob("results/runs/**/checkpoint-2/complete.json")) and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 75, "the run was not stopped"
    make(graph, stage)
    assert result(stage) == unbroken


def start(graph: Graph, stage: str) -> subprocess.Popen[bytes]:
    read.dump(graph.study, "study.json")
    command = [sys.executable, "-m", "reassess.cli", "train", f"{ROOT}/{stage}@16", "--study", "study.json"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
