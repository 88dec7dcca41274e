"""What `reassess plan` prints: what is left of a study, how long its longest chain is, and what it will cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from reassess.console.durations import SHARE_OF_LIMIT, Duration, Durations, Source
from reassess.console.schedule import critical_path, wall
from reassess.console.status import mismatches
from reassess.console.workload import ASKING, Workload
from reassess.graph import Graph, resources
from reassess.graph.state import States

# Jobs of a critical path that are printed from either end; chains are short, but a recipe may be long.
_SHOWN = 12
# A share of the wall time below which an advice would be noise.
_WORTH = 0.01
# Where a guess would be all that there is.
_NO_HOURS = "hours are not known: no such job has run here yet; they follow from the first that do"


def overview(graph: Graph, slots: int | None = None) -> str:
    """Return the plan of what is left of a study.

    Args:
        graph: the study.
        slots: jobs at a time; any number by default.
    """
    states = States(graph)
    todo = left(graph, states)
    lines = [f"study {graph.study.name}: {len(todo)} of {len(graph.jobs)} jobs are left"]
    if not todo:
        return "\n".join([*lines, "nothing to do: every result is there and current"])
    changed = mismatches(graph, states)
    durations = Durations(graph)
    expected = {job: durations.of(graph.jobs[job]) for job in todo}
    if _is_unmeasured(graph, expected):
        lines += ["", *changed] if changed else []
        return "\n".join([*lines, "", *Workload(graph, todo).lines(), _NO_HOURS])
    seconds = {job: found.seconds for job, found in expected.items()}
    needs = {job: [item for item in graph.jobs[job].needs if item in expected] for job in todo}
    chain = critical_path(needs, seconds)
    if changed:
        lines += ["", *changed]
    lines += ["", *_costs(graph, expected)]
    lines += ["", *_chain(chain, expected)]
    if slots:
        lines.append(f"with {slots} jobs at a time: {clock(wall(needs, seconds, slots))}")
    lines += ["", *_advice(graph, needs, seconds, slots), "", *_legend(expected)]
    return "\n".join(lines)


def left(graph: Graph, states: States) -> list[str]:
    """Return the jobs that a workflow would run now, by the records on disk.

    What is missing or outdated runs, and all that follows from it. `snakemake -n` is exact; this needs no Snakemake.
    """
    found: set[str] = set()
    for job in graph.jobs.values():
        if states.of(job) != "done" or not found.isdisjoint(job.needs):
            found.add(job.name)
    return [job for job in graph.jobs if job in found]


def _is_unmeasured(graph: Graph, expected: Mapping[str, Duration]) -> bool:
    """Return whether models are asked or trained, and how long that takes is a guess for every job."""
    sources = [item.source for job, item in expected.items() if graph.jobs[job].rule in ASKING]
    return bool(sources) and set(sources) == {"guess"}


def _costs(graph: Graph, expected: Mapping[str, Duration]) -> list[str]:
    kinds = list(dict.fromkeys(graph.jobs[job].kind for job in expected))
    rows = [["kind of job", "left", "CPU hours", "GPU hours", "one takes"]]
    for kind in [*kinds, ""]:
        these = {job: item for job, item in expected.items() if kind in ("", graph.jobs[job].kind)}
        cpu = sum(item.cpu_seconds for item in these.values()) / 3600
        gpu = sum(item.seconds * _gpus(graph, job) for job, item in these.items()) / 3600
        mean = clock(sum(item.seconds for item in these.values()) / len(these))
        rows.append([kind or "all", str(len(these)), _hours(cpu), _hours(gpu), mean if kind else ""])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            [f"  {row[0]:{widths[0]}}", *(f"{text:>{width}}" for text, width in zip(row[1:], widths[1:], strict=True))]
        ).rstrip()
        for row in rows
    ]


def _gpus(graph: Graph, job: str) -> int:
    """Return the GPUs that a job asks for: those alone that run a model ask for any."""
    found = graph.jobs[job]
    return resources.of(graph.study, found).gpu if found.rule in ("model", "train", "generate", "measure") else 0


def _hours(value: float) -> str:
    return "-" if value == 0 else f"{value:,.2f}" if value >= 0.01 else "<0.01"


def _chain(chain: list[str], expected: Mapping[str, Duration]) -> list[str]:
    length = sum(expected[job].seconds for job in chain)
    lines = [f"critical path: {clock(length)}, however many jobs run at a time"]
    rows = [
        f"  {clock(expected[job].seconds):>8}  {expected[job].source:8}  {job.removesuffix(' all')}" for job in chain
    ]
    if len(rows) > 2 * _SHOWN:
        rows[_SHOWN:-_SHOWN] = [f"  and {len(rows) - 2 * _SHOWN} more jobs"]
    return lines + rows


def _advice(graph: Graph, needs: Mapping[str, list[str]], seconds: Mapping[str, float], slots: int | None) -> list[str]:
    """Return which kind of job to shorten: the one that ends the study soonest when it takes half of its time."""
    n = slots or len(needs)
    now = wall(needs, seconds, n)
    halved = {}
    for kind in dict.fromkeys(graph.jobs[job].kind for job in needs):
        less = {job: value / 2 if graph.jobs[job].kind == kind else value for job, value in seconds.items()}
        halved[kind] = wall(needs, less, n)
    best = min(halved, key=lambda kind: halved[kind])
    where = f"with {n} jobs at a time" if slots else "with as many jobs at a time as there are"
    if now - halved[best] < _WORTH * now:
        return [f"no one kind of job decides when the study ends ({where})"]
    return [
        f"to end sooner, shorten `{best}`: in half of its time the study would end after {clock(halved[best])} "
        f"instead of {clock(now)} ({where})"
    ]


def _legend(expected: Mapping[str, Duration]) -> list[str]:
    counts = Counter(item.source for item in expected.values())
    said: dict[Source, str] = {
        "measured": "this job's own last result, on whatever machine and under whatever load that was",
        "like": "the mean of such jobs on the same model, else on any, scaled by training examples",
        "guess": f"none has run here: {SHARE_OF_LIMIT:.0%} of the time limit for a real model, a constant for the rest",
    }
    lines = [f"{source + ':':9} {counts[source]:4} jobs; {text}" for source, text in said.items() if counts[source]]
    return [*lines, "every job counts as one, whatever it asks for; time in a queue is not counted"]


def clock(seconds: float) -> str:
    """Return a length of time for people: `42s`, `3m05s`, `2h10m`, `3d04h`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    for unit, below, size, smaller, part in (
        ("m", 3600, 60, "s", 1),
        ("h", 48 * 3600, 3600, "m", 60),
        ("d", None, 86400, "h", 3600),
    ):
        if below is None or whole < below:
            return f"{whole // size}{unit}{whole % size // part:02d}{smaller}"
    raise AssertionError
