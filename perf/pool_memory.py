"""How much memory and time the jobs take that read a whole pool: building it, a subset, training and evaluation.

    python perf/pool_memory.py --n 3000
    python perf/pool_memory.py --n 1000000 --text

Writes `n` pictures of 200 KB each (PNG, 260 x 260 random pixels), or rows of text, as a user's Parquet files, and runs
the jobs of a study of them, each as a process of its own, with a toy model that trains one step on all of them.
Evaluation is stopped when its first responses are in the store. Prints for each job its peak of resident memory, which
includes what it maps of files at one time, and its seconds. With pictures the disk needs twice their size for a while;
the folder is removed at the end.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from reassess.sources.rows import SCHEMA

SIDE = 260
# Rows of one of the user's files, and of its row groups.
FILE_ROWS, GROUP_ROWS = 50_000, 100


def study(n: int, is_text: bool) -> dict[str, Any]:
    """Return a study of the pool."""
    source = {"kind": "parquet", "path": "data", "licence": "CC0"}
    modality = "text" if is_text else "visual"
    return {
        "name": "memory",
        "models": {"toy-xs": {"toy": {"size": "xs", "steps": 2}, "max_pixels": 1024, "max_prompt_length": 400}},
        "pools": {"big": {"sources": [source], "modality": modality}},
        "sizes": [n],
        "seeds": [1],
        "stages": {"sft": {"kind": "sft", "batch_size": 8, "args": {"max_steps": 1, "learning_rate": 1.0e-3}}},
        "recipes": {"base": [], "sft": ["sft"]},
        "benchmarks": {"big": {"sources": [source], "modality": modality}},
        "prompt": {"instruction": "Think, then answer."},
        "suites": {"main": {"benchmarks": ["big"], "decoding": {"max_tokens": 4}}},
        "evaluation": {"engine": "transformers"},
    }


def rows(n: int, is_text: bool) -> Iterator[dict[str, Any]]:
    """Yield example records, no two of which are alike."""
    pixels = bytearray(random.Random(0).randbytes(SIDE * (3 * SIDE + 1)))
    # Each row begins with how it is filtered: not at all.
    pixels[:: 3 * SIDE + 1] = bytes(SIDE)
    for i in range(n):
        pixels[1:9] = i.to_bytes(8, "little")
        images = [] if is_text else [{"bytes": png(pixels), "path": None}]
        question = f"Of {i} apples in {i % 97} boxes {i % 13} are red. Some are green, and some are not. "
        yield {
            **{"id": f"row-{i:08d}", "images": images, "question": f"{question}How many?", "options": []},
            **{"gold": str(i % 7), "kind": "numeric", "rationales": ["They are counted, one after the other. " * 3]},
            **{"source": "memory", "family": f"f{i % 5}", "difficulty": i % 3, "metadata": ""},
        }


def png(pixels: bytes | bytearray) -> bytes:
    """Return an uncompressed PNG file, written by hand: an encoder would take most of the time."""
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    chunks = {b"IHDR": header, b"IDAT": zlib.compress(pixels, 0), b"IEND": b""}
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks.items()
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def write(folder: Path, n: int, is_text: bool) -> None:
    """Write the rows as Parquet files, a row group at a time."""
    folder.mkdir()
    left = rows(n, is_text)
    for number in range(-(-n // FILE_ROWS)):
        file = folder / f"{number:03d}.parquet"
        with pq.ParquetWriter(file, SCHEMA, compression="none", use_dictionary=False, write_statistics=False) as writer:
            for _ in range(FILE_ROWS // GROUP_ROWS):
                if group := list(itertools.islice(left, GROUP_ROWS)):
                    writer.write_table(pa.Table.from_pylist(group, schema=SCHEMA))


def run(folder: Path, *command: str, until: str = "") -> tuple[int, float]:
    """Run a job; return its peak of resident memory in bytes and its seconds.

    Args:
        folder: where.
        command: arguments of `reassess`.
        until: a pattern of files; when one is there that has something in it, the job is asked to stop.
    """
    start = time.monotonic()
    line = [sys.executable, "-m", "reassess.cli", *command, "--study", "study.json"]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(line, cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    seconds = 0.0
    while True:
        done, status, used = os.wait4(process.pid, os.WNOHANG)
        if done:
            break
        if until and not seconds and any(file.stat().st_size for file in folder.glob(until)):
            seconds = time.monotonic() - start
            process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0 and not seconds:
        raise SystemExit(f"{' '.join(command)}: ended with status {process.returncode}\n{(folder / 'log').read_text()}")
    # Linux counts in units of 1024 bytes.
    return used.ru_maxrss * 1024, seconds or time.monotonic() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=3000, help="how many pictures, or rows of text")
    parser.add_argument("--text", action="store_true", help="rows of text, without pictures")
    parser.add_argument("--directory", type=Path, help="where to make the temporary folder")
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="memory-", dir=args.directory))
    try:
        write(folder / "data", args.n, args.text)
        size = sum(file.stat().st_size for file in (folder / "data").iterdir())
        print(f"{args.n} rows, {size / 1e9:.2f} GB; {os.cpu_count()} cores", flush=True)
        (folder / "study.json").write_text(json.dumps(study(args.n, args.text)), encoding="utf-8")
        run(folder, "model", "toy-xs")
        jobs = {
            "build": ["pool", "big"],
            "subset": ["subset", f"big/seed1/{args.n}"],
            "train": ["train", f"toy-xs/big/seed1/sft@{args.n}"],
            "evaluate": ["generate", "toy-xs/base/main"],
        }
        for name, command in jobs.items():
            if name == "evaluate":
                # The same examples, without making them twice.
                (folder / "results/benchmarks").mkdir()
                (folder / "results/pools/big").rename(folder / "results/benchmarks/big")
            peak, seconds = run(folder, *command, until="results/responses/*/*.jsonl" if name == "evaluate" else "")
            each = 1000 * seconds / args.n
            print(f"{name:10}{peak / 2**30:8.2f} GiB{seconds:10.1f} s{each:10.2f} s per 1,000", flush=True)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
