"""How much memory and time the jobs take that read many long responses: writing them out of the store, scoring, and
making a set of examples of them.

    python perf/response_memory.py --n 20000 --samples 4 --characters 2000
    python perf/response_memory.py --n 20000 --samples 4 --characters 16000

Makes a benchmark of `n` questions, and fills the store of a toy model with `samples` responses to each, as a killed
evaluation would leave it that had answered all of them: `generate` then starts no engine. Runs `generate` and `score`,
and the same questions as a pool of which traces are distilled, as processes of their own, and prints their peaks of
resident memory and their seconds. The folder, about four times the size of the responses, is removed at the end.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

from pool_memory import run, study, write

from reassess import engines, graph, paths
from reassess.data.asked import questions
from reassess.engines.base import Response
from reassess.evaluate import generate
from reassess.evaluate.store import Store
from reassess.models.reader import Reader
from reassess.study.study import Study
from reassess.work.records import file_sha256

CELL = "toy-xs/base"
# Responses that are appended to the store at a time.
APPENDED = 256
# Words of responses are drawn from so many, so that a response is compressed about as well as English.
WORDS = 5000


def asked_study(n: int, samples: int) -> dict[str, Any]:
    """Return a study that asks every question `samples` times."""
    found = study(n, is_text=True)
    decoding = {"n": samples, "temperature": 1.0, "max_tokens": 4}
    found["suites"] = {"main": {"benchmarks": ["big"], "decoding": decoding}}
    # The same prompts, and so the same responses.
    drawn = {"samples": samples, "temperature": 1.0, "max_tokens": 4}
    found["examples"] = {"traces": {"kind": "distill", "model": "toy-xs", "on": "big", "keep": "all", **drawn}}
    found["stages"]["sft"]["on"] = "traces"
    found["other_data"] = ["sft"]
    return found


def said(number: int, characters: int, words: list[str]) -> str:
    """Return a response of about so many characters, unlike any other, with an answer in it."""
    drawn = " ".join(random.Random(number).choices(words, k=characters // 6))
    return f"<think>{drawn}</think><answer>{number % 7}</answer>"


def fill(characters: int) -> None:
    """Store a response to everything that the study in the working directory asks."""
    study = graph.load(Path("study.json"))
    job = study["generate", f"{CELL}/main"]
    found = generate.checkpoints(study, job)
    parsed: Study = study.study
    info = engines.choose(parsed, "toy-xs", 0)
    decoding = parsed.suites["main"].decoding
    reader = Reader.of(found[0].path, parsed.models["toy-xs"], parsed.prompt)
    asking = generate._Asking(parsed, info, decoding, found)
    wanted = generate._read(asking, reader, questions(study.sheet(job), parsed.seed), study.cell(CELL).think).rows
    words = [hashlib.sha256(bytes([i % 256, i // 256])).hexdigest()[: 3 + i % 5] for i in range(WORDS)]
    with Store(paths.store(found[0].fingerprint)) as store:
        for start in range(0, len(wanted), APPENDED):
            some = enumerate(wanted[start : start + APPENDED], start)
            store.append(
                {row.request.key: Response(said(i, characters, words), "stop", characters // 4, 90) for i, row in some}
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=20_000, help="questions")
    parser.add_argument("--samples", type=int, default=4, help="responses to each")
    parser.add_argument("--characters", type=int, default=2000, help="characters of a response")
    parser.add_argument("--directory", type=Path, help="where to make the temporary folder")
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="responses-", dir=args.directory))
    back = Path.cwd()
    try:
        write(folder / "data", args.n, is_text=True)
        (folder / "study.json").write_text(json.dumps(asked_study(args.n, args.samples)), encoding="utf-8")
        run(folder, "model", "toy-xs")
        run(folder, "benchmark", "big")
        os.chdir(folder)
        # What this process has in memory would count as the peak of those that it starts.
        filling = multiprocessing.get_context("spawn").Process(target=fill, args=(args.characters,))
        filling.start()
        filling.join()
        size = sum(file.stat().st_size for file in folder.glob("results/responses/*/*.jsonl"))
        print(f"{args.n} x {args.samples} responses, {size / 1e9:.2f} GB; {os.cpu_count()} cores", flush=True)
        run(folder, "pool", "big")
        asked = f"{CELL}/main"
        for name, key in (("generate", asked), ("score", asked), ("generate", "+traces"), ("examples", "traces")):
            peak, seconds = run(folder, name, key)
            print(f"{name:10}{key:18}{peak / 2**30:8.2f} GiB{seconds:10.1f} s", flush=True)
        scored = paths.evaluation(f"{CELL}/main", "scores.parquet")
        print(f"scores.parquet has SHA-256 {file_sha256(scored)}")
    finally:
        os.chdir(back)
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
