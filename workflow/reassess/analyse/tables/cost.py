"""What training cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from reassess.analyse.collect import Collected
from reassess.analyse.estimates import Estimates
from reassess.analyse.layout import DASH, Block, Entry, Table, number
from reassess.analyse.runs import Group, chain, run_groups, title
from reassess.analyse.tables.shared import Built, frame
from reassess.graph import Run

_COSTS = {
    "samples": "Samples",
    "tokens": "Tokens",
    "flops": "FLOPs",
    "steps_done": "Steps",
    "seconds": "Time (s)",
    "cpu_seconds": "CPU time (s)",
}
# What dynamic sampling draws beside what is learnt from, of a stage of RL alone.
_DRAWN = {
    "prompts_drawn": "Prompts drawn",
    "groups_kept": "Groups kept",
    "groups_filled": "filled",
    "data_passes": "Data passes",
    "discarded_tokens": "Tokens discarded",
}
_DISCARDS = (
    "Dynamic sampling draws prompts until enough groups have both right and wrong completions, and discards the "
    "others; what is missing is filled with groups that are not learnt from. Samples have neither of them, tokens have "
    "what fills, FLOPs have both. Tokens discarded are of completions alone. Data passes: prompts drawn by training "
    "examples."
)
_LINEAGE = {name: f"lineage_{name}" for name in _COSTS}
_COLUMNS = ["model", "pool", "lineage", "seeds", *_COSTS, *_LINEAGE.values(), *_DRAWN, "put_aside", "device"]


def build(estimates: Estimates) -> Built:
    """Return what each lineage cost, its last stage alone and with all stages before it, as means over seeds."""
    collected = estimates.collected
    discards = any((run.get("rollouts") or {}).get("discarded_tokens") for run in collected.runs.values())
    shown = _DRAWN if discards else {}
    table = Table(
        "cost",
        "Cost of each lineage, mean over seeds: its last stage alone, and the whole lineage from the base model (Σ).",
        ["Lineage", *_COSTS.values(), *shown.values(), "Put aside", "Seeds", "Device"],
    )
    records = []
    blocks: dict[str, list[list[Entry]]] = {}
    for group in run_groups(collected):
        there = [run for run in group.runs if run.key in collected.runs]
        own = {name: _mean([_cost(collected, run, name) for run in there]) for name in _COSTS}
        total = {name: _mean([_total(collected, run, name) for run in there]) for name in _COSTS}
        sampled = [collected.runs[run.key].get("rollouts") or {} for run in there]
        drawn = {name: _mean([facts.get(name) for facts in sampled]) for name in _DRAWN}
        devices = ", ".join(dict.fromkeys(str(collected.runs[run.key].get("device")) for run in there))
        aside = _mean([sum((collected.runs[run.key].get("put_aside") or {}).values()) for run in there])
        row = [Entry(title(collected, group), mark=_mark(table, collected, group))]
        row += [_costs(chain(collected, group.runs[0]), name, own[name], total[name]) for name in _COSTS]
        row += [number(drawn[name], digits=2 if name == "data_passes" else 0) for name in shown]
        row += [number(aside), Entry(f"{len(there)} of {len(group.runs)}"), Entry(devices or DASH)]
        blocks.setdefault(group.model, []).append(row)
        who = {"model": group.model, "pool": group.pool, "lineage": group.name, "seeds": len(there)}
        summed = {_LINEAGE[name]: value for name, value in total.items()}
        records.append({**who, **own, **summed, **drawn, "put_aside": aside, "device": devices})
    table.blocks = [Block(model, rows) for model, rows in blocks.items()]
    table.notes = [
        "Samples: sequences trained on, rows x epochs for SFT, completions learnt from for RL. Tokens: of prompts and "
        "responses that went through training steps. FLOPs: 6 per weight and token of these, 2 per weight and token "
        "that went forward alone (sampling, reference model), frozen weights and those under adapters counted alike. "
        "Time is wall-clock time of one job; put aside: training rows that could not be used.",
        *([_DISCARDS] if discards else []),
        f"Study {collected.study.name}, seeds {', '.join(map(str, collected.study.seeds))}.",
    ]
    return table, frame(records, _COLUMNS)


def _mark(table: Table, collected: Collected, group: Group) -> int:
    """Return the mark of the footnote that says which runs of a group, or before it, are not there."""
    keys = {link.key for run in group.runs for link in chain(collected, run)}
    lacking = [str(item) for item in collected.missing if item.what.endswith("run.json") and item.cell in keys]
    return table.mark("without " + "; ".join(lacking)) if lacking else 0


def _costs(links: list[Run], name: str, own: float | None, total: float | None) -> Entry:
    """Return a cost of the last stage and, where there are stages before it, of the whole lineage."""
    last, whole = (Entry(f"{cost:.3g}") if cost and name == "flops" else number(cost) for cost in (own, total))
    return replace(last, rest=f"(Σ {whole.text})") if len(links) > 1 else last


def _cost(collected: Collected, run: Run, name: str) -> float | None:
    """Return a cost of a run, None where it is not known."""
    record = collected.runs.get(run.key, {})
    found: float | None = {**record, **(record.get("work") or {})}.get(name)
    return found


def _total(collected: Collected, run: Run, name: str) -> float | None:
    """Return a cost summed over a run and the runs before it, None where one is not known."""
    values = [_cost(collected, link, name) for link in chain(collected, run)]
    return None if None in values else float(sum(value for value in values if value is not None))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None
