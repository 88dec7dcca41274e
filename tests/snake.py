"""Runs Snakemake as a user would, in a directory of its own, and reads what it has made."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def snake(directory: Path, *arguments: str, study: Path = ROOT / "config.yaml") -> subprocess.CompletedProcess[str]:
    """Run Snakemake on the repository's workflow, with `directory` as its working directory."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    # --configfile takes several files, so a target must not follow it.
    command += ["--configfile", str(study)]
    command += ["--workflow-profile", str(ROOT / "profiles/local"), "--directory", str(directory)]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    return subprocess.run([*command, *arguments], capture_output=True, text=True, env=environment, check=False)


def tables(directory: Path) -> dict[str, str]:
    """Return the tables by name, but for the one that has times in it."""
    found = sorted((directory / "results/tables").glob("*"))
    return {file.name: file.read_text(encoding="utf-8") for file in found if file.stem != "cost"}


def planned(directory: Path, *targets: str, study: Path = ROOT / "config.yaml") -> dict[str, int]:
    """Return the jobs of a dry run by rule, targets that only collect (`all`, `tables`) left out."""
    result = snake(directory, "-n", "--quiet", "rules", *(("--", *targets) if targets else ()), study=study)
    assert result.returncode == 0, result.stderr
    text = result.stdout + result.stderr
    counts = {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", text, flags=re.MULTILINE)}
    return {name: count for name, count in counts.items() if name not in ("all", "tables", "total")}
