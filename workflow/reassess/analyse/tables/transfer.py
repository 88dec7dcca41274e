"""What training changes on visual and on text benchmarks."""

from __future__ import annotations

from reassess.analyse.estimates import COUNTS, Estimates, control, methods, models
from reassess.analyse.layout import DASH, Entry, Table, bold_best, number
from reassess.analyse.tables.shared import BOLD, NUMBERS, READING, Built, Sheet, by_recipe, frame, provenance
from reassess.graph import BASE

_MODALITIES = ("visual", "text")


def build(estimates: Estimates) -> Built:
    """Return what training changes on visual and on text benchmarks, by model, method and size."""
    table = Table(
        "transfer",
        "What training on the pool changes on visual and on text benchmarks, as differences to the base model.",
        ["Method", "Size", "Visual", "Δ visual", "Text", "Δ text"],
    )
    sheet = Sheet(estimates, table)
    for model in models(estimates.graph):
        found = methods(estimates.graph, model)
        base, rows = control(found, BASE), []
        for method in by_recipe(found):
            row = [Entry(sheet.label(method)), number(method.size)]
            for modality in _MODALITIES:
                group, name = estimates.of(modality), f"{modality} mean"
                row += [sheet.mean(method, group, name), sheet.delta(method, base, group, name)]
            rows.append(row)
        bold_best(rows, [2, 4])
        sheet.block(model, rows)
    table.notes = [READING, BOLD]
    for modality in _MODALITIES:
        names = ", ".join(estimates.of(modality)) or f"none in this study, hence {DASH}"
        table.notes.append(f"{modality.capitalize()} benchmarks: {names}.")
    table.notes.append(provenance(estimates, estimates.benchmarks))
    return table, frame(sheet.records, [*NUMBERS, *COUNTS[1:]])
