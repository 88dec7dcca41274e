"""Three of the kills of perf/kills.py: whatever is killed, and whenever, the tables come out the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from snake import ROOT


def test_tables_come_out_the_same_after_kills_at_random_moments(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "perf/kills.py"), "--kills", "3", "--directory", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 of 3: the tables of the whole run" in done.stdout
