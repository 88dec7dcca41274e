"""A study file: what is accepted, and one clear error for each mistake."""

from __future__ import annotations

import copy
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from reassess import graph
from reassess.study import read
from reassess.study.read import StudyError
from snake import ROOT


@pytest.fixture
def data(root: Path) -> dict[str, Any]:
    """The default study, to be spoilt."""
    loaded: dict[str, Any] = yaml.safe_load((root / "config.yaml").read_text(encoding="utf-8"))
    return loaded


def put(data: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Set a dotted key path; a value of `...` deletes the key."""
    *parents, last = path.split("/")
    target: Any = data
    for key in parents:
        target = target[int(key)] if isinstance(target, list) else target[key]
    if value is ...:
        del target[last]
    else:
        target[int(last) if isinstance(target, list) else last] = value
    return data


# key path (with /), bad value, and what the message must say.
MALFORMED = [
    ("model", {"toy": {"size": "xs"}}, ["model: unknown key", "did you mean models?"]),
    ("models/toy-xs/toy/size", "xl", ["models.toy-xs.toy.size", "'xl'", "'xs' or 's'"]),
    ("models/toy-xs/toy/layers", 3, ["models.toy-xs.toy.layers: unknown key", "valid keys: family, size"]),
    ("models/toy-xs", {}, ["models.toy-xs", "exactly one of `toy`", "`path`"]),
    ("models/toy-xs", {"path": "no/such/dir"}, ["models.toy-xs", "'no/such/dir'", "neither an existing directory"]),
    ("models/toy-xs", {"path": "owner/name"}, ["models.toy-xs", "owner/name", "needs `revision`"]),
    ("models/Toy XS", {"toy": {"size": "xs"}}, ["models.Toy XS", "'Toy XS'", "does not match"]),
    (
        "models/toy-xs/resources",
        {"sft": {"gpu": 4, "processes": 2}},
        ["models.toy-xs", "resources.sft.processes: 2 for 4 GPUs"],
    ),
    (
        "models/toy-xs/resources",
        {"grpo": {"gpu": 3, "nodes": 2}},
        ["resources.grpo: 3 processes", "over 2 nodes"],
    ),
    (
        "models/toy-xs/resources",
        {"generate": {"processes": 2}},
        ["models.toy-xs.resources: generate: ", "are for training"],
    ),
    (
        "models/toy-xs/resources",
        {"sft": {"processes": 3}},
        ["models.toy-xs.resources.sft", "stages.sft.batch_size: 32 cannot be split evenly over 3"],
    ),
    ("models/toy-xs/distributed", "fsdp", ["models.toy-xs.distributed", "'ddp', 'zero2' or 'zero3'"]),
    ("stages/sft/args/deepspeed", "ds.json", ["args.deepspeed cannot be set", "models.<name>.distributed"]),
    ("models/toy-xs", {"path": "owner/name", "revision": "0" * 40}, ["`path` 'owner/name': give `parameters`"]),
    ("models/toy-xs", {"path": "studies"}, ["toy-xs: `path` 'studies': give `parameters`", "no readable *.safe"]),
    ("models/toy-xs/parameters", "7B", ["models.toy-xs.parameters", "'7B'", "integer"]),
    ("models/toy-xs/parameters", 0, ["models.toy-xs.parameters: 0", "greater than or equal to 1"]),
    ("models/toy-xs/resources", {"sft": {"gpu": -1}}, ["models.toy-xs.resources.sft.gpu: -1", "or equal to 0"]),
    ("models/toy-xs/resources", {"sft": {"mem_md": 1}}, ["resources.sft.mem_md: unknown key", "did you mean mem_mb?"]),
    (
        "models/toy-xs/resources",
        {"train": {"gpu": 1}},
        ["models.toy-xs.resources: 'train' is no kind of job; known: model, generate, sft, grpo"],
    ),
    ("models/toy-xs/min_pixels", "many", ["models.toy-xs.min_pixels", "'many'", "integer"]),
    ("sizes", [200, 20000], ["sizes: 20000 is larger than pools.toy", "2400"]),
    ("sizes", [200, 200], ["sizes: duplicate values"]),
    ("sizes", [0], ["sizes.0", "greater than or equal to 1"]),
    ("sizes", [], ["sizes", "at least 1"]),
    ("seeds", "one", ["seeds", "'one'", "list"]),
    ("seeds", ..., ["seeds: required, but missing"]),
    ("recipes/rl", ["grpo", "dpo"], ["recipes.rl: unknown stage 'dpo'", "known stages: sft, grpo"]),
    ("recipes/zero", [], ["recipes.zero: `base` is the name of the empty list"]),
    ("recipes/base", ["sft"], ["recipes.base: `base` is the name of the empty list"]),
    ("recipes/floor", ["grpo", "sft"], ["recipes.floor: the name of a control"]),
    ("stages/grpo/trajectory", 0, ["suites.held-out: no stage of a recipe has `trajectory`"]),
    ("stages/sft/args/dataloader_drop_last", True, ["args.dataloader_drop_last cannot be set"]),
    ("recipes/again", ["sft"], ["recipes.again: the same stages as recipes.sft"]),
    ("stages/sft/kind", "dpo", ["stages.sft: kind: 'dpo' is not valid", "'sft', 'grpo'"]),
    ("stages/sft/kind", ..., ["stages.sft: kind: required, but missing"]),
    ("stages/sft/args/learning_rat", 1e-3, ["stages.sft", "args.learning_rat", "did you mean learning_rate"]),
    ("stages/sft/args/num_generations", 4, ["stages.sft", "args.num_generations", "SFTConfig has no such option"]),
    ("stages/sft/args/learning_rate", "fast", ["stages.sft", "args.learning_rate", "'fast'", "number"]),
    ("stages/sft/args/num_train_epochs", -1, ["stages.sft", "args.num_train_epochs: -1.0 is not above 0"]),
    ("stages/sft/args/weight_decay", -0.1, ["stages.sft", "args.weight_decay: -0.1 is below 0"]),
    (
        "stages/sft/args/lr_scheduler_kwargs",
        {"foo": 1},
        ["the schedule 'cosine' has no option 'foo'; it has num_cycles"],
    ),
    ("stages/sft/args/max_length", 20, ["stages.sft", "args.max_length cannot be set", "never cut"]),
    ("stages/sft/args/packing", True, ["args.packing cannot be set", "no packing for vision-language"]),
    ("stages/sft/args/assistant_only_loss", True, ["args.assistant_only_loss cannot be set"]),
    ("stages/sft/args/seed", 3, ["args.seed cannot be set", "`seeds`"]),
    (
        "stages/sft/args/per_device_train_batch_size",
        5,
        ["per_device_train_batch_size: 5 does not divide batch_size 32"],
    ),
    (
        "stages/grpo/args/use_vllm",
        True,
        ["args.use_vllm cannot be set", "corrupts prompts", "`rollouts: {engine: vllm}`"],
    ),
    ("stages/grpo/args/num_generations", 7, ["stages.grpo", "args.num_generations: 7", "divide batch_size 96"]),
    ("stages/grpo/rewards", {"accuracy": 0, "format": 0}, ["stages.grpo", "sum must be above 0"]),
    (
        "stages/grpo/rewards",
        {"accuracy": 1, "style": 1},
        ["stages.grpo.rewards.style", "valid keys: accuracy, format, overlong"],
    ),
    ("suites/main/benchmarks", ["toy-id", "mathvista"], ["suites.main.benchmarks: unknown benchmark 'mathvista'"]),
    ("suites/main/benchmarks", ["toy-id", "toy-id"], ["suites.main.benchmarks: duplicate names"]),
    ("suites/main/decoding", {"temperature": 0, "n": 4}, ["suites.main.decoding", "n is 4 at temperature 0"]),
    ("suites/main/decoding", {"top_k": 20}, ["suites.main.decoding: top_k is 20 at temperature 0", "set temperature"]),
    ("suites/main/decoding", {"top_p": 0.9}, ["top_p is 0.9 at temperature 0", "or leave top_p out"]),
    ("suites/main/decoding", {"min_p": 0.1}, ["min_p is 0.1 at temperature 0"]),
    ("suites/main/decoding/temperature", 0.001, ["temperature is 0.001: vLLM never draws below 0.01; use 0 (greedy)"]),
    ("suites/main/decoding/temperature", 2.5, ["suites.main.decoding.temperature: 2.5", "less than or equal to 2"]),
    ("suites/main/decoding", {"temperature": 1, "top_k": 0}, ["decoding.top_k: 0 is not at least 1; leave it out"]),
    ("suites/main/decoding", {"temperature": 1, "top_k": -1}, ["decoding.top_k: -1 is not at least 1; leave it out"]),
    ("suites/main/decoding", {"temperature": 1, "top_k": -2}, ["decoding.top_k: -2", "greater than or equal to 1"]),
    ("suites/main/decoding", {"temperature": 1, "top_k": True}, ["decoding.top_k: True", "valid integer"]),
    ("suites/main/decoding", {"temperature": 1, "min_p": 1.5}, ["decoding.min_p: 1.5", "less than or equal to 1"]),
    ("suites/main/decoding", {"repetition_penalty": 0}, ["decoding.repetition_penalty: 0", "greater than 0"]),
    ("suites/main/decoding", {"stop": ["</answer>", ""]}, ["decoding.stop.1", "at least 1 character"]),
    ("suites/main/decoding", {"stop": "</answer>"}, ["decoding.stop: '</answer>'", "a list"]),
    (
        "stages/grpo/args/generation_kwargs",
        {"stop_strings": ["</answer>"]},
        ["stages.grpo: args.generation_kwargs.stop_strings cannot be set"],
    ),
    ("suites/main/decoding", {"temprature": 1}, ["decoding.temprature: unknown key", "did you mean temperature?"]),
    ("suites/held-out/sizes", [20000], ["suites.held-out.sizes: 20000 is not in the study; valid: 200, 2000"]),
    ("suites/main/sizes", [200], ["suites.main.sizes: only with `checkpoints: trajectory`"]),
    ("suites/held-out", ..., ["stages.grpo.trajectory: no suite"]),
    ("benchmarks/toy-id/sources/0/split", "train", ["benchmarks.toy-id.sources: split 'train' is for pools"]),
    ("benchmarks/toy-text/modality", "visual", ["benchmarks.toy-text.sources: modality 'visual' does not fit"]),
    (
        "benchmarks/toy-id/sources/0/kind",
        "yaml",
        ["benchmarks.toy-id.sources.0: kind: 'yaml' is not valid", "'parquet'"],
    ),
    ("pools/toy/sources", [{"kind": "parquet", "path": "nowhere", "licence": "MIT"}], ["no such file or directory"]),
    ("pools/toy/max_put_aside", 2, ["pools.toy.max_put_aside", "2", "less than or equal to 1"]),
    ("exclude", [{"recipe": "dpo"}], ["exclude[0].recipe: 'dpo' is not in the study", "valid: base, sft"]),
    ("exclude", [{"model": ["toy-xs", "toy-s"]}], ["the filters take every cell out"]),
    ("only", [{"modle": "toy-xs"}], ["only[0].modle: unknown key", "did you mean model?"]),
    ("sizes", [True], ["sizes.0: True: input should be a valid integer"]),
    ("seeds", [2**32], ["seeds.0: 4294967296", "less than 4294967296"]),
    ("models/toy-xs/toy/seed", 2**63, ["models.toy-xs.toy.seed: 9223372036854775808", "less than"]),
    ("pools/toy/sources/0/families", [], ["pools.toy.sources.0.families: []", "at least 1 item"]),
    ("stages/grpo/args/num_generations", None, ["stages.grpo: args.num_generations: None must be at least 2"]),
    ("stages/sft/args/learning_rate", float("nan"), ["stages.sft.args.learning_rate: nan is not a finite number"]),
    ("stages/sft/args/max_grad_norm", "inf", ["stages.sft.args.max_grad_norm: inf is not a finite number"]),
    ("suites/main/decoding/repetition_penalty", float("inf"), ["decoding.repetition_penalty: inf is not a finite"]),
    ("evaluation", {"engine_args": {"x": [float("nan")]}}, ["evaluation.engine_args.x.0: nan is not a finite"]),
    ("evaluation", {"engine_args": {"x": {1: 2}}}, ["evaluation.engine_args.x.1: the key 1 is not text"]),
    ("evaluation", {"engine_args": {"x": date(2026, 1, 2)}}, ["evaluation.engine_args.x: ", "put text in quotes"]),
    ("prompt/format", "json", ["prompt.format", "'json'", "'think_answer' or 'think_boxed'"]),
]


@pytest.mark.parametrize(("path", "value", "expected"), MALFORMED, ids=[case[0] for case in MALFORMED])
def test_a_mistake_is_one_clear_error(data: dict[str, Any], path: str, value: Any, expected: list[str]) -> None:
    with pytest.raises(StudyError) as error:
        graph.parse(put(data, path, value), "my.yaml")
    message = str(error.value)
    assert all(line.startswith("my.yaml: ") for line in message.splitlines())
    assert len(message.splitlines()) == 1, message
    for part in expected:
        assert part in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: a\nname: b\n", "line 2: duplicate key 'name'"),
        ("models:\n  a: {toy: {size: xs}}\n  a: {toy: {size: s}}\n", "line 3: duplicate key 'a'"),
        ("models: {a: &a {toy: {size: xs}}, b: {<<: *a, <<: *a}}\n", "line 1: duplicate key '<<'"),
        ("name: [a\n", "line 2"),
        ("name: a\nseed: 2026-99-99\n", "line 2: month must be in 1..12"),
        ("name: a\nmodels: &all {one: *all}\n", "an alias may stand inside"),
        ("name: " + "[" * 5000, "nested too deep"),
        ("- a\n- b\n", "expected a mapping"),
        ("", "expected a mapping"),
        ("name: \tx: y\n", "line 1"),
    ],
)
def test_broken_yaml_names_file_and_line(tmp_path: Path, text: str, expected: str) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(text)
    with pytest.raises(StudyError) as error:
        graph.load(file)
    assert str(file) in str(error.value)
    assert expected in str(error.value)


def test_a_merge_key_takes_over_what_it_does_not_say_again(tmp_path: Path, data: dict[str, Any]) -> None:
    shared = "{<<: *shared, max_prompt_length: 99}"
    models = f"{{one: &shared {{toy: {{size: xs}}, max_prompt_length: 160}}, two: {shared}, three: &three {shared}}}"
    file = tmp_path / "study.yaml"
    file.write_text(
        f"{yaml.safe_dump({key: value for key, value in data.items() if key != 'models'})}models: {models}\n"
    )
    found = graph.load(file).study.models
    assert [model.max_prompt_length for model in found.values()] == [160, 99, 99]
    assert {model.toy for model in found.values()} == {found["one"].toy}


def test_the_jobs_of_a_workflow_read_what_the_study_says(tmp_path: Path, data: dict[str, Any]) -> None:
    data["prompt"]["instruction"] = "Think \U0001f914, then\u2028answer."
    data["evaluation"] = {"engine_args": {"gpu_memory_utilization": 1e-05}}
    before = graph.parse(data, "my.yaml")
    read.dump(before.study, tmp_path / "study.json")
    after = graph.load(tmp_path / "study.json")
    assert after.study == before.study
    assert {name: job.spec for name, job in after.jobs.items()} == {name: job.spec for name, job in before.jobs.items()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [('{"name": "a", "name": "b"}', "duplicate key 'name'"), ("{", "not JSON"), ("[]", "a mapping")],
)
def test_broken_json_names_the_file(tmp_path: Path, text: str, expected: str) -> None:
    file = tmp_path / "study.json"
    file.write_text(text)
    with pytest.raises(StudyError) as error:
        graph.load(file)
    assert str(error.value).startswith(f"{file}: ")
    assert expected in str(error.value)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="No such file"):
        graph.load(tmp_path / "none.yaml")


def test_several_mistakes_are_all_told(data: dict[str, Any]) -> None:
    data["sizes"], data["seedz"] = [0], [1]
    with pytest.raises(StudyError) as error:
        graph.parse(data, "my.yaml")
    assert len(str(error.value).splitlines()) == 2


def test_numbers_in_scientific_notation_are_numbers(data: dict[str, Any]) -> None:
    # YAML 1.1 reads 1e-3, without a dot, as text.
    study = read.parse(put(data, "stages/sft/args/learning_rate", "1e-3"), "my.yaml")
    assert study.stages["sft"].args["learning_rate"] == 0.001


def test_a_dumped_study_reads_back_equal(root: Path, tmp_path: Path) -> None:
    for file in [root / "config.yaml", *sorted((root / "studies").glob("*.yaml"))]:
        found = graph.load(file)
        read.dump(found.study, tmp_path / "s.json")
        again = graph.load(tmp_path / "s.json")
        assert again.study == found.study
        # Its order is that of the rows of tables.
        assert list(again.jobs.items()) == list(found.jobs.items())


def test_recipes_share_their_parents(data: dict[str, Any]) -> None:
    runs = graph.parse(data, "my.yaml").runs
    assert len(runs) == 2 * 2 * 2 * 3
    parent = runs["toy-s/toy/seed1/sft@200"]
    assert parent.parents == ("toy-s/base",)
    chained = runs["toy-s/toy/seed1/sft@200/grpo@200"]
    assert (chained.model, chained.pool, chained.seed, chained.name) == ("toy-s", "toy", 1, "sft@200/grpo@200")
    assert chained.parents == (parent.key,)
    assert list(runs).index(parent.key) < list(runs).index(chained.key)
    assert (chained.stage, chained.size, chained.recipe) == ("grpo", 200, "sft-grpo")


def test_filters(data: dict[str, Any]) -> None:
    data["exclude"] = [{"model": "toy-s", "size": 2000}, {"recipe": "grpo"}]
    cells = graph.parse(data, "my.yaml").cells
    assert not [cell for cell in cells if cell.recipe == "grpo"]
    assert not [cell for cell in cells if cell.model == "toy-s" and cell.size == 2000]
    assert len([cell for cell in cells if cell.model == "toy-s" and cell.recipe == "sft"]) == 2
    # A parent that is no cell itself is still trained.
    data["exclude"], data["only"] = [], [{"recipe": "sft-grpo"}]
    found = graph.parse(data, "my.yaml")
    assert {cell.recipe for cell in found.cells} == {"base", "base-think", "sft-grpo"}
    assert {run.name for run in found.runs.values() if run.size == 200} == {"sft@200", "sft@200/grpo@200"}


def test_the_schema_has_not_drifted(root: Path) -> None:
    from reassess.study.reference import schema

    stored = (root / "workflow/schemas/study.schema.json").read_text(encoding="utf-8")
    assert stored == schema(), "run: reassess schema > workflow/schemas/study.schema.json"
    assert json.loads(stored)["additionalProperties"] is False


def test_the_reference_has_not_drifted(root: Path) -> None:
    from reassess.study.reference import reference

    stored = (root / "docs/config.md").read_text(encoding="utf-8")
    assert stored == reference(), "run: reassess reference > docs/config.md"


def test_the_reference_of_data_sets_has_not_drifted(root: Path) -> None:
    from reassess.study.data_reference import data_reference

    stored = (root / "docs/data.md").read_text(encoding="utf-8")
    assert stored == data_reference(), "run: reassess reference --data > docs/data.md"


def test_studies_name_their_schema(root: Path) -> None:
    for file in [root / "config.yaml", *(root / "studies").rglob("*.yaml")]:
        line = file.read_text(encoding="utf-8").splitlines()[0]
        assert line.startswith("# yaml-language-server: $schema=")
        assert (file.parent / line.split("=")[1]).resolve() == root / "workflow/schemas/study.schema.json"


STUDIES = sorted(file.relative_to(ROOT) for file in (ROOT / "studies").rglob("*.yaml"))


@pytest.mark.parametrize("file", STUDIES, ids=str)
def test_every_study_parses_and_has_jobs(file: Path) -> None:
    found = graph.load(ROOT / file)
    assert found.study.name == file.stem.replace("_", "-")
    assert found.counts()["tables"] == 1


def test_parsing_leaves_the_input_alone(data: dict[str, Any]) -> None:
    before = copy.deepcopy(data)
    graph.parse(data, "my.yaml")
    assert data == before
