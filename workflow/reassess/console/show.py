"""What a study's run prints at its end."""

from __future__ import annotations

from pathlib import Path

from reassess import paths
from reassess.console.status import mismatches
from reassess.graph import Graph, report
from reassess.graph.report import FIGURES
from reassess.graph.state import States


def summary(graph: Graph) -> str:
    """Return the capacity table and where the other tables and figures lie, for a terminal.

    What does not match the study in the results comes first.
    """
    study = graph.study
    found = mismatches(graph, States(graph))
    head = "".join(f"{line}\n" for line in found)
    capacity = Path(paths.table("capacity", "md"))
    if not capacity.is_file():
        return f"{head}study {study.name}: no tables yet ({capacity} is not there)"
    text = capacity.read_text(encoding="utf-8")
    if f"\nStudy {study.name}. " not in text:
        return (
            f"{capacity.parent}/ holds the tables of another study, not of {study.name}: studies that run in one "
            f"directory share results/; run {study.name} to write its own, or keep studies apart with --directory"
        )
    tables = " ".join(name for name in report.tables(study) if Path(paths.table(name, "md")).is_file())
    figures = " ".join(name for name in FIGURES if Path(paths.figure(name, "svg")).is_file())
    head += "the tables show what was there when they were made\n\n" if found else ""
    return (
        f"{head}{text}\n"
        f"tables:  {capacity.parent}/ ({tables or 'none'}; csv, md, tex)\n"
        f"figures: {Path(paths.figure('scale', 'svg')).parent}/ ({figures or 'none'}; svg, pdf)"
    )
