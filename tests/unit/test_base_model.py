"""A base model counts as made when it has been loaded: what is broken is refused in one line, and costs nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from safetensors.torch import load_file, save_file

from once import once
from reassess import graph, paths
from reassess.graph import Graph
from reassess.models import base, published
from reassess.models.base import ModelError, build_base
from reassess.models.load import fingerprint
from reassess.study.study import Study
from reassess.work import records, turns

Break = Callable[[Path], None]
WEIGHTS, CONFIG, TOKENIZER = "model.safetensors", "config.json", "tokenizer.json"
POINTER = (
    "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca2\n"
)
TEMPLATE = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}<end_of_utterance>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@pytest.fixture(scope="module")
def text_checkpoint(tmp_path_factory: pytest.TempPathFactory, toy_checkpoint: Path) -> Path:
    """A tiny Qwen2 with random weights and the toy's vocabulary, its embeddings tied; do not write here."""
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    def make(folder: Path) -> None:
        end = "<end_of_utterance>"
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_file=str(toy_checkpoint / TOKENIZER), eos_token=end, pad_token="<|pad|>"
        )
        tokenizer.chat_template = TEMPLATE
        config = Qwen2Config(
            vocab_size=704,
            hidden_size=64,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            tie_word_embeddings=True,
            eos_token_id=tokenizer.convert_tokens_to_ids(end),
            bos_token_id=None,
        )
        torch.manual_seed(0)
        Qwen2ForCausalLM(config).save_pretrained(folder / "model")
        tokenizer.save_pretrained(folder / "model")

    return once(tmp_path_factory, "tiny-qwen2", make) / "model"


def with_model(study: Study, model: dict[str, Any], is_text: bool = False) -> Graph:
    data = json.loads(study.model_dump_json())
    # Broken weights cannot be counted.
    data["models"] = {"mine": {"max_prompt_length": 160, "parameters": 500_000, **model}}
    if is_text:
        source = {"kind": "toy", "n": 64, "text_only": True}
        data["pools"] = {"toy": {"modality": "text", "sources": [source]}}
        data["benchmarks"]["toy-id"] = data["benchmarks"]["toy-text"]
    return graph.parse(data, "test")


def edit(file: Path, **values: Any) -> None:
    """Change keys of a JSON file; None removes one."""
    found = json.loads(file.read_text(encoding="utf-8"))
    found |= {key: value for key, value in values.items() if value is not None}
    found = {key: value for key, value in found.items() if not (key in values and values[key] is None)}
    file.write_text(json.dumps(found), encoding="utf-8")


def remove(*names: str) -> Break:
    def break_(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return break_


def write(name: str, text: str) -> Break:
    return lambda folder: (folder / name).write_text(text, encoding="utf-8") and None


def cut(name: str) -> Break:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-1000]) and None


def config(**values: Any) -> Break:
    return lambda folder: edit(folder / CONFIG, **values)


def tensors(change: Callable[[dict[str, torch.Tensor]], Any]) -> Break:
    """Change the stored weights."""

    def break_(folder: Path) -> None:
        weights = load_file(folder / WEIGHTS)
        change(weights)
        save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})

    return break_


def odd(value: float) -> Break:
    return tensors(lambda weights: weights[NORM].fill_(value))


def adapter(is_alone: bool) -> Break:
    def break_(folder: Path) -> None:
        edit_ = {"peft_type": "LORA", "base_model_name_or_path": "owner/base"}
        (folder / "adapter_config.json").write_text(json.dumps(edit_), encoding="utf-8")
        save_file({"lora_A.weight": torch.zeros(2, 2)}, folder / "adapter_model.safetensors")
        if is_alone:
            remove(WEIGHTS, CONFIG)(folder)

    return break_


def sharded(folder: Path) -> None:
    """Two shards, of which the index names one more."""
    weights = load_file(folder / WEIGHTS)
    names = sorted(weights)
    parts = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
    for part, kept in parts.items():
        save_file({name: weights[name] for name in kept}, folder / part, metadata={"format": "pt"})
    where = {name: part for part, kept in parts.items() for name in kept} | {names[0]: "model-3.safetensors"}
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps({"weight_map": where}), encoding="utf-8")
    (folder / WEIGHTS).unlink()


def pickled(folder: Path) -> None:
    torch.save(load_file(folder / WEIGHTS), folder / "pytorch_model.bin")
    (folder / WEIGHTS).unlink()


def fewer_rows(folder: Path) -> None:
    """An embedding of 64 rows, and the tokenizer of more tokens."""
    text = json.loads((folder / CONFIG).read_text(encoding="utf-8"))["text_config"]
    edit(folder / CONFIG, text_config=text | {"vocab_size": 64})
    tensors(lambda weights: weights.update({name: weights[name][:64].clone() for name in (EMBEDDING, HEAD)}))(folder)


def no_end(folder: Path) -> None:
    edit(folder / "tokenizer_config.json", eos_token=None)
    edit(folder / "generation_config.json", eos_token_id=None)


def special_tags(folder: Path) -> None:
    """Make tags special tokens, as a tokenizer has them to which they were added with `add_special_tokens`."""
    file = folder / TOKENIZER
    tokenizer = json.loads(file.read_text())
    for token in tokenizer["added_tokens"]:
        token["special"] = token["special"] or token["content"] == "<think>"
    file.write_text(json.dumps(tokenizer))


EMBEDDING = "model.text_model.embed_tokens.weight"
NORM = "model.text_model.norm.weight"
HEAD = "lm_head.weight"
ENDLESS = (
    "{% for m in messages %}{% for p in m.content %}{% if p.type == 'image' %}<image>{% else %}{{ p.text }}"
    "{% endif %}{% endfor %};{% endfor %}"
)
# What is broken in a checkpoint, and what the message says: the file, what was expected, and what to do.
BROKEN: dict[str, tuple[Break, list[str]]] = {
    "adapter alone": (adapter(True), ["adapter_config.json", "an adapter alone", "owner/base", "merge_and_unload"]),
    "adapter beside": (
        adapter(False),
        ["adapter_config.json", "beside the weights", "merge_and_unload", "remove adapter_config.json"],
    ),
    "truncated weights": (cut(WEIGHTS), [WEIGHTS, "no whole safetensors file", "bytes", "again"]),
    "pointer for weights": (write(WEIGHTS, POINTER), [WEIGHTS, "Git LFS pointer", "git lfs pull"]),
    "pointer for tokenizer": (write(TOKENIZER, POINTER), [TOKENIZER, "Git LFS pointer", "git lfs pull"]),
    "cut config": (cut(CONFIG), [CONFIG, "no valid JSON", "again"]),
    "no config": (remove(CONFIG), [CONFIG, "is not there", "save_pretrained"]),
    "no model type": (config(model_type=None), [CONFIG, "no `model_type`"]),
    "wrong kind of value": (config(scale_factor="one"), [CONFIG, "scale_factor", "correct it"]),
    "cut generation config": (cut("generation_config.json"), ["generation_config.json", "no valid JSON"]),
    "code of another repository": (
        config(auto_map={"AutoConfig": "owner/repo--configuration.Config"}),
        [CONFIG, "its code lies in another repository", "auto_map"],
    ),
    "special tags": (special_tags, ["takes <think> for special tokens", "special: false", TOKENIZER]),
    "turns without end": (
        write("chat_template.jinja", ENDLESS),
        ["chat template", "ends a response with ';', where no token stands at which generation stops", "give another"],
    ),
    "no template": (remove("chat_template.jinja"), ["no chat template", "give it as `chat_template`"]),
    "broken template": (write("chat_template.jinja", "{% for %}"), ["chat template", "give another as"]),
    "template without text": (write("chat_template.jinja", "Hello!"), ["chat template", "what a user says"]),
    "dated template": (
        write("chat_template.jinja", f"{{{{ strftime_now('%d %b %Y') }}}}{TEMPLATE}"),
        ["writes today's date", "template_args", "date_string"],
    ),
    "no preprocessor": (remove("processor_config.json"), ["image processor", "add the files"]),
    "no tokenizer": (remove(TOKENIZER, "tokenizer_config.json"), ["tokenizer", "add the files"]),
    "NaN": (odd(float("nan")), [WEIGHTS, NORM, "NaN", "again"]),
    "infinity": (odd(float("-inf")), [WEIGHTS, NORM, "infinity", "again"]),
    "missing tensors": (tensors(lambda weights: weights.pop(HEAD)), ["1 are missing", HEAD, CONFIG, "one place"]),
    "unexpected tensors": (
        tensors(lambda weights: weights.update({"more": torch.zeros(3)})),
        ["1 are none of the model's", "more", CONFIG, "one place"],
    ),
    "another shape": (
        tensors(lambda weights: weights.update({NORM: torch.ones(7)})),
        ["1 have another shape", NORM, "[7] in place of [96]", "one place"],
    ),
    "pickles alone": (pickled, ["pytorch_model.bin", "a pickle", "save_pretrained"]),
    "missing shard": (sharded, ["index.json", "names model-3.safetensors, which is not there", "copy that file"]),
    "unknown model type": (config(model_type="nobody_knows"), [CONFIG, "does not know", "nobody_knows", "version"]),
    "code of its own": (
        config(model_type="nobody_knows", auto_map={"AutoConfig": "configuration_mine.MineConfig"}),
        [CONFIG, "nobody_knows", "auto_map", "trust_remote_code: true"],
    ),
    "an encoder": (config(model_type="clip"), [CONFIG, "'clip'", "no model that answers", "encoder alone"]),
    "quantised": (config(quantization_config={"quant_method": "awq"}), [CONFIG, "quantised", "not trained"]),
    "another tokenizer": (fewer_rows, ["embedding 64 rows", "tokenizer is that of another model"]),
    "no end": (no_end, ["no token ends a response", "eos_token"]),
    "unreadable file": (
        lambda folder: (folder / "dangling.txt").symlink_to("nowhere"),
        ["dangling.txt", "cannot be read"],
    ),
}


def state(root: Path) -> dict[str, Any]:
    """Return what there is of a model: where its link points, and every file."""
    files = sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    return {"link": (root / "model").readlink()} | {str(file): file.read_bytes() for file in files}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory, toy_checkpoint: Path, tiny_study: Study) -> Path:
    """A directory with a checkpoint, `theirs`, and the base model that was made of it; do not write here."""

    def make(folder: Path) -> None:
        before = Path.cwd()
        os.chdir(folder)
        shutil.copytree(toy_checkpoint, "theirs")
        study = with_model(tiny_study, {"path": "theirs"})
        build_base(study, study["model", "mine"])
        os.chdir(before)

    return once(tmp_path_factory, "good-base", make)


@pytest.fixture
def here(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of `good` as the current directory; returns that of its model."""
    shutil.copytree(good, tmp_path / "work", symlinks=True)
    monkeypatch.chdir(tmp_path / "work")
    return Path(paths.model("mine"))


def refused(study: Graph) -> str:
    with pytest.raises(ModelError) as caught:
        build_base(study, study["model", "mine"])
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_checkpoint_is_one_message(here: Path, tiny_study: Study, what: str) -> None:
    study = with_model(tiny_study, {"path": "theirs"})
    before = state(here)
    break_, words = BROKEN[what]
    break_(Path("theirs"))
    message = refused(study)
    assert message.startswith("models.mine.path: theirs")
    assert all(word in message for word in words), message
    assert base.ASIDE not in message
    assert state(here) == before
    # The old one still counts as made: for the same files, and for who asks for it by an option that is put back.
    assert json.loads(Path(paths.model("mine", "manifest.json")).read_text())["fingerprint"] == fingerprint(
        here / "model"
    )


def test_an_attention_that_nobody_knows_is_refused(here: Path, tiny_study: Study) -> None:
    message = refused(with_model(tiny_study, {"path": "theirs", "attn_implementation": "sdpaa"}))
    assert message.startswith("models.mine.attn_implementation: 'sdpaa' is none of eager, flash_attention_2, ")


def test_what_was_found_is_recorded(here: Path) -> None:
    record = json.loads((here / "manifest.json").read_text(encoding="utf-8"))
    found = {
        key: record[key]
        for key in ("class", "modality", "tied", "stops", "opening", "answered", "parameters", "stored")
    }
    assert found == {
        "class": "Idefics3ForConditionalGeneration",
        "modality": "visual",
        "tied": False,
        "stops": ["<end_of_utterance>"],
        "opening": "",
        "answered": True,
        "parameters": 513_824,
        "stored": {"F32": 513_824},
    }
    assert sorted(path.name for path in here.iterdir()) == ["checkpoints", "manifest.json", "model"]
    assert (here / "model").resolve().parent.name == record["identity"]


def test_a_text_model_for_text(
    text_checkpoint: Path, tiny_study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    study = with_model(tiny_study, {"path": str(text_checkpoint), "dtype": "bfloat16"}, is_text=True)
    build_base(study, study["model", "mine"])
    record = json.loads(Path(paths.model("mine", "manifest.json")).read_text(encoding="utf-8"))
    assert (record["class"], record["modality"], record["tied"]) == ("Qwen2ForCausalLM", "text", True)
    # A tied head is stored once, and counts once.
    assert record["parameters"] == record["stored"]["F32"]


def test_code_of_its_own_is_run_where_it_is_trusted(
    text_checkpoint: Path, tiny_study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr("sys.path", [*sys.path])
    shutil.copytree(text_checkpoint, "theirs")
    Path("theirs/code_of_mine.py").write_text(
        "from transformers import Qwen2Config, Qwen2ForCausalLM\n"
        "class MineConfig(Qwen2Config):\n    model_type = 'mine'\n"
        "class MineForCausalLM(Qwen2ForCausalLM):\n    config_class = MineConfig\n",
        encoding="utf-8",
    )
    classes = {"AutoConfig": "code_of_mine.MineConfig", "AutoModelForCausalLM": "code_of_mine.MineForCausalLM"}
    config(model_type="mine", auto_map=classes, architectures=["MineForCausalLM"])(Path("theirs"))
    assert "trust_remote_code: true" in refused(with_model(tiny_study, {"path": "theirs"}, is_text=True))
    study = with_model(tiny_study, {"path": "theirs", "trust_remote_code": True}, is_text=True)
    build_base(study, study["model", "mine"])
    record = json.loads(Path(paths.model("mine", "manifest.json")).read_text(encoding="utf-8"))
    assert (record["class"], record["answered"]) == ("MineForCausalLM", True)


def test_an_empty_tokenizer_is_none(
    text_checkpoint: Path, tiny_study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Transformers makes one of no files for some families, and says nothing."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(text_checkpoint, "theirs")
    remove(TOKENIZER, "tokenizer_config.json")(Path("theirs"))
    message = refused(with_model(tiny_study, {"path": "theirs"}, is_text=True))
    assert "no tokenizer: none of" in message


def test_a_text_model_that_would_be_shown_images(
    text_checkpoint: Path, tiny_study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    message = refused(with_model(tiny_study, {"path": str(text_checkpoint)}))
    assert "'qwen2' is a model for text alone" in message
    assert "pools.toy and benchmarks.toy-id" in message
    assert "modality: text" in message


def test_a_model_that_does_not_fit_is_looked_at_and_not_asked(here: Path, tiny_study: Study) -> None:
    study = with_model(tiny_study, {"path": "theirs", "resources": {"model": {"mem_mb": 4}}})
    build_base(study, study["model", "mine"])
    assert not json.loads((here / "manifest.json").read_text(encoding="utf-8"))["answered"]


def test_an_option_that_is_put_back_finds_its_model(here: Path, tiny_study: Study) -> None:
    shutil.copytree("theirs", "others", copy_function=shutil.copyfile)
    tensors(lambda weights: weights[NORM].mul_(2))(Path("others"))
    before = json.loads((here / "manifest.json").read_text(encoding="utf-8"))
    study = with_model(tiny_study, {"path": "others"})
    build_base(study, study["model", "mine"])
    other = json.loads((here / "manifest.json").read_text(encoding="utf-8"))
    assert other["fingerprint"] == fingerprint(here / "model") != before["fingerprint"]
    study = with_model(tiny_study, {"path": "theirs"})
    with mock.patch.object(base, "_build", side_effect=AssertionError):
        build_base(study, study["model", "mine"])
    assert json.loads((here / "manifest.json").read_text(encoding="utf-8")) == before
    assert fingerprint(here / "model") == before["fingerprint"]


def test_what_is_shown_is_made_again_where_that_is_asked_for(
    here: Path, tiny_study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes out the same, and stays where it is."""
    study = with_model(tiny_study, {"path": "theirs"})
    note = (here / "model").resolve().with_name(turns.FINISHED)
    monkeypatch.setenv(turns.SINCE, str(time.time()))
    before = json.loads(note.read_text(encoding="utf-8"))["time"]
    build_base(study, study["model", "mine"])
    assert json.loads(note.read_text(encoding="utf-8"))["time"] == before
    monkeypatch.setenv(turns.FORCED, "model")
    inode = (here / "model" / WEIGHTS).stat().st_ino
    build_base(study, study["model", "mine"])
    assert json.loads(note.read_text(encoding="utf-8"))["time"] > before
    assert (here / "model" / WEIGHTS).stat().st_ino == inode


@pytest.mark.parametrize("note", ["[", "[]", "{}", '{"time": 1}', '{"time": 1e12, "run": {"spec": 1}}'])
def test_a_damaged_note_is_none(here: Path, tiny_study: Study, monkeypatch: pytest.MonkeyPatch, note: str) -> None:
    monkeypatch.setenv(turns.SINCE, "0")
    study = with_model(tiny_study, {"path": "theirs"})
    before = state(here)
    (here / "model").resolve().with_name(turns.FINISHED).write_text(note, encoding="utf-8")
    build_base(study, study["model", "mine"])
    assert state(here).keys() == before.keys()
    assert (here / "model").resolve().with_name(turns.FINISHED).read_text(encoding="utf-8") != note


# Just before each of these calls the process dies. The last two are of the link and of the record.
MOMENTS = {
    "copied": "reassess.models.files.check",
    "checked": "reassess.models.base._put",
    "in place": "reassess.models.published.finish",
    "finished": "reassess.models.published.publish",
    "to be shown": "reassess.models.published._link",
    "shown": "reassess.work.records.write",
}


def killed_at(moment: str, study: Graph) -> int:
    """Run the job in a process that dies at a moment; return its status."""
    name = moment.rpartition(".")[2]
    real = records.write

    def die(*args: Any, **kwargs: Any) -> None:
        if name == "write" and not str(args[0]).endswith("manifest.json"):
            real(*args, **kwargs)
            return
        os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if not child:
        try:
            with mock.patch(moment, die):
                build_base(study, study["model", "mine"])
        finally:
            os._exit(3)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at(here: Path, tiny_study: Study, moment: str) -> None:
    """Whatever the moment, what counts is the old model or the new one, whole; the next attempt makes the new one."""
    old = json.loads((here / "manifest.json").read_text(encoding="utf-8"))
    tensors(lambda weights: weights[NORM].mul_(2))(Path("theirs"))
    study = with_model(tiny_study, {"path": "theirs"})
    assert killed_at(MOMENTS[moment], study) == -signal.SIGKILL
    counts = records.read(here / "manifest.json")
    assert counts is None or counts == old
    assert counts is None or counts["fingerprint"] == fingerprint(here / "model")
    # The old one is whole in any case.
    assert fingerprint(here / published.CHECKPOINTS / old["identity"] / "model") == old["fingerprint"]
    build_base(study, study["model", "mine"])
    new = records.read(here / "manifest.json", fingerprint=str, identity=str)
    assert new is not None
    assert new["fingerprint"] == fingerprint("theirs") == fingerprint(here / "model") != old["fingerprint"]
    assert sorted(path.name for path in here.iterdir()) == ["checkpoints", "manifest.json", "model"]
    assert {path.name for path in (here / "checkpoints").iterdir()} == {old["identity"], new["identity"]}


def test_a_full_disk_is_said(here: Path, tiny_study: Study) -> None:
    before = state(here)
    os.utime("theirs/config.json")
    study = with_model(tiny_study, {"path": "theirs"})
    with mock.patch.object(shutil, "copyfile", side_effect=OSError(28, "No space left on device")):
        assert "the disk of results/models/mine is full" in refused(study)
    assert state(here) == before
