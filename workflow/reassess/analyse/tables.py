"""Writes every table of a study as CSV (full numbers), Markdown and LaTeX."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from reassess import paths
from reassess.analyse.accuracy_tables import capacity, families, scale, transfer
from reassess.analyse.estimates import COUNTS, comparable
from reassess.analyse.latex import latex
from reassess.analyse.layout import markdown
from reassess.analyse.made_from import record
from reassess.analyse.run_tables import cost, reward
from reassess.graph import Graph

_BUILDERS = {
    "capacity": capacity,
    "scale": scale,
    "transfer": transfer,
    "families": families,
    "cost": cost,
    "reward": reward,
}
# The first columns of the accuracy tables' CSV; a table without rows still has a header.
_CSV_COLUMNS = [
    "model",
    "method",
    "pool",
    "size",
    "column",
    "group",
    "measure",
    "mean",
    "lo",
    "hi",
    "n",
    "seeds",
    *COUNTS[1:],
]


def tables(graph: Graph, partial: bool = False) -> list[str]:
    """Build all tables of a study and return the paths that were written.

    Args:
        graph: the study.
        partial: build from whatever is there, into the partial directory, and print what is missing.

    Raises:
        MissingError: something is missing and `partial` is false.
        ParityError: results cannot be compared.
        ResultsError: a file is broken.
    """
    estimates = comparable(graph, partial)
    texts: dict[str, str] = {}
    for name in paths.TABLES:
        print(f"table {name}", flush=True)
        table, records = _BUILDERS[name](estimates)
        if "measure" in records:
            wanted = [column for column in _CSV_COLUMNS if column != "group" or name == "families"]
            records = records.reindex(columns=wanted).astype(dict.fromkeys(("size", "seeds", *COUNTS), "Int64"))
        texts[paths.table(name, "csv", partial)] = _csv(records)
        texts[paths.table(name, "md", partial)] = markdown(table)
        texts[paths.table(name, "tex", partial)] = latex(table)
    for path, text in texts.items():
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = target.with_name(f".{target.name}.tmp")
        aside.write_text(text, encoding="utf-8")
        aside.replace(target)
    return [*texts, record(graph, "tables", list(texts), partial)]


def _csv(records: pd.DataFrame) -> str:
    text: str = records.to_csv(index=False, lineterminator="\n", float_format="%.10g")
    return text
