"""Run by test_generate.py in a process of its own: one vLLM engine answers jobs on several checkpoints.

vLLM binds threads and replaces functions of torch in its process, which other tests should not inherit.
"""

from __future__ import annotations

import json
import pickle
import sys
import time
from pathlib import Path

from reassess import engines
from reassess.engines import vllm
from reassess.engines.base import EngineInfo


def main(job_file: str, out_file: str) -> None:
    """Answer the pickled jobs `[(directory, requests, decoding)]` in order; write responses and seconds as JSON."""
    setting, jobs = pickle.loads(Path(job_file).read_bytes())
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
    Path(out_file).write_text(json.dumps({"answers": answers, "seconds": seconds, "reasons": reasons}))


if __name__ == "__main__":
    main(*sys.argv[1:])
