"""What each run of RL drew, used and threw away, where it came to, and what that cost: DAPO beside GRPO."""

from __future__ import annotations

from statistics import fmean
from typing import Any

from reassess.analyse.collect import Collected
from reassess.analyse.estimates import Estimates, methods
from reassess.analyse.layout import Block, Entry, Table, accuracy, number
from reassess.analyse.runs import Group, lacking, run_groups, title
from reassess.analyse.statistics import Estimate
from reassess.analyse.tables.shared import Built, frame, mean, provenance
from reassess.graph import Run

# Of the CSV, with the heading and the decimals that the table has for it; those without a heading are in the CSV alone.
_COLUMNS: dict[str, tuple[str, int]] = {
    "steps_done": ("Steps", 0),
    "prompts_drawn": ("Prompts drawn", 0),
    "prompts_used": ("used", 0),
    "prompts_thrown_away": ("thrown away", 0),
    "groups_filled": ("", 0),
    "data_passes": ("Data passes", 2),
    "discarded_tokens": ("Tokens discarded", 0),
    "reward": ("Reward", 3),
    "accuracy_drawn": ("Accuracy drawn", 3),
}
_COSTS = {"seconds": "Time (s)", "gpu_seconds": "GPU time (s)", "cpu_seconds": "CPU time (s)"}
_ESTIMATE = ("accuracy", "accuracy_lo", "accuracy_hi")
# The reward at the end of a run is that of this share of its logged lines, of which there are 25 by default.
_END = 0.1
_NOTES = [
    "Used: prompts whose completions were learnt from; without dynamic sampling that is every prompt drawn. Thrown "
    "away: all others, those among them that only filled a batch. Data passes: prompts drawn by training examples. "
    "Tokens discarded: of completions that did not reach the loss.",
    "Reward: of the completions that reached the loss. Accuracy drawn: the accuracy reward of all that was drawn, by "
    "which runs with and without dynamic sampling can be compared. Both are means over the last tenth of the logged "
    "lines.",
    "Costs are of the stage alone. Time: wall-clock time of training. GPU time: seconds x GPUs of all attempts, those "
    "that failed included.",
]


def build(estimates: Estimates) -> Built:
    """Return what each run of RL drew, learnt from and cost, its rewards at the end and its accuracy, over seeds."""
    collected = estimates.collected
    benchmarks = estimates.of(estimates.lead)
    found = [group for group in run_groups(collected) if collected.study.all_stages[group.runs[0].stage].REWARDED]
    shown = {name: digits for name, (heading, digits) in _COLUMNS.items() if heading}
    table = Table(
        "sampling",
        "Sampling, rewards, accuracy and costs of reinforcement learning, mean over seeds.",
        [
            *("Lineage", *(_COLUMNS[name][0] for name in shown)),
            *(f"{estimates.lead.capitalize()} accuracy", *_COSTS.values(), "Seeds"),
        ],
    )
    records = []
    blocks: dict[str, list[list[Entry]]] = {}
    for group in found:
        there = [run for run in group.runs if run.key in collected.runs]
        facts = [_facts(collected, run) for run in there]
        means = {name: mean([item[name] for item in facts]) for name in (*_COLUMNS, *_COSTS)}
        held = _accuracy(estimates, group, benchmarks)
        row = [Entry(title(collected, group), mark=table.mark(lacking(collected, group)))]
        row += [number(means[name], digits) for name, digits in shown.items()]
        row += [accuracy(held), *(number(means[name]) for name in _COSTS)]
        blocks.setdefault(group.model, []).append([*row, Entry(f"{len(there)} of {len(group.runs)}")])
        who = {"model": group.model, "pool": group.pool, "lineage": group.name, "seeds": len(there)}
        bounds = (None, None, None) if held is None else (held.mean, held.lo, held.hi)
        records.append({**who, **means, **dict(zip(_ESTIMATE, bounds, strict=True))})
    table.blocks = [Block(model, rows) for model, rows in blocks.items()]
    table.notes = [*_NOTES, provenance(estimates, benchmarks)]
    if not found:
        table.notes.insert(0, "No stage of this study learns from rewards.")
    return table, frame(records, ["model", "pool", "lineage", "seeds", *_COLUMNS, *_ESTIMATE, *_COSTS])


def _facts(collected: Collected, run: Run) -> dict[str, Any]:
    """Return what is known of a run, None for what is not."""
    record = collected.runs[run.key]
    sampled = record.get("rollouts") or {}
    drawn, used = sampled.get("prompts_drawn"), sampled.get("groups_kept")
    # A resumed run logs some steps twice; the last line is what happened to the weights that were kept.
    lines = list({line["step"]: line for line in collected.metrics.get(run.key, ()) if "reward" in line}.values())
    last = lines[-max(1, round(_END * len(lines))) :]
    judged = [line.get("resample/accuracy_drawn", line.get("rewards/accuracy/mean")) for line in last]
    return {
        **{name: record.get(name) for name in ("steps_done", "seconds", "cpu_seconds")},
        **{name: sampled.get(name) for name in ("groups_filled", "data_passes", "discarded_tokens")},
        "prompts_drawn": drawn,
        "prompts_used": used,
        "prompts_thrown_away": None if drawn is None or used is None else drawn - used,
        "reward": _mean_of([line["reward"] for line in last]),
        "accuracy_drawn": _mean_of(judged),
        "gpu_seconds": (record.get("costs") or {}).get("gpu_seconds"),
    }


def _mean_of(logged: list[float | None]) -> float | None:
    """Return the mean of logged values; a step in which no completion was judged has none."""
    known = [value for value in logged if value is not None]
    return fmean(known) if known else None


def _accuracy(estimates: Estimates, group: Group, benchmarks: list[str]) -> Estimate | None:
    """Return the accuracy of the models that a group of runs made, None where no suite was asked of them."""
    keys = {run.key for run in group.runs}
    method = next((item for item in methods(estimates.graph, group.model) if set(item.keys) == keys), None)
    return None if method is None else estimates.mean(method, benchmarks)
