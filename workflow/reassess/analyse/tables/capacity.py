"""Accuracy by model, method and benchmark, each method at its largest size."""

from __future__ import annotations

from reassess.analyse.estimates import COUNTS, Estimates, control, largest, methods, models
from reassess.analyse.layout import DASH, Entry, Table, bold_best, percent
from reassess.analyse.tables.shared import (
    BOLD,
    FLOOR,
    NUMBERS,
    READING,
    ROWS,
    UNSCORED,
    Built,
    Sheet,
    frame,
    opened,
    provenance,
    top,
)
from reassess.graph import BASE


def build(estimates: Estimates) -> Built:
    """Return accuracy by model, method at its largest size, and benchmark; rows of the CSV are long."""
    names, lead = estimates.benchmarks, estimates.of(estimates.lead)
    mean_name = f"{estimates.lead} mean"
    table = Table(
        "capacity",
        f"Accuracy by model, method and benchmark at {top(estimates):,} training examples; "
        f"{mean_name} with difference to base.",
        ["Method", *names, mean_name.capitalize(), "Δ to base", "Unscored", "Unparsed", "Truncated"],
    )
    sheet = Sheet(estimates, table)
    columns = {name: [name] for name in names} | {mean_name: lead}
    for model in models(estimates.graph):
        found = methods(estimates.graph, model)
        base, rows = control(found, BASE), [_floors(sheet, model, columns)]
        for method in largest(found):
            row = [sheet.largest(method)]
            row += [sheet.mean(method, of, column, bounds=column == mean_name) for column, of in columns.items()]
            row.append(sheet.delta(method, base, lead, mean_name))
            rows.append(row + sheet.counts(method, names))
        bold_best(rows, list(range(1, len(names) + 2)))
        sheet.block(model, rows)
    over = f"{mean_name.capitalize()}: {', '.join(lead)}."
    table.notes = [READING, over, ROWS, *opened(estimates), BOLD, UNSCORED, provenance(estimates, names)]
    return table, frame(sheet.records, [*NUMBERS, *COUNTS[1:]])


def _floors(sheet: Sheet, model: str, columns: dict[str, list[str]]) -> list[Entry]:
    """Return the row of the floor."""
    row = [Entry(FLOOR)]
    for column, of in columns.items():
        value = sheet.estimates.floor(of)
        dash = sheet.table.mark("no scored response yet") if value is None else 0
        row.append(Entry(DASH, mark=dash) if value is None else Entry(percent(value)))
        sheet.records.append({"model": model, "method": FLOOR, "column": column, "measure": "accuracy", "mean": value})
    return row + [Entry(DASH)] * 4
