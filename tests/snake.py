"""Runs Snakemake as a user would, in a directory of its own, and reads what it has made."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Jobs call `reassess` by its name.
ENVIRONMENT = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def snake(directory: Path, *arguments: str, study: Path = ROOT / "config.yaml") -> subprocess.CompletedProcess[str]:
    """Run Snakemake on the repository's workflow, with `directory` as its working directory."""
    line = command(directory, *arguments, study=study)
    return subprocess.run(line, capture_output=True, text=True, env=ENVIRONMENT, check=False)


def to_the_end(directory: Path, study: Path) -> None:
    """Run a study to its end in a directory."""
    result = snake(directory, study=study)
    assert result.returncode == 0, result.stdout + result.stderr


def command(
    directory: Path, *arguments: str, study: Path = ROOT / "config.yaml", profile: Path = ROOT / "profiles/local"
) -> list[str]:
    """Return the command line of a Snakemake with `directory` as its working directory."""
    line = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    # --configfile takes several files, so a target must not follow it.
    line += ["--configfile", str(study), "--workflow-profile", str(profile), "--directory", str(directory)]
    return [*line, *arguments]


def tables(directory: Path) -> dict[str, str]:
    """Return the tables by name, but for those that have times in them."""
    found = sorted((directory / "results/tables").glob("*"))
    timed = ("cost", "sampling", "examples")
    return {file.name: file.read_text(encoding="utf-8") for file in found if file.stem not in timed}


def planned(directory: Path, *targets: str, study: Path = ROOT / "config.yaml") -> dict[str, int]:
    """Return the jobs of a dry run by rule, the target that only collects left out."""
    result = snake(directory, "-n", "--quiet", "rules", *(("--", *targets) if targets else ()), study=study)
    assert result.returncode == 0, result.stderr
    text = result.stdout + result.stderr
    counts = {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", text, flags=re.MULTILINE)}
    return {name: count for name, count in counts.items() if name not in ("all", "total")}
