"""Easy-VQA, a real and published data set, from the package to the table."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from snake import ROOT, to_the_end

STUDY = ROOT / "studies/easy_vqa.yaml"


@pytest.mark.slow
def test_sft_learns_a_real_data_set(tmp_path: Path) -> None:
    to_the_end(tmp_path, STUDY)
    capacity = pd.read_csv(tmp_path / "results/tables/capacity.csv")
    rows = capacity[(capacity["column"] == "easy-vqa-test") & (capacity["measure"] == "accuracy")]
    accuracy = dict(zip(rows["method"], rows["mean"], strict=True))
    # The toy has not seen such questions, and was right in none. After SFT it was right in 0.64 of them with seed 1
    # and in 0.645 with seed 2; the most frequent answer is right in 0.4.
    assert accuracy["base"] < 0.1
    assert accuracy["sft"] > 0.5
