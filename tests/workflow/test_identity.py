"""What a job's result depends on: golden identities, and what changes them."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from reassess import graph
from reassess.graph import identity
from reassess.judge import JUDGE_VERSION
from reassess.prompts import prompt_sha256
from reassess.study.study import Study
from reassess.work.records import digest
from snake import ROOT


def study(**stages: Any) -> Study:
    """The default study with keys of its stages changed: `sft={"args": {...}}`."""
    data = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    for stage, changes in stages.items():
        args = {**data["stages"][stage]["args"], **changes.pop("args", {})}
        data["stages"][stage].update(changes, args=args)
    return graph.parse(data, "config.yaml").study


# A change here retrains every user's models: raise the VERSION of a stage, or one in `identity.VERSIONS`, when
# results change, and leave these alone when they do not.
SFT = (
    '{"args":{"learning_rate":0.0007,"lr_scheduler_type":"cosine","num_train_epochs":2.0,"warmup_steps":5.0},'
    '"batch_size":32,"kind":"sft","model":{"max_prompt_length":160},"prompt":{"instruction":"Think, then answer."},'
    '"version":2}'
)
GRPO = (
    '{"args":{"learning_rate":0.0002,"max_completion_length":48,"num_generations":4,"num_train_epochs":1.0},'
    f'"batch_size":64,"judge":"{JUDGE_VERSION}","kind":"grpo","model":{{"max_prompt_length":160}},'
    '"prompt":{"instruction":"Think, then answer."},"rewards":{"accuracy":{"version":1,"weight":1.0},'
    '"format":{"version":1,"weight":0.5}},"trajectory":5,"version":3}'
)

REPORT = (
    '{"asked":"ASKED","models":["toy-xs","toy-s"],"name":"toy",'
    '"recipes":[["base",{"steps":[]}],["sft",{"steps":[{"by":"sft"}]}],["grpo",{"steps":[{"by":"grpo"}]}],'
    '["sft-grpo",{"steps":[{"by":"sft"},{"by":"grpo"}]}]],"report":{"resamples":2000},"seed":0,"version":2}'
)
# Of the jobs of the default study, by rule and key.
OTHERS = {
    ("pool", "toy"): '{"sources":[{"kind":"toy","n":2400}],"version":4}',
    ("benchmark", "toy-ood"): (
        '{"modality":"visual","sources":[{"kind":"toy","n":528,"ood":true,"split":"test"}],"version":4}'
    ),
    ("subset", "toy/seed1/200"): "{}",
    ("model", "toy-s"): '{"prompt":{"instruction":"Think, then answer."},"size":"s","steps":500,"version":1}',
    ("generate", "toy-s/base/main"): (
        '{"benchmarks":["toy-id","toy-ood","toy-text"],"decoding":{"max_tokens":48},"evaluation":{},'
        '"model":{"max_prompt_length":160},"prompt":{"instruction":"Think, then answer."},"seed":0,"version":2}'
    ),
    ("score", "toy-s/base/main"): f'{{"format":"think_answer","judge":"{JUDGE_VERSION}","version":2}}',
    ("tables", "all"): REPORT,
    ("figures", "all"): REPORT,
}


def test_golden_identities() -> None:
    golden = study(
        sft={"args": {"num_train_epochs": 2, "learning_rate": 7e-4}},
        grpo={
            "batch_size": 64,
            "args": {"max_completion_length": 48, "learning_rate": 2e-4, "warmup_steps": 0, "num_generations": 4},
        },
    )
    assert identity.stage_spec(golden, "toy-xs", "sft") == SFT
    assert identity.stage_spec(golden, "toy-xs", "grpo") == GRPO
    assert digest(SFT) == "960de898"
    assert prompt_sha256(golden.prompt)[:8] == "3232519b"


def test_golden_identities_of_what_trains_nothing() -> None:
    found = graph.load(ROOT / "config.yaml")
    # What tables are made from is told by its hash, which changes with every other identity.
    said = {which: re.sub(r"[0-9a-f]{64}", "ASKED", found[which].spec) for which in OTHERS}
    assert said == OTHERS


@pytest.mark.parametrize(
    "args",
    [
        {"weight_decay": 0.0},  # spelling out a default
        {"per_device_train_batch_size": 8},  # another split of the same batch
        {"gradient_checkpointing": True},
        {"logging_steps": 1},
        {"save_steps": 4},
        {"report_to": "tensorboard"},
    ],
)
def test_what_does_not_change_results_is_left_out(args: dict[str, Any]) -> None:
    assert identity.stage_spec(study(sft={"args": args}), "toy-xs", "sft") == identity.stage_spec(
        study(), "toy-xs", "sft"
    )


@pytest.mark.parametrize(
    "changes",
    [{"args": {"learning_rate": 1e-4}}, {"batch_size": 16}, {"args": {"num_train_epochs": 1}}, {"trajectory": 2}],
)
def test_what_changes_results_is_in(changes: dict[str, Any]) -> None:
    before = study()
    after = study(sft=changes)
    assert identity.stage_spec(after, "toy-xs", "sft") != identity.stage_spec(before, "toy-xs", "sft")
    assert identity.stage_spec(after, "toy-xs", "grpo") == identity.stage_spec(before, "toy-xs", "grpo")


def test_another_split_of_the_same_generation_batch_is_the_same() -> None:
    def split(**args: int) -> Study:
        return study(grpo={"batch_size": 64, "args": {"num_generations": 4, **args}})

    one = split(steps_per_generation=2)
    two = split(steps_per_generation=4, per_device_train_batch_size=32)
    three = split(steps_per_generation=2, per_device_train_batch_size=32)
    first, second, third = (identity.stage_spec(item, "toy-xs", "grpo") for item in (one, two, three))
    assert first == second
    assert second != third


def test_the_number_of_processes_is_neutral_where_results_do_not_depend_on_it() -> None:
    def over(processes: int, **args: Any) -> str:
        changed = study(grpo={"batch_size": 64, "args": {"num_generations": 4, **args}}).model_dump(mode="json")
        changed["models"]["toy-xs"].update(resources={"grpo": {"processes": processes}}, distributed="zero2")
        return identity.stage_spec(graph.parse(changed, "study").study, "toy-xs", "grpo")

    assert over(1) == over(2) == over(4)
    # The default split generates as many completions at once, a fixed one more of them.
    assert over(1, steps_per_generation=2) == over(2, steps_per_generation=2)
    fixed = {"steps_per_generation": 2, "per_device_train_batch_size": 16}
    assert over(1, **fixed) != over(2, **fixed)
    # This loss is normalised on each device.
    assert over(1, loss_type="bnpo") != over(2, loss_type="bnpo")
    assert over(1, loss_type="bnpo", per_device_train_batch_size=8) == over(
        2, loss_type="bnpo", per_device_train_batch_size=8
    )


def test_the_way_a_model_is_shared_matters_in_bfloat16_alone() -> None:
    def shared(distributed: str, dtype: str, gpu: int) -> str:
        changed = study().model_dump(mode="json")
        changed["models"]["toy-xs"].update(resources={"sft": {"gpu": gpu}}, distributed=distributed, dtype=dtype)
        return identity.stage_spec(graph.parse(changed, "study").study, "toy-xs", "sft")

    assert shared("ddp", "float32", 2) == shared("zero2", "float32", 2) == shared("zero3", "float32", 1)
    # DeepSpeed's weights are bfloat16 then.
    assert shared("ddp", "bfloat16", 2) != shared("zero2", "bfloat16", 2) == shared("zero3", "bfloat16", 2)
    assert shared("ddp", "bfloat16", 1) == shared("zero3", "bfloat16", 1) == shared("ddp", "bfloat16", 2)
