"""Compares the judge with three verifiers that people use, on labelled cases: agreement, errors and time per case.

    python perf/judge.py [tests/judge/cases/*.jsonl] [--errors]

The verifiers judge the same cases in turn, in one process on one core; the times are of that run. A case has `kind`,
`response`, `gold`, `options` and `correct` (true, false, or null where the gold is no answer).
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from math_verify import parse, verify

from reassess.judge import Case as Asked
from reassess.judge import judge, judge_many

CASES = Path(__file__).resolve().parent.parent / "tests" / "judge" / "cases"
Case = dict[str, Any]
Verifier = Callable[[Case], bool | None]
KINDS = ("math", "numeric", "mcq", "text")


def ours(case: Case) -> bool | None:
    return judge(case["response"], case["gold"], case["kind"], case["options"]).correct


def plain_math_verify(case: Case) -> bool:
    """As its README has it: both sides as they come."""
    return verify(parse(case["gold"]), parse(case["response"]))


def trl_accuracy_reward(case: Case) -> bool | None:
    from trl.rewards import accuracy_reward

    reward = accuracy_reward([[{"role": "assistant", "content": case["response"]}]], [case["gold"]])[0]
    return None if reward is None else reward > 0.5


def tag_stripping_wrapper(case: Case) -> bool:
    """The ten lines that people write: the last <answer>, then math-verify, then equal text."""
    found = re.findall(r"<answer>(.*?)</answer>", case["response"], re.DOTALL)
    answer = found[-1].strip() if found else case["response"].strip()
    gold = case["gold"].strip()
    if verify(parse(f"${gold}$"), parse(f"${answer}$")) or verify(parse(gold), parse(answer)):
        return True
    return answer.strip(" .").casefold() == gold.strip(" .").casefold()


VERIFIERS: dict[str, Verifier] = {
    "reassess.judge": ours,
    "math-verify": plain_math_verify,
    "TRL accuracy_reward": trl_accuracy_reward,
    "tags + math-verify + text": tag_stripping_wrapper,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "files", nargs="*", type=Path, default=sorted(CASES.glob("*.jsonl")), help="JSON lines of cases"
    )
    parser.add_argument("--workers", type=int, default=2, help="processes to time judge_many with (default: 2)")
    parser.add_argument("--batch", type=int, metavar="N", help="time judge_many in N processes, and nothing else")
    parser.add_argument("--errors", action="store_true", help="print every case that reassess.judge gets wrong")
    args = parser.parse_args()
    logging.disable(logging.CRITICAL)
    cases = [json.loads(line) for file in args.files for line in file.read_text(encoding="utf-8").splitlines() if line]
    if args.batch:
        batch(cases, args.batch)
        return
    # What starts once in a run (SymPy's process, imports) is no cost of a case.
    warm_up = {"kind": "math", "response": "$x+x$", "gold": "$2x$", "options": None}
    counts = Counter(case["kind"] for case in cases)
    columns = [f"{kind} ({counts[kind]})" for kind in KINDS]
    print(f"{len(cases)} cases\n")
    print(
        "| Verifier | "
        + " | ".join(columns)
        + " | all | false positives | false negatives | median | mean | p99 | max |"
    )
    print("| --- |" + " ---: |" * (len(columns) + 7))
    for name, verifier in VERIFIERS.items():
        verifier(warm_up)
        verdicts, seconds = [], []
        for case in cases:
            start = time.perf_counter()
            verdicts.append(verifier(case))
            seconds.append(time.perf_counter() - start)
        print(row(name, cases, verdicts, seconds), flush=True)
        if name == "reassess.judge" and args.errors:
            errors = [pair for pair in zip(cases, verdicts, strict=True) if pair[0]["correct"] != pair[1]]
            for case, verdict in errors:
                print(json.dumps({**case, "verdict": verdict}, ensure_ascii=False))
    print(flush=True)
    # In processes of their own: this one has its caches full.
    for workers in (1, args.workers):
        command = [sys.executable, __file__, "--batch", str(workers), *map(str, args.files)]
        subprocess.run(command, check=True)


def batch(cases: list[Case], workers: int) -> None:
    """Times `judge_many` in `workers` processes, their start and that of their symbolic processes included."""
    asked = [
        Asked(case["response"], case["gold"], case["kind"], tuple(case["options"]) if case["options"] else None)
        for case in cases
    ]
    start = time.perf_counter()
    judge_many(asked, workers)
    print(f"judge_many, {len(asked)} cases, {workers} process(es): {time.perf_counter() - start:.1f} s", flush=True)


def row(name: str, cases: list[Case], verdicts: list[bool | None], seconds: list[float]) -> str:
    # "Not judged" is no reward, so for a baseline that cannot say it (or says it too often) it agrees with "wrong".
    agree = [(verdict is True) == (case["correct"] is True) for case, verdict in zip(cases, verdicts, strict=True)]
    if name == "reassess.judge":
        agree = [verdict == case["correct"] for case, verdict in zip(cases, verdicts, strict=True)]
    entries = []
    for kind in (*KINDS, None):
        found = [good for good, case in zip(agree, cases, strict=True) if kind in (case["kind"], None)]
        entries.append(f"{100 * statistics.fmean(found):.1f}%" if found else "-")
    paid = [(case["correct"], verdict) for case, verdict in zip(cases, verdicts, strict=True)]
    entries.append(str(sum(verdict is True and correct is not True for correct, verdict in paid)))
    entries.append(str(sum(verdict is not True and correct is True for correct, verdict in paid)))
    quantiles = statistics.quantiles(seconds, n=100)
    times = (statistics.median(seconds), statistics.fmean(seconds), quantiles[98], max(seconds))
    entries += [f"{1000 * value:.2f} ms" for value in times]
    return f"| {name} | " + " | ".join(entries) + " |"


if __name__ == "__main__":
    main()
