"""What training cost."""

from __future__ import annotations

from dataclasses import replace

from reassess.analyse.collect import Collected
from reassess.analyse.estimates import Estimates
from reassess.analyse.layout import DASH, Block, Entry, Table, number
from reassess.analyse.runs import chain, lacking, run_groups, title
from reassess.analyse.tables.shared import Built, frame, mean
from reassess.graph import Run

_COSTS = {
    "samples": "Samples",
    "tokens": "Tokens",
    "flops": "FLOPs",
    "steps_done": "Steps",
    "seconds": "Time (s)",
    "cpu_seconds": "CPU time (s)",
}
_LINEAGE = {name: f"lineage_{name}" for name in _COSTS}
_COLUMNS = ["model", "pool", "lineage", "seeds", *_COSTS, *_LINEAGE.values(), "put_aside", "device"]


def build(estimates: Estimates) -> Built:
    """Return what each lineage cost, its last stage alone and with all stages before it, as means over seeds."""
    collected = estimates.collected
    table = Table(
        "cost",
        "Cost of each lineage, mean over seeds: its last stage alone, and the whole lineage from the base model (Σ).",
        ["Lineage", *_COSTS.values(), "Put aside", "Seeds", "Device"],
    )
    records = []
    blocks: dict[str, list[list[Entry]]] = {}
    for group in run_groups(collected):
        there = [run for run in group.runs if run.key in collected.runs]
        own = {name: mean([_cost(collected, run, name) for run in there]) for name in _COSTS}
        total = {name: mean([_total(collected, run, name) for run in there]) for name in _COSTS}
        devices = ", ".join(dict.fromkeys(str(collected.runs[run.key].get("device")) for run in there))
        aside = mean([sum((collected.runs[run.key].get("put_aside") or {}).values()) for run in there])
        row = [Entry(title(collected, group), mark=table.mark(lacking(collected, group)))]
        row += [_costs(chain(collected, group.runs[0]), name, own[name], total[name]) for name in _COSTS]
        row += [number(aside), Entry(f"{len(there)} of {len(group.runs)}"), Entry(devices or DASH)]
        blocks.setdefault(group.model, []).append(row)
        who = {"model": group.model, "pool": group.pool, "lineage": group.name, "seeds": len(there)}
        summed = {_LINEAGE[name]: value for name, value in total.items()}
        records.append({**who, **own, **summed, "put_aside": aside, "device": devices})
    table.blocks = [Block(model, rows) for model, rows in blocks.items()]
    table.notes = [
        "Samples: sequences trained on, rows x epochs for SFT, completions learnt from for RL. Tokens: of prompts and "
        "responses that went through training steps. FLOPs: 6 per weight and token of these, 2 per weight and token "
        "that went forward alone (sampling, reference model), frozen weights and those under adapters counted alike. "
        "Of dynamic sampling samples have neither what is thrown away nor what only fills a batch, tokens have what "
        "fills, FLOPs have both. Time is wall-clock time of one job; put aside: training rows that could not be used.",
        f"Study {collected.study.name}, seeds {', '.join(map(str, collected.study.seeds))}.",
    ]
    return table, frame(records, _COLUMNS)


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
