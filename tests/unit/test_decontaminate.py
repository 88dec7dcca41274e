"""Rows of a pool that stand in benchmarks: found again in other forms, taken out, listed and counted."""

from __future__ import annotations

import hashlib
import io
import json
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageDraw

from reassess import graph, paths
from reassess.data import same_picture
from reassess.data.circular import rotations
from reassess.data.decontaminate import Decontamination, Match
from reassess.data.overlaps import overlaps
from reassess.data.pool import build_examples
from reassess.data.same_text import BOILERPLATE, WORDS, Texts, normalised
from reassess.data.shards import stream
from reassess.data.subset import build_subset
from reassess.example import DataError, Example
from reassess.graph import Graph, Job
from reassess.graph.identity import pool_spec
from reassess.graph.state import States
from reassess.sources.rows import SCHEMA, row
from reassess.study.data import Decontaminate
from reassess.study.read import StudyError, read_yaml

LONG = "A train leaves the old station at nine and reaches the small town by the sea after {} hours; how far is it?"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def drawing(seed: int) -> Image.Image:
    """A line drawing with labels on white."""
    rng = random.Random(seed)
    picture = Image.new("RGB", (240, 200), "white")
    pen = ImageDraw.Draw(picture)
    points = [(rng.uniform(20, 220), rng.uniform(20, 180)) for _ in range(4)]
    pen.polygon(points, outline="black", width=2)
    for point in points:
        pen.text(point, rng.choice("ABCDEFGH"), fill="black")
    pen.ellipse((points[0][0] - 15, points[0][1] - 15, points[0][0] + 15, points[0][1] + 15), outline="blue", width=2)
    return picture


def encoded(picture: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format=form, **options)
    return buffer.getvalue()


def example(
    id_: str, question: str, pictures: Iterable[Image.Image | bytes] = (), options: Sequence[str] = ()
) -> Example:
    images = tuple(item if isinstance(item, bytes) else encoded(item) for item in pictures)
    return Example(id_, images, question, tuple(options), "1", "numeric", (), "mine", "f", 1)


def against(benchmark: Iterable[Example], pool: Iterable[Example] = (), **options: Any) -> Decontamination:
    """The rows of one benchmark, and the words of a pool counted."""
    found = Decontamination(Decontaminate(against=("b",), **options), {"b": benchmark}, "Think, then answer.")
    found.count(iter(pool))
    return found


def is_found(one: str | Example, other: str | Example) -> bool:
    first, second = (item if isinstance(item, Example) else example("x", item) for item in (one, other))
    return bool(against([first], [second]).matches(second))


def resized(picture: Image.Image, factor: float) -> Image.Image:
    return picture.resize((round(picture.width * factor), round(picture.height * factor)))


COPIES: dict[str, Callable[[Image.Image], Image.Image | bytes]] = {
    "JPEG 30": lambda picture: encoded(picture, "JPEG", quality=30),
    "WebP 30": lambda picture: encoded(picture, "WEBP", quality=30),
    "smaller": lambda picture: resized(picture, 0.3),
    "larger": lambda picture: resized(picture, 2),
    "cropped at the left and at the top": lambda picture: picture.crop((20, 15, 240, 200)),
    "cropped on every side": lambda picture: picture.crop((16, 10, 226, 185)),
    "turned by its EXIF": lambda picture: turned(picture),
}


def turned(picture: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(picture.transpose(Image.Transpose.ROTATE_90), "JPEG", quality=90, exif=exif.tobytes())


def test_copies_of_pictures_are_found_and_others_are_not() -> None:
    own = [drawing(seed) for seed in range(6)]
    looked_up = against([example(f"b{i}", "Find x.", [picture]) for i, picture in enumerate(own)])
    for name, copy in COPIES.items():
        found = [looked_up.matches(example("p", "Another one.", [copy(picture)])) for picture in own]
        assert [[match.image for match in matches] for matches in found] == [[f"b{i}"] for i in range(6)], name
        assert all(match.what == "image" and match.distance is not None for [match] in found)
    others = [looked_up.matches(example("p", "Another one.", [drawing(seed)])) for seed in range(100, 120)]
    assert others == [[]] * 20


def test_a_blank_picture_is_like_none_and_counted() -> None:
    blank = Image.new("RGB", (60, 60), "white")
    looked_up = against([example("b", "Find x.", [blank])])
    assert looked_up.matches(example("p", "Find y.", [blank])) == []
    said = looked_up.described()["decontamination"]["blank_pictures"]
    assert said == {"pool": 1, "benchmarks": 1}


def test_crops_are_hashed_as_imagehash_does() -> None:
    picture = drawing(3)
    hashes = same_picture.of_crops(same_picture.reduced(picture))
    assert len(hashes) == 224
    # Without the first of its steps at the lower end, and without one at the right end.
    for place, box in ((0, (0, 0, 1, 1 - same_picture.STEP)), (14, (0, 0, 1 - same_picture.STEP, 1))):
        left, upper, right, lower = (share * side for share, side in zip(box, picture.size * 2, strict=True))
        crop = picture.resize((256, 256), Image.Resampling.LANCZOS, box=(left, upper, right, lower))
        expected = imagehash.phash(crop, hash_size=same_picture.BITS).hash
        differ = np.bitwise_count(hashes[place] ^ np.packbits(expected).view(np.uint64)).sum()
        assert differ < 20, place


def test_a_text_is_found_in_other_clothes() -> None:
    text = LONG.format(7)
    assert is_found(text, text.upper().replace(" ", "\n "))
    assert is_found(
        text, f"<image>Hint: Please answer the question with an integer.\nQuestion: {text} Think, then answer."
    )
    assert is_found(text, f"Solve this. {text} Give reasons.")
    assert is_found(text, text.replace("7", "eight"))
    assert not is_found(text, "A ship leaves the old harbour at ten and reaches the large town by the river at two.")


def test_latex_forms_of_characters_and_chinese_are_words() -> None:
    assert normalised("$\\frac{1}{2}$ ＡＢＣ x² <image 1>") == "frac 1 2 abc x2"
    chinese = "如图在三角形中点是边的中点求角的度数"
    assert is_found(chinese, f"已知：{chinese}。")


def test_options_count() -> None:
    stem = "Which of these is right?"
    one = example("b", stem, options=("a red house", "a blue house", "a tall green tree", "none"))
    inline = f"{stem}\n(A) a red house\n(B) a blue house\n(C) a tall green tree\n(D) none"
    assert is_found(one, inline)
    assert is_found(one, f"{stem} A. a red house B. a blue house C. a tall green tree D. none")
    assert not is_found(one, example("p", stem, options=("a bus", "a car", "a very long train", "none of them")))


def test_a_short_text_counts_where_the_pictures_are_the_same_or_there_are_none() -> None:
    asked = example("b", "Find x.", [drawing(1)])
    assert against([asked]).matches(example("p", "find X", [drawing(2)])) == []
    [found] = against([asked]).matches(example("p", "find X", [encoded(drawing(1), "JPEG", quality=60)]))
    assert found.what == "both"
    assert (found.text, found.image, found.shared) == ("b", "b", "find x")
    assert against([asked]).matches(example("p", "Find x.")) == []
    assert is_found("What is 3 + 5?", "what is 3+5")
    assert not is_found("What is 3 + 5?", "What is 3 - 5?")
    assert not is_found("What is 3 + 5?", "What is 3 + 5 and 4?")


def test_words_of_many_different_texts_are_boilerplate() -> None:
    """Brown et al. (2020), appendix C: those that match more than ten training documents are ignored."""
    shared = " ".join(f"word{i}" for i in range(WORDS))
    asked = example("b", f"{shared} of the question")
    pool = [example(f"p{i}", f"{shared} and then {i}") for i in range(BOILERPLATE + 1)]
    assert all(against([asked], pool[:-1]).matches(item) for item in pool[:-1])
    counted = against([asked], pool)
    assert [item.id for item in pool if counted.matches(item)] == []
    # The whole question is no boilerplate, however often a pool has it.
    assert counted.matches(example("p", f"{shared} of the question"))
    # Nor is what only one question says, eleven times.
    same = [example(f"q{i}", f"{shared} and then") for i in range(BOILERPLATE + 1)]
    assert all(against([asked], same).matches(item) for item in same)
    # Boilerplate of the benchmark itself.
    texts = Texts()
    for i in range(BOILERPLATE + 1):
        texts.add(i, "b", example(f"b{i}", f"{shared} {i} times"))
    assert (texts.ignored, texts.like(pool[0], ())) == (1, [])


def test_rotations_of_a_question_are_one_text() -> None:
    shared = " ".join(f"word{i}" for i in range(WORDS))
    asked = [replace(example(f"b{i}", f"{shared} {i}?", options="wxyz"), kind="mcq", gold="A") for i in range(3)]
    rotated = [item for question in asked for item in rotations(question)]
    assert len(rotated) > BOILERPLATE
    found = against(rotated).matches(example("p", f"{shared} and then"))
    assert [match.text for match in found] == ["b0~rotated0"]


def test_the_row_of_each_benchmark_is_told_once() -> None:
    rows = {name: [example(f"{name}{i}", LONG.format(i)) for i in range(3)] for name in ("m", "n")}
    looked_up = Decontamination(Decontaminate(against=("m", "n")), rows)
    found = looked_up.matches(example("p", LONG.format(1)))
    assert [(match.benchmark, match.text, match.what) for match in found] == [("m", "m1", "text"), ("n", "n1", "text")]
    assert Match("m", image="m1", distance=0).what == "image"


# In a study


def rows_of(file: Path, examples: list[Example]) -> dict[str, Any]:
    pq.write_table(pa.Table.from_pylist([row(item) for item in examples], schema=SCHEMA), file)
    return {"sources": [{"kind": "parquet", "path": str(file), "licence": "MIT"}]}


SAID = LONG.format("3 and a half of")
POOL = [example(f"p{i}", SAID if i == 3 else f"Find x{i}.", [drawing(i)]) for i in range(8)]
BENCHMARK = [
    example("copy", "Another question.", [encoded(drawing(5), "JPEG", quality=50)]),
    example("said", SAID, [drawing(50)]),
    *(example(f"b{i}", f"Find y{i}.", [drawing(i)]) for i in range(60, 64)),
]


def study_of(benchmark: list[Example] = BENCHMARK, pool: dict[str, Any] | None = None, **more: Any) -> Graph:
    """One pool and one benchmark of files, and one run at size 5."""
    data: dict[str, Any] = {
        "name": "small",
        "models": {"m1": {"toy": {"size": "xs"}}},
        "pools": {"pool": {**rows_of(Path("pool.parquet"), POOL), **(pool or {})}},
        "sizes": [5],
        "seeds": [1],
        "stages": {"sft": {"kind": "sft", "batch_size": 2}},
        "recipes": {"sft": ["sft"]},
        "benchmarks": {"vis-a": rows_of(Path("vis-a.parquet"), benchmark)},
        "suites": {"main": {"benchmarks": ["vis-a"]}},
    }
    return graph.parse({**data, **more}, "small.yaml")


def write(job: Job, **record: Any) -> None:
    """Write a record of what the study asks for, and whatever else the job makes."""
    for output in map(Path, job.outputs):
        output.parent.mkdir(parents=True, exist_ok=True)
        output.touch()
    Path(job.record).write_text(json.dumps({**record, "spec": json.loads(job.spec)}))


def manifest(name: str = "pool") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(paths.pool(name, "manifest.json")).read_text())
    return found


def made(study: Graph) -> dict[str, Any]:
    for rule, key in (("benchmark", "vis-a"), ("pool", "pool")):
        build_examples(study, study[rule, key])
    return manifest()


AGAINST = {"decontaminate": {"against": ["vis-a"]}}


def test_rows_are_taken_out_listed_and_counted() -> None:
    # No row is put aside, and those that are taken out do not count as such.
    found = made(study_of(pool={**AGAINST, "max_put_aside": 0}))
    assert [item.id for item in stream(paths.pool("pool"))] == ["p0", "p1", "p2", "p4", "p6", "p7"]
    assert (found["n"], found["put_aside"]) == (6, {})
    assert found["decontaminated"] == {"vis-a": {"text": 1, "image": 1, "both": 0}}
    assert found["decontamination"]["removed"] == 2
    lines = [json.loads(line) for line in Path(paths.pool("pool", "decontaminated.jsonl")).read_text().splitlines()]
    assert [(line["id"], line["benchmark"], line["matched"]) for line in lines] == [
        ("p3", "vis-a", "text"),
        ("p5", "vis-a", "image"),
    ]
    assert lines[0]["text"] == "said"
    assert lines[0]["shared"].startswith("a train leaves the old station at nine")
    assert (lines[1]["image"], lines[1]["distance"] <= same_picture.DISTANCE) == ("copy", True)
    read = json.loads(Path(paths.benchmark("vis-a", "manifest.json")).read_text())
    assert found["read"] == {"vis-a": {"n": 6, "content_sha256": read["content_sha256"]}}


def test_what_is_compared_can_be_chosen() -> None:
    one = {"decontaminate": {"against": ["vis-a"], "images": False}}
    assert made(study_of(pool=one))["decontaminated"] == {"vis-a": {"text": 1, "image": 0, "both": 0}}
    other = {"decontaminate": {"against": ["vis-a"], "text": False}}
    assert made(study_of(pool=other))["decontaminated"] == {"vis-a": {"text": 0, "image": 1, "both": 0}}


def test_a_pool_of_which_nothing_is_left_is_refused() -> None:
    study = study_of(benchmark=POOL, pool=AGAINST)
    with pytest.raises(DataError, match=r"not one of 0 rows can be used .*; 8 stand in benchmarks"):
        made(study)


def test_a_list_is_gone_with_the_option() -> None:
    made(study_of(pool=AGAINST))
    found = made(study_of())
    assert (found["n"], "decontaminated" in found, "read" in found) == (8, False, False)
    assert not Path(paths.pool("pool", "decontaminated.jsonl")).exists()


def test_a_pool_is_made_after_the_benchmarks_that_it_is_compared_with() -> None:
    study = study_of(pool=AGAINST, suites={"main": {"benchmarks": ["vis-b"]}}, benchmarks={
        "vis-a": rows_of(Path("a.parquet"), BENCHMARK), "vis-b": rows_of(Path("b.parquet"), BENCHMARK[2:])
    })  # fmt: skip
    names = list(study.jobs)
    # No suite asks the first one.
    assert names[:3] == ["benchmark vis-a", "pool pool", "benchmark vis-b"]
    job = study["pool", "pool"]
    assert job.needs == ("benchmark vis-a",)
    assert job.inputs[-1] == paths.benchmark("vis-a", "manifest.json")
    assert not [job for job in study.of("generate") if "benchmark vis-a" in job.needs]


def test_only_what_is_asked_for_is_in_a_pools_identity() -> None:
    plain = study_of()
    assert "decontaminate" not in pool_spec(plain.study, "pool")
    compared = json.loads(pool_spec(study_of(pool=AGAINST).study, "pool"))["decontaminate"]
    assert (compared["against"], compared["version"]) == (["vis-a"], 1)
    spelt = {"decontaminate": {"against": ["vis-a", "vis-a"], "text": True, "images": True}}
    assert pool_spec(study_of(pool=spelt).study, "pool") == pool_spec(study_of(pool=AGAINST).study, "pool")


@pytest.mark.parametrize(
    ("pool", "said"),
    [
        ({"against": ["vis-b"]}, "pools.pool.decontaminate.against: unknown benchmark 'vis-b'; did you mean vis-a?"),
        ({"against": []}, "pools.pool.decontaminate.against: []: list should have at least 1 item"),
        ({"against": ["vis-a"], "text": False, "images": False}, "with neither, nothing is compared"),
        ({"against": ["vis-a"], "image": True}, "pools.pool.decontaminate.image: "),
    ],
)
def test_a_mistake_is_one_error(pool: dict[str, Any], said: str) -> None:
    with pytest.raises(StudyError) as error:
        study_of(pool={"decontaminate": pool})
    assert said in str(error.value)


def test_a_list_that_takes_nothing_out_reruns_nothing() -> None:
    """Runs and evaluations depend on the examples that a pool keeps, and on nothing else of it."""
    study = study_of(benchmark=BENCHMARK[2:])
    before = made(study)
    [subset] = study.of("subset")
    build_subset(subset)
    drawn = json.loads(Path(subset.record).read_text())
    used = {"ids_sha256": drawn["ids_sha256"], "content_sha256": drawn["pool_content_sha256"]}
    asked = {"vis-a": json.loads(Path(paths.benchmark("vis-a", "manifest.json")).read_text())}
    write(study["model", "m1"], fingerprint="base")
    for job in study.of("train"):
        write(job, fingerprint=job.key, parents=[{"fingerprint": "base"}], subset=used)
    for job in study.of("generate"):
        maker = study.checkpoint(job.at.cell)
        said = {"checkpoints": [{"step": None, "fingerprint": "base" if maker.rule == "model" else maker.key}]}
        write(job, **said, benchmarks=asked, files={"responses.parquet": job.key})
        write(study["score", job.key], **said, benchmarks=asked, files={"responses.parquet": job.key})
    results = ("pool", "benchmark", "subset", "model", "train", "generate", "score")
    assert {States(study).of(job) for rule in results for job in study.of(rule)} == {"done"}

    compared = study_of(benchmark=BENCHMARK[2:], pool=AGAINST)
    assert States(compared).of(compared["pool", "pool"]) == "outdated"
    after = made(compared)
    build_subset(compared.of("subset")[0])
    assert after["content_sha256"] == before["content_sha256"]
    assert after["decontaminated"] == {"vis-a": {"text": 0, "image": 0, "both": 0}}
    states = States(compared)
    assert {states.of(job) for rule in results for job in compared.of(rule)} == {"done"}
    assert all(states.later(job) == states.record(job) for job in compared.of("train"))

    # What is taken out is another pool, and another run where its subset is another one.
    changed = study_of(pool=AGAINST)
    assert States(changed).of(changed["pool", "pool"]) == "done"
    made(changed)
    build_subset(changed.of("subset")[0])
    assert [States(changed).of(job) for job in changed.of("train")] == ["outdated"]


def test_a_pool_that_was_compared_with_another_benchmark_is_outdated() -> None:
    made(study_of(pool=AGAINST))
    changed = study_of(benchmark=BENCHMARK[1:], pool=AGAINST)
    build_examples(changed, changed["benchmark", "vis-a"])
    [found] = States(changed).differences(changed["pool", "pool"])
    assert found.what == "read.vis-a.content_sha256"


def test_overlaps_with_other_benchmarks_are_counted_and_stay() -> None:
    two = {"vis-a": rows_of(Path("a.parquet"), BENCHMARK), "vis-b": rows_of(Path("b.parquet"), BENCHMARK[:1])}
    study = study_of(benchmarks=two, suites={"main": {"benchmarks": ["vis-a", "vis-b"]}})
    expected = {"vis-a": {"text": 1, "image": 1, "both": 0}, "vis-b": {"text": 0, "image": 1, "both": 0}}
    assert overlaps(study, "pool") == expected
    build_examples(study, study["pool", "pool"])
    assert manifest()["n"] == 8
    assert overlaps(study, "pool") == expected
    compared = study_of(pool=AGAINST, benchmarks=two, suites={"main": {"benchmarks": ["vis-a", "vis-b"]}})
    assert set(overlaps(compared, "pool")) == {"vis-b"}


def test_what_another_pool_holds_out_is_an_overlap() -> None:
    same = rows_of(Path("pool.parquet"), POOL)
    study = study_of(
        pools={"pool": same, "other": {**same, "held_out": 2}},
        benchmarks={"held": {"pool": "other"}},
        suites={"main": {"benchmarks": ["held"]}},
    )
    for which in (("pool", "other"), ("benchmark", "held")):
        build_examples(study, study[which])
    assert sum(overlaps(study, "pool")["held"].values()) == 2
    assert overlaps(study, "other") == {}


def test_the_manifest_has_size_and_hash_of_every_file() -> None:
    found = made(study_of())
    data = Path("pool.parquet").read_bytes()
    assert found["files"] == {"pool.parquet": {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}}


def test_the_toys_read_no_file(root: Path) -> None:
    data = read_yaml(root / "studies/tiny.yaml")
    study = graph.parse(data, "tiny.yaml")
    build_examples(study, study["benchmark", "toy-text"])
    assert json.loads(Path(paths.benchmark("toy-text", "manifest.json")).read_text())["files"] == {}
