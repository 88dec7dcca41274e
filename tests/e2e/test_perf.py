"""The stopwatch of a step of RL: it compares before it measures, and must find the arms equal."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from snake import ROOT

ARMS = ("trl", "transformers", "vllm")


@pytest.mark.slow
def test_either_engine_has_the_rewards_and_the_loss_of_plain_trl(toy_checkpoint: Path, tmp_path: Path) -> None:
    small = {"--prompts": 2, "--generations": 2, "--tokens": 24, "--steps": 2, "--rounds": 1, "--directory": tmp_path}
    command = [sys.executable, str(ROOT / "perf/rl_step.py"), "--model", str(toy_checkpoint)]
    command += [str(part) for item in small.items() for part in item]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    compared = "same rewards and loss as plain TRL, on the same 4 completions of each of 2 step(s)"
    for arm in ARMS[1:]:
        assert f"{arm}: {compared}" in done.stdout
    assert "drift of vLLM from the trainer in float32" in done.stdout
    tables = [[line.split(" | ") for line in text.splitlines()] for text in re.split(r"\n\n", done.stdout)[1:]]
    overview, parts = ({row[0].strip("| "): row[1:] for row in rows[2:]} for rows in tables)
    assert list(overview) == [*ARMS, "trl, on vLLM's completions"]
    assert list(parts) == list(ARMS)
    # Reward, loss and tokens are those of the same completions.
    assert overview["trl"][2:5] == overview["transformers"][2:5]
    assert overview["vllm"][2:5] == overview["trl, on vLLM's completions"][2:5]
    assert float(overview["trl"][3]) != 0
    assert not list(tmp_path.iterdir())
