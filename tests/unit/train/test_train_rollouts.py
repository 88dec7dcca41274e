"""What the engine of rollouts is given: the weights of a checkpoint, options of sampling and seeds."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

from reassess.engines.base import Question, sample_seed
from reassess.models.load import load_model
from reassess.study.models import Model
from reassess.train import ranks, rollouts
from reassess.train.launch import World
from reassess.train.plan import TrainError
from reassess.train.rollouts import BANNED, Rollouts, Sampled, named_weights

SPEC = Model(path=".")
# One whose names in memory differ from those of its files, a tied one, and one of a plain save.
FAMILIES = ("llava-onevision", "qwen2.5-vl-tied", "idefics3")
LINEAR = ["q_proj", "v_proj", "down_proj"]
ADAPTERS: dict[str, dict[str, Any]] = {
    "lora": {"target_modules": "all-linear"},
    "rslora": {"target_modules": LINEAR, "use_rslora": True, "r": 4, "rank_pattern": {"q_proj": 2}},
    "dora": {"target_modules": LINEAR, "use_dora": True},
    "saved": {"target_modules": LINEAR, "modules_to_save": ["lm_head"]},
    "embedding": {"target_modules": [*LINEAR, "embed_tokens"]},
    "parameters": {"target_parameters": ["q_proj.weight", "down_proj.weight"]},
}
# A stage refuses to train one of two layers that share their weights.
ADAPTED = [
    (name, kind) for name in FAMILIES for kind in ADAPTERS if "tied" not in name or kind not in ("saved", "embedding")
]


def given(model: Any) -> dict[str, torch.Tensor]:
    """Return what an engine gets of a model, each weight as it is when it is yielded."""
    found: dict[str, torch.Tensor] = {}
    for name, weight in named_weights(model):
        assert name not in found
        found[name] = weight.clone()
    return found


def saved(model: Any, folder: Path) -> dict[str, torch.Tensor]:
    model.save_pretrained(folder)
    return dict(load_file(folder / "model.safetensors"))


def assert_equal(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    assert not [name for name, weight in found.items() if not torch.equal(weight, expected[name])]


@pytest.mark.parametrize("name", FAMILIES)
def test_weights_are_those_of_a_checkpoint(name: str, family: Callable[[str], Path], tmp_path: Path) -> None:
    model = load_model(family(name), SPEC)
    assert_equal(given(model), saved(model, tmp_path))


def adapted(model: Any, **options: Any) -> Any:
    """Return a model with an adapter that changes it, as a training step leaves it."""
    torch.manual_seed(1)
    model = get_peft_model(model, LoraConfig(**options))
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(torch.randn(weight.shape, generator=generator) * 0.05)
    return model


@pytest.mark.parametrize(("name", "kind"), ADAPTED)
def test_an_adapter_is_merged_and_the_model_stays(
    name: str, kind: str, family: Callable[[str], Path], tmp_path: Path
) -> None:
    plain = load_model(family(name), SPEC)
    model = adapted(copy.deepcopy(plain), **ADAPTERS[kind]).eval()
    before = {key: weight.clone() for key, weight in model.state_dict().items()}
    inputs = {"input_ids": torch.tensor([[5, 6, 7, 8]])}
    with torch.no_grad():
        said = model(**inputs).logits
    found = given(model)
    # Whoever stops in the middle leaves the model alone too.
    list(itertools.islice(named_weights(model), 3))
    after = model.state_dict()
    assert after.keys() == before.keys()
    assert not [key for key, weight in after.items() if not torch.equal(weight, before[key])]
    assert not [layer for layer in model.modules() if getattr(layer, "merged_adapters", None)]
    with torch.no_grad():
        assert torch.equal(model(**inputs).logits, said)
    merged = saved(copy.deepcopy(model).merge_and_unload(safe_merge=True), tmp_path / "merged")
    assert_equal(found, merged)
    # Something was to be merged.
    base = saved(plain, tmp_path / "base")
    assert sum(not torch.equal(found[key], base[key]) for key in base) >= 4


def test_two_adapted_parameters_of_one_module_are_both_merged(tmp_path: Path) -> None:
    """PEFT wraps the experts of a mixture once for each parameter, one wrapper inside of the other."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 32, "moe_intermediate_size": 16, "head_dim": 16, "vocab_size": 64}
    counts = {"num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2, "num_experts": 4}
    model = adapted(
        Qwen3MoeForCausalLM(Qwen3MoeConfig(**sizes, **counts)),
        target_parameters=["experts.gate_up_proj", "experts.down_proj"],
    )
    before = {key: weight.clone() for key, weight in model.state_dict().items()}
    found = given(model)
    assert not [key for key, weight in model.state_dict().items() if not torch.equal(weight, before[key])]
    assert_equal(found, saved(model.merge_and_unload(safe_merge=True), tmp_path))


# Options of sampling


def args(**options: Any) -> Any:
    """Return TRL's options of sampling, at their defaults but for some."""
    plain = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": None, "repetition_penalty": 1.0}
    return SimpleNamespace(**{**plain, "max_completion_length": 7, "generation_kwargs": None, **options})


def test_options_of_sampling_are_vllms() -> None:
    found = rollouts._sampling(args(temperature=0.7, top_k=20), stops=[2, 3], placeholders=[9])
    assert found["min_p"] == 0.0
    assert (found["temperature"], found["top_k"], found["max_tokens"]) == (0.7, 20, 7)
    assert found["stop_token_ids"] == [2, 3]
    assert found["logit_bias"] == {9: BANNED}
    # A text model has no placeholders, so nothing is banned.
    assert rollouts._sampling(args(), stops=[2], placeholders=[])["logit_bias"] is None


def test_further_options_pass_through_and_join_the_ban() -> None:
    chosen = {"logit_bias": {4: 1.5, 9: 50.0}, "presence_penalty": 0.5, "min_tokens": 3}
    found = rollouts._sampling(args(generation_kwargs=chosen), stops=[2], placeholders=[9, 10])
    assert (found["presence_penalty"], found["min_tokens"]) == (0.5, 3)
    # A placeholder stays banned whatever the user says of it.
    assert found["logit_bias"] == {4: 1.5, 9: BANNED, 10: BANNED}
    # The study's own are as they were.
    assert chosen == {"logit_bias": {4: 1.5, 9: 50.0}, "presence_penalty": 0.5, "min_tokens": 3}


# Seeds


def test_the_seed_of_a_sample_is_as_ever() -> None:
    """Other ones would draw all responses anew that a store holds, and sample other completions."""
    assert sample_seed(7, {"step": 3, "draw": 0}, 5) == 5486344315140837556
    assert sample_seed(7, {"draw": 0, "step": 3}, 5) == 5486344315140837556


def test_no_two_samples_share_a_seed() -> None:
    grid = itertools.product(range(4), range(12), range(4), range(16))
    seeds = [sample_seed(seed, {"step": step, "draw": draw}, i) for seed, step, draw, i in grid]
    assert len(set(seeds)) == len(seeds)
    assert 0 <= min(seeds) <= max(seeds) < 2**63


class Recorded(Rollouts):
    """Rollouts whose engine answers nothing and keeps what it is asked."""

    def __init__(self) -> None:
        self.seed, self._synced, self._draws = 7, -1, 0
        self.asked: list[tuple[int | None, ...]] = []
        self.synced: list[Any] = []

    def sync(self, model: Any) -> None:
        self.synced.append(model)

    def sample(self, questions: Any, seeds: Any, **options: Any) -> Sampled:
        self.asked.append(tuple(seeds))
        return Sampled([[1]] * len(questions), [[2]] * len(questions), [[-0.5]] * len(questions))


def trainer_at(step: int) -> Any:
    return SimpleNamespace(state=SimpleNamespace(global_step=step), model=f"weights of {step}")


def rolled(steps: list[int], rows: int = 4) -> Recorded:
    """Return what was asked by draws at some steps."""
    found = Recorded()
    for step in steps:
        found.roll([{"rendered": "1 + 1 ="}] * rows, trainer_at(step))
    return found


def test_every_completion_of_a_step_has_a_seed_of_its_own() -> None:
    """A step draws several times with dynamic sampling, and where it is more than one generation batch."""
    found = rolled([0, 0, 0, 1, 1])
    assert len({seed for seeds in found.asked for seed in seeds}) == 5 * 4
    # The weights change with the step alone.
    assert found.synced == ["weights of 0", "weights of 1"]


def test_a_resumed_run_samples_what_an_unbroken_one_does() -> None:
    assert rolled([0, 0, 1, 1]).asked[2:] == rolled([1, 1]).asked


def test_processes_share_the_seeds_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = rolled([3]).asked
    parts = []
    for number in range(2):
        monkeypatch.setattr(ranks, "number", lambda number=number: number)
        monkeypatch.setattr(ranks, "world", lambda: World(2))
        parts += rolled([3], rows=2).asked
    assert sum(parts, ()) == alone[0]


def test_an_answer_to_another_prompt_is_not_taken() -> None:
    found = Recorded()
    found.where = "stages.grpo"
    reader: Any = SimpleNamespace(lengths=lambda *_: [9], exact=lambda *_: 11)
    found.reader = reader

    def output(length: int, reason: str) -> Any:
        return SimpleNamespace(prompt_token_ids=[0] * length, outputs=[SimpleNamespace(finish_reason=reason)])

    # What is told fast may be off where the exact count is not.
    for length in (9, 11):
        found._check([Question("1 + 1 =", [])], [output(length, "stop")])
    with pytest.raises(TrainError, match=r"10 tokens of a prompt that has 11 .*stages\.grpo\.rollouts\.engine: tra"):
        found._check([Question("1 + 1 =", [])], [output(10, "stop")])
    # Of a prompt that stands there twice too.
    for answers in (["abort"], ["stop", "abort"]):
        with pytest.raises(TrainError, match="ended a completion with 'abort'"):
            found._check([Question("1 + 1 =", [])] * len(answers), [output(9, reason) for reason in answers])
