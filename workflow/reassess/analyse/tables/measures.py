"""What finished models were asked beside answers, by model, method and training size."""

from __future__ import annotations

from collections import Counter

from reassess.analyse.estimates import Estimates, Method, methods, models
from reassess.analyse.layout import DASH, Entry, Table, number
from reassess.analyse.tables.shared import NUMBERS, Built, Sheet, by_recipe, frame, numbers

_TOKENS = "tokens"


def build(estimates: Estimates) -> Built:
    """Return the mean of each measure with its interval, and the mean tokens; rows of the CSV are long."""
    study = estimates.study
    table = Table(
        "measures",
        "What models were asked beside answers, by training size: means over examples with their 95% intervals.",
        ["Method", "Size", *(title for name in study.measures for title in (name, f"{name}: tokens"))],
    )
    sheet = Sheet(estimates, table)
    for model in models(estimates.graph):
        rows = []
        for method in by_recipe(methods(estimates.graph, model)):
            entries = [entry for name in study.measures for entry in _entries(sheet, method, name)]
            if any(entry.text != DASH or entry.mark for entry in entries):
                rows.append([Entry(sheet.label(method)), number(method.size), *entries])
        sheet.block(model, rows)
    table.notes = [f"{name}: {_what(estimates, name)}" for name in study.measures]
    table.notes.append(_provenance(estimates))
    return table, frame(sheet.records, NUMBERS)


def _entries(sheet: Sheet, method: Method, name: str) -> list[Entry]:
    """Return the mean of a measure and its mean tokens: dashes where it is not taken, or is missing."""
    estimates, column = sheet.estimates, sheet.estimates.study.measures[name].COLUMNS[0]
    missing = estimates.unmeasured(method, name)
    if missing is None:
        return [Entry(DASH), Entry(DASH)]
    found = estimates.measured(method, name, column), estimates.measured(method, name, _TOKENS)
    for measure, estimate in zip((column, _TOKENS), found, strict=True):
        sheet.add(method, name, measure, numbers(estimate))
    mean, tokens = found
    if mean is None or tokens is None:
        mark = sheet.table.mark("missing " + "; ".join(missing))
        return [Entry(DASH, mark=mark), Entry(DASH, mark=mark)]
    mark = sheet.table.mark("without " + "; ".join(missing)) if missing else 0
    return [Entry(f"{mean.mean:.4f}", f"[{mean.lo:.4f}, {mean.hi:.4f}]", mark=mark), number(tokens.mean, 1)]


def _what(estimates: Estimates, name: str) -> str:
    """Return what a measure is, and how many rows of it were put aside for each model."""
    spec = estimates.study.measures[name]
    records = [record for (_, measure), record in estimates.collected.measured.items() if measure == name]
    read = sorted({record["values"]["n"] for record in records})
    text = f"{spec.kind} on {spec.on}, {spec.UNIT}, mean over {' or '.join(map(str, read)) or 'no'} examples"
    aside: Counter[tuple[str, str]] = Counter()
    for record in records:
        for reason, n in record["put_aside"].items():
            aside[record["model"], reason] = max(n, aside[record["model"], reason])
    said = ", ".join(f"{model} {n} ({reason})" for (model, reason), n in sorted(aside.items()))
    return f"{text}{f'; put aside: {said}' if said else ''}."


def _provenance(estimates: Estimates) -> str:
    """Return the line that says what the numbers rest on."""
    study, records = estimates.study, estimates.collected.measured.values()
    engines = sorted({f"{record['engine']['name']} {record['engine']['version']}" for record in records})
    return (
        f"Study {study.name}. Seeds: {', '.join(map(str, study.seeds))}. {study.report.resamples} bootstrap resamples "
        f"of examples{' and of seeds' if len(study.seeds) > 1 else ''}. Engine: {', '.join(engines) or 'unknown'}."
    )
