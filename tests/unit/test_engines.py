"""Generation engines: what every one of them has, and how they decode; two answer in `e2e/test_generate.py`."""

from __future__ import annotations

import importlib
import subprocess
import sys
from typing import Any

import pytest

from reassess import graph
from reassess.decoding import Decoding
from reassess.evaluate.generate import EvaluationError, check_stop
from reassess.graph import Graph
from reassess.graph.identity import suite_spec
from reassess.models.reader import Reader
from reassess.models.toys import idefics3
from reassess.study.read import StudyError
from reassess.study.suites import ENGINES


@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_has_what_it_takes(name: str) -> None:
    module = importlib.import_module(ENGINES[name])
    assert module.__doc__
    for function in ("why_not", "version", "device", "start"):
        assert getattr(module, function).__doc__, function
    if not module.why_not(0):
        assert module.version()[0].isdecimal()


def test_naming_engines_loads_none() -> None:
    code = "import sys, reassess.engines; print(sorted({'torch', 'vllm', 'transformers'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_an_unknown_engine_is_refused_with_a_near_miss(tiny: Graph) -> None:
    raw = tiny.study.model_dump(mode="json")
    raw["evaluation"]["engine"] = "vlm"
    with pytest.raises(StudyError, match=r"evaluation\.engine: 'vlm' is no engine; did you mean vllm"):
        graph.parse(raw, "study")


# Decoding


@pytest.fixture(scope="module")
def reader(tiny: Graph) -> Reader:
    """Of a model whose tags are plain tokens, and a letter beyond ASCII several."""
    processor = idefics3.build_processor(["(A) (B) (C) 12 + 5 = 17. What is it?"] * 3)
    return Reader(processor, [processor.tokenizer.eos_token_id], tiny.study.models["toy-xs"], tiny.study.prompt)


@pytest.fixture(scope="module")
def tokenizer(reader: Reader) -> Any:
    """The reader's."""
    return reader.tokenizer


def test_an_option_that_is_not_set_is_in_no_record_and_key(tiny: Graph) -> None:
    greedy = Decoding(max_tokens=8)
    assert greedy.recorded() == {"temperature": 0.0, "top_p": 1.0, "max_tokens": 8, "n": 1}
    assert greedy.drawn() == {"temperature": 0.0, "max_tokens": 8}
    sampled = Decoding(temperature=0.5, max_tokens=8, n=4)
    assert sampled.drawn() == {"temperature": 0.5, "top_p": 1.0, "max_tokens": 8}

    further = {"top_k": 20, "min_p": 0.05, "repetition_penalty": 1.05, "stop": ["</answer>"]}
    chosen = Decoding(temperature=0.5, max_tokens=8, n=4, **further)
    assert chosen.drawn() == sampled.drawn() | further
    assert chosen.recorded() == sampled.recorded() | further
    assert Decoding(max_tokens=8, repetition_penalty=1.05).drawn() == greedy.drawn() | {"repetition_penalty": 1.05}

    raw = tiny.study.model_dump(mode="json")
    raw["suites"]["main"]["decoding"] |= {"temperature": 0.5, **further}
    spec = suite_spec(graph.parse(raw, "study").study, "toy-xs", "main")
    assert '"stop":["</answer>"]' in spec
    assert '"min_p":0.05,"repetition_penalty":1.05' in spec


def test_tokens_are_left_out_in_the_order_of_vllm() -> None:
    import torch

    from reassess.engines.transformers import warpers

    logits = torch.tensor([[0.5, 0.3, 0.1, 0.06, 0.04]]).log()

    def left(**options: Any) -> list[float]:
        scores = warpers(Decoding(temperature=1, **options))(torch.empty(1, 0), logits)
        return [round(value, 3) for value in scores.softmax(dim=-1)[0].tolist() if value > 0]

    assert left() == [0.5, 0.3, 0.1, 0.06, 0.04]
    assert left(top_k=2) == [0.625, 0.375]
    assert left(top_k=50) == left()
    assert left(min_p=0.15) == [0.556, 0.333, 0.111]
    assert left(min_p=1) == [1.0]
    assert left(top_p=0.85) == [0.556, 0.333, 0.111]
    # The first two have 89% of what min_p leaves.
    assert left(top_p=0.85, min_p=0.15) == [0.625, 0.375]
    assert left(top_k=3, top_p=0.5) == [1.0]


def test_padding_is_not_penalised_as_repetition() -> None:
    import torch

    from reassess.engines.transformers import PromptPenalty

    pad, width = 4, 3
    ids = torch.tensor([[pad, pad, 1, 2], [0, 1, 0, 3]])
    scores = torch.tensor([[2.0, 2.0, -2.0, 2.0, 2.0]] * 2)
    found = PromptPenalty(2.0, ids[:, :width] == pad)(ids, scores)
    assert found.tolist() == [[2.0, 1.0, -4.0, 2.0, 2.0], [1.0, 1.0, -2.0, 1.0, 2.0]]
    # A token of the response is one, whatever pads the prompts.
    ended = torch.tensor([[pad, pad, 1, pad]])
    assert PromptPenalty(2.0, ended[:, :width] == pad)(ended, scores[:1]).tolist() == [[2.0, 1.0, -2.0, 2.0, 1.0]]


@pytest.mark.parametrize(
    ("said", "stop", "kept"),
    [
        ("12 + 5 = 17.</think><answer>17</answer> so", ["</answer>"], "12 + 5 = 17.</think><answer>17</answer>"),
        # The first to be complete, whatever comes first in the list or begins first.
        ("one two three", ["one two t", "two"], "one two"),
        # It ends within a token, and what that token has beyond it goes.
        ("then 1234 and so on", ["th", "so"], "th"),
        ("a \u00fcber b", ["\u00fc"], "a \u00fc"),
        ("a \U0001f600 b", ["\U0001f600 b"], "a \U0001f600 b"),
        ("nothing here", ["</answer>"], None),
    ],
)
def test_a_response_ends_at_the_token_that_completes_a_stop_string(
    tokenizer: Any, said: str, stop: list[str], kept: str | None
) -> None:
    import torch

    from reassess.engines.base import text
    from reassess.engines.transformers import StopStrings

    # The prompt has the string too, and half of it at its end.
    prompt = tokenizer(f"{stop[0]} {stop[0][:-1]}")["input_ids"]
    ids = tokenizer(said)["input_ids"]
    criterion = StopStrings(stop, tokenizer, torch.tensor([prompt]))
    for end in range(1, len(ids) + 1):
        if bool(criterion(torch.tensor([prompt + ids[:end]]), None)):
            break
    if kept is None:
        assert criterion.ends == {}
        assert text(ids, (), tokenizer, stop) == said
        return
    assert criterion.ends == {0: end}
    assert not any(string in text(ids[: end - 1], (), tokenizer) for string in stop)
    assert text(ids[:end], (), tokenizer, stop) == kept


def test_a_stop_string_that_no_response_shows_is_refused(reader: Reader) -> None:
    check_stop(["</answer>", "\n\n"], reader, "suites.main.decoding.stop")
    message = r"^suites\.main\.decoding\.stop: '\.<end_of_utterance>' would end no response: .* token <end_of_utt"
    with pytest.raises(EvaluationError, match=message):
        check_stop(["</answer>", ".<end_of_utterance>"], reader, "suites.main.decoding.stop")
