"""The process that runs symbolic comparisons, so that none of them can hang, crash or fill the process that asks.

It is a plain child process with two pipes: unlike multiprocessing's it does not import the main module again, and it
may be started from a daemonic process, a thread or a forked process.
"""

import atexit
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Processor time of one comparison, and of all comparisons of one judgement.
COMPUTE_SECONDS = 1.0
JUDGEMENT_SECONDS = 1.5
# Nothing that computes takes this long; a process that is starved or suspended is given up.
_WALL_SECONDS = 10.0
_START_SECONDS = 180.0
_STOPPED = "stopped"
_START_CODE = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from reassess.judge.algebra import serve
serve()
"""


class StoppedError(Exception):
    """The computation took too long or too much memory and was stopped."""


class ExhaustedError(Exception):
    """The comparisons of one judgement took too long together; this one was stopped early or not begun."""


class _WorkerDiedError(Exception):
    pass


class _Budget(threading.local):
    left = float("inf")


_budget = _Budget()


@contextmanager
def limited(seconds: float = JUDGEMENT_SECONDS) -> Iterator[None]:
    """Give all comparisons of this thread inside the context `seconds` of processor time together."""
    _budget.left = seconds
    try:
        yield
    finally:
        _budget.left = float("inf")


class Worker:
    """One worker process: started by the first request, replaced after one that had to be stopped. Thread-safe."""

    def __init__(self, compute_seconds: float = COMPUTE_SECONDS) -> None:
        self._compute_seconds = compute_seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, operation: str, *arguments: str) -> Any:
        """The result of one of the operations of `reassess.judge.algebra`, None where it failed on these arguments.

        Raises:
            StoppedError: it was stopped.
            ExhaustedError: the time that `limited` gives has run out.
            RuntimeError: the process cannot be started, for instance because math-verify is not installed.
        """
        seconds = min(self._compute_seconds, _budget.left)
        if seconds <= 0:
            raise ExhaustedError
        with self._lock:
            try:
                answer, used = self._request(seconds, operation, arguments)
            except _WorkerDiedError:
                # Something killed it between two requests, or its memory ran out at this one.
                try:
                    answer, used = self._request(seconds, operation, arguments)
                except _WorkerDiedError:
                    raise StoppedError from None
        _budget.left -= used
        if answer != _STOPPED:
            return answer
        if seconds < self._compute_seconds:
            raise ExhaustedError
        raise StoppedError

    def _request(self, seconds: float, operation: str, arguments: tuple[str, ...]) -> tuple[Any, float]:
        try:
            process = self._running()
            assert process.stdin is not None
            process.stdin.write(json.dumps([seconds, operation, *arguments]).encode() + b"\n")
            answer, used = self._answer(process, _WALL_SECONDS)
            return answer, seconds if used is None else used
        except BrokenPipeError:
            self.stop()
            raise _WorkerDiedError from None
        except BaseException:
            # Whatever interrupted this, a signal handler's exception included, must not leave an answer in the pipe
            # that the next request would take for its own.
            self.stop()
            raise

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is not None:
            self.stop()
        if self._process is None:
            search_path = json.dumps([str(entry) for entry in sys.path])
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START_CODE, search_path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
            )
            try:
                self._answer(self._process, _START_SECONDS)
            except (_WorkerDiedError, StoppedError):
                raise RuntimeError("the symbolic worker did not start: is math-verify installed?") from None
        return self._process

    @staticmethod
    def _answer(process: subprocess.Popen[bytes], seconds: float) -> Any:
        assert process.stdout is not None
        deadline, received = time.monotonic() + seconds, b""
        while not received.endswith(b"\n"):
            readable, _, _ = select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            if not readable:
                raise StoppedError
            chunk = os.read(process.stdout.fileno(), 65536)
            if not chunk:
                raise _WorkerDiedError
            received += chunk
        return json.loads(received)

    def stop(self) -> None:
        """Ends the process; the next request starts another."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        self._close(process)

    def abandon(self) -> None:
        """Forgets a process that belongs to the parent of this one, without ending it."""
        process, self._process = self._process, None
        self._lock = threading.Lock()
        if process is not None:
            self._close(process)
            # It is not a child of this process, so there is nothing to wait for.
            process.returncode = 0

    @staticmethod
    def _close(process: subprocess.Popen[bytes]) -> None:
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


shared = Worker()
atexit.register(shared.stop)
os.register_at_fork(after_in_child=shared.abandon)
