"""The server of vLLM as a teacher: it says what transformers says on this machine."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from reassess import engines
from reassess.decoding import Decoding
from reassess.engines.base import EngineError, EngineInfo, Origin, Request, Response, Setting, banned_tokens
from reassess.engines.endpoint import EndpointEngine, EndpointReader
from reassess.engines.vllm import set_environment
from reassess.example import Example
from reassess.graph import Graph
from reassess.models.load import load_model
from reassess.models.reader import Reader
from reassess.sources.toy import ToySource
from reassess.study.models import Model
from reassess.study.teachers import Endpoint

GREEDY = Decoding(max_tokens=24)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vllm is not installed"),
]


@contextmanager
def served(checkpoint: Path, log: Path) -> Iterator[str]:
    """Serve a checkpoint by the name `toy`; gives the address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # The `vllm` of its CPU build does not start, but for the module behind it.
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(checkpoint)]
    command += ["--served-model-name", "toy", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--dtype", "float32", "--enforce-eager", "--max-model-len", "256", "--no-enable-chunked-prefill"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with log.open("wb") as out:
        server = subprocess.Popen(command, stdout=out, stderr=out, env=environment, start_new_session=True)
        try:
            while not answers(f"http://127.0.0.1:{port}/health"):
                assert server.poll() is None, log.read_text()[-4000:]
                time.sleep(0.5)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


def test_a_server_says_what_transformers_says(
    toy_checkpoint: Path,
    toy_examples: list[Example],
    tiny: Graph,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Its engine is a process of its own.
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "1")
    set_environment(0)
    study = tiny.study
    model, prompt = study.models["toy-xs"], study.prompt
    checkpoint = talkative(toy_checkpoint, tmp_path / "model", model)
    reader = Reader.of(checkpoint, model, prompt)
    examples = [*toy_examples[:24], *ToySource(kind="toy", n=24, split="test", text_only=True).read()]
    requests = [
        Request(item.id, Origin(examples, i, False, reader.read(item).length, bool(item.images)), None)
        for i, item in enumerate(examples)
    ]
    engine = engines.start(EngineInfo("transformers", "", "float32", "cpu"), str(checkpoint), setting(reader))
    here = {key: row for batch in engine.answer(requests, GREEDY) for key, row in batch.items()}

    with served(checkpoint, tmp_path / "server.log") as url:
        # Engines here never write the tokens that stand for images.
        teacher = Endpoint(endpoint=url, name="toy", extra_body={"bad_words": banned_tokens(reader.processor)})
        asked = EndpointEngine(teacher, EndpointReader(prompt), "teachers.toy")
        there = {key: row for batch in asked.answer(requests, GREEDY) for key, row in batch.items()}
        wrong = EndpointEngine(teacher.model_copy(update={"name": "yot"}), EndpointReader(prompt), "teachers.toy")
        with pytest.raises(EngineError, match=r"^teachers\.toy: there is no 'yot' at .*\(404: .*`yot` does not exist"):
            list(wrong.answer(requests, GREEDY))
    assert {key: whole(row) for key, row in there.items()} == {key: whole(row) for key, row in here.items()}
    assert all((row.served or "").startswith("toy") for row in there.values())
    assert len({row.response for row in here.values()}) > 24
    assert {row.finish_reason for row in here.values()} == {"stop", "length"}


def whole(row: Response) -> Response:
    """A response without a character of which it has the first bytes alone, which the server leaves out at the end."""
    return row._replace(response=row.response.rstrip("\ufffd"), served=None)


def talkative(toy: Path, directory: Path, model: Model) -> Path:
    """A checkpoint that says something else to every prompt."""
    shutil.copytree(toy, directory)
    found = load_model(directory, model)
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in found.parameters():
            if weight.dim() > 1:
                weight.normal_(std=0.1)
    found.save_pretrained(directory)
    return directory


def setting(reader: Reader) -> Setting:
    return Setting(reader, 256, 0, 0, 16, {})
