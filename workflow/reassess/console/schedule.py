"""The longest chain of a graph of jobs, and how long the graph takes with so many jobs at a time."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence


def critical_path(needs: Mapping[str, Sequence[str]], seconds: Mapping[str, float]) -> list[str]:
    """Return the chain of jobs that takes longest, first job first.

    Args:
        needs: by job, the jobs that it waits for; each job stands after those that it needs.
        seconds: how long each job takes.
    """
    ends: dict[str, float] = {}
    before: dict[str, str | None] = {}
    for job, needed in needs.items():
        last = max(needed, key=lambda name: ends[name], default=None)
        before[job] = last
        ends[job] = seconds[job] + (ends[last] if last is not None else 0.0)
    chain: list[str] = []
    at = max(ends, key=lambda name: ends[name], default=None)
    while at is not None:
        chain.append(at)
        at = before[at]
    return chain[::-1]


def wall(needs: Mapping[str, Sequence[str]], seconds: Mapping[str, float], slots: int) -> float:
    """Return when all jobs are done where at most `slots` run at a time.

    Of the jobs that can start, the one with the longest chain behind it starts first. Args as in `critical_path`.
    """
    tails: dict[str, float] = {}
    after: dict[str, list[str]] = {job: [] for job in needs}
    for job, needed in needs.items():
        for name in needed:
            after[name].append(job)
    for job in reversed(list(needs)):
        tails[job] = seconds[job] + max((tails[name] for name in after[job]), default=0.0)
    waits = {job: len(set(needed)) for job, needed in needs.items()}
    # The place in the graph makes the order of equals the same every time.
    order = {job: i for i, job in enumerate(needs)}
    ready = [(-tails[job], order[job], job) for job, count in waits.items() if count == 0]
    heapq.heapify(ready)
    running: list[tuple[float, int, str]] = []
    now = 0.0
    while ready or running:
        while ready and len(running) < slots:
            _, place, job = heapq.heappop(ready)
            heapq.heappush(running, (now + seconds[job], place, job))
        now, _, done = heapq.heappop(running)
        for job in dict.fromkeys(after[done]):
            waits[job] -= 1
            if waits[job] == 0:
                heapq.heappush(ready, (-tails[job], order[job], job))
    return now
