"""What SFT trains on: who wrote the traces, how many were kept, how long they are, and what training on them does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from reassess.analyse.estimates import COUNTS, Estimates, Method, control, largest, methods, models
from reassess.analyse.layout import DASH, Entry, Table, number, share
from reassess.analyse.tables.shared import NUMBERS, READING, Built, Sheet, frame, numbers, provenance
from reassess.analyse.traces import words
from reassess.graph import BASE, Run
from reassess.graph.sets import ExampleSet

_OWN = "their source"
_FACTS = ("set", "written_by", "asked", "kept", "samples", "right", "words")
_NOTES = [
    "Written by: the model that was asked for the traces; their source: the rationales that the data came with. "
    "Kept: of the questions that were asked, those with a trace. Right: of all responses, those that the judge calls "
    "right. Words: mean length of the traces that were imitated.",
]


class _Written(NamedTuple):
    """By whom, and what came of asking: counts are None where nobody was asked or it is not known yet."""

    by: str
    counts: dict[str, Any] | None


def build(estimates: Estimates) -> Built:
    """Return a row for each kind of traces that SFT from the base model imitates, by model, at its largest size."""
    groups, nll = _groups(estimates), ["NLL"] if _likelihoods(estimates) else []
    lead = next(iter(groups))
    changes = [f"Δ {name[0].lower()}{name[1:]}" for name in groups]
    table = Table(
        "sources",
        "Traces that SFT imitates: who wrote them, and what training on them changes against the base model.",
        ["Method", "Written by", "Kept", "Right", "Words", *nll, lead, *changes],
        text_columns=2,
    )
    sheet = Sheet(estimates, table)
    for model in models(estimates.graph):
        found = methods(estimates.graph, model)
        base, rows = control(found, BASE), []
        for method in largest(found):
            run = _imitating(estimates, method)
            if run is None:
                continue
            row = [sheet.largest(method), *_facts(sheet, method, run), *_likelihood(sheet, method, base, run)]
            for name, of in groups.items():
                row += [sheet.mean(method, of, name)] if name == lead else []
                row.append(sheet.delta(method, base, of, name))
            rows.append(row)
        sheet.block(model, rows)
    over = [f"{name}: {', '.join(of)}." for name, of in groups.items()]
    if taken := _likelihoods(estimates):
        units = ", ".join(dict.fromkeys(estimates.study.measures[name].UNIT for name in taken.values()))
        over.insert(0, f"NLL: of the traces under the base model, {units}, over all examples of the set or the pool.")
    table.notes = [READING, *_NOTES, *over, provenance(estimates, estimates.benchmarks)]
    return table, frame(sheet.records, [*NUMBERS, *COUNTS[1:], *_FACTS])


def _groups(estimates: Estimates) -> dict[str, list[str]]:
    """Return the benchmarks by how they relate to what is trained on; without any of a kind, it is left out."""
    study = estimates.study
    like = study.report.in_distribution or [name for name, spec in study.benchmarks.items() if spec.pool is not None]
    visual, text = estimates.of("visual"), estimates.of("text")
    near = [name for name in estimates.benchmarks if name in like]
    far = [name for name in visual if name not in near]
    found = {"In distribution": near, "Out of distribution" if near else "Visual mean": far}
    found["Text"] = [name for name in text if name not in near]
    return {name: of for name, of in found.items() if of}


def _imitating(estimates: Estimates, method: Method) -> Run | None:
    """Return the run of a method that is SFT of the base model alone, None for any other method."""
    run = estimates.graph.runs.get(method.cells[0].key)
    if run is None or any(parent in estimates.graph.runs for parent in run.parents):
        return None
    return run if estimates.study.all_stages[run.stage].imitates else None


def _facts(sheet: Sheet, method: Method, run: Run) -> list[Entry]:
    """Return who wrote the traces of a run, how many were kept and right, and their length, all in the CSV too."""
    written = list(_written(sheet.estimates, run.on)) if run.on else [_Written(_OWN, None)]
    by = " and ".join(dict.fromkeys(item.by for item in written))
    known = [item.counts for item in written if item.counts is not None]
    total = {name: sum(counts[name] for counts in known) for name in ("asked", "kept", "samples", "right", "judged")}
    runs = [sheet.estimates.graph.runs[cell.key] for cell in method.cells]
    length = words(sheet.estimates.collected, runs)
    shown = {name: total[name] if known else None for name in ("asked", "kept", "samples", "right")}
    facts = {"set": run.on.key if run.on else None, "written_by": by, **shown, "words": length}
    sheet.add(method, "traces", "facts", facts)
    return [
        Entry(by),
        share(total["kept"], total["asked"]),
        share(total["right"], total["judged"]),
        number(length, 1),
    ]


def _likelihoods(estimates: Estimates) -> dict[str, str]:
    """Return the measures of how likely a model finds what SFT imitates, by what they are taken on."""
    return {spec.on: name for name, spec in estimates.study.measures.items() if spec.READS_RESPONSES}


def _likelihood(sheet: Sheet, method: Method, base: Method, run: Run) -> list[Entry]:
    """Return the mean of the measure of what a run trains on, by the base model; nothing where the study has none."""
    if not (taken := _likelihoods(sheet.estimates)):
        return []
    name = taken.get(run.on.name if run.on else run.pool)
    missing = None if name is None else sheet.estimates.unmeasured(base, name)
    if name is None or missing is None:
        return [Entry(DASH, mark=sheet.table.mark("no measure of the study is taken on them by the base model"))]
    estimate = sheet.estimates.measured(base, name, sheet.estimates.study.measures[name].COLUMNS[0])
    sheet.add(method, "traces", name, numbers(estimate))
    if estimate is None:
        return [Entry(DASH, mark=sheet.table.mark("missing " + "; ".join(missing)))]
    return [Entry(f"{estimate.mean:.3f}", f"±{estimate.half_width:.3f}")]


def _written(estimates: Estimates, made: ExampleSet) -> Iterator[_Written]:
    """Yield who wrote the rationales of a set."""
    if estimates.study.examples[made.name].writes:
        found = estimates.collected.sets.get(made.key, {}).get("asked")
        yield _Written(_speaker(made), found)
        return
    for read in made.reads:
        if isinstance(read, ExampleSet):
            yield from _written(estimates, read)
        else:
            yield _Written(_OWN, None)


def _speaker(made: ExampleSet) -> str:
    """Return the base model or the teacher that wrote a set, or the cell."""
    # Behind an endpoint there is no cell.
    return made.speaker.removesuffix(f"/{BASE}") or made.model
