"""Data sets of the hub, fetched by the real client from a hub played on this machine."""

from __future__ import annotations

import hashlib
import io
import json
import os
import resource
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants
from PIL import Image
from pydantic import ValidationError

from hub_server import PIECE, REVISION, Hub, serving, use
from reassess import graph, paths
from reassess.console import rows
from reassess.data.pool import build_examples
from reassess.data.shards import stream
from reassess.example import DataError, Example, PutAside
from reassess.sources import fields, repository
from reassess.sources.base import Row
from reassess.sources.hub import HubSource
from reassess.sources.published import Published
from reassess.study.read import dump
from reassess.work.records import file_sha256

STUDY: dict[str, Any] = {
    "name": "charts",
    "models": {"toy-xs": {"toy": {"size": "xs"}}},
    "pools": {"toy": {"sources": [{"kind": "toy", "n": 40}]}},
    "sizes": [10],
    "seeds": [1],
    "stages": {},
    "recipes": {"base": []},
    "benchmarks": {"chartqa": {"revision": REVISION}},
    "suites": {"main": {"benchmarks": ["chartqa"]}},
}
FILES = ["data/test-00000-of-00002.parquet", "data/test-00001-of-00002.parquet"]
LOCATION = repository.Hub("lmms-lab/ChartQA", "test", REVISION, None)
# What pictures of named data sets become: this file is the module of one.
VERSION = 1
MODALITY = "visual"
PICTURES = ("picture",)


def example(row: Mapping[str, Any]) -> Example:
    """A row of a data set whose pictures are paths."""
    pictures = fields.images(row, "picture")
    return Example("", pictures, fields.text(row, "question"), (), "red", "text", (), "drawn", "", 0)


def png(colour: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), colour).save(buffer, format="PNG")
    return buffer.getvalue()


def write(file: Path, answers: list[str], padding: bytes = b"") -> None:
    """Write rows as the data set has them; `padding` makes the file as long."""
    rows = [
        {"type": "human_test", "question": "How many?", "answer": answer, "image": {"bytes": png(), "path": "c.png"}}
        | ({"padding": padding} if padding else {})
        for answer in answers
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), file, compression="none")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A data set in two splits, and an empty cache and working directory."""
    folder = tmp_path / "repository"
    write(folder / FILES[0], ["1", "2"])
    write(folder / FILES[1], ["3"], padding=os.urandom(PIECE + (2 << 20)))
    write(folder / "data/train-00000-of-00001.parquet", ["0"])
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    with serving(folder, "lmms-lab/ChartQA", "datasets") as server:
        use(server, tmp_path / "home", monkeypatch)
        yield server


def build() -> dict[str, Any]:
    """Build the benchmark; return its manifest."""
    found = graph.parse(STUDY, "study")
    build_examples(found, found["benchmark", "chartqa"])
    manifest: dict[str, Any] = json.loads(Path(paths.benchmark("chartqa", "manifest.json")).read_text())
    return manifest


def go_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def cached(name: str) -> Path:
    """A file in the cache, where its content lies."""
    return (Path(constants.HF_HUB_CACHE) / f"datasets--lmms-lab--ChartQA/snapshots/{REVISION}" / name).resolve()


def values(hub: repository.Hub, whole: bool = True) -> list[Any]:
    return [row.values["answer"] for row in repository.rows(hub, whole) if isinstance(row, Row)]


def test_a_benchmark_is_built_from_the_hub_and_then_without_it(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = build()
    assert [item.gold for item in stream(paths.benchmark("chartqa"))] == ["1", "2", "3"], "one split, in order"
    assert hub.fetched == FILES, "each once, and of no other split"
    assert manifest["files"] == {
        f"hf://datasets/lmms-lab/ChartQA@{REVISION}/{name}": {
            "bytes": (hub.folder / name).stat().st_size,
            "sha256": file_sha256(hub.folder / name),
        }
        for name in FILES
    }
    places = [row.place for row in repository.rows(LOCATION) if isinstance(row, Row)]
    assert [place.removeprefix("lmms-lab/ChartQA ") for place in places] == [
        f"{FILES[0]} row 0",
        f"{FILES[0]} row 1",
        f"{FILES[1]} row 0",
    ]
    hub.refusal = (500, "")
    go_offline(monkeypatch)
    assert build()["content_sha256"] == manifest["content_sha256"]
    assert hub.fetched == FILES


def test_another_number_of_rows_than_is_published_is_said(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    build()
    assert "chartqa: 3 rows; the data set is published with 2,500" in capsys.readouterr().out


def test_a_killed_job_goes_on_with_the_next_file(hub: Hub, tmp_path: Path) -> None:
    dump(graph.parse(STUDY, "study").study, "study.json")
    hub.held = FILES[1]
    process = subprocess.Popen([sys.executable, "-m", "reassess.cli", "benchmark", "chartqa", "--study", "study.json"])
    deadline = time.monotonic() + 120

    def has_begun() -> bool:
        try:
            return any(file.stat().st_size >= PIECE for file in (tmp_path / "home").rglob("*.incomplete"))
        # The client has removed a file of its own meanwhile.
        except FileNotFoundError:
            return False

    while not has_begun():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    hub.held = ""
    assert not Path(paths.benchmark("chartqa", "manifest.json")).exists()
    assert hub.fetched == FILES
    assert build()["n"] == 3
    assert hub.fetched == [*FILES, FILES[1]], "the whole file is not fetched twice"


def test_half_a_cache_is_an_error_and_not_a_smaller_benchmark(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    build()
    go_offline(monkeypatch)
    cached(FILES[1]).unlink()
    before = Path(paths.benchmark("chartqa", "manifest.json")).read_text()
    with pytest.raises(DataError, match=rf"lmms-lab/ChartQA at {REVISION}: {FILES[1]} cannot be fetched: the hub cann"):
        build()
    assert Path(paths.benchmark("chartqa", "manifest.json")).read_text() == before
    (record,) = (Path(constants.HF_HOME) / "reassess").rglob("*.json")
    record.unlink()
    with pytest.raises(DataError, match="the list of its files cannot be fetched: the hub cannot be reached"):
        build()


def test_check_looks_at_the_rest_where_the_hub_cannot_be_reached(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    data = {**STUDY, "benchmarks": {**STUDY["benchmarks"], "ai2d": {}, "gsm8k": {}}}
    found = graph.parse({**data, "suites": {"main": {"benchmarks": list(data["benchmarks"])}}}, "study")
    asked = []

    def unanswered(location: repository.Hub) -> None:
        asked.append((location.path, constants.HF_HUB_OFFLINE))
        raise ConnectionError("no route")

    monkeypatch.setattr(repository, "_card", unanswered)
    seen = rows.overview(found)
    assert seen.problems == []
    assert len(seen.unread) == 3
    assert "not looked at: 3 sources; check again where the hub can be reached" in seen.lines
    assert [offline for _, offline in asked] == [False, True, True], "no answer is waited for once"
    assert not constants.HF_HUB_OFFLINE
    assert all("the hub cannot be reached (no route)" in line for line in rows.overview(found, every=True).problems[:3])


def test_two_jobs_may_write_down_the_same_list_at_once(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync, inside = os.fsync, []

    def meanwhile(handle: int) -> None:
        fsync(handle)
        if not inside:
            inside.append(True)
            assert values(LOCATION) == ["1", "2", "3"]

    monkeypatch.setattr(os, "fsync", meanwhile)
    assert values(LOCATION) == ["1", "2", "3"]
    assert inside
    (kept,) = (Path(constants.HF_HOME) / "reassess" / "lmms-lab--ChartQA").iterdir()
    assert kept.suffix == ".json"


def test_a_full_disk_is_named_with_its_directory(hub: Hub) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (PIECE // 2, limits[1]))
    said = rf"{FILES[1]} cannot be fetched: .*File too large; {constants.HF_HUB_CACHE} has .* GB free: make room there"
    try:
        with pytest.raises(DataError, match=said):
            build()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(Path(constants.HF_HOME).rglob("*.incomplete"))
    assert build()["n"] == 3
    assert hub.fetched == [*FILES, FILES[1]]


REFUSALS = [
    ((404, "RevisionNotFound"), "no such commit; take one of its list of commits for `revision`"),
    ((401, "RepoNotFound"), "no such repository, or it is private; check the name, or log in"),
    ((403, "GatedRepo"), "access is granted by its owners; ask for it on the data set's page, and log in"),
]


@pytest.mark.parametrize(("refusal", "said"), REFUSALS)
@pytest.mark.parametrize("location", [LOCATION, LOCATION._replace(files=("data/test-*",))])
def test_what_the_hub_refuses_is_said_with_what_to_do(
    hub: Hub, location: repository.Hub, refusal: tuple[int, str], said: str
) -> None:
    hub.refusal = refusal
    with pytest.raises(DataError) as caught:
        values(location)
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"lmms-lab/ChartQA at {REVISION}: ")
    hub.refusal = None
    assert values(location) == ["1", "2", "3"], "what was refused is not kept"


MISSING = [
    ({"split": "tset"}, "split: no 'tset'; did you mean test? there are train, test"),
    ({"configs": ("main",)}, "config: no 'main'; there are default"),
    ({"files": ("data/*.csv",)}, "has no file 'data/*.csv'"),
    ({"files": ("README.md",)}, "has no file 'README.md'"),
]


@pytest.mark.parametrize(("changes", "said"), MISSING)
def test_what_is_not_there_is_said_with_what_is(hub: Hub, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError) as caught:
        values(LOCATION._replace(**changes))
    assert said in str(caught.value)
    assert not hub.fetched


CARD = """---
configs:
  - {config_name: b, data_files: [{split: test, path: b/*}]}
  - {config_name: a (small), data_files: [{split: dev, path: a/one.*}, {split: test, path: [a/two.*, a/x.*]}]}
---
"""


def test_configurations_are_read_as_the_card_says(hub: Hub) -> None:
    (hub.folder / "README.md").write_text(CARD)
    for name in ("a/one", "a/two", "a/x", "b/1"):
        file = hub.folder / f"{name}.jsonl"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps({"answer": name}) + "\n")
    both = LOCATION._replace(configs=("b", "a (small)"))
    assert values(both) == ["b/1", "a/two", "a/x"]
    assert values(LOCATION._replace(configs=("a (small)",), split="dev")) == ["a/one"]
    with pytest.raises(DataError, match=r"config: required, because there are several; there are b, a \(small\)"):
        values(LOCATION)
    with pytest.raises(DataError, match=r"split: no 'dev' of config 'b'; there are test"):
        values(both._replace(split="dev"))


def published(hub: Hub, image_root: str | None = None) -> list[Example | PutAside]:
    """Read a set whose rows have paths of pictures, from a file of them and the archives that are there."""
    archives = ("*.zip*",) if list(hub.folder.glob("*.zip*")) else ()
    location = LOCATION._replace(files=("rows.jsonl",), archives=archives)
    return list(Published("drawn", __name__, location, None, image_root, "MIT").read())


def put_pictures(hub: Hub, paths: list[Any], members: dict[str, bytes]) -> bytes:
    """Write rows with these paths; return an archive with these members."""
    lines = [json.dumps({"question": "Which colour?", "picture": path}) for path in paths]
    (hub.folder / "rows.jsonl").write_text("\n".join(lines))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def test_pictures_are_looked_up_in_archives(hub: Hub) -> None:
    paths = ["a/1.png", "/a/1.png", "./a/2.png", ["a/1.png", "a/2.png"], "a/3.png", "../secret.png", None]
    data = put_pictures(hub, paths, {"images/a/1.png": png("red"), "images/a/2.png": png("blue")})
    (hub.folder.parent / "secret.png").write_bytes(png())
    (hub.folder / "images.zip").write_bytes(data)
    found = published(hub)
    images = [item.images if isinstance(item, Example) else (item.id, item.reason, item.column) for item in found]
    assert images == [
        (png("red"),),
        (png("red"),),
        (png("blue"),),
        (png("red"), png("blue")),
        ("drawn-00004", "its picture is in none of the archives", "picture"),
        ("drawn-00005", "its picture is in none of the archives", "picture"),
        (),
    ]
    assert hub.fetched.count("images.zip") == 1


def test_an_archive_in_parts_is_one(hub: Hub) -> None:
    """As `split -b` cuts it: members lie across parts, and the end of the archive is in the last alone."""
    members = {f"train/{number}.bin": hashlib.sha256(b"%d" % number).digest() * 200 for number in range(20)}
    data = put_pictures(hub, [f"train/{number}.bin" for number in range(20)], members)
    size = len(data) // 7 + 1
    for part in range(7):
        (hub.folder / f"image.zip.part-a{'abcdefg'[part]}").write_bytes(data[part * size : (part + 1) * size])
    assert [item.images for item in published(hub) if isinstance(item, Example)] == [(m,) for m in members.values()]
    assert len([name for name in hub.fetched if "part" in name]) == 7


def test_pictures_are_looked_up_in_a_directory(hub: Hub, tmp_path: Path) -> None:
    put_pictures(hub, ["a/1.png", "a/2.png", "link.png"], {})
    (tmp_path / "pictures/a").mkdir(parents=True)
    (tmp_path / "pictures/a/1.png").write_bytes(png())
    (tmp_path / "secret.png").write_bytes(png())
    (tmp_path / "pictures/link.png").symlink_to(tmp_path / "secret.png")
    first, second, third = published(hub, str(tmp_path / "pictures"))
    assert isinstance(first, Example)
    assert first.images == (png(),)
    assert isinstance(second, PutAside)
    assert second.reason == "no such image file"
    assert isinstance(third, PutAside)
    assert third.reason == "the path leads out of the folder of images"


def test_a_few_rows_are_read_without_fetching_the_file(hub: Hub) -> None:
    rows = [
        {"type": "human_test", "question": "?", "answer": str(i), "padding": os.urandom(20_000)} for i in range(600)
    ]
    pq.write_table(pa.Table.from_pylist(rows), hub.folder / FILES[0], compression="none", row_group_size=100)
    reader = repository.rows(LOCATION, whole=False)
    assert [next(reader).values["answer"] for _ in range(3)] == ["0", "1", "2"]  # type: ignore[union-attr]
    reader.close()  # type: ignore[attr-defined]
    assert hub.sent < 5_000_000 < (hub.folder / FILES[0]).stat().st_size
    assert not cached(FILES[0]).exists()
    hub.fetched.clear()
    assert len(values(LOCATION)) == 601
    assert hub.fetched == FILES
    assert len(values(LOCATION, whole=False)) == 601
    assert hub.fetched == FILES, "what is in the cache is read there"


def test_a_few_pictures_are_read_without_fetching_the_archive(hub: Hub) -> None:
    members = {"1.png": png(), **{f"{number}.bin": os.urandom(1_000_000) for number in range(12)}, "2.png": png()}
    (hub.folder / "images.zip").write_bytes(put_pictures(hub, ["1.png", "2.png"], members))
    location = LOCATION._replace(files=("rows.jsonl",), archives=("images.zip",))
    found = list(Published("drawn", __name__, location, None, None, "MIT").sample(1))
    assert [item.images for item in found if isinstance(item, Example)] == [(png(),)]
    assert hub.sent < 4_000_000


def source(**options: Any) -> HubSource:
    given = {"kind": "hub", "path": "lmms-lab/ChartQA", "revision": REVISION, "split": "train", "licence": "MIT"}
    return HubSource.model_validate({**given, **options})


def test_any_data_set_of_the_hub_is_a_source(hub: Hub) -> None:
    rows = [{"question": "Which colour?", "answer": colour, "image": f"{colour}.png"} for colour in ("red", "blue")]
    members = {"pictures/red.png": png("red"), "pictures/blue.png": png("blue")}
    (hub.folder / "pictures.zip").write_bytes(put_pictures(hub, [], members))
    (hub.folder / "rows.jsonl").write_text("\n".join(map(json.dumps, [*rows, {**rows[0], "image": "green.png"}])))
    options = {"kind": "hub", "path": "lmms-lab/ChartQA", "revision": REVISION, "split": "train", "licence": "MIT"}
    options |= {"data_files": ["rows.*"], "archives": ["*.zip"]}
    benchmarks = {"mine": {"sources": [options], "max_put_aside": 0.5}}
    found = graph.parse({**STUDY, "benchmarks": benchmarks, "suites": {"main": {"benchmarks": ["mine"]}}}, "study")
    job = found["benchmark", "mine"]
    assert job.inputs == ()
    build_examples(found, job)
    first, second = stream(paths.benchmark("mine"))
    assert (first.gold, first.images, first.source) == ("red", (png("red"),), "ChartQA")
    assert (second.gold, second.images) == ("blue", (png("blue"),))
    manifest = json.loads(Path(paths.benchmark("mine", "manifest.json")).read_text())
    assert manifest["put_aside"] == {"its picture is in none of the archives": 1}
    assert manifest["licences"] == {"ChartQA": "MIT"}
    assert json.loads(job.spec)["sources"] == [{key: value for key, value in options.items() if key != "licence"}]


def test_a_source_of_the_hub_is_sampled_and_described_without_fetching_files(hub: Hub) -> None:
    (found,) = source().sample(3)
    assert isinstance(found, Example)
    assert (found.gold, found.images, found.source) == ("0", (png(),), "ChartQA")
    assert "question" in source().described()
    assert not cached("data/train-00000-of-00001.parquet").exists()
    assert [item.id for item in source(name="charts").read()] == ["charts-000000"]
    assert cached("data/train-00000-of-00001.parquet").exists()


NOT_PINNED = "take the newest of the list of commits at https://huggingface.co/datasets/lmms-lab/ChartQA/commits/main"
MISTAKES = [
    ({"revision": "main"}, f"revision: 'main' is no commit of 40 hex digits; {NOT_PINNED}"),
    ({"revision": None}, f"revision: required, but missing; {NOT_PINNED}"),
    ({"path": "ChartQA"}, "path"),
    ({"path": "../x/y"}, "path"),
    ({"data_files": ["/etc/*"]}, "'/etc/*': should be a path inside the repository"),
    ({"archives": ["../x.zip"]}, "'../x.zip': should be a path inside the repository"),
    ({"split": None}, "split"),
]


@pytest.mark.parametrize(("options", "said"), MISTAKES)
def test_mistakes_are_named(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        source(**options)
    assert said in str(caught.value)


def test_a_damaged_file_is_named_with_what_to_remove(hub: Hub) -> None:
    build()
    damaged = cached(FILES[0])
    size = damaged.stat().st_size
    damaged.chmod(0o644)
    damaged.write_bytes(b"PAR1" + bytes(size - 4))
    with pytest.raises(
        DataError, match=rf"{FILES[0]}: not a readable Parquet file .*; remove {damaged}, and it is fet"
    ):
        build()
    damaged.write_bytes(b"PAR1")
    with pytest.raises(
        DataError, match=rf"{FILES[0]}: has 4 bytes in place of {size}; remove {damaged}, and it is fet"
    ):
        build()
    damaged.unlink()
    assert build()["n"] == 3


def test_a_damaged_archive_is_named_with_what_to_remove(hub: Hub) -> None:
    (hub.folder / "images.zip").write_bytes(b"PK no archive")
    said = r"images\.zip: not a readable zip archive .*; remove .*, and it is fetched again"
    with (
        pytest.raises(DataError, match=said),
        repository.pictures(LOCATION._replace(archives=("images.zip",)), None),
    ):
        pass


def test_a_token_is_used_and_written_nowhere(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_NobodyShouldReadThis")
    build()
    assert "Bearer hf_NobodyShouldReadThis" in hub.tokens
    hub.closed = True
    with pytest.raises(DataError) as caught:
        values(LOCATION._replace(split="train"))
    written = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
    said = capfd.readouterr()
    for text in (*written, said.out.encode(), said.err.encode(), str(caught.value).encode()):
        assert b"NobodyShouldReadThis" not in text
