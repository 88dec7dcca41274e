"""The tables of accuracies: capacity, scale, transfer and families."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from reassess.analyse.estimates import COUNTS, Estimates, Method, control, label, largest, methods, models
from reassess.analyse.layout import DASH, Block, Entry, Table, accuracy, bold_best, difference, number, percent, share
from reassess.analyse.statistics import Estimate
from reassess.graph import BASE, BASE_THINK

FLOOR = "floor"
Built = tuple[Table, pd.DataFrame]

_READING = (
    "Percent correct. ± is half the width of the 95% interval, brackets hold the interval; "
    "differences (Δ) are paired and in percentage points."
)
_ROWS = "floor: always giving each task family's commonest answer. base-think: the base model forced to think first."
_BOLD = "Bold: the highest mean of a column within a model, floor and controls included, all of several equal ones."
_COUNTS = (
    "Unscored: no usable gold, or generation failed; left out of accuracy, and pairwise out of Δ. "
    "Unparsed (no answer found) counts as wrong; truncated responses are judged as they stand."
)


def capacity(estimates: Estimates) -> Built:
    """Return accuracy by model, method at its largest size, and benchmark; rows of the CSV are long."""
    names, lead = estimates.benchmarks, estimates.of(estimates.lead)
    top = max((cell.size or 0 for cell in estimates.graph.cells), default=0)
    mean_name = f"{estimates.lead} mean"
    table = Table(
        "capacity",
        f"Accuracy by model, method and benchmark at {top:,} training examples; {mean_name} with difference to base.",
        ["Method", *names, mean_name.capitalize(), "Δ to base", "Unscored", "Unparsed", "Truncated"],
    )
    records: list[dict[str, Any]] = []
    for model in models(estimates.graph):
        found = methods(estimates.graph, model)
        base, rows = control(found, BASE), []
        floors = {name: estimates.floor([name]) for name in names} | {mean_name: estimates.floor(lead)}
        nothing = [Entry(DASH)] * 4
        rows.append([Entry(FLOOR), *(_floor(table, value) for value in floors.values()), *nothing])
        for name, value in floors.items():
            records.append({"model": model, "method": FLOOR, "column": name, "measure": "accuracy", "mean": value})
        for method in largest(found):
            smaller = f"at {method.size:,} examples, its largest size" if method.size not in (None, top) else ""
            row = [Entry(label(estimates.study, method), mark=table.mark(smaller))]
            for column, group in [*((name, [name]) for name in names), (mean_name, lead)]:
                row.append(_mean(table, records, estimates, method, group, column, bounds=column == mean_name))
            row.append(_delta(table, records, estimates, method, base, lead, mean_name))
            rows.append(row + _counts(estimates, method, names))
        bold_best(rows, list(range(1, len(names) + 2)))
        table.blocks.append(Block(model, rows))
    over = f"{mean_name.capitalize()}: {', '.join(lead)}."
    table.notes = [_READING, over, _ROWS, _BOLD, _COUNTS, provenance(estimates, names)]
    return table, pd.DataFrame(records)


def scale(estimates: Estimates) -> Built:
    """Return the mean accuracy by model, method and training size, with differences to the two controls."""
    lead = estimates.of(estimates.lead)
    name = f"{estimates.lead} mean"
    table = Table(
        "scale",
        f"{name.capitalize()} accuracy by training size, and its difference to base and to base forced to think.",
        ["Method", "Size", name.capitalize(), "Δ to base", "Δ to base-think", "Unscored", "Unparsed", "Truncated"],
    )
    records: list[dict[str, Any]] = []
    for model in models(estimates.graph):
        found = methods(estimates.graph, model)
        rows = []
        for method in _by_recipe(found):
            row = [Entry(label(estimates.study, method)), number(method.size)]
            row.append(_mean(table, records, estimates, method, lead, name, bounds=True))
            for other in (BASE, BASE_THINK):
                base = control(found, other)
                row.append(_delta(table, records, estimates, method, base, lead, name))
            rows.append(row + _counts(estimates, method, lead))
        bold_best(rows, [2])
        table.blocks.append(Block(model, rows))
    table.notes = [_READING, f"{name.capitalize()}: {', '.join(lead)}.", _BOLD, _COUNTS, provenance(estimates, lead)]
    return table, pd.DataFrame(records)


def transfer(estimates: Estimates) -> Built:
    """Return what training changes on visual and on text benchmarks, by model, method and size."""
    table = Table(
        "transfer",
        "What training on the pool changes on visual and on text benchmarks, as differences to the base model.",
        ["Method", "Size", "Visual", "Δ visual", "Text", "Δ text"],
    )
    records: list[dict[str, Any]] = []
    for model in models(estimates.graph):
        found = methods(estimates.graph, model)
        base, rows = control(found, BASE), []
        for method in _by_recipe(found):
            row = [Entry(label(estimates.study, method)), number(method.size)]
            for modality in ("visual", "text"):
                group, name = estimates.of(modality), f"{modality} mean"
                row.append(_mean(table, records, estimates, method, group, name))
                row.append(_delta(table, records, estimates, method, base, group, name))
            rows.append(row)
        bold_best(rows, [2, 4])
        table.blocks.append(Block(model, rows))
    table.notes = [_READING, _BOLD]
    for modality in ("visual", "text"):
        names = ", ".join(estimates.of(modality)) or f"none in this study, hence {DASH}"
        table.notes.append(f"{modality.capitalize()} benchmarks: {names}.")
    table.notes.append(provenance(estimates, estimates.benchmarks))
    return table, pd.DataFrame(records)


def families(estimates: Estimates) -> Built:
    """Return accuracy by task family and by difficulty, each recipe at its largest size."""
    study = estimates.study
    by_model = {model: largest(methods(estimates.graph, model)) for model in models(estimates.graph)}
    labels = list(dict.fromkeys(label(study, method) for found in by_model.values() for method in found))
    table = Table(
        "families",
        "Accuracy by task family and by difficulty (reasoning steps) at the largest training size.",
        ["Benchmark", "Group", "Items", "floor", *labels],
        text_columns=2,
    )
    records: list[dict[str, Any]] = []
    blocks: dict[str, list[list[Entry]]] = {model: [] for model in by_model}
    # Models inside: the resamples of a group are drawn once for all of them.
    for name in [name for name in estimates.benchmarks if name in estimates.questions]:
        for group, picked in _groups(estimates.questions[name]):
            part = estimates.questions[name][picked]
            floor = float(part["hit"].mean())
            for model, found in by_model.items():
                by_label = {label(study, method): method for method in found}
                row = [Entry(name), Entry(group), number(len(part)), Entry(percent(floor))]
                common = {"model": model, "column": name, "group": group, "measure": "accuracy"}
                records.append({**common, "method": FLOOR, "mean": floor, "n": len(part)})
                for text in labels:
                    method = by_label.get(text)
                    if method is None:
                        row.append(Entry(DASH, mark=table.mark(f"{text} is not a method of {model} in this study")))
                        continue
                    estimate = estimates.group(method, name, picked)
                    row.append(accuracy(estimate, _mark(table, estimates, [method], [name], estimate)))
                    records.append({**_who(study, method), **common, **_numbers(estimate)})
                blocks[model].append(row)
    records.sort(key=lambda record: list(by_model).index(record["model"]))
    table.blocks = [Block(model, rows) for model, rows in blocks.items()]
    table.notes = [_READING, _ROWS, provenance(estimates, estimates.benchmarks)]
    return table, pd.DataFrame(records)


def provenance(estimates: Estimates, benchmarks: Sequence[str]) -> str:
    """Return the line that says what the numbers rest on."""
    collected, study = estimates.collected, estimates.study
    items = ", ".join(f"{name} {len(estimates.questions[name])}" for name in benchmarks if name in estimates.questions)
    judges = sorted({str(record["judge_version"]) for record in collected.scores.values()})
    engines = sorted(
        {f"{record['engine']['name']} {record['engine']['version']}" for record in collected.scores.values()}
    )
    aside = sorted(
        {
            f"{record['model']} {name} {count} ({reason})"
            for record in collected.scores.values()
            for name, counts in (record.get("put_aside") or {}).items()
            for reason, count in counts.items()
            if count and name in benchmarks
        }
    )
    text = (
        f"Study {study.name}. Items: {items or 'none'}. Seeds: {', '.join(map(str, study.seeds))}. "
        f"{study.report.resamples} bootstrap resamples of items (paired, within each benchmark)"
        f"{' and of seeds' if len(study.seeds) > 1 else ''}; not corrected for the number of comparisons. "
        f"Judge version {', '.join(judges) or 'unknown'}. Engine: {', '.join(engines) or 'unknown'}."
    )
    return text + (f" Put aside before generation: {', '.join(aside)}." if aside else "")


def _by_recipe(found: Sequence[Method]) -> list[Method]:
    """Return methods in the study's order of recipes, sizes ascending within each."""
    order = {(method.recipe, method.pool): i for i, method in reversed(list(enumerate(found)))}
    return sorted(found, key=lambda method: (order[method.recipe, method.pool], method.size or 0))


def _groups(questions: pd.DataFrame) -> list[tuple[str, pd.Series[bool]]]:
    """Return the families of a benchmark and, where there are several, its levels of difficulty, as masks."""
    found = []
    for family in sorted(questions["family"].dropna().unique()):
        found.append((str(family) or "(no family)", questions["family"] == family))
    levels = sorted(questions["difficulty"].dropna().unique())
    for level in levels if len(levels) > 1 else ():
        found.append((f"difficulty {level}", (questions["difficulty"] == level).fillna(False)))
    return found


def _floor(table: Table, value: float | None) -> Entry:
    return Entry(DASH, mark=table.mark("no scored response yet")) if value is None else Entry(percent(value))


def _mean(
    table: Table,
    records: list[dict[str, Any]],
    estimates: Estimates,
    method: Method,
    benchmarks: Sequence[str],
    column: str,
    *,
    bounds: bool = False,
) -> Entry:
    estimate = estimates.mean(method, benchmarks)
    who = {**_who(estimates.study, method), "column": column, "measure": "accuracy"}
    counts = estimates.counts(method, benchmarks)
    counted = {name: counts[name] for name in COUNTS if name != "n"}
    records.append({**who, **_numbers(estimate), **counted})
    return accuracy(estimate, _mark(table, estimates, [method], benchmarks, estimate), bounds)


def _delta(
    table: Table,
    records: list[dict[str, Any]],
    estimates: Estimates,
    method: Method,
    base: Method,
    benchmarks: Sequence[str],
    column: str,
) -> Entry:
    if method == base:
        return Entry(DASH)
    estimate = estimates.delta(method, base, benchmarks)
    who = {**_who(estimates.study, method), "column": column, "measure": f"delta to {base.recipe}"}
    records.append({**who, **_numbers(estimate)})
    return difference(estimate, _mark(table, estimates, [method, base], benchmarks, estimate))


def _mark(
    table: Table, estimates: Estimates, of: Sequence[Method], benchmarks: Sequence[str], estimate: Estimate | None
) -> int:
    """Return the mark of the footnote that says what a number lacks, 0 where it lacks nothing."""
    missing = [text for method in of for text in estimates.missing(method, benchmarks)]
    if missing:
        return table.mark(("missing " if estimate is None else "without ") + "; ".join(missing))
    return table.mark("no scored response") if estimate is None and benchmarks else 0


def _counts(estimates: Estimates, method: Method, benchmarks: Sequence[str]) -> list[Entry]:
    counts = estimates.counts(method, benchmarks)
    found = counts["unscored"] + counts["failed"], counts["unparsed"], counts["truncated"]
    return [share(count, counts["n"]) for count in found]


def _who(study: Any, method: Method) -> dict[str, Any]:
    return {"model": method.model, "method": label(study, method), "pool": method.pool, "size": method.size}


def _numbers(estimate: Estimate | None) -> dict[str, Any]:
    if estimate is None:
        return {}
    found = asdict(estimate)
    # Of a difference, these are the pairs without a score on either side.
    found["unscored"] = found.pop("left_out")
    return found
