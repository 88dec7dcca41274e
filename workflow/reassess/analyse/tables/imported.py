"""Other people's responses under the study's judge, beside their own scores and the study's models."""

from __future__ import annotations

from typing import Any

import pandas as pd

from reassess.analyse.estimates import COUNTS, Estimates, largest, methods, models
from reassess.analyse.layout import DASH, Entry, Table, accuracy, number, percent
from reassess.analyse.statistics import Estimate, item_scores, mean_interval
from reassess.analyse.tables.shared import NUMBERS, READING, Built, Sheet, frame, numbers, provenance

_JUDGED = "accuracy, judged here"
_OWN, _QUESTIONS, _MISSING, _DIFFER = "their own score", "questions", "missing", "verdicts that differ"
_BLOCK = "imported"


def build(estimates: Estimates) -> Built:
    """Return the judge's accuracy on other people's responses, with their own scores; then the study's models."""
    study = estimates.study
    read = {benchmark for spec in study.imported.values() for benchmark in spec.files}
    benchmarks = [name for name in study.benchmarks if name in read or name in estimates.benchmarks]
    table = Table(
        "imported",
        "Responses that others have drawn, judged by the judge of this study.",
        ["Results", "", *benchmarks],
        text_columns=2,
    )
    sheet = Sheet(estimates, table)
    rows = [row for name in study.imported for row in _rows(sheet, name, benchmarks)]
    sheet.block(_BLOCK, rows)
    for model in models(estimates.graph):
        own = []
        for method in largest(methods(estimates.graph, model)):
            entries = [
                sheet.mean(method, [name], name) if name in estimates.benchmarks else Entry(DASH) for name in benchmarks
            ]
            own.append([sheet.largest(method), Entry(_JUDGED), *entries])
        sheet.block(model, own)
    table.notes = [
        READING,
        "Prompt, decoding and limits of imported responses are those of whoever drew them: they are no cells of this "
        "study. Questions that a file lacks are missing, and count neither as right nor as wrong. Their own score "
        "is the mean over the same questions; verdicts are compared where both sides say right or wrong.",
    ]
    table.notes += [f"{name}: {spec.by}." for name, spec in study.imported.items() if spec.by]
    table.notes.append(provenance(estimates, [name for name in benchmarks if name in estimates.benchmarks]))
    return table, frame(sheet.records, [*NUMBERS, *COUNTS[1:], "own_score"])


def _rows(sheet: Sheet, name: str, benchmarks: list[str]) -> list[list[Entry]]:
    """Return the rows of the results under a name, a column per benchmark."""
    lines: dict[str, list[Entry]] = {what: [] for what in (_JUDGED, _OWN, _QUESTIONS, _MISSING, _DIFFER)}
    found = sheet.estimates.collected.imported.get(name)
    for benchmark in benchmarks:
        asked = benchmark in sheet.estimates.study.imported[name].files
        if found is None or not asked:
            mark = sheet.table.mark(f"missing imported {name}") if asked else 0
            for line in lines.values():
                line.append(Entry(DASH, mark=mark))
            continue
        record, items = found
        facts = record["imported"][benchmark]
        estimate = _estimate(sheet.estimates, items, benchmark)
        counts = {key: record["scores"][benchmark][key] for key in COUNTS if key != "n"}
        _add(sheet, name, benchmark, _JUDGED, {**numbers(estimate), **counts})
        lines[_JUDGED].append(accuracy(estimate, 0 if estimate else sheet.table.mark("no scored response")))
        lines[_OWN].append(_own(sheet, name, benchmark, facts))
        for what, value in ((_QUESTIONS, facts["matched"]), (_MISSING, facts["missing"])):
            _add(sheet, name, benchmark, what, {"mean": value})
            lines[what].append(number(value))
        _add(sheet, name, benchmark, _DIFFER, {"mean": facts["differ"], "n": facts["compared"]})
        differ = Entry(str(facts["differ"]), f"of {facts['compared']}") if facts["compared"] else Entry(DASH)
        lines[_DIFFER].append(differ)
    return [[Entry(name if what == _JUDGED else ""), Entry(what), *line] for what, line in lines.items()]


def _own(sheet: Sheet, name: str, benchmark: str, facts: dict[str, Any]) -> Entry:
    """Return the harness's own score, with a footnote that names it and whatever others there are."""
    which = facts["own_score"]
    if which is None:
        return Entry(DASH, mark=sheet.table.mark("the file has no score of its own"))
    others = ", ".join(f"{other} {percent(value)}" for other, value in facts["own"].items() if other != which)
    for other, value in facts["own"].items():
        _add(sheet, name, benchmark, _OWN, {"mean": value, "own_score": other})
    text = f"{which} of {facts['format']}{'; also ' if others else ''}{others}"
    return Entry(percent(facts["own"][which]), mark=sheet.table.mark(text))


def _estimate(estimates: Estimates, items: pd.DataFrame, benchmark: str) -> Estimate | None:
    """Return the judge's accuracy on the questions of a benchmark that were answered, with its interval over them."""
    mine = items[items["benchmark"] == benchmark].assign(cell="")
    if mine.empty:
        return None
    values = item_scores(mine, ["cell"])[benchmark].to_numpy(dtype="float64").T
    return mean_interval({benchmark: values}, estimates.study.seed, estimates.study.report.resamples)


def _add(sheet: Sheet, name: str, benchmark: str, measure: str, values: dict[str, Any]) -> None:
    sheet.records.append({"model": _BLOCK, "method": name, "column": benchmark, "measure": measure, **values})
