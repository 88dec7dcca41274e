"""Times Snakemake on this workflow against a bare Snakefile with as many jobs of the same shape.

    python perf/dry_run.py [--runs 3]

Twice: the dry run of a study of about 5,000 jobs, and a run of the finished default study, which has nothing to do.
The two run in turn, so that load on the machine falls on both; what counts is the ratio of the medians, of the clock's
time and, on a busy machine, of the processor's.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from reassess import graph

ROOT = Path(__file__).resolve().parent.parent
LARGE, DEFAULT = ROOT / "studies" / "large.yaml", ROOT / "config.yaml"

# Wildcards, one output or two, shell commands: the least that Snakemake needs to run these jobs.
BARE = """
CELLS = {cells!r}
rule all:
    input: "tables.csv"
rule root:
    output: "{{model}}/base.json"
    shell: "touch {{output}}"
rule subset:
    output: "subsets/{{size}}-{{seed}}.json"
    shell: "touch {{output}}"
rule train:
    input: "{{model}}/base.json", "subsets/{{size}}-{{seed}}.json"
    output: "{{model}}/{{seed}}/{{recipe}}-{{size}}/run.json"
    wildcard_constraints: recipe="sft|grpo", size="[0-9]+", seed="[0-9]+", model="[a-z0-9-]+"
    shell: "touch {{output}}"
rule chain:
    input: "{{model}}/{{seed}}/sft-{{size}}/run.json", "subsets/{{size}}-{{seed}}.json"
    output: "{{model}}/{{seed}}/chain-{{size}}/run.json"
    wildcard_constraints: size="[0-9]+", seed="[0-9]+", model="[a-z0-9-]+"
    shell: "touch {{output}}"
rule generate:
    input: "{{cell}}/run.json"
    output: "{{cell}}/responses.parquet"
    shell: "touch {{output}}"
rule score:
    input: "{{cell}}/responses.parquet"
    output: "{{cell}}/scores.json"
    shell: "touch {{output}}"
rule tables:
    input: [cell + "/scores.json" for cell in CELLS]
    output: "tables.csv"
    shell: "touch {{output}}"
"""


class Took(NamedTuple):
    """Seconds of one run, by the clock and of the processor."""

    wall: float
    cpu: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="runs of each (default: 3)")
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        compare("dry run of a large study", *commands(Path(folder) / "large", LARGE, ["-n", "--quiet", "rules"]), runs)
        bare, ours = commands(Path(folder) / "default", DEFAULT, ["-c2"])
        finish(graph.load(DEFAULT), Path(folder) / "default" / "ours", ours)
        snakemake(bare)
        compare("finished default study, nothing to do", bare, ours, runs)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def commands(folder: Path, study: Path, options: list[str]) -> tuple[list[str], list[str]]:
    """Return Snakemake's arguments for a bare Snakefile and for this workflow, each in a directory of its own."""
    cells = [
        f"{cell.model}/{cell.seed}/{'chain' if cell.recipe == 'sft-grpo' else cell.recipe}-{cell.size}"
        for cell in graph.load(study).cells
        if not cell.is_control
    ]
    bare, ours = folder / "bare", folder / "ours"
    for directory in (bare, ours):
        directory.mkdir(parents=True)
    (bare / "Snakefile").write_text(BARE.format(cells=cells), encoding="utf-8")
    profile = ["--configfile", str(study), "--workflow-profile", str(ROOT / "profiles" / "local")]
    return (
        [*options, "--snakefile", str(bare / "Snakefile"), "--directory", str(bare)],
        [*options, "--snakefile", str(ROOT / "Snakefile"), "--directory", str(ours), *profile],
    )


def finish(found: graph.Graph, folder: Path, arguments: list[str]) -> None:
    """Make empty results, and have Snakemake take them for those of a finished study."""
    for job in found.jobs.values():
        for output in map(folder.joinpath, job.outputs):
            output.parent.mkdir(parents=True, exist_ok=True)
            output.mkdir() if output.name == "shards" else output.touch()
    snakemake([*arguments, "--touch"])


def compare(what: str, bare: list[str], ours: list[str], runs: int) -> None:
    """Print how long both take."""
    took: dict[str, list[Took]] = {"bare Snakefile": [], "this workflow": []}
    for _ in range(runs):
        for name, arguments in zip(took, (bare, ours), strict=True):
            took[name].append(snakemake(arguments))
    print(what)
    for name, found in took.items():
        shown = ", ".join(f"{item.wall:.2f} ({item.cpu:.2f})" for item in found)
        print(f"  {name:15} median {_median(found, 'wall'):5.2f} s, CPU {_median(found, 'cpu'):5.2f} s: {shown}")
    first, second = took.values()
    ratios = {field: _median(second, field) / _median(first, field) for field in Took._fields}
    print(f"  ratio {ratios['wall']:.2f}, of CPU time {ratios['cpu']:.2f}")


def _median(found: list[Took], field: str) -> float:
    return statistics.median(getattr(item, field) for item in found)


def snakemake(arguments: list[str]) -> Took:
    """Run Snakemake and return how long it took."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    result = subprocess.run([sys.executable, "-m", "snakemake", *arguments], capture_output=True, text=True)
    if result.returncode:
        sys.exit(result.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Took(time.perf_counter() - start, cpu)


if __name__ == "__main__":
    main()
