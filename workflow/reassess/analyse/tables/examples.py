"""What came of asking models for examples: solved, kept and left out, by family, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reassess.analyse.estimates import Estimates
from reassess.analyse.layout import DASH, Block, Entry, Table, number, share
from reassess.analyse.tables.shared import Built, frame
from reassess.graph.sets import ExampleSet

_NOBODY = "made without asking"
_COUNTS = ("asked", "solved", "kept", "rationales", "samples", "judged", "right", "tokens")
_COLUMNS = ["model", "set", "kind", "speaker", "group", *_COUNTS, "left_out", "tokens_a_response", "seconds"]
_NOTES = [
    "Asked, solved, kept: questions; solved are those with a right response, and a set of the kind ask judges none. "
    "Right: of the responses that the judge could score. Tokens: generated ones, a mean over responses, and all of "
    "them. Left out: questions of which nothing was kept, and why.",
    "Time: wall-clock time of the asking and of the making, one job each.",
]


def build(estimates: Estimates) -> Built:
    """Return what was asked, solved and kept for each set of examples, as a whole and by family."""
    graph, collected = estimates.graph, estimates.collected
    table = Table(
        "examples",
        "Sets of examples by the model that was asked for them: what it solved, and what was kept.",
        ["Set", "Family", "Asked", "Solved", "Right", "Kept", "Left out", "Tokens", "All tokens", "Time (s)"],
        text_columns=2,
    )
    records: list[dict[str, Any]] = []
    blocks: dict[str, list[list[Entry]]] = {}
    for key, made in graph.sets.items():
        rows = blocks.setdefault(made.model or _NOBODY, [])
        manifest = collected.sets.get(key)
        if manifest is None:
            mark = table.mark(
                f"missing {'; '.join(str(item) for item in collected.missing if item.cell == f'examples {key}')}"
            )
            rows.append([Entry(key, mark=mark), *[Entry(DASH)] * (len(table.columns) - 1)])
            continue
        kind = graph.study.examples[made.name].kind
        who = {"model": made.model or _NOBODY, "set": key, "kind": kind, "speaker": made.speaker or None}
        rows.append(_whole(table, made, manifest))
        found = manifest.get("asked")
        records.append({**who, "group": "all", **_counted(found or {"kept": manifest["n"]})})
        records[-1] |= {"left_out": sum(manifest["dropped"].values()), "seconds": _seconds(manifest)}
        for family, counts in found["by"]["family"].items() if found else ():
            rows.append([Entry(""), Entry(family or "(no family)"), *_entries(counts), *[Entry("")] * 2])
            records.append({**who, "group": family, **_counted(counts)})
    table.blocks = [Block(title, rows) for title, rows in blocks.items() if rows]
    table.notes = [*_NOTES, f"Study {estimates.study.name}."]
    return table, frame(records, _COLUMNS)


def _whole(table: Table, made: ExampleSet, manifest: Mapping[str, Any]) -> list[Entry]:
    """Return the row of a whole set, with the reasons for which questions were left out as its footnote."""
    found = manifest.get("asked")
    why = ", ".join(f"{reason} {count:,}" for reason, count in manifest["dropped"].items())
    ended = ", ".join(f"{how} {n:,}" for how, n in found["ended"].items() if how != "stop") if found else ""
    said = [f"left out: {why}" if why else "", f"responses that did not come to their end: {ended}" if ended else ""]
    if found and found.get("reproducible") is False:
        said.append(f"from an endpoint, so that nobody can make it again: {', '.join(found.get('served', ()))}")
    mark = table.mark("; ".join(filter(None, said)))
    row = [Entry(made.key, mark=mark), Entry("all")]
    row += _entries(found) if found else [Entry(DASH)] * 3 + [number(manifest["n"])]
    if not found:
        row += [number(sum(manifest["dropped"].values())), Entry(DASH)]
    return [*row, number(found["tokens"]) if found else Entry(DASH), number(_seconds(manifest), 1)]


def _entries(counts: Mapping[str, Any]) -> list[Entry]:
    """Return asked, solved, right, kept, left out and the mean of tokens of a group of questions."""
    known = {name: int(counts.get(name) or 0) for name in _COUNTS}
    asked, judged = known["asked"], known["judged"]
    mean = known["tokens"] / known["samples"] if known["samples"] else None
    return [
        number(asked),
        share(known["solved"], asked) if judged else Entry(DASH),
        share(known["right"], judged),
        share(known["kept"], asked),
        number(asked - known["kept"]),
        number(mean, 1),
    ]


def _counted(counts: Mapping[str, Any]) -> dict[str, Any]:
    known = {name: counts.get(name) for name in _COUNTS}
    asked, kept, samples = (counts.get(name) for name in ("asked", "kept", "samples"))
    own = {"left_out": asked - (kept or 0) if asked else None}
    return {**known, **own, "tokens_a_response": counts["tokens"] / samples if samples else None}


def _seconds(manifest: Mapping[str, Any]) -> float:
    asking = (manifest.get("asked") or {}).get("costs", {}).get("seconds") or 0.0
    return float(asking + manifest.get("seconds", 0.0))
