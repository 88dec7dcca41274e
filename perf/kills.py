"""Kills a study at random moments, starts it again until it is done, and compares its tables with those of a whole run.

    python perf/kills.py --kills 20

Each trial is a study of its own that starts from the data and the base model of the whole run, and is killed once, by
SIGKILL, at a moment drawn uniformly over the time that an unbroken run takes: Snakemake alone (its jobs go on without
it), one of its jobs alone, or everything at one blow, as in a power cut. The draw is seeded and printed, with what was
at work. Exit status 1 if any table differs.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from snake import ENVIRONMENT, command, tables  # noqa: E402

MODES = ("snakemake", "a job", "everything")
MOST_RUNS = 6


def write_study(file: Path) -> None:
    """Write the tiny study with one size, longer training, rollouts by vLLM and shorter evaluation."""
    study = yaml.safe_load((ROOT / "studies/tiny.yaml").read_text(encoding="utf-8"))
    study["sizes"] = [16]
    study["recipes"] = {"base": [], "sft": ["sft"], "grpo": ["grpo"]}
    del study["exclude"], study["suites"]["held-out"], study["stages"]["grpo"]["trajectory"]
    study["suites"]["main"]["benchmarks"] = ["toy-id"]
    del study["benchmarks"]["toy-text"]
    study["stages"]["sft"]["args"]["num_train_epochs"] = 20
    study["stages"]["grpo"] |= {"rollouts": {"engine": "vllm"}}
    study["stages"]["grpo"]["args"]["num_train_epochs"] = 2
    file.write_text(yaml.safe_dump(study), encoding="utf-8")


def start(study: Path, folder: Path) -> subprocess.Popen[bytes]:
    line = command(folder, study=study)
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(line, env=ENVIRONMENT, stdout=log, stderr=log, stdin=subprocess.DEVNULL)


def jobs(head: psutil.Process) -> list[psutil.Process]:
    """Return the commands of rules that are at work, not the shells around them."""
    found = []
    for process in head.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if any(part.endswith("/reassess") for part in process.cmdline()):
                found.append(process)
    return found


def kill(head: psutil.Process, mode: str, rng: random.Random) -> str:
    """Kill, and return what was at work."""
    at_work = jobs(head)
    names = []
    for job in at_work:
        with suppress(psutil.NoSuchProcess):
            line = job.cmdline()
            names.append(line[next(i for i, part in enumerate(line) if part.endswith("/reassess")) + 1])
    if mode == "a job" and at_work:
        victims = [rng.choice(at_work)]
    elif mode == "everything":
        victims = [head, *head.children(recursive=True)]
    else:
        victims = [head]
    for victim in victims:
        with suppress(psutil.NoSuchProcess):
            victim.send_signal(signal.SIGKILL)
    return ", ".join(names) or "between jobs"


def trial(study: Path, whole: Path, folder: Path, rng: random.Random, seconds: float) -> tuple[str, bool, bool]:
    """Run one study to its end.

    Returns:
        A line about it, whether it was killed before it had ended, and whether its tables are those of the whole run.
    """
    folder.mkdir()
    (folder / "results").mkdir()
    for name in ("pools", "benchmarks", "subsets", "models"):
        shutil.copytree(whole / "results" / name, folder / "results" / name)
    moment, mode = rng.uniform(1, seconds), rng.choice(MODES)
    process = start(study, folder)
    with suppress(subprocess.TimeoutExpired):
        process.wait(moment)
    killed = process.poll() is None
    at_work = kill(psutil.Process(process.pid), mode, rng) if killed else "the end"
    status, runs = process.wait(), 1
    while status != 0 and runs < MOST_RUNS:
        process = start(study, folder)
        status, runs = process.wait(), runs + 1
    equal = status == 0 and tables(folder) == tables(whole)
    verdict = "same tables" if equal else f"DIFFERENT (status {status}), see {folder}"
    return f"at {moment:6.1f} s  {mode:10}  {at_work:40}  {runs} runs  {verdict}", killed, equal


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="trials (default: 20)")
    parser.add_argument("--seed", type=int, default=0, help="seed of moments and victims (default: 0)")
    parser.add_argument("--directory", type=Path, help="where to work (default: a temporary directory)")
    args = parser.parse_args()
    base = args.directory or Path(tempfile.mkdtemp(prefix="kills-"))
    base.mkdir(parents=True, exist_ok=True)
    study, whole = base / "study.yaml", base / "whole"
    write_study(study)
    whole.mkdir()
    if start(study, whole).wait() != 0:
        print(f"the study does not run; see {whole / 'log'}", file=sys.stderr)
        return 1
    # Once more, without what trials are given: how long they would take.
    timed = base / "timed"
    began = time.monotonic()
    line, _, _ = trial(study, whole, timed, random.Random(0), 1e6)
    seconds = time.monotonic() - began
    print(f"unbroken run from data and base model: {seconds:.0f} s; {line}", flush=True)
    rng = random.Random(f"kills {args.seed}")
    equal = number = 0
    while number < args.kills:
        folder = base / f"trial{number + 1}"
        line, killed, same = trial(study, whole, folder, rng, seconds)
        # One that had ended before its moment was not killed: the machine was slower when the time was taken.
        number += killed
        equal += killed and same
        print(f"{number if killed else '-':>3}  {line}", flush=True)
        if same:
            shutil.rmtree(folder)
        elif not killed:
            return 1
    print(f"{equal} of {args.kills}: the tables of the whole run", flush=True)
    if equal == args.kills and args.directory is None:
        shutil.rmtree(base)
    return 0 if equal == args.kills else 1


if __name__ == "__main__":
    sys.exit(main())
