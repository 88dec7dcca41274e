"""What `reassess status` prints: cells against what is done, outdated, failed, running or missing."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from reassess.console.failures import FAILED, STOPPED, Last, last, last_step, unfinished
from reassess.console.text import aligned
from reassess.graph import Graph, Job, changes, report
from reassess.graph.cells import matches
from reassess.graph.job import name
from reassess.graph.state import States
from reassess.study.study import Filter
from reassess.work import slurm
from reassess.work.records import RecordError

STATES = ("done", "outdated", "failed", "stopped", "running", "waiting", "answered", "missing")
LEGEND = {
    "stopped": "interrupted after the step that is named; the same command continues",
    "waiting": "for its turn, or in the queue",
    "answered": "responses are there, scores are not; with numbers, of so many of the suite's benchmarks",
}
_EVERY = Filter()


def matrix(graph: Graph, chosen: Filter = _EVERY, states: Collection[str] = ()) -> str:
    """Return one line per cell: training, each suite's evaluation, each measure, and the reason of each failure below.

    Args:
        graph: the study.
        chosen: cells outside of it are left out; the base model has no pool, size or seed to match.
        states: of `STATES`; cells in none of them are left out. A cell is done where all of it is.

    Raises:
        RecordError: a record is broken.
    """
    suites, measures = list(graph.study.suites), list(graph.study.measures)
    cells = [cell for cell in graph.cells if matches(chosen, cell)]
    look = _Look(graph)
    rows, done = [], 0
    for cell in cells:
        row = [look.at(graph.checkpoint(cell.key)), *(look.evaluation(cell.key, suite) for suite in suites)]
        row += [look.measure(cell.key, measure) for measure in measures]
        words = {state.split()[0] for state in row if state}
        is_done = words == {"done"}
        done += is_done
        if not states or (is_done and "done" in states) or words & (set(states) - {"done"}):
            rows.append([cell.key, *row])
    lines = aligned([["cell", "checkpoint", *suites, *measures], *rows]) if rows else []
    which = "cells" if chosen == _EVERY else "chosen cells"
    shown = f"; {len(rows)} {', '.join(states)}" if states else ""
    lines += ["", f"{done} of {len(cells)} {which} are done{shown}"]
    shown_states = {state.split()[0] for row in rows for state in row[1:] if state}
    lines += [f"{state}: {text}" for state, text in LEGEND.items() if state in shown_states]
    lines += mismatches(graph, look.states) if chosen == _EVERY or "outdated" in shown_states else []
    if chosen == _EVERY:
        shared = (job for job in graph.jobs.values() if job.rule in ("pool", "benchmark", "examples", "subset"))
        look.found |= {job.name: item for job in shared if (item := unfinished(job)) is not None}
    return "\n".join([*lines, *(item.line for item in look.found.values())]).lstrip("\n")


def mismatches(graph: Graph, states: States) -> list[str]:
    """Return what does not match the study in its results, a line per change; none where all does."""
    try:
        changed = [f"outdated: {line}" for line in changes.outdated(graph, states)]
        followed = sum(states.of(job) == "outdated" for job in graph.jobs.values() if job.rule not in report.KINDS)
        followed -= len(changes.changed(graph, states))
        if followed:
            what = "results that were" if followed > 1 else "result that was"
            changed.append(f"outdated: {followed} {what} made from outdated or missing ones")
        return changed + changes.consequences(graph, states)
    except RecordError as error:
        return [str(error)]


class _Look:
    """One look at a study's jobs: records, attempts and Slurm's queue.

    Attributes:
        states: what the records say.
        found: the last attempts at jobs that have failed or were stopped, by job.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.states = States(graph)
        self._queued: Mapping[str, str] = {job.comment: job.state for job in slurm.queue()}
        self.found: dict[str, Last] = {}

    def evaluation(self, cell: str, suite: str) -> str:
        """Return the state of a cell's evaluation, nothing where it has none."""
        job = self._graph.jobs.get(name("generate", f"{cell}/{suite}"))
        if job is None:
            return ""
        answered = self.at(job)
        if answered == "partial":
            wanted = self._graph.study.suites[suite].benchmarks
            there = (self.states.record(job) or {}).get("benchmarks") or {}
            return f"answered {sum(name in there for name in wanted)} of {len(wanted)}"
        if answered != "done":
            return answered
        scored = self.at(self._graph["score", job.key])
        return "answered" if scored == "missing" else scored

    def measure(self, cell: str, measure: str) -> str:
        """Return the state of a measure of a cell, nothing where it is not taken."""
        job = self._graph.jobs.get(name("measure", f"{cell}/{measure}"))
        return "" if job is None else self.at(job)

    def at(self, job: Job) -> str:
        """Return a state that a record alone gives, or what the last attempt and Slurm say where it is not done."""
        state = self.states.of(job)
        if state == "done":
            return state
        attempt = last(job)
        step = 0
        if job.rule == "train":
            # An attempt that came to its end says where it stands; of one that works, the log may be behind.
            ended = attempt.attempt.end_step if attempt is not None and not attempt.attempt.is_success else None
            begun = attempt.attempt.start_step if attempt is not None else 0
            step = ended or max(last_step(job), begun)
        at = f" (step {step})" if step else ""
        if attempt is not None and attempt.why == "running":
            return f"running{at}"
        in_queue = self._queued.get(comment(job))
        if in_queue == "PENDING" or (in_queue is None and attempt is not None and attempt.why == "waiting"):
            return "waiting"
        if in_queue == "RUNNING":
            # Its command is about to start.
            return f"running{at}"
        # A failed attempt leaves no result: what is there, is older.
        if state == "missing" and attempt is not None and attempt.why in (*FAILED, *STOPPED):
            self.found[job.name] = attempt
            return "failed" if attempt.why in FAILED else f"stopped{at}"
        return f"stopped{at}" if state == "missing" and step else state


def comment(job: Job) -> str:
    """Return what the executor writes on a Slurm job: its rule and its wildcard, the key."""
    return f"rule_{job.rule}_wildcards_{job.key.replace('/', '_')}"
