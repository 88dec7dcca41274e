"""Generation with real engines on a toy checkpoint: both engines agree."""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from interrupted import stored
from reassess import engines, paths
from reassess.decoding import Decoding
from reassess.engines import transformers as transformers_engine
from reassess.engines import vllm as vllm_engine
from reassess.engines.base import EngineError, EngineInfo, Given, Likelihood, Origin, Request, Response, Setting
from reassess.engines.transformers import SeededSampling
from reassess.evaluate.generate import EvaluationError, generate
from reassess.example import Example
from reassess.graph import Graph, parse
from reassess.models.load import fingerprint, load_model
from reassess.models.reader import TOO_LONG, Reader
from reassess.sources.toy import ToySource
from reassess.study.read import StudyError
from sft_loss import sft_losses

GREEDY = Decoding(max_tokens=24)
SAMPLED = Decoding(temperature=1.0, top_p=0.9, max_tokens=24)
PENALISED = Decoding(repetition_penalty=1.3, max_tokens=24)
# Each leaves out tokens in another way, and the last two in an order that matters.
DRAWN = [
    Decoding(temperature=1.0, repetition_penalty=1.5),
    Decoding(temperature=0.7, top_k=5),
    Decoding(temperature=1.5, min_p=0.3),
    Decoding(temperature=1.0, min_p=0.2, top_p=0.8),
    Decoding(temperature=1.2, repetition_penalty=1.3, top_k=20, min_p=0.1, top_p=0.9),
]
needs_vllm = pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vllm is not installed")


def edited(graph: Graph, **changes: Any) -> Graph:
    """Return a study with top-level parts replaced."""
    return parse({**graph.study.model_dump(mode="json"), **changes}, "test")


def ask(graph: Graph, key: str) -> None:
    generate(graph, graph["generate", key])


@pytest.fixture
def work(tiny_results: Path, tiny: Graph) -> Graph:
    """The tiny study answered by transformers, its results in the current directory."""
    return edited(tiny, evaluation={"engine": "transformers", "batch_size": 8})


def suite(benchmarks: tuple[str, ...] = ("toy-id", "toy-text"), **decoding: Any) -> dict[str, Any]:
    held_out = {"benchmarks": ["toy-id"], "checkpoints": "trajectory", "decoding": {"max_tokens": 8}}
    return {"main": {"benchmarks": list(benchmarks), "decoding": decoding or {"max_tokens": 8}}, "held-out": held_out}


def records(key: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    root = Path(paths.evaluation(key))
    rows: list[dict[str, Any]] = pq.read_table(root / "responses.parquet").to_pylist()
    return json.loads((root / "responses.json").read_text()), rows


# Engines


@pytest.fixture(scope="module")
def talkative(toy_checkpoint: Path, tiny: Graph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that says something else to every prompt and would often write image placeholders."""
    import torch

    directory = tmp_path_factory.mktemp("talkative") / "model"
    shutil.copytree(toy_checkpoint, directory)
    model = load_model(directory, tiny.study.models["toy-xs"])
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.normal_(std=0.1)
        model.lm_head.weight[model.config.image_token_id] *= 20
    model.save_pretrained(directory)
    return directory


@pytest.fixture(scope="module")
def setting(toy_checkpoint: Path, tiny: Graph) -> Setting:
    reader = Reader.of(toy_checkpoint, tiny.study.models["toy-xs"], tiny.study.prompt)
    return Setting(reader, 200, 0, 0, 16, {})


@pytest.fixture(scope="module")
def requests(toy_examples: list[Example], tiny: Graph, setting: Setting) -> list[Request]:
    """Thirty-two visual prompts and their text twins, each plain and with a forced <think>."""
    examples = [*toy_examples[:32], *ToySource(kind="toy", n=32, split="test", text_only=True).read()]
    found = []
    for number, example in enumerate(examples):
        length = setting.reader.read(example).length
        for think in (False, True):
            origin = Origin(examples, number, think, length, bool(example.images))
            found.append(Request(f"{number}{'<think>' if think else ''}", origin, None))
    assert len(found) == 128
    return found


def by_transformers(
    directory: Path, setting: Setting, requests: list[Request], decoding: Decoding
) -> dict[str, Response]:
    info = EngineInfo("transformers", "", "float32", "cpu")
    engine = engines.start(info, str(directory), setting)
    return {key: row for batch in engine.answer(requests, decoding) for key, row in batch.items()}


def seeded(requests: list[Request]) -> list[Request]:
    return [request._replace(seed=1000 + number) for number, request in enumerate(requests)]


def first_tokens(
    directory: Path, setting: Setting, requests: list[Request], decoding: Decoding
) -> list[dict[int, float]]:
    """Return the log-probabilities that transformers draws the first token of each request from, by token."""
    rows: dict[str, list[float]] = {}

    class Seen(SeededSampling):
        def __call__(self, input_ids: Any, scores: Any) -> Any:
            rows[current] = self.warpers(input_ids, scores).log_softmax(dim=-1)[0].tolist()
            return super().__call__(input_ids, scores)

    engine = engines.start(EngineInfo("transformers", "", "float32", "cpu"), str(directory), setting)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transformers_engine, "SeededSampling", Seen)
        for request in requests:
            current = request.key
            list(engine.answer([request], decoding.model_copy(update={"max_tokens": 1})))
    return [{id_: value for id_, value in enumerate(row) if value > -1e9} for row in rows.values()]


def given(requests: list[Request], reader: Reader) -> list[Given]:
    """The examples' own responses to plain prompts."""
    plain = [request for request in requests if not request.origin.think]
    examples = [request.origin.examples[request.origin.place] for request in plain]
    return [
        Given(request.key, request.origin, len(reader.response_ids(example)))
        for request, example in zip(plain, examples, strict=True)
    ]


def check_likely(found: dict[str, Likelihood], asked: list[Given], losses: dict[str, tuple[float, int]]) -> None:
    """Compare likelihoods with transformers' own loss on the same responses."""
    assert len(found) == len(asked) == len(losses)
    for item in asked:
        loss, tokens = losses[item.origin.examples[item.origin.place].id]
        said = found[item.key]
        assert (said.tokens, said.error) == (tokens, None) == (item.tokens, None)
        assert said.nll / said.tokens == pytest.approx(loss, abs=1e-5)


@needs_vllm
def test_engines_agree(
    toy_checkpoint: Path, talkative: Path, setting: Setting, requests: list[Request], tmp_path: Path, stored: Any
) -> None:
    last = requests[-1].origin
    long = replace(last.examples[last.place], question=last.examples[last.place].question * 20)
    too_long = Request("too long", last._replace(examples=[long], place=0), None)
    few = seeded(requests)[:16]
    ours = by_transformers(talkative, setting, requests, GREEDY)
    # Of the middle of some responses: they begin and end within tokens.
    middles = [row.response[9:12] for row in list(ours.values())[::8]]
    stopped = Decoding(stop=tuple(text for text in middles if text and "\ufffd" not in text), max_tokens=24)
    jobs = [
        (str(toy_checkpoint), requests, GREEDY),
        # The same engine with other weights: nothing that was computed with the old ones may be left.
        (str(talkative), [*requests, too_long], GREEDY),
        (str(talkative), seeded(requests), SAMPLED),
        (str(talkative), [request._replace(seed=1000 + 15 - i) for i, request in enumerate(few)][::-1], SAMPLED),
        (str(talkative), few[::-1], SAMPLED),
        (str(talkative), requests, PENALISED),
        (str(talkative), requests, stopped),
    ]
    asked = given(requests, setting.reader)
    wordy = replace(long, question=last.examples[last.place].question, rationales=(long.rationales[0] * 20,))
    too_wordy = Given("too wordy", last._replace(examples=[wordy], place=0), len(setting.reader.response_ids(wordy)))
    probed = setting._replace(engine_args={"logprobs_mode": "processed_logprobs", "max_logprobs": -1})
    (tmp_path / "jobs.pickle").write_bytes(pickle.dumps((probed, jobs, few, DRAWN, [*asked, too_wordy])))
    script = Path(__file__).with_name("ask_vllm.py")
    command = [sys.executable, str(script), str(tmp_path / "jobs.pickle"), str(tmp_path / "out.json")]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    out = json.loads((tmp_path / "out.json").read_text())
    print(out["seconds"])
    assert out["reasons"] == ["", "this vllm has no GPU to run on, and the job has 1"]
    answers = [{key: Response(**row) for key, row in job.items()} for job in out["answers"]]

    assert answers[0] == by_transformers(toy_checkpoint, setting, requests, GREEDY)
    refused = answers[1].pop("too long")
    assert refused.finish_reason == "error"
    assert "200" in str(refused.error)
    assert answers[1] == ours
    assert len({row.response for row in ours.values()}) > 64
    assert {row.finish_reason for row in [*answers[0].values(), *ours.values()]} == {"stop", "length"}

    # A sample depends on its seed, not on its batch: sixteen alone and backwards, and another seed.
    for request in few:
        assert answers[4][request.key] == answers[2][request.key]
    assert sum(answers[3][request.key] != answers[2][request.key] for request in few) > 12

    penalised = by_transformers(talkative, setting, requests, PENALISED)
    assert answers[5] == penalised
    assert sum(penalised[key] != ours[key] for key in ours) > 64
    cut = by_transformers(talkative, setting, requests, stopped)
    assert answers[6] == cut
    ended = [key for key, row in cut.items() if row.response.endswith(stopped.stop)]
    assert len(ended) > 8
    for key, row in cut.items():
        assert ours[key].response.startswith(row.response)
        assert row.finish_reason == ("stop" if key in ended else ours[key].finish_reason)
        assert row.n_tokens <= ours[key].n_tokens

    for decoding, found in zip(DRAWN, out["drawn"], strict=True):
        for theirs, mine in zip(found, first_tokens(talkative, setting, few, decoding), strict=True):
            assert {int(id_) for id_ in theirs} == set(mine), decoding
            assert {int(id_): value for id_, value in theirs.items()} == pytest.approx(mine, abs=1e-4)

    examples = stored(item.origin.examples[item.origin.place] for item in asked)
    losses = sft_losses(toy_checkpoint, setting.reader, examples)
    assert max(losses.values())[0] - min(losses.values())[0] > 0.1
    likely = {key: Likelihood(**row) for key, row in out["likely"].items()}
    assert "200" in str(likely.pop("too wordy").error)
    check_likely(likely, asked, losses)
    # Several texts, then several pictures: seven at a time have responses of other lengths beside them.
    few_at_a_time = setting._replace(batch_size=7)
    engine = engines.start(EngineInfo("transformers", "", "float32", "cpu"), str(toy_checkpoint), few_at_a_time)
    check_likely({key: row for batch in engine.nll(asked) for key, row in batch.items()}, asked, losses)


def test_image_placeholders_are_never_written(
    talkative: Path, setting: Setting, requests: list[Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    banned = by_transformers(talkative, setting, requests[:32], GREEDY)
    monkeypatch.setattr(transformers_engine, "banned_tokens", lambda processor: [])
    assert by_transformers(talkative, setting, requests[:32], GREEDY) != banned


def test_samples_do_not_depend_on_their_batch(talkative: Path, setting: Setting, requests: list[Request]) -> None:
    asked = seeded(requests)[::3]
    found = by_transformers(talkative, setting, asked, SAMPLED)
    assert by_transformers(talkative, setting._replace(batch_size=5), asked[::-1], SAMPLED) == found
    other = [request._replace(seed=1) for request in asked]
    same = by_transformers(talkative, setting, other, SAMPLED)
    assert sum(same[key] != found[key] for key in found) > 30


def test_auto_says_why_it_takes_transformers(
    tiny: Graph, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(vllm_engine.importlib.util, "find_spec", lambda name: None)
    info = engines.choose(edited(tiny, evaluation={"engine": "auto"}).study, "toy-xs", 0)
    assert (info.name, info.dtype, info.device) == ("transformers", "float32", "cpu")
    assert capsys.readouterr().out == "engine: transformers (vllm is not installed)\n"
    with pytest.raises(EngineError, match=r"evaluation\.engine: vllm cannot run here: vllm is not installed"):
        engines.choose(edited(tiny, evaluation={"engine": "vllm"}).study, "toy-xs", 0)


def test_engine_arguments_of_the_study_are_refused(tiny: Graph) -> None:
    evaluation = {"engine": "transformers", "engine_args": {"dtype": "auto"}}
    with pytest.raises(EngineError, match=r"evaluation\.engine_args\.dtype: set models\.<name>\.dtype"):
        engines.choose(edited(tiny, evaluation=evaluation).study, "toy-xs", 0)


# Evaluations


def test_store_answers_what_it_has(work: Graph) -> None:
    ask(work, "toy-xs/base/main")
    record, rows = records("toy-xs/base/main")
    assert (record["generated"], record["reused"], len(rows)) == (64, 0, 64)
    assert record["benchmarks"]["toy-text"]["modality"] == "text"
    assert [row["id"] for row in rows[:2]] == ["toy-test-0-000000", "toy-test-0-000001"]
    before = (Path(paths.evaluation("toy-xs/base/main")) / "responses.parquet").read_bytes()

    ask(work, "toy-xs/base/main")
    again, _ = records("toy-xs/base/main")
    assert (again["generated"], again["reused"]) == (0, 64)
    assert (Path(paths.evaluation("toy-xs/base/main")) / "responses.parquet").read_bytes() == before
    timings = {"seconds", "cpu_seconds", "generated", "reused"}
    assert {k: v for k, v in again.items() if k not in timings} == {k: v for k, v in record.items() if k not in timings}
    assert stored() == 64


def test_no_engine_starts_where_nothing_is_missing(work: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    ask(work, "toy-xs/base/main")

    def start(*args: Any) -> None:
        raise AssertionError("an engine was started")

    monkeypatch.setattr(engines, "start", start)
    ask(work, "toy-xs/base/main")
    with pytest.raises(AssertionError, match="an engine was started"):
        ask(work, "toy-xs/base-think/main")


def test_one_more_benchmark_generates_its_own(work: Graph) -> None:
    one = edited(work, suites=suite(("toy-text",)))
    ask(one, "toy-xs/base/main")
    ask(edited(work, suites=suite(("toy-id", "toy-text"))), "toy-xs/base/main")
    record, rows = records("toy-xs/base/main")
    assert (record["generated"], record["reused"]) == (32, 32)
    assert [row["benchmark"] for row in rows] == ["toy-id"] * 32 + ["toy-text"] * 32
    assert stored() == 64


def test_forced_think_is_part_of_the_response(work: Graph) -> None:
    ask(work, "toy-xs/base-think/main")
    record, rows = records("toy-xs/base-think/main")
    assert record["prefill"] == "<think>"
    assert all(row["response"].startswith("<think>") and row["prompt_tokens"] > 1 for row in rows)


def test_samples_have_seeds_of_their_own(work: Graph) -> None:
    drawn = {"temperature": 1.0, "max_tokens": 8}
    seeds = []
    for study_seed in (0, 1):
        graph = edited(work, seed=study_seed, suites=suite(("toy-text",), n=4, **drawn))
        ask(graph, "toy-xs/base/main")
        record, rows = records("toy-xs/base/main")
        assert (record["generated"], len(rows)) == (128, 128)
        assert [row["sample"] for row in rows[:5]] == [0, 1, 2, 3, 0]
        seeds.append([row["seed"] for row in rows])
        first = [row["response"] for row in rows]
        shutil.rmtree("results/responses")
        ask(graph, "toy-xs/base/main")
        assert [row["response"] for row in records("toy-xs/base/main")[1]] == first
        assert len(set(first)) > 32
    assert len({*seeds[0], *seeds[1]}) == 256
    # More samples keep those that are there.
    ask(edited(work, seed=1, suites=suite(("toy-text",), n=6, **drawn)), "toy-xs/base/main")
    record, _ = records("toy-xs/base/main")
    assert (record["generated"], record["reused"]) == (64, 128)


def test_every_step_of_a_trajectory_is_answered(work: Graph, talkative: Path) -> None:
    cell = "toy-xs/toy/seed1/grpo@32"
    steps = {2: Path(paths.model("toy-xs")) / "model", 4: talkative}
    root = Path(paths.run(cell))
    root.mkdir(parents=True)
    kept = [{"step": step, "path": str(path), "fingerprint": fingerprint(path)} for step, path in steps.items()]
    (root / "run.json").write_text(json.dumps({"trajectory": kept}))
    ask(work, f"{cell}/held-out")
    record, rows = records(f"{cell}/held-out")
    assert [(row["step"], row["path"]) for row in record["checkpoints"]] == [(k, str(v)) for k, v in steps.items()]
    assert [row["step"] for row in rows] == [2] * 32 + [4] * 32
    assert {row["response"] for row in rows[:32]}.isdisjoint(row["response"] for row in rows[32:])


def test_long_prompts_are_put_aside_and_counted(work: Graph) -> None:
    model = work.study.model_dump(mode="json")["models"]["toy-xs"] | {"max_prompt_length": 34}
    ask(edited(work, models={"toy-xs": model}), "toy-xs/base/main")
    record, rows = records("toy-xs/base/main")
    aside = sum(counts.get(TOO_LONG, 0) for counts in record["put_aside"].values())
    assert 0 < aside < 64
    assert len(rows) == 64 - aside
    assert max(row["prompt_tokens"] for row in rows) <= 34


def test_changed_checkpoint_is_refused(work: Graph) -> None:
    weights = Path(paths.model("toy-xs")) / "model" / "generation_config.json"
    weights.write_text(weights.read_text() + " ")
    with pytest.raises(EvaluationError, match="the checkpoint was changed after it was made"):
        ask(work, "toy-xs/base/main")


def test_cell_that_is_not_there_is_named(work: Graph) -> None:
    cell = "toy-xs/toy/seed1/grpo@32"
    with pytest.raises(EvaluationError, match=rf"run.json: not there; it has to be made before {cell}/main is asked"):
        ask(work, f"{cell}/main")
    record = Path(paths.run(cell, "run.json"))
    record.parent.mkdir(parents=True)
    record.write_text("{}")
    with pytest.raises(EvaluationError, match="no trajectory, but suite 'held-out' asks for one"):
        ask(work, f"{cell}/held-out")


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        # The base model has no trajectory.
        ("toy-xs/base/held-out", "did you mean .*toy-xs/base/main"),
        ("toy-xs/base/mian", "did you mean toy-xs/base/main or "),
        ("nobody/base/main", "did you mean .*toy-xs/base/main"),
        ("nonsense", "known: toy-xs/base/main, toy-xs/base-think/main, "),
    ],
)
def test_evaluation_that_the_study_has_not_is_named(tiny: Graph, key: str, hint: str) -> None:
    with pytest.raises(StudyError, match=rf"^study tiny: no job of rule generate has the key '{key}'; {hint}"):
        ask(tiny, key)
