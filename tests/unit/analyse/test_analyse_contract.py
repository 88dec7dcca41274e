"""What every table and figure keeps to: one file each, named once, of a whole study and of one without results."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import resolve_name

import pytest
from matplotlib.figure import Figure
from synthetic import make_study, sets_study, small_study, write_results

from reassess import analyse
from reassess.analyse.collect import collect
from reassess.analyse.estimates import Estimates
from reassess.analyse.latex import latex
from reassess.analyse.layout import markdown
from reassess.graph import Graph
from reassess.graph.report import FIGURES, TABLES

# What several tables or figures share.
_SHARED = {"__init__", "shared", "style"}


@pytest.fixture(params=["whole", "without results", "small", "without training", "sets", "sets without results"])
def estimates(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Estimates:
    monkeypatch.chdir(tmp_path)
    graph: Graph = {
        "whole": make_study,
        "without results": make_study,
        "small": lambda: small_study(measures={"loss": {"kind": "nll", "on": "pool"}}),
        "sets": sets_study,
        "sets without results": sets_study,
        "without training": lambda: small_study(recipes={"base": []}),
    }[request.param]()
    if "without results" not in request.param:
        write_results(graph)
    return Estimates(collect(graph))


@pytest.mark.parametrize("name", TABLES)
def test_a_table(name: str, estimates: Estimates) -> None:
    table, numbers = resolve_name(TABLES[name])(estimates)
    assert table.name == name
    assert table.caption.endswith(".")
    assert table.notes
    assert estimates.study.name in " ".join(table.notes)
    widths = {len(row) for block in table.blocks for row in block.rows}
    assert widths <= {len(table.columns)}
    assert 0 < table.text_columns < len(table.columns)
    # Every footnote is referred to, and every mark has one.
    marks = {entry.mark for block in table.blocks for row in block.rows for entry in row} - {0}
    assert marks == set(range(1, len(table.footnotes) + 1))
    assert "model" in numbers
    assert len(set(numbers.columns)) == len(numbers.columns)
    # A block for each model, or for what compares models, with these as its rows.
    named = {block.title for block in table.blocks if block.rows}
    named |= {row[0].text.split(" of ")[0] for block in table.blocks for row in block.rows}
    assert set(numbers["model"]) <= named
    assert table.caption in markdown(table)
    assert rf"\label{{tab:{name}" in latex(table)


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure(name: str, estimates: Estimates) -> None:
    figure = resolve_name(FIGURES[name])(estimates)
    assert isinstance(figure, Figure)
    assert figure.axes
    figure.savefig("figure.svg")
    assert Path("figure.svg").stat().st_size > 1000


@pytest.mark.parametrize(("kind", "names", "function"), [("tables", TABLES, "build"), ("figures", FIGURES, "draw")])
def test_each_is_one_file_and_one_line(kind: str, names: dict[str, str], function: str) -> None:
    found = {file.stem for file in (Path(analyse.__file__).parent / kind).glob("*.py")} - _SHARED
    assert found == set(names)
    for name, where in names.items():
        assert where == f"reassess.analyse.{kind}.{name}:{function}"
        module = import_module(where.partition(":")[0])
        assert module.__doc__
        assert getattr(module, function).__doc__


def test_the_list_of_jobs_names_them_without_importing_them() -> None:
    code = (
        "import sys, reassess.graph, reassess.console.show; "
        "print({'pandas', 'matplotlib', 'pyarrow', 'reassess.analyse'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_tables_are_made_without_matplotlib() -> None:
    code = (
        "import sys; from pkgutil import resolve_name; import reassess.analyse.write; "
        "from reassess.graph.report import TABLES; [resolve_name(where) for where in TABLES.values()]; "
        "print('matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
