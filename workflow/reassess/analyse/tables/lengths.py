"""How long answers are, and how many were cut, by model, method and benchmark, each method at its largest size."""

from __future__ import annotations

from reassess.analyse.estimates import Estimates, Method, Quantity, control, largest, methods, models
from reassess.analyse.layout import DASH, Entry, Table, difference, number, share
from reassess.analyse.tables.shared import NUMBERS, Built, Sheet, frame, numbers, provenance, top
from reassess.graph import BASE

_TOKENS: dict[str, Quantity] = {"Tokens": "tokens", "Right": "tokens of right", "Wrong": "tokens of wrong"}
_NOTES = [
    "Tokens: generated tokens, the end token included and a forced <think> not; a mean as accuracy is one: samples of "
    "an item first, then items, then seeds. Right, wrong: of the responses that are so; the two are of other items.",
    "Δ to base: difference of mean tokens, paired by item, with its 95% interval; above 0 answers became longer.",
    "Truncated: cut at the limit of tokens, so that their length is a lower bound. Responses whose generation failed "
    "are left out of every column.",
]


def build(estimates: Estimates) -> Built:
    """Return the lengths of answers by model, benchmark and method at its largest size; rows of the CSV are long."""
    names, lead = estimates.benchmarks, estimates.of(estimates.lead)
    table = Table(
        "lengths",
        f"Length of answers in tokens by model, benchmark and method at {top(estimates):,} training examples.",
        ["Benchmark", "Method", *_TOKENS, "Δ to base", "Truncated", "In format"],
        text_columns=2,
    )
    sheet = Sheet(estimates, table)
    columns = {name: [name] for name in names}
    over = []
    if len(lead) > 1:
        columns[f"{estimates.lead} mean"] = lead
        over.append(f"{estimates.lead.capitalize()} mean: {', '.join(lead)}; its two shares are of all responses.")
    for model in models(estimates.graph):
        found = methods(estimates.graph, model)
        base, rows = control(found, BASE), []
        for column, of in columns.items():
            for method in largest(found):
                rows.append([Entry(column), sheet.largest(method), *_row(sheet, method, base, of, column)])
        sheet.block(model, rows)
    table.notes = [*_NOTES, *over, provenance(estimates, names)]
    return table, frame(sheet.records, NUMBERS)


def _row(sheet: Sheet, method: Method, base: Method, benchmarks: list[str], column: str) -> list[Entry]:
    """Return what is known of the lengths of a method's answers: three means, a difference and two shares."""
    row = []
    for what in _TOKENS.values():
        estimate = sheet.estimates.mean(method, benchmarks, what)
        sheet.add(method, column, what, numbers(estimate))
        none = "no response" if what == "tokens" else f"no {what.rpartition(' ')[2]} response"
        mean = None if estimate is None else estimate.mean
        row.append(number(mean, 1, sheet.mark([method], benchmarks, estimate, none)))
    if method == base:
        row.append(Entry(DASH))
    else:
        estimate = sheet.estimates.delta(method, base, benchmarks, "tokens")
        sheet.add(method, column, f"delta tokens to {base.recipe}", numbers(estimate))
        mark = sheet.mark([method, base], benchmarks, estimate, "no response")
        row.append(difference(estimate, mark, scale=1))
    n, truncated, in_format = sheet.estimates.generated(method, benchmarks)
    for measure, count in (("truncated", truncated), ("in format", in_format)):
        sheet.add(method, column, measure, {"mean": count / n, "n": n} if n else {})
        row.append(share(count, n))
    return row
