"""The comparisons that a study asks for: one pair of cells on each model, and on average over models."""

from __future__ import annotations

from typing import Any

from reassess.analyse.estimates import Estimates, Method
from reassess.analyse.layout import Entry, Table, accuracy, difference
from reassess.analyse.statistics import Estimate
from reassess.analyse.tables.shared import READING, Built, Sheet, frame, numbers, provenance
from reassess.graph.contrasts import Side

_WHO = ["contrast", "model", "pool", "a", "a_size", "b", "b_size"]
_NUMBERS = ["column", "measure", "mean", "lo", "hi", "n", "seeds", "unscored"]
_MODALITIES = ("visual", "text")


def build(estimates: Estimates) -> Built:
    """Return the contrasts of a study, a block for each: both accuracies and their difference, by model."""
    columns = {name.capitalize(): of for name in _MODALITIES if (of := estimates.of(name))}
    table = Table(
        "contrasts",
        "The comparisons that the study asks for: accuracy of A and of B on each model, and their difference.",
        [
            *("Model", "A", "B"),
            *(f"{name}: {what}" for name in columns for what in ("A", "B", "A − B")),
        ],
        text_columns=3,
    )
    sheet = Sheet(estimates, table)
    for contrast, pairs in estimates.graph.contrasts.items():
        rows = []
        for pair in pairs:
            a, b = _method(pair.a), _method(pair.b)
            shown = f"{pair.model} ({pair.pool})" if pair.pool and len(estimates.study.pools) > 1 else pair.model
            row = [Entry(shown), Entry(_said(sheet, a)), Entry(_said(sheet, b))]
            who = dict(zip(_WHO, (contrast, pair.model, pair.pool, *_named(sheet, a), *_named(sheet, b)), strict=True))
            for column, of in columns.items():
                row += [_accuracy(sheet, who, side, method, column, of) for side, method in (("a", a), ("b", b))]
                row.append(_difference(sheet, who, [(a, b)], column, of))
            rows.append(row)
        if len(pairs) > 1:
            both = [(_method(pair.a), _method(pair.b)) for pair in pairs]
            row = [Entry(f"mean of {len(pairs)}"), Entry(""), Entry("")]
            for column, of in columns.items():
                who = {"contrast": contrast, "model": "mean"}
                row += [Entry(""), Entry(""), _difference(sheet, who, both, column, of)]
            rows.append(row)
        sheet.block(contrast, rows)
    over = [f"{name}, the mean of: {', '.join(of)}." for name, of in columns.items()]
    mean = "The mean is over models with the same weight for each, and its interval over items and seeds, not models."
    table.notes = [READING, *over, mean, provenance(estimates, estimates.benchmarks)]
    return table, frame(sheet.records, [*_WHO, *_NUMBERS])


def _method(side: Side) -> Method:
    first = side[0]
    return Method(first.model, first.method, first.pool, first.size, side)


def _named(sheet: Sheet, method: Method) -> tuple[str, int | None]:
    return sheet.label(method), method.size


def _said(sheet: Sheet, method: Method) -> str:
    name, size = _named(sheet, method)
    return name if size is None else f"{name}, {size:,}"


def _accuracy(sheet: Sheet, who: dict[str, Any], side: str, method: Method, column: str, of: list[str]) -> Entry:
    estimate = sheet.estimates.mean(method, of)
    _add(sheet, who, column, f"accuracy of {side}", estimate)
    return accuracy(estimate, sheet.mark([method], of, estimate))


def _difference(
    sheet: Sheet, who: dict[str, Any], pairs: list[tuple[Method, Method]], column: str, of: list[str]
) -> Entry:
    estimate = sheet.estimates.contrast(pairs, of)
    _add(sheet, who, column, "a - b", estimate)
    return difference(estimate, sheet.mark([method for pair in pairs for method in pair], of, estimate))


def _add(sheet: Sheet, who: dict[str, Any], column: str, measure: str, estimate: Estimate | None) -> None:
    sheet.records.append({**who, "column": column, "measure": measure, **numbers(estimate)})
