"""Accuracy by task family and by difficulty, each method at its largest size."""

from __future__ import annotations

import pandas as pd

from reassess.analyse.estimates import COUNTS, Estimates, Method, label, largest, methods, models
from reassess.analyse.layout import DASH, Entry, Table, accuracy, number, percent
from reassess.analyse.tables.shared import (
    FLOOR,
    NUMBERS,
    READING,
    ROWS,
    Built,
    Sheet,
    frame,
    numbers,
    opened,
    provenance,
)

_COLUMNS = [*NUMBERS[:5], "group", *NUMBERS[5:], *COUNTS[1:]]

# More are no levels: a number that every question has for itself.
_LEVELS = 20


def build(estimates: Estimates) -> Built:
    """Return accuracy by task family and by difficulty, each recipe at its largest size."""
    by_model: dict[str, dict[str, Method]] = {
        model: {label(estimates.study, method): method for method in largest(methods(estimates.graph, model))}
        for model in models(estimates.graph)
    }
    labels = list(dict.fromkeys(text for found in by_model.values() for text in found))
    table = Table(
        "families",
        "Accuracy by task family and by difficulty (the source's own level) at the largest training size.",
        ["Benchmark", "Group", "Items", FLOOR, *labels],
        text_columns=2,
    )
    sheet = Sheet(estimates, table)
    blocks: dict[str, list[list[Entry]]] = {model: [] for model in by_model}
    # Models inside: the resamples of a group are drawn once for all of them.
    for name in [name for name in estimates.benchmarks if name in estimates.questions]:
        for group, picked in _groups(estimates.questions[name]):
            part = estimates.questions[name][picked]
            floor = float(part["hit"].mean())
            for model, found in by_model.items():
                row = [Entry(name), Entry(group), number(len(part)), Entry(percent(floor))]
                known = {"model": model, "method": FLOOR, "column": name, "group": group, "measure": "accuracy"}
                sheet.records.append({**known, "mean": floor, "n": len(part)})
                for text in labels:
                    if text in found:
                        row.append(_accuracy(sheet, found[text], name, group, picked))
                    else:
                        row.append(Entry(DASH, mark=table.mark(f"{text} is not a method of {model} in this study")))
                blocks[model].append(row)
    sheet.records.sort(key=lambda record: list(by_model).index(record["model"]))
    for model, rows in blocks.items():
        sheet.block(model, rows)
    table.notes = [READING, ROWS, *opened(estimates), provenance(estimates, estimates.benchmarks)]
    return table, frame(sheet.records, _COLUMNS)


def _accuracy(sheet: Sheet, method: Method, benchmark: str, group: str, picked: pd.Series[bool]) -> Entry:
    estimate = sheet.estimates.group(method, benchmark, picked)
    sheet.add(method, benchmark, "accuracy", {"group": group} | numbers(estimate))
    return accuracy(estimate, sheet.mark([method], [benchmark], estimate))


def _groups(questions: pd.DataFrame) -> list[tuple[str, pd.Series[bool]]]:
    """Return the families of a benchmark and its levels of difficulty, where there are several but few, as masks."""
    found = []
    for family in sorted(questions["family"].dropna().unique()):
        found.append((str(family) or "(no family)", questions["family"] == family))
    levels = sorted(questions["difficulty"].dropna().unique())
    for level in levels if 1 < len(levels) <= _LEVELS else ():
        group = f"difficulty {level}" if level else "difficulty unknown"
        found.append((group, (questions["difficulty"] == level).fillna(False)))
    return found
