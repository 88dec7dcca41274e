"""Times the dry run of a study of about 5,000 jobs against a bare Snakefile with as many jobs of the same shape.

    python perf/dry_run.py [--runs 3]

The two run in turn, so that load on the machine falls on both; the ratio of the medians is what counts.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from reassess import graph

ROOT = Path(__file__).resolve().parent.parent
STUDY = ROOT / "studies" / "large.yaml"

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="runs of each (default: 3)")
    runs = parser.parse_args().runs
    study = graph.load(STUDY)
    cells = [
        f"{cell.model}/{cell.seed}/{'chain' if cell.recipe == 'sft-grpo' else cell.recipe}-{cell.size}"
        for cell in study.cells
        if not cell.is_control
    ]
    with tempfile.TemporaryDirectory() as folder:
        bare = Path(folder) / "bare"
        bare.mkdir()
        (bare / "Snakefile").write_text(BARE.format(cells=cells), encoding="utf-8")
        ours = Path(folder) / "ours"
        ours.mkdir()
        profile = str(ROOT / "profiles" / "local")
        commands = {
            "bare Snakefile": ["--snakefile", str(bare / "Snakefile"), "--directory", str(bare)],
            "studies/large.yaml": ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(ours)],
        }
        commands["studies/large.yaml"] += ["--configfile", str(STUDY), "--workflow-profile", profile]
        times: dict[str, list[float]] = {name: [] for name in commands}
        jobs: dict[str, str] = {}
        for _ in range(runs):
            for name, arguments in commands.items():
                start = time.perf_counter()
                result = subprocess.run(
                    [sys.executable, "-m", "snakemake", "-n", "--quiet", "rules", *arguments],
                    capture_output=True,
                    text=True,
                    check=True,
                )
                times[name].append(time.perf_counter() - start)
                total = [line for line in result.stdout.splitlines() if line.startswith("total")]
                jobs[name] = total[0].split()[1]
    for name, seconds in times.items():
        shown = ", ".join(f"{value:.2f}" for value in seconds)
        print(f"{name:20} {jobs[name]:>6} jobs  median {statistics.median(seconds):5.2f} s  ({shown})")
    first, second = (statistics.median(seconds) for seconds in times.values())
    print(f"ratio {second / first:.2f} (load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores)")


if __name__ == "__main__":
    main()
