"""Teachers behind an endpoint, asked over HTTP on this machine by the client that users have."""

from __future__ import annotations

import base64
import io
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from chat_server import Chat, Reply, refused, said, serving
from once import once
from reassess import graph, paths
from reassess.analyse.collect import collect
from reassess.analyse.estimates import Estimates
from reassess.analyse.tables import examples, sources
from reassess.console.workload import Workload
from reassess.data.examples import build_set
from reassess.data.pool import build_examples
from reassess.data.shards import Shards, stream
from reassess.engines import endpoint
from reassess.engines.base import EngineError
from reassess.engines.endpoint import EndpointReader, data_url
from reassess.evaluate.generate import EvaluationError, generate
from reassess.evaluate.speaker import PATIENCE
from reassess.example import Example, decode
from reassess.graph import Graph
from reassess.graph.state import States
from reassess.models.reader import Unreadable
from reassess.prompts import Prompt
from reassess.study import read
from reassess.study.read import StudyError, read_yaml
from reassess.work.records import digest

KEY = "a-key-that-nobody-may-see"
ANSWER = "<think>It is so.</think><answer>3</answer>"
JOB = "+traces"


def study(root: Path, url: str, step: dict[str, Any] | None = None, **teacher: Any) -> Graph:
    """The tiny study with a set that a teacher behind an endpoint writes, with a recipe that reads it."""
    data = read_yaml(root / "studies/tiny.yaml")
    data["teachers"] = {"gpt": {"endpoint": url, "name": "gpt-0", "key": "CHAT_KEY", **teacher}}
    data["examples"] = {"traces": {"kind": "distill", "on": "toy", "model": "gpt", "keep": "all", **(step or {})}}
    data["pools"]["toy"]["only_with"] = ["traces"]
    data["stages"]["learn"] = {**data["stages"]["sft"], "on": "traces"}
    data["recipes"]["taught"] = ["learn"]
    return graph.parse(data, "study.yaml")


def ask(of: Graph) -> None:
    generate(of, of["generate", JOB])


def record() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(paths.evaluation(JOB, "responses.json")).read_text())
    return found


def rows() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(paths.evaluation(JOB, "responses.parquet")).to_pylist()
    return found


@pytest.fixture
def pool(root: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pool of the tiny study in a working directory of its own, and the key in the environment."""

    def make(folder: Path) -> None:
        with monkeypatch.context() as patch:
            patch.chdir(folder)
            of = study(root, "http://127.0.0.1:1/v1")
            build_examples(of, of["pool", "toy"])

    shutil.copytree(once(tmp_path_factory, "endpoint-pool", make) / "results", tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHAT_KEY", KEY)


@pytest.fixture
def chat() -> Iterator[Chat]:
    with serving(lambda body: said(ANSWER)) as found:
        yield found


def test_what_is_asked_recorded_and_made_of_it(
    pool: None, chat: Chat, root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    of = study(root, chat.url, {"samples": 2, "temperature": 0.7, "top_p": 0.9, "max_tokens": 50}, extra_body={"x": 1})
    ask(of)
    build_set(of, of["examples", "traces"])

    assert chat.keys == {f"Bearer {KEY}"}
    assert len(chat.asked) == 128
    body = chat.asked[0]
    drawn = {"model": "gpt-0", "temperature": 0.7, "top_p": 0.9, "max_tokens": 50, "x": 1}
    assert {name: value for name, value in body.items() if name not in ("messages", "seed")} == drawn
    # No two samples share a seed.
    assert len({item["seed"] for item in chat.asked}) == 128
    first = Shards(paths.pool("toy"))[0]
    image, text = body["messages"][0]["content"]
    assert image["image_url"]["url"] == f"data:image/png;base64,{base64.b64encode(first.images[0]).decode()}"
    assert text["text"] == f"{first.question}\nThink, then answer."

    found = record()
    assert (found["reproducible"], found["model"], found["cell"]) == (False, "gpt", "")
    assert found["endpoint"] == {"endpoint": chat.url, "name": "gpt-0", "extra_body": {"x": 1}}
    assert found["served"] == {"gpt-0-dated fp_1": 128}
    assert found["usage"] == {"prompt_tokens": 128 * 7, "completion_tokens": 128 * 3}
    assert found["image_tokens"] == {"images": 64}
    assert {(row["response"], row["finish_reason"], row["n_tokens"], row["prompt_tokens"]) for row in rows()} == {
        (ANSWER, "stop", 3, 7)
    }
    told = json.loads(Path(paths.examples("traces", "manifest.json")).read_text())["asked"]
    assert {name: told[name] for name in ("served", "usage", "reproducible", "endpoint")} == {
        name: found[name] for name in ("served", "usage", "reproducible", "endpoint")
    }
    assert {item.rationales for item in stream(paths.examples("traces"))} == {("It is so.",)}

    # What tables say of it.
    estimates = Estimates(collect(of, partial=True))
    table, _ = examples.build(estimates)
    (row,) = [row for block in table.blocks for row in block.rows if row[1].text == "all"]
    assert [entry.text for entry in row[:3]] == ["traces", "all", "64"]
    assert "from an endpoint, so that nobody can make it again: gpt-0-dated fp_1" in table.footnotes[row[0].mark - 1]
    assert [item.by for item in sources._written(estimates, of.sets["traces"])] == ["gpt"]

    # Nothing is asked again, and what is there is what the study asks for.
    assert States(of).of(of["examples", "traces"]) == "done"
    ask(of)
    assert (record()["generated"], record()["reused"], len(chat.asked)) == (0, 128, 128)
    # Of another option of the server's, everything is.
    other = study(root, chat.url, {"samples": 2, "temperature": 0.7, "top_p": 0.9, "max_tokens": 50})
    assert States(other).of(other["generate", JOB]) == "outdated"
    # Of another number of requests at a time, nothing.
    assert (
        of["generate", JOB] == study(root, chat.url, of_step(of), extra_body={"x": 1}, concurrency=3)["generate", JOB]
    )

    printed = "".join(capfd.readouterr())
    assert (
        "64 prompts (0 put aside) x 2 samples x 1 checkpoints: 0 responses reused, 128 to generate with endpoint, "
        in (printed)
    )
    assert f"gpt-0 at {chat.url}, 8 requests at a time" in printed
    assert KEY not in printed
    assert not [file for file in Path("results").rglob("*") if file.is_file() and KEY.encode() in file.read_bytes()]


def of_step(of: Graph) -> dict[str, Any]:
    found = of.study.examples["traces"].model_dump(mode="json", exclude_defaults=True)
    return {name: value for name, value in found.items() if name not in ("kind", "on", "model")}


def test_the_key_has_to_be_in_the_environment(
    pool: None, chat: Chat, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CHAT_KEY")
    # Another one is nobody's to send.
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(EngineError, match=r"^teachers\.gpt\.key: the environment of this job has no CHAT_KEY; set it"):
        ask(study(root, chat.url))
    assert chat.asked == []
    ask(study(root, chat.url, {"questions": 4}, key=None))
    assert chat.keys == {"Bearer none"}


def test_a_busy_or_failing_server_is_asked_again(pool: None, root: Path) -> None:
    count = itertools.count()

    def reply(body: dict[str, Any]) -> Reply:
        status = {0: 429, 1: 500, 2: 503, 5: 408}.get(next(count))
        return said(ANSWER) if status is None else refused(status, "not now")

    with serving(reply) as chat:
        ask(study(root, chat.url, concurrency=2))
        assert len(chat.asked) == 64 + 4
    assert {row["finish_reason"] for row in rows()} == {"stop"}


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, r"^teachers\.gpt\.key: check CHAT_KEY; the server refuses it \(401: no \$CHAT_KEY here\)$"),
        (403, r"^teachers\.gpt\.key: it gives no access to gpt-0 at this endpoint \(403: no "),
        (404, r"^teachers\.gpt: there is no 'gpt-0' at http://127\S+/v1 \(404: no .*check `name` and `endpoint`"),
        (429, r"^teachers\.gpt: the limits of the endpoint are used up \(429: no .*a lower `concurrency`"),
    ],
)
def test_what_would_refuse_every_request_ends_the_job(
    pool: None, root: Path, monkeypatch: pytest.MonkeyPatch, status: int, message: str
) -> None:
    monkeypatch.setattr(endpoint, "RETRIES", 1)
    # Some servers repeat the key.
    with serving(lambda body: refused(status, f"no {KEY} here")) as chat:
        with pytest.raises(EngineError, match=message) as error:
            ask(study(root, chat.url, concurrency=4))
        assert KEY not in str(error.value)
        assert len(chat.asked) <= 8
    assert not Path(paths.evaluation(JOB, "responses.json")).exists()


def test_a_wrong_address_ends_the_job(pool: None, chat: Chat, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "RETRIES", 0)
    with pytest.raises(EngineError, match=r"^teachers\.gpt: there is no 'gpt-0' at .*\(404: no /v2/chat/completions\)"):
        ask(study(root, chat.url.replace("/v1", "/v2")))
    with (
        serving(lambda body: Reply(200, "<html>Welcome</html>")) as page,
        pytest.raises(EngineError, match=r"^teachers\.gpt\.endpoint: .* answers, and not as an OpenAI-compatible API"),
    ):
        ask(study(root, page.url))
    with pytest.raises(EngineError, match=r"^teachers\.gpt: no answer from http://127\.0\.0\.1:1/v1 \(.*is kept$"):
        ask(study(root, "http://127.0.0.1:1/v1"))


def test_a_server_that_fails_for_good_ends_the_job(pool: None, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "RETRIES", 0)
    count = itertools.count()
    # What was answered before is kept, and one failure is a failed response.
    broken = {3, *range(30, 1000)}

    def reply(body: dict[str, Any]) -> Reply:
        return refused(500, "oh") if next(count) in broken else said("x")

    with serving(reply) as chat:
        with pytest.raises(
            EngineError, match=r"^teachers\.gpt: the server has failed at 20 requests in a row .*500: oh"
        ):
            ask(study(root, chat.url, concurrency=1))
        assert len(chat.asked) == 50
        broken.clear()
        ask(study(root, chat.url, concurrency=1))
    assert (record()["reused"], record()["generated"]) == (29, 35)
    assert {row["finish_reason"] for row in rows()} == {"stop"}


def test_a_bad_request_is_one_failed_response(pool: None, root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    fifth = Shards("results/pools/toy")[5]
    bad = EndpointReader(Prompt(instruction="Think, then answer.")).messages(fifth)
    with serving(lambda body: refused(400, "bad picture") if body["messages"] == bad else said("x")) as chat:
        ask(study(root, chat.url))
        assert len(chat.asked) == 64
    assert [row["id"] for row in rows() if row["finish_reason"] == "error"] == [fifth.id]
    assert f"1 responses failed, the first is {fifth.id}: HTTP 400: bad picture" in capfd.readouterr().out


def test_a_server_that_takes_no_request_is_given_up(pool: None, root: Path) -> None:
    with serving(lambda body: refused(400, "Unrecognized request argument supplied: top_k")) as chat:
        with pytest.raises(EvaluationError, match=r"requests failed and none was answered; the first: HTTP 400: Unrec"):
            ask(study(root, chat.url, {"samples": 2, "temperature": 1.0}, extra_body={"top_k": 5}))
        assert PATIENCE <= len(chat.asked) < PATIENCE + 16


def test_so_many_requests_at_a_time(pool: None, root: Path) -> None:
    # Nobody is answered before three are there.
    together = threading.Barrier(3, timeout=60)

    def reply(body: dict[str, Any]) -> Reply:
        together.wait()
        return said(ANSWER)

    with serving(reply) as chat:
        ask(study(root, chat.url, {"questions": 12}, concurrency=3))
        assert (chat.most, len(chat.asked)) == (3, 12)


def test_how_a_response_ends(pool: None, root: Path) -> None:
    replies = [
        said("a", "length"),
        said(None, "content_filter"),
        said("", "tool_calls"),
        said("b", reasoning_content="why"),
        said(None, "length", reasoning="because"),
        said(None, refusal="no"),
        Reply(200, {"error": {"message": "upstream"}}),
    ]
    left = iter(replies)
    with serving(lambda body: next(left)) as chat:
        ask(study(root, chat.url, {"questions": len(replies)}, concurrency=1))
    assert [(row["response"], row["finish_reason"]) for row in rows()] == [
        ("a", "length"),
        ("", "error"),
        ("", "error"),
        ("<think>why</think>b", "stop"),
        ("<think>because", "length"),
        ("no", "stop"),
        ("", "error"),
    ]
    (store,) = Path("results/responses").glob("*/*.jsonl")
    errors = [error for line in store.read_text().splitlines() if (error := json.loads(line)["error"])]
    assert errors == [
        "the server ended the response with 'content_filter'",
        "the server ended the response with 'tool_calls'",
        "no choices: {'message': 'upstream'}",
    ]


def test_a_kill_loses_what_was_being_asked_and_no_more(pool: None, root: Path, tmp_path: Path) -> None:
    count = itertools.count()
    stuck, go_on = threading.Event(), threading.Event()

    def reply(body: dict[str, Any]) -> Reply:
        if next(count) >= 40 and not go_on.is_set():
            stuck.set()
            go_on.wait(60)
        return said(ANSWER)

    with serving(reply) as chat:
        of = study(root, chat.url, {"samples": 2, "temperature": 1.0}, concurrency=4)
        file = tmp_path / paths.study(of.study.name, digest(of.study.model_dump_json()))
        read.dump(of.study, file)
        command = [sys.executable, "-m", "reassess.cli", "generate", JOB, "--study", str(file)]
        process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(root / "workflow")})
        assert stuck.wait(100)
        # All that were answered are there, since no other request could come before.
        while stored() < 37:
            assert process.poll() is None
            time.sleep(0.02)
        process.kill()
        process.wait()
        kept = stored()
        go_on.set()
        asked = len(chat.asked)
        ask(of)
        assert (record()["reused"], record()["generated"]) == (kept, 128 - kept)
        assert asked - kept <= 4
        assert len(chat.asked) == asked + 128 - kept
    assert not [item for item in tmp_path.rglob("*") if item.is_file() and KEY.encode() in item.read_bytes()]


def stored() -> int:
    return sum(file.read_bytes().count(b"\n") for file in Path("results/responses").glob("*/*.jsonl"))


def encoded(picture: Image.Image, form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, form, **options)
    return out.getvalue()


def test_images_are_sent_as_they_are_where_all_see_the_same() -> None:
    picture = Image.effect_noise((8, 6), 90).convert("RGB")
    turned = Image.Exif()
    turned[0x0112] = 6
    as_they_are = [
        encoded(picture, "PNG"),
        encoded(picture, "JPEG"),
        encoded(picture.convert("L"), "PNG"),
        encoded(picture.quantize(8), "PNG"),
    ]
    others = [
        encoded(picture, "JPEG", exif=turned),
        encoded(picture.convert("CMYK"), "JPEG"),
        encoded(picture.convert("RGBA").rotate(45), "PNG"),
        encoded(picture, "BMP"),
        encoded(picture, "GIF"),
        encoded(picture, "WEBP", lossless=True),
        encoded(Image.new("I;16", (4, 4), 30_000), "PNG"),
    ]
    for image in as_they_are + others:
        kind, _, data = data_url(image).partition(";base64,")
        sent = base64.b64decode(data)
        form = {"PNG": "image/png", "JPEG": "image/jpeg"}[Image.open(io.BytesIO(sent)).format or ""]
        assert kind == f"data:{form}"
        assert (sent == image) == (image in as_they_are)
        assert decode(sent).tobytes() == decode(image).tobytes()


def test_a_question_becomes_chat_messages() -> None:
    one, two = (encoded(Image.new("RGB", (4, 4), color), "PNG") for color in ("red", "blue"))
    reader = EndpointReader(Prompt(system="Be short.", instruction="Answer."))
    asked = Example("a", (one, two), "Is <image> like <image>?", ("yes", "no"), "A", "mcq", (), "mine", "", 0)
    system, user = reader.messages(asked)
    assert system == {"role": "system", "content": "Be short."}
    assert [part.get("text") or part["image_url"]["url"] for part in user["content"]] == [
        *("Is ", data_url(one), " like ", data_url(two), "?\n(A) yes\n(B) no\nAnswer."),
    ]
    text = Example("b", (), "1 + 1?", (), "2", "numeric", (), "mine", "", 0)
    assert reader.messages(text)[-1] == {"role": "user", "content": "1 + 1?\nAnswer."}
    # What is asked decides the key of the response.
    texts = {reader.read(item).text for item in (asked, text)}
    assert len(texts) == 2
    for broken in (
        Example("c", (b"x",), "?", (), "2", "text", (), "", "", 0),
        Example(*("d", (), "<image>?", (), "2", "text", (), "", "", 0)),
    ):
        with pytest.raises(Unreadable, match=r"image cannot be decoded|stands in its text 1 times"):
            reader.read(broken)
    with pytest.raises(EngineError, match="cannot be made to begin a response"):
        reader.forced("x")


URL = "https://api.example.org/v1"


@pytest.mark.parametrize(
    ("step", "teacher", "message"),
    [
        ({}, {"concurency": 3}, r"^study\.yaml: teachers\.gpt\.concurency: unknown key; did you mean concurrency\?"),
        ({}, {"path": "a/b"}, r"^study\.yaml: teachers\.gpt\.path: unknown key; valid keys: endpoint, name, key, "),
        (
            {},
            {"key": "sk-proj-secret"},
            r"^study\.yaml: teachers\.gpt\.key: expected the name of an environment variable",
        ),
        ({}, {"endpoint": "https://me:secret@a.org/v1"}, r"^study\.yaml: teachers\.gpt\.endpoint: an address alone"),
        ({}, {"endpoint": "api.example.org"}, r"'api\.example\.org' is no address of an API"),
        ({}, {"extra_body": {"stream": True}}, r"teachers\.gpt\.extra_body: stream is not to be set here"),
        ({"think": True}, {}, r"^study\.yaml: examples\.traces\.think: an endpoint cannot be made to begin"),
        (
            {"temperature": 1.0, "min_p": 0.1},
            {},
            r"examples\.traces\.min_p: no option of the OpenAI API; .*`extra_body`",
        ),
        ({"stop": ["</answer>"]}, {}, r"examples\.traces\.stop: .*`include_stop_str_in_output: true`"),
        ({"model": "gtp"}, {}, r"examples\.traces\.model: no model or teacher is called 'gtp'; did you mean gpt\?"),
    ],
)
def test_a_mistake_is_one_error(root: Path, step: dict[str, Any], teacher: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyError, match=message) as error:
        study(root, teacher.pop("endpoint", URL), step, **teacher)
    assert len(str(error.value).splitlines()) == 1
    assert "secret" not in str(error.value)


def test_a_misspelt_key_is_told_for_what_it_was_meant(root: Path) -> None:
    data = read_yaml(root / "studies/tiny.yaml")
    for teacher, message in (
        ({"endpont": URL, "name": "gpt-0"}, r"teachers\.t\.endpont: unknown key; did you mean endpoint\?"),
        ({"pth": "a/b"}, r"teachers\.t\.pth: unknown key; did you mean path\?"),
        ({"path": "a/b", "revison": "0" * 40}, r"teachers\.t\.revison: unknown key; did you mean revision\?"),
        ({"name": "gpt-0"}, r"teachers\.t\.endpoint: required, but missing"),
    ):
        with pytest.raises(StudyError, match=message):
            graph.parse({**data, "teachers": {"t": teacher}}, "study.yaml")


def test_no_job_makes_the_model_and_none_asks_for_a_gpu(root: Path) -> None:
    of = study(root, URL, {"stop": ["</answer>"]}, extra_body={"include_stop_str_in_output": True})
    assert [job.key for job in of.of("model")] == ["toy-xs"]
    job = of["generate", JOB]
    assert job.needs == ("pool toy",)
    asked = graph.resources.of(of.study, job)
    assert (asked.gpu, asked.threads) == (0, 1)
    # The tokens of its prompts only the server can count.
    planned = "\n".join(Workload(of, of.jobs).lines())
    assert re.search(r"^  gpt +1 +- +64 +64 +131k\+", planned, re.MULTILINE), planned
    # What a job reads is what was written.
    again = graph.parse(json.loads(of.study.model_dump_json()), "results/study.json")
    assert again.study == of.study
    assert again.jobs == of.jobs
