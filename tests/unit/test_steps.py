"""Sets of examples that are made from pools and from other sets."""

from __future__ import annotations

import inspect
import json
import math
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from reassess import graph, paths
from reassess.data.examples import build_set
from reassess.data.pool import build_examples
from reassess.data.shards import stream
from reassess.example import DataError, Example, PutAside, RowError, Said, Scored
from reassess.graph import Graph
from reassess.steps import Step
from reassess.steps.ask import Ask
from reassess.steps.band import Band
from reassess.steps.distill import Distill
from reassess.steps.mix import Mix
from reassess.steps.score import Score
from reassess.steps.where import Where
from reassess.study.read import StudyError, read_yaml
from reassess.work.records import RecordError

KINDS = get_args(get_args(Step)[0])
ASKED = {"on": "toy", "model": "toy-xs"}
# Options, the identity that they give, and those that are refused, with a word of the message.
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any], str]] = {
    "where": ({"on": "toy", "words": [1, 9]}, {"words": (1, 9)}, {"on": "toy"}, "every example would be"),
    "distill": (
        {**ASKED, "samples": 4, "temperature": 1.0},
        {"keep": "correct", "choose": "random", "per_question": 1},
        {**ASKED, "samples": 4},
        "greedy samples are all the same",
    ),
    "band": (
        {**ASKED, "samples": 4, "temperature": 1.0, "pass_rate": [0.2, 0.8]},
        {"pass_rate": [0.2, 0.8]},
        {**ASKED, "samples": 4, "temperature": 1.0, "pass_rate": [0.3, 0.4]},
        "no share of 4 samples is between 0.3 and 0.4",
    ),
    "ask": (
        {**ASKED, "prompt": str(Path(__file__)), "into": "caption"},
        {"parse": "text", "into": ["caption"]},
        {"on": "toy", "prompt": str(Path(__file__)), "into": "caption"},
        "exactly one of `model`",
    ),
    "score": (ASKED, {}, {"on": "toy", "model": "a", "recipe": "b"}, "exactly one of `model`"),
    "mix": ({"of": {"a": 3, "b": 1}}, {"of": {"a": 3.0, "b": 1.0}}, {"of": {"a": 3}}, "at least 2 items"),
}


class Listed(list[Scored]):
    """What a step reads, in a list."""

    def ids(self) -> list[str]:
        return [row.example.id for row in self]


def read_of(rows: Iterable[Example | Scored]) -> Listed:
    return Listed(row if isinstance(row, Scored) else Scored(row) for row in rows)


def said(text: str, correct: bool | None = True, n_tokens: int = 5, finish: str = "stop") -> Said:
    return Said(text, finish, n_tokens, correct)


def thought(words: str, answer: str = "1") -> str:
    return f"<think>{words}</think><answer>{answer}</answer>"


def example(i: int, family: str, difficulty: int) -> Example:
    return Example(f"e{i}", (), "?", (), "1", "numeric", (), "mine", family, difficulty)


def study_of(root: Path, examples: dict[str, Any], **on: str) -> Graph:
    """The tiny study with sets of examples, and the stages that train on one."""
    data = read_yaml(root / "studies/tiny.yaml")
    for stage, name in on.items():
        data["stages"][stage]["on"] = name
    other = {"other_data": ["sft", "grpo", "sft-grpo"]} if on else {}
    return graph.parse({**data, **other, "examples": examples}, "test")


@pytest.mark.parametrize("kind", KINDS)
def test_what_every_step_has(kind: type[Any]) -> None:
    (name,) = get_args(kind.model_fields["kind"].annotation)
    assert inspect.getdoc(kind)
    assert kind.VERSION >= 1
    options, identity, refused, word = CASES[name]
    step = kind.model_validate({"kind": name, **options})
    assert step.identity() == identity
    assert step.INPUTS
    with pytest.raises(ValidationError, match=word):
        kind.model_validate({"kind": name, **refused})


def test_naming_steps_loads_nothing_heavy() -> None:
    code = "import sys, reassess.steps; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"numpy", "pyarrow", "PIL", "torch"} & set(loaded)


def test_what_is_not_wanted_is_put_aside() -> None:
    rows = [example(0, "bars", 1), example(1, "bars", 2), example(2, "sum", 2), example(3, "locate", 3)]
    step = Where(kind="where", on="toy", difficulty=(2, 3), family=("bars", "sum"))
    assert list(step.make({"toy": read_of(rows)}, 0)) == [
        PutAside("e0", "mine", "difficulty 1 is not wanted"),
        rows[1],
        rows[2],
        PutAside("e3", "mine", "family locate is not wanted"),
    ]
    assert step.INPUTS == ("toy",)


def test_identity_is_what_is_wanted_in_any_order() -> None:
    one = Where(kind="where", on="toy", difficulty=(3, 2, 2))
    assert one.identity() == {"difficulty": [2, 3]}
    assert Where(kind="where", on="toy", family=("sum", "bars")).identity() == {"family": ["bars", "sum"]}


def test_what_is_said_decides_too() -> None:
    rows = [
        replace(example(0, "bars", 1), rationales=("one two three",)),
        replace(example(1, "bars", 1), rationales=("Wait, one two",)).with_columns(rate=0.5, checked="yes"),
        replace(example(2, "bars", 1), rationales=("one two",)).with_columns(rate=0.9, checked="no"),
    ]

    def kept(**wanted: Any) -> list[str]:
        made = Where(kind="where", on="toy", **wanted).make({"toy": read_of(rows)}, 0)
        return [item.id if isinstance(item, Example) else item.reason for item in made]

    assert kept(words=(3, 9)) == ["e0", "e1", "not 3 to 9 words"]
    assert kept(lacks=("wait",)) == ["e0", "has 'wait'", "e2"]
    assert kept(contains=("wait", "three")) == ["e0", "e1", "has none of the texts"]
    assert kept(columns={"rate": (0, 0.5)}) == ["has no column 'rate'", "e1", "rate is not within 0 and 0.5"]
    assert kept(columns={"checked": "yes"}) == ["has no column 'checked'", "e1", "checked is not 'yes'"]
    assert kept(columns={"checked": (0, 1)})[1:] == ["checked is no number", "checked is no number"]


@pytest.mark.parametrize(
    ("options", "rationales"),
    [
        ({"choose": "shortest"}, ("b",)),
        ({"choose": "longest", "per_question": 2}, ("ccc", "aa")),
        ({"choose": "drop-longest", "per_question": 9}, ("aa", "b")),
        ({"choose": "shortest", "keep": "all", "per_question": 9}, ("b", "aa", "ccc", "wrong")),
    ],
)
def test_traces_are_chosen(options: dict[str, Any], rationales: tuple[str, ...]) -> None:
    row = replace(example(0, "bars", 1), rationales=("the source's own",))
    responses = (
        said(thought("aa"), n_tokens=6),
        said(thought("b"), n_tokens=4),
        said(thought("ccc"), n_tokens=9),
        said(thought("b"), n_tokens=4),
        said(thought("wrong", "2"), correct=False, n_tokens=12),
        said(thought("cut"), n_tokens=3, finish="length"),
        said("1", n_tokens=1),
    )
    step = Distill(kind="distill", on="toy", model="m", samples=7, temperature=1.0, **options)
    (made,) = step.make({"toy": read_of([Scored(row, responses)])}, 0)
    assert isinstance(made, Example)
    assert made.rationales == rationales
    answers = {"wrong": "2"}
    assert made.answers == (tuple(answers.get(text, "1") for text in rationales) if "keep" in options else ())
    assert (made.id, made.gold, made.question) == (row.id, row.gold, row.question)


def test_lots_are_drawn_for_each_example_by_itself() -> None:
    rows = [Scored(example(i, "bars", 1), tuple(said(thought(f"way {n}")) for n in range(8))) for i in range(16)]
    step = Distill(kind="distill", on="toy", model="m", samples=8, temperature=1.0)

    def drawn(some: list[Scored], seed: int) -> dict[str, str]:
        made = step.make({"toy": read_of(some)}, seed)
        return {item.id: item.rationales[0] for item in made if isinstance(item, Example)}

    everyone = drawn(rows, 1)
    assert drawn(rows[5:], 1) == {row.example.id: everyone[row.example.id] for row in rows[5:]}
    assert drawn(rows, 2) != everyone
    assert len(set(everyone.values())) > 3


def test_an_example_without_a_trace_is_left_out_with_the_reason() -> None:
    rows = [
        Scored(example(0, "bars", 1), (said(thought("no"), correct=False), said("x", correct=None))),
        Scored(example(1, "bars", 1), (said("x", correct=None),)),
        Scored(example(2, "bars", 1), (said("1"), said(thought("a</think>b")))),
    ]
    step = Distill(kind="distill", on="toy", model="m", samples=2, temperature=1.0)
    assert [item.reason for item in step.make({"toy": read_of(rows)}, 0) if isinstance(item, PutAside)] == [
        "no response is right",
        "no response could be judged",
        "no response has reasoning before an answer",
    ]


def test_a_band_keeps_what_is_neither_too_easy_nor_too_hard() -> None:
    def of(i: int, *verdicts: bool | None) -> Scored:
        return Scored(example(i, "bars", 1), tuple(said("x", correct=verdict) for verdict in verdicts))

    step = Band(kind="band", on="toy", model="m", samples=4, temperature=1.0, pass_rate=(0.25, 0.5))
    rows = [of(0, True, False, False, False), of(1, True, True, True, False), of(2, None), of(3, True, None, False)]
    made = list(step.make({"toy": read_of(rows)}, 0))
    assert [item.id for item in made if isinstance(item, Example)] == ["e0", "e3"]
    assert [item.reason for item in made if isinstance(item, PutAside)] == [
        "3 of 4 right",
        "no response could be judged",
    ]
    kept = made[3]
    assert isinstance(kept, Example)
    assert [kept.column(name) for name in step.fills] == [2, 1, 0.5]


@pytest.mark.parametrize(
    ("parse", "into", "answer", "found"),
    [
        ("text", "caption", "<think>hm</think> A cat. ", {"caption": "A cat."}),
        ("text", "caption", "hm</think>A cat.", {"caption": "A cat."}),
        ("text", "caption", " ", "the answer is empty"),
        ("yes_no", "checked", "Yes? On reflection: No.", {"checked": "no"}),
        ("yes_no", "checked", "Nobody knows", "the answer is neither yes nor no"),
        ("json", ("a", "b"), '```json\n{"a": "x", "b": 2, "c": []}\n```', {"a": "x", "b": 2}),
        ("json", ("a", "b"), '{"a": 1}', "the answer has no 'b'"),
        ("json", ("a",), '["a"]', "the answer has no 'a'"),
        ("json", ("a",), '{"a": [1]}', "'a' of the answer is neither text nor a number"),
        ("json", ("a",), "[" * 100_000, "the answer is no JSON"),
    ],
)
def test_an_answer_goes_into_its_column(tmp_path: Path, parse: Any, into: Any, answer: str, found: Any) -> None:
    prompt = tmp_path / "ask.txt"
    prompt.write_text("Say.")
    step = Ask(kind="ask", on="toy", model="m", prompt=str(prompt), parse=parse, into=into)
    (made,) = step.make({"toy": read_of([Scored(example(0, "bars", 1), (said(answer, correct=None),))])}, 0)
    if isinstance(found, str):
        assert made == PutAside("e0", "mine", found)
    else:
        assert isinstance(made, Example)
        assert json.loads(made.columns) == found


def test_a_likelihood_becomes_columns() -> None:
    step = Score(kind="score", on="toy", recipe="base")
    found = Scored(example(0, "bars", 1).with_columns(caption="x"), found={"nll": 0.5, "tokens": 7})
    (made,) = step.make({"toy": read_of([found])}, 0)
    assert isinstance(made, Example)
    assert json.loads(made.columns) == {"caption": "x", "nll": 0.5, "perplexity": math.exp(0.5), "tokens": 7}


def test_a_prompt_file_is_filled_from_the_example(tmp_path: Path) -> None:
    prompt = tmp_path / "ask.txt"
    prompt.write_text("Q: {{question}} {{ options }}\nWhy {{gold}}? {{caption}}, {x}\n")
    step = Ask(kind="ask", on="toy", model="m", prompt=str(prompt), into="rationale", images=False)
    assert step.wants == ("caption",)
    row = Example("e", (b"png",), "\\1?", ("a", "{{gold}}"), "B", "mcq", ("so",), "mine", "f", 1)
    with pytest.raises(RowError, match="no 'caption', which the prompt file wants"):
        step.question(row)
    asked = step.question(row.with_columns(caption="A cat"))
    assert asked.question == "Q: \\1? (A) a\n(B) {{gold}}\nWhy B? A cat, {x}"
    assert (asked.images, asked.options, asked.rationales) == ((), (), ())
    (made,) = step.make({"toy": read_of([Scored(row, (said("because", correct=None),))])}, 0)
    assert isinstance(made, Example)
    assert (made.rationales, made.columns) == (("because",), "")


def test_a_mixture_has_its_shares_and_no_example_twice() -> None:
    short = [replace(example(i, "bars", 1), rationales=("short",)) for i in range(60)]
    long = [replace(example(i, "bars", 1), rationales=("long",)) for i in range(40, 100)]
    inputs = {"short": read_of(short), "long": read_of(long)}

    def made(**options: Any) -> list[Example]:
        found = Mix(kind="mix", of={"short": 3, "long": 1}, **options).make(inputs, 1)
        return [item for item in found if isinstance(item, Example)]

    twelve = made(n=12)
    assert Counter(item.rationales for item in twelve) == {("short",): 9, ("long",): 3}
    everything = made()
    counts = Counter(item.rationales for item in everything)
    assert len({item.id for item in everything}) == len(everything)
    assert abs(counts["short",] - 3 * counts["long",]) <= 3
    assert counts["short",] > 40
    with pytest.raises(DataError, match="n is 99, and the shares end the mixture after"):
        made(n=99)


def test_a_pool_is_read_also_where_a_benchmark_is_called_like_it(root: Path) -> None:
    data = read_yaml(root / "studies/tiny.yaml")
    data["benchmarks"]["toy"] = {"sources": [{"kind": "toy", "n": 8, "split": "test"}]}
    data["stages"]["sft"]["on"] = "hard"
    sets = {"examples": {"hard": {"kind": "where", "on": "toy", "difficulty": [2]}}, "other_data": ["sft", "sft-grpo"]}
    assert graph.parse({**data, **sets}, "test")["examples", "hard"].needs == ("pool toy",)


def test_a_set_is_made_of_a_pool_and_a_set_of_a_set(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    examples = {
        "bars": {"kind": "where", "on": "hard", "family": ["bars"]},
        "hard": {"kind": "where", "on": "toy", "difficulty": [2]},
        "none": {"kind": "where", "on": "hard", "difficulty": [7]},
    }
    study = study_of(root, examples, sft="bars", grpo="none")
    with pytest.raises(RecordError, match=r"results/pools/toy/manifest\.json: is not there"):
        build_set(study, study["examples", "hard"])
    build_examples(study, study["pool", "toy"])
    for name in ("hard", "bars"):
        build_set(study, study["examples", name])
    pool, hard, bars = (
        list(stream(path)) for path in (paths.pool("toy"), paths.examples("hard"), paths.examples("bars"))
    )
    assert hard == [item for item in pool if item.difficulty == 2]
    assert bars == [item for item in hard if item.family == "bars"]
    record = json.loads(Path(paths.examples("bars", "manifest.json")).read_text())
    of_hard = json.loads(Path(paths.examples("hard", "manifest.json")).read_text())
    of_pool = json.loads(Path(paths.pool("toy", "manifest.json")).read_text())
    assert (record["name"], record["n"], record["spec"]["family"]) == ("bars", 8, ["bars"])
    assert record["read"] == {"hard": {"n": 32, "content_sha256": of_hard["content_sha256"]}}
    assert record["dropped"] == {f"family {name} is not wanted": 8 for name in ("locate", "sum", "tallest")}
    assert record["counts"] == {
        "source": {"toy": 8},
        "family": {"bars": 8},
        "difficulty": {"2": 8},
        "kind": {"numeric": 8},
    }
    assert record["licences"] == of_pool["licences"]
    assert len({record["content_sha256"], of_hard["content_sha256"], of_pool["content_sha256"]}) == 3
    dropped = Path(paths.examples("hard", "dropped.jsonl")).read_text().splitlines()
    assert json.loads(dropped[0]) == {
        "id": "toy-train-0-000000",
        "source": "toy",
        "reason": "difficulty 1 is not wanted",
        "column": "",
    }
    with pytest.raises(DataError, match=r"no example of hard is kept \(32 x difficulty 2 is not wanted\)"):
        build_set(study, study["examples", "none"])
    assert not Path(paths.examples("none", "manifest.json")).exists()


@pytest.mark.parametrize(
    ("examples", "said"),
    [
        (
            {"hard": {"kind": "where", "on": "tyo", "difficulty": [2]}},
            ["examples.hard: no pool or set is called 'tyo'; did you mean toy? known: toy, hard"],
        ),
        ({"toy": {"kind": "where", "on": "toy", "difficulty": [2]}}, ["examples.toy: the name of a pool"]),
        ({"toy-id": {"kind": "where", "on": "toy", "difficulty": [2]}}, ["examples.toy-id: the name of a benchmark"]),
        ({"a": {"kind": "where", "on": "toy-id", "difficulty": [2]}}, ["'toy-id' is a benchmark, and not one of"]),
        (
            {"a": {"kind": "distill", "on": "toy", "model": "toy-sx"}},
            ["examples.a.model: no model or teacher is called 'toy-sx'; did you mean toy-xs?"],
        ),
        (
            {"a": {"kind": "distill", "on": "toy", "recipe": "grop"}},
            ["examples.a.recipe: unknown recipe 'grop'; did you mean grpo?"],
        ),
        ({"a": {"kind": "distill", "on": "toy", "recipe": "here@20"}}, ["has no size of its own"]),
        (
            {"a": {"kind": "where", "on": "toy", "columns": {"rate": [0, 1]}}},
            ["examples.a: no step before it fills the column 'rate'; filled before it: none"],
        ),
        (
            {"a": {"kind": "where", "on": "b", "family": ["x"]}, "b": {"kind": "where", "on": "a", "family": ["x"]}},
            ["needs itself: ", "examples.b -> examples.a"],
        ),
        ({"a": {"kind": "where", "on": "a", "family": ["x"]}}, ["needs itself: examples.a -> examples.a"]),
        ({"a": {"kind": "where", "on": "toy"}}, ["examples.a: say what is kept"]),
        ({"a": {"kind": "where", "on": "toy", "family": []}}, ["examples.a.family", "at least 1 item"]),
        (
            {"a": {"kind": "where", "on": "toy", "families": ["x"]}},
            ["examples.a.families: unknown key; did you mean"],
        ),
        ({"a": {"kind": "were", "on": "toy", "family": ["x"]}}, ["examples.a: kind: 'were' is not valid", "'where'"]),
    ],
)
def test_a_mistake_in_a_set_is_one_error(root: Path, examples: dict[str, Any], said: list[str]) -> None:
    with pytest.raises(StudyError) as error:
        study_of(root, examples)
    assert len(str(error.value).splitlines()) == 1
    for part in said:
        assert part in str(error.value)
