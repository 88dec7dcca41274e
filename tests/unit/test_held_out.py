"""The held-out part of a pool: nothing is trained on it, and a benchmark asks it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from reassess import paths
from reassess.data.examples import build_set
from reassess.data.held_out import not_trained_on
from reassess.data.pool import build_examples
from reassess.data.shards import stream
from reassess.data.subset import build_subset
from reassess.example import DataError, Example
from reassess.graph import Graph, parse
from reassess.graph.identity import pool_spec
from reassess.graph.state import States
from reassess.sources.rows import SCHEMA, row
from reassess.study.read import StudyError


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def picture(shade: int, form: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (shade, 0, 0)).save(buffer, format=form)
    return buffer.getvalue()


def rows(pictures: int = 10, each: int = 3) -> list[Example]:
    """So many questions about each picture, whose files differ: the pixels are the same."""
    forms = ("PNG", "BMP", "TIFF")
    return [
        Example(f"{i}-{j}", (picture(9 * i, forms[j]),), f"q {i} {j}?", (), "1", "numeric", (), "mine", "f", 1 + j)
        for j in range(each)
        for i in range(pictures)
    ]


def texts() -> list[Example]:
    asked = ("How many?", "how  many", "Which one?", "Which one is it?")
    return [Example(f"t{i}", (), text, (), "1", "numeric", (), "mine", "f", 1) for i, text in enumerate(asked)]


def study_of(
    examples: list[Example],
    held_out: int | None = 7,
    benchmark: dict[str, Any] | None = None,
    pool: dict[str, Any] | None = None,
    sizes: tuple[int, ...] = (5, 20),
) -> Graph:
    pq.write_table(pa.Table.from_pylist([row(item) for item in examples], schema=SCHEMA), "mine.parquet")
    source = {"kind": "parquet", "path": "mine.parquet", "licence": "CC BY 4.0"}
    data = {
        "name": "held",
        "models": {"m": {"toy": {"size": "xs"}}},
        "pools": {"mine": {"sources": [source], **({"held_out": held_out} if held_out else {}), **(pool or {})}},
        "examples": {"easy": {"kind": "where", "on": "mine", "difficulty": [1, 2]}},
        "sizes": sizes,
        "seeds": [1],
        "stages": {"sft": {"kind": "sft", "batch_size": 2}, "on": {"kind": "sft", "batch_size": 2, "on": "easy"}},
        "recipes": {"sft": ["sft"], "on": [{"by": "on", "size": 4}]},
        "other_data": ["on"],
        "benchmarks": {
            "held-out": {"pool": "mine", **(benchmark or {})},
            "toy": {"sources": [{"kind": "toy", "n": 8, "split": "test"}]},
        },
        "suites": {"main": {"benchmarks": ["held-out", "toy"]}},
    }
    return parse(data, "held.yaml")


def ids(directory: str) -> list[str]:
    return [item.id for item in stream(directory)]


def record(path: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(path).read_text())
    return found


def test_no_picture_is_in_two_parts() -> None:
    study = study_of(rows())
    build_examples(study, study["pool", "mine"])
    build_examples(study, study["benchmark", "held-out"])
    kept = record(paths.pool("mine", "held_out.json"))
    # Three rows of each picture: two pictures, and one row of the third; its other rows are in neither part.
    assert (len(kept["ids"]), len(kept["rest"])) == (7, 2)
    assert ids(paths.benchmark("held-out")) == [id_ for id_ in ids(paths.pool("mine")) if id_ in kept["ids"]]
    shown = {id_.split("-")[0] for id_ in (*kept["ids"], *kept["rest"])}
    assert len(shown) == 3
    assert not_trained_on(Path(paths.pool("mine"))) == {f"{i}-{j}" for i in shown for j in range(3)}
    pool = record(paths.pool("mine", "manifest.json"))
    assert (pool["n"], pool["held_out"]["n"], pool["held_out"]["rest"]) == (30, 7, 2)
    benchmark = record(paths.benchmark("held-out", "manifest.json"))
    assert (benchmark["n"], benchmark["licences"]) == (7, {"mine": "CC BY 4.0"})
    told = {key: pool[key] for key in ("n", "content_sha256", "held_out")}
    assert benchmark["read"] == {"mine": told}


def test_subsets_and_steps_have_none_of_it() -> None:
    study = study_of(rows())
    build_examples(study, study["pool", "mine"])
    build_set(study, study["examples", "easy"])
    back = not_trained_on(Path(paths.pool("mine")))
    drawn = {}
    for size in (5, 20):
        job = study["subset", f"mine/seed1/{size}"]
        build_subset(job)
        drawn[size] = record(job.record)["ids"]
        assert not back & set(drawn[size])
    assert drawn[20][:5] == drawn[5]
    assert not back & set(ids(paths.examples("easy")))
    assert len(ids(paths.examples("easy"))) == 14
    assert record(paths.examples("easy", "manifest.json"))["dropped"] == {"difficulty 3 is not wanted": 7}
    more = study_of(rows(), sizes=(22,))
    with pytest.raises(DataError, match=r"sizes: 22 is larger than 'mine' .*, which has 21 examples \(9 left out\)"):
        build_subset(more["subset", "mine/seed1/22"])


def test_a_larger_part_has_the_smaller_one_in_it() -> None:
    held: list[set[str]] = []
    for n in (3, 7, 12):
        study = study_of(list(reversed(rows())) if n == 7 else rows(), held_out=n)
        build_examples(study, study["pool", "mine"])
        held.append(set(record(paths.pool("mine", "held_out.json"))["ids"]))
    # In whatever order the rows come.
    assert held[0] < held[1] < held[2]


def test_text_rows_that_ask_the_same_stay_together() -> None:
    found = []
    for n in (1, 2, 3):
        study = study_of(texts(), n, {"modality": "text"}, {"modality": "text"}, sizes=(1,))
        try:
            build_examples(study, study["pool", "mine"])
        except DataError:
            continue
        kept = record(paths.pool("mine", "held_out.json"))
        found.append((kept["ids"], kept["rest"]))
    together = {"t0", "t1"}
    assert found
    for held, rest in found:
        assert not together & {*held, *rest} or together <= {*held, *rest}


def test_a_mixed_pool_has_a_benchmark_of_each_kind() -> None:
    both = [*rows(4, 1), *texts()]
    for modality, prefix in (("visual", ("0", "1", "2", "3")), ("text", ("t",))):
        study = study_of(both, 4, {"modality": modality}, {"modality": "mixed"}, sizes=(2,))
        build_examples(study, study["pool", "mine"])
        build_examples(study, study["benchmark", "held-out"])
        found = ids(paths.benchmark("held-out"))
        assert found
        assert all(id_.startswith(prefix) for id_ in found)
        assert record(paths.benchmark("held-out", "manifest.json"))["put_aside"] == {}


def test_a_part_that_leaves_nothing_is_refused() -> None:
    study = study_of(rows(3), held_out=9, sizes=(1,))
    with pytest.raises(DataError, match=r"held_out: 9 of the 9 rows of 'mine' leave none to train on"):
        build_examples(study, study["pool", "mine"])
    assert not Path(paths.pool("mine", "manifest.json")).exists()


def test_the_benchmark_is_made_after_its_pool() -> None:
    study = study_of(rows())
    assert [job for job in study.jobs if job.startswith(("pool", "benchmark"))] == [
        "pool mine",
        "benchmark held-out",
        "benchmark toy",
    ]
    job = study["benchmark", "held-out"]
    assert (job.needs, job.inputs) == (("pool mine",), (paths.pool("mine", "manifest.json"),))
    assert json.loads(job.spec)["pool"] == "mine"
    assert json.loads(pool_spec(study.study, "mine"))["held_out"] == 7
    assert "held_out" not in pool_spec(study_of(rows(), 7).study.model_copy(update={"pools": plain()}), "mine")


def plain() -> dict[str, Any]:
    """The pools of the study, without a held-out part."""
    pools = study_of(rows()).study.pools
    return {name: pool.model_copy(update={"held_out": None}) for name, pool in pools.items()}


def test_another_part_makes_outdated_what_was_drawn_from_the_first() -> None:
    """The rows of the pool are the same."""
    study = study_of(rows())
    build_examples(study, study["pool", "mine"])
    build_examples(study, study["benchmark", "held-out"])
    build_set(study, study["examples", "easy"])
    subset = study["subset", "mine/seed1/20"]
    build_subset(subset)
    made = [study["pool", "mine"], study["benchmark", "held-out"], study["examples", "easy"], subset]
    assert {States(study).of(job) for job in made} == {"done"}
    before = record(paths.pool("mine", "manifest.json"))["content_sha256"]
    other = study_of(rows(), held_out=4)
    build_examples(other, other["pool", "mine"])
    assert record(paths.pool("mine", "manifest.json"))["content_sha256"] == before
    states = States(other)
    assert {states.of(job) for job in made[1:]} == {"outdated"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"held_out": None}, "benchmarks.held-out.pool: pools.mine holds nothing out; say there how many rows"),
        ({"benchmark": {"pool": "min"}}, "benchmarks.held-out.pool: unknown pool 'min'; did you mean mine?"),
        ({"benchmark": {"modality": "text"}}, "benchmarks.held-out.modality: 'text' does not fit pools.mine"),
        ({"benchmark": {"of": "chartqa"}}, "a benchmark of held-out rows has no `of`"),
        ({"benchmark": {"licence": "MIT"}}, "a benchmark of held-out rows has no `licence`"),
        ({"pool": {"held_out": 0}}, "pools.mine.held_out: "),
        ({"pool": {"sources": [{"kind": "toy", "n": 24}]}}, "20 is larger than pools.mine, which has 24 examples, 7"),
        (
            {"pool": {"decontaminate": {"against": ["toy", "held-out"]}}},
            "pools.mine: made from itself: pools.mine -> benchmarks.held-out -> pools.mine",
        ),
        ({"benchmark": {"held_out": 3}}, "benchmarks.held-out.held_out: "),
    ],
)
def test_a_mistake_is_one_error(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(StudyError) as error:
        study_of(rows(2), **changes)
    assert said in str(error.value)
