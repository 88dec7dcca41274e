"""Run by test_generate.py in a process of its own: one vLLM engine answers jobs on several checkpoints.

vLLM binds threads and replaces functions of torch in its process, which other tests should not inherit.
"""

from __future__ import annotations

import json
import pickle
import sys
import time
from pathlib import Path
from typing import Any

from reassess import engines
from reassess.decoding import Decoding
from reassess.engines import vllm
from reassess.engines.base import EngineInfo, Request


def main(job_file: str, out_file: str) -> None:
    """Answer the pickled jobs `[(directory, requests, decoding)]` in order; write responses and seconds as JSON.

    Then write from what each decoding would draw the first token of each request, with the last checkpoint; and how
    likely given responses are, with the first one.
    """
    setting, jobs, asked, decodings, given = pickle.loads(Path(job_file).read_bytes())
    reasons = [vllm.why_not(gpus) for gpus in (0, 1)]
    if reasons[0]:
        raise SystemExit(reasons[0])
    info = EngineInfo("vllm", "", "float32", "cpu")
    started = time.monotonic()
    engine = engines.start(info, jobs[0][0], setting)
    seconds = {"start": time.monotonic() - started}
    answers = []
    current = jobs[0][0]
    for directory, requests, decoding in jobs:
        if directory != current:
            started = time.monotonic()
            engine.load(directory)
            seconds["load"] = time.monotonic() - started
            current = directory
        started = time.monotonic()
        found = {key: row for batch in engine.answer(requests, decoding) for key, row in batch.items()}
        seconds[f"job {len(answers)}"] = time.monotonic() - started
        answers.append({key: row._asdict() for key, row in found.items()})
    drawn = [first_tokens(engine, asked, decoding) for decoding in decodings]
    engine.load(jobs[0][0])
    likely = {key: found._asdict() for batch in engine.nll(given) for key, found in batch.items()}
    out = {"answers": answers, "seconds": seconds, "reasons": reasons, "drawn": drawn, "likely": likely}
    Path(out_file).write_text(json.dumps(out))


def first_tokens(engine: Any, requests: list[Request], decoding: Decoding) -> list[dict[int, float]]:
    """Return the log-probabilities that vLLM draws the first token of each request from, by token."""
    every = [engine.params(request, decoding) for request in requests]
    for params in every:
        params.max_tokens, params.logprobs = 1, -1
    reader = engine._setting.reader
    prompts = [vllm.prompt(request.origin.draw(reader)) for request in requests]
    outputs = engine._llm.generate(prompts, every, use_tqdm=False, tokenization_kwargs=vllm.TOKENIZATION)
    (steps,) = zip(*(output.outputs[0].logprobs for output in outputs), strict=True)
    return [{id_: found.logprob for id_, found in step.items() if found.logprob > -1e9} for step in steps]


if __name__ == "__main__":
    main(*sys.argv[1:])
