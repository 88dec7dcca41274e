"""What the tables share: entries with the rows of their CSV beside them, and notes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from reassess.analyse.estimates import COUNTS, Estimates, Method, label
from reassess.analyse.layout import DASH, Block, Entry, Table, accuracy, difference, share
from reassess.analyse.statistics import Estimate

FLOOR = "floor"
Built = tuple[Table, pd.DataFrame]

READING = (
    "Percent correct. ± is half the width of the 95% interval, brackets hold the interval; "
    "differences (Δ) are paired and in percentage points."
)
ROWS = "floor: always giving each task family's commonest answer. base-think: the base model forced to think first."
BOLD = "Bold: the highest mean of a column within a model, floor and controls included, all of several equal ones."
UNSCORED = (
    "Unscored: no usable gold, or generation failed; left out of accuracy, and pairwise out of Δ. "
    "Unparsed (no answer found) counts as wrong; truncated responses are judged as they stand."
)
# The first columns of the CSV of a table that has one row per number.
NUMBERS = ("model", "method", "pool", "size", "column", "measure", "mean", "lo", "hi", "n", "seeds")
_INTEGERS = ("size", "seeds", *COUNTS)


@dataclass
class Sheet:
    """A table that is being built. Each entry that its methods return adds its number to the CSV.

    Attributes:
        estimates: where numbers come from.
        table: the table.
        records: rows of the CSV, one per number.
    """

    estimates: Estimates
    table: Table
    records: list[dict[str, Any]] = field(default_factory=list)

    def mean(self, method: Method, benchmarks: Sequence[str], column: str, *, bounds: bool = False) -> Entry:
        """Return an accuracy, with the counts of what it rests on in the CSV.

        Args:
            method: whose.
            benchmarks: where; of several it is the mean.
            column: what the CSV calls it.
            bounds: print the interval, and not half its width.
        """
        estimate = self.estimates.mean(method, benchmarks)
        counts = self.estimates.counts(method, benchmarks)
        counted = {name: counts[name] for name in COUNTS if name != "n"}
        self.add(method, column, "accuracy", numbers(estimate) | counted)
        return accuracy(estimate, self.mark([method], benchmarks, estimate), bounds)

    def delta(self, method: Method, base: Method, benchmarks: Sequence[str], column: str) -> Entry:
        """Return the paired difference of accuracy to a control: a dash for the control itself."""
        if method == base:
            return Entry(DASH)
        estimate = self.estimates.delta(method, base, benchmarks)
        self.add(method, column, f"delta to {base.recipe}", numbers(estimate))
        return difference(estimate, self.mark([method, base], benchmarks, estimate))

    def counts(self, method: Method, benchmarks: Sequence[str]) -> list[Entry]:
        """Return how many responses were unscored, unparsed and truncated, each with its share of all."""
        counts = self.estimates.counts(method, benchmarks)
        found = counts["unscored"] + counts["failed"], counts["unparsed"], counts["truncated"]
        return [share(count, counts["n"]) for count in found]

    def mark(
        self,
        of: Sequence[Method],
        benchmarks: Sequence[str],
        estimate: Estimate | None,
        nothing: str = "no scored response",
    ) -> int:
        """Return the mark of the footnote that says what a number lacks, 0 where it lacks nothing.

        Args:
            of: the methods whose results it rests on.
            benchmarks: the benchmarks that it rests on.
            estimate: the number, None where there is none.
            nothing: why there is none where all results are there.
        """
        missing = [text for method in of for text in self.estimates.missing(method, benchmarks)]
        if missing:
            return self.table.mark(("missing " if estimate is None else "without ") + "; ".join(missing))
        return self.table.mark(nothing) if estimate is None and benchmarks else 0

    def add(self, method: Method, column: str, measure: str, values: dict[str, Any]) -> None:
        """Add a row to the CSV."""
        who = {"model": method.model, "method": self.label(method), "pool": method.pool, "size": method.size}
        self.records.append({**who, "column": column, "measure": measure, **values})

    def label(self, method: Method) -> str:
        """Return the name of a method's row."""
        return label(self.estimates.study, method)

    def largest(self, method: Method) -> Entry:
        """Return the name of the row of a method at its largest size, marked where other methods have a larger one."""
        smaller = method.size not in (None, top(self.estimates))
        mark = self.table.mark(f"at {method.size:,} examples, its largest size") if smaller else 0
        return Entry(self.label(method), mark=mark)

    def block(self, title: str, rows: list[list[Entry]]) -> None:
        """Add a block of rows to the table."""
        self.table.blocks.append(Block(title, rows))


def opened(estimates: Estimates) -> list[str]:
    """Return the note on models whose forced-`<think>` twin is no other, none where there are none such."""
    return [f"base-think of {name} repeats base: the chat template opens the thought." for name in estimates.thinking]


def top(estimates: Estimates) -> int:
    """Return the largest training size of a study, 0 where nothing is trained."""
    return max((cell.size or 0 for cell in estimates.graph.cells), default=0)


def numbers(estimate: Estimate | None) -> dict[str, Any]:
    """Return an estimate as columns of a CSV. Of a difference, `unscored` counts pairs without a score on a side."""
    if estimate is None:
        return {}
    found = asdict(estimate)
    found["unscored"] = found.pop("left_out")
    return found


def frame(records: list[dict[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    """Return rows of a CSV with these columns; one without rows still has a header."""
    found = pd.DataFrame(records).reindex(columns=list(columns))
    return found.astype({name: "Int64" for name in _INTEGERS if name in found})


def by_recipe(found: Sequence[Method]) -> list[Method]:
    """Return methods in the study's order of recipes, sizes ascending within each."""
    order = {(method.recipe, method.pool): i for i, method in reversed(list(enumerate(found)))}
    return sorted(found, key=lambda method: (order[method.recipe, method.pool], method.size or 0))


def _decoding(estimates: Estimates, suite: str, benchmarks: Sequence[str]) -> str:
    """Return how the responses to a suite were drawn, nothing where greedily or to other benchmarks alone."""
    spec = estimates.collected.study.suites[suite]
    if suite in estimates.collected.study.choosing or not set(benchmarks).intersection(spec.benchmarks):
        return ""
    chosen = spec.decoding.model_dump(mode="json", exclude_defaults=True, exclude={"max_tokens"})
    return ", ".join(f"{name} {json.dumps(value, ensure_ascii=False)}" for name, value in chosen.items())


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
    decodings = [f"{name} {said}" for name in study.suites if (said := _decoding(estimates, name, benchmarks))]
    text += f" Decoding, where not plainly greedy: {'; '.join(decodings)}." if decodings else ""
    text += f" Put aside before generation: {', '.join(aside)}." if aside else ""
    runs = estimates.graph.runs.values()
    sets = dict.fromkeys(f"{run.recipe} ({run.stage} on {run.on.name})" for run in runs if run.on)
    chosen = [f"{stage} by {suite}" for suite, stage in study.choosing.items()]
    text += f" Checkpoints chosen: {', '.join(chosen)}, which stands in no table." if chosen else ""
    text += f" Trained on sets of examples made for it: {', '.join(sets)}." if sets else ""
    if shared := sorted({name for spec in study.pools.values() for name in spec.only_with}):
        text += f" All train on the questions that stand in {', '.join(shared)}."
    text += f" Trained on other questions than the rest: {', '.join(study.other_data)}." if study.other_data else ""
    return text


def mean(values: Sequence[float | None]) -> float | None:
    """Return the mean of what is known of several runs, None where one of them does not say or there is none."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None
