"""A hub on this machine, for the real client: one repository, of a model or a data set, at one commit."""

from __future__ import annotations

import json
import re
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

REVISION = "0123456789abcdef0123456789abcdef01234567"
# The client writes what it receives in pieces of 10 MiB.
PIECE = 10 << 20


class Hub(ThreadingHTTPServer):
    """Serves a folder as one repository; a file named in `held` stops after its first piece until it is let go.

    Attributes:
        fetched: the names of files whose content was asked for, in order.
        sent: the bytes of content that were sent.
        tokens: the tokens that came with requests.
        refusal: the status, and the code of the hub, with which everything is refused.
        closed: refuse content alone, as of gated data, whose files anyone may list.
    """

    def __init__(self, folder: Path, repository: str, kind: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.api = f"/api/{kind}/{repository}/"
        self.files = f"/{'' if kind == 'models' else kind + '/'}{repository}/resolve/"
        self.held = ""
        self.fetched: list[str] = []
        self.sent = 0
        self.tokens: set[str] = set()
        self.refusal: tuple[int, str] | None = None
        self.closed = False
        self.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.server.tokens.add(self.headers.get("Authorization") or "")
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        if self.server.refusal is not None:
            self._refuse(*self.server.refusal)
        elif path.startswith(self.server.api):
            self._api(path.removeprefix(self.server.api))
        elif path.startswith(self.server.files):
            revision, _, name = path.removeprefix(self.server.files).partition("/")
            if revision != REVISION:
                self._refuse(404, "RevisionNotFound")
            elif self.server.closed:
                self._refuse(403, "GatedRepo")
            else:
                self._file(name)
        else:
            self._refuse(404, "RepoNotFound")

    def _api(self, asked: str) -> None:
        what, _, rest = asked.partition("/")
        revision, _, below = rest.partition("/")
        if revision != REVISION:
            self._refuse(404, "RevisionNotFound")
        elif what == "revision":
            self._json({"id": self.server.api.split("/", 3)[3].strip("/"), "sha": REVISION, "siblings": []})
        elif what == "tree" and (self.server.folder / below).is_dir():
            query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
            is_deep = query.get("recursive", [""])[0].lower() in ("true", "1")
            found = sorted((self.server.folder / below).glob("**/*" if is_deep else "*"))
            self._json([self._entry(file) for file in found])
        else:
            self._refuse(404, "EntryNotFound")

    def _entry(self, file: Path) -> dict[str, Any]:
        name = str(file.relative_to(self.server.folder))
        if file.is_dir():
            return {"type": "directory", "path": name, "oid": f"oid-{name}", "size": 0}
        return {"type": "file", "path": name, "size": file.stat().st_size, "oid": f"oid-{name}"}

    def _file(self, name: str) -> None:
        file = self.server.folder / name
        if not file.is_file():
            self._refuse(404, "EntryNotFound")
            return
        data, headers = file.read_bytes(), {"ETag": f'"{name.replace("/", "-")}"', "X-Repo-Commit": REVISION}
        part = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if part is None:
            self._send(200, data, headers, name)
            return
        start, end = int(part[1]), min(int(part[2] or len(data) - 1), len(data) - 1)
        self._send(206, data[start : end + 1], {**headers, "Content-Range": f"bytes {start}-{end}/{len(data)}"}, name)

    def _json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _refuse(self, status: int, code: str) -> None:
        self._send(status, b"", {"X-Error-Code": code, "X-Repo-Commit": REVISION})

    def _send(self, status: int, data: bytes, headers: dict[str, str], name: str = "") -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if name:
            self.server.fetched.append(name)
        piece = PIECE + (1 << 20) if name and name == self.server.held else len(data)
        # A client that was killed does not listen.
        with suppress(ConnectionError):
            self.wfile.write(data[:piece])
            while name and name == self.server.held:
                time.sleep(0.02)
            self.wfile.write(data[piece:])
            self.server.sent += len(data) if name else 0

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def serving(folder: Path, repository: str, kind: str = "models") -> Iterator[Hub]:
    """Serve a folder as long as the block runs."""
    with Hub(folder, repository, kind) as hub:
        threading.Thread(target=hub.serve_forever, daemon=True).start()
        yield hub
        hub.held = ""
        hub.shutdown()


def use(hub: Hub, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the client ask a hub and keep its cache in `home`: in this process, which read both at its start, and in
    those that it starts.
    """
    import datasets.config
    from huggingface_hub import constants

    for key, value in {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_HOME": str(home)}.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    template = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HOME", str(home))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", hub.url)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", home / "datasets")
