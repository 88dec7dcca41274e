"""Merging checkpoints: the arithmetic against PEFT and by hand, what is written and read, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft.utils import merge_utils
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText, LlavaConfig, Qwen2_5_VLConfig

from reassess.models import arithmetic
from reassess.models.alike import Stored, compare_files, compare_tensors
from reassess.models.arithmetic import How, MergeError, merge
from reassess.study.models import Model

TEXT = {
    **{"vocab_size": 128, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1},
    **{"num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 512},
}
Tensors = dict[str, torch.Tensor]


def qwen() -> Qwen2_5_VLConfig:
    """Qwen2.5-VL with an output layer that is the embedding, as that of 3B."""
    return Qwen2_5_VLConfig(
        text_config={
            **TEXT,
            "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1e6},
        },
        vision_config={
            **{"depth": 1, "hidden_size": 32, "out_hidden_size": 32, "num_heads": 2, "intermediate_size": 48},
            **{"patch_size": 14, "window_size": 112, "fullatt_block_indexes": [0]},
        },
        tie_word_embeddings=True,
    )


def llava() -> LlavaConfig:
    """LLaVA, which the hub has with names of tensors that are not those of today's classes."""
    return LlavaConfig(
        text_config={**TEXT, "model_type": "llama"},
        vision_config={
            **{"model_type": "clip_vision_model", "hidden_size": 32, "intermediate_size": 48, "image_size": 28},
            **{"num_hidden_layers": 1, "num_attention_heads": 2, "patch_size": 14, "projection_dim": 32},
        },
    )


def checkpoint(directory: Path, config: Any, seed: int, dtype: torch.dtype = torch.float32, **options: Any) -> Path:
    """A random checkpoint, with what a study's checkpoints have beside the weights."""
    torch.manual_seed(seed)
    model = AutoModelForImageTextToText.from_config(config, dtype=dtype)
    # Weights that start as zeros or ones would be the same in all.
    for parameter in model.parameters():
        parameter.data.normal_()
    model.save_pretrained(directory, **options)
    vocabulary = {"a": 0, "b": 1}
    tokenizer = {"version": "1.0", "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "a"}}
    (directory / "tokenizer.json").write_text(json.dumps({**tokenizer, "added_tokens": [], "padding": None}))
    (directory / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ messages }}"}))
    (directory / "preprocessor_config.json").write_text(json.dumps({"image_processor_type": "A", "patch_size": 14}))
    return directory


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three tiny Qwen2.5-VL; do not write here."""
    root = tmp_path_factory.mktemp("parents")
    for seed, name in enumerate(("base", "one", "two")):
        checkpoint(root / name, qwen(), seed)
    return root


@pytest.fixture
def theirs(made: Path, tmp_path: Path) -> Path:
    """A copy of the three, to be changed; the merge is written to `merged`."""
    shutil.copytree(made, tmp_path / "models")
    (tmp_path / "models/merged").mkdir()
    return tmp_path / "models"


def compare(parents: list[Path]) -> None:
    compare_files(parents)
    compare_tensors([Stored.of(parent) for parent in parents])


def merged(parents: list[Path], directory: Path, dtype: Any = "float32", **options: Any) -> Tensors:
    """Merge, and return all tensors that were written."""
    directory.mkdir(exist_ok=True)
    base = options.pop("base", None)
    how = How(**{"method": "linear", "weights": [0.5, 0.5], **options})
    merge(parents, directory, Model(path=str(parents[0]), dtype=dtype), how, base)
    assert [path.name for path in directory.parent.iterdir() if "rewritten" in path.name] == []
    return tensors(directory)


def tensors(directory: Path) -> Tensors:
    return {name: tensor for file in directory.glob("*.safetensors") for name, tensor in load_file(file).items()}


def equal(one: Tensors, other: Tensors) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def loaded(directory: Path, dtype: torch.dtype = torch.float32) -> Any:
    """Load a merge with its first parent's config, every tensor of it and nothing else."""
    model, info = AutoModelForImageTextToText.from_pretrained(directory, dtype=dtype, output_loading_info=True)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    return model


def edit(file: Path, change: Callable[[Any], None]) -> None:
    content = json.loads(file.read_text()) if file.exists() else {}
    change(content)
    file.write_text(json.dumps(content))


def edit_tensors(directory: Path, change: Callable[[Tensors], None]) -> None:
    content = load_file(directory / "model.safetensors")
    change(content)
    save_file(content, directory / "model.safetensors", metadata={"format": "pt"})


# The arithmetic


def test_linear_is_the_weighted_mean(made: Path, tmp_path: Path) -> None:
    found = merged([made / "one", made / "two"], tmp_path / "merged", weights=[0.25, 0.75])
    one, two = tensors(made / "one"), tensors(made / "two")
    assert found.keys() == one.keys()
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, 0.25 * one[name] + 0.75 * two[name])


def test_a_parent_of_weight_zero_leaves_the_other_as_it_is(theirs: Path) -> None:
    def negative_zeros(content: Tensors) -> None:
        content["model.norm.weight"].fill_(-0.0)

    edit_tensors(theirs / "one", negative_zeros)
    found = merged([theirs / "one", theirs / "two"], theirs / "merged", weights=[1, 0])
    for name, tensor in tensors(theirs / "one").items():
        assert torch.equal(found[name].view(torch.int32), tensor.view(torch.int32))


@pytest.mark.parametrize("weights", [[1.0, 1.0], [0.7, -0.4]])
@pytest.mark.parametrize("density", [0.01, 0.3, 1.0])
@pytest.mark.filterwarnings("ignore:The density")
def test_ties_is_that_of_peft(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, density: float, weights: list[float]
) -> None:
    monkeypatch.setattr(arithmetic, "CHUNK", 1000)
    base, one, two = (tensors(made / name) for name in ("base", "one", "two"))
    parents = [made / "one", made / "two"]
    found = merged(parents, tmp_path / "merged", method="ties", base=made / "base", density=density, weights=weights)
    for name, tensor in found.items():
        tasks = [one[name] - base[name], two[name] - base[name]]
        expected = base[name] + merge_utils.ties(tasks, torch.tensor(weights), density)
        torch.testing.assert_close(tensor, expected)


def test_ties_by_hand(theirs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arithmetic, "CHUNK", 4)
    name = "model.norm.weight"
    tasks = {"base": [0.0] * 6, "one": [4, -3, 0.5, 2, 0, 2.0], "two": [2, 5, -3, 0.5, 0, 0.25]}
    for directory, values in tasks.items():

        def put(content: Tensors, values: list[float] = values) -> None:
            content[name][:6] = torch.tensor(values)
            content[name][6:] = 0

        edit_tensors(theirs / directory, put)
    # Three of 32 stay of each. Of the two entries of 2 in "one" it is the first, so the last entry is dropped.
    parents = [theirs / "one", theirs / "two"]
    found = merged(parents, theirs / "merged", method="ties", base=theirs / "base", density=0.1, weights=[1, 1])
    assert found[name][:7].tolist() == [3, 5, -3, 2, 0, 0, 0]


@pytest.mark.parametrize("method", ["dare", "ties"])
def test_a_density_of_one_drops_nothing(made: Path, tmp_path: Path, recwarn: Any, method: str) -> None:
    base, one = tensors(made / "base"), tensors(made / "one")
    found = merged([made / "one"], tmp_path / "merged", method=method, base=made / "base", weights=[0.5])
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, base[name] + 0.5 * (one[name] - base[name]))
    assert not [warning for warning in recwarn if "density" in str(warning.message)]


def test_dare_drops_and_rescales(made: Path, tmp_path: Path) -> None:
    base, one, two = (tensors(made / name) for name in ("base", "one", "two"))
    parents, options = [made / "one", made / "two"], {"method": "dare", "base": made / "base", "density": 0.25}
    found = merged(parents, tmp_path / "merged", **options, weights=[1, 0.5], seed=3)
    kept = torch.zeros(4)
    for name, tensor in found.items():
        first, second = (one[name] - base[name]) * 4, (two[name] - base[name]) * 4 * 0.5
        # Each entry of the merged task vector is one of four: nothing, either, or both.
        candidates = torch.stack([torch.zeros_like(first), first, second, first + second])
        distance, which = (candidates - (tensor - base[name])).abs().min(dim=0)
        assert distance.max() < 1e-4
        kept += which.bincount(minlength=4) if which.dim() == 1 else which.flatten().bincount(minlength=4)
    expected = torch.tensor([9, 3, 3, 1]) / 16
    assert torch.allclose(kept / kept.sum(), expected, atol=0.01)


def test_dares_draws_depend_on_the_seed_and_the_name_alone(theirs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parents = [theirs / "one", theirs / "two"]
    options = {"method": "dare", "base": theirs / "base", "density": 0.5}
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = merged(parents, theirs / "merged", **options)
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(6)
    assert equal(merged(parents, theirs / "again", **options), first)
    assert not equal(merged(parents, theirs / "other", **options, seed=1), first)
    # Other shards to read and to write.
    AutoModelForImageTextToText.from_pretrained(theirs / "two").save_pretrained(theirs / "two", max_shard_size="30KB")
    (theirs / "two/model.safetensors").unlink()
    assert len(list((theirs / "two").glob("model-0*.safetensors"))) > 3
    monkeypatch.setattr(arithmetic, "SHARD", 50_000)
    assert equal(merged(parents, theirs / "sharded", **options), first)
    assert len(list((theirs / "sharded").glob("model-0*.safetensors"))) > 3
    # Tensors of one shape have draws of their own.
    zeros = {name: (first[f"model.layers.0.{name}_layernorm.weight"]) for name in ("input", "post_attention")}
    assert not torch.equal(
        *(
            tensor == tensors(theirs / "base")[f"model.layers.0.{name}_layernorm.weight"]
            for name, tensor in zeros.items()
        )
    )


# What is written and read


@pytest.mark.parametrize("shard", [2_000_000_000, 50_000])
@pytest.mark.parametrize("config", [qwen, llava])
def test_a_merge_loads_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: Callable[[], Any], shard: int
) -> None:
    monkeypatch.setattr(arithmetic, "SHARD", shard)
    one, two = (checkpoint(tmp_path / str(seed), config(), seed) for seed in (1, 2))
    (tmp_path / "merged").mkdir()
    # What a killed merge may have left.
    save_file({"odd": torch.zeros(1)}, tmp_path / "merged/model-00001-of-00099.safetensors")
    found = merged([one, two], tmp_path / "merged")
    shutil.copy(one / "config.json", tmp_path / "merged/config.json")
    model = loaded(tmp_path / "merged")
    weights = [loaded(parent).state_dict() for parent in (one, two)]
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, (weights[0][name] + weights[1][name]) / 2)
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert tied == (config is qwen)
    # The same files as transformers writes.
    model.save_pretrained(tmp_path / "saved", max_shard_size=shard)
    names = [
        sorted(path.name for path in folder.glob("model*")) for folder in (tmp_path / "merged", tmp_path / "saved")
    ]
    assert names[0] == names[1]
    assert equal(tensors(tmp_path / "saved"), found)
    for file in (tmp_path / "merged").glob("*.safetensors"):
        with safe_open(file, framework="pt") as handle:
            assert handle.metadata() == {"format": "pt"}
    if shard < 1_000_000:
        indices = [
            json.loads((tmp_path / folder / "model.safetensors.index.json").read_text())
            for folder in ("merged", "saved")
        ]
        assert indices[0] == indices[1]


def test_bfloat16_is_summed_in_float32_and_written_as_such(tmp_path: Path) -> None:
    one, two = (checkpoint(tmp_path / str(seed), qwen(), seed, dtype=torch.bfloat16) for seed in (1, 2))
    found = merged([one, two], tmp_path / "merged", "bfloat16", weights=[0.3, 0.7])
    first, second = tensors(one), tensors(two)
    for name, tensor in found.items():
        expected = (first[name].float() * 0.3 + second[name].float() * 0.7).bfloat16()
        assert tensor.dtype == torch.bfloat16
        assert torch.equal(tensor, expected)


@pytest.mark.parametrize("order", [["old", "two"], ["two", "old"]])
def test_other_names_of_tensors_are_translated(tmp_path: Path, order: list[str]) -> None:
    for seed, name in enumerate(("base", "old", "two")):
        checkpoint(tmp_path / name, llava(), seed, save_original_format=name != "old")
    assert not tensors(tmp_path / "old").keys() & tensors(tmp_path / "two").keys()
    with pytest.raises(MergeError, match="differ in"):
        compare([tmp_path / "old", tmp_path / "two"])
    parents = [tmp_path / name for name in order]
    found = merged(parents, tmp_path / "merged", method="ties", weights=[1, 1], base=tmp_path / "base", density=0.5)
    assert found.keys() == tensors(tmp_path / "two").keys()
    # As if it had had these names from the start.
    checkpoint(tmp_path / "old", llava(), 1)
    again = merged(parents, tmp_path / "again", method="ties", weights=[1, 1], base=tmp_path / "base", density=0.5)
    assert equal(found, again)


@pytest.mark.parametrize("which", [["base"], ["base", "one", "two"]])
def test_a_stored_tied_output_layer_stays_tied(theirs: Path, which: list[str]) -> None:
    def store(content: Tensors) -> None:
        content["lm_head.weight"] = content["model.embed_tokens.weight"].clone()

    options = {"method": "dare", "base": theirs / "base", "density": 0.5}
    parents = [theirs / "one", theirs / "two"]
    expected = merged(parents, theirs / "expected", **options)
    for name in which:
        edit_tensors(theirs / name, store)
    assert equal(merged(parents, theirs / "merged", **options), expected)


def test_what_is_no_weight_is_taken_over(theirs: Path) -> None:
    for name in ("one", "two"):
        edit_tensors(theirs / name, lambda content: content.update(ids=torch.arange(3)))
    parents = [theirs / "one", theirs / "two"]
    assert merged(parents, theirs / "merged")["ids"].tolist() == [0, 1, 2]
    edit_tensors(theirs / "two", lambda content: content.update(ids=torch.arange(3) + 1))
    with pytest.raises(MergeError, match=r"one and .*two: ids is no weight and differs .*; merge"):
        merged(parents, theirs / "merged")


# What is refused


def put(file: str, **values: Any) -> Callable[[Path], None]:
    return lambda directory: edit(directory / file, lambda content: content.update(values))


def no_template(directory: Path) -> None:
    (directory / "tokenizer_config.json").unlink()


def longer(directory: Path) -> None:
    edit_tensors(directory, lambda content: content.update({"model.norm.weight": torch.zeros(33)}))


def other_vocabulary(directory: Path) -> None:
    edit(directory / "tokenizer.json", lambda content: content["model"]["vocab"].update(c=2))


def one_more(directory: Path) -> None:
    edit_tensors(directory, lambda content: content.update(odd=torch.zeros(1)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("config.json", image_token_id=7), r"architectures differ \(config.json, image_token_id is .* and '7'\)"),
        (put("config.json", architectures=["Other"]), r"architectures differ .*'Other'"),
        (other_vocabulary, r"tokenizers differ \(tokenizer.json, model, vocab, c is 'None' and '2'\)"),
        (lambda directory: (directory / "tokenizer.json").unlink(), "tokenizers differ .*is in .*one alone"),
        (lambda directory: (directory / "merges.txt").write_text("a"), None),
        (put("tokenizer_config.json", chat_template="{{ 1 }}"), r"chat templates differ \(both have one"),
        (no_template, r"chat templates differ \(.*two has none"),
        (lambda directory: (directory / "chat_template.jinja").write_text("{{ 1 }}"), "chat templates differ"),
        (put("chat_template.json", chat_template="{{ 1 }}"), "chat templates differ"),
        (put("preprocessor_config.json", patch_size=16), "preprocessors differ .*patch_size is '14' and '16'"),
        (put("processor_config.json", image_seq_len=3), "preprocessors differ .*image_seq_len"),
        (longer, r"shapes of model.norm.weight differ \(\[32\] and \[33\]\)"),
        (one_more, r"tensors differ in 1 names \(odd is in .*two alone\)"),
        # What says nothing.
        (put("config.json", dtype="bfloat16", transformers_version="4", use_cache=False, _name_or_path="x"), None),
        (
            put(
                "tokenizer.json",
                padding={
                    "strategy": {"Fixed": 8},
                    "direction": "Left",
                    "pad_to_multiple_of": None,
                    "pad_id": 0,
                    "pad_type_id": 0,
                    "pad_token": "a",
                },
            ),
            None,
        ),
        (put("preprocessor_config.json", image_processor_type="AFast", processor_class="P"), None),
    ],
)
def test_what_differs_is_one_clear_error(theirs: Path, change: Callable[[Path], None], message: str | None) -> None:
    change(theirs / "two")
    if message is None:
        compare([theirs / "one", theirs / "one", theirs / "two"])
        return
    with pytest.raises(MergeError, match=rf"one and .*two: .*{message}.*; (merge|load)"):
        compare([theirs / "one", theirs / "one", theirs / "two"])


def test_nothing_is_written_where_parents_or_base_differ(theirs: Path) -> None:
    (theirs / "merged/model.safetensors").write_bytes(b"old")
    other_vocabulary(theirs / "base")
    parents = [theirs / "one", theirs / "two"]
    with pytest.raises(MergeError, match=r"one and .*base: their tokenizers differ"):
        merged(parents, theirs / "merged", method="ties", base=theirs / "base")
    longer(theirs / "two")
    with pytest.raises(MergeError, match=r"shapes of model.norm.weight"):
        merged(parents, theirs / "merged")
    assert (theirs / "merged/model.safetensors").read_bytes() == b"old"


def test_a_config_of_an_older_form_is_the_same_architecture(theirs: Path) -> None:
    def flat(content: dict[str, Any]) -> None:
        content.update(content.pop("text_config"))
        content.update(model_type="qwen2_5_vl", tie_word_embeddings=True)

    edit(theirs / "two/config.json", flat)
    edit(theirs / "one/config.json", lambda content: content["text_config"].pop("attention_dropout", None))
    compare([theirs / "one", theirs / "two"])


def test_a_checkpoint_that_cannot_be_loaded_to_be_renamed_is_refused(theirs: Path) -> None:
    edit_tensors(theirs / "two", lambda content: content.pop("model.norm.weight"))
    with pytest.raises(MergeError, match=r"two: lacks 1 of the model's weights, such as .*norm.weight; make"):
        merged([theirs / "one", theirs / "two"], theirs / "merged")
    assert not list(theirs.glob(".merged*"))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 3e38])
def test_a_merge_that_is_not_finite_names_the_tensor(theirs: Path, value: float) -> None:
    for name in ("one", "two"):
        edit_tensors(theirs / name, lambda content: content["model.norm.weight"][3:4].fill_(value))
    with pytest.raises(MergeError, match=r"model.norm.weight: the merge of .*one, .*two is not finite"):
        merged([theirs / "one", theirs / "two"], theirs / "merged", weights=[1, 1])


def test_files_that_are_not_there_or_broken_are_refused(theirs: Path) -> None:
    parents = [theirs / "one", theirs / "two"]
    (theirs / "two/model.safetensors").write_bytes(b"half")
    with pytest.raises(MergeError, match=r"two.model.safetensors: cannot be read"):
        compare(parents)
    (theirs / "two/model.safetensors").unlink()
    with pytest.raises(MergeError, match=r"two: no model.safetensors and no"):
        compare(parents)
    edit(theirs / "two/model.safetensors.index.json", lambda content: content.update(weight_map={"a": "b.safetensors"}))
    with pytest.raises(MergeError, match=r"b.safetensors: cannot be read"):
        compare(parents)
    (theirs / "two/tokenizer.json").write_text("{")
    with pytest.raises(MergeError, match=r"two.tokenizer.json: cannot be read"):
        compare(parents)
    (theirs / "two/config.json").write_text("{")
    with pytest.raises(MergeError, match=r"config.json: cannot be read"):
        compare(parents)
    (theirs / "two/config.json").write_text("[]")
    with pytest.raises(MergeError, match=r"config.json: holds no object"):
        compare(parents)
    for name in ("one", "two"):
        (theirs / name / "config.json").unlink()
    with pytest.raises(MergeError, match=r"neither has a config.json"):
        compare(parents)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": [1]}, "1 weights for 2 parents"),
        ({"weights": [0, 0]}, "all weights are 0"),
        ({"method": "ties"}, "'ties' merges differences to a base"),
        ({"method": "dare"}, "'dare' merges differences to a base"),
        ({"density": 0}, "density 0"),
        ({"density": 1.5}, "density 1.5"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(
    made: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(MergeError, match=message):
        merged([made / "one", made / "two"], tmp_path / "merged", **options)
    with pytest.raises(MergeError, match="cannot replace what it is made from"):
        merged([made / "one", made / "two"], made / "one")
