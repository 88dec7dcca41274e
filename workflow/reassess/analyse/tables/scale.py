"""Mean accuracy by training size, with differences to the two controls."""

from __future__ import annotations

from reassess.analyse.estimates import COUNTS, Estimates, control, methods, models
from reassess.analyse.layout import Entry, Table, bold_best, number
from reassess.analyse.tables.shared import (
    BOLD,
    NUMBERS,
    READING,
    UNSCORED,
    Built,
    Sheet,
    by_recipe,
    frame,
    opened,
    provenance,
)
from reassess.graph import BASE, BASE_THINK


def build(estimates: Estimates) -> Built:
    """Return the mean accuracy by model, method and training size, with differences to the two controls."""
    lead = estimates.of(estimates.lead)
    name = f"{estimates.lead} mean"
    table = Table(
        "scale",
        f"{name.capitalize()} accuracy by training size, and its difference to base and to base forced to think.",
        ["Method", "Size", name.capitalize(), "Δ to base", "Δ to base-think", "Unscored", "Unparsed", "Truncated"],
    )
    sheet = Sheet(estimates, table)
    for model in models(estimates.graph):
        found = methods(estimates.graph, model)
        rows = []
        for method in by_recipe(found):
            row = [Entry(sheet.label(method)), number(method.size), sheet.mean(method, lead, name, bounds=True)]
            row += [sheet.delta(method, control(found, other), lead, name) for other in (BASE, BASE_THINK)]
            rows.append(row + sheet.counts(method, lead))
        bold_best(rows, [2])
        sheet.block(model, rows)
    over = f"{name.capitalize()}: {', '.join(lead)}."
    table.notes = [READING, over, BOLD, UNSCORED, *opened(estimates), provenance(estimates, lead)]
    return table, frame(sheet.records, [*NUMBERS, *COUNTS[1:]])
