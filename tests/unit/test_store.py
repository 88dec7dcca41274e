"""The response store: nothing finished is lost, nothing half-written counts."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest

from reassess.engines.base import Response
from reassess.evaluate import store as store_module
from reassess.evaluate.store import Store, StoreError, key


def said(text: str) -> Response:
    return Response(text, "stop", 3, 20)


def fill(directory: Path, *names: str) -> Path:
    """Store one response per name and return the writer's file."""
    before = set(directory.glob("*.jsonl"))
    with Store(directory) as store:
        store.append({name: said(f"response {name}") for name in names})
    (file,) = set(directory.glob("*.jsonl")) - before
    return file


def test_responses_survive_the_process_that_wrote_them(tmp_path: Path) -> None:
    text = "line\nbreak \u2028 <think>é 数</think>"
    with Store(tmp_path / "store") as store:
        store.append({"a": said(text)})
        # Before the store is closed: what append returned from is on disk.
        assert Store(tmp_path / "store").get("a") == said(text)
    store = Store(tmp_path / "store")
    assert (len(store), store.get("b"), store.torn) == (1, None, 0)


@pytest.mark.parametrize("cut", [1, 2, 40])
def test_torn_last_line_does_not_count(tmp_path: Path, cut: int) -> None:
    file = fill(tmp_path, "a", "b")
    file.write_bytes(file.read_bytes()[:-cut])
    store = Store(tmp_path)
    assert (store.get("a"), store.get("b"), store.torn) == (said("response a"), None, 1)
    with store:
        store.append({"b": said("again")})
    after = Store(tmp_path)
    assert (after.get("a"), after.get("b")) == (said("response a"), said("again"))


@pytest.mark.parametrize("line", [b"garbage", b"", b"\xff\xfe", b'{"key": "a"}', b"[1]", b'{"key": "a", "extra": 1}'])
def test_damage_inside_a_file_is_named(tmp_path: Path, line: bytes) -> None:
    file = fill(tmp_path, "a", "b")
    first, second = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(first + line + b"\n" + second)
    with pytest.raises(StoreError, match=f"{file.name}, line 2: not a stored response"):
        Store(tmp_path)


def test_failed_response_is_kept_but_not_reused(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.append({"a": Response("", "error", 0, 0, "too long")})
        assert store.get("a") is None
        store.append({"a": said("second try")})
    assert Store(tmp_path).get("a") == said("second try")
    lines = [json.loads(line) for file in tmp_path.glob("*.jsonl") for line in file.read_text().splitlines()]
    assert [line["error"] for line in lines] == ["too long", None]


def test_earliest_response_counts(tmp_path: Path) -> None:
    with Store(tmp_path) as one, Store(tmp_path) as two:
        one.append({"a": said("first")})
        two.append({"a": said("second")})
    early, late = sorted(tmp_path.glob("*.jsonl"))
    assert Store(tmp_path).get("a") == said(json.loads(early.read_text())["response"])
    assert late.exists()


def test_what_was_stored_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "_OPEN_FILES", 2)
    for name in "abcd":
        fill(tmp_path, name, f"{name}2")
    with Store(tmp_path) as store:
        store.append({"e": said("é" * 3), "f": said("own")})
        names = ["f", "a", "d2", "e", "b2", "c", "a2", "f"]
        found = [store.get(name) for name in names]
    assert [item and item.response for item in found] == [
        {"e": "ééé", "f": "own"}.get(name, f"response {name}") for name in names
    ]
    assert store.get("b") == said("response b"), "closed, but still readable"
    assert "e" in store
    assert "g" not in store
    store.close()


def test_line_that_was_changed_meanwhile_is_named(tmp_path: Path) -> None:
    file = fill(tmp_path, "a", "b")
    with Store(tmp_path) as store:
        file.write_bytes(file.read_bytes().replace(b'"b"', b'"c"'))
        assert store.get("a") == said("response a")
        with pytest.raises(StoreError, match=f"{file.name}, line 2: not a stored response"):
            store.get("b")


def write_many(directory: Path, writer: int) -> None:
    with Store(directory) as store:
        for i in range(50):
            store.append({f"{writer}-{i}-{j}": said("x" * 3000) for j in range(4)})


def test_two_processes_write_side_by_side(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_many, args=(tmp_path, writer)) for writer in range(2)]
    for process in writers:
        process.start()
    for process in writers:
        process.join()
    assert [process.exitcode for process in writers] == [0, 0]
    store = Store(tmp_path)
    assert (len(store), store.torn) == (400, 0)


def test_key_depends_on_every_part() -> None:
    parts = {"prompt": "a", "seed": 1, "sample": 0}
    keys = {key(parts), *(key({**parts, **change}) for change in ({"prompt": "b"}, {"seed": None}, {"sample": 1}))}
    assert len(keys) == 4
    assert key(parts) == key(dict(reversed(parts.items())))
