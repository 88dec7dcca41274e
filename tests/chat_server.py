"""An OpenAI-compatible API on this machine, for the real client: what it says to a request is the test's to decide."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Reply(NamedTuple):
    """What is sent back: the status, the JSON (or the text of a page), and headers."""

    status: int
    body: Any
    headers: dict[str, str] = {}


def said(content: str | None, finish_reason: str = "stop", **message: Any) -> Reply:
    """A completion, with 7 tokens of the prompt and 3 of the response."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content, **message}}
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    named = {"id": "1", "object": "chat.completion", "created": 1, "model": "gpt-0-dated", "system_fingerprint": "fp_1"}
    return Reply(200, {**named, "choices": [{**choice, "finish_reason": finish_reason}], "usage": usage})


def refused(status: int, message: str, **headers: str) -> Reply:
    """An error, as the API writes one; the client asks again at once where it does."""
    shown = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, {"error": {"message": message, "type": "x"}}, {"retry-after-ms": "1", **shown})


class Chat(ThreadingHTTPServer):
    """The API.

    Attributes:
        reply: what is said to the body of a request.
        asked: the bodies of all requests, in the order in which they came.
        keys: what was sent as authorization.
        most: the most requests that were there at a time.
    """

    daemon_threads = True
    # A client that opens many connections at once must not be turned away.
    request_queue_size = 128

    def __init__(self, reply: Callable[[dict[str, Any]], Reply]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.reply = reply
        self.asked: list[dict[str, Any]] = []
        self.keys: set[str] = set()
        self.now = self.most = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Chat

    def do_POST(self) -> None:
        server, body = self.server, json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with server.lock:
            server.asked.append(body)
            server.keys.add(self.headers["Authorization"])
            server.now += 1
            server.most = max(server.most, server.now)
        try:
            if self.path == "/v1/chat/completions":
                status, found, headers = server.reply(body)
            else:
                status, found, headers = Reply(404, {"error": {"message": f"no {self.path}"}})
        finally:
            # Before the answer is there: the next request may come at once.
            with server.lock:
                server.now -= 1
        is_page = isinstance(found, str)
        data = (found if is_page else json.dumps(found)).encode()
        sent = {"Content-Type": "text/html" if is_page else "application/json", "Content-Length": str(len(data))}
        # A client that was killed does not listen.
        with suppress(ConnectionError):
            self.send_response(status)
            for name, value in {**sent, **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def serving(reply: Callable[[dict[str, Any]], Reply]) -> Iterator[Chat]:
    """Serve the API as long as the block runs."""
    with Chat(reply) as chat:
        threading.Thread(target=chat.serve_forever, daemon=True).start()
        yield chat
        chat.shutdown()
