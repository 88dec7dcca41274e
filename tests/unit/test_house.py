"""The house: imports go one way, names are taken apart in the graph alone, and nothing is too long to read."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "workflow" / "reassess"
# From the ground up: a room may use those before it, and no others (docs/architecture.md).
FLOORS = (
    *("versions", "paths", "spec", "example", "prompts", "decoding", "judge", "work", "sources", "rewards"),
    *("benchmarks", "stages", "steps", "measures", "study", "graph", "data", "models", "engines", "train", "evaluate"),
    *("analyse", "console", "cluster", "cli"),
)
LONGEST_FILE, LONGEST_FUNCTION, MOST_PARAMETERS = 500, 60, 8
FILES = sorted(PACKAGE.rglob("*.py"))


def module(file: Path) -> str:
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module(file): file for file in FILES}


def imported(file: Path) -> Iterator[str]:
    """The modules of the package that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [item.name for item in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            names = [f"{node.module}.{item.name}" for item in node.names]
        else:
            continue
        for name in names:
            while name and name not in MODULES:
                name = name.rpartition(".")[0]
            if name.startswith("reassess."):
                yield name


IMPORTS = {name: sorted(set(imported(file)) - {name}) for name, file in MODULES.items()}


def room(name: str) -> str:
    return name.split(".")[1]


def test_every_room_has_its_floor() -> None:
    assert {room(name) for name in MODULES if "." in name} == set(FLOORS)


def test_imports_go_one_way() -> None:
    upwards = [
        f"{name} imports {other}"
        for name, others in IMPORTS.items()
        for other in others
        if "." in name and room(other) != room(name) and FLOORS.index(room(other)) > FLOORS.index(room(name))
    ]
    assert upwards == []


def test_imports_do_not_go_in_circles() -> None:
    done: set[str] = set()

    def walk(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name in done:
            return
        for other in IMPORTS[name]:
            walk(other, (*path, name))
        done.add(name)

    for name in IMPORTS:
        walk(name, ())


def test_names_of_cells_are_not_taken_apart_outside_the_graph() -> None:
    cut = re.compile(r"""\.r?(?:split|partition)\(["'][/@+]["']|removeprefix\(["']seed["']\)""")
    # Paths inside packages, urls, formulas and a user's columns are no names of cells.
    elsewhere = ("graph/", "judge/", "benchmarks/", "sources/")
    found = [
        f"{file.relative_to(PACKAGE)}:{number}: {line.strip()}"
        for file in FILES
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if cut.search(line) and not str(file.relative_to(PACKAGE)).startswith(elsewhere)
    ]
    assert found == []


def functions(file: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring."""
    first = node.body[0]
    lines = (node.end_lineno or 0) - node.lineno + 1
    is_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return lines - ((first.end_lineno or 0) - first.lineno + 1 if is_docstring else 0)


@pytest.mark.parametrize("file", FILES, ids=[str(file.relative_to(PACKAGE)) for file in FILES])
def test_nothing_is_too_long(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE
    for node in functions(file):
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        own = [item for item in arguments if item.arg not in ("self", "cls")]
        assert len(own) <= MOST_PARAMETERS, f"{node.name} has {len(own)} parameters"
        # A parser is a list of options.
        assert length(node) <= LONGEST_FUNCTION or node.name == "_parser", f"{node.name}: {length(node)} lines"


def test_the_rules_name_no_part_of_a_cell() -> None:
    for file in sorted((ROOT / "rules").glob("*.smk")):
        assert set(re.findall(r"wildcards\.(\w+)", file.read_text(encoding="utf-8"))) <= {"key"}


def test_kinds_of_stages_are_known_in_stages_and_train_alone() -> None:
    name = re.compile(r"""["'](?:sft|grpo)["']""")
    known = ("stages/", "train/sft.py", "train/grpo.py")
    found = [
        f"{file.relative_to(PACKAGE)}:{number}"
        for file in FILES
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if name.search(line) and not str(file.relative_to(PACKAGE)).startswith(known)
    ]
    assert found == []
