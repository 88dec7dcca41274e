"""Options of rollouts and of dynamic sampling: what a study may say of them, and what of it a result depends on."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from reassess import graph
from reassess.graph import Graph
from reassess.stages.engine_args import vllm_version
from reassess.stages.grpo import CHOICES, GrpoStage
from reassess.stages.rollouts import SEEDS
from reassess.stages.trainer_args import REFUSED
from reassess.study.read import StudyError

VLLM, TRANSFORMERS = ({"engine": name} for name in ("vllm", "transformers"))
WEIGHED = {"vllm_importance_sampling_correction": False}
SHAPED = {"top_p": 0.9, "top_k": 20, "min_p": 0.1, "repetition_penalty": 1.1}


def parsed(tiny: Graph, gpus: int = 0, pool: str = "visual", distributed: str = "ddp", **changes: Any) -> Graph:
    """Return the tiny study with GRPO alone, some of its options changed; `args` are added to its own."""
    raw = tiny.study.model_dump(mode="json")
    grpo = {**raw["stages"]["grpo"], "trajectory": 0}
    grpo["args"] = {**grpo["args"], **changes.pop("args", {})}
    # What is varied has no value of its own.
    own = {name: value for name, value in grpo.items() if name not in changes.get("vary", {})}
    raw["stages"] = {"grpo": {**own, **changes}}
    raw["recipes"], raw["exclude"] = {"base": [], "grpo": ["grpo"]}, []
    del raw["suites"]["held-out"]
    raw["pools"]["toy"]["modality"] = pool
    raw["models"]["toy-xs"] |= {"resources": {"grpo": {"gpu": gpus}}, "distributed": distributed}
    return graph.parse(raw, "my.yaml")


def identity(tiny: Graph, gpus: int = 0, **changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(parsed(tiny, gpus, **changes).of("train")[-1].spec)
    return found


def says(tiny: Graph, **changes: Any) -> str:
    with pytest.raises(StudyError) as error:
        parsed(tiny, **changes)
    message = str(error.value)
    assert message.startswith("my.yaml: ")
    assert len(message.splitlines()) == 1, message
    return message.removeprefix("my.yaml: ")


def engine_args(**options: Any) -> dict[str, Any]:
    return {"rollouts": {**VLLM, "engine_args": options}}


def further(**options: Any) -> dict[str, Any]:
    return {"rollouts": VLLM, "args": {"generation_kwargs": options}}


STAGE = "stages.grpo."
OWN = "every training process has an engine of its own"
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"rollouts": {"engine": "vlm"}}, "stages.grpo.rollouts.engine: 'vlm': input should be 'auto', 'vllm' or 'trans"),
    ({"rollouts": "vllm"}, "stages.grpo.rollouts: 'vllm': expected a mapping with the keys engine, engine_args, max_"),
    ({"rollouts": {"engin": "vllm"}}, "stages.grpo.rollouts.engin: unknown key; did you mean engine?"),
    (engine_args(model="x"), "stages.grpo.rollouts: engine_args.model: the cell is the model"),
    (engine_args(dtype="half"), "stages.grpo.rollouts: engine_args.dtype: set models.<name>.dtype"),
    (engine_args(seed=3), "stages.grpo.rollouts: engine_args.seed: every completion has a seed of its own"),
    (engine_args(tensor_parallel_size=2), f"stages.grpo.rollouts: engine_args.tensor_parallel_size: {OWN}"),
    (engine_args(pipeline_parallel_size=2), f"stages.grpo.rollouts: engine_args.pipeline_parallel_size: {OWN}"),
    (engine_args(data_parallel_size=2), f"stages.grpo.rollouts: engine_args.data_parallel_size: {OWN}"),
    (engine_args(logprobs_mode="raw_logits"), "engine_args.logprobs_mode: it follows from the options of sampling"),
    (engine_args(load_format="dummy"), "engine_args.load_format: weights come from the trainer"),
    (engine_args(max_model_len=64), "engine_args.max_model_len: it is models.<name>.max_prompt_length and args.max"),
    (
        engine_args(cpu_offload_gb=float("nan")),
        "stages.grpo.rollouts.engine_args.cpu_offload_gb: nan is not a finite number",
    ),
    ({"rollouts": {"engine_args": [1]}}, "stages.grpo.rollouts.engine_args: [1]: input should be a mapping"),
    ({"rollouts": {**VLLM, "max_logp_difference": 0}}, "stages.grpo.rollouts.max_logp_difference: 0: input should be"),
    ({"rollouts": {"max_logp_difference": "low"}}, "stages.grpo.rollouts.max_logp_difference: 'low': input should be"),
    ({"rollouts": {"max_logp_difference": float("inf")}}, "rollouts.max_logp_difference: inf is not a finite number"),
    (
        {"rollouts": {**TRANSFORMERS, "engine_args": {"max_num_seqs": 8}}},
        "stages.grpo.rollouts: engine_args is of vLLM, and the engine is transformers; leave one of the two out",
    ),
    (
        {"rollouts": {**TRANSFORMERS, "max_logp_difference": 0.1}},
        "stages.grpo.rollouts: max_logp_difference is of vLLM, and the engine is transformers; leave one of the two",
    ),
    (
        {"rollouts": TRANSFORMERS, "args": WEIGHED},
        "stages.grpo: args.vllm_importance_sampling_correction: says nothing where `rollouts.engine` is transformers",
    ),
    (
        {"rollouts": TRANSFORMERS, "args": {"vllm_importance_sampling_clip_max": 2.0}},
        "stages.grpo: args.vllm_importance_sampling_clip_max: says nothing where `rollouts.engine` is transformers",
    ),
    (
        {"rollouts": VLLM, "args": {"vllm_importance_sampling_mode": "tokens"}},
        "args.vllm_importance_sampling_mode: 'tokens' is not valid; did you mean token_mask? TRL has",
    ),
    (
        {"rollouts": VLLM, "args": {"loss_type": "vespo"}},
        "args.vllm_importance_sampling_mode: the loss `vespo` needs token_mask or token_truncate, and this is sequence",
    ),
    ({"rollouts": VLLM, "args": {"max_completion_length": None}}, "args.max_completion_length: vLLM needs a number of"),
    (further(temperature=0.5), f"{STAGE}args.generation_kwargs.temperature cannot be set where vLLM samples:"),
    (further(top_p=0.5), "args.generation_kwargs.top_p cannot be set where vLLM samples: set it under `args`"),
    (further(n=2), "args.generation_kwargs.n cannot be set where vLLM samples: set `args.num_generations`"),
    (further(max_tokens=2), "args.generation_kwargs.max_tokens cannot be set where vLLM samples: set `args.max_compl"),
    (further(seed=2), "args.generation_kwargs.seed cannot be set where vLLM samples: every completion has a seed"),
    (further(stop=["x"]), "args.generation_kwargs.stop cannot be set where vLLM samples: TRL's completions end at tok"),
    (further(logprobs=None), "args.generation_kwargs.logprobs cannot be set where vLLM samples: rollouts need their"),
    ({"args": {"generation_kwargs": '{"top_k": 5}'}}, "args.generation_kwargs: '{\"top_k\": 5}' is text; give a mapp"),
    (
        {"rollouts": TRANSFORMERS, "resample": {}},
        "stages.grpo: resample: needs vLLM, and `rollouts.engine` is transformers",
    ),
    (
        {"resample": {}, "rewards": {"format": 1}},
        "stages.grpo: resample: keeps groups by the reward `accuracy`; add `accuracy: 1.0` to rewards",
    ),
    (
        {"resample": {"budget": "prompts"}, "trajectory": 2},
        "stages.grpo: trajectory: with `resample.budget: prompts` its steps are not known beforehand",
    ),
    ({"resample": {"rounds": 0}}, "stages.grpo.resample.rounds: 0: input should be great"),
    ({"resample": {"rounds": 1.5}}, "stages.grpo.resample.rounds: 1.5: input should be a"),
    ({"resample": {"budget": "tokens"}}, "resample.budget: 'tokens': input should be 'steps' or 'pro"),
    ({"rollouts": {**VLLM, "max_logp_difference": True}}, "stages.grpo.rollouts.max_logp_difference: "),
    ({"resample": {"accuracy": [0.9, 0.95]}}, "resample.accuracy: no mean of 4 completions (args.num_generations) is"),
    (
        {"args": {"loss_type": "dapoo"}},
        "args.loss_type: 'dapoo' is not valid; did you mean dapo or sapo? TRL has grpo, ",
    ),
    ({"args": {"min_p": 1.5}}, "args.min_p: 1.5 is not between 0 and 1"),
    ({"rollouts": {**VLLM, "engine_args": {"max_num_seq": 8}}}, "has no such argument; did you mean max_num_seqs"),
    ({"resample": {"round": 3}}, "stages.grpo.resample.round: unknown key; did you mean rounds"),
    ({"resample": {"accuracy": [0.9, 0.1]}}, "stages.grpo.resample: accuracy: [0.9, 0.1] has nothing between"),
    ({"resample": {"accuracy": [0.5, 0.5]}}, "stages.grpo.resample: accuracy: [0.5, 0.5] has nothing between"),
    ({"resample": {"accuracy": [-1, 0.5]}}, "stages.grpo.resample.accuracy.0: "),
    ({"resample": True}, "stages.grpo.resample: True: expected a mapping with the keys accuracy, rounds,"),
    # What has keys of its own has no name among variants: two stages are the way.
    (
        {"vary": {"rollouts": [VLLM, TRANSFORMERS]}},
        "stages.grpo.vary: rollouts: {'engine': 'vllm'} cannot be part of a name; vary numbers, words, true and false",
    ),
    (
        {"vary": {"resample": [None, {"rounds": 4}]}},
        "stages.grpo.vary: resample: {'rounds': 4} cannot be part of a name; vary numbers, words, true",
    ),
    ({"vary": {"rounds": [2, 4]}}, "stages.grpo: vary.rounds: the stage has no such option"),
    ({"vary": {"engine": ["vllm", "auto"]}}, "stages.grpo: vary.engine: the stage has no such option"),
]


@pytest.mark.parametrize(("changes", "expected"), WRONG, ids=[str(case[0])[:80] for case in WRONG])
def test_a_mistake_is_one_clear_error(changes: dict[str, Any], expected: str, tiny: Graph) -> None:
    assert expected in says(tiny, **changes)


@pytest.mark.parametrize("name", [name for name in REFUSED if "vllm" in name])
@pytest.mark.parametrize("rollouts", [{}, VLLM, TRANSFORMERS], ids=["auto", "vllm", "transformers"])
def test_trls_own_way_to_vllm_is_refused(name: str, rollouts: dict[str, Any], tiny: Graph) -> None:
    said = says(tiny, rollouts=rollouts, args={name: 1})
    assert said == f"stages.grpo: args.{name} cannot be set in a study: {REFUSED[name]}"


@pytest.mark.parametrize("name", SHAPED)
def test_log_probabilities_that_cannot_be_compared_are_refused(name: str, tiny: Graph) -> None:
    both = {name: SHAPED[name], "temperature": 0.9}
    expected = f"args.{name}: with a temperature that is not 1 vLLM's log-probabilities cannot be compared"
    assert expected in says(tiny, rollouts=VLLM, args=both)
    assert expected in says(tiny, gpus=1, args=both)
    # At temperature 1 they are those before all options, and transformers has none to compare.
    assert identity(tiny, rollouts=VLLM, args={name: SHAPED[name]})["args"][name] == SHAPED[name]
    for accepted in ({"rollouts": TRANSFORMERS}, {}):
        assert identity(tiny, args=both, **accepted)["args"][name] == SHAPED[name]


@pytest.mark.parametrize("plain", [{"top_p": 1}, {"top_k": 0}, {"top_k": -1}, {"min_p": 0}, {"repetition_penalty": 1}])
def test_options_that_change_nothing_stand_beside_a_temperature(plain: dict[str, Any], tiny: Graph) -> None:
    assert identity(tiny, rollouts=VLLM, args={**plain, "temperature": 0.9})["args"]["temperature"] == 0.9


def test_dropout_of_an_adapter_is_refused_where_the_sampler_has_none(tiny: Graph) -> None:
    dropped = {"lora": {"lora_dropout": 0.1}}
    expected = f"{STAGE}lora.lora_dropout: vLLM samples with the whole adapter"
    assert says(tiny, rollouts=VLLM, **dropped).startswith(expected)
    assert says(tiny, gpus=1, **dropped).startswith(expected)
    assert identity(tiny, **dropped)["lora"] == dropped["lora"]
    assert identity(tiny, rollouts=VLLM, args={"disable_dropout": True}, **dropped)["lora"] == dropped["lora"]
    assert identity(tiny, rollouts=VLLM, lora={"lora_dropout": 0})["lora"] == {}


def test_a_loss_may_have_the_weights_that_it_needs(tiny: Graph) -> None:
    token = {"loss_type": "vespo", "vllm_importance_sampling_mode": "token_mask"}
    assert identity(tiny, rollouts=VLLM, args=token)["args"]["loss_type"] == "vespo"
    assert identity(tiny, rollouts=VLLM, args={"loss_type": "vespo", **WEIGHED})["args"]["loss_type"] == "vespo"


# Which engine it is


def stage(**options: Any) -> GrpoStage:
    return GrpoStage.model_validate({"kind": "grpo", "batch_size": 8, "rewards": {"accuracy": 1}, **options})


def test_auto_takes_vllm_where_there_is_a_gpu_or_need_of_it() -> None:
    assert [stage().sampler(gpus) for gpus in (0, 1, 4)] == ["transformers", "vllm", "vllm"]
    assert [stage(resample={}).sampler(gpus) for gpus in (0, 1)] == ["vllm", "vllm"]
    for name in ("vllm", "transformers"):
        assert {stage(rollouts={"engine": name}).sampler(gpus) for gpus in (0, 2)} == {name}


def test_tokens_are_weighed_unless_the_study_says_otherwise() -> None:
    assert stage().corrects
    assert not stage(args=WEIGHED).corrects


# What a result depends on


def test_transformers_has_the_identity_that_it_had(tiny: Graph) -> None:
    plain = identity(tiny)
    assert not {"rollouts", "resample"} & plain.keys()
    assert identity(tiny, rollouts=TRANSFORMERS) == identity(tiny, gpus=1, rollouts=TRANSFORMERS) == plain


def test_what_samples_counts(tiny: Graph) -> None:
    found = identity(tiny, rollouts=VLLM)
    assert found.pop("rollouts") == {"engine": "vllm", "version": vllm_version(), "seeds": SEEDS, "engine_args": {}}
    assert found == identity(tiny)
    counted = identity(tiny, rollouts={**VLLM, "engine_args": {"quantization": "fp8", "max_num_seqs": 4}})
    assert counted["rollouts"]["engine_args"] == {"quantization": "fp8"}


def test_another_version_of_vllm_is_another_identity(tiny: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reassess.stages.grpo.vllm_version", lambda: "9.9.9")
    assert identity(tiny, rollouts=VLLM)["rollouts"]["version"] == "9.9.9"
    assert "9.9.9" not in json.dumps(identity(tiny))


@pytest.mark.parametrize(
    "neutral",
    [
        {"engine_args": {"gpu_memory_utilization": 0.5, "max_num_seqs": 8, "enable_sleep_mode": False}},
        {"max_logp_difference": 0.2},
        {"engine_args": {}, "max_logp_difference": None},
    ],
)
def test_what_only_fits_or_stops_a_run_does_not_count(neutral: dict[str, Any], tiny: Graph) -> None:
    assert identity(tiny, rollouts={**VLLM, **neutral}) == identity(tiny, rollouts=VLLM)


def test_auto_on_a_gpu_is_vllm_by_name(tiny: Graph) -> None:
    assert identity(tiny, gpus=1) == identity(tiny, gpus=1, rollouts=VLLM) == identity(tiny, rollouts=VLLM)


def test_resampling_counts(tiny: Graph) -> None:
    found = identity(tiny, resample={})
    assert found["resample"] == {"accuracy": [0.01, 0.99], "rounds": 10, "budget": "steps"}
    assert found["rollouts"]["engine"] == "vllm"
    spelt = identity(tiny, rollouts=VLLM, resample={"accuracy": (0.01, 0.99), "rounds": 10, "budget": "steps"})
    assert found == spelt
    for other in ({"rounds": 4}, {"budget": "prompts"}, {"accuracy": [0.2, 0.8]}):
        assert identity(tiny, resample=other) != found
    assert identity(tiny, resample=None) == identity(tiny)


# How many completions are drawn at a time


GENERATED: list[tuple[dict[str, Any], str]] = [
    (
        {"generation_batch_size": 32, "steps_per_generation": 4},
        "args.generation_batch_size: says what args.steps_per_generation says too; leave one out",
    ),
    (
        {"generation_batch_size": 20},
        "args.generation_batch_size: 20 must be a multiple or a divisor of batch_size 8",
    ),
    (
        {"generation_batch_size": 4, "num_iterations": 3},
        "args.generation_batch_size: 4 x num_iterations 3 must be a multiple or a divisor of batch_size 8",
    ),
    ({"generation_batch_size": 0}, "args.generation_batch_size: 0 is not above 0"),
    ({"num_iterations": 0, "generation_batch_size": 8}, "args.num_iterations: 0 is not above 0"),
    (
        {"num_generations": 8, "generation_batch_size": 4},
        "args.num_generations: 8 must divide args.generation_batch_size 4 too",
    ),
    (
        {"generation_batch_size": 4},
        "args.generation_batch_size: 4 completions cannot be split into batches of 8 for each of 1 training processes; "
        "set args.per_device_train_batch_size to a number that can be",
    ),
    (
        {"scale_rewards": "groups"},
        "args.scale_rewards: 'groups' is not valid; did you mean group? TRL has group, batch",
    ),
]


@pytest.mark.parametrize(("args", "message"), GENERATED, ids=[message[:70] for _, message in GENERATED])
def test_a_generation_batch_that_does_not_fit_is_refused(tiny: Graph, args: dict[str, Any], message: str) -> None:
    assert message in says(tiny, args=args)


def test_a_generation_batch_is_the_same_however_it_is_said(tiny: Graph) -> None:
    found = identity(tiny, args={"generation_batch_size": 32})
    assert found == identity(tiny, args={"steps_per_generation": 4})
    assert found == identity(tiny, args={"generation_batch_size": 32, "per_device_train_batch_size": 2})
    assert found == identity(tiny, gpus=0, args={"steps_per_generation": 16, "per_device_train_batch_size": 2})
    assert found["args"]["generation_batch_size"] == 32


@pytest.mark.parametrize(("said", "meant"), [(False, "none"), (True, "group")])
def test_truth_values_of_scale_rewards_are_what_trl_takes_them_for(tiny: Graph, said: bool, meant: str) -> None:
    assert identity(tiny, args={"scale_rewards": said}) == identity(tiny, args={"scale_rewards": meant})


# A stage whose completions no engine of ours can sample


def rloo(tiny: Graph, **changes: Any) -> dict[str, Any]:
    raw = tiny.study.model_dump(mode="json")
    args = {"num_generations": 4, "max_completion_length": 24}
    raw["stages"] = {"rloo": {"kind": "rloo", "batch_size": 8, "rewards": {"accuracy": 1.0}, "args": args, **changes}}
    raw["recipes"], raw["exclude"] = {"base": [], "rloo": ["rloo"]}, []
    del raw["suites"]["held-out"]
    return raw


RLOO: list[tuple[dict[str, Any], str]] = [
    ({"rollouts": {"engine": "vllm"}}, "stages.rloo: rollouts: TRL's RLOOTrainer takes completions from the trained m"),
    ({"resample": {}}, "stages.rloo: resample: TRL's RLOOTrainer takes completions from the trained model alone; lea"),
    ({"args": {"loss_type": "grpo"}}, "stages.rloo: args.loss_type: trl 1.16.0 RLOOConfig has no such option"),
    ({"args": {"use_vllm": True}}, "stages.rloo: args.use_vllm cannot be set in a study"),
    (
        {"args": {"num_generations": 3}},
        "stages.rloo: args.num_generations: 3 must be at least 2 and divide batch_size 8",
    ),
    ({"rewards": {"overlong": {"weight": 1.0, "buffer": 512}}}, "stages.rloo: rewards.overlong."),
]


@pytest.mark.parametrize(("changes", "message"), RLOO, ids=[message[:60] for _, message in RLOO])
def test_what_rloo_cannot_do_is_refused(tiny: Graph, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyError) as error:
        graph.parse(rloo(tiny, **changes), "my.yaml")
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_rloo_is_sampled_by_the_model_itself_with_and_without_a_gpu(tiny: Graph) -> None:
    raw = rloo(tiny)
    here = json.loads(graph.parse(raw, "my.yaml").of("train")[-1].spec)
    raw["models"]["toy-xs"]["resources"] = {"rloo": {"gpu": 1}}
    with_gpu = graph.parse(raw, "my.yaml")
    assert with_gpu.study.all_stages["rloo"].sampler(1) == "transformers"
    assert json.loads(with_gpu.of("train")[-1].spec) == here
    raw["pools"]["toy"]["modality"] = "mixed"
    with pytest.raises(StudyError, match=r"TRL's own sampling cannot mix them in a batch \(in a stage `grpo`"):
        graph.parse(raw, "my.yaml")


def test_a_model_to_compare_with_takes_memory_unless_it_is_the_one_without_its_adapter(tiny: Graph) -> None:
    def needs(**changes: Any) -> float:
        return graph.parse(rloo(tiny, **changes), "my.yaml").study.all_stages["rloo"].needs.bytes_per_weight

    args = {"num_generations": 4, "max_completion_length": 24}
    plain = needs(args={**args, "beta": 0})
    assert needs() == needs(args={**args, "beta": 0.1}) == plain + 4
    assert needs(lora={}) == needs(lora={}, args={**args, "beta": 0}) < plain
    compared, alone = (parsed(tiny, args=args).study.all_stages["grpo"].needs for args in ({"beta": 0.04}, {}))
    assert compared.bytes_per_weight == alone.bytes_per_weight + 4


def test_the_kinds_that_are_documented_are_valid(tiny: Graph, root: Path) -> None:
    text = (root / "docs/rl.md").read_text(encoding="utf-8")
    raw = tiny.study.model_dump(mode="json")
    raw["stages"] = yaml.safe_load(text.partition("```yaml")[2].partition("```")[0])["stages"]
    raw["recipes"], raw["exclude"], raw["sizes"] = {name: [name] for name in raw["stages"]}, [], [16]
    del raw["suites"]["held-out"]
    found = graph.parse(raw, "rl.md")
    assert list(found.study.stages) == ["grpo", "dr-grpo", "dapo", "gspo", "rloo"]
    assert len({job.spec for job in found.of("train")}) == 5


# Rows with an image beside rows without


def test_vllm_takes_pools_of_both_kinds(tiny: Graph) -> None:
    said = says(tiny, pool="mixed")
    assert said.startswith("pools.toy.modality: some of its examples have an image and others none, and stages.grpo")
    assert "`rollouts: {engine: vllm}` can)" in said
    assert "`rollouts: {engine: vllm}` can)" in says(tiny, pool="mixed", gpus=1, rollouts=TRANSFORMERS)
    assert parsed(tiny, pool="mixed", rollouts=VLLM).of("train")
    assert parsed(tiny, pool="mixed", gpus=1).of("train")
    assert parsed(tiny, pool="mixed", resample={}).of("train")


def test_zero3_takes_no_pool_of_both_kinds(tiny: Graph) -> None:
    assert "ZeRO-3 cannot mix them (zero2 and ddp can)" in says(tiny, pool="mixed", gpus=2, distributed="zero3")
    assert parsed(tiny, pool="mixed", gpus=2, distributed="zero2").of("train")


def test_trl_knows_the_values_that_it_is_said_to_know() -> None:
    trainer = importlib.util.find_spec("trl")
    assert trainer is not None
    assert trainer.origin is not None
    source = (Path(trainer.origin).parent / "trainer/grpo_trainer.py").read_text(encoding="utf-8")
    assert [value for known in CHOICES.values() for value in known if f'"{value}"' not in source] == []
    # None is left out that it compares with.
    compared = set(re.findall(r'self\.loss_type == "(\w+)"', source))
    assert compared <= set(CHOICES["loss_type"])
