"""Training through TRL: SFT, GRPO, and GRPO on top of SFT, on the toy model."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from reassess import paths
from reassess.data.examples import build_set
from reassess.data.shards import stream
from reassess.data.subset import build_subset, ids_sha256, shuffled
from reassess.graph import Graph, parse
from reassess.graph.state import States
from reassess.judge import Case, judge_many
from reassess.models.load import fingerprint
from reassess.train.frame import TrainError, train
from reassess.work import attempts

SFT = "toy-xs/toy/seed1/sft@32"
CHAIN = "toy-xs/toy/seed1/sft@32/grpo@32"


def variant(tiny: Graph, stage: str, **args: Any) -> Graph:
    """Return the study with other options of one stage."""
    raw = tiny.study.model_dump(mode="json")
    raw["stages"][stage]["args"].update(args)
    return parse(raw, "variant")


def directory(key: str) -> Path:
    return Path(paths.run(key))


def record(key: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory(key) / "run.json").read_text())
    return found


def metrics(key: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory(key) / "metrics.jsonl").read_text().splitlines()]


def make(graph: Graph, key: str) -> None:
    train(graph, graph["train", key])


@pytest.fixture(scope="module")
def trained(tiny_base: Path, tiny: Graph, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working directory in which SFT, and GRPO on top of it, have been trained."""
    folder = tmp_path_factory.mktemp("trained") / "work"
    shutil.copytree(tiny_base, folder)
    with contextlib.chdir(folder):
        make(variant(tiny, "sft", num_train_epochs=6), SFT)
        make(variant(tiny, "grpo", log_completions=True, num_completions_to_print=0), CHAIN)
        yield folder


def test_sft_learns(trained: Path) -> None:
    rows = metrics(SFT)
    assert rows[-1]["step"] == 24
    losses = [row["loss"] for row in rows]
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


def test_the_record_of_a_run_is_complete(trained: Path, tiny: Graph) -> None:
    sft, chain = record(SFT), record(CHAIN)
    subset = json.loads(Path("results/subsets/toy/seed1/32.json").read_text())
    base = json.loads(Path("results/models/toy-xs/manifest.json").read_text())
    assert sft["parents"] == [{"path": "results/models/toy-xs/model", "fingerprint": base["fingerprint"]}]
    assert chain["parents"] == [{"path": (directory(SFT) / "model").as_posix(), "fingerprint": sft["fingerprint"]}]
    assert sft["fingerprint"] == fingerprint(directory(SFT) / "model") != base["fingerprint"]
    assert chain["spec"] == json.loads(tiny["train", CHAIN].spec)
    for run in (sft, chain):
        assert run["steps_done"] == run["steps_planned"]
        assert run["subset"]["ids_sha256"] == subset["ids_sha256"] == run["trained_ids_sha256"]
        assert run["put_aside"] == {}
        assert run["device"] == "cpu"
        assert run["cpu_seconds"] > 0
    assert sft["samples_seen"] == 6 * 32
    assert chain["samples_seen"] == 16 * 8
    assert chain["tokens_seen"] == metrics(CHAIN)[-1]["num_tokens"]


def test_metrics_have_trls_names_and_rates(trained: Path) -> None:
    for row in metrics(CHAIN):
        assert {
            "step", "loss", "reward", "reward_std", "rewards/accuracy/mean", "rewards/format/mean", "entropy",
            "completions/mean_length", "completions/clipped_ratio", "frac_reward_zero_std", "num_tokens",
            "tokens_per_second", "samples_per_second",
        } <= set(row)  # fmt: skip
        assert row["tokens_per_second"] > 0
        weighted = 1.0 * row["rewards/accuracy/mean"] + 0.5 * row["rewards/format/mean"]
        assert row["reward"] == pytest.approx(weighted, abs=1e-5)


def test_only_what_is_needed_stays(trained: Path, tiny_base: Path) -> None:
    base = tiny_base / "results/models/toy-xs/model"
    for run in (SFT, CHAIN):
        assert not list(directory(run).rglob("checkpoint-*"))
        for name in (
            "processor_config.json",
            "chat_template.jinja",
            "tokenizer.json",
            "config.json",
            "generation_config.json",
        ):
            assert (directory(run) / "model" / name).read_bytes() == (base / name).read_bytes()


def test_the_reward_of_a_completion_is_the_verdict_on_it(trained: Path) -> None:
    files = sorted(directory(CHAIN).glob("checkpoints/*/completions/*.parquet"))
    rows = [row for file in files for row in pq.read_table(file).to_pylist()]
    assert len(rows) == 16 * 8
    cases = [
        Case(row["completion"][0]["content"], row["gold"], row["kind"], tuple(row["options"]) or None) for row in rows
    ]
    verdicts = judge_many(cases)
    assert [verdict.correct for verdict in verdicts] == [bool(row["accuracy"]) for row in rows]
    assert [verdict.reason for verdict in verdicts] == [row["reason"] for row in rows]
    assert {verdict.correct for verdict in verdicts} == {True, False}
    # What is logged of each step is how far its rewards can be trusted.
    for line in metrics(CHAIN):
        assert 0 <= line["judge/unparsed"] <= 1
        assert 0 <= line["judge/missed"] <= 1
        assert line["judge/unscored"] == 0


def test_the_trajectory_ends_in_the_exported_weights(trained: Path) -> None:
    kept = record(CHAIN)["trajectory"]
    assert [item["step"] for item in kept] == [8, 16]
    assert [fingerprint(item["path"]) for item in kept] == [item["fingerprint"] for item in kept]
    assert kept[-1]["fingerprint"] == record(CHAIN)["fingerprint"] != kept[0]["fingerprint"]


def test_images_are_never_sampled(trained: Path, tiny: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    """A policy that all but insists on image tokens still samples none, and training goes on."""
    import torch

    from reassess.models import load

    weights = load.load_model("results/models/toy-xs/model", tiny.study.models["toy-xs"])
    token = weights.config.image_token_id
    seen: list[int] = []
    asked: list[Any] = []

    def insisting(*args: Any, **kwargs: Any) -> Any:
        model = original(*args, **kwargs)
        if isinstance(model, tuple):
            # Looked at after training, with what was missing.
            return model
        head = model.lm_head
        head.register_forward_hook(lambda module, inputs, output: output.index_fill_(-1, torch.tensor([token]), 50.0))
        generate = model.generate

        def recording(*args: Any, **kwargs: Any) -> Any:
            output = generate(*args, **kwargs)
            asked.append(kwargs["generation_config"])
            seen.extend(output[:, kwargs["input_ids"].shape[1] :].flatten().tolist())
            return output

        model.generate = recording
        return model

    original = load.load_model
    monkeypatch.setattr(load, "load_model", insisting)
    drawn = {"top_k": 20, "min_p": 0.01, "repetition_penalty": 1.1}
    make(variant(tiny, "grpo", max_steps=1, generation_kwargs={"suppress_tokens": [5]}, **drawn), CHAIN)
    assert {name: getattr(asked[0], name) for name in drawn} == drawn
    assert seen
    assert token not in seen
    assert 5 not in seen


@pytest.mark.usefixtures("tiny_results")
def test_a_run_that_stops_early_is_no_run(tiny: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    from reassess.train.callbacks import Checkpointing

    def stop(self: Checkpointing, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        control.should_training_stop = True

    monkeypatch.setattr(Checkpointing, "on_step_end", stop)
    with pytest.raises(TrainError, match="stopped at step 1 of 8"):
        make(tiny, SFT)
    assert not (directory(SFT) / "run.json").exists()
    assert not (directory(SFT) / "model").exists()
    [attempt] = attempts.read("train", SFT)
    assert (attempt.why, attempt.detail) == ("failed", f"{SFT}: stopped at step 1 of 8")


@pytest.mark.usefixtures("tiny_results")
def test_what_cannot_be_trained_from_is_refused(tiny: Graph) -> None:
    with pytest.raises(TrainError, match="the parent checkpoint is not there or not finished"):
        make(tiny, CHAIN)
    with pytest.raises(TrainError, match=r"stages.sft.args: .*nonsense"):
        make(variant(tiny, "sft", hub_strategy="nonsense"), SFT)
    raw = tiny.study.model_dump(mode="json")
    raw["models"]["toy-xs"]["resources"] = {"sft": {"gpu": 1}}
    with pytest.raises(TrainError, match=r"resources.sft.gpu is 1 but no GPU is visible"):
        make(parse(raw, "variant"), SFT)
    manifest = Path("results/pools/toy/manifest.json")
    manifest.write_text(manifest.read_text().replace('"content_sha256": "', '"content_sha256": "0'))
    with pytest.raises(TrainError, match="drawn from another state of 'toy'"):
        make(tiny, SFT)
    with Path("results/models/toy-xs/model/config.json").open("a") as handle:
        handle.write("\n")
    with pytest.raises(TrainError, match=r"is not the checkpoint that .*manifest.json describes"):
        make(tiny, SFT)


@pytest.mark.usefixtures("tiny_results")
def test_an_exported_model_that_is_not_the_trained_one_is_refused(tiny: Graph, toy_checkpoint: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    from reassess.models import load
    from reassess.train import export

    spec = tiny.study.models["toy-xs"]
    model = load.load_model(toy_checkpoint, spec)
    exported = Path("exported")
    weights = model.state_dict()
    export.export(model, weights, toy_checkpoint, spec, exported)
    export.check(exported, weights, spec)
    with torch.no_grad():
        model.lm_head.weight[0, 0] += 1
    with pytest.raises(TrainError, match=r"1 of 52 tensors differ from the trained ones, as lm_head.weight"):
        export.check(exported, weights, spec)
    saved = load_file(exported / "model.safetensors")
    save_file({f"renamed.{name}": tensor for name, tensor in saved.items()}, exported / "model.safetensors")
    with pytest.raises(TrainError, match=r"52 missing keys .*52 unexpected keys"):
        export.check(exported, weights, spec)


def test_bfloat16_is_for_the_export_alone(trained: Path, tiny: Graph) -> None:
    """Small updates vanish in bfloat16 weights, so those that the optimizer works on are float32."""
    import torch

    from reassess.models import load

    key = "toy-xs/toy/seed1/sft@16"
    raw = tiny.study.model_dump(mode="json")
    raw["models"]["toy-xs"]["dtype"] = "bfloat16"
    exported = []
    for graph in (tiny, parse(raw, "variant")):
        make(graph, key)
        exported.append(load.load_model(directory(key) / "model", graph.study.models["toy-xs"]).state_dict())
    full, half = exported
    assert json.loads((directory(key) / "model/config.json").read_text())["dtype"] == "bfloat16"
    assert all(torch.equal(half[name], full[name].to(torch.bfloat16)) for name in full)


def test_a_stage_trains_on_a_set_of_examples_in_the_order_of_its_pool(tiny_results: Path, tiny: Graph) -> None:
    raw = tiny.study.model_dump(mode="json")
    raw["examples"] = {"bars": {"kind": "where", "on": "toy", "family": ["bars", "sum"], "difficulty": [2]}}
    raw["stages"]["sft"].update(on="bars", args={"max_steps": 1})
    raw.update(sizes=[8], recipes={"sft": ["sft"]}, exclude=[], suites={"main": raw["suites"]["main"]})
    raw["other_data"] = ["sft"]
    study = parse(raw, "set")
    build_set(study, study["examples", "bars"])
    key = "toy-xs/toy/seed1/sft@8"
    subset = study.jobs[study["train", key].needs[-1]]
    build_subset(subset)
    make(study, key)
    ids = json.loads(Path(subset.record).read_text())["ids"]
    assert record(key)["subset"]["path"] == subset.record == "results/subsets/toy+bars/seed1/8.json"
    assert record(key)["trained_ids_sha256"] == ids_sha256(ids)
    found = {example.id: example for example in stream("results/pools/toy")}
    assert {(found[id_].family, found[id_].difficulty) for id_ in ids} <= {("bars", 2), ("sum", 2)}
    # Of the whole pool's shuffle, those that the set has.
    wanted = [id_ for id_ in shuffled("toy", 1, found) if found[id_].family in ("bars", "sum")]
    assert ids == [id_ for id_ in wanted if found[id_].difficulty == 2][:8]
    assert States(study).differences(study["train", key]) == []
