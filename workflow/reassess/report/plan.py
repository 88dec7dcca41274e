"""What `reassess plan` prints: what is left of a study, how long its longest chain is, and what it will cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from reassess import grid, identity, paths
from reassess.report import status
from reassess.report.durations import SHARE_OF_LIMIT, Duration, Durations, Source
from reassess.report.jobs import Job, jobs
from reassess.report.schedule import critical_path, wall
from reassess.study import Study

SLOTS = (1, 2, 4, 8, 16)
# Jobs of a critical path that are printed from either end; chains are short, but a recipe may be long.
_SHOWN = 12
# A share of the wall time below which an advice would be noise.
_WORTH = 0.01


def overview(study: Study, slots: int | None = None) -> str:
    """Return the plan of what is left of a study.

    Args:
        study: the study.
        slots: jobs at a time, beside the usual numbers; the advice is for it, and else for any number.
    """
    graph = jobs(study)
    todo = left(study, graph)
    lines = [f"study {study.name}: {len(todo)} of {len(graph)} jobs are left"]
    if not todo:
        return "\n".join([*lines, "nothing to do: every result is there and current"])
    durations = Durations(study)
    expected = {job: durations.of(graph[job]) for job in todo}
    seconds = {job: found.seconds for job, found in expected.items()}
    needs = {job: [item for item in graph[job].needs if item in expected] for job in todo}
    chain = critical_path(needs, seconds)
    lines += ["", *_costs(graph, expected)]
    lines += ["", *_chain(chain, expected)]
    lines += ["", *_walls(needs, seconds, slots)]
    lines += ["", *_advice(graph, needs, seconds, slots), "", *_legend(expected)]
    return "\n".join(lines)


def left(study: Study, graph: Mapping[str, Job]) -> list[str]:
    """Return the jobs that a workflow would run now, by the records on disk.

    What is missing or outdated runs, and all that follows from it. `snakemake -n` is exact; this needs no Snakemake.
    """
    found: set[str] = set()
    for job in graph.values():
        if _state(study, job) != "done" or not found.isdisjoint(job.needs):
            found.add(job.name)
    return [job for job in graph if job in found]


def _state(study: Study, job: Job) -> str:
    """Return `done`, `outdated` or `missing`."""
    if job.command == "base-model":
        return status.base_state(study, job.key)
    if job.command == "train":
        return status.run_state(study, _run(job.key))
    if job.command in ("generate", "score"):
        cell, _, suite = job.key.rpartition("/")
        model = grid.model_of(cell)
        trained = status.base_state(study, model) if grid.is_base(cell) else status.run_state(study, _run(cell))
        answered = status.responses_state(study, cell, suite, trained)
        return answered if job.command == "generate" else status.scores_state(study, cell, suite, answered)
    if job.command == "tables":
        return status.report_state(study, "tables")
    if job.command == "figures":
        return status.report_state(study, "figures")
    if job.command == "pool":
        return status.examples_state(identity.pool_spec(study, job.key), paths.pool(job.key))
    if job.command == "benchmark":
        return status.examples_state(identity.benchmark_spec(study, job.key), paths.benchmark(job.key))
    pool, seed, size = job.key.rsplit("/", 2)
    return status.subset_state(pool, int(seed.removeprefix("seed")), int(size))


def _run(cell: str) -> grid.Run:
    model, pool, seed, lineage = cell.split("/", 3)
    return grid.Run(model, pool, int(seed.removeprefix("seed")), lineage)


def _costs(graph: Mapping[str, Job], expected: Mapping[str, Duration]) -> list[str]:
    kinds = list(dict.fromkeys(graph[job].kind for job in expected))
    rows = [["kind of job", "left", "CPU hours", "GPU hours", "one takes"]]
    for kind in [*kinds, ""]:
        these = {job: item for job, item in expected.items() if kind in ("", graph[job].kind)}
        cpu = sum(item.cpu_seconds for item in these.values()) / 3600
        gpu = sum(item.seconds * graph[job].gpus for job, item in these.items()) / 3600
        mean = clock(sum(item.seconds for item in these.values()) / len(these))
        rows.append([kind or "all", str(len(these)), _hours(cpu), _hours(gpu), mean if kind else ""])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            [f"  {row[0]:{widths[0]}}", *(f"{text:>{width}}" for text, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]


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


def _walls(needs: Mapping[str, list[str]], seconds: Mapping[str, float], slots: int | None) -> list[str]:
    numbers = sorted({*SLOTS, *((slots,) if slots else ())})
    ends = [clock(wall(needs, seconds, n)) for n in numbers]
    widths = [max(len(str(n)), len(end)) for n, end in zip(numbers, ends, strict=True)]
    return [
        "jobs at a time  " + "  ".join(str(n).rjust(width) for n, width in zip(numbers, widths, strict=True)),
        "done after      " + "  ".join(end.rjust(width) for end, width in zip(ends, widths, strict=True)),
    ]


def _advice(
    graph: Mapping[str, Job], needs: Mapping[str, list[str]], seconds: Mapping[str, float], slots: int | None
) -> list[str]:
    """Return which kind of job to shorten: the one that ends the study soonest when it takes half of its time."""
    n = slots or len(needs)
    now = wall(needs, seconds, n)
    halved = {}
    for kind in dict.fromkeys(graph[job].kind for job in needs):
        less = {job: value / 2 if graph[job].kind == kind else value for job, value in seconds.items()}
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
